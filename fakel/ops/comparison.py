"""Comparisons, tests of single elements, and logic."""

from __future__ import annotations

import math

import numpy as np

from fakel.ops.checks import COMPLEX, check_tensor, refuse
from fakel.ops.declare import (
    Primitive,
    broadcast_shapes,
    function,
    not_differentiable,
    operands,
    operator,
)
from fakel.tensor import Tensor, dtypes


def _declare_comparison(name, meaning, sign, alias, ordered):
    node = Primitive(name, lambda input, other: meaning(input, other))
    not_differentiable(node)

    def declared(input, other):
        check_tensor(name, "input", 1, input)
        first, second = operands(name, input, other)
        if ordered:
            refuse(f"{name}_cpu", first.dtype, COMPLEX)
        shape = broadcast_shapes(first._shape, second._shape)
        return node(first, second, shape=shape, dtype=dtypes.bool_)

    declared.__name__ = declared.__qualname__ = name
    declared.__doc__ = f"Whether input {sign} other, element by element."
    return operator(inplace=True, aliases=alias)(declared)


eq = _declare_comparison("eq", np.equal, "==", (), ordered=False)
ne = _declare_comparison("ne", np.not_equal, "!=", ("not_equal",), ordered=False)
lt = _declare_comparison("lt", np.less, "<", ("less",), ordered=True)
le = _declare_comparison("le", np.less_equal, "<=", ("less_equal",), ordered=True)
gt = _declare_comparison("gt", np.greater, ">", ("greater",), ordered=True)
ge = _declare_comparison("ge", np.greater_equal, ">=", ("greater_equal",), ordered=True)


def _declare_test(name, meaning, documentation, refuses_complex="", out=False):
    node = Primitive(name, lambda input: meaning(input))
    not_differentiable(node)

    def declared(input):
        check_tensor(name, "input", 1, input)
        if refuses_complex and input.is_complex():
            error = NotImplementedError if name == "signbit" else RuntimeError
            raise error(refuses_complex)
        return node(input, dtype=dtypes.bool_)

    declared.__name__ = declared.__qualname__ = name
    declared.__doc__ = documentation
    return operator(out=out)(declared)


isnan = _declare_test("isnan", np.isnan, "Whether each element is not a number.")
isinf = _declare_test("isinf", np.isinf, "Whether each element is infinite.")
isfinite = _declare_test(
    "isfinite", np.isfinite, "Whether each element is neither infinite nor nan."
)
isposinf = _declare_test(
    "isposinf",
    np.isposinf,
    "Whether each element is plus infinity.",
    "isposinf does not support complex inputs.",
    out=True,
)
isneginf = _declare_test(
    "isneginf",
    np.isneginf,
    "Whether each element is minus infinity.",
    "isneginf does not support complex inputs.",
    out=True,
)
isreal = _declare_test("isreal", np.isreal, "Whether each element's imaginary part is 0.")


def _signbit(input):
    return np.signbit(input) if input.dtype.kind == "f" else np.less(input, 0)


signbit = _declare_test(
    "signbit",
    _signbit,
    "Whether each element's sign bit is set, also that of -0.0.",
    "signbit is not implemented for complex tensors.",
    out=True,
)


# -------------------------------------------------------------------- closeness and equality


def _close(input, other, *, rtol, atol, equal_nan):
    if input.dtype.kind in "fc":
        gap = np.abs(input - other)
        near = gap <= atol + rtol * np.abs(other)
        # an infinite tolerance does not make finite and infinite numbers close
        near &= np.isfinite(gap)
        same = near | (input == other)
        return same | (np.isnan(input) & np.isnan(other)) if equal_nan else same
    wide = input.astype(np.float64), other.astype(np.float64)
    return (input == other) | (np.abs(wide[0] - wide[1]) <= atol + np.abs(rtol * wide[1]))


_isclose = Primitive("isclose", _close)
not_differentiable(_isclose)


@operator(out=False)
def isclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether |input - other| <= atol + rtol * |other|, element by element.

    Args:
        equal_nan: whether two nans are close.

    Raises:
        RuntimeError: when the dtypes differ.
    """
    if input.dtype is not other.dtype:
        raise RuntimeError(f"{input.dtype.letter} did not match {other.dtype.letter}")
    if rtol < 0:
        raise RuntimeError(f"rtol must be greater than or equal to zero, but got {rtol}")
    if atol < 0:
        raise RuntimeError(f"atol must be greater than or equal to zero, but got {atol}")
    return _isclose(
        input,
        other,
        rtol=float(rtol),
        atol=float(atol),
        equal_nan=bool(equal_nan),
        shape=broadcast_shapes(input._shape, other._shape),
        dtype=dtypes.bool_,
    )


@operator(out=False)
def allclose(input, other, rtol=1e-05, atol=1e-08, equal_nan=False):
    """Whether all elements are close; see ``isclose``."""
    return bool(isclose(input, other, rtol, atol, equal_nan)._values().all())


@operator(out=False)
def equal(input, other):
    """Whether two tensors have the same shape and elements."""
    for position, (name, value) in enumerate((("input", input), ("other", other))):
        check_tensor("equal", name, position + 1, value)
    if input._shape != other._shape:
        return False
    return bool(np.array_equal(input._values(), other._values()))


# -------------------------------------------------------------------- logic


def _declare_logic(name, meaning, documentation):
    node = Primitive(name, lambda input, other: meaning(input, other))
    not_differentiable(node)

    def declared(input, other):
        check_tensor(name, "input", 1, input)
        check_tensor(name, "other", 2, other)
        shape = broadcast_shapes(input._shape, other._shape)
        return node(input, other, shape=shape, dtype=dtypes.bool_)

    declared.__name__ = declared.__qualname__ = name
    declared.__doc__ = documentation
    return operator(inplace=True)(declared)


logical_and = _declare_logic("logical_and", np.logical_and, "Whether both are not 0.")
logical_or = _declare_logic("logical_or", np.logical_or, "Whether one or both are not 0.")
logical_xor = _declare_logic("logical_xor", np.logical_xor, "Whether exactly one is not 0.")

_logical_not = Primitive("logical_not", lambda input: np.logical_not(input))
not_differentiable(_logical_not)


@operator(inplace=True)
def logical_not(input):
    """Whether each element is 0."""
    return _logical_not(input, dtype=dtypes.bool_)


# -------------------------------------------------------------------- questions with one answer


@operator(out=False)
def is_nonzero(input):
    """Whether the only element of a tensor is not 0."""
    if input.numel() != 1:
        what = "no values" if input.numel() == 0 else "more than one value"
        raise RuntimeError(f"Boolean value of Tensor with {what} is ambiguous")
    return bool(input.item())


@function
def is_same_size(input, other):
    """Whether two tensors have the same shape."""
    return input._shape == other._shape


@operator()
def isin(elements, test_elements, *, assume_unique=False, invert=False):
    """Whether each element is among the test elements; one of the two may be a number.

    Args:
        assume_unique: promises that neither holds an element twice.
        invert: asks whether it is not among them.
    """
    for value in (elements, test_elements):
        if not isinstance(value, (Tensor, bool, int, float, complex, np.generic)):
            raise TypeError("isin(): takes tensors and numbers")
    for each in (elements, test_elements):
        if isinstance(each, Tensor) and (each.is_complex() or each.dtype is dtypes.bool_):
            raise RuntimeError(
                f"Unsupported input type encountered for isin(): {each.dtype.letter}"
            )
    values = _numpy(elements), _numpy(test_elements)
    found = np.isin(*values, assume_unique=assume_unique and math.prod(values[0].shape) > 1)
    return Tensor._from_array(np.asarray(~found if invert else found))


def _numpy(value):
    return value._values() if isinstance(value, Tensor) else np.asarray(value)
