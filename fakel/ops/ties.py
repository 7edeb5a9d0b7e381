"""Which of several equal elements an operator picks, where PyTorch has no rule but a habit."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from fakel.ops.numerics import selection

# Longer lanes keep the first of equal elements: following PyTorch there would take too long.
LONGEST_LANE = 10_000
# up to which share of a lane PyTorch selects with a heap
_HEAP_SHARE = 64


def smaller(a: float, b: float) -> bool:
    """Whether a comes before b in ascending order, nan last."""
    return a < b or (b != b and a == a)


def larger(a: float, b: float) -> bool:
    """Whether a comes before b in descending order, nan first."""
    return a > b or (a != a and b == b)


def settle(
    indices: np.ndarray,
    array: np.ndarray,
    tied: np.ndarray,
    choose: Callable[[selection.Pairs], list[int]],
) -> None:
    """Replaces the indices of lanes (along the last dimension) with ties by PyTorch's choice.

    Args:
        indices: (..., k), changed in place.
        array: (..., n), the lanes.
        tied: (...), which lanes have ties that matter.
        choose: the k indices of a lane, given as pairs of value and index.
    """
    if array.shape[-1] > LONGEST_LANE:
        return
    for lane in zip(*np.nonzero(np.atleast_1d(tied)), strict=True):
        at = lane if tied.ndim else ()
        indices[at] = choose([(value, index) for index, value in enumerate(array[at].tolist())])


def equal_neighbours(ordered: np.ndarray) -> np.ndarray:
    """(..., n - 1): whether sorted elements equal the next one; nan equals nan."""
    left, right = ordered[..., :-1], ordered[..., 1:]
    return (left == right) | ((left != left) & (right != right))


def top(k: int, largest: bool) -> Callable[[selection.Pairs], list[int]]:
    """The choice of ``topk``."""
    before = larger if largest else smaller

    def choose(pairs: selection.Pairs) -> list[int]:
        if k * _HEAP_SHARE <= len(pairs):
            selection.sort_first(pairs, k, before)
        else:
            selection.select_nth(pairs, k - 1, before)
            selection.sort_range(pairs, k - 1, before)
        return [index for _, index in pairs[:k]]

    return choose


def nth(k: int) -> Callable[[selection.Pairs], list[int]]:
    """The choice of ``kthvalue``, k counted from 0."""

    def choose(pairs: selection.Pairs) -> list[int]:
        selection.quick_select(pairs, k, smaller)
        return [pairs[k][1]]

    return choose


def most_frequent(position: int) -> Callable[[selection.Pairs], list[int]]:
    """The choice of ``mode``: the position in sorted order."""

    def choose(pairs: selection.Pairs) -> list[int]:
        selection.sort_range(pairs, len(pairs), smaller)
        return [pairs[position][1]]

    return choose
