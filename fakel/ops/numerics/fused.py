"""Multiplication and addition with one rounding, as PyTorch's kernels do them."""

from __future__ import annotations

import numpy as np

from fakel.tensor.arithmetic import fused_float64

# where products do not overflow, and those of float32 are exact
_WIDER = {np.dtype(np.float32): np.float64, np.dtype(np.float64): np.longdouble}


def multiply_add(a: np.ndarray, b: np.ndarray, c: np.ndarray) -> np.ndarray:
    """``a * b + c``, where only the sum is rounded, as IEEE 754's fusedMultiplyAdd: a product too
    large for the dtype may give a finite sum. Integers and complex numbers are taken as they are.
    """
    kind = np.result_type(a, b, c)
    wider = _WIDER.get(kind)
    if wider is None:
        return np.asarray(a * b + c)
    result = np.asarray(np.multiply(a, b, dtype=wider) + c).astype(kind)
    if kind != np.float64:
        return result
    # the wider sum is rounded before it is rounded again: where it overflows only, it is needed
    exact = fused_float64(np.asarray(a, kind), np.asarray(b, kind), np.asarray(c, kind))
    return np.where(np.isfinite(exact), exact, result)
