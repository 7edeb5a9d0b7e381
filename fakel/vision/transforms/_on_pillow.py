"""Image operations on PIL images. `functional` checks the arguments and chooses the file."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fakel.vision._pillow import image_from_array, pillow
from fakel.vision.transforms.interpolation import PILLOW_CODES, InterpolationMode

Image = Any


def get_dimensions(image: Image) -> list[int]:
    width, height = image.size
    return [len(image.getbands()), height, width]


def hflip(image: Image) -> Image:
    return image.transpose(pillow().Transpose.FLIP_LEFT_RIGHT)


def vflip(image: Image) -> Image:
    return image.transpose(pillow().Transpose.FLIP_TOP_BOTTOM)


def crop(image: Image, top: int, left: int, height: int, width: int) -> Image:
    return image.crop((left, top, left + width, top + height))


def resize(
    image: Image, size: Sequence[int], mode: InterpolationMode, antialias: bool | None
) -> Image:
    # Pillow always filters when it shrinks, whatever `antialias` says.
    height, width = size
    return image.resize((width, height), PILLOW_CODES[mode])


def pad(image: Image, sides: Sequence[int], fill: Any, padding_mode: str) -> Image:
    """`sides` is left, top, right, bottom."""
    if padding_mode == "constant":
        border = tuple(sides)
        filled = pillow("ImageOps").expand(image, border=border, fill=_fill(fill, image))
        if image.mode == "P":
            filled.putpalette(image.getpalette())
        return filled
    cut_left, cut_top, cut_right, cut_bottom = (max(-side, 0) for side in sides)
    if any(side < 0 for side in sides):
        box = (cut_left, cut_top, image.width - cut_right, image.height - cut_bottom)
        image = image.crop(box)
    left, top, right, bottom = (max(side, 0) for side in sides)
    array = np.asarray(image)
    widths = [(top, bottom), (left, right), (0, 0)][: array.ndim]
    padded = pillow().fromarray(np.pad(array, widths, mode=padding_mode))
    if image.mode == "P":
        padded.putpalette(image.getpalette())
    return padded


def affine(image: Image, matrix: Sequence[float], mode: InterpolationMode, fill: Any) -> Image:
    method = pillow().Transform.AFFINE
    return image.transform(
        image.size, method, matrix, PILLOW_CODES[mode], fillcolor=_fill(fill, image)
    )


def perspective(
    image: Image, coefficients: Sequence[float], mode: InterpolationMode, fill: Any
) -> Image:
    method = pillow().Transform.PERSPECTIVE
    return image.transform(
        image.size, method, coefficients, PILLOW_CODES[mode], fillcolor=_fill(fill, image)
    )


def rotate(
    image: Image,
    angle: float,
    mode: InterpolationMode,
    expand: bool,
    center: Sequence[float] | None,
    fill: Any,
) -> Image:
    return image.rotate(angle, PILLOW_CODES[mode], expand, center, fillcolor=_fill(fill, image))


def rgb_to_grayscale(image: Image, num_output_channels: int) -> Image:
    grey = image.convert("L")
    if num_output_channels == 1:
        return grey
    if num_output_channels == 3:
        return image_from_array(np.repeat(np.asarray(grey)[:, :, None], 3, axis=2), "RGB")
    raise ValueError("num_output_channels should be either 1 or 3")


def adjust_brightness(image: Image, factor: float) -> Image:
    return pillow("ImageEnhance").Brightness(image).enhance(factor)


def adjust_contrast(image: Image, factor: float) -> Image:
    return pillow("ImageEnhance").Contrast(image).enhance(factor)


def adjust_saturation(image: Image, factor: float) -> Image:
    return pillow("ImageEnhance").Color(image).enhance(factor)


def adjust_sharpness(image: Image, factor: float) -> Image:
    return pillow("ImageEnhance").Sharpness(image).enhance(factor)


def adjust_hue(image: Image, factor: float) -> Image:
    if image.mode in ("L", "1", "I", "F"):
        return image
    hue, saturation, value = image.convert("HSV").split()
    # Hue is a circle of 256 steps: the shift wraps around in uint8.
    shifted = np.asarray(hue) + np.int32(factor * 255).astype(np.uint8)
    merged = pillow().merge("HSV", (image_from_array(shifted, "L"), saturation, value))
    return merged.convert(image.mode)


def adjust_gamma(image: Image, gamma: float, gain: float) -> Image:
    # The factor just below 256 keeps the brightest value at 255 after truncation.
    table = [int((256 - 1e-3) * gain * pow(value / 255.0, gamma)) for value in range(256)] * 3
    return image.convert("RGB").point(table).convert(image.mode)


def invert(image: Image) -> Image:
    return pillow("ImageOps").invert(image)


def posterize(image: Image, bits: int) -> Image:
    return pillow("ImageOps").posterize(image, bits)


def solarize(image: Image, threshold: float) -> Image:
    return pillow("ImageOps").solarize(image, threshold)


def autocontrast(image: Image) -> Image:
    return pillow("ImageOps").autocontrast(image)


def equalize(image: Image) -> Image:
    return pillow("ImageOps").equalize(image)


def _fill(fill: Any, image: Image) -> Any:
    """`fill` in the form Pillow wants for this image's mode: one number, or one a channel."""
    channels = len(image.getbands())
    number = float if image.mode == "F" else int
    if fill is None:
        fill = 0
    if isinstance(fill, int | float):
        return number(fill) if channels == 1 else (number(fill),) * channels
    if len(fill) == 1:
        fill = tuple(fill) * channels
    if len(fill) != channels:
        raise ValueError(
            "The number of elements in 'fill' does not match the number of channels of the image "
            f"({len(fill)} != {channels})"
        )
    return tuple(number(value) for value in fill)
