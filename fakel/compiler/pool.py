"""Arrays for programs' outputs, used again once nobody refers to them any longer."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Sequence
from typing import Any, ClassVar

import numpy as np

# asking NumPy for the address takes four times as long
_from_buffer = ctypes.c_char.from_buffer


class Pool:
    """The arrays of a program's outputs: two of each, so that one may be in use while the next run
    fills the other. ``pooled``: the ids of all pools' arrays.

    Args:
        kinds: shape and dtype of each output.
    """

    pooled: ClassVar[set[int]] = set()

    def __init__(self, kinds: Sequence[tuple[tuple[int, ...], Any]]) -> None:
        self.kinds = kinds
        # those of the last run and their addresses: never changed, since that may still run
        self._arrays: list[Any] = [None] * len(kinds)
        self._addresses = [0] * len(kinds)
        self._others: list[tuple[Any, int]] = [(None, 0)] * len(kinds)
        self._unused = [_LISTED] * len(kinds)

    def take(self) -> tuple[list[np.ndarray], list[np.ndarray], list[int]]:
        """An array for each output, which nobody else refers to: a list to keep as long as the
        program may run, and one that says that they are in use; their addresses.
        """
        counts = list(map(sys.getrefcount, self._arrays))
        if counts != self._unused:
            self._exchange([number for number, n in enumerate(counts) if n != _LISTED])
        return self._arrays, self._arrays.copy(), self._addresses

    def _exchange(self, numbers: list[int]) -> None:
        """Takes the other array of these outputs, or makes one."""
        arrays, addresses = self._arrays.copy(), self._addresses.copy()
        for number in numbers:
            array, address = self._others[number]
            self._others[number] = arrays[number], addresses[number]
            if sys.getrefcount(array) != _HELD:
                self.pooled.discard(id(array))
                array = np.empty(*self.kinds[number])
                address = address_of(array)
                self.pooled.add(id(array))
            arrays[number], addresses[number] = array, address
        self._arrays, self._addresses = arrays, addresses

    def __del__(self) -> None:
        self.pooled.difference_update(map(id, self._arrays))
        self.pooled.difference_update(id(array) for array, _ in self._others)


def _measure() -> tuple[int, int]:
    """The references that `take` sees on an array of the list, `_exchange` on one that it took."""
    arrays = [np.zeros(1)]
    (listed,) = map(sys.getrefcount, arrays)
    array, _ = arrays.pop(), 0
    return listed, sys.getrefcount(array)


_LISTED, _HELD = _measure()


def address_of(array: np.ndarray) -> int:
    """Where an array's elements begin in memory."""
    try:
        return ctypes.addressof(_from_buffer(array))
    except (TypeError, ValueError):  # may not be written, is empty, or not in order
        address: int = array.__array_interface__["data"][0]
        return address
