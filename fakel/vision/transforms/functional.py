"""torchvision.transforms.functional: image operations on PIL images and on tensors alike.

Each function checks its arguments and hands the image to `_on_pillow` or `_on_tensor`. Tensors
have the shape (..., channels, height, width).
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import numpy as np

from fakel.tensor import Tensor, dtype, dtypes
from fakel.vision._pillow import is_pillow_image
from fakel.vision.transforms import _on_pillow as on_pillow
from fakel.vision.transforms import _on_tensor as on_tensor
from fakel.vision.transforms.convert import pil_to_tensor, to_pil_image, to_tensor
from fakel.vision.transforms.interpolation import InterpolationMode, interpolation_mode

__all__ = [
    "InterpolationMode",
    "adjust_brightness",
    "adjust_contrast",
    "adjust_gamma",
    "adjust_hue",
    "adjust_saturation",
    "adjust_sharpness",
    "affine",
    "autocontrast",
    "center_crop",
    "convert_image_dtype",
    "crop",
    "equalize",
    "erase",
    "five_crop",
    "gaussian_blur",
    "get_dimensions",
    "get_image_num_channels",
    "get_image_size",
    "hflip",
    "invert",
    "normalize",
    "pad",
    "perspective",
    "pil_to_tensor",
    "posterize",
    "resize",
    "resized_crop",
    "rgb_to_grayscale",
    "rotate",
    "solarize",
    "ten_crop",
    "to_grayscale",
    "to_pil_image",
    "to_tensor",
    "vflip",
]

Image = Any


def _kind(image: Image) -> ModuleType:
    """The file that works on this kind of image."""
    if isinstance(image, Tensor):
        if image.ndim < 2:
            raise TypeError("Tensor is not a torch image.")
        return on_tensor
    if is_pillow_image(image):
        return on_pillow
    raise TypeError(f"img should be PIL Image. Got {type(image)}")


def get_dimensions(img: Image) -> list[int]:
    """[channels, height, width]."""
    return _kind(img).get_dimensions(img)


def get_image_size(img: Image) -> list[int]:
    """[width, height]."""
    _, height, width = get_dimensions(img)
    return [width, height]


def get_image_num_channels(img: Image) -> int:
    """How many channels the image has."""
    return get_dimensions(img)[0]


def convert_image_dtype(image: Tensor, dtype: dtype = dtypes.float32) -> Tensor:
    """Change the type of a tensor and scale its colours to the new type's range.

    Raises RuntimeError where the new type cannot hold the colours (float32 to int32 or int64).
    """
    if not isinstance(image, Tensor):
        raise TypeError("Input img should be Tensor Image")
    return on_tensor.convert_image_dtype(image, dtype)


def normalize(
    tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False
) -> Tensor:
    """(tensor - mean) / std, channel by channel, of a floating tensor."""
    if not isinstance(tensor, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(tensor)}")
    return on_tensor.normalize(tensor, mean, std, inplace)


def resize(
    img: Image,
    size: int | Sequence[int],
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    max_size: int | None = None,
    antialias: bool | None = True,
) -> Image:
    """Resize to (height, width), or to a shorter edge of `size` and a longer up to `max_size`."""
    mode = interpolation_mode(interpolation)
    sizes = [size] if isinstance(size, int) else list(size)
    if len(sizes) not in (1, 2):
        raise ValueError(
            f"Size must be an int or a 1 or 2 element tuple/list, not a {len(sizes)} element "
            "tuple/list"
        )
    if max_size is not None and len(sizes) != 1:
        raise ValueError(
            "max_size should only be passed if size specifies the length of the smaller edge, "
            "i.e. size should be an int or a sequence of length 1 in torchscript mode."
        )
    kind = _kind(img)
    old = get_dimensions(img)[1:]
    new = sizes if len(sizes) == 2 else _size_of_shorter_edge(old, sizes[0], max_size)
    if new == old:
        return img
    if kind is on_pillow and antialias is False:
        warnings.warn(
            "Anti-alias option is always applied for PIL Image input. "
            "Argument antialias is ignored.",
            stacklevel=2,
        )
    return kind.resize(img, new, mode, antialias)


def _size_of_shorter_edge(old: Sequence[int], edge: int, max_size: int | None) -> list[int]:
    shorter, longer = min(old), max(old)
    new_shorter, new_longer = edge, int(edge * longer / shorter)
    if max_size is not None:
        if max_size <= edge:
            raise ValueError(
                f"max_size = {max_size} must be strictly greater than the requested size for the "
                f"smaller edge size = {[edge]}"
            )
        if new_longer > max_size:
            new_shorter, new_longer = int(max_size * new_shorter / new_longer), max_size
    height, width = old
    return [new_longer, new_shorter] if width <= height else [new_shorter, new_longer]


def pad(
    img: Image,
    padding: int | Sequence[int],
    fill: float | Sequence[float] = 0,
    padding_mode: str = "constant",
) -> Image:
    """Pad by one number, (left and right, top and bottom) or (left, top, right, bottom)."""
    if not isinstance(padding, int | tuple | list):
        raise TypeError("Got inappropriate padding arg")
    if not isinstance(padding_mode, str):
        raise TypeError("Got inappropriate padding_mode arg")
    if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
        raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
    return _kind(img).pad(img, padding_sides(padding), fill, padding_mode)


def padding_sides(padding: int | Sequence[int]) -> list[int]:
    """[left, top, right, bottom]."""
    if isinstance(padding, int):
        return [padding] * 4
    if len(padding) not in (1, 2, 4):
        raise ValueError(
            "Padding must be an int or a 1, 2, or 4 element tuple, "
            f"not a {len(padding)} element tuple"
        )
    return list(padding) * (4 // len(padding))


def crop(img: Image, top: int, left: int, height: int, width: int) -> Image:
    """The box of the image; what lies outside is black."""
    return _kind(img).crop(img, top, left, height, width)


def center_crop(img: Image, output_size: int | Sequence[int]) -> Image:
    """The middle of the image, padded with black where the image is smaller."""
    crop_height, crop_width = _height_and_width(output_size)
    _, height, width = get_dimensions(img)
    extra_width, extra_height = max(crop_width - width, 0), max(crop_height - height, 0)
    if extra_width or extra_height:
        sides = [
            extra_width // 2,
            extra_height // 2,
            (extra_width + 1) // 2,
            (extra_height + 1) // 2,
        ]
        img = pad(img, sides, fill=0)
        _, height, width = get_dimensions(img)
    top = round((height - crop_height) / 2.0)
    left = round((width - crop_width) / 2.0)
    return crop(img, top, left, crop_height, crop_width)


def resized_crop(
    img: Image,
    top: int,
    left: int,
    height: int,
    width: int,
    size: int | Sequence[int],
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    antialias: bool | None = True,
) -> Image:
    """The box of the image, resized."""
    return resize(crop(img, top, left, height, width), size, interpolation, antialias=antialias)


def five_crop(img: Image, size: int | Sequence[int]) -> tuple[Image, ...]:
    """The four corners (top left, top right, bottom left, bottom right) and the middle."""
    crop_height, crop_width = _height_and_width(size)
    _, height, width = get_dimensions(img)
    if crop_width > width or crop_height > height:
        raise ValueError(
            f"Requested crop size {(crop_height, crop_width)} is bigger than input size "
            f"{(height, width)}"
        )
    corners = [
        crop(img, top, left, crop_height, crop_width)
        for top in (0, height - crop_height)
        for left in (0, width - crop_width)
    ]
    return (*corners, center_crop(img, [crop_height, crop_width]))


def ten_crop(
    img: Image, size: int | Sequence[int], vertical_flip: bool = False
) -> tuple[Image, ...]:
    """`five_crop` of the image and of its mirror image."""
    mirrored = vflip(img) if vertical_flip else hflip(img)
    return five_crop(img, size) + five_crop(mirrored, size)


def _height_and_width(size: int | Sequence[int]) -> tuple[int, int]:
    sizes = [int(size)] if isinstance(size, int | float) else list(size)
    if len(sizes) not in (1, 2):
        raise ValueError("Please provide only two dimensions (h, w) for size.")
    return sizes[0], sizes[-1]


def hflip(img: Image) -> Image:
    """Mirror left and right."""
    return _kind(img).hflip(img)


def vflip(img: Image) -> Image:
    """Mirror top and bottom."""
    return _kind(img).vflip(img)


def rotate(
    img: Image,
    angle: float,
    interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
    expand: bool = False,
    center: Sequence[float] | None = None,
    fill: float | Sequence[float] | None = None,
) -> Image:
    """Rotate by `angle` degrees against the clock about `center` (x, y) or the middle."""
    mode = interpolation_mode(interpolation)
    if not isinstance(angle, int | float):
        raise TypeError("Argument angle should be int or float")
    if center is not None and not isinstance(center, list | tuple):
        raise TypeError("Argument center should be a sequence")
    if _kind(img) is on_pillow:
        return on_pillow.rotate(img, angle, mode, expand, center, fill)
    matrix = _inverse_affine_matrix(_offset(img, center), -angle, [0.0, 0.0], 1.0, [0.0, 0.0])
    return on_tensor.rotate(img, matrix, mode, expand, fill)


def affine(
    img: Image,
    angle: float,
    translate: Sequence[int],
    scale: float,
    shear: float | Sequence[float],
    interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
    fill: float | Sequence[float] | None = None,
    center: Sequence[float] | None = None,
) -> Image:
    """Rotate by `angle` degrees clockwise, shear (degrees along x, y), scale and move (x, y)."""
    mode = interpolation_mode(interpolation)
    if not isinstance(angle, int | float):
        raise TypeError("Argument angle should be int or float")
    if not isinstance(translate, list | tuple):
        raise TypeError("Argument translate should be a sequence")
    if len(translate) != 2:
        raise ValueError("Argument translate should be a sequence of length 2")
    if scale <= 0.0:
        raise ValueError("Argument scale should be positive")
    if not isinstance(shear, int | float | list | tuple):
        raise TypeError("Shear should be either a single value or a sequence of two values")
    shears = [shear, 0.0] if isinstance(shear, int | float) else list(shear)
    if len(shears) == 1:
        shears = shears * 2
    if len(shears) != 2:
        raise ValueError(f"Shear should be a sequence containing two values. Got {shear}")
    if center is not None and not isinstance(center, list | tuple):
        raise TypeError("Argument center should be a sequence")
    kind = _kind(img)
    if kind is on_pillow:
        _, height, width = get_dimensions(img)
        pivot = [width * 0.5, height * 0.5] if center is None else center
    else:
        pivot = _offset(img, center)
    matrix = _inverse_affine_matrix(pivot, float(angle), translate, scale, shears)
    return kind.affine(img, matrix, mode, fill)


def _offset(img: Image, center: Sequence[float] | None) -> list[float]:
    """`center` as seen from the middle of the image."""
    if center is None:
        return [0.0, 0.0]
    _, height, width = get_dimensions(img)
    return [center[0] - width * 0.5, center[1] - height * 0.5]


def _inverse_affine_matrix(
    center: Sequence[float],
    angle: float,
    translate: Sequence[float],
    scale: float,
    shear: Sequence[float],
) -> list[float]:
    """The first two rows of M⁻¹, M = T(translate) T(center) R(angle) Shear Scale T(-center).

    M carries the old image to the new one; resampling asks for each new pixel where it was.
    """
    rotation, shear_x, shear_y = (math.radians(value) for value in (angle, *shear))
    a = math.cos(rotation - shear_y) / math.cos(shear_y)
    b = -a * math.tan(shear_x) - math.sin(rotation)
    c = math.sin(rotation - shear_y) / math.cos(shear_y)
    d = -c * math.tan(shear_x) + math.cos(rotation)
    # The rotation with shear has determinant 1, so its inverse is the adjugate.
    rows = [[d / scale, -b / scale], [-c / scale, a / scale]]
    x, y = center[0] + translate[0], center[1] + translate[1]
    shift = [middle - row[0] * x - row[1] * y for row, middle in zip(rows, center, strict=True)]
    return [*rows[0], shift[0], *rows[1], shift[1]]


def perspective(
    img: Image,
    startpoints: Sequence[Sequence[int]],
    endpoints: Sequence[Sequence[int]],
    interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
    fill: float | Sequence[float] | None = None,
) -> Image:
    """Move four corners (top left, top right, bottom right, bottom left; x, y) to four others."""
    mode = interpolation_mode(interpolation)
    coefficients = _perspective_coefficients(startpoints, endpoints)
    return _kind(img).perspective(img, coefficients, mode, fill)


def _perspective_coefficients(
    startpoints: Sequence[Sequence[int]], endpoints: Sequence[Sequence[int]]
) -> list[float]:
    """The numbers a to h of the map from `endpoints` back to `startpoints`."""
    if len(startpoints) != 4 or len(endpoints) != 4:
        raise ValueError(
            f"Please provide exactly four corners, got {len(startpoints)} startpoints and "
            f"{len(endpoints)} endpoints."
        )
    equations = []
    for (x, y), (old_x, old_y) in zip(endpoints, startpoints, strict=True):
        equations.append([x, y, 1, 0, 0, 0, -old_x * x, -old_x * y])
        equations.append([0, 0, 0, x, y, 1, -old_y * x, -old_y * y])
    known = np.asarray(startpoints, dtype=np.float64).reshape(8)
    solution = np.linalg.lstsq(np.asarray(equations, dtype=np.float64), known, rcond=None)[0]
    return solution.astype(np.float32).tolist()


def to_grayscale(img: Image, num_output_channels: int = 1) -> Image:
    """A PIL image as grey, in 1 or 3 channels. For tensors there is `rgb_to_grayscale`."""
    if not is_pillow_image(img):
        raise TypeError("Input should be PIL Image")
    return on_pillow.rgb_to_grayscale(img, num_output_channels)


def rgb_to_grayscale(img: Image, num_output_channels: int = 1) -> Image:
    """0.299 red + 0.587 green + 0.114 blue, in 1 or 3 channels."""
    return _kind(img).rgb_to_grayscale(img, num_output_channels)


def adjust_brightness(img: Image, brightness_factor: float) -> Image:
    """Blend with black: 0 is black, 1 the image itself, 2 twice as bright."""
    return _kind(img).adjust_brightness(img, brightness_factor)


def adjust_contrast(img: Image, contrast_factor: float) -> Image:
    """Blend with the mean grey: 0 is plain grey, 1 the image itself."""
    return _kind(img).adjust_contrast(img, contrast_factor)


def adjust_saturation(img: Image, saturation_factor: float) -> Image:
    """Blend with the grey image: 0 is black and white, 1 the image itself."""
    return _kind(img).adjust_saturation(img, saturation_factor)


def adjust_hue(img: Image, hue_factor: float) -> Image:
    """Turn the circle of colours by `hue_factor` of a whole turn, from -0.5 to 0.5."""
    if not -0.5 <= hue_factor <= 0.5:
        raise ValueError(f"hue_factor ({hue_factor}) is not in [-0.5, 0.5].")
    return _kind(img).adjust_hue(img, hue_factor)


def adjust_gamma(img: Image, gamma: float, gain: float = 1) -> Image:
    """The colours, from 0 to 1, become gain * colour ** gamma."""
    if gamma < 0:
        raise ValueError("Gamma should be a non-negative real number")
    return _kind(img).adjust_gamma(img, gamma, gain)


def adjust_sharpness(img: Image, sharpness_factor: float) -> Image:
    """Blend with a smoothed image: 0 is smooth, 1 the image itself, 2 sharper."""
    return _kind(img).adjust_sharpness(img, sharpness_factor)


def invert(img: Image) -> Image:
    """The negative."""
    return _kind(img).invert(img)


def posterize(img: Image, bits: int) -> Image:
    """Keep the highest `bits` bits of every colour."""
    if not 0 <= bits <= 8:
        raise ValueError(f"The number if bits should be between 0 and 8. Got {bits}")
    return _kind(img).posterize(img, bits)


def solarize(img: Image, threshold: float) -> Image:
    """Invert the colours that reach `threshold`."""
    return _kind(img).solarize(img, threshold)


def autocontrast(img: Image) -> Image:
    """Stretch every channel so that its darkest pixel is black and its brightest white."""
    return _kind(img).autocontrast(img)


def equalize(img: Image) -> Image:
    """Spread the histogram of every channel evenly."""
    return _kind(img).equalize(img)


def gaussian_blur(
    img: Image, kernel_size: int | Sequence[int], sigma: float | Sequence[float] | None = None
) -> Image:
    """Blur with a Gaussian kernel of (width, height); by default sigma is 0.15 size + 0.35."""
    if not isinstance(kernel_size, int | list | tuple):
        raise TypeError(
            f"kernel_size should be int or a sequence of integers. Got {type(kernel_size)}"
        )
    sizes = [kernel_size] * 2 if isinstance(kernel_size, int) else list(kernel_size)
    if len(sizes) != 2:
        raise ValueError(f"If kernel_size is a sequence its length should be 2. Got {len(sizes)}")
    if any(size % 2 == 0 or size < 0 for size in sizes):
        raise ValueError(f"kernel_size should have odd and positive integers. Got {sizes}")
    if sigma is None:
        sigma = [size * 0.15 + 0.35 for size in sizes]
    if not isinstance(sigma, int | float | list | tuple):
        raise TypeError(f"sigma should be either float or sequence of floats. Got {type(sigma)}")
    sigmas = [float(sigma)] * 2 if isinstance(sigma, int | float) else list(sigma)
    if len(sigmas) == 1:
        sigmas = sigmas * 2
    if len(sigmas) != 2:
        raise ValueError(f"If sigma is a sequence, its length should be 2. Got {len(sigmas)}")
    if any(value <= 0.0 for value in sigmas):
        raise ValueError(f"sigma should have positive values. Got {sigmas}")
    if _kind(img) is on_pillow:
        blurred = on_tensor.gaussian_blur(pil_to_tensor(img), sizes, sigmas)
        return to_pil_image(blurred, mode=img.mode)
    return on_tensor.gaussian_blur(img, sizes, sigmas)


def erase(img: Tensor, i: int, j: int, h: int, w: int, v: Tensor, inplace: bool = False) -> Tensor:
    """Fill the box of height `h` and width `w` at row `i` and column `j` with `v`."""
    if not isinstance(img, Tensor):
        raise TypeError(f"img should be Tensor Image. Got {type(img)}")
    return on_tensor.erase(img, i, j, h, w, v, inplace)
