"""Arithmetic that NumPy lacks and that equal random numbers need: fused multiplication, libm."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

_SPLITTER = float(2**27 + 1)


def fused_multiply_add(values: np.ndarray, factor: float, addend: float) -> np.ndarray:
    """``values * factor + addend`` rounded once, as compilers contract it on machines that can.

    Args:
        values: float32 or float64; the numbers are rounded to this type first.
        factor: a number.
        addend: a number.
    """
    kind = values.dtype.type
    factor, addend = float(kind(factor)), float(kind(addend))
    if addend == 0 or factor == 1:
        exact: np.ndarray = values * kind(factor) + kind(addend)
        return exact
    if kind is np.float32:
        wide: np.ndarray = values.astype(np.float64) * factor + addend
        return wide.astype(np.float32)
    return fused_float64(values, factor, addend)


def fused_float64(values: Any, factor: Any, addend: Any) -> np.ndarray:
    """``values * factor + addend`` of float64, rounded once; NaN where a part overflows."""
    # Dekker's exact product and Knuth's exact sum ("A floating-point technique for extending the
    # available precision", 1971): product + product_error and total + sum_error have no rounding
    product = values * factor
    values_high = _high_half(values)
    factor_high = _high_half(factor)
    values_low, factor_low = values - values_high, factor - factor_high
    product_error = values_high * factor_high - product
    product_error += values_high * factor_low + values_low * factor_high
    product_error += values_low * factor_low
    total = product + addend
    shift = total - product
    sum_error = (product - (total - shift)) + (addend - shift)
    result: np.ndarray = total + (sum_error + product_error)
    return result


def _high_half(x: Any) -> Any:
    scaled = x * _SPLITTER
    return scaled - (scaled - x)


def by_c_library(function: Callable[[float], float], values: np.ndarray) -> np.ndarray:
    """Applies a function of ``math`` to every number.

    NumPy's own vectorised functions differ from the C library's in the last bit of a float64.
    """
    numbers = map(function, values.ravel().tolist())
    return np.fromiter(numbers, np.float64, values.size).reshape(values.shape)
