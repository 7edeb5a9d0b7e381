"""Orthogonal polynomials by their three-term recurrences, in float64.

The degree may differ from element to element; a negative degree gives zero.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Array = np.ndarray


def _recurrence(
    first: Callable[[Array], Array], step: Callable[[int, Array, Array, Array], Array]
) -> Callable[[Array, Array], Array]:
    """The polynomial with p0 = 1, p1 = first(x) and p(k + 1) = step(k, x, pk, p(k - 1))."""

    def polynomial(x: Array, n: Array) -> Array:
        x, n = np.broadcast_arrays(np.asarray(x, np.float64), np.trunc(n))
        result = np.where(n < 0, 0.0, 1.0)
        previous, current = np.ones_like(x), np.asarray(first(x))
        highest = int(n.max()) if n.size else 0
        for k in range(1, highest + 1):
            result = np.where(n == k, current, result)
            previous, current = current, step(k, x, current, previous)
        return result

    return polynomial


def _chebyshev(first: Callable[[Array], Array]) -> Callable[[Array, Array], Array]:
    return _recurrence(first, lambda k, x, p, q: 2 * x * p - q)


def _shifted(polynomial: Callable[[Array, Array], Array]) -> Callable[[Array, Array], Array]:
    return lambda x, n: polynomial(2 * np.asarray(x, np.float64) - 1, n)


chebyshev_t = _chebyshev(lambda x: x)
chebyshev_u = _chebyshev(lambda x: 2 * x)
chebyshev_v = _chebyshev(lambda x: 2 * x - 1)
chebyshev_w = _chebyshev(lambda x: 2 * x + 1)
shifted_chebyshev_t = _shifted(chebyshev_t)
shifted_chebyshev_u = _shifted(chebyshev_u)
shifted_chebyshev_v = _shifted(chebyshev_v)
shifted_chebyshev_w = _shifted(chebyshev_w)
hermite_h = _recurrence(lambda x: 2 * x, lambda k, x, p, q: 2 * x * p - 2 * k * q)
hermite_he = _recurrence(lambda x: x, lambda k, x, p, q: x * p - k * q)
laguerre_l = _recurrence(
    lambda x: 1 - x, lambda k, x, p, q: ((2 * k + 1 - x) * p - k * q) / (k + 1)
)
legendre_p = _recurrence(lambda x: x, lambda k, x, p, q: ((2 * k + 1) * x * p - k * q) / (k + 1))
