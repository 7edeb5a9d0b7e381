"""Views of parts: positions, slices, pieces, diagonals and windows of dimensions."""

from __future__ import annotations

from typing import Any

from fakel.autograd.tape import retitled
from fakel.ops.declare import method, operator, wrap_dim
from fakel.ops.embed import embed_diagonal, embed_slice, fold_windows
from fakel.ops.viewing import made_together, make_view
from fakel.ops.views import as_index
from fakel.tensor import Tensor


@operator(out=False)
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice at one position of a dimension, without that dimension.

    Raises:
        IndexError: when the position is out of range, or the tensor has no dimension.
    """
    if not input.ndim:
        raise IndexError("select() cannot be applied to a 0-dim tensor.")
    dim = wrap_dim(dim, input.ndim)
    shape, strides = tuple(input._shape), input.stride()
    index = as_index(index)
    if not -shape[dim] <= index < shape[dim]:
        raise IndexError(
            f"select(): index {index} out of range for tensor of size {list(shape)} at dimension "
            f"{dim}"
        )
    index %= shape[dim]
    return make_view(
        input,
        shape[:dim] + shape[dim + 1 :],
        strides[:dim] + strides[dim + 1 :],
        input._offset + index * strides[dim],
        "SelectBackward0",
        lambda grad: embed_slice(grad.unsqueeze(dim), shape=shape, dim=dim, start=index, step=1),
        lambda other: other.select(dim, index),
    )


def slice_view(
    input: Tensor,
    dim: int,
    start: int | None = None,
    end: int | None = None,
    step: int = 1,
) -> Tensor:
    """Every ``step``-th position of a dimension from ``start`` to ``end``, as Python slices."""
    dim = wrap_dim(dim, input.ndim)
    shape, strides = tuple(input._shape), input.stride()
    if step <= 0:
        raise ValueError("step must be greater than zero" if step else "slice step cannot be zero")
    first, last, _ = slice(start, end).indices(shape[dim])
    length = max(0, -(-(last - first) // step))
    new_shape = (*shape[:dim], length, *shape[dim + 1 :])
    return make_view(
        input,
        new_shape,
        (*strides[:dim], strides[dim] * step, *strides[dim + 1 :]),
        input._offset + first * strides[dim],
        "SliceBackward0",
        lambda grad: embed_slice(grad, shape=shape, dim=dim, start=first, step=step),
        lambda other: slice_view(other, dim, first, last, step),
    )


@operator(out=False)
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """``length`` positions of a dimension from ``start`` on.

    Raises:
        RuntimeError: when they are not within the dimension.
    """
    if not input.ndim:
        raise RuntimeError("narrow() cannot be applied to a 0-dim tensor.")
    if length < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    size = input._shape[wrap_dim(dim, input.ndim)]
    start = int(start)
    if not -size <= start <= size:
        raise IndexError(
            f"start out of range (expected to be in range of [{-size}, {size}], but got {start})"
        )
    start = start + size if start < 0 else start
    if start + length > size:
        raise RuntimeError(f"start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return slice_view(input, dim, start, start + length)


@operator(out=False, backward_name="UnbindBackward0")
def unbind(input: Tensor, dim: int = 0) -> tuple[Tensor, ...]:
    """The slices along a dimension, without it."""
    if not input.ndim:
        raise IndexError("Dimension specified as 0 but tensor has no dimensions")
    dim = wrap_dim(dim, input.ndim)
    return made_together(
        tuple(input.select(dim, index) for index in range(input._shape[dim])), "Unbind"
    )


@operator(out=False)
def split(tensor: Tensor, split_size_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along a dimension, of one size (the last may be smaller) or of given sizes."""
    dim = wrap_dim(dim, tensor.ndim)
    if not tensor.ndim:
        raise RuntimeError("split expects at least a 1-dimensional tensor")
    size = tensor._shape[dim]
    if isinstance(split_size_or_sections, (tuple, list)):
        sections = [int(section) for section in split_size_or_sections]
        if sum(sections) != size or any(section < 0 for section in sections):
            raise RuntimeError(
                f"split_with_sizes expects split_sizes to sum exactly to {size} (input tensor's "
                "size at "
                f"dimension {dim}), but got split_sizes={sections}"
            )
    else:
        each = as_index(split_size_or_sections)
        if each < 0:
            raise RuntimeError(
                f"split expects split_size be non-negative, but got split_size={each}"
            )
        if not each and size:
            raise RuntimeError(
                f"split_size can only be 0 if dimension size is 0, but got dimension size of {size}"
            )
        count = max(-(-size // each), 1) if each else 1
        sections = [each] * (count - 1) + [size - each * (count - 1)]
    pieces, start = [], 0
    for section in sections:
        pieces.append(slice_view(tensor, dim, start, start + section))
        start += section
    maker = "SplitWithSizes" if isinstance(split_size_or_sections, (tuple, list)) else "Split"
    return made_together(retitled(tuple(pieces), maker + "Backward0"), maker)


@operator(out=False, backward_name="SplitWithSizesBackward0")
def split_with_sizes(input: Tensor, split_sizes: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces of the given sizes along a dimension."""
    return tuple(input.split(list(split_sizes), dim))


@operator(out=False, backward_name="UnsafeSplitBackward0")
def unsafe_split(tensor: Tensor, split_size: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """``split`` whose pieces may be written in place."""
    return _free(split(tensor, split_size, dim))


@operator(out=False, backward_name="UnsafeSplitBackward0")
def unsafe_chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """``chunk`` whose pieces may be written in place."""
    return _free(chunk(input, chunks, dim))


def _free(views: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    for view in views:
        view._origin = None
    return views


@operator(out=False)
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` pieces of equal size along a dimension; the last may be smaller."""
    if not input.ndim:
        raise RuntimeError("chunk expects at least a 1-dimensional tensor")
    if chunks <= 0:
        raise RuntimeError(f"chunk expects `chunks` to be greater than 0, got: {chunks}")
    size = input._shape[wrap_dim(dim, input.ndim)]
    if not size:
        return tuple(input.split([0] * chunks, dim))
    return tuple(input.split(-(-size // chunks), dim))


@operator(out=False)
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Pieces along a dimension: a number of nearly equal ones, or cut at the given positions."""
    if not input.ndim:
        raise RuntimeError(
            "tensor_split expected at least a 1-dimensional tensor, but got a tensor with 0 dims"
        )
    dim = wrap_dim(dim, input.ndim)
    size = input._shape[dim]
    if isinstance(indices_or_sections, Tensor):
        indices_or_sections = indices_or_sections.tolist()
    if isinstance(indices_or_sections, (tuple, list)):
        cuts = [int(cut) for cut in indices_or_sections]
    else:
        count = int(indices_or_sections)
        if count <= 0:
            raise RuntimeError(f"number of sections must be larger than 0, got {count}")
        small, larger = divmod(size, count)
        cuts = [small * i + min(i, larger) for i in range(1, count)]
    bounds = [0, *cuts, size]
    return tuple(slice_view(input, dim, a, b) for a, b in zip(bounds[:-1], bounds[1:], strict=True))


def _split_at(name: str, least: int, dim_of: Any) -> None:
    def declared(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        if input.ndim < least:
            raise RuntimeError(
                f"torch.{name} requires a tensor with at least {least} dimension"
                f"{'s' if least > 1 else ''}, but got a tensor with {input.ndim} dimensions!"
            )
        dim = dim_of(input)
        if isinstance(indices_or_sections, int):
            size = input._shape[dim]
            if indices_or_sections <= 0 or size % indices_or_sections:
                raise RuntimeError(
                    f"torch.{name} attempted to split along dimension {dim}, but the size of the "
                    f"dimension {size} is not divisible by the split_size {indices_or_sections}!"
                )
        return tuple(tensor_split(input, indices_or_sections, dim))

    declared.__name__ = name
    declared.__doc__ = "Pieces along one dimension, as ``tensor_split`` makes them."
    operator(out=False)(declared)


_split_at("hsplit", 1, lambda input: 0 if input.ndim == 1 else 1)
_split_at("vsplit", 2, lambda input: 0)
_split_at("dsplit", 3, lambda input: 2)


@operator(out=False)
def diagonal(input: Tensor, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Tensor:
    """The diagonal of two dimensions, as the last dimension of a view.

    Args:
        offset: 0 for the main diagonal, positive above it, negative below.
    """
    ndim = input.ndim
    dim1, dim2 = wrap_dim(dim1, ndim), wrap_dim(dim2, ndim)
    if dim1 == dim2:
        raise RuntimeError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    shape, strides = tuple(input._shape), input.stride()
    rows, columns = shape[dim1], shape[dim2]
    length = max(0, min(rows, columns - offset) if offset >= 0 else min(rows + offset, columns))
    start = (offset * strides[dim2] if offset >= 0 else -offset * strides[dim1]) if length else 0
    kept = [d for d in range(ndim) if d not in (dim1, dim2)]

    def pullback(grad: Tensor) -> Tensor:
        return embed_diagonal(grad, shape=shape, offset=offset, dim1=dim1, dim2=dim2)

    return make_view(
        input,
        (*(shape[d] for d in kept), length),
        (*(strides[d] for d in kept), strides[dim1] + strides[dim2]),
        input._offset + start,
        "DiagonalBackward0",
        pullback,
        lambda other: other.diagonal(offset, dim1, dim2),
    )


@method
def unfold(self: Tensor, dimension: int, size: int, step: int) -> Tensor:
    """All windows of ``size`` elements along a dimension, ``step`` apart, in a new dimension."""
    dim = wrap_dim(dimension, self.ndim)
    shape, strides = tuple(self._shape), self.stride()
    length, stride = (shape[dim], strides[dim]) if shape else (1, 1)
    if size < 0 or size > length:
        raise RuntimeError(
            f"maximum size for tensor at dimension {dim} is {length} but size is {size}"
        )
    if step <= 0:
        raise RuntimeError(f"step is {step} but must be > 0")
    count = (length - size) // step + 1

    def pullback(grad: Tensor) -> Tensor:
        return fold_windows(grad, shape=shape, dim=dim, size=size, step=step)

    new_shape = (*shape[:dim], count, *shape[dim + 1 :], size) if shape else (size,)
    new_strides = (*strides[:dim], stride * step, *strides[dim + 1 :], stride) if shape else (1,)
    return make_view(
        self,
        new_shape,
        new_strides,
        self._offset,
        "UnfoldBackward0",
        pullback,
        lambda other: other.unfold(dim, size, step),
    )
