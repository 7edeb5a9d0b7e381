"""Multiplication and addition with one rounding, as PyTorch's kernels do them."""

from __future__ import annotations

import numpy as np

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
    return np.asarray(np.multiply(a, b, dtype=wider) + c).astype(kind)
