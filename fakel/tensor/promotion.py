"""Which dtype the result of an operation on several operands has."""

from __future__ import annotations

from typing import Any

from fakel.tensor import dtypes
from fakel.tensor.dtypes import dtype, from_python

_FLOATS = (dtypes.float16, dtypes.bfloat16, dtypes.float32, dtypes.float64)
_SIGNED = (dtypes.int8, dtypes.int16, dtypes.int32, dtypes.int64)
_UNSIGNED = (dtypes.uint8, dtypes.uint16, dtypes.uint32, dtypes.uint64)


def category(d: dtype) -> int:
    """0 for bool, 1 for integers, 2 for floating point, 3 for complex."""
    if d.is_complex:
        return 3
    if d.is_floating_point:
        return 2
    return 0 if d is dtypes.bool_ else 1


def promote_types(type1: dtype, type2: dtype) -> dtype:
    """The smallest dtype that holds the values of both: the higher kind of bool < integer <
    floating point < complex decides, then the size.

    Raises:
        RuntimeError: for uint16/32/64 with another integer dtype, which PyTorch leaves undefined.
    """
    if type1 is type2:
        return type1
    type1, type2 = from_python(type1), from_python(type2)
    low, high = sorted((type1, type2), key=category)
    if category(low) < category(high):
        if high.is_complex and low in (dtypes.float64,):
            return dtypes.complex128
        return high
    if high.is_complex:
        return dtypes.complex128
    if high.is_floating_point:
        if {low, high} == {dtypes.float16, dtypes.bfloat16}:
            return dtypes.float32
        return max(low, high, key=_FLOATS.index)
    if low.is_signed and high.is_signed:
        return max(low, high, key=_SIGNED.index)
    signed, unsigned = (low, high) if low.is_signed else (high, low)
    if unsigned is dtypes.uint8 and signed.is_signed:
        return dtypes.int16 if signed is dtypes.int8 else signed
    raise RuntimeError(
        f"Promotion for uint16, uint32, uint64 types is not supported, attempted to promote "
        f"{type1.letter} and {type2.letter}"
    )


def number_dtype(number: Any) -> dtype:
    """The dtype that a Python number takes part in promotion with."""
    if isinstance(number, bool):
        return dtypes.bool_
    if isinstance(number, int):
        return dtypes.int64
    if isinstance(number, complex):
        return dtypes.get_default_dtype().to_complex()
    return dtypes.get_default_dtype()


def combine(dimensioned: dtype | None, zero_dim: dtype | None, number: dtype | None) -> dtype:
    """The result dtype of tensors with dimensions, zero-dimensional tensors and numbers.

    A lower priority only counts when its kind is higher: an integer tensor times a Python float is
    floating point, a float32 tensor times a float64 zero-dimensional tensor stays float32.
    """
    result = dimensioned
    for other in (zero_dim, number):
        if other is None:
            continue
        if result is None:
            result = other
        elif category(other) > category(result):
            result = _with_size_of(result, other)
    assert result is not None
    return result


def _with_size_of(result: dtype, other: dtype) -> dtype:
    if other.is_complex and result.is_floating_point:
        return promote_types(
            result.to_complex() if result is dtypes.float64 else dtypes.complex64, result
        )
    return other


def result_type(*operands: Any) -> dtype:
    """The dtype of an arithmetic operation on these tensors and Python numbers."""
    dimensioned: dtype | None = None
    zero_dim: dtype | None = None
    number: dtype | None = None
    for operand in operands:
        if isinstance(operand, (bool, int, float, complex)):
            mine = number_dtype(operand)
            number = mine if number is None else promote_types(number, mine)
        elif operand._shape:
            dimensioned = _join(dimensioned, operand._storage.dtype)
        else:
            zero_dim = _join(zero_dim, operand._storage.dtype)
    return combine(dimensioned, zero_dim, number)


def _join(known: dtype | None, mine: dtype) -> dtype:
    return mine if known is None else promote_types(known, mine)


def can_cast(from_: dtype, to: dtype) -> bool:
    """Whether an in-place operation may store results of ``from_`` in a tensor of ``to``."""
    if from_.is_complex and not to.is_complex:
        return False
    if from_.is_floating_point and category(to) < 2:
        return False
    return not (from_ is not dtypes.bool_ and to is dtypes.bool_)
