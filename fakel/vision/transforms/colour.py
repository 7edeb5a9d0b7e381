"""Transforms of colours, and the ones that blur or erase."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fakel import nn, ops
from fakel.tensor import Tensor
from fakel.vision.transforms import draws, functional
from fakel.vision.transforms.arguments import size_pair
from fakel.vision.transforms.cropping import draw_box

Range = tuple[float, float] | None
Hole = tuple[int, int, int, int, Any]


class ColorJitter(nn.Module):
    """Change brightness, contrast, saturation and hue at random, in random order.

    Args:
        brightness, contrast, saturation: (least, most) factor, or one number for 1 - it to 1 + it.
        hue: (least, most) turn of the circle of colours, in -0.5 to 0.5, or one number for
            -it to it.
    """

    def __init__(
        self,
        brightness: float | Sequence[float] = 0,
        contrast: float | Sequence[float] = 0,
        saturation: float | Sequence[float] = 0,
        hue: float | Sequence[float] = 0,
    ):
        super().__init__()
        limits = (0, float("inf"))
        self.brightness = _factor_range(brightness, "brightness", 1, limits)
        self.contrast = _factor_range(contrast, "contrast", 1, limits)
        self.saturation = _factor_range(saturation, "saturation", 1, limits)
        self.hue = _factor_range(hue, "hue", 0, (-0.5, 0.5))

    @staticmethod
    def get_params(
        brightness: Range, contrast: Range, saturation: Range, hue: Range
    ) -> tuple[Tensor, float | None, float | None, float | None, float | None]:
        """Draw the order (a permutation of 0 to 3), then the four amounts."""
        order = ops.randperm(4)
        amounts = [
            None if limits is None else draws.uniform(limits[0], limits[1])
            for limits in (brightness, contrast, saturation, hue)
        ]
        return order, *amounts

    def forward(self, img: Any) -> Any:
        order, *amounts = self.get_params(self.brightness, self.contrast, self.saturation, self.hue)
        adjust = (
            functional.adjust_brightness,
            functional.adjust_contrast,
            functional.adjust_saturation,
            functional.adjust_hue,
        )
        for index in order.tolist():
            if amounts[index] is not None:
                img = adjust[index](img, amounts[index])
        return img

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(brightness={self.brightness}, contrast={self.contrast}, "
            f"saturation={self.saturation}, hue={self.hue})"
        )


def _factor_range(
    value: Any, name: str, center: float, limits: tuple[float, float]
) -> tuple[float, float] | None:
    """The range to draw from, or None where nothing would change."""
    if isinstance(value, int | float):
        if value < 0:
            raise ValueError(f"If {name} is a single number, it must be non negative.")
        low, high = center - float(value), center + float(value)
        if center == 1:
            low = max(low, 0.0)
    elif isinstance(value, tuple | list) and len(value) == 2:
        low, high = float(value[0]), float(value[1])
    else:
        raise TypeError(f"{name} should be a single number or a list/tuple with length 2.")
    if not limits[0] <= low <= high <= limits[1]:
        raise ValueError(f"{name} values should be between {limits}, but got {[low, high]}.")
    return None if low == high == center else (low, high)


class Grayscale(nn.Module):
    """Grey.

    Args:
        num_output_channels: 1, or 3 for three equal channels.
    """

    batch_stages = {"image": "image"}

    def __init__(self, num_output_channels: int = 1):
        super().__init__()
        self.num_output_channels = num_output_channels
        if num_output_channels not in (1, 3):
            self.batch_stages = {}

    def batch(self, images: np.ndarray, stage: str, choices: None) -> np.ndarray:
        grey = images
        if images.shape[3] == 3:
            # Pillow's weights, in units of 2 ** -16
            red, green, blue = (images[..., channel].astype(np.uint32) for channel in range(3))
            grey = (red * 19595 + green * 38470 + blue * 7471 + 0x8000) >> 16
            grey = grey.astype(np.uint8)[..., None]
        return np.repeat(grey, self.num_output_channels, axis=3)

    def forward(self, img: Any) -> Any:
        return functional.rgb_to_grayscale(img, self.num_output_channels)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(num_output_channels={self.num_output_channels})"


class _WithProbability(nn.Module):
    """Base of the transforms that change the image with probability `p`, and `shown` arguments."""

    shown: tuple[str, ...] = ("p",)

    def __init__(self, p: float):
        super().__init__()
        self.p = p

    def apply_to(self, img: Any) -> Any:
        raise NotImplementedError

    def forward(self, img: Any) -> Any:
        return self.apply_to(img) if draws.chance() < self.p else img

    def __repr__(self) -> str:
        arguments = ",".join(f"{name}={getattr(self, name)}" for name in self.shown)
        return f"{type(self).__name__}({arguments})"


class RandomGrayscale(_WithProbability):
    """Grey with probability `p`, in as many channels as the image has."""

    def __init__(self, p: float = 0.1):
        super().__init__(p)

    def apply_to(self, img: Any) -> Any:
        channels = functional.get_image_num_channels(img)
        return functional.rgb_to_grayscale(img, num_output_channels=channels)


class RandomInvert(_WithProbability):
    """The negative with probability `p`."""

    def __init__(self, p: float = 0.5):
        super().__init__(p)

    def apply_to(self, img: Any) -> Any:
        return functional.invert(img)


class RandomPosterize(_WithProbability):
    """Keep only `bits` bits of every colour, with probability `p`."""

    shown = ("bits", "p")

    def __init__(self, bits: int, p: float = 0.5):
        super().__init__(p)
        self.bits = bits

    def apply_to(self, img: Any) -> Any:
        return functional.posterize(img, self.bits)


class RandomSolarize(_WithProbability):
    """Invert the colours from `threshold` on, with probability `p`."""

    shown = ("threshold", "p")

    def __init__(self, threshold: float, p: float = 0.5):
        super().__init__(p)
        self.threshold = threshold

    def apply_to(self, img: Any) -> Any:
        return functional.solarize(img, self.threshold)


class RandomAdjustSharpness(_WithProbability):
    """Change the sharpness by `sharpness_factor`, with probability `p`."""

    shown = ("sharpness_factor", "p")

    def __init__(self, sharpness_factor: float, p: float = 0.5):
        super().__init__(p)
        self.sharpness_factor = sharpness_factor

    def apply_to(self, img: Any) -> Any:
        return functional.adjust_sharpness(img, self.sharpness_factor)


class RandomAutocontrast(_WithProbability):
    """Stretch the contrast of every channel, with probability `p`."""

    def __init__(self, p: float = 0.5):
        super().__init__(p)

    def apply_to(self, img: Any) -> Any:
        return functional.autocontrast(img)


class RandomEqualize(_WithProbability):
    """Equalise the histogram of every channel, with probability `p`."""

    def __init__(self, p: float = 0.5):
        super().__init__(p)

    def apply_to(self, img: Any) -> Any:
        return functional.equalize(img)


class GaussianBlur(nn.Module):
    """Blur with a Gaussian kernel of random width.

    Args:
        kernel_size: (width, height) of the kernel, odd, or one number for both.
        sigma: (least, most) standard deviation in pixels, or one number.
    """

    def __init__(
        self, kernel_size: int | Sequence[int], sigma: float | Sequence[float] = (0.1, 2.0)
    ):
        super().__init__()
        message = "Kernel size should be a tuple/list of two integers"
        self.kernel_size = size_pair(kernel_size, message)
        if any(size <= 0 or size % 2 == 0 for size in self.kernel_size):
            raise ValueError("Kernel size value should be an odd and positive number.")
        if isinstance(sigma, int | float):
            if sigma <= 0:
                raise ValueError("If sigma is a single number, it must be positive.")
            sigma = (sigma, sigma)
        elif isinstance(sigma, Sequence) and len(sigma) == 2:
            if not 0.0 < sigma[0] <= sigma[1]:
                raise ValueError("sigma values should be positive and of the form (min, max).")
        else:
            raise ValueError("sigma should be a single number or a list/tuple with length 2.")
        self.sigma = sigma

    @staticmethod
    def get_params(sigma_min: float, sigma_max: float) -> float:
        """Draw the standard deviation."""
        return draws.uniform(sigma_min, sigma_max)

    def forward(self, img: Any) -> Any:
        sigma = self.get_params(self.sigma[0], self.sigma[1])
        return functional.gaussian_blur(img, self.kernel_size, [sigma, sigma])

    def __repr__(self) -> str:
        return f"{type(self).__name__}(kernel_size={self.kernel_size}, sigma={self.sigma})"


class RandomErasing(nn.Module):
    """Erase a box of a tensor image at random (Zhong et al. 2017), with probability `p`.

    Args:
        p: the probability.
        scale: the range of the box's part of the whole area.
        ratio: the range of its shape.
        value: what fills it: a number, one for each channel, or "random" for normal noise.
        inplace: change the given tensor itself.
    """

    batch_stages = {"tensor": "tensor"}

    def __init__(
        self,
        p: float = 0.5,
        scale: Sequence[float] = (0.02, 0.33),
        ratio: Sequence[float] = (0.3, 3.3),
        value: float | str | Sequence[float] = 0,
        inplace: bool = False,
    ):
        super().__init__()
        if not isinstance(value, int | float | str | tuple | list):
            raise TypeError("Argument value should be either a number or str or a sequence")
        if isinstance(value, str) and value != "random":
            raise ValueError("If value is str, it should be 'random'")
        if not isinstance(scale, Sequence):
            raise TypeError("Scale should be a sequence")
        if not isinstance(ratio, Sequence):
            raise TypeError("Ratio should be a sequence")
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=2)
        if scale[0] < 0 or scale[1] > 1:
            raise ValueError("Scale should be between 0 and 1")
        if p < 0 or p > 1:
            raise ValueError("Random erasing probability should be between 0 and 1")
        self.p = p
        self.scale = scale
        self.ratio = ratio
        self.value = value
        self.inplace = inplace
        if isinstance(value, str):
            self.batch_stages = {}

    @staticmethod
    def get_params(
        img: Tensor,
        scale: Sequence[float],
        ratio: Sequence[float],
        value: Sequence[float] | None = None,
    ) -> tuple[int, int, int, int, Tensor]:
        """Draw (top, left, height, width, filling); after ten misses nothing is erased."""
        channels, rows, columns = img.shape[-3:]

        def filling(height: int, width: int) -> Tensor:
            if value is None:
                return ops.empty(channels, height, width).normal_()
            return ops.tensor(value)[:, None, None]

        return _draw_hole(rows, columns, scale, ratio, filling) or (0, 0, rows, columns, img)

    def forward(self, img: Tensor) -> Tensor:
        if draws.chance() >= self.p:
            return img
        value = None if isinstance(self.value, str) else self._filling(img.shape[-3])
        box = self.get_params(img, self.scale, self.ratio, value)
        return functional.erase(img, *box, self.inplace)

    def _filling(self, channels: int) -> list[float]:
        """The numbers that fill the box, one or as many as there are channels."""
        assert not isinstance(self.value, str)
        single = isinstance(self.value, int | float)
        value = [float(number) for number in ([self.value] if single else self.value)]
        if len(value) not in (1, channels):
            raise ValueError(
                "If value is a sequence, it should have either a single value or "
                f"{channels} (number of input channels)"
            )
        return value

    def draw(self, height: int, width: int) -> Hole | None:
        """The box that is erased, if any."""
        if draws.chance() >= self.p:
            return None
        return _draw_hole(height, width, self.scale, self.ratio, lambda *_: None)

    def batch(self, images: np.ndarray, stage: str, choices: list[Hole | None]) -> np.ndarray:
        for image, hole in zip(images, choices, strict=True):
            if hole is not None:
                filling = np.array(self._filling(len(image)), np.float32)
                top, left, height, width, _ = hole
                image[:, top : top + height, left : left + width] = filling[:, None, None]
        return images

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(p={self.p}, scale={self.scale}, ratio={self.ratio}, "
            f"value={self.value}, inplace={self.inplace})"
        )


def _draw_hole(
    rows: int,
    columns: int,
    scale: Sequence[float],
    ratio: Sequence[float],
    filling: Callable[[int, int], Any],
) -> Hole | None:
    """Draw (top, left, height, width, filling) of a box in the image; None after ten misses."""
    for _ in range(10):
        # The shape is height / width here, unlike in RandomResizedCrop.
        width, height = draw_box(rows * columns, scale, ratio)
        if height < rows and width < columns:
            contents = filling(height, width)
            top = draws.whole_number(0, rows - height + 1)
            return top, draws.whole_number(0, columns - width + 1), height, width, contents
    return None
