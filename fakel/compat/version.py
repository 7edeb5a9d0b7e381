"""The version that programs see as `torch.__version__`: the PyTorch that fakel follows."""

from __future__ import annotations

import re
from typing import Any


class TorchVersion(str):
    """A version string that also compares with tuples of numbers, as PyTorch's does.

    `TorchVersion("2.13.0+fakel") >= (2, 1)` and `>= "2.4"` both compare numbers, not letters.
    """

    def _key(self, other: Any) -> tuple[tuple[int, ...], tuple[int, ...]] | None:
        if isinstance(other, str):
            other = release(other)
        elif not isinstance(other, tuple | list):
            return None
        mine, theirs = release(self), tuple(int(part) for part in other)
        length = max(len(mine), len(theirs))
        return _padded(mine, length), _padded(theirs, length)

    def __eq__(self, other: object) -> Any:
        if isinstance(other, str):
            return str.__eq__(self, other)
        key = self._key(other)
        return NotImplemented if key is None else key[0] == key[1]

    def __ne__(self, other: object) -> Any:
        equal = self.__eq__(other)
        return equal if equal is NotImplemented else not equal

    def __lt__(self, other: Any) -> Any:
        key = self._key(other)
        return NotImplemented if key is None else key[0] < key[1]

    def __le__(self, other: Any) -> Any:
        key = self._key(other)
        return NotImplemented if key is None else key[0] <= key[1]

    def __gt__(self, other: Any) -> Any:
        key = self._key(other)
        return NotImplemented if key is None else key[0] > key[1]

    def __ge__(self, other: Any) -> Any:
        key = self._key(other)
        return NotImplemented if key is None else key[0] >= key[1]

    __hash__ = str.__hash__


def release(version: str) -> tuple[int, ...]:
    """The numbers of a version: (2, 13, 0) for "2.13.0+fakel"."""
    found = re.match(r"\s*v?(\d+(?:\.\d+)*)", version)
    return tuple(int(part) for part in found[1].split(".")) if found else ()


def _padded(numbers: tuple[int, ...], length: int) -> tuple[int, ...]:
    return numbers + (0,) * (length - len(numbers))


__version__ = TorchVersion("2.13.0+fakel")

# the fields of torch.version that say what PyTorch was built with
git_version = "unknown"
debug = False
cuda = None
hip = None
rocm = None
xpu = None
