"""Exponentials, logarithms and roots."""

from __future__ import annotations

import math

import numpy as np

from fakel import ops
from fakel.ops.checks import BOOL, COMPLEX, INTEGER, refuse
from fakel.ops.declare import Primitive, binary, gradient, operator, unary
from fakel.tensor import get_default_dtype

_LN_2 = math.log(2)
_LN_10 = math.log(10)

exp = unary("exp", np.exp, "float", documentation="e to the power of each element.")
gradient(exp, input=lambda grad, result: grad * result.conj())

exp2 = unary("exp2", np.exp2, "float", documentation="2 to the power of each element.")
gradient(exp2, input=lambda grad, result: grad * result.conj() * _LN_2)

expm1 = unary("expm1", np.expm1, "float", documentation="exp(x) - 1, accurate near 0.")
gradient(expm1, input=lambda grad, result: grad * (result.conj() + 1))

log = unary("log", np.log, "float", documentation="The natural logarithm.")
gradient(log, input=lambda grad, input: grad / input.conj())

log2 = unary("log2", np.log2, "float", documentation="The logarithm to base 2.")
gradient(log2, input=lambda grad, input: grad / (input.conj() * _LN_2))

log10 = unary("log10", np.log10, "float", documentation="The logarithm to base 10.")
gradient(log10, input=lambda grad, input: grad / (input.conj() * _LN_10))

log1p = unary(
    "log1p",
    np.log1p,
    "float",
    documentation="log(1 + x), accurate near 0.",
    backward_name="Log1PBackward0",
)
gradient(log1p, input=lambda grad, input: grad / (input + 1).conj())

sqrt = unary("sqrt", np.sqrt, "float", documentation="The square root.")
gradient(sqrt, input=lambda grad, result: grad / (2 * result.conj()))

rsqrt = unary(
    "rsqrt", lambda input: 1 / np.sqrt(input), "float", documentation="1 over the square root."
)
gradient(rsqrt, input=lambda grad, result: -0.5 * grad * (result * result * result).conj())


def _sigmoid(input):
    # exp(-|x|) never overflows
    small = np.exp(-np.abs(input)) if input.dtype.kind != "c" else None
    if small is None:
        return 1 / (1 + np.exp(-input))
    return np.where(input >= 0, 1, small) / (1 + small)


sigmoid = unary("sigmoid", _sigmoid, "float", documentation="1 / (1 + exp(-x)).")
gradient(sigmoid, input=lambda grad, result: grad * ((1 - result) * result).conj())

_logit = Primitive("logit", lambda input: np.log(input / (1 - input)))
gradient(
    _logit,
    input=lambda grad, input: ops.where(
        (input >= 0) & (input <= 1), grad / (input * (1 - input)), float("nan")
    ),
)
_clamped_logit_slope = lambda grad, input, eps: ops.where(  # noqa: E731
    (input >= eps) & (input <= 1 - eps), grad / (input * (1 - input)), 0.0
)


def _clamped_logit_meaning(input, *, eps):
    inside = np.minimum(np.maximum(input, input.dtype.type(eps)), input.dtype.type(1 - eps))
    return np.log(inside / (1 - inside))


_clamped_logit = Primitive("logit", _clamped_logit_meaning)
gradient(_clamped_logit, input=_clamped_logit_slope)


@operator(inplace=True)
def logit(input, eps=None):
    """log(x / (1 - x)), the inverse of sigmoid.

    Args:
        eps: numbers are first brought between eps and 1 - eps; None leaves them.
    """
    refuse("logit_cpu", input.dtype, COMPLEX)
    if not input.is_floating_point():
        input = input.to(get_default_dtype())
    return _logit(input) if eps is None or eps < 0 else _clamped_logit(input, eps=float(eps))


def _declare_logaddexp(name, meaning, exponential, documentation, also_refused=()):
    combine = binary(name, meaning, method=False)

    def share(grad, mine, other):
        return grad / (1 + getattr(other - mine, exponential)()).conj()

    gradient(
        combine,
        input=lambda grad, input, other: share(grad, input, other),
        other=lambda grad, input, other: share(grad, other, input),
    )

    def declared(input, other):
        refuse(f"{name}_cpu", input.dtype, BOOL, INTEGER, *also_refused)
        return combine(input, other)

    declared.__name__ = declared.__qualname__ = name
    declared.__doc__ = documentation
    return operator()(declared)


def logaddexp_of(input, other):
    """log(exp(input) + exp(other)) of arrays, also complex ones."""
    if input.dtype.kind != "c":
        return np.logaddexp(input, other)
    high = np.where(input.real >= other.real, input, other)
    low = np.where(input.real >= other.real, other, input)
    return high + np.log1p(np.exp(low - high))


logaddexp = _declare_logaddexp(
    "logaddexp", logaddexp_of, "exp", "log(exp(input) + exp(other)), without overflow."
)
logaddexp2 = _declare_logaddexp(
    "logaddexp2",
    np.logaddexp2,
    "exp2",
    "log2(2^input + 2^other), without overflow.",
    also_refused=(COMPLEX,),
)
