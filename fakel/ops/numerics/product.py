"""Matrix products of NumPy arrays that stay accurate over many terms."""

import numpy as np

# float32 terms that BLAS may add up one after the other
_BLOCK = 384


def product(left: np.ndarray, right: np.ndarray) -> np.ndarray:
    """``np.matmul``, for float32 with the sums of blocks put together in float64."""
    depth = left.shape[-1]
    if depth <= _BLOCK or left.dtype != np.float32:
        return np.asarray(np.matmul(left, right))
    inner = 0 if right.ndim == 1 else -2
    blocks = range(_BLOCK, depth, _BLOCK)
    pairs = zip(np.split(left, blocks, -1), np.split(right, blocks, inner), strict=True)
    total = np.float64(0.0)
    for one, other in pairs:
        total = total + np.matmul(one, other)
    return np.asarray(total, np.float32)
