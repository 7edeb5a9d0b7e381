"""InterpolationMode: how an image is resampled, and what Pillow calls it."""

from __future__ import annotations

from enum import Enum


class InterpolationMode(Enum):
    """Ways to compute pixels between pixels. Tensors know the first four, PIL images all."""

    NEAREST = "nearest"
    NEAREST_EXACT = "nearest-exact"
    BILINEAR = "bilinear"
    BICUBIC = "bicubic"
    BOX = "box"
    HAMMING = "hamming"
    LANCZOS = "lanczos"


PILLOW_CODES = {
    InterpolationMode.NEAREST: 0,
    InterpolationMode.NEAREST_EXACT: 0,
    InterpolationMode.LANCZOS: 1,
    InterpolationMode.BILINEAR: 2,
    InterpolationMode.BICUBIC: 3,
    InterpolationMode.BOX: 4,
    InterpolationMode.HAMMING: 5,
}

_MODES_OF_CODES = {
    code: mode for mode, code in PILLOW_CODES.items() if mode is not InterpolationMode.NEAREST_EXACT
}


def interpolation_mode(value: InterpolationMode | int) -> InterpolationMode:
    """`value` itself, or the mode that Pillow's integer constant stands for."""
    if isinstance(value, InterpolationMode):
        return value
    if isinstance(value, int):
        return _MODES_OF_CODES[value]
    raise TypeError(
        "Argument interpolation should be a InterpolationMode or a corresponding "
        "Pillow integer constant"
    )
