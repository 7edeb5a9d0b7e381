"""``torch.Size`` and arithmetic on shapes and strides."""

from __future__ import annotations

import functools
import math
from typing import Any


class Size(tuple[int, ...]):
    """The shape of a tensor: a tuple of ints that prints as ``torch.Size([2, 3])``."""

    __slots__ = ()

    def numel(self) -> int:
        """The number of elements: the product of the sizes."""
        return math.prod(self)

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    def __getitem__(self, index: Any) -> Any:
        found = tuple.__getitem__(self, index)
        return Size(found) if isinstance(index, slice) else found

    def __add__(self, other: Any) -> Size:
        if not isinstance(other, tuple):
            return NotImplemented
        return Size(tuple.__add__(self, other))

    def __radd__(self, other: Any) -> Size:
        return Size(tuple.__add__(other, self))

    def __mul__(self, times: Any) -> Size:
        return Size(tuple.__mul__(self, times))

    __rmul__ = __mul__

    def __reduce__(self) -> Any:
        return Size, (tuple(self),)


# asked again and again for the few shapes of a program
@functools.lru_cache(maxsize=4096)
def contiguous_strides(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The strides, in elements, of a contiguous tensor; as in PyTorch sizes of 0 count as 1."""
    strides = [1] * len(shape)
    step = 1
    for dim in range(len(shape) - 1, -1, -1):
        strides[dim] = step
        step *= max(shape[dim], 1)
    return tuple(strides)


def span_of(shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """How many elements of memory lie between the first and the last one, both counted."""
    if 0 in shape:
        return 0
    return 1 + sum((size - 1) * step for size, step in zip(shape, strides, strict=True))


def is_contiguous(shape: tuple[int, ...], strides: tuple[int, ...]) -> bool:
    """Whether elements follow each other in memory, whatever the strides of size-1 dimensions."""
    step = 1
    for size, stride in zip(reversed(shape), reversed(strides), strict=True):
        if size == 0:
            return True
        if size != 1:
            if stride != step:
                return False
            step *= size
    return True


def strides_for_view(
    shape: tuple[int, ...], strides: tuple[int, ...], new_shape: tuple[int, ...]
) -> tuple[int, ...] | None:
    """The strides that show a tensor in another shape without copying, None where there are none.

    Neighbouring dimensions that lie evenly in memory form a run; each run must be filled by whole
    new dimensions.
    """
    if 0 in shape:
        return contiguous_strides(new_shape) if shape != new_shape else strides
    runs: list[tuple[int, int]] = []  # (elements, innermost stride) of each run, outermost first
    for size, stride in zip(shape, strides, strict=True):
        if size == 1:
            continue
        if runs and runs[-1][1] == stride * size:
            runs[-1] = (runs[-1][0] * size, stride)
        else:
            runs.append((size, stride))
    if not runs:
        runs = [(1, 1)]
    result = [0] * len(new_shape)
    dim = len(new_shape) - 1
    for elements, stride in reversed(runs):
        left, step = elements, stride
        while dim >= 0 and (left > 1 or new_shape[dim] == 1):
            if left % new_shape[dim]:
                return None
            result[dim] = step
            step *= new_shape[dim]
            left //= new_shape[dim]
            dim -= 1
        if left > 1:
            return None
    return tuple(result) if dim < 0 else None
