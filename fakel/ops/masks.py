"""Masks: filling, selecting and writing where a tensor of bools is true; positions of nonzeros."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakel.ops.checks import check_fits
from fakel.ops.declare import as_tensor, broadcast_shapes, gradient, operator, primitive
from fakel.tensor import Tensor, dtypes


@primitive("masked_fill")
def _masked_fill(input, mask, value):
    return np.where(mask, value, input)


gradient(
    _masked_fill,
    input=lambda grad, mask: grad.masked_fill(mask, 0),
    value=lambda grad, mask: (grad * mask).sum(),
)


@operator(inplace=True)
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """A copy with a number written where a mask, which broadcasts, is true."""
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError(
            f"masked_fill_ only supports boolean masks, but got mask with dtype {mask.dtype.c_name}"
        )
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(
            "masked_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    check_fits(value, input.dtype)
    shape = broadcast_shapes(mask._shape, input._shape)
    return _masked_fill(input, mask, as_tensor(value, input), shape=shape)


@operator(backward_name="MaskedSelectBackward0")
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where a mask, which broadcasts, is true, as a vector."""
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError("masked_select: expected BoolTensor for mask")
    shape = broadcast_shapes(mask._shape, input._shape)
    return input.expand(shape)[mask.expand(shape)] if shape else input.reshape(1)[mask.reshape(1)]


@operator(inplace=True, out=False)
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy with the elements of ``source``, one after the other, written where a mask is true."""
    if mask.dtype is not dtypes.bool_:
        raise RuntimeError(
            "masked_scatter_ only supports boolean masks, but got mask with dtype "
            + mask.dtype.letter
        )
    if source.dtype is not input.dtype:
        raise RuntimeError(
            "masked_scatter: expected self and source to have same dtypes but got"
            f"{input.dtype.letter} and {source.dtype.letter}"
        )
    shape = broadcast_shapes(mask._shape, input._shape)
    places = mask.expand(shape)._values()
    count = int(places.sum())
    if count > source.numel():
        raise RuntimeError("Number of elements of source < number of ones in mask")
    result = input.expand(shape).clone()
    if not shape:
        return source.reshape(-1)[0] if count else result
    result[mask.expand(shape)] = source.reshape(-1)[:count]
    return result


@operator()
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The positions of what is not zero: a matrix with a row each, or a tuple of vectors."""
    array = input._values()
    found = np.nonzero(array) if array.ndim else np.nonzero(array.reshape(1))
    if as_tuple:
        return tuple(Tensor._from_array(positions) for positions in found)
    if not array.ndim:
        return Tensor._from_array(np.empty((len(found[0]), 0), np.int64))
    return Tensor._from_array(np.stack(found, 1))


@operator()
def argwhere(input: Tensor) -> Tensor:
    """The positions of elements that are not zero, a row each."""
    return nonzero(input)
