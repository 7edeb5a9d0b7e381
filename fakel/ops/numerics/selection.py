"""Partial sorts that leave equal elements in the order in which C++'s standard library does.

PyTorch's `topk`, `kthvalue` and `mode` say nothing about which of several equal elements they pick;
what they pick follows from the algorithms below, which work on (key, index) pairs. Every function
takes the pairs and a comparison, and reorders the pairs in place.

The first three are the introselect, heap select and introsort of GNU's libstdc++ (Musser,
"Introspective sorting and selection algorithms", 1997), the last is quickselect with the median of
three (Hoare, "Algorithm 65: find", 1961).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Pairs = list[tuple[Any, int]]
Before = Callable[[Any, Any], bool]

_SMALL_SELECT = 3
_SMALL_SORT = 16


def select_nth(pairs: Pairs, nth: int, before: Before) -> None:
    """Puts the nth pair where sorting would, none behind it before any in front."""
    first, last = 0, len(pairs)
    depth = 2 * _floor_log2(last)
    while last - first > _SMALL_SELECT:
        if depth == 0:
            _heap_select(pairs, first, nth + 1, last, before)
            pairs[first], pairs[nth] = pairs[nth], pairs[first]
            return
        depth -= 1
        cut = _partition(pairs, first, last, before)
        if cut <= nth:
            first = cut
        else:
            last = cut
    _insertion_sort(pairs, first, last, before)


def sort_first(pairs: Pairs, middle: int, before: Before) -> None:
    """Puts the first ``middle`` pairs of the sorted order in front, sorted."""
    _heap_select(pairs, 0, middle, len(pairs), before)
    _sort_heap(pairs, 0, middle, before)


def sort_range(pairs: Pairs, last: int, before: Before) -> None:
    """Sorts the first ``last`` pairs."""
    _sort_loop(pairs, 0, last, 2 * _floor_log2(last), before)
    _insertion_sort(pairs, 0, min(last, _SMALL_SORT), before)
    for position in range(_SMALL_SORT, last):
        _insert(pairs, position, before)


def _floor_log2(number: int) -> int:
    return max(number.bit_length() - 1, 0)


def _sort_loop(pairs: Pairs, first: int, last: int, depth: int, before: Before) -> None:
    while last - first > _SMALL_SORT:
        if depth == 0:
            _heap_select(pairs, first, last, last, before)
            _sort_heap(pairs, first, last, before)
            return
        depth -= 1
        cut = _partition(pairs, first, last, before)
        _sort_loop(pairs, cut, last, depth, before)
        last = cut


def _partition(pairs: Pairs, first: int, last: int, before: Before) -> int:
    """Moves a median of three to the front and splits the rest around it."""
    a, b, c = first + 1, first + (last - first) // 2, last - 1
    low, high = (a, b) if before(pairs[a][0], pairs[b][0]) else (b, a)
    if before(pairs[high][0], pairs[c][0]):
        median = high
    else:
        median = c if before(pairs[low][0], pairs[c][0]) else low
    pairs[first], pairs[median] = pairs[median], pairs[first]
    pivot = pairs[first][0]
    low, high = first + 1, last
    while True:
        while before(pairs[low][0], pivot):
            low += 1
        high -= 1
        while before(pivot, pairs[high][0]):
            high -= 1
        if low >= high:
            return low
        pairs[low], pairs[high] = pairs[high], pairs[low]
        low += 1


def _insertion_sort(pairs: Pairs, first: int, last: int, before: Before) -> None:
    for position in range(first + 1, last):
        if before(pairs[position][0], pairs[first][0]):
            pairs.insert(first, pairs.pop(position))
        else:
            _insert(pairs, position, before)


def _insert(pairs: Pairs, position: int, before: Before) -> None:
    pair = pairs[position]
    while before(pair[0], pairs[position - 1][0]):
        pairs[position] = pairs[position - 1]
        position -= 1
    pairs[position] = pair


def _heap_select(pairs: Pairs, first: int, middle: int, last: int, before: Before) -> None:
    size = middle - first
    for parent in range((size - 2) // 2, -1, -1):
        _sift(pairs, first, parent, size, pairs[first + parent], before)
    for position in range(middle, last):
        if before(pairs[position][0], pairs[first][0]):
            pair = pairs[position]
            pairs[position] = pairs[first]
            _sift(pairs, first, 0, size, pair, before)


def _sort_heap(pairs: Pairs, first: int, last: int, before: Before) -> None:
    while last - first > 1:
        last -= 1
        pair = pairs[last]
        pairs[last] = pairs[first]
        _sift(pairs, first, 0, last - first, pair, before)


def _sift(pairs: Pairs, first: int, hole: int, size: int, pair: Any, before: Before) -> None:
    """Moves the hole down to a leaf, then puts the pair in and lets it rise."""
    top, child = hole, hole
    while child < (size - 1) // 2:
        child = 2 * (child + 1)
        if before(pairs[first + child][0], pairs[first + child - 1][0]):
            child -= 1
        pairs[first + hole] = pairs[first + child]
        hole = child
    if size % 2 == 0 and child == (size - 2) // 2:
        child = 2 * child + 1
        pairs[first + hole] = pairs[first + child]
        hole = child
    parent = (hole - 1) // 2
    while hole > top and before(pairs[first + parent][0], pair[0]):
        pairs[first + hole] = pairs[first + parent]
        hole, parent = parent, (parent - 1) // 2
    pairs[first + hole] = pair


def quick_select(pairs: Pairs, k: int, before: Before) -> None:
    """Puts the k-th pair where sorting would."""
    low, high = 0, len(pairs) - 1

    def swap_if_after(a: int, b: int) -> None:
        if before(pairs[b][0], pairs[a][0]):
            pairs[a], pairs[b] = pairs[b], pairs[a]

    while high > low:
        if high == low + 1:
            swap_if_after(low, high)
            return
        middle = low + (high - low) // 2
        pairs[middle], pairs[low + 1] = pairs[low + 1], pairs[middle]
        swap_if_after(low + 1, high)
        swap_if_after(low, high)
        swap_if_after(low + 1, low)
        up, down, pivot = low + 1, high, pairs[low][0]
        while True:
            up += 1
            while before(pairs[up][0], pivot):
                up += 1
            down -= 1
            while before(pivot, pairs[down][0]):
                down -= 1
            if down < up:
                break
            pairs[up], pairs[down] = pairs[down], pairs[up]
        pairs[low], pairs[down] = pairs[down], pairs[low]
        if down <= k:
            low = up
        if down >= k:
            high = down - 1
