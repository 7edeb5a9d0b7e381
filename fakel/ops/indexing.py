"""``x[...]`` and ``x[...] = y``: integers, slices, None, Ellipsis, index tensors, masks, mixed."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from operator import index as to_index
from typing import Any

import numpy as np

from fakel.ops.checks import check_known
from fakel.ops.conversion import cast
from fakel.ops.declare import broadcast_shapes, gradient, method, operator, primitive, scalar
from fakel.ops.inplace import write_in_place
from fakel.ops.slicing import slice_view
from fakel.tensor import Tensor, dtypes

_INVALID = (
    "only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid "
    "indices "
    "(got {})"
)


_ZERO_DIM = (
    "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` in "
    "C++ to "
    "convert a 0-dim tensor to a number"
)


_NOT_A_TUPLE = (
    "Using a non-tuple sequence for multidimensional indexing is deprecated and will be changed "
    "in pytorch 2.9; use x[tuple(seq)] instead of x[seq]. In pytorch 2.9 this will be interpreted "
    "as tensor index, x[torch.tensor(seq)], which will result either in an error or a different "
    "result"
)


def _place(arrays: tuple[np.ndarray, ...], dims: tuple[int, ...], ndim: int) -> tuple[Any, ...]:
    """A NumPy index that applies the arrays to the given dimensions."""
    index: list[Any] = [slice(None)] * ndim
    for dim, array in zip(dims, arrays, strict=True):
        index[dim] = array
    return tuple(index)


def check_range(array: np.ndarray, size: int, position: int) -> None:
    """Refuses index values outside of a dimension, which the message counts among indexed ones.

    Raises:
        IndexError: as PyTorch words it.
    """
    if not array.size:
        return
    lowest, highest = int(array.min()), int(array.max())
    wrong = lowest if lowest < -size else highest if highest >= size else None
    if wrong is not None:
        raise IndexError(
            f"index {wrong} is out of bounds for dimension {position} with size {size}"
        )


def check_flat(array: np.ndarray, count: int) -> None:
    """Refuses positions outside of a flattened tensor.

    Raises:
        IndexError: as PyTorch words it.
    """
    wrong = array[(array < -count) | (array >= count)]
    if wrong.size:
        raise IndexError(
            f"out of range: tried to access index {wrong[0]} on a tensor of {count} elements."
        )


def _check(
    input: np.ndarray,
    indices: tuple[np.ndarray, ...],
    dims: tuple[int, ...],
    asked_by: str | None,
) -> None:
    """Refuses wrong indices in the words of the operator that was called."""
    for position, (dim, array) in enumerate(zip(dims, indices, strict=True)):
        if asked_by == "take":
            check_flat(array, input.shape[dim])
        else:
            check_range(array, input.shape[dim], dim if asked_by == "index_fill" else position)


@primitive("index")
def _index(input, *indices, dims, asked_by=None):
    _check(input, indices, dims, asked_by)
    return np.array(input[_place(indices, dims, input.ndim)])


@primitive("index_put")
def _index_put(input, values, *indices, dims, accumulate, asked_by=None):
    _check(input, indices, dims, asked_by)
    result = input.copy()
    place = _place(indices, dims, input.ndim)
    if accumulate:
        if input.dtype == np.bool_:
            np.logical_or.at(result, place, values)
        else:
            np.add.at(result, place, values)
    else:
        result[place] = values
    return result


def _index_gradient(
    grad: Tensor, input: Tensor, indices: tuple[Tensor, ...], dims: tuple[int, ...]
) -> Any:
    zeros = Tensor._zeros(input._shape, grad.dtype)
    return (_index_put(zeros, grad, *indices, dims=dims, accumulate=True), *(None,) * len(indices))


gradient(_index, joint=_index_gradient)


def _put_gradient(grad: Tensor, indices: tuple[Tensor, ...], dims: Any, accumulate: bool) -> Any:
    kept = grad
    if not accumulate:
        kept = _index_put(grad, scalar(0, grad.dtype), *indices, dims=dims, accumulate=False)
    return (kept, index_with(grad, indices, dims), *(None,) * len(indices))


gradient(_index_put, joint=_put_gradient)


def take_flat(input: Tensor, index: Tensor) -> Tensor:
    """The elements of a tensor of one dimension at positions of one dimension."""
    return _index(input, index, dims=(0,), asked_by="take", shape=index._shape)


def put_flat(input: Tensor, index: Tensor, source: Tensor, accumulate: bool) -> Tensor:
    """A copy of a tensor of one dimension, with elements written or added at positions."""
    return _index_put(input, source, index, dims=(0,), accumulate=accumulate, asked_by="take")


def fill_along(input: Tensor, dim: int, index: Tensor, value: Tensor) -> Tensor:
    """A copy of a tensor with a number written at positions of a dimension."""
    return _index_put(input, value, index, dims=(dim,), accumulate=False, asked_by="index_fill")


def index_with(input: Tensor, indices: tuple[Tensor, ...], dims: tuple[int, ...]) -> Tensor:
    """The elements at index tensors, which belong to the given dimensions."""
    _check_known(input, indices, dims)
    return _index(input, *indices, dims=dims, shape=_indexed_shape(input, indices, dims))


def _check_known(input: Tensor, indices: tuple[Tensor, ...], dims: tuple[int, ...]) -> None:
    """Checks indices that are computed already, so that mistakes raise at the user's line."""
    for position, (tensor, dim) in enumerate(zip(indices, dims, strict=True)):
        check_known(
            tensor,
            lambda array, size=input._shape[dim], position=position: check_range(
                array, size, position
            ),
        )


def _indexed_shape(
    input: Tensor, indices: tuple[Tensor, ...], dims: tuple[int, ...]
) -> tuple[int, ...]:
    try:
        common = broadcast_shapes(*(t._shape for t in indices))
    except RuntimeError:
        shapes = ", ".join(str(list(t._shape)) for t in indices)
        raise IndexError(
            f"shape mismatch: indexing tensors could not be broadcast together with shapes {shapes}"
        ) from None
    shape = tuple(input._shape)
    adjacent = all(b - a == 1 for a, b in zip(dims[:-1], dims[1:], strict=True))
    rest = tuple(size for dim, size in enumerate(shape) if dim not in dims)
    first = dims[0] if adjacent else 0
    return (*rest[:first], *common, *rest[first:])


def _as_index(item: Any) -> Tensor:
    """A sequence, array or tensor as an index tensor."""
    if isinstance(item, Tensor):
        tensor = item
    else:
        array = np.asarray(
            [each.item() if isinstance(each, Tensor) else each for each in item]
            if isinstance(item, (list, tuple))
            else item
        )
        if array.dtype.kind == "f" or not array.size and not isinstance(item, np.ndarray):
            array = array.astype(np.int64)
        tensor = Tensor._from_array(array.copy())
    kind = tensor.dtype
    if kind.is_floating_point or kind.is_complex:
        raise IndexError("tensors used as indices must be long, int, byte or bool tensors")
    return tensor


def _expand_items(self: Tensor, key: Any) -> list[Any]:
    """The key as a list with an item for each dimension: Ellipsis becomes full slices."""
    items = list(key) if _stands_for_tuple(key) else [key]
    if not self.ndim and len(items) == 1 and hasattr(items[0], "__index__"):
        if not isinstance(items[0], (bool, Tensor, np.ndarray)):
            raise IndexError(_ZERO_DIM)
    used = 0
    for item in items:
        if item is None or item is Ellipsis or isinstance(item, bool):
            continue
        if isinstance(item, Tensor) and item.dtype in (dtypes.bool_, dtypes.uint8):
            used += item.ndim if item.dtype is dtypes.bool_ or item.ndim else 1
        elif isinstance(item, np.ndarray) and item.dtype == np.bool_:
            used += item.ndim
        elif isinstance(item, list) and _is_mask(item):
            used += np.ndim(item)
        else:
            used += 1
    if used > self.ndim:
        if not self.ndim and isinstance(items[0], slice):
            raise IndexError("slice() cannot be applied to a 0-dim tensor.")
        raise IndexError(f"too many indices for tensor of dimension {self.ndim}")
    full: list[Any] = []
    seen = False
    for item in items:
        if item is Ellipsis:
            full += [slice(None)] * (0 if seen else self.ndim - used)
            seen = True
        else:
            full.append(item)
    return full


def _stands_for_tuple(key: Any) -> bool:
    """Whether each item of a key is for a dimension of its own. That is so for short lists that
    hold more than numbers, as NumPy once had it.
    """
    if isinstance(key, tuple):
        return True
    if not isinstance(key, (list, str)) or len(key) >= 32:
        return False
    several = any(
        isinstance(item, (Tensor, np.ndarray, Sequence, slice)) or item is None or item is Ellipsis
        for item in key
    )
    if several:
        warnings.warn(_NOT_A_TUPLE, stacklevel=6)
    return several


def _is_mask(item: Any) -> bool:
    while isinstance(item, list) and item:
        item = item[0]
    return isinstance(item, (bool, np.bool_))


def _split(self: Tensor, key: Any) -> tuple[Tensor, list[tuple[int, Tensor]]]:
    """The view that integers, slices and None give, and the index tensors left for it."""
    view, dim = self, 0
    taken = 0  # how many dimensions integers took: messages count them too
    advanced: list[tuple[int, Tensor]] = []
    for item in _expand_items(self, key):
        if isinstance(item, (bool, np.bool_)):
            view = view.unsqueeze(dim)
            advanced.append((dim, Tensor._from_array(np.zeros(int(item), np.int64))))
            dim += 1
        elif item is None:
            view = view.unsqueeze(dim)
            dim += 1
        elif isinstance(item, slice):
            view = _sliced(view, dim, item)
            dim += 1
        elif isinstance(item, (Tensor, np.ndarray, list, tuple, range)):
            tensor = _as_index(list(item) if isinstance(item, range) else item)
            if tensor.dtype in (dtypes.bool_, dtypes.uint8):
                for position, shape in enumerate(tensor._shape):
                    if view._shape[dim + position] != shape:
                        raise IndexError(
                            f"The shape of the mask {list(tensor._shape)} at index {position} "
                            "does not match "
                            f"the shape of the indexed tensor {list(view._shape)} at index "
                            f"{dim + position}"
                        )
                if not tensor.ndim:
                    view = view.unsqueeze(dim)
                    advanced.append(
                        (dim, Tensor._from_array(np.zeros(int(bool(tensor)), np.int64)))
                    )
                    dim += 1
                    continue
                for positions in np.nonzero(tensor._values()):
                    advanced.append((dim, Tensor._from_array(positions)))
                    dim += 1
            elif not tensor.ndim and not isinstance(item, np.ndarray):
                view = _selected(view, dim, int(tensor.item()), taken)
                taken += 1
            else:
                advanced.append((dim, cast(tensor, dtypes.int64)))
                dim += 1
        elif hasattr(item, "__index__"):
            view = _selected(view, dim, item.__index__(), taken)
            taken += 1
        else:
            if isinstance(item, str):
                raise TypeError("new(): invalid data type 'str'")
            raise IndexError(_INVALID.format(type(item).__name__))
    return view, advanced


def _selected(view: Tensor, dim: int, index: int, taken: int = 0) -> Tensor:
    if not view.ndim:
        raise IndexError(
            "invalid index of a 0-dim tensor. Use `tensor.item()` in Python or `tensor.item<T>()` "
            "in C++ "
            "to convert a 0-dim tensor to a number"
        )
    size = view._shape[dim]
    if not -size <= index < size:
        raise IndexError(
            f"index {index} is out of bounds for dimension {dim + taken} with size {size}"
        )
    return view.select(dim, index)


def _sliced(view: Tensor, dim: int, item: slice) -> Tensor:
    if not view.ndim:
        raise IndexError("slice() cannot be applied to a 0-dim tensor.")
    start, stop, step = (
        None if bound is None else _bound(bound) for bound in (item.start, item.stop, item.step)
    )
    if start is None and stop is None and step in (None, 1):
        return view
    return slice_view(view, dim, start, stop, 1 if step is None else step)


def _bound(value: Any) -> int:
    try:
        return to_index(value)
    except TypeError:
        if isinstance(value, Tensor):
            raise
        raise TypeError(
            "slice indices must be integers or None or have an __index__ method"
        ) from None


@method(recall=True)
def __getitem__(self: Tensor, key: Any) -> Tensor:
    """The elements that ``key`` selects: a view for integers, slices, None and Ellipsis, a copy
    when index tensors or masks take part.
    """
    if type(key) is int and self._shape:
        return _selected(self, 0, key)
    view, advanced = _split(self, key)
    if not advanced:
        return alias_view(self) if view is self else view
    return index_with(view, tuple(t for _, t in advanced), tuple(d for d, _ in advanced))


def alias_view(self: Tensor) -> Tensor:
    """A view of everything."""
    return self.as_strided(self._shape, self.stride(), self._offset)


@method
def __delitem__(self: Tensor, key: Any) -> None:
    """Refused: a tensor has a fixed size."""
    raise TypeError("Tensor does not support deleting items")


@method
def __setitem__(self: Tensor, key: Any, value: Any) -> None:
    """Writes ``value`` (a number or a tensor that broadcasts) where ``key`` selects."""
    if isinstance(key, (Tensor, np.ndarray)) and not isinstance(value, (Tensor, np.ndarray, list)):
        mask = key if isinstance(key, Tensor) else Tensor._from_array(key.copy())
        if mask.dtype is dtypes.bool_ and mask._shape == self._shape:
            self.masked_fill_(mask, value)
            return
    view, advanced = _split(self, key)
    if not isinstance(value, Tensor):
        if not isinstance(value, (bool, int, float, complex, np.generic)):
            kind = "numpy." * isinstance(value, np.ndarray) + type(value).__name__
            raise TypeError(f"can't assign a {kind} to a {self.type()}")
        value = scalar(value, self.dtype)
    if not advanced:
        if view._shape != value._shape:
            value = _without_leading_ones(value, view.ndim)
        if value._shape != view._shape:
            value = value.expand(view._shape)
        view.copy_(value)
        return
    _put(view, value, tuple(t for _, t in advanced), tuple(d for d, _ in advanced), False)


def _without_leading_ones(value: Tensor, ndim: int) -> Tensor:
    while value.ndim > ndim and value._shape[0] == 1:
        value = value.squeeze(0)
    return value


def _put(
    view: Tensor, value: Tensor, indices: Any, dims: tuple[int, ...], accumulate: bool
) -> Tensor:
    _check_known(view, indices, dims)
    shape = _indexed_shape(view, indices, dims)
    value = _without_leading_ones(value, len(shape))
    try:
        fits = broadcast_shapes(value._shape, shape) == tuple(shape)
    except RuntimeError:
        fits = False
    if not fits:
        raise RuntimeError(
            f"shape mismatch: value tensor of shape {list(value._shape)} cannot be broadcast to "
            "indexing "
            f"result of shape {list(shape)}"
        )
    if value.ndim and value.dtype is not view.dtype:
        raise RuntimeError(_dtypes_differ(view, value))
    value = cast(value, view.dtype)
    return write_in_place(
        "index_put_",
        view,
        lambda old: _index_put(old, value, *indices, dims=dims, accumulate=accumulate),
        (),
        {},
    )


def _for_put(input: Tensor, indices: Any) -> tuple[tuple[Tensor, ...], tuple[int, ...]]:
    found: list[tuple[int, Tensor]] = []
    dim = 0
    for item in indices:
        if item is None:
            dim += 1
            continue
        tensor = _as_index(item)
        if tensor.dtype in (dtypes.bool_, dtypes.uint8):
            for positions in np.nonzero(tensor._values()):
                found.append((dim, Tensor._from_array(positions)))
                dim += 1
        else:
            found.append((dim, cast(tensor, dtypes.int64)))
            dim += 1
    if dim > input.ndim:
        raise IndexError(f"too many indices for tensor of dimension {input.ndim} (got {dim})")
    return tuple(t for _, t in found), tuple(d for d, _ in found)


def _dtypes_differ(destination: Tensor, source: Tensor) -> str:
    return (
        "Index put requires the source and destination dtypes match, got "
        f"{destination.dtype.letter} for the destination and {source.dtype.letter} for the source."
    )


@method
def index_put_(self: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """Writes ``values`` at index tensors, one for each of the first dimensions.

    Args:
        accumulate: add to what is there instead of replacing it.
    """
    if values.dtype is not self.dtype:
        raise RuntimeError(_dtypes_differ(self, values))
    tensors, dims = _for_put(self, indices)
    return _put(self, values, tensors, dims, accumulate)


@operator(out=False)
def index_put(input: Tensor, indices: Any, values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with ``values`` written (or added) at index tensors."""
    return input.clone().index_put_(indices, values, accumulate)
