"""Operations on the bits of integers, and shifts; on bool they are the logical operations."""

from __future__ import annotations

import numpy as np

from fakel.ops.checks import BOOL, COMPLEX, FLOATING, refuse
from fakel.ops.declare import Primitive, broadcast_shapes, not_differentiable, operands, operator

_not = Primitive("bitwise_not", lambda input: np.invert(input))
not_differentiable(_not)


@operator(inplace=True)
def bitwise_not(input):
    """Every bit inverted; the logical negation of bool."""
    refuse("bitwise_not_cpu", input.dtype, FLOATING, COMPLEX)
    return _not(input)


def invert(self):
    """``~x``."""
    if self.is_floating_point() or self.is_complex():
        raise TypeError(
            "~ (operator.invert) is only implemented on integer and Boolean-type tensors"
        )
    return bitwise_not(self)


def _declare(name, meaning, kernel, documentation, refused=(FLOATING, COMPLEX)):
    node = Primitive(name, lambda input, other: meaning(input, other))
    not_differentiable(node)

    def declared(input, other):
        first, second = operands(name, input, other)
        refuse(kernel, first.dtype, *refused)
        return node(first, second, shape=broadcast_shapes(first._shape, second._shape))

    declared.__name__ = declared.__qualname__ = name
    declared.__doc__ = documentation
    return operator(inplace=True)(declared)


bitwise_and = _declare("bitwise_and", np.bitwise_and, "bitwise_and_cpu", "The bits set in both.")
bitwise_or = _declare("bitwise_or", np.bitwise_or, "bitwise_or_cpu", "The bits set in either.")
bitwise_xor = _declare(
    "bitwise_xor", np.bitwise_xor, "bitwise_xor_cpu", "The bits set in one only."
)


def _shift_left(input, other):
    bits = input.dtype.itemsize * 8
    valid = (other >= 0) & (other < bits)
    return np.where(valid, np.left_shift(input, np.where(valid, other, 0)), 0)


def _shift_right(input, other):
    # shifting everything out leaves the sign
    last = input.dtype.itemsize * 8 - (1 if input.dtype.kind == "i" else 0)
    valid = (other >= 0) & (other < last)
    kept = np.right_shift(input, np.where(valid, other, 0))
    beyond = np.where(input < 0, -1, 0).astype(input.dtype) if input.dtype.kind == "i" else 0
    return np.where(valid, kept, beyond)


_NO_SHIFT = (BOOL, FLOATING, COMPLEX)
bitwise_left_shift = _declare(
    "bitwise_left_shift", _shift_left, "lshift_cpu", "input times 2^other.", _NO_SHIFT
)
bitwise_right_shift = _declare(
    "bitwise_right_shift",
    _shift_right,
    "rshift_cpu",
    "input over 2^other, rounded down.",
    _NO_SHIFT,
)
