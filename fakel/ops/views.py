"""Views: operators whose result shares the input's memory."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

from fakel.autograd.tape import retitled
from fakel.ops.declare import method, operator, wrap_dim
from fakel.ops.embed import unstride
from fakel.ops.inplace import check_history
from fakel.ops.reinterpret import view_dtype
from fakel.ops.viewing import make_view
from fakel.tensor import Size, Tensor
from fakel.tensor.size import contiguous_strides, span_of, strides_for_view


def sizes(arguments: tuple[Any, ...]) -> tuple[int, ...]:
    """Sizes given as ``f(2, 3)``, ``f((2, 3))`` or ``f(torch.Size([2, 3]))``, as a tuple."""
    if len(arguments) == 1 and isinstance(arguments[0], (tuple, list)):
        arguments = tuple(arguments[0])
    return tuple(size if type(size) is int else as_index(size) for size in arguments)


def as_index(size: Any) -> int:
    """A size or position as an int; everything with ``__index__`` will do."""
    try:
        return int(size.__index__())
    except (AttributeError, TypeError):
        raise TypeError(
            f"'{type(size).__name__}' object cannot be interpreted as an integer"
        ) from None


def infer_size(shape: Sequence[int], numel: int) -> tuple[int, ...]:
    """The shape with its -1, if any, replaced by what makes ``numel`` elements.

    Raises:
        RuntimeError: when no size fits.
    """
    product, unknown = 1, None
    for dim, size in enumerate(shape):
        if size == -1:
            if unknown is not None:
                raise RuntimeError("only one dimension can be inferred")
            unknown = dim
        elif size < 0:
            raise RuntimeError(
                f"invalid shape dimension {size} at index {dim} of shape {list(shape)}"
            )
        else:
            product *= size
    if unknown is None:
        if product != numel:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
        return tuple(shape)
    if product == 0:
        if numel:
            raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
        raise RuntimeError(
            f"cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified "
            "dimension size -1 can be any value and is ambiguous"
        )
    if numel % product:
        raise RuntimeError(f"shape '{list(shape)}' is invalid for input of size {numel}")
    return (*shape[:unknown], numel // product, *shape[unknown + 1 :])


def try_view(input: Tensor, shape: tuple[int, ...], title: str = "ViewBackward0") -> Tensor | None:
    """The tensor in another shape (without -1), None where that needs a copy."""
    strides = input._strides
    if strides is None:
        found: tuple[int, ...] | None = contiguous_strides(shape)
    else:
        found = strides_for_view(input._shape, strides, shape)
    if found is None:
        return None
    before = tuple(input._shape)
    return make_view(
        input,
        shape,
        found,
        input._offset,
        title,
        lambda grad: grad.reshape(before),
        lambda other: other.view(shape),
    )


@method(recall=True)
def view(self: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape, without copying; or, given a dtype, the same bytes as
    elements of that dtype.

    Args:
        shape: sizes; one may be -1 and is inferred.

    Raises:
        RuntimeError: when the memory does not allow it; ``reshape`` then copies.
    """
    if (
        len(shape) == 1
        and not isinstance(shape[0], (int, tuple, list))
        and hasattr(shape[0], "itemsize")
    ):
        return view_dtype(self, shape[0])
    wanted = infer_size(sizes(shape), self._shape.numel())
    result = try_view(self, wanted)
    if result is None:
        raise RuntimeError(
            "view size is not compatible with input tensor's size and stride (at least one "
            "dimension "
            "spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    return result


@method
def view_as(self: Tensor, other: Tensor) -> Tensor:
    """``self.view(other.shape)``."""
    return self.view(other._shape)


@operator(out=False)
def reshape(input: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape; a view where the memory allows it, else a copy.

    Args:
        shape: sizes; one may be -1 and is inferred.
    """
    wanted = infer_size(sizes(shape), input._shape.numel())
    result = try_view(input, wanted)
    if result is None:
        result = try_view(input.contiguous(), wanted, "UnsafeViewBackward0")
        assert result is not None
    return result


@method
def reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """``self.reshape(other.shape)``."""
    return self.reshape(other._shape)


@operator(out=False)
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions from ``start_dim`` to ``end_dim`` made one.

    Raises:
        RuntimeError: when ``start_dim`` comes after ``end_dim``.
    """
    start, end = wrap_dim(start_dim, input.ndim), wrap_dim(end_dim, input.ndim)
    if start > end:
        raise RuntimeError("flatten() has invalid args: start_dim cannot come after end_dim")
    if not input.ndim:
        return input.reshape(1)
    if start == end:
        return input
    shape = input._shape
    return input.reshape((*shape[:start], Size(shape[start : end + 1]).numel(), *shape[end + 1 :]))


@operator(out=False)
def ravel(input: Tensor) -> Tensor:
    """All elements in one dimension."""
    return input.contiguous().view(-1)


@operator(out=False)
def unflatten(input: Tensor, dim: int, sizes: Any) -> Tensor:
    """One dimension made several.

    Args:
        dim: which.
        sizes: of the new ones; one may be -1.
    """
    dim = wrap_dim(dim, input.ndim)
    new = tuple(int(size) for size in sizes)
    if not new:
        raise RuntimeError("unflatten: sizes must be non-empty")
    try:
        inner = infer_size(new, input._shape[dim])
    except RuntimeError as error:
        if new.count(-1) > 1:
            raise RuntimeError(f"unflatten got an unexpected error:\n{error}") from None
        raise RuntimeError(
            f"unflatten: Provided sizes {list(new)} don't multiply up to the size of dim {dim} "
            f"({input._shape[dim]}) in the input tensor"
        ) from None
    return input.view((*input._shape[:dim], *inner, *input._shape[dim + 1 :]))


@operator(out=False)
def permute(input: Tensor, *dims: Any) -> Tensor:
    """The dimensions in another order.

    Args:
        dims: for each dimension of the result, which one of the input it is.
    """
    order = sizes(dims)
    ndim = input.ndim
    if len(order) != ndim:
        raise RuntimeError(
            "permute(sparse_coo): number of dimensions in the tensor input does not match the "
            "length of "
            f"the desired ordering of dimensions i.e. input.dim() = {ndim} is not equal to "
            "len(dims) = "
            f"{len(order)}"
        )
    order = tuple(wrap_dim(dim, ndim) for dim in order)
    if len(set(order)) != ndim:
        raise RuntimeError("permute(): duplicate dims are not allowed.")
    strides = input.stride()
    inverse = tuple(order.index(dim) for dim in range(ndim))
    return make_view(
        input,
        tuple(input._shape[dim] for dim in order),
        tuple(strides[dim] for dim in order),
        input._offset,
        "PermuteBackward0",
        lambda grad: grad.permute(inverse),
        lambda other: other.permute(order),
    )


@operator(out=False, aliases=("swapaxes", "swapdims"))
def transpose(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Two dimensions exchanged."""
    return _transpose(input, dim0, dim1, "TransposeBackward0")


def _transpose(input: Tensor, dim0: int, dim1: int, title: str) -> Tensor:
    ndim = input.ndim
    dim0, dim1 = wrap_dim(dim0, ndim), wrap_dim(dim1, ndim)
    shape, strides = list(input._shape), list(input.stride())
    if ndim:
        shape[dim0], shape[dim1] = shape[dim1], shape[dim0]
        strides[dim0], strides[dim1] = strides[dim1], strides[dim0]
    return make_view(
        input,
        tuple(shape),
        tuple(strides),
        input._offset,
        title,
        lambda grad: grad.transpose(dim0, dim1),
        lambda other: other.transpose(dim0, dim1),
    )


@operator(out=False)
def t(input: Tensor) -> Tensor:
    """A matrix transposed; a vector or zero-dimensional tensor as it is.

    Raises:
        RuntimeError: for more than two dimensions.
    """
    shape = input._shape
    if len(shape) == 2:
        columns, rows = shape
        step, next_step = input.stride()
        return make_view(
            input, (rows, columns), (next_step, step), input._offset, "TBackward0", _t, _t
        )
    if input.ndim > 2:
        raise RuntimeError(f"t() expects a tensor with <= 2 dimensions, but self is {input.ndim}D")
    return _transpose(input, 0, -1 if input.ndim < 2 else 1, "TBackward0")


def _t(matrix: Tensor) -> Tensor:
    return matrix.t()  # type: ignore[attr-defined, no-any-return]


def _property_t(self: Tensor) -> Tensor:
    if self.ndim != 2:
        _warn_of_transposing("T", self.ndim)
    return (
        _transpose(self, 0, 1, "PermuteBackward0")
        if self.ndim == 2
        else self.permute(*range(self.ndim)[::-1])
    )


def _property_mt(self: Tensor) -> Tensor:
    if not self.ndim:
        _warn_of_transposing("mT", 0)
        return self
    if self.ndim < 2:
        raise RuntimeError(
            f"tensor.mT is only supported on matrices or batches of matrices. Got {self.ndim}-D "
            "tensor."
        )
    return self.transpose(-2, -1)


def _property_h(self: Tensor) -> Tensor:
    if self.ndim not in (0, 2):
        more = " For batches of matrices, consider using tensor.mH" if self.ndim > 2 else ""
        raise RuntimeError(
            f"tensor.H is only supported on matrices (2-D tensors). Got {self.ndim}-D tensor.{more}"
        )
    if not self.ndim:
        _warn_of_transposing("H", 0)
    return self.transpose(0, 1).conj() if self.ndim else self.conj()


def _property_mh(self: Tensor) -> Tensor:
    if self.ndim == 1:
        raise RuntimeError(
            "tensor.mH is only supported on matrices or batches of matrices. Got 1-D tensor."
        )
    return adjoint(self)


def _warn_of_transposing(name: str, ndim: int) -> None:
    text = (
        f"Tensor.{name} is deprecated on 0-D tensors. This function is the identity in these cases."
    )
    if ndim:
        text = (
            "The use of `x.T` on tensors of dimension other than 2 to reverse their shape is "
            "deprecated and it will throw an error in a future release. Consider `x.mT` to "
            "transpose batches of matrices or `x.permute(*torch.arange(x.ndim - 1, -1, -1))` to "
            "reverse the dimensions of a tensor."
        )
    warnings.warn(text, stacklevel=3)


@operator(out=False)
def adjoint(input: Tensor) -> Tensor:
    """The conjugate of a batch of matrices with its last two dimensions exchanged."""
    if input.ndim == 1:
        raise RuntimeError(
            "adjoint() is only supported on matrices or batches of matrices. Got 1-D tensor."
        )
    return input.transpose(-2, -1).conj()


Tensor.T = property(_property_t)  # type: ignore[attr-defined]
Tensor.mT = property(_property_mt)  # type: ignore[attr-defined]
Tensor.H = property(_property_h)  # type: ignore[attr-defined]
Tensor.mH = property(_property_mh)  # type: ignore[attr-defined]


def _moved(input: Tensor, source: Any, destination: Any) -> Tensor:
    ndim = input.ndim
    sources = [
        wrap_dim(d, ndim) for d in (source if isinstance(source, (tuple, list)) else (source,))
    ]
    targets = [
        wrap_dim(d, ndim)
        for d in (destination if isinstance(destination, (tuple, list)) else (destination,))
    ]
    if len(sources) != len(targets):
        raise RuntimeError(
            f"movedim: Invalid source or destination dims: source ({list(source)} dims) should "
            "contain "
            f"the same number of dims as destination ({list(destination)} dims)"
        )
    for name, dims in (("source", sources), ("destination", targets)):
        if len(set(dims)) != len(dims):
            raise RuntimeError(f"movedim: repeated dim in `{name}` ({dims})")
    if not ndim:
        return input.permute(())
    rest = iter(dim for dim in range(ndim) if dim not in sources)
    placed = dict(zip(targets, sources, strict=True))
    return input.permute(tuple(placed[dim] if dim in placed else next(rest) for dim in range(ndim)))


@operator(out=False, aliases=("moveaxis",))
def movedim(input: Tensor, source: Any, destination: Any) -> Tensor:
    """Dimensions moved to other places; the rest keep their order."""
    return _moved(input, source, destination)


@operator(out=False)
def unsqueeze(input: Tensor, dim: int) -> Tensor:
    """A dimension of size 1 put in before ``dim``."""
    dim = wrap_dim(dim, input.ndim + 1)
    shape, strides = tuple(input._shape), input.stride()
    step = strides[dim] * shape[dim] if dim < len(shape) else 1
    return make_view(
        input,
        (*shape[:dim], 1, *shape[dim:]),
        (*strides[:dim], step, *strides[dim:]),
        input._offset,
        "UnsqueezeBackward0",
        lambda grad: grad.squeeze(dim),
        lambda other: other.unsqueeze(dim),
    )


@operator(out=False)
def squeeze(input: Tensor, dim: Any = None) -> Tensor:
    """Dimensions of size 1 taken out: all of them, or those named that have size 1."""
    shape = tuple(input._shape)
    if dim is None:
        gone = {d for d, size in enumerate(shape) if size == 1}
    else:
        named = dim if isinstance(dim, (tuple, list)) else (dim,)
        gone = {
            d for d in (wrap_dim(each, len(shape)) for each in named) if shape and shape[d] == 1
        }
    strides = input.stride()
    kept = [d for d in range(len(shape)) if d not in gone]
    return make_view(
        input,
        tuple(shape[d] for d in kept),
        tuple(strides[d] for d in kept),
        input._offset,
        f"SqueezeBackward{0 if dim is None else 2 if isinstance(dim, tuple) else 1}",
        lambda grad: grad.reshape(shape),
        lambda other: other.squeeze(tuple(gone)) if gone else other.view(shape),
    )


@method(recall=True)
def expand(self: Tensor, *shape: Any, implicit: bool = False) -> Tensor:
    """Dimensions of size 1 shown as larger ones, and new ones in front, without copying.

    Args:
        shape: the sizes wanted; -1 keeps a size.
    """
    wanted = list(sizes(shape))
    before, strides = tuple(self._shape), self.stride()
    extra = len(wanted) - len(before)
    if extra < 0:
        raise RuntimeError(
            f"expand(torch.{self.dtype.letter}Tensor{{{list(before)}}}, size={wanted}): the "
            "number of sizes "
            f"provided ({len(wanted)}) must be greater or equal to the number of dimensions in "
            "the tensor "
            f"({len(before)})"
        )
    steps = [0] * len(wanted)
    for dim, size in enumerate(wanted):
        old = before[dim - extra] if dim >= extra else 1
        if size == -1:
            if dim < extra:
                raise RuntimeError(
                    "The expanded size of the tensor (-1) isn't allowed in a leading, "
                    "non-existing "
                    f"dimension {dim}"
                )
            wanted[dim] = size = old
        if size < 0:
            raise RuntimeError(
                f"The expanded size of the tensor ({size}) isn't allowed in a leading dimension"
            )
        if size != old and old != 1:
            raise RuntimeError(
                f"The expanded size of the tensor ({size}) must match the existing size ({old}) at "
                f"non-singleton dimension {dim}.  Target sizes: {list(wanted)}.  Tensor sizes: "
                f"{list(before)}"
            )
        if dim >= extra and size == old:
            steps[dim] = strides[dim - extra]
    target = tuple(wanted)
    return make_view(
        self,
        target,
        tuple(steps),
        self._offset,
        "ExpandBackward0",
        lambda grad: grad.sum_to_size(before),
        lambda other: other.expand(target),
    )


@method
def expand_as(self: Tensor, other: Tensor) -> Tensor:
    """``self.expand(other.shape)``."""
    return self.expand(other._shape)


@operator(out=False)
def broadcast_to(input: Tensor, *size: Any) -> Tensor:
    """``input.expand(size)``."""
    return input.expand(*size)


@operator(out=False)
def as_strided(input: Tensor, size: Any, stride: Any, storage_offset: int | None = None) -> Tensor:
    """The storage of ``input`` seen with any shape, strides and offset within it.

    Raises:
        RuntimeError: when it would reach beyond the storage.
    """
    shape, strides = tuple(map(int, size)), tuple(map(int, stride))
    offset = input._offset if storage_offset is None else int(storage_offset)
    if len(shape) != len(strides):
        raise RuntimeError("mismatch in length of strides and shape")
    if any(step < 0 for step in strides):
        raise RuntimeError(
            "as_strided: Negative strides are not supported at the moment, got strides: "
            f"{list(strides)}"
        )
    span = span_of(shape, strides)
    length = input._storage.length
    if span and offset + span > length:
        itemsize = input.itemsize
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset}, "
            "and "
            f"itemsize {itemsize} requiring a storage size of {(offset + span) * itemsize} are "
            "out of bounds "
            f"for storage of size {length * itemsize}"
        )

    before, before_strides, before_offset = tuple(input._shape), input.stride(), input._offset

    def pullback(grad: Tensor) -> Tensor:
        whole = unstride(grad, shape=(length,), length=length, strides=strides, offset=offset)
        return whole.as_strided(before, before_strides, before_offset)

    return make_view(
        input,
        shape,
        strides,
        offset,
        "AsStridedBackward0",
        pullback,
        lambda other: other.as_strided(shape, strides, offset),
    )


@operator(out=False, method=True)
def detach(input: Tensor) -> Tensor:
    """The same memory outside of the autograd graph."""
    return input._alias()


@method
def detach_(self: Tensor) -> Tensor:
    """Takes this tensor out of the autograd graph.

    Raises:
        RuntimeError: for a view, whose base would keep its history.
    """
    if self._base is not None and self._base.requires_grad:
        raise RuntimeError(
            "Can't detach views in-place. Use detach() instead. If you are using "
            "DistributedDataParallel "
            "(DDP) for training, and gradient_as_bucket_view is set as True, gradients are views "
            "of DDP "
            "buckets, and hence detach_() cannot be called on these gradients. To fix this error, "
            "please "
            "refer to the Optimizer.zero_grad() function in torch/optim/optimizer.py as the "
            "solution."
        )
    self._grad_fn = None
    self._requires_grad = False
    self._output_index = 0
    self._stamp = None
    return self


def _in_place_view(name: str) -> None:
    def in_place(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        check_history(self)
        view = getattr(self, name)(*args, **kwargs)
        history = view._backward_node()
        if history is not None:
            # PyTorch numbers the in-place forms behind the others
            title, number = history.name()[:-1], int(history.name()[-1])
            retitled(view, f"{title}{number + (3 if name == 'squeeze' else 1)}")
        node, index = view._grad_fn, view._output_index
        self._take(view)
        self._grad_fn, self._output_index = node, index
        if view._base is not None and view._base is not self:
            self._replay = view._replay
        self._storage.version += 1
        return self

    in_place.__name__ = name + "_"
    in_place.__doc__ = f"In-place form of ``{name}``: changes this tensor's own shape."
    setattr(Tensor, name + "_", in_place)


for _name in ("squeeze", "unsqueeze", "transpose", "t", "swapaxes", "swapdims", "as_strided"):
    _in_place_view(_name)
