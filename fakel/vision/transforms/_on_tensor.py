"""Image operations on tensors of shape (..., channels, height, width).

`functional` checks the arguments and chooses this file or `_on_pillow`. Whole numbers stand for
colours up to their type's largest value, floating numbers for colours from 0 to 1.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fakel import ops
from fakel.nn import functional as nn_functional
from fakel.tensor import Tensor, dtype, dtypes
from fakel.vision.transforms import resample, values
from fakel.vision.transforms.interpolation import InterpolationMode

_WHOLE_MAXIMUM = {
    dtypes.uint8: 255,
    dtypes.int8: 127,
    dtypes.int16: 32767,
    dtypes.uint16: 65535,
    dtypes.int32: 2147483647,
    dtypes.int64: 9223372036854775807,
}


def get_dimensions(image: Tensor) -> list[int]:
    if image.ndim < 2:
        raise TypeError("Tensor is not a torch image.")
    channels = 1 if image.ndim == 2 else image.shape[-3]
    return [channels, *image.shape[-2:]]


def hflip(image: Tensor) -> Tensor:
    return image.flip(-1)


def vflip(image: Tensor) -> Tensor:
    return image.flip(-2)


def crop(image: Tensor, top: int, left: int, height: int, width: int) -> Tensor:
    """The part of the image in the box, with zeros where the box leaves the image."""
    _, rows, columns = get_dimensions(image)
    bottom, right = top + height, left + width
    inner = image[..., max(top, 0) : max(bottom, 0), max(left, 0) : max(right, 0)]
    if left >= 0 and top >= 0 and right <= columns and bottom <= rows:
        return inner
    sides = [
        max(min(right, 0) - left, 0),
        max(min(bottom, 0) - top, 0),
        max(right - max(columns, left), 0),
        max(bottom - max(rows, top), 0),
    ]
    return pad(inner, sides, 0, "constant")


def resize(
    image: Tensor, size: Sequence[int], mode: InterpolationMode, antialias: bool | None
) -> Tensor:
    if mode is InterpolationMode.LANCZOS:
        raise ValueError("Lanczos mode requires antialias=True")
    if mode.value not in ("nearest", "nearest-exact", "bilinear", "bicubic"):
        raise ValueError(f"Interpolation mode '{mode.value}' is unsupported with Tensor input")
    real = image if image.dtype in (dtypes.float32, dtypes.float64) else image.to(dtypes.float32)
    result = resample.resize(real, size, mode.value, bool(antialias))
    if mode is InterpolationMode.BICUBIC and image.dtype == dtypes.uint8:
        result = result.clamp(0, 255)
    return _cast_back(result, image.dtype)


def pad(image: Tensor, sides: Sequence[int], fill: float | None, padding_mode: str) -> Tensor:
    """`sides` is left, top, right, bottom."""
    if fill is None:
        fill = 0
    if not isinstance(fill, int | float):
        raise TypeError("Got inappropriate fill arg")
    left, top, right, bottom = sides
    if padding_mode == "constant":
        return nn_functional.pad(image, [left, right, top, bottom], value=float(fill))
    _, rows, columns = get_dimensions(image)
    for axis, length, before, after in ((-1, columns, left, right), (-2, rows, top, bottom)):
        kept = np.arange(max(-before, 0), length - max(-after, 0))
        if padding_mode == "reflect" and max(before, after) >= len(kept):
            raise RuntimeError(
                "Argument #4: Padding size should be less than the corresponding input dimension, "
                f"but got: padding ({before}, {after}) at dimension {max(image.ndim, 4) + axis} of "
                f"input {[1] * (4 - image.ndim) + list(image.shape)}"
            )
        index = np.pad(kept, (max(before, 0), max(after, 0)), mode=padding_mode)
        image = image.index_select(axis, Tensor._from_array(index))
    return image


def affine(
    image: Tensor, matrix: Sequence[float], mode: InterpolationMode, fill: Sequence[float] | None
) -> Tensor:
    size = (image.shape[-2], image.shape[-1])
    return _sample(image, resample.affine_grid(matrix, size, size), mode, fill)


def rotate(
    image: Tensor,
    matrix: Sequence[float],
    mode: InterpolationMode,
    expand: bool,
    fill: Sequence[float] | None,
) -> Tensor:
    size = (image.shape[-2], image.shape[-1])
    target = resample.rotated_size(matrix, *size) if expand else size
    return _sample(image, resample.affine_grid(matrix, size, target), mode, fill)


def perspective(
    image: Tensor,
    coefficients: Sequence[float],
    mode: InterpolationMode,
    fill: Sequence[float] | None,
) -> Tensor:
    size = (image.shape[-2], image.shape[-1])
    return _sample(image, resample.perspective_grid(coefficients, size), mode, fill)


def convert_image_dtype(image: Tensor, dtype: dtype) -> Tensor:
    """Change the type and with it the range of the colours."""
    if image.dtype == dtype:
        return image
    if image.is_floating_point():
        if dtype.is_floating_point:
            return image.to(dtype)
        if (image.dtype == dtypes.float32 and dtype in (dtypes.int32, dtypes.int64)) or (
            image.dtype == dtypes.float64 and dtype == dtypes.int64
        ):
            raise RuntimeError(
                f"The cast from {image.dtype} to {dtype} cannot be performed safely."
            )
        # Just below the next whole number, so that 1.0 becomes the largest value and no more.
        return (image * (float(_maximum(dtype)) + 1.0 - 1e-3)).to(dtype)
    pixels = values.computed(image)
    if pixels is not None and pixels.dtype == np.uint8 and dtype is dtypes.float32:
        return Tensor._from_array(values.unit_range(pixels, np.float32))
    old, new = _maximum(image.dtype), _maximum(dtype)
    if dtype.is_floating_point:
        return image.to(dtype) / old
    if old > new:
        factor = (old + 1) // (new + 1)
        return ops.div(image, factor, rounding_mode="floor").to(dtype)
    return image.to(dtype) * ((new + 1) // (old + 1))


def normalize(image: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool) -> Tensor:
    if not image.is_floating_point():
        raise TypeError(f"Input tensor should be a float tensor. Got {image.dtype}.")
    if image.ndim < 3:
        raise ValueError(
            "Expected tensor to be a tensor image of size (..., C, H, W). "
            f"Got tensor.size() = {image.size()}"
        )
    pixels = None if inplace else values.computed(image)
    if pixels is not None:
        result = values.normalized(pixels, mean, std, inplace=False)
        if result is not None:
            return Tensor._from_array(result)
    mean, std = (ops.as_tensor(value, dtype=image.dtype) for value in (mean, std))
    if (std == 0).any():
        raise ValueError(
            f"std evaluated to zero after conversion to {image.dtype}, leading to division by zero."
        )
    mean, std = (value.view(-1, 1, 1) if value.ndim == 1 else value for value in (mean, std))
    image = image if inplace else image.clone()
    return image.sub_(mean).div_(std)


def rgb_to_grayscale(image: Tensor, num_output_channels: int) -> Tensor:
    """0.2989 red + 0.587 green + 0.114 blue."""
    _check_colours(image)
    if num_output_channels not in (1, 3):
        raise ValueError("num_output_channels should be either 1 or 3")
    if image.shape[-3] == 3:
        red, green, blue = image.unbind(-3)
        grey = (0.2989 * red + 0.587 * green + 0.114 * blue).to(image.dtype).unsqueeze(-3)
    else:
        grey = image.clone()
    return grey.expand(image.shape) if num_output_channels == 3 else grey


def adjust_brightness(image: Tensor, factor: float) -> Tensor:
    _check_factor("brightness_factor", factor)
    _check_channels(image, [1, 3])
    return _blend(image, ops.zeros_like(image), factor)


def adjust_contrast(image: Tensor, factor: float) -> Tensor:
    _check_factor("contrast_factor", factor)
    channels = _check_channels(image, [3, 1])
    grey = rgb_to_grayscale(image, 1) if channels == 3 else image
    mean = _real(grey).mean((-3, -2, -1), keepdim=True)
    return _blend(image, mean, factor)


def adjust_saturation(image: Tensor, factor: float) -> Tensor:
    _check_factor("saturation_factor", factor)
    if _check_channels(image, [1, 3]) == 1:
        return image
    return _blend(image, rgb_to_grayscale(image, 1), factor)


def adjust_hue(image: Tensor, factor: float) -> Tensor:
    if _check_channels(image, [1, 3]) == 1:
        return image
    hue, saturation, value = _hue_saturation_value(convert_image_dtype(image, dtypes.float32))
    shifted = _red_green_blue((hue + factor) % 1.0, saturation, value)
    return convert_image_dtype(shifted, image.dtype)


def adjust_gamma(image: Tensor, gamma: float, gain: float) -> Tensor:
    _check_channels(image, [1, 3])
    real = image if image.is_floating_point() else convert_image_dtype(image, dtypes.float32)
    return convert_image_dtype((gain * real.pow(gamma)).clamp(0, 1), image.dtype)


def adjust_sharpness(image: Tensor, factor: float) -> Tensor:
    _check_factor("sharpness_factor", factor)
    _check_channels(image, [1, 3])
    if min(image.shape[-2:]) <= 2:
        return image
    kernel = ops.ones(3, 3)
    kernel[1, 1] = 5.0
    smooth = image.clone()
    smooth[..., 1:-1, 1:-1] = _filter(image, kernel / kernel.sum())
    return _blend(image, smooth, factor)


def gaussian_blur(image: Tensor, kernel_size: Sequence[int], sigma: Sequence[float]) -> Tensor:
    """Convolve with exp(-(x/sigma_x)^2/2 - (y/sigma_y)^2/2), normalised; edges are mirrored."""
    rows = []
    for length, deviation in zip(kernel_size, sigma, strict=True):
        half = (length - 1) * 0.5
        weights = ops.exp(-0.5 * (ops.linspace(-half, half, length) / deviation).pow(2))
        rows.append(weights / weights.sum())
    kernel = rows[1][:, None] * rows[0][None, :]
    x, y = kernel_size[0] // 2, kernel_size[1] // 2
    return _filter(pad(image, [x, y, x, y], 0, "reflect"), kernel)


def erase(
    image: Tensor, top: int, left: int, height: int, width: int, value: Tensor, inplace: bool
) -> Tensor:
    if not inplace:
        image = image.clone()
    image[..., top : top + height, left : left + width] = value
    return image


def invert(image: Tensor) -> Tensor:
    _check_colours(image)
    return _maximum(image.dtype) - image


def posterize(image: Tensor, bits: int) -> Tensor:
    _check_bytes(image)
    return image & (256 - 2 ** (8 - bits))


def solarize(image: Tensor, threshold: float) -> Tensor:
    _check_colours(image)
    if threshold > _maximum(image.dtype):
        raise TypeError("Threshold should be less than bound of img.")
    return ops.where(image >= threshold, invert(image), image)


def autocontrast(image: Tensor) -> Tensor:
    _check_colours(image)
    bound = _maximum(image.dtype)
    real = _real(image)
    lowest = real.amin((-2, -1), keepdim=True)
    highest = real.amax((-2, -1), keepdim=True)
    flat = lowest == highest
    scale = bound / ops.where(flat, ops.full_like(lowest, bound), highest - lowest)
    lowest = ops.where(flat, ops.zeros_like(lowest), lowest)
    return ((image - lowest) * scale).clamp(0, bound).to(image.dtype)


def equalize(image: Tensor) -> Tensor:
    """Spread the histogram of every channel evenly over 0 to 255."""
    _check_bytes(image)
    channels = image._array().reshape(-1, *image.shape[-2:])
    return Tensor._from_array(np.stack([_equalized(c) for c in channels])).view(image.shape)


def _equalized(channel: np.ndarray) -> np.ndarray:
    counts = np.bincount(channel.reshape(-1), minlength=256)
    step = counts[counts != 0][:-1].sum() // 255
    if step == 0:
        return channel
    below = np.concatenate([[0], np.cumsum(counts)[:-1] + step // 2])
    below[1:] //= step
    return np.clip(below, 0, 255).astype(np.uint8)[channel]


def _maximum(dtype: dtype) -> int:
    return _WHOLE_MAXIMUM.get(dtype, 1)


def _real(image: Tensor) -> Tensor:
    return image if image.is_floating_point() else image.to(dtypes.float32)


def _cast_back(image: Tensor, dtype: dtype) -> Tensor:
    if image.dtype == dtype:
        return image
    return (image if dtype.is_floating_point else ops.round(image)).to(dtype)


def _sample(
    image: Tensor, grid: np.ndarray, mode: InterpolationMode, fill: Sequence[float] | float | None
) -> Tensor:
    if mode.value not in ("nearest", "bilinear"):
        raise ValueError(f"Interpolation mode '{mode.value}' is unsupported with Tensor input")
    channels = get_dimensions(image)[0]
    if isinstance(fill, int | float):
        fill = [fill]
    if fill is not None and len(fill) not in (1, channels):
        raise ValueError(
            "The number of elements in 'fill' cannot broadcast to match the number of channels of "
            f"the image ({len(fill)} != {channels})"
        )
    result = resample.sample(_as_batch(_real(image)), grid, mode.value, fill)
    return _cast_back(result.view(*image.shape[:-2], *grid.shape[:2]), image.dtype)


def _as_batch(image: Tensor) -> Tensor:
    """(n, channels, height, width) from any number of leading dimensions."""
    while image.ndim < 4:
        image = image.unsqueeze(0)
    return image


def _filter(image: Tensor, kernel: Tensor) -> Tensor:
    """Convolve every channel with `kernel`, without padding."""
    channels = get_dimensions(image)[0]
    real = _as_batch(_real(image))
    weight = kernel.to(real.dtype).expand(channels, 1, *kernel.shape)
    result = nn_functional.conv2d(real, weight, groups=channels)
    return _cast_back(result.view(*image.shape[:-2], *result.shape[-2:]), image.dtype)


def _blend(image: Tensor, other: Tensor, ratio: float) -> Tensor:
    ratio = float(ratio)
    mixed = ratio * image + (1.0 - ratio) * other
    return mixed.clamp(0, _maximum(image.dtype)).to(image.dtype)


def _hue_saturation_value(image: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    red, green, blue = image.unbind(-3)
    value = image.amax(-3)
    spread = value - image.amin(-3)
    grey = spread == 0
    one = ops.ones_like(value)
    saturation = spread / ops.where(grey, one, value)
    divisor = ops.where(grey, one, spread)
    red_gap, green_gap, blue_gap = ((value - c) / divisor for c in (red, green, blue))
    sixths = ops.where(
        value == red,
        blue_gap - green_gap,
        ops.where(value == green, 2.0 + red_gap - blue_gap, 4.0 + green_gap - red_gap),
    )
    return ops.fmod(sixths / 6.0 + 1.0, 1.0), saturation, value


def _red_green_blue(hue: Tensor, saturation: Tensor, value: Tensor) -> Tensor:
    sector = ops.floor(hue * 6.0)
    fraction = hue * 6.0 - sector
    low = (value * (1.0 - saturation)).clamp(0.0, 1.0)
    falling = (value * (1.0 - saturation * fraction)).clamp(0.0, 1.0)
    rising = (value * (1.0 - saturation * (1.0 - fraction))).clamp(0.0, 1.0)
    sector = (sector.to(dtypes.int64) % 6).unsqueeze(-3)
    by_sector = (
        (value, falling, low, low, rising, value),
        (rising, value, value, falling, low, low),
        (low, low, rising, value, value, falling),
    )
    colours = [ops.stack(choices, -3).gather(-3, sector) for choices in by_sector]
    return ops.cat(colours, -3)


def _check_channels(image: Tensor, permitted: list[int]) -> int:
    channels = get_dimensions(image)[0]
    if channels not in permitted:
        raise TypeError(
            f"Input image tensor permitted channel values are {permitted}, but found {channels}"
        )
    return channels


def _check_colours(image: Tensor) -> None:
    if image.ndim < 3:
        raise TypeError(
            f"Input image tensor should have at least 3 dimensions, but found {image.ndim}"
        )
    _check_channels(image, [1, 3])


def _check_bytes(image: Tensor) -> None:
    if image.dtype != dtypes.uint8:
        raise TypeError(f"Only torch.uint8 image tensors are supported, but found {image.dtype}")
    _check_colours(image)


def _check_factor(name: str, factor: float) -> None:
    if factor < 0:
        raise ValueError(f"{name} ({factor}) is not non-negative.")
