"""Checks of the arguments that transforms share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakel.tensor import Tensor

TWO_DIMENSIONS = "Please provide only two dimensions (h, w) for size."


def size_pair(size: Any, message: str = TWO_DIMENSIONS) -> Any:
    """(height, width) from a number, a sequence of one, or one of two, returned as it is."""
    if isinstance(size, int | float):
        return int(size), int(size)
    if isinstance(size, Sequence) and len(size) == 1:
        return size[0], size[0]
    if len(size) != 2:
        raise ValueError(message)
    return size


def check_sequence(value: Any, name: str, lengths: tuple[int, ...]) -> None:
    """`value` must be a sequence with one of the lengths."""
    message = f"{name} should be a sequence of length {' or '.join(map(str, lengths))}."
    if not isinstance(value, Sequence):
        raise TypeError(message)
    if len(value) not in lengths:
        raise ValueError(message)


def angle_range(value: Any, name: str, lengths: tuple[int, ...] = (2,)) -> list[float]:
    """[-value, value] from a number, or the sequence as floats."""
    if isinstance(value, int | float):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be positive.")
        value = [-value, value]
    else:
        check_sequence(value, name, lengths)
    return [float(angle) for angle in value]


def fill_colour(value: Any) -> Any:
    """What lies outside of the image: a number or a sequence; None means 0."""
    if value is None:
        return 0
    if not isinstance(value, Sequence | int | float):
        raise TypeError("Fill should be either a sequence or a number.")
    return value


def fill_for(image: Any, fill: Any, channels: int) -> Any:
    """`fill` as one number a channel for tensors, unchanged for PIL images."""
    if not isinstance(image, Tensor):
        return fill
    return [float(fill)] * channels if isinstance(fill, int | float) else [float(f) for f in fill]
