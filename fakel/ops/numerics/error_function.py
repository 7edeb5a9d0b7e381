"""The error function and its relatives, in float64."""

from __future__ import annotations

import math

import numpy as np

from fakel.ops.numerics.support import elementwise

_SQRT_PI = math.sqrt(math.pi)
_SQRT_2 = math.sqrt(2.0)

_erf = elementwise(math.erf)
erfc = elementwise(math.erfc)

# Single precision: erf(x) / x as a polynomial in x^2 for |x| <= 1, and exp(x^2) erfc(x) as one in
# 1 / (1 + |x| / 2) up to 4.2, lowest power first; Chebyshev fits with errors below 4e-9. Beyond,
# erf is 1.
_NEAR = (
    1.128379166,
    -0.376126269,
    0.1128359746,
    -0.0268543288,
    0.005189311943,
    -0.0008018854994,
    7.882497115e-05,
)
_FAR = (
    0.0005387505775,
    0.2744554661,
    0.3265717202,
    0.112748454,
    0.3866577513,
    -0.04376717781,
    -0.05796336445,
)
_BLOCK = 1 << 14


def _polynomial(coefficients: tuple[float, ...], x: np.ndarray) -> np.ndarray:
    result = np.full_like(x, coefficients[-1])
    for coefficient in coefficients[-2::-1]:
        result *= x
        result += x.dtype.type(coefficient)
    return result


def _single_erf(x: np.ndarray) -> np.ndarray:
    square = x * x
    size = np.minimum(np.abs(x), np.float32(4.2))
    far = 1 - np.exp(-size * size) * _polynomial(_FAR, 1 / (1 + size / 2))
    near = x * _polynomial(_NEAR, np.minimum(square, 1))
    result = np.where(size <= 1, near, np.copysign(far, x))
    return np.where(np.isnan(x), x, result)


def erf(x: np.ndarray) -> np.ndarray:
    """The error function: of float32 arrays in float32, of others in float64."""
    x = np.asarray(x)
    if x.dtype != np.float32:
        return _erf(x)
    flat = np.ascontiguousarray(x).reshape(-1)
    result = np.empty_like(flat)
    for start in range(0, flat.size, _BLOCK):
        result[start : start + _BLOCK] = _single_erf(flat[start : start + _BLOCK])
    return result.reshape(x.shape)


def _inverse_erfc_below_one(value: np.ndarray) -> np.ndarray:
    """z >= 0 with erfc(z) = value, for 0 < value <= 1.

    Starts from formula 26.2.23 of Abramowitz and Stegun and polishes with Halley's iteration.
    """
    t = np.sqrt(-2 * np.log(value / 2))
    start = t - (2.515517 + t * (0.802853 + t * 0.010328)) / (
        1 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    )
    z = start / _SQRT_2
    for _ in range(3):
        step = (erfc(z) - value) * (_SQRT_PI / 2) * np.exp(z * z)
        z = z + step / (1 + z * step)
    return z


def _inverse_erf_near_zero(value: np.ndarray) -> np.ndarray:
    """z with erf(z) = value for |value| <= 1/2."""
    z = value * (_SQRT_PI / 2) * (1 + (math.pi / 12) * value * value)
    for _ in range(4):
        step = (_erf(z) - value) * (_SQRT_PI / 2) * np.exp(z * z)
        z = z - step / (1 + z * step)
    return z


def erfinv(x: np.ndarray) -> np.ndarray:
    """The inverse of erf: infinite at -1 and 1, nan beyond."""
    x = np.asarray(x, np.float64)
    size = np.abs(x)
    near = _inverse_erf_near_zero(np.where(size <= 0.5, x, 0.0))
    inside = (size > 0.5) & (size < 1)
    far = _inverse_erfc_below_one(np.where(inside, 1 - size, 0.5))
    result = np.where(size <= 0.5, near, np.copysign(far, x))
    result = np.where(size == 1, np.copysign(np.inf, x), result)
    return np.where((size > 1) | np.isnan(x), np.nan, result)


def ndtri(p: np.ndarray) -> np.ndarray:
    """The quantile of the standard normal distribution."""
    p = np.asarray(p, np.float64)
    tail = np.minimum(p, 1 - p)
    inside = (tail > 0) & (tail <= 0.5)
    far = _SQRT_2 * _inverse_erfc_below_one(np.where(inside, 2 * tail, 1.0))
    result = np.where(p < 0.5, -far, far)
    result = np.where(p == 0, -np.inf, np.where(p == 1, np.inf, result))
    return np.where(inside | (p == 0) | (p == 1), result, np.nan)


def erfcx(x: np.ndarray) -> np.ndarray:
    """exp(x^2) erfc(x), without overflow for large x."""
    x = np.asarray(x, np.float64)
    near = np.where(x < 25, x, 0.0)
    direct = np.exp(near * near) * erfc(near)
    far = np.where(x < 25, 25.0, x)
    inverse = 1 / (2 * far * far)
    asymptotic = 1 - inverse * (1 - 3 * inverse * (1 - 5 * inverse * (1 - 7 * inverse)))
    return np.where(x >= 25, asymptotic / (far * _SQRT_PI), np.where(np.isnan(x), x, direct))


def ndtr(x: np.ndarray) -> np.ndarray:
    """The distribution function of the standard normal distribution."""
    return 0.5 * erfc(-np.asarray(x, np.float64) / _SQRT_2)


def log_ndtr(x: np.ndarray) -> np.ndarray:
    """The logarithm of ``ndtr``, accurate in the lower tail."""
    x = np.asarray(x, np.float64)
    low = np.where(x < -1, x, -1.0)
    tail = np.log(erfcx(-low / _SQRT_2) / 2) - low * low / 2
    body = np.log1p(-0.5 * erfc(np.where(x < -1, 0.0, x) / _SQRT_2))
    return np.where(x < -1, tail, body)
