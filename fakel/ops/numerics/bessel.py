"""Bessel functions of order zero and one, and Airy's Ai, in float64.

Small arguments use Miller's backward recurrence or power series, large ones Hankel's asymptotic
expansions; the modified functions of the second kind are integrals that the trapezoidal rule
computes to machine precision. Formula numbers are of the NIST Digital Library of Mathematical
Functions (https://dlmf.nist.gov).
"""

from __future__ import annotations

import math

import numpy as np

_EULER = 0.5772156649015328606
# From here on the asymptotic expansions reach machine precision.
_FAR = 25.0
_RECURRENCE_START = 80
_ASYMPTOTIC_TERMS = 24
_QUADRATURE_POINTS = 60
# exp(-40) is below the precision of float64.
_DECAY = 40.0


def _miller(x: np.ndarray, sign: int) -> tuple[np.ndarray, ...]:
    """Orders 0 and 1 of J (sign -1) or of exp(-x) I (sign 1) for 0 < x < 25, recurring backwards.

    Also the two sums that Y0 and Y1 need: sum (-1)^k J_2k / k and sum (-1)^k J'_2k / k.
    """
    next_order = np.zeros_like(x)
    order = np.full_like(x, 1e-280)
    norm = np.zeros_like(x)
    values_sum = np.zeros_like(x)
    slopes_sum = np.zeros_like(x)
    for n in range(_RECURRENCE_START, 0, -1):
        previous = (2 * n / x) * order + sign * next_order
        if sign > 0:
            norm += 2 * order
        elif n % 2 == 0:
            weight = (-1) ** (n // 2) / (n // 2)
            norm += 2 * order
            values_sum += weight * order
            slopes_sum += weight * (previous - next_order) / 2
        order, next_order = previous, order
        scale = np.where(np.abs(order) > 1e200, 1e-200, 1.0)
        order, next_order, norm = order * scale, next_order * scale, norm * scale
        values_sum, slopes_sum = values_sum * scale, slopes_sum * scale
    norm += order
    return order / norm, next_order / norm, values_sum / norm, slopes_sum / norm


def _hankel(order: float, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The sums P and Q of Hankel's expansion (10.17.3) for large x."""
    p, q = np.ones_like(x), np.zeros_like(x)
    term = np.ones_like(x)
    for k in range(1, _ASYMPTOTIC_TERMS):
        term = term * (4 * order * order - (2 * k - 1) ** 2) / (8 * k * x)
        if k % 2:
            q += term if k % 4 == 1 else -term
        else:
            p += term if k % 4 == 0 else -term
    return p, q


def _first_and_second_kind(order: int, x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """J and Y of the order at |x|; Y is meant for x > 0 only."""
    x = np.abs(np.asarray(x, np.float64))
    near = np.clip(x, 1e-8, _FAR)
    j0, j1, values_sum, slopes_sum = _miller(near, -1)
    logarithm = np.log(near / 2) + _EULER
    if order == 0:
        j = j0
        y = (2 / math.pi) * (logarithm * j0 - 2 * values_sum)
    else:
        j = j1
        y = (2 / math.pi) * (logarithm * j1 - j0 / near + 2 * slopes_sum)
    # below 1e-8 the leading terms are exact
    tiny = x < 1e-8
    small = np.where(tiny, x, 1e-8)
    if order == 0:
        j = np.where(tiny, 1.0, j)
        y = np.where(tiny, (2 / math.pi) * (np.log(small / 2) + _EULER), y)
    else:
        j = np.where(tiny, small / 2, j)
        y = np.where(tiny, -2 / (math.pi * small), y)
    far = np.where(x > _FAR, x, _FAR)
    p, q = _hankel(order, far)
    phase = far - (2 * order + 1) * math.pi / 4
    amplitude = np.sqrt(2 / (math.pi * far))
    far_j = amplitude * (p * np.cos(phase) - q * np.sin(phase))
    far_y = amplitude * (p * np.sin(phase) + q * np.cos(phase))
    unknown = np.where(np.isnan(x), np.nan, 0.0)
    return np.where(x > _FAR, far_j, j) + unknown, np.where(x > _FAR, far_y, y) + unknown


def j0(x: np.ndarray) -> np.ndarray:
    """J0, of the first kind."""
    return _first_and_second_kind(0, x)[0]


def j1(x: np.ndarray) -> np.ndarray:
    """J1, of the first kind."""
    return np.where(np.asarray(x) < 0, -1.0, 1.0) * _first_and_second_kind(1, x)[0]


def _second_kind(order: int, x: np.ndarray) -> np.ndarray:
    x = np.asarray(x, np.float64)
    positive = np.where(x > 0, x, 1.0)
    result = _first_and_second_kind(order, positive)[1]
    return np.where(x > 0, result, np.where(x == 0, -np.inf, np.nan))


def y0(x: np.ndarray) -> np.ndarray:
    """Y0, of the second kind: minus infinity at zero, nan below."""
    return _second_kind(0, x)


def y1(x: np.ndarray) -> np.ndarray:
    """Y1, of the second kind: minus infinity at zero, nan below."""
    return _second_kind(1, x)


def _scaled_first(order: int, x: np.ndarray) -> np.ndarray:
    """exp(-|x|) I(x) for |x|."""
    x = np.abs(np.asarray(x, np.float64))
    near = np.clip(x, 1e-8, _FAR)
    result = _miller(near, 1)[order]
    tiny = x < 1e-8
    result = np.where(tiny, np.exp(-x) * (1.0 if order == 0 else x / 2), result)
    far = np.where(x > _FAR, x, _FAR)
    term, total = np.ones_like(far), np.ones_like(far)
    for k in range(1, _ASYMPTOTIC_TERMS):
        term = -term * (4 * order * order - (2 * k - 1) ** 2) / (8 * k * far)
        total += term
    return np.where(x > _FAR, total / np.sqrt(2 * math.pi * far), result) + np.where(
        np.isnan(x), np.nan, 0.0
    )


def i0e(x: np.ndarray) -> np.ndarray:
    """exp(-|x|) I0(x)."""
    return _scaled_first(0, x)


def i1e(x: np.ndarray) -> np.ndarray:
    """exp(-|x|) I1(x)."""
    return np.where(np.asarray(x) < 0, -1.0, 1.0) * _scaled_first(1, x)


def i0(x: np.ndarray) -> np.ndarray:
    """I0, modified of the first kind."""
    return np.exp(np.abs(x)) * i0e(x)


def i1(x: np.ndarray) -> np.ndarray:
    """I1, modified of the first kind."""
    return np.exp(np.abs(x)) * i1e(x)


def _scaled_second(order: float, x: np.ndarray) -> np.ndarray:
    """exp(x) K(x) for x > 0: the integral (10.32.9) of exp(-x (cosh t - 1)) cosh(order t)."""
    end = np.arccosh(1 + _DECAY / x) * (1 + 0.02 * order)
    step = end / _QUADRATURE_POINTS
    total = np.full_like(x, 0.5)
    for k in range(1, _QUADRATURE_POINTS + 1):
        t = k * step
        half = np.sinh(t / 2)
        total += np.exp(-2 * x * half * half) * np.cosh(order * t)
    return total * step


def _small_second(order: int, x: np.ndarray) -> np.ndarray:
    """K0 or K1 for 0 < x <= 1 by its power series (10.31.1, 10.31.2)."""
    quarter = x * x / 4
    logarithm = np.log(x / 2)
    total = np.zeros_like(x)
    first = np.zeros_like(x)
    term = np.ones_like(x)
    harmonic = 0.0
    for k in range(12):
        if order == 0:
            total += term * (harmonic - _EULER)
        else:
            total += term * (2 * harmonic + 1 / (k + 1) - 2 * _EULER)
        first += term
        term = term * quarter / ((k + 1) * (k + 1 + order))
        harmonic += 1 / (k + 1)
    if order == 0:
        return total - logarithm * first
    return 1 / x + logarithm * first * x / 2 - x / 4 * total


def _modified_second(order: int, x: np.ndarray, scaled: bool) -> np.ndarray:
    x = np.asarray(x, np.float64)
    near = np.clip(x, 1e-300, 1.0)
    small = _small_second(order, near)
    far = np.where((x > 1) & np.isfinite(x), x, 1.0)
    large = _scaled_second(order, far)
    if scaled:
        small = small * np.exp(near)
    else:
        large = large * np.exp(-far)
    result = np.where(x > 1, np.where(np.isfinite(x), large, 0.0), small)
    return np.where(x > 0, result, np.where(x == 0, np.inf, np.nan))


def k0(x: np.ndarray) -> np.ndarray:
    """K0, modified of the second kind: infinite at zero, nan below."""
    return _modified_second(0, x, scaled=False)


def k1(x: np.ndarray) -> np.ndarray:
    """K1, modified of the second kind: infinite at zero, nan below."""
    return _modified_second(1, x, scaled=False)


def k0e(x: np.ndarray) -> np.ndarray:
    """exp(x) K0(x)."""
    return _modified_second(0, x, scaled=True)


def k1e(x: np.ndarray) -> np.ndarray:
    """exp(x) K1(x)."""
    return _modified_second(1, x, scaled=True)


def _airy_series(x: np.ndarray) -> np.ndarray:
    """Ai by its Maclaurin series (9.4.1), for -8 <= x <= 1."""
    cube = x * x * x
    f, g = np.ones_like(x), x.copy()
    f_term, g_term = np.ones_like(x), x.copy()
    for k in range(1, 50):
        f_term = f_term * cube / ((3 * k - 1) * (3 * k))
        g_term = g_term * cube / ((3 * k) * (3 * k + 1))
        f += f_term
        g += g_term
    at_zero = 1 / (3 ** (2 / 3) * math.gamma(2 / 3))
    slope_at_zero = 1 / (3 ** (1 / 3) * math.gamma(1 / 3))
    return at_zero * f - slope_at_zero * g


def airy_ai(x: np.ndarray) -> np.ndarray:
    """Airy's function Ai."""
    x = np.asarray(x, np.float64)
    series = _airy_series(np.clip(x, -8.0, 1.0))
    right = np.clip(x, 1.0, 200.0)
    argument = 2 / 3 * right**1.5
    decaying = np.sqrt(right / 3) / math.pi * np.exp(-argument) * _scaled_second(1 / 3, argument)
    left = np.where((x < -8) & np.isfinite(x), -x, 8.0)
    phase = 2 / 3 * left**1.5
    p, q = _hankel(1 / 3, phase)
    angle = phase - math.pi / 4
    oscillating = (p * np.cos(angle) - q * np.sin(angle)) / (math.sqrt(math.pi) * left**0.25)
    result = np.where(x > 1, decaying, np.where(x < -8, oscillating, series))
    return np.where(np.isfinite(x), result, np.nan)


def spherical_j0(x: np.ndarray) -> np.ndarray:
    """The spherical Bessel function sin(x) / x."""
    x = np.asarray(x, np.float64)
    safe = np.where((x == 0) | np.isinf(x), 1.0, x)
    return np.where(x == 0, 1.0, np.where(np.isinf(x), 0.0, np.sin(safe) / safe))
