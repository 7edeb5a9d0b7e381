"""Sums, products, quotients and powers."""

from __future__ import annotations

import numpy as np

from fakel import ops
from fakel.ops.checks import BOOL, COMPLEX, FLOATING, check_known, check_tensor, refuse
from fakel.ops.declare import (
    Primitive,
    as_tensor,
    broadcast_shapes,
    gradient,
    not_differentiable,
    operands,
    operator,
    primitive,
    scalar,
    unary,
)
from fakel.ops.numerics.fused import multiply_add
from fakel.ops.primitive import refused, shown_as
from fakel.tensor import Tensor, dtypes, result_type
from fakel.tensor.promotion import category

_HALVES = (dtypes.float16, dtypes.bfloat16)
_NUMBERS = (bool, int, float, complex, np.generic)


def _record(node, name, input, other, floating=False):
    """The node of two operands after promotion and broadcasting."""
    first, second = operands(name, input, other, floating)
    shape = first._shape
    if second._shape and shape != second._shape:
        shape = broadcast_shapes(shape, second._shape)
    return node(first, second, shape=shape)


def is_half(operand):
    """Whether this is a tensor of 16 bits, with which numbers keep their single precision."""
    return isinstance(operand, Tensor) and operand._storage.dtype in _HALVES


def _dtype(operand):
    if isinstance(operand, Tensor):
        return operand.dtype
    return dtypes.bool_ if isinstance(operand, bool) else None


# -------------------------------------------------------------------- sums

_add = Primitive("add", lambda input, other: np.add(input, other))
gradient(_add, input=lambda grad: grad, other=lambda grad: grad)

_sub = Primitive("sub", lambda input, other: np.subtract(input, other))
gradient(_sub, input=lambda grad: grad, other=lambda grad: -grad)

# one node for what optimizers record for every parameter; 16-bit sums are rounded once, at the end
_add_scaled = Primitive(
    "add_scaled", lambda input, other, alpha: multiply_add(other, alpha, input), "AddBackward0"
)
gradient(_add_scaled, input=lambda grad: grad, other=lambda grad, alpha: grad * alpha)
_sub_scaled = Primitive(
    "sub_scaled", lambda input, other, alpha: multiply_add(other, -alpha, input), "SubBackward0"
)
gradient(_sub_scaled, input=lambda grad: grad, other=lambda grad, alpha: -grad * alpha)
_sub_from_number = shown_as(_sub, "RsubBackward1")


def _scaled(input, other, alpha):
    """The second operand times alpha, which may not be a finer kind of number than the operands."""
    if isinstance(input, _NUMBERS) and isinstance(other, _NUMBERS):
        return other * alpha
    kind = category(result_type(input, other))
    if kind < 2 and isinstance(alpha, (float, complex)):
        raise RuntimeError(
            "For integral input tensors, argument alpha must not be a floating point number."
        )
    if kind < 3 and isinstance(alpha, complex):
        raise RuntimeError(
            "For non-complex input tensors, argument alpha must not be a complex number."
        )
    if kind == 0:
        return other if alpha else ops.zeros_like(other)
    return other * alpha


def _is_one_node(input, other, alpha):
    """Whether one node scales and adds: operands of one floating-point dtype."""
    if not (isinstance(input, Tensor) and isinstance(other, Tensor)):
        return False
    kind = input._storage.dtype
    if kind is not other._storage.dtype or not kind.is_floating_point:
        return False
    return type(alpha) in (int, float) or kind in _HALVES


def _scaled_sum(node, input, other, alpha):
    shape = broadcast_shapes(input._shape, other._shape)
    return node(input, other, as_tensor(alpha, input), shape=shape)


@operator(inplace=True, numbers=True)
def add(input, other, *, alpha=1):
    """input + alpha * other; operands broadcast, either may be a Python number."""
    if isinstance(alpha, Tensor) or alpha != 1:
        if _is_one_node(input, other, alpha):
            return _scaled_sum(_add_scaled, input, other, alpha)
        other = _scaled(input, other, alpha)
    return _record(_add, "add", input, other)


@operator(inplace=True, aliases=("subtract",), numbers=True)
def sub(input, other, *, alpha=1):
    """input - alpha * other; operands broadcast, either may be a Python number.

    Raises:
        RuntimeError: for bool tensors, whose difference is not defined.
    """
    kinds = _dtype(input), _dtype(other)
    if dtypes.bool_ in kinds:
        if kinds == (dtypes.bool_, dtypes.bool_):
            raise RuntimeError(
                "Subtraction, the `-` operator, with two bool tensors is not supported. Use the "
                "`^` or `logical_xor()` operator instead."
            )
        raise RuntimeError(
            "Subtraction, the `-` operator, with a bool tensor is not supported. If you are trying "
            "to invert a mask, use the `~` or `logical_not()` operator instead."
        )
    if isinstance(alpha, Tensor) or alpha != 1:
        if _is_one_node(input, other, alpha):
            return _scaled_sum(_sub_scaled, input, other, alpha)
        other = _scaled(input, other, alpha)
    node = _sub if isinstance(input, Tensor) else _sub_from_number
    return _record(node, "sub", input, other)


@operator(method=False, out=False)
def rsub(input, other, *, alpha=1):
    """other - alpha * input."""
    return sub(other, input, alpha=alpha)


def divide_number(input, other):
    """other / input as PyTorch computes it for a number: the reciprocal times the number."""
    return reciprocal(input) * other


# -------------------------------------------------------------------- products and quotients


def _by(node, grad, other):
    """A gradient times or over an operand; a number keeps its 32 bits beside one of 16."""
    if is_half(grad) and other._storage.dtype is dtypes.float32:
        return node(grad, other)
    other = other.conj()
    return grad * other if node is _mul else grad / other


_mul = Primitive("mul", lambda input, other: np.multiply(input, other))
gradient(
    _mul,
    input=lambda grad, other: _by(_mul, grad, other),
    other=lambda grad, input: grad * input.conj(),
)


@operator(inplace=True, aliases=("multiply",), numbers=True)
def mul(input, other):
    """input * other; operands broadcast, either may be a Python number."""
    if isinstance(other, (int, float)) and is_half(input):
        return _mul(input, scalar(other, dtypes.float32))
    if isinstance(input, (int, float)) and is_half(other):
        return _mul(other, scalar(input, dtypes.float32))
    return _record(_mul, "mul", input, other)


_div = Primitive("div", lambda input, other: np.true_divide(input, other))
gradient(
    _div,
    input=lambda grad, other: _by(_div, grad, other),
    other=lambda grad, input, other: -grad * ((input / other) / other).conj(),
)


def _check_divisor(other):
    if other.dtype.kind in "iub" and not np.all(other):
        raise RuntimeError("ZeroDivisionError")


def _divide_rounding_down(input, other):
    _check_divisor(other)
    if input.dtype.kind != "f":
        return np.floor_divide(input, other)
    return np.where(other == 0, input / other, np.floor_divide(input, other))


def _divide_rounding_to_zero(input, other):
    _check_divisor(other)
    if input.dtype.kind == "f":
        return np.trunc(input / other)
    quotient = np.floor_divide(input, other)
    return quotient + ((quotient < 0) & (quotient * other != input))


_no_slope = lambda grad: ops.zeros_like(grad)  # noqa: E731
_div_floor = Primitive("div_floor", _divide_rounding_down, "DivBackward2")
gradient(_div_floor, input=_no_slope, other=_no_slope)
_floor_divide = Primitive("div_floor", _divide_rounding_down, "NotImplemented")
_floor_divide.operator = _div_floor.operator
gradient(_floor_divide, input=refused("aten::floor_divide"), other=refused("aten::floor_divide"))
_div_trunc = Primitive("div_trunc", _divide_rounding_to_zero, "DivBackward2")
gradient(_div_trunc, input=_no_slope, other=_no_slope)


def _refuse_zero(other, kind):
    """Integers divided by zero are an error where it is written, if the divisor is known there."""
    if category(kind) > 1:
        return
    if isinstance(other, Tensor):
        check_known(other, _check_divisor)
    elif isinstance(other, _NUMBERS) and not other:
        raise RuntimeError("ZeroDivisionError")


def _quotient(input, other):
    if isinstance(other, (int, float)) and is_half(input):
        return _div(input, scalar(other, dtypes.float32))
    return _record(_div, "div", input, other, floating=True)


def _rounded_quotient(node, input, other):
    first, second = operands("div", input, other)
    refuse(f"{node.name}_cpu", first.dtype, BOOL, COMPLEX)
    _refuse_zero(other, first.dtype)
    return node(first, second, shape=broadcast_shapes(first._shape, second._shape))


@operator(inplace=True, aliases=("divide",), numbers=True)
def div(input, other, *, rounding_mode=None):
    """input / other; integers give floating-point quotients unless they are rounded.

    Args:
        rounding_mode: None, "trunc" (towards zero) or "floor".

    Raises:
        RuntimeError: for another rounding mode, and for rounded integer division by zero.
    """
    if rounding_mode is None:
        return _quotient(input, other)
    if rounding_mode == "floor":
        return _rounded_quotient(_div_floor, input, other)
    if rounding_mode == "trunc":
        return _rounded_quotient(_div_trunc, input, other)
    raise RuntimeError(
        "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found "
        f"'{rounding_mode}'"
    )


@operator(inplace=True, numbers=True)
def true_divide(input, other):
    """input / other without rounding."""
    return _quotient(input, other)


@operator(inplace=True)
def floor_divide(input, other):
    """input / other, rounded down."""
    return _rounded_quotient(_floor_divide, input, other)


def _remainder_meaning(input, other):
    _check_divisor(other)
    rest = np.remainder(input, other)
    # a rest of zero has the sign of the input
    return np.copysign(rest, np.where(rest == 0, input, rest)) if rest.dtype.kind == "f" else rest


def _fmod_meaning(input, other):
    _check_divisor(other)
    return np.fmod(input, other)


_remainder = Primitive("remainder", _remainder_meaning, "RemainderBackward1")
gradient(
    _remainder,
    input=lambda grad: grad,
    other=lambda grad, input, other: -grad * input.div(other, rounding_mode="floor"),
)
_remainder_of_number = shown_as(_remainder, "RemainderBackward0")
_fmod = Primitive("fmod", _fmod_meaning, "FmodBackward1")
gradient(
    _fmod,
    input=lambda grad: grad,
    other=lambda grad, input, other: -grad * input.div(other, rounding_mode="trunc"),
)
_fmod_of_number = shown_as(_fmod, "FmodBackward0")


def _rest(node, input, other):
    first, second = operands(node.name, input, other)
    refuse(f"{node.name}_cpu", first.dtype, BOOL, COMPLEX)
    _refuse_zero(other, first.dtype)
    return node(first, second, shape=broadcast_shapes(first._shape, second._shape))


@operator(inplace=True)
def remainder(input, other):
    """What is left of input after division rounded down: it has the divisor's sign."""
    node = _remainder if isinstance(other, Tensor) else _remainder_of_number
    return _rest(node, input, other)


@operator(inplace=True)
def fmod(input, other):
    """What is left of input after division rounded towards zero: it has the dividend's sign."""
    node = _fmod if isinstance(other, Tensor) else _fmod_of_number
    return _rest(node, input, other)


reciprocal = unary("reciprocal", lambda input: 1 / input, "float", documentation="1 / x.")
gradient(reciprocal, input=lambda grad, result: -grad * (result * result).conj())

# -------------------------------------------------------------------- powers


def _pow_meaning(input, exponent):
    if exponent.dtype.kind not in "iu":
        return np.power(input, exponent)
    # an integer to a negative power rounds to zero, except for the units
    result = np.power(input, np.maximum(exponent, 0))
    units = np.where(input == 1, 1, np.where(input == -1, 1 - 2 * (exponent % 2), 0))
    return np.where(exponent < 0, units, result)


_pow = Primitive("pow", _pow_meaning)


def _pow_base_gradient(grad, input, exponent):
    slope = exponent * input.pow(exponent - 1)
    return grad * slope.masked_fill(exponent == 0, 0).conj()


def _pow_exponent_gradient(grad, input, exponent, result):
    flat = (input == 0) if exponent.is_complex() else (input == 0) & (exponent >= 0)
    return (grad * (result * input.log()).conj()).masked_fill(flat, 0)


gradient(_pow, input=_pow_base_gradient, exponent=_pow_exponent_gradient)
_pow_of_tensors = shown_as(_pow, "PowBackward1")
_pow_of_number = shown_as(_pow, "PowBackward2")

_square = Primitive("square", lambda input: np.multiply(input, input), "PowBackward0")
gradient(_square, input=lambda grad, input: grad * (input.conj() * 2))


@operator(inplace=True)
def pow(input, exponent):
    """input to the power of exponent; operands broadcast, one of them may be a Python number.

    Raises:
        RuntimeError: for integers to a negative integer number.
    """
    if not isinstance(input, Tensor) and not isinstance(exponent, Tensor):
        raise TypeError(
            "pow() received an invalid combination of arguments - got "
            f"({type(input).__name__}, {type(exponent).__name__}), but expected one of:\n"
            " * (Tensor input, Tensor exponent, *, Tensor out = None)\n"
            " * (Number self, Tensor exponent, *, Tensor out = None)\n"
            " * (Tensor input, Number exponent, *, Tensor out = None)\n"
        )
    if isinstance(exponent, _NUMBERS):
        kind = input.dtype
        if kind.is_floating_point and exponent == 2 and not isinstance(exponent, complex):
            return _square(input)
        if category(kind) < 2 and isinstance(exponent, int) and exponent < 0:
            raise RuntimeError("Integers to negative integer powers are not allowed.")
        if kind is dtypes.bool_ and isinstance(exponent, bool):
            return input.clone() if exponent else ops.ones_like(input)
    first, second = operands("pow", input, exponent)
    if isinstance(exponent, Tensor):
        refuse("pow", first.dtype, BOOL)
    node = _pow
    if isinstance(exponent, Tensor):
        node = _pow_of_tensors if isinstance(input, Tensor) else _pow_of_number
    return node(first, second, shape=broadcast_shapes(first._shape, second._shape))


@operator(inplace=True)
def float_power(input, exponent):
    """input to the power of exponent in double precision."""
    kind = result_type(input, exponent)
    wide = dtypes.complex128 if kind.is_complex else dtypes.float64
    return pow(as_tensor(input, wide), as_tensor(exponent, wide))


@operator(inplace=True)
def square(input):
    """x^2."""
    check_tensor("square", "input", 1, input)
    if input.is_complex():
        return input * input
    return _square(input, dtype=dtypes.int64 if input.dtype is dtypes.bool_ else None)


# -------------------------------------------------------------------- sign and size

_neg = Primitive("neg", lambda input: np.negative(input))
gradient(_neg, input=lambda grad: -grad)


@operator(inplace=True, aliases=("negative",))
def neg(input):
    """-x."""
    if input.dtype is dtypes.bool_:
        raise RuntimeError(
            "Negation, the `-` operator, on a bool tensor is not supported. If you are trying to "
            "invert a mask, use the `~` or `logical_not()` operator instead."
        )
    return _neg(input)


@operator(out=False)
def positive(input):
    """The tensor itself.

    Raises:
        RuntimeError: for a bool tensor.
    """
    if input.dtype is dtypes.bool_:
        raise RuntimeError("The `+` operator, on a bool tensor is not supported.")
    return input


_abs = Primitive("abs", lambda input: np.abs(input))
gradient(_abs, input=lambda grad, input: grad * input.sgn())


@operator(inplace=True, aliases=("absolute",))
def abs(input):
    """The absolute value of each element; of a complex one, its distance from 0."""
    check_tensor("abs", "input", 1, input)
    refuse("abs_cpu", input.dtype, BOOL)
    return _abs(input, dtype=input.dtype.to_real())


# nan has no sign, so it gives 0
_sign = Primitive("sign", lambda input: (input > 0).astype(np.int8) - (input < 0))
gradient(_sign, input=_no_slope)


@operator(inplace=True)
def sign(input):
    """-1, 0 or 1 as each element is negative, zero or positive."""
    if input.is_complex():
        raise NotImplementedError(
            "Unlike NumPy, torch.sign is not intended to support complex numbers. Please use "
            "torch.sgn instead."
        )
    return input.clone() if input.dtype is dtypes.bool_ else _sign(input)


_sgn_of_real = shown_as(_sign, "SgnBackward0")


@primitive("sgn")
def _sgn(input):
    size = np.abs(input)
    return np.where(size == 0, 0, input / np.where(size == 0, 1, size))


def _sgn_gradient(grad, input, result):
    size = input.abs()
    along = (grad * result.conj()).real * result
    return ((grad - along) / size).masked_fill(size == 0, 0)


gradient(_sgn, input=_sgn_gradient)


@operator(inplace=True)
def sgn(input):
    """x / |x|, and 0 where x is 0: the sign, also of complex numbers."""
    if input.is_complex():
        return _sgn(input)
    return input.clone() if input.dtype is dtypes.bool_ else _sgn_of_real(input)


# -------------------------------------------------------------------- divisors of integers


def _declare_integer(name, meaning, documentation):
    node = Primitive(name, lambda input, other: meaning(input, other))
    not_differentiable(node)

    def declared(input, other):
        first, second = operands(name, input, other)
        refuse(f"{name}_cpu", first.dtype, BOOL, FLOATING, COMPLEX)
        return node(first, second, shape=broadcast_shapes(first._shape, second._shape))

    declared.__name__ = declared.__qualname__ = name
    declared.__doc__ = documentation
    return operator(inplace=True)(declared)


gcd = _declare_integer("gcd", np.gcd, "The greatest common divisor.")
lcm = _declare_integer("lcm", np.lcm, "The least common multiple.")
