"""Joining tensors and rearranging elements: ``cat``, ``stack``, ``repeat``, ``flip``, ``tril``."""

from __future__ import annotations

import math
import operator as python_operator
from typing import Any

import numpy as np

from fakel.autograd.tape import retitled
from fakel.ops.checks import BOOL, COMPLEX, FLOATING, refuse
from fakel.ops.declare import broadcast_shapes as shape_of_broadcast
from fakel.ops.declare import function, gradient, method, operator, primitive, wrap_dim, wrap_dims
from fakel.ops.embed import embed_diagonal
from fakel.ops.options import check_sizes
from fakel.ops.slicing import slice_view
from fakel.ops.views import sizes
from fakel.tensor import Size, Tensor, promote_types


@primitive("cat")
def _cat(*tensors, dim):
    return np.concatenate(tensors, axis=dim)


def _cat_gradient(grad: Tensor, tensors: tuple[Tensor, ...], dim: int) -> tuple[Tensor, ...]:
    return tuple(grad.split([t._shape[dim] for t in tensors], dim))


gradient(_cat, joint=_cat_gradient)


def _tensors(name: str, tensors: Any) -> list[Tensor]:
    if isinstance(tensors, Tensor):
        raise TypeError(
            f"{name}(): argument 'tensors' (position 1) must be tuple of Tensors, not Tensor"
        )
    tensors = list(tensors)
    for position, tensor in enumerate(tensors):
        if not isinstance(tensor, Tensor):
            raise TypeError(
                f"expected Tensor as element {position} in argument 0, but got "
                f"{type(tensor).__name__}"
            )
    return tensors


@operator(method=False, aliases=("concat", "concatenate"))
def cat(tensors: Any, dim: int = 0) -> Tensor:
    """Tensors one after the other along a dimension.

    Args:
        tensors: of equal shape but for that dimension; empty one-dimensional ones are skipped.

    Raises:
        RuntimeError: when the other dimensions differ.
    """
    listed = _tensors("cat", tensors)
    if not listed:
        raise ValueError("torch.cat(): expected a non-empty list of Tensors")
    for position, tensor in enumerate(listed):
        if not tensor.ndim:
            raise RuntimeError(
                f"zero-dimensional tensor (at position {position}) cannot be concatenated"
            )
    kind = listed[0].dtype
    for tensor in listed[1:]:
        kind = promote_types(kind, tensor.dtype)
    parts = [t for t in listed if t._shape != (0,)] or listed[:1]
    first = parts[0]._shape
    dim = wrap_dim(dim, len(first))
    for position, tensor in enumerate(listed):
        shape = tensor._shape
        if shape == (0,):
            continue
        if len(shape) != len(first):
            raise RuntimeError(
                f"Tensors must have same number of dimensions: got {len(first)} and {len(shape)}"
            )
        for each, (a, b) in enumerate(zip(first, shape, strict=True)):
            if a != b and each != dim:
                raise RuntimeError(
                    f"Sizes of tensors must match except in dimension {dim}. Expected size {a} "
                    "but got "
                    f"size {b} for tensor number {position} in the list."
                )
    total = sum(t._shape[dim] for t in parts)
    shape = (*first[:dim], total, *first[dim + 1 :])
    # skipped tensors stay inputs, as empty ones that fit, so that they get a gradient
    fitting = [
        t.to(kind) if t._shape != (0,) or len(first) == 1 else t.to(kind).view(_empty(first, dim))
        for t in listed
    ]
    return _cat(*fitting, dim=dim, shape=shape, dtype=kind)


def _empty(shape: tuple[int, ...], dim: int) -> tuple[int, ...]:
    return (*shape[:dim], 0, *shape[dim + 1 :])


@operator(method=False)
def stack(tensors: Any, dim: int = 0) -> Tensor:
    """Tensors of equal shape side by side along a new dimension.

    Raises:
        RuntimeError: when the shapes differ or there are none.
    """
    listed = _tensors("stack", tensors)
    if not listed:
        raise RuntimeError("stack expects a non-empty TensorList")
    first = listed[0]._shape
    for position, tensor in enumerate(listed):
        if tensor._shape != first:
            raise RuntimeError(
                f"stack expects each tensor to be equal size, but got {list(first)} at entry 0 and "
                f"{list(tensor._shape)} at entry {position}"
            )
    dim = wrap_dim(dim, len(first) + 1)
    kind = listed[0].dtype
    for tensor in listed[1:]:
        kind = promote_types(kind, tensor.dtype)
    return _stack(
        *(t.to(kind) for t in listed),
        dim=dim,
        shape=(*first[:dim], len(listed), *first[dim:]),
        dtype=kind,
    )


@primitive("stack")
def _stack(*tensors, dim):
    return np.stack(tensors, axis=dim)


# what the layers below need without importing operators
Tensor._stack = staticmethod(stack)  # type: ignore[attr-defined]
gradient(_stack, joint=lambda grad, dim: grad.unbind(dim))


def _atleast(tensors: tuple[Any, ...], grow: Any) -> Any:
    if len(tensors) == 1 and isinstance(tensors[0], Tensor):
        return grow(tensors[0])
    listed = tensors[0] if len(tensors) == 1 else tensors
    return tuple(grow(t) for t in listed)


@function
def atleast_1d(*tensors: Any) -> Any:
    """Zero-dimensional tensors as vectors of one element."""
    return _atleast(tensors, lambda t: t if t.ndim else t.reshape(1))


@function
def atleast_2d(*tensors: Any) -> Any:
    """Tensors with dimensions put in front until there are two."""
    return _atleast(tensors, lambda t: t if t.ndim > 1 else t.reshape(1, -1))


@function
def atleast_3d(*tensors: Any) -> Any:
    """Tensors with dimensions put around until there are three."""

    def grow(t: Tensor) -> Tensor:
        if t.ndim > 2:
            return t
        return t.unsqueeze(-1) if t.ndim == 2 else t.reshape(1, -1, 1)

    return _atleast(tensors, grow)


@operator(method=False, aliases=("row_stack",))
def vstack(tensors: Any) -> Tensor:
    """Tensors below each other."""
    return cat(atleast_2d(list(_tensors("vstack", tensors))), 0)


@operator(method=False)
def hstack(tensors: Any) -> Tensor:
    """Tensors beside each other."""
    listed = atleast_1d(list(_tensors("hstack", tensors)))
    return cat(listed, 0 if listed and listed[0].ndim == 1 else 1)


@operator(method=False)
def dstack(tensors: Any) -> Tensor:
    """Tensors behind each other."""
    return cat(atleast_3d(list(_tensors("dstack", tensors))), 2)


@operator(method=False)
def column_stack(tensors: Any) -> Tensor:
    """Vectors as columns of a matrix; other tensors beside each other."""
    listed = [t if t.ndim > 1 else t.reshape(-1, 1) for t in _tensors("column_stack", tensors)]
    return cat(listed, 1)


@operator(method=False, out=False, backward_name="BlockDiagBackward0")
def block_diag(*tensors: Any) -> Tensor:
    """A matrix with the given ones along its diagonal and zeros elsewhere."""
    blocks = [t if t.ndim == 2 else t.reshape(1, -1) for t in tensors]
    if not blocks:
        return Tensor._zeros((1, 0))
    kind = blocks[0].dtype
    for block in blocks[1:]:
        kind = promote_types(kind, block.dtype)
    columns = sum(b._shape[1] for b in blocks)
    rows, left = [], 0
    for block in blocks:
        height, width = block._shape
        rows.append(
            cat(
                [
                    Tensor._zeros((height, left), kind),
                    block.to(kind),
                    Tensor._zeros((height, columns - left - width), kind),
                ],
                1,
            )
        )
        left += width
    return cat(rows, 0)


@method
def repeat(self: Tensor, *repeats: Any) -> Tensor:
    """The tensor repeated along each dimension; surplus numbers put new ones in front."""
    times = sizes(repeats)
    if len(times) < self.ndim:
        raise RuntimeError(
            "Number of dimensions of repeat dims can not be smaller than number of dimensions of "
            "tensor"
        )
    shape = (1,) * (len(times) - self.ndim) + tuple(self._shape)
    larger = check_sizes(tuple(a * b for a, b in zip(times, shape, strict=True)))
    return _repeat(self, times=times, shape=larger)


@primitive("repeat")
def _repeat(input, *, times):
    return np.tile(input, times)


def _repeat_gradient(grad: Tensor, input: Tensor, times: tuple[int, ...]) -> Tensor:
    if 0 in times:
        return Tensor._zeros(input._shape, grad.dtype)
    shape = (1,) * (len(times) - input.ndim) + tuple(input._shape)
    pairs = [size for pair in zip(times, shape, strict=True) for size in pair]
    summed = grad.reshape(pairs).sum(tuple(range(0, len(pairs), 2))) if pairs else grad
    return summed.reshape(input._shape)


gradient(_repeat, input=_repeat_gradient)


@operator(out=False)
def tile(input: Tensor, *dims: Any) -> Tensor:
    """The tensor repeated along each dimension; missing numbers in front count as 1."""
    times = sizes(dims)
    return input.repeat((1,) * (input.ndim - len(times)) + times)


@operator(out=False)
def repeat_interleave(
    input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: int | None = None
) -> Tensor:
    """Each element (along ``dim``, or of the flattened tensor) repeated in its place.

    Args:
        repeats: how often, one number or one for each position.
    """
    if repeats is None:
        counts = _checked_counts(input)
        return Tensor._from_array(np.repeat(np.arange(counts.size), counts))
    if dim is None:
        input, dim = input.flatten(), 0
    dim = wrap_dim(dim, input.ndim)
    size = input._shape[dim] if input.ndim else 1
    if isinstance(repeats, Tensor):
        counts = _checked_counts(repeats, size)
    elif python_operator.index(repeats) < 0:
        raise RuntimeError("Repeats must be non-negative")
    else:
        counts = np.asarray(repeats)
    positions = np.repeat(
        np.arange(size), counts.reshape(-1) if counts.size > 1 else int(counts.reshape(-1)[0])
    )
    return input.index_select(dim, Tensor._from_array(positions))


def _checked_counts(repeats: Tensor, size: int | None = None) -> np.ndarray:
    """How often each position is repeated; one number stands for all."""
    if repeats.ndim > 1:
        raise RuntimeError("repeats must be 0-dim or 1-dim tensor")
    count = repeats.numel()
    if size is not None and count not in (1, size):
        raise RuntimeError(
            "repeats must have the same size as input along dim, but got repeats.size(0) = "
            f"{count} and input.size(0) = {size}"
        )
    refuse("repeat_interleave_cpu", repeats.dtype, BOOL, FLOATING, COMPLEX)
    counts = repeats._values()
    if (counts < 0).any():
        raise RuntimeError("repeats can not be negative")
    return counts


@operator(out=False)
def flip(input: Tensor, *axes: Any, dims: Any = ()) -> Tensor:
    """The order reversed along dimensions, given as ``flip(0, 1)`` or ``dims=(0, 1)``."""
    named = sizes(axes) or sizes((dims,))
    chosen = wrap_dims(named, input.ndim) if named else ()
    return _flip(input, dims=chosen)


@primitive("flip")
def _flip(input, *, dims):
    return np.flip(input, dims)


gradient(_flip, input=lambda grad, dims: _flip(grad, dims=dims))


@operator(out=False)
def fliplr(input: Tensor) -> Tensor:
    """Columns in reverse order."""
    if input.ndim < 2:
        raise RuntimeError("Input must be >= 2-d.")
    return flip(input, 1)


@operator(out=False)
def flipud(input: Tensor) -> Tensor:
    """Rows in reverse order."""
    if input.ndim < 1:
        raise RuntimeError("Input must be >= 1-d.")
    return flip(input, 0)


@operator(out=False, backward_name="RollBackward0")
def roll(input: Tensor, shifts: Any, dims: Any = ()) -> Tensor:
    """Elements moved along dimensions, those that leave at one end coming in at the other."""
    steps = tuple(shifts) if isinstance(shifts, (tuple, list)) else (int(shifts),)
    along = tuple(dims) if isinstance(dims, (tuple, list)) else (int(dims),)
    if not along:
        if len(steps) != 1:
            raise RuntimeError(f"shifts and dimensions must align. shifts: {len(steps)}, dims:0")
        return roll(input.flatten(), steps, 0).view(input._shape)
    if len(steps) != len(along):
        raise RuntimeError(
            f"shifts and dimensions must align. shifts: {len(steps)}, dims:{len(along)}"
        )
    return _roll(input, shifts=steps, dims=tuple(wrap_dim(dim, input.ndim) for dim in along))


@primitive("roll")
def _roll(input, *, shifts, dims):
    return np.roll(input, shifts, dims) if input.ndim else input.copy()


gradient(
    _roll, input=lambda grad, shifts, dims: _roll(grad, shifts=tuple(-s for s in shifts), dims=dims)
)


@operator(out=False, backward_name="Rot90Backward0")
def rot90(input: Tensor, k: int = 1, dims: Any = (0, 1)) -> Tensor:
    """The tensor turned by 90 degrees ``k`` times in the plane of two dimensions."""
    if len(dims) != 2:
        raise RuntimeError(f"expected total rotation dims == 2, but got dims = {len(dims)}")
    if input.ndim < 2:
        raise RuntimeError(f"expected total dims >= 2, but got total dims = {input.ndim}")
    a, b = (wrap_dim(dim, input.ndim) for dim in dims)
    if a == b:
        raise RuntimeError(
            f"expected rotation dims to be different, but got dim0 = {dims[0]} and dim1 = {dims[1]}"
        )
    k %= 4
    if k == 1:
        return flip(input, b).transpose(a, b)
    if k == 2:
        return flip(input, a, b)
    return flip(input, a).transpose(a, b) if k == 3 else input.clone()


@primitive("tril")
def _tril(input, *, diagonal):
    return np.tril(input, diagonal)


@primitive("triu")
def _triu(input, *, diagonal):
    return np.triu(input, diagonal)


gradient(_tril, input=lambda grad, diagonal: _tril(grad, diagonal=diagonal))
gradient(_triu, input=lambda grad, diagonal: _triu(grad, diagonal=diagonal))


def _check_matrix(name: str, input: Tensor) -> None:
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input tensor must have at least 2 dimensions")


@operator(inplace=True)
def tril(input: Tensor, diagonal: int = 0) -> Tensor:
    """The lower triangle of matrices, zero above the given diagonal."""
    _check_matrix("tril", input)
    return _tril(input, diagonal=int(diagonal))


@operator(inplace=True)
def triu(input: Tensor, diagonal: int = 0) -> Tensor:
    """The upper triangle of matrices, zero below the given diagonal."""
    _check_matrix("triu", input)
    return _triu(input, diagonal=int(diagonal))


@operator()
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """The diagonal of a matrix, or a matrix with the given diagonal."""
    if input.ndim == 1:
        return diag_embed(input, diagonal)
    if input.ndim == 2:
        return retitled(input.diagonal(diagonal).clone(), "DiagonalBackward0_copy")
    raise RuntimeError(f"diag(): Supports 1D or 2D tensors. Got {input.ndim}D")


@operator(out=False, backward_name="DiagEmbedBackward0")
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices in two new dimensions whose diagonals are the last dimension of ``input``."""
    ndim = input.ndim + 1
    dim1, dim2 = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if dim1 == dim2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    length = input._shape[-1] + abs(offset)
    rest = iter(input._shape[:-1])
    shape = tuple(length if d in (dim1, dim2) else next(rest) for d in range(ndim))
    return embed_diagonal(input, shape=shape, offset=offset, dim1=dim1, dim2=dim2)


@operator(out=False)
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix whose diagonal is the flattened input."""
    return diag_embed(input.flatten(), offset)


@method
def fill_diagonal_(self: Tensor, fill_value: Any, wrap: bool = False) -> Tensor:
    """Writes a number into the main diagonal.

    Args:
        wrap: go on, one row after the last square, in a matrix with more rows than columns.
    """
    if self.ndim < 2:
        raise RuntimeError("dimensions must larger than 1")
    if self.ndim > 2 and len(set(self._shape)) > 1:
        raise RuntimeError("all dimensions of input must be of equal length")
    limit = min(self._shape)
    step = sum(self.stride())
    self.as_strided((limit,), (step,), self._offset).fill_(fill_value)
    if wrap and self.ndim == 2 and self._shape[0] > self._shape[1] + 1:
        columns = self._shape[1]
        start = self.stride(0) * (columns + 1)
        count = math.ceil((self.numel() - start) / (columns + 1))
        self.as_strided((count,), (step,), self._offset + start).fill_(fill_value)
    return self


@operator(out=False, backward_name="DiagonalScatterBackward0")
def diagonal_scatter(
    input: Tensor, src: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1
) -> Tensor:
    """A copy with ``src`` written into a diagonal."""
    result = input.clone()
    place = result.diagonal(offset, dim1, dim2)
    _check_same("diagonal_scatter", place, src)
    place.copy_(src)
    return result


@operator(out=False, backward_name="SelectScatterBackward0")
def select_scatter(input: Tensor, src: Tensor, dim: int, index: int) -> Tensor:
    """A copy with ``src`` written at one position of a dimension."""
    result = input.clone()
    place = result.select(dim, index)
    _check_same("select_scatter", place, src)
    place.copy_(src)
    return result


@operator(backward_name="SliceScatterBackward0")
def slice_scatter(
    input: Tensor,
    src: Tensor,
    dim: int = 0,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """A copy with ``src`` written into a slice of a dimension."""
    result = input.clone()
    place = slice_view(result, dim, start, end, step)
    _check_same("slice_scatter", place, src)
    place.copy_(src)
    return result


@operator(out=False)
def as_strided_scatter(
    input: Tensor, src: Tensor, size: Any, stride: Any, storage_offset: int | None = None
) -> Tensor:
    """A copy with ``src`` written into a strided view of it."""
    result = input.clone()
    place = result.as_strided(size, stride, storage_offset)
    _check_same("as_strided_scatter", place, src)
    place.copy_(src)
    return result


def _check_same(name: str, place: Tensor, src: Tensor) -> None:
    if place._shape != src._shape:
        raise RuntimeError(
            "expected src to have a size equal to the slice of self. src size = "
            f"{list(src._shape)}, slice size = {list(place._shape)}"
        )


@function
def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors expanded to the shape that they broadcast to."""
    listed = tensors[0] if len(tensors) == 1 and isinstance(tensors[0], (tuple, list)) else tensors
    shape = shape_of_broadcast(*(t._shape for t in listed))
    return tuple(t if t._shape == shape else t.expand(shape) for t in listed)


@function(namespace="")
def broadcast_shapes(*shapes: Any) -> Any:
    """The shape that shapes broadcast to."""
    result: list[int] = []
    listed = [(shape,) if isinstance(shape, int) else shape for shape in shapes]
    for index, shape in enumerate(listed):
        for size in shape:
            if size < 0:
                raise ValueError("Attempting to broadcast a dimension with negative length!")
        result = [1] * (len(shape) - len(result)) + result
        for back in range(-1, -len(shape) - 1, -1):
            if shape[back] in (1, result[back]):
                continue
            if result[back] != 1:
                raise RuntimeError(
                    f"Attempting to broadcast a dimension of length {shape[back]} at {back}! "
                    f"Mismatching argument at index {index} had {shape}; but expected shape "
                    f"should be broadcastable to {result}"
                )
            result[back] = shape[back]
    return Size(result)


@method
def sum_to_size(self: Tensor, *size: Any) -> Tensor:
    """The sum over dimensions down to the given shape, which broadcasts to the tensor's."""
    wanted = sizes(size)
    if not wanted:
        return self.sum()
    lead = self.ndim - len(wanted)
    if lead < 0 or any(
        want not in (1, have) for want, have in zip(wanted, self._shape[lead:], strict=True)
    ):
        raise RuntimeError(
            f"size {{{list(wanted)}}} is not expandable to size {{{list(self._shape)}}}."
        )
    dims = tuple(range(lead)) + tuple(
        lead + d for d, size in enumerate(wanted) if size == 1 and self._shape[lead + d] != 1
    )
    return self.sum(dims).reshape(wanted) if dims else self
