"""Normal numbers from uniform ones, in blocks of 16 as PyTorch makes them for 16 elements or more.

A block's first eight uniforms give the radii, its last eight the angles; cosines go to the first
half, sines to the second (G. Box and M. Muller, "A note on the generation of random normal
deviates", 1958).

For float32 PyTorch takes logarithm, sine and cosine from Pommier's vectorised Cephes routines, on
x86 with AVX2 at least; elsewhere from the C library, which differs in the last bits. The same
polynomials are evaluated here, with the same fused multiplications, so that the numbers agree
in the last bit. A fused multiplication in float32 is one in float64, rounded.
"""

from __future__ import annotations

import math

import numpy as np

from fakel.tensor.arithmetic import by_c_library, fused_multiply_add

_PAIRS = 16384  # worked on at a time, so that the intermediate arrays stay in the caches

_LOG = (
    7.0376836292e-2,
    -1.1514610310e-1,
    1.1676998740e-1,
    -1.2420140846e-1,
    1.4249322787e-1,
    -1.6668057665e-1,
    2.0000714765e-1,
    -2.4999993993e-1,
    3.3333331174e-1,
)
_LN2_HIGH, _LN2_LOW = 0.693359375, -2.12194440e-4
_SQRT_HALF = np.float32(0.707106781186547524)
_SINE = (-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1)
_COSINE = (2.443315711809948e-005, -1.388731625493765e-003, 4.166664568298827e-002)
_QUARTER_PI = (0.78515625, 2.4187564849853515625e-4, 3.77489497744594108e-8)
_FOUR_OVER_PI = np.float32(1.27323954473516)
_TWO_PI = np.float32(2 * math.pi)
_TINY = np.float32(np.finfo(np.float32).smallest_normal)


def _rounded(x: np.ndarray) -> np.ndarray:
    """Rounds float64 numbers to float32 in place."""
    x[...] = x.astype(np.float32)
    return x


def _fused(a: np.ndarray, b: np.ndarray | float, c: np.ndarray | float) -> np.ndarray:
    """``a * b + c`` in float64 arrays that hold float32 values, rounded once to float32."""
    result = a * b
    result += c
    return _rounded(result)


def _polynomial(x: np.ndarray, coefficients: tuple[float, ...]) -> np.ndarray:
    """Horner's rule, highest power first; float32 values in float64 arrays."""
    first, *rest = (float(np.float32(c)) for c in coefficients)
    value = _fused(x, first, rest[0])
    for coefficient in rest[1:]:
        value = _fused(value, x, coefficient)
    return value


def _log(x: np.ndarray) -> np.ndarray:
    """The natural logarithm of positive float32 numbers, as float64 that hold float32 values."""
    bits = np.maximum(x, _TINY).view(np.uint32)
    exponent = (bits >> 23).astype(np.float64) - 126
    mantissa = ((bits & 0x807FFFFF) | 0x3F000000).view(np.float32)  # in [0.5, 1)
    small = mantissa < _SQRT_HALF
    exponent -= small
    mantissa = np.where(small, mantissa - np.float32(1) + mantissa, mantissa - np.float32(1))
    y = mantissa.astype(np.float64)
    square = _rounded(y * y)
    value = _rounded(_polynomial(y, _LOG) * y)
    value = _fused(value, square, _rounded(exponent * float(np.float32(_LN2_LOW))))
    value = _fused(square, -0.5, value)
    return _fused(exponent, _LN2_HIGH, _rounded(y + value))


def _cosine_and_sine(x: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Cosine and sine of float32 numbers that are not negative, as float32."""
    octant = ((x * _FOUR_OVER_PI).astype(np.int32) + 1) & ~1
    quarter = octant.astype(np.float64)
    reduced = x.astype(np.float64)
    for part in _QUARTER_PI:
        reduced = _fused(quarter, -float(np.float32(part)), reduced)
    square = _rounded(reduced * reduced)
    cosine = _rounded(_polynomial(square, _COSINE) * square)
    cosine = _fused(cosine, square, square * -0.5)
    cosine = (cosine + 1).astype(np.float32)
    sine = _rounded(_polynomial(square, _SINE) * square)
    sine = (sine * reduced + reduced).astype(np.float32)
    swapped = (octant & 2) != 0
    sine, cosine = np.where(swapped, cosine, sine), np.where(swapped, sine, cosine)
    np.negative(sine, out=sine, where=(octant & 4) != 0)
    np.negative(cosine, out=cosine, where=((octant + 2) & 4) != 0)
    return cosine, sine


def _pairs_float32(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    log = _log(np.float32(1) - first).astype(np.float32)
    radius = np.sqrt(np.float32(-2) * log)
    cosine, sine = _cosine_and_sine(_TWO_PI * second)
    return radius * cosine, radius * sine


def _pairs_float64(first: np.ndarray, second: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    radius = np.sqrt(-2 * by_c_library(math.log, 1 - first))
    angle = (2 * math.pi) * second
    return radius * by_c_library(math.cos, angle), radius * by_c_library(math.sin, angle)


def normal_blocks(uniform: np.ndarray, mean: float, std: float) -> np.ndarray:
    """Normal numbers from as many uniform ones from [0, 1), float32 or float64.

    Args:
        uniform: a flat array, whose length is a multiple of 16.
        mean: mean of the normal numbers.
        std: their standard deviation.
    """
    pairs = _pairs_float32 if uniform.dtype == np.float32 else _pairs_float64
    blocks = uniform.reshape(-1, 2, 8)
    result = np.empty_like(blocks)
    for start in range(0, len(blocks), _PAIRS // 8):
        chunk = blocks[start : start + _PAIRS // 8]
        first, second = pairs(chunk[:, 0], chunk[:, 1])
        result[start : start + _PAIRS // 8, 0] = first
        result[start : start + _PAIRS // 8, 1] = second
    return fused_multiply_add(result.reshape(-1), std, mean)
