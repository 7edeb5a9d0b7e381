"""Slices at positions of one dimension: ``index_select``, ``index_add``, …; flat positions."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fakel import ops
from fakel.ops.checks import BOOL, COMPLEX, check_fits, check_known, refuse
from fakel.ops.conversion import cast
from fakel.ops.declare import (
    as_tensor,
    broadcast_shapes,
    gradient,
    not_differentiable,
    operator,
    primitive,
    wrap_dim,
)
from fakel.ops.indexing import check_flat, check_range, fill_along, put_flat, take_flat
from fakel.ops.scatter import out_of_bounds, scatter_reduce_of
from fakel.tensor import Tensor, dtypes


@primitive("index_select")
def _index_select(input, index, *, dim):
    whole = np.atleast_1d(input)
    _check_select(index, whole.shape[dim])
    return np.take(whole, np.atleast_1d(index), axis=dim).reshape(
        input.shape[:dim] + (index.size,) + input.shape[dim + 1 :] if input.ndim else ()
    )


def _check_select(index: np.ndarray, size: int) -> None:
    if index.size and (index.min() < 0 or index.max() >= size):
        raise IndexError("index out of range in self")


@operator()
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices at the given positions of a dimension.

    Raises:
        IndexError: for a position out of range.
    """
    if index.ndim > 1:
        raise IndexError("index_select(): Index is supposed to be a vector")
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError("index_select(): Expected dtype int32 or int64 for index")
    dim = wrap_dim(dim, input.ndim)
    size = _size(input, dim)
    check_known(index, lambda array: _check_select(array, size))
    shape = (*input._shape[:dim], index.numel(), *input._shape[dim + 1 :]) if input.ndim else ()
    return _index_select(input, index, dim=dim, shape=shape)


gradient(
    _index_select,
    input=lambda grad, input, index, dim: Tensor._zeros(input._shape, grad.dtype).index_add(
        dim, index, grad
    ),
)


def _size(input: Tensor, dim: int) -> int:
    return input._shape[dim] if input.ndim else 1


def _check_add(index: np.ndarray, size: int, dim: int, ndim: int) -> None:
    if ndim > 1:
        out_of_bounds(index, size, dim)
    _check_select(index, size)


@primitive("index_add")
def _index_add(input, index, source, *, dim):
    result = np.atleast_1d(input).copy()
    _check_add(index, result.shape[dim], dim, input.ndim)
    place = (slice(None),) * dim + (np.atleast_1d(index),)
    values = np.atleast_1d(source)
    if result.dtype == np.bool_:
        np.logical_or.at(result, place, values)
    else:
        np.add.at(result, place, values)
    return result.reshape(input.shape)


gradient(
    _index_add,
    input=lambda grad: grad,
    source=lambda grad, index, source, dim: grad.index_select(dim, index).reshape(source._shape),
)


@primitive("index_copy")
def _index_copy(input, index, source, *, dim):
    result = np.atleast_1d(input).copy()
    out_of_bounds(index, result.shape[dim], dim, IndexError, "index_copy_(): ")
    result[(slice(None),) * dim + (np.atleast_1d(index),)] = np.atleast_1d(source)
    return result.reshape(input.shape)


gradient(
    _index_copy,
    input=lambda grad, index, dim: grad.index_fill(dim, index, 0),
    source=lambda grad, index, source, dim: grad.index_select(dim, index).reshape(source._shape),
)


def _check_added(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor) -> int:
    """The dimension counted from the front, of ``index_add`` and ``index_reduce``."""
    if index.ndim > 1:
        raise IndexError(
            f"{name}(): Index is supposed to be a vector, but got dim: {index.ndim} with type: "
            f"{index.dtype.letter} and size: {list(index._shape)}"
        )
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(
            f"{name}(): Expected dtype int32/int64 for index but got: {index.dtype.letter}"
        )
    dim = wrap_dim(dim, input.ndim)
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}(): self ({input.dtype.letter}) and source ({source.dtype.letter}) must have "
            "the same scalar type"
        )
    if source.ndim and index.numel() != source._shape[dim]:
        raise RuntimeError(
            f"{name}(): Number of indices ({index.numel()}) should be equal to source.size(dim): "
            f"({source._shape[dim]}), for dim: {dim}"
        )
    if input.ndim and (
        source.ndim != input.ndim or _without(source._shape, dim) != _without(input._shape, dim)
    ):
        raise RuntimeError(
            "source tensor shape must match self tensor shape, excluding the specified dimension. "
            f"Got self.shape = {list(input._shape)} source.shape = {list(source._shape)}"
        )
    return dim


def _without(shape: tuple[int, ...], dim: int) -> tuple[int, ...]:
    return (*shape[:dim], *shape[dim + 1 :])


def _check_copied(input: Tensor, dim: int, index: Tensor, source: Tensor) -> int:
    """The dimension counted from the front, of ``index_copy``."""
    dim = wrap_dim(dim, input.ndim)
    if index.ndim > 1:
        raise IndexError(f"index_copy_(): Index should have dimension 1 or 0 (got {index.ndim})")
    count = index.numel()
    if not source.ndim and count != 1:
        raise IndexError(
            f"index_copy_(): When source is scalar, index should have one element (got {count})"
        )
    if source.ndim and input.ndim and source.ndim != input.ndim:
        raise IndexError(
            "index_copy_(): When source and destination are not scalars, their dimensionality "
            f"must match. Source dimensionality ({source.ndim}), destination dimensionality "
            f"({input.ndim})"
        )
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            f"index_copy_(): Expected a long tensor for index, but got {index.dtype.letter}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "index_copy_(): self and source expected to have the same dtype, but got (self) "
            f"{input.dtype.letter} and (source) {source.dtype.letter}"
        )
    ours, theirs = _without(input._shape, dim), _without(source._shape, dim)
    if ours != theirs:
        raise RuntimeError(
            "index_copy_(): Source/destination tensor must have same slice shapes. Destination "
            f"slice shape: {' '.join(map(str, ours))} at dimension {dim} and source slice shape: "
            f"{' '.join(map(str, theirs))} at dimension 0."
        )
    if source.ndim and count != source._shape[dim]:
        raise IndexError(
            f"index_copy_(): Number of indices ({count}) should be equal to source.size(dim) "
            f"({source._shape[dim]})"
        )
    return dim


@operator(inplace=True)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """A copy with ``alpha`` times the slices of ``source`` added at positions of a dimension."""
    dim = _check_added("index_add_", input, dim, index, source)
    size, ndim = _size(input, dim), input.ndim
    check_known(index, lambda array: _check_add(array, size, dim, ndim))
    return _index_add(input, index, source if alpha == 1 else source * alpha, dim=dim)


@operator(inplace=True)
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy with the slices of ``source`` written at positions of a dimension."""
    dim = _check_copied(input, dim, index, source)
    size = _size(input, dim)
    check_known(index, lambda array: out_of_bounds(array, size, dim, IndexError, "index_copy_(): "))
    return _index_copy(input, index, source, dim=dim)


@operator(inplace=True, backward_name="IndexFillBackward0")
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy with a number written at positions of a dimension."""
    dim = wrap_dim(dim, input.ndim)
    if index.dtype is not dtypes.int64:
        raise IndexError("index_fill_(): Expected dtype int64 for index.")
    if index.ndim > 1:
        raise RuntimeError("Index has to be a vector/scalar")
    if isinstance(value, complex) and not input.is_complex():
        raise RuntimeError(
            "index_fill_(): Converting complex Scalar to non-complex type is not supported"
        )
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    size = _size(input, dim)
    check_known(index, lambda array: check_range(array, size, dim))
    check_fits(value, input.dtype)
    if isinstance(value, Tensor) and value.requires_grad:
        # what is written twice counts once in the number's gradient
        filled = Tensor._zeros(input._shape, dtypes.bool_).index_fill(dim, index, True)
        return ops.where(filled, as_tensor(value, input), input)
    whole = input if input.ndim else input.reshape(1)
    return fill_along(whole, dim, index, as_tensor(value, input)).reshape(input._shape)


def _check_reduced(index: np.ndarray, size: int, dim: int, include_self: bool) -> None:
    if not include_self:
        check_range(index, size, dim)
    _check_select(index, size)


@primitive("checked_for_reduce")
def _checked_for_reduce(index, *, size, dim, include_self):
    """The index itself, once it is known to be right: scattering has other words."""
    _check_reduced(index, size, dim, include_self)
    return index


not_differentiable(_checked_for_reduce)


@operator(inplace=True)
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    """A copy in which slices of ``source`` are combined into positions of a dimension.

    Args:
        reduce: "prod", "mean", "amax" or "amin".
        include_self: whether what was there takes part.
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(
            "index_reduce(): Expected reduce to be one of prod, mean, amax or amin but got "
            f"{reduce}."
        )
    refuse("index_func_", input.dtype, BOOL, COMPLEX)
    dim = _check_added("index_reduce_", input, dim, index, source)
    warnings.warn("index_reduce() is in beta and the API may change at any time.", stacklevel=4)
    size = _size(input, dim)
    check_known(index, lambda array: _check_reduced(array, size, dim, include_self))
    shape = [1] * input.ndim
    if input.ndim:
        shape[dim] = index.numel()
    checked = _checked_for_reduce(index, size=size, dim=dim, include_self=include_self)
    spread = cast(checked, dtypes.int64).view(shape).expand(source._shape)
    return scatter_reduce_of(input, dim, spread, source, reduce, include_self)


# -------------------------------------------------------------------- flat positions


@operator(backward_name="TakeBackward0")
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at positions of the flattened tensor."""
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            f"take(): Expected a long tensor for index, but got {index.dtype.letter}"
        )
    count = input.numel()
    check_known(index, lambda array: check_flat(array, count))
    return take_flat(input.reshape(-1), index.reshape(-1)).reshape(index._shape)


@operator(inplace=True, out=False, backward_name="PutBackward0")
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with ``source`` written (or added) at positions of the flattened tensor."""
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            f"put_(): Expected a long tensor for index, but got {index.dtype.letter}"
        )
    if index.numel() != source.numel():
        raise IndexError(
            "put_(): Expected source and index to have the same number of elements, but got "
            f"source.numel() = {source.numel()}, index.numel() = {index.numel()}"
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "put_(): self and source expected to have the same dtype, but got self.dtype = "
            f"{input.dtype.letter} and source.dtype = {source.dtype.letter}"
        )
    count = input.numel()
    check_known(index, lambda array: check_flat(array, count))
    found = put_flat(input.reshape(-1), index.reshape(-1), source.reshape(-1), accumulate)
    return found.reshape(input._shape)


@operator()
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """``gather`` whose operands broadcast in the other dimensions; flattened without ``dim``."""
    if dim is None:
        return input.reshape(-1).gather(0, indices.reshape(-1))
    if input.ndim != indices.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, "
            "but got "
            f"{input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    dim = wrap_dim(dim, input.ndim)
    one, two = list(input._shape), list(indices._shape)
    one[dim] = two[dim] = 1
    common = list(broadcast_shapes(one, two))
    sized = lambda size: (*common[:dim], size, *common[dim + 1 :])  # noqa: E731
    size = input._shape[dim] or 1
    index = indices.remainder(size).expand(sized(indices._shape[dim]))
    return input.expand(sized(input._shape[dim])).gather(dim, index)
