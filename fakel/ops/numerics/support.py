"""Helpers of the special functions."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def elementwise(function: Callable[[float], float]) -> Callable[[np.ndarray], np.ndarray]:
    """A function of floats, as a function of arrays."""

    def over_array(x: np.ndarray) -> np.ndarray:
        x = np.asarray(x)
        values = map(function, x.ravel().tolist())
        return np.fromiter(values, np.float64, x.size).reshape(x.shape)

    over_array.__name__ = over_array.__qualname__ = function.__name__
    return over_array
