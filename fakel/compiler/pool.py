"""Arrays for programs' outputs, used again once nobody refers to them any longer."""

from __future__ import annotations

import sys
import weakref
from typing import Any, ClassVar

import numpy as np

# references to a pooled array that only its pool holds
_UNUSED = 2
# arrays that one pool keeps: while one is in use, the next run fills the other
_KEPT = 2


_MOST_NUMBERS = 64
_numbers: dict[int, tuple[Any, int]] = {}


class Pool:
    """The arrays of one output. ``pooled``: the ids of all pools' arrays."""

    pooled: ClassVar[set[int]] = set()

    def __init__(self, shape: tuple[int, ...], kind: Any) -> None:
        self.shape = shape
        self.kind = kind
        self.arrays: list[np.ndarray] = []
        self.addresses: list[int] = []

    def take(self) -> tuple[np.ndarray, int]:
        """An array with undefined contents, and its address."""
        arrays = self.arrays
        for position in range(len(arrays)):
            if sys.getrefcount(arrays[position]) == _UNUSED:
                return arrays[position], self.addresses[position]
        array = np.empty(self.shape, self.kind)
        address = address_of(array)
        if len(arrays) < _KEPT:
            arrays.append(array)
            self.addresses.append(address)
            self.pooled.add(id(array))
        return array, address

    def __del__(self) -> None:
        self.pooled.difference_update(map(id, self.arrays))


def address_of(array: np.ndarray) -> int:
    """Where an array's elements begin in memory."""
    if array.shape:
        address: int = array.__array_interface__["data"][0]
        return address
    # numbers, such as learning rates, come again and again in the same array
    known = _numbers.get(id(array))
    if known is None or known[0]() is not array:
        if len(_numbers) >= _MOST_NUMBERS:
            _numbers.clear()
        known = weakref.ref(array), array.__array_interface__["data"][0]
        _numbers[id(array)] = known
    return known[1]


def is_pooled(array: np.ndarray) -> bool:
    """Whether a pool refers to an array."""
    return id(array) in Pool.pooled
