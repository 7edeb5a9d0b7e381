"""Sorting, selecting by rank, distinct elements, and searching in sorted sequences."""

from __future__ import annotations

import numpy as np

from fakel import ops
from fakel.autograd.modes import state
from fakel.autograd.tape import Pullback, attach
from fakel.ops import return_types, ties
from fakel.ops.checks import BOOL, COMPLEX, refuse
from fakel.ops.declare import gradient, not_differentiable, operator, primitive, wrap_dim
from fakel.ops.extrema import pick, put_back
from fakel.ops.primitive import shown_as
from fakel.ops.reduced import check_not_empty, numpy_names
from fakel.tensor import Tensor, dtypes

# -------------------------------------------------------------------- sorting


def order_of(array: np.ndarray, dim: int, descending: bool) -> np.ndarray:
    """Indices that sort along a dimension and keep the order of equals; nan is the largest."""
    if not descending:
        return np.argsort(array, axis=dim, kind="stable")
    backwards = np.argsort(np.flip(array, dim), axis=dim, kind="stable")
    return array.shape[dim] - 1 - np.flip(backwards, dim)


@primitive("sort")
def _sort(input, *, dim, keepdim, size, descending):
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64)
    indices = order_of(input, dim, descending)
    return np.take_along_axis(input, indices, dim), indices


gradient(_sort, input=put_back)
_stable_sort = shown_as(_sort, "SortBackward1")


@primitive("argsort")
def _argsort(input, *, dim, descending):
    return order_of(input, dim, descending) if input.ndim else np.zeros((), np.int64)


not_differentiable(_argsort)


def _refuse_complex(input):
    if input.is_complex():
        raise RuntimeError(" Sort does not support complex dtypes on CPU")


@operator()
@numpy_names
def sort(input, dim=-1, descending=False, stable=None):
    """(values, indices) sorted along the dimension; nan counts as the largest.

    Args:
        stable: promises to keep the order of equal elements, which is done in any case.
    """
    _refuse_complex(input)
    if isinstance(dim, bool):
        dim, descending = -1, dim
    size = tuple(input._shape)
    dim = wrap_dim(dim, len(size))
    node = _sort if stable is None else _stable_sort
    return return_types.sort(
        node(
            input,
            dim=dim,
            keepdim=True,
            size=size,
            descending=bool(descending),
            shape=(size, size),
            dtype=(input.dtype, dtypes.int64),
        )
    )


@operator(out=False)
@numpy_names
def argsort(input, dim=-1, descending=False, stable=False):
    """The indices that sort along the dimension. Arguments as for ``sort``."""
    _refuse_complex(input)
    dim = wrap_dim(dim, input.ndim)
    return _argsort(input, dim=dim, descending=bool(descending), dtype=dtypes.int64)


@operator()
def msort(input):
    """The values sorted along the first dimension."""
    return sort(input, 0)[0]


# -------------------------------------------------------------------- selecting by rank


@primitive("topk")
def _topk(input, *, k, dim, keepdim, size, largest):
    if not input.ndim:
        taken = (k,) if k == 0 else ()
        return np.resize(input, taken), np.zeros(taken, np.int64)
    order = np.moveaxis(order_of(input, dim, largest), dim, -1)
    lanes = np.moveaxis(input, dim, -1)
    indices = order[..., :k].copy()
    if k:
        ordered = np.take_along_axis(lanes, order[..., : k + 1], -1)
        tied = ties.equal_neighbours(ordered).any(-1)
        ties.settle(indices, lanes, tied, ties.top(k, largest))
    indices = np.moveaxis(indices, -1, dim)
    return np.take_along_axis(input, indices, dim), indices


gradient(_topk, input=put_back)


@operator()
@numpy_names
def topk(input, k, dim=-1, largest=True, sorted=True):
    """(values, indices) of the k largest (or smallest) elements along the dimension, in order.

    Args:
        sorted: whether they must be in order, which they are in any case.

    Raises:
        RuntimeError: when there are fewer than k.
    """
    if input.dtype is dtypes.bool_ or input.is_complex():
        name, kind = (" topk", "complex") if input.is_complex() else ("topk", "bool")
        raise RuntimeError(f"{name} does not support {kind} dtypes on CPU")
    size = tuple(input._shape)
    dim = wrap_dim(dim, len(size))
    k = int(k)
    if not 0 <= k <= (size[dim] if size else 1):
        raise RuntimeError("selected index k out of range")
    shape = (*size[:dim], k, *size[dim + 1 :]) if size else ()
    return return_types.topk(
        _topk(
            input,
            k=k,
            dim=dim,
            keepdim=True,
            size=size,
            largest=bool(largest),
            shape=(shape, shape),
            dtype=(input.dtype, dtypes.int64),
        )
    )


@primitive("kthvalue")
def _kthvalue(input, *, k, dim, keepdim, size):
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64)
    order = np.moveaxis(order_of(input, dim, False), dim, -1)
    lanes = np.moveaxis(input, dim, -1)
    indices = order[..., k - 1 : k].copy()
    around = np.take_along_axis(lanes, order[..., max(k - 2, 0) : k + 1], -1)
    ties.settle(indices, lanes, ties.equal_neighbours(around).any(-1), ties.nth(k - 1))
    indices = np.moveaxis(indices, -1, dim)
    values = np.take_along_axis(input, indices, dim)
    if not keepdim:
        values, indices = values.squeeze(dim), indices.squeeze(dim)
    return values, indices


gradient(_kthvalue, input=put_back)


@operator()
@numpy_names
def kthvalue(input, k, dim=-1, keepdim=False):
    """(values, indices) of the k-th smallest element along the dimension, counted from 1."""
    refuse("kthvalue_cpu", input.dtype, BOOL, COMPLEX)
    dim = wrap_dim(dim, input.ndim)
    check_not_empty("kthvalue()", input._shape, (dim,))
    if not 1 <= k <= (input._shape[dim] if input.ndim else 1):
        raise RuntimeError(f"kthvalue(): selected number k out of range for dimension {dim}")
    return return_types.kthvalue(pick(_kthvalue, input, dim, keepdim, k=int(k)))


# -------------------------------------------------------------------- distinct elements


def _pack(values, inverse, counts, return_inverse, return_counts, kind):
    results = [Tensor._from_array(values, kind)]
    if return_inverse:
        results.append(Tensor._from_array(np.asarray(inverse, np.int64)))
    if return_counts:
        results.append(Tensor._from_array(np.asarray(counts, np.int64)))
    return tuple(results) if len(results) > 1 else results[0]


def _without_derivative(found, name, input):
    """Ties the values to the input, so that asking for their derivative is an error."""
    if not (state.enabled and input.requires_grad):
        return found

    def refuse(grad):
        raise NotImplementedError(f"the derivative for '{name}' is not implemented.")

    title = "".join(part.capitalize() for part in name.split("_"))
    values = found[0] if isinstance(found, tuple) else found
    attach(values, Pullback.titled(f"{title}Backward0")(input, refuse))
    return found


@operator(out=False)
def unique(input, sorted=True, return_inverse=False, return_counts=False, dim=None):
    """The distinct elements in ascending order, or the distinct slices along a dimension.

    Args:
        sorted: whether they must be in order, which they are in any case.
        return_inverse: also where in the result each element went.
        return_counts: also how often each occurs.

    Returns:
        The tensor, or a tuple of it and what else was asked for.
    """
    refuse("unique", input.dtype, COMPLEX)
    array = input._values()
    axis = None if dim is None else wrap_dim(dim, input.ndim)
    values, inverse, counts = np.unique(
        array, return_inverse=True, return_counts=True, axis=axis, equal_nan=False
    )
    inverse = inverse.reshape(array.shape if axis is None else -1)
    found = _pack(values, inverse, counts, return_inverse, return_counts, input.dtype)
    return _without_derivative(found, "_unique2" if dim is None else "unique_dim", input)


@operator(out=False)
def unique_consecutive(input, return_inverse=False, return_counts=False, dim=None):
    """The elements (or slices along a dimension) without those that equal the one before."""
    refuse("unique", input.dtype, COMPLEX)
    array = input._values()
    axis = 0 if dim is None else wrap_dim(dim, input.ndim)
    rows = array.reshape(-1) if dim is None else np.moveaxis(array, axis, 0)
    new = np.ones(len(rows), bool)
    if len(rows) > 1:
        differs = rows[1:] != rows[:-1]
        new[1:] = differs.reshape(len(rows) - 1, -1).any(1)
    starts = np.flatnonzero(new)
    inverse = np.cumsum(new) - 1
    counts = np.diff(np.append(starts, len(rows)))
    values = rows[starts] if dim is None else np.moveaxis(rows[starts], 0, axis)
    inverse = inverse.reshape(array.shape) if dim is None else inverse
    found = _pack(values, inverse, counts, return_inverse, return_counts, input.dtype)
    return _without_derivative(found, "unique_consecutive", input)


# -------------------------------------------------------------------- searching


@primitive("searchsorted")
def _search(sorted_sequence, input, sorter, *, side):
    if sorter is not None:
        sorted_sequence = np.take_along_axis(sorted_sequence, sorter, -1)
    if sorted_sequence.ndim == 1:
        return np.searchsorted(sorted_sequence, input, side)
    result = np.empty(input.shape, np.int64)
    for lane in np.ndindex(*input.shape[:-1]):
        result[lane] = np.searchsorted(sorted_sequence[lane], input[lane], side)
    return result


not_differentiable(_search)


def _side(name, right, side):
    if side is None:
        return "right" if right else "left"
    if side not in ("left", "right"):
        raise RuntimeError(f"{name}(): side can only be 'left' or 'right' but got {side}")
    if right and side == "left":
        raise RuntimeError(
            f"{name}(): side and right can't be set to opposites, got side of left while right was "
            "True"
        )
    return side


def _check_boundaries(boundaries, input, is_number):
    if boundaries.ndim == 0:
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should have positive dimension, but got 0 "
            "dimension"
        )
    if is_number and boundaries.ndim != 1:
        raise RuntimeError(
            "torch.searchsorted(): input value can be a scalar only when boundaries tensor "
            f"dimension is 1, but we got boundaries tensor dim({boundaries.ndim}) and input "
            "value's dim(0) numel(1)"
        )
    if boundaries.ndim != 1 and (
        boundaries.ndim != input.ndim or boundaries._shape[:-1] != input._shape[:-1]
    ):
        raise RuntimeError(
            "torch.searchsorted(): boundaries tensor should be 1 dimension or the first N-1 "
            "dimensions of boundaries tensor and input value tensor must match, but we got "
            f"boundaries tensor {list(boundaries._shape)} and input value tensor "
            f"{list(input._shape)}"
        )


@operator(method=False)
def searchsorted(sorted_sequence, input, *, out_int32=False, right=False, side=None, sorter=None):
    """Where each element would go in the sorted sequence (the last dimension) to keep it sorted.

    Args:
        right: behind equal elements rather than before them; the same as side="right".
        sorter: indices that sort the sequence, if it is not.
    """
    side = _side("torch.searchsorted", right, side)
    is_number = not isinstance(input, Tensor)
    values = ops.tensor(input, dtype=sorted_sequence.dtype) if is_number else input
    _check_boundaries(sorted_sequence, values, is_number or not values.ndim)
    return _search(
        sorted_sequence,
        values,
        sorter,
        side=side,
        shape=tuple(values._shape),
        dtype=dtypes.int32 if out_int32 else dtypes.int64,
    )


@operator(method=False)
def bucketize(input, boundaries, *, out_int32=False, right=False):
    """Which of the intervals between the (sorted) boundaries each element falls into."""
    if boundaries.ndim != 1:
        raise RuntimeError(f"boundaries tensor must be 1 dimension, but got dim({boundaries.ndim})")
    refuse("searchsorted_out_cpu", boundaries.dtype, BOOL, COMPLEX)
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
