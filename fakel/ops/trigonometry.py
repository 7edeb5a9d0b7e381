"""Trigonometric and hyperbolic functions and their inverses."""

from __future__ import annotations

import math

import numpy as np

from fakel.ops.checks import floating_only
from fakel.ops.declare import binary, gradient, operator, unary

sin = unary("sin", np.sin, "float", documentation="The sine of each element, in radians.")
gradient(sin, input=lambda grad, input: grad * input.cos().conj())

cos = unary("cos", np.cos, "float", documentation="The cosine of each element, in radians.")
gradient(cos, input=lambda grad, input: grad * -input.sin().conj())

tan = unary("tan", np.tan, "float", documentation="The tangent of each element, in radians.")
gradient(tan, input=lambda grad, result: grad * (1 + result * result).conj())

asin = unary("asin", np.arcsin, "float", aliases=("arcsin",), documentation="The inverse sine.")
gradient(asin, input=lambda grad, input: grad * (1 - input * input).rsqrt().conj())

acos = unary("acos", np.arccos, "float", aliases=("arccos",), documentation="The inverse cosine.")
gradient(acos, input=lambda grad, input: grad * -(1 - input * input).rsqrt().conj())

atan = unary("atan", np.arctan, "float", aliases=("arctan",), documentation="The inverse tangent.")
gradient(atan, input=lambda grad, input: grad / (1 + input * input).conj())

sinh = unary("sinh", np.sinh, "float", documentation="The hyperbolic sine.")
gradient(sinh, input=lambda grad, input: grad * input.cosh().conj())

cosh = unary("cosh", np.cosh, "float", documentation="The hyperbolic cosine.")
gradient(cosh, input=lambda grad, input: grad * input.sinh().conj())

tanh = unary("tanh", np.tanh, "float", documentation="The hyperbolic tangent.")
gradient(tanh, input=lambda grad, result: grad * (1 - result * result).conj())

asinh = unary(
    "asinh", np.arcsinh, "float", aliases=("arcsinh",), documentation="The inverse of sinh."
)
gradient(asinh, input=lambda grad, input: grad * (input * input + 1).rsqrt().conj())

acosh = unary(
    "acosh", np.arccosh, "float", aliases=("arccosh",), documentation="The inverse of cosh."
)
# two square roots keep to the right branch for complex numbers
gradient(acosh, input=lambda grad, input: grad * ((input - 1).rsqrt() * (input + 1).rsqrt()).conj())

atanh = unary(
    "atanh", np.arctanh, "float", aliases=("arctanh",), documentation="The inverse of tanh."
)
gradient(atanh, input=lambda grad, input: grad / (1 - input * input).conj())

atan2 = binary(
    "atan2",
    np.arctan2,
    "float",
    aliases=("arctan2",),
    refuses=("complex",),
    documentation="The angle, between -pi and pi, of the point (other, input).",
)


def _over_squared_length(grad, input, other):
    squared_length = input * input + other * other
    return (grad / squared_length).masked_fill(squared_length == 0, 0)


gradient(
    atan2,
    input=lambda grad, input, other: _over_squared_length(grad * other, input, other),
    other=lambda grad, input, other: _over_squared_length(grad * -input, input, other),
)

_hypot = binary("hypot", np.hypot, method=False)
gradient(
    _hypot,
    input=lambda grad, input, result: grad * (input / result),
    other=lambda grad, other, result: grad * (other / result),
)


@operator(inplace=True)
def hypot(input, other):
    """The length sqrt(input^2 + other^2) of each pair, without overflow on the way."""
    floating_only("hypot_cpu", input)
    return _hypot(input, other)


def _declare_angle_unit(name, factor, documentation, backward_name):
    scaled = unary(
        name, lambda input: input * factor, "float", method=False, backward_name=backward_name
    )
    gradient(scaled, input=lambda grad: grad * factor)

    def declared(input):
        if input.is_complex():
            raise RuntimeError(f"{name} is not supported for complex tensors.")
        return scaled(input)

    declared.__name__ = declared.__qualname__ = name
    declared.__doc__ = documentation
    return operator(inplace=True)(declared)


deg2rad = _declare_angle_unit("deg2rad", math.pi / 180, "Degrees in radians.", "Deg2RadBackward0")
rad2deg = _declare_angle_unit("rad2deg", 180 / math.pi, "Radians in degrees.", "Rad2DegBackward0")

sinc = unary("sinc", np.sinc, "float", documentation="sin(pi x) / (pi x), and 1 where x is 0.")


def _sinc_slope(input):
    angle = input * math.pi
    slope = (angle * angle.cos() - angle.sin()) / (angle * input)
    return slope.masked_fill(input == 0, 0)


gradient(sinc, input=lambda grad, input: grad * _sinc_slope(input).conj())
