"""The gamma function's family, in float64."""

from __future__ import annotations

import math

import numpy as np

from fakel.ops.numerics.support import elementwise

# Bernoulli numbers B2, B4, ...
_BERNOULLI = (1 / 6, -1 / 30, 1 / 42, -1 / 30, 5 / 66, -691 / 2730, 7 / 6, -3617 / 510)
# Asymptotic series start from here.
_LARGE = 10.0
_PRECISION = 1e-16
_MOST_TERMS = 5000


def _log_gamma(x: float) -> float:
    if math.isinf(x) or (x <= 0 and x == math.floor(x)):
        return math.inf
    try:
        return math.lgamma(x)
    except OverflowError:
        return math.inf


lgamma = elementwise(_log_gamma)


def digamma(x: np.ndarray) -> np.ndarray:
    """The derivative of lgamma: infinite at zero (minus its sign), nan at negative integers."""
    x = np.asarray(x, np.float64)
    reflected = x < 0
    argument = np.where(reflected, 1 - x, x)
    argument = np.where(argument == 0, 1.0, argument)
    result = np.zeros_like(argument)
    for _ in range(int(_LARGE)):
        small = argument < _LARGE
        result = np.where(small, result - 1 / argument, result)
        argument = np.where(small, argument + 1, argument)
    inverse = 1 / (argument * argument)
    tail = np.zeros_like(argument)
    for index in range(len(_BERNOULLI), 0, -1):
        tail = inverse * (_BERNOULLI[index - 1] / (2 * index) + tail)
    result = result + np.log(argument) - 0.5 / argument - tail
    fraction = x - np.trunc(x)
    result = np.where(reflected, result - math.pi / np.tan(math.pi * fraction), result)
    result = np.where(reflected & (fraction == 0), np.nan, result)
    result = np.where(x == 0, np.copysign(np.inf, -x), result)
    return np.where(np.isposinf(x), np.inf, result)


def zeta(s: np.ndarray, q: np.ndarray) -> np.ndarray:
    """Hurwitz's zeta function sum (q + k)^-s by Euler and Maclaurin's formula.

    Infinite for s = 1 and at non-positive integers q, nan for s < 1 and for negative q with a
    fractional s.
    """
    s, q = np.broadcast_arrays(np.asarray(s, np.float64), np.asarray(q, np.float64))
    pole = (q <= 0) & (q == np.floor(q))
    undefined = (s < 1) | ((q <= 0) & ~pole & (s != np.floor(s))) | np.isnan(q) | np.isnan(s)
    infinite = np.isposinf(q)
    valid = ~pole & ~undefined & ~infinite & (s != 1)
    exponent = np.where(valid, s, 2.0)
    argument = np.where(valid, q, 1.0)
    negative = argument < 0
    if negative.any():
        # terms above and below zero are sums of their own, from the distances f and 1 - f on
        fraction = argument - np.floor(argument)
        above = _zeta_of_positive(exponent, np.where(negative, fraction, argument))
        below = _zeta_of_positive(exponent, np.where(negative, 1 - fraction, 1.0))
        beyond = _zeta_of_positive(exponent, np.where(negative, 1 - argument, 1.0))
        sign = np.where(exponent % 2 == 0, 1.0, -1.0)
        result = np.where(negative, above + sign * (below - beyond), above)
    else:
        result = _zeta_of_positive(exponent, argument)
    result = np.where(undefined, np.nan, np.where(infinite, 0.0, result))
    return np.where((s == 1) | (pole & (s > 1)), np.inf, result)


def _zeta_of_positive(exponent: np.ndarray, argument: np.ndarray) -> np.ndarray:
    result = np.zeros(exponent.shape)
    for _ in range(int(_LARGE)):
        small = argument < _LARGE
        if not small.any():
            break
        result = np.where(small, result + np.power(argument, -exponent), result)
        argument = np.where(small, argument + 1, argument)
    power = np.power(argument, -exponent)
    result = result + power * (argument / (exponent - 1) + 0.5)
    factor = exponent * power / argument
    for index, number in enumerate(_BERNOULLI):
        order = 2 * index + 2
        result = result + factor * (number / math.factorial(order))
        factor = factor * (exponent + order - 1) * (exponent + order) / (argument * argument)
    return result


def polygamma(order: int, x: np.ndarray) -> np.ndarray:
    """The derivative of digamma, `order` times."""
    if order == 0:
        return digamma(x)
    sign = 1.0 if order % 2 else -1.0
    return sign * math.factorial(order) * zeta(np.asarray(order + 1.0), x)


def _incomplete_series(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """P(a, x) over its leading factor, for x < a + 1."""
    term = 1 / a
    total = term.copy()
    for k in range(1, _MOST_TERMS):
        term = term * x / (a + k)
        total += term
        if not (np.abs(term) > _PRECISION * np.abs(total)).any():
            break
    return total


def _incomplete_fraction(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Q(a, x) over its leading factor, for x >= a + 1: Lentz's continued fraction."""
    tiny = 1e-300
    b = x + 1 - a
    c = np.full_like(b, 1 / tiny)
    d = 1 / np.where(b == 0, tiny, b)
    fraction = d.copy()
    for k in range(1, _MOST_TERMS):
        numerator = -k * (k - a)
        b = b + 2
        d = numerator * d + b
        d = 1 / np.where(np.abs(d) < tiny, tiny, d)
        c = b + numerator / c
        c = np.where(np.abs(c) < tiny, tiny, c)
        step = c * d
        fraction = fraction * step
        if not (np.abs(step - 1) > _PRECISION).any():
            break
    return fraction


def _incomplete(a: np.ndarray, x: np.ndarray, upper: bool) -> np.ndarray:
    a, x = np.broadcast_arrays(np.asarray(a, np.float64), np.asarray(x, np.float64))
    valid = (a > 0) & (x > 0) & np.isfinite(a) & np.isfinite(x)
    by_series = valid & (x < a + 1)
    by_fraction = valid & (x >= a + 1)
    result = np.empty(a.shape)
    for mask, method, is_upper in (
        (by_series, _incomplete_series, False),
        (by_fraction, _incomplete_fraction, True),
    ):
        order, argument = a[mask], x[mask]
        leading = np.exp(order * np.log(argument) - argument - lgamma(order))
        part = leading * method(order, argument)
        result[mask] = part if is_upper == upper else 1 - part
    # edges: P(a, 0) = 0, P(0, x) = 1, P(a, inf) = 1, P(inf, x) = 0
    lower = np.where((x == 0) | np.isinf(a), 0.0, 1.0)
    undefined = (a < 0) | (x < 0) | np.isnan(a) | np.isnan(x)
    undefined |= ((a == 0) & (x == 0)) | (np.isinf(a) & np.isinf(x))
    edge = np.where(undefined, np.nan, 1 - lower if upper else lower)
    return np.where(valid, result, edge)


def igamma(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The regularised lower incomplete gamma function P(a, x)."""
    return _incomplete(a, x, upper=False)


def igammac(a: np.ndarray, x: np.ndarray) -> np.ndarray:
    """The regularised upper incomplete gamma function Q(a, x)."""
    return _incomplete(a, x, upper=True)
