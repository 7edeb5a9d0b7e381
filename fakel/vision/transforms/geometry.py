"""Transforms that mirror, turn or distort the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fakel import nn
from fakel.vision.transforms import draws, functional
from fakel.vision.transforms.arguments import angle_range, check_sequence, fill_colour, fill_for
from fakel.vision.transforms.interpolation import InterpolationMode, interpolation_mode


class _RandomFlip(nn.Module):
    """Base of the two flips: mirror with probability `p`."""

    batch_stages = {"image": "image", "tensor": "tensor"}

    def __init__(self, p: float = 0.5):
        super().__init__()
        self.p = p

    def words(self, height: int, width: int) -> int:
        return 1

    def choose(self, words: np.ndarray, height: int, width: int) -> np.ndarray:
        return draws.chances(words[:, 0]) < self.p

    def _flip_batch(self, images: np.ndarray, axis: int, chosen: np.ndarray) -> np.ndarray:
        images[chosen] = np.flip(images[chosen], axis)
        return images

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"


class RandomHorizontalFlip(_RandomFlip):
    """Mirror left and right with probability `p`."""

    def forward(self, img: Any) -> Any:
        return functional.hflip(img) if draws.chance() < self.p else img

    def batch(self, images: np.ndarray, stage: str, choices: np.ndarray) -> np.ndarray:
        return self._flip_batch(images, 2 if stage == "image" else 3, choices)


class RandomVerticalFlip(_RandomFlip):
    """Mirror top and bottom with probability `p`."""

    def forward(self, img: Any) -> Any:
        return functional.vflip(img) if draws.chance() < self.p else img

    def batch(self, images: np.ndarray, stage: str, choices: np.ndarray) -> np.ndarray:
        return self._flip_batch(images, 1 if stage == "image" else 2, choices)


class RandomRotation(nn.Module):
    """Rotate by a random angle.

    Args:
        degrees: (least, most), or one number for -degrees to degrees.
        interpolation: tensors know nearest and bilinear.
        expand: make the result large enough for the whole image.
        center: (x, y), by default the image's centre.
        fill: the colour outside of the image.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
        expand: bool = False,
        center: Sequence[float] | None = None,
        fill: float | Sequence[float] | None = 0,
    ):
        super().__init__()
        self.degrees = angle_range(degrees, "degrees")
        if center is not None:
            check_sequence(center, "center", (2,))
        self.center = center
        self.interpolation = interpolation_mode(interpolation)
        self.expand = expand
        self.fill = fill_colour(fill)

    @staticmethod
    def get_params(degrees: Sequence[float]) -> float:
        """Draw the angle."""
        return draws.uniform(float(degrees[0]), float(degrees[1]))

    def forward(self, img: Any) -> Any:
        fill = fill_for(img, self.fill, functional.get_image_num_channels(img))
        angle = self.get_params(self.degrees)
        return functional.rotate(img, angle, self.interpolation, self.expand, self.center, fill)

    def __repr__(self) -> str:
        center = "" if self.center is None else f", center={self.center}"
        return (
            f"{type(self).__name__}(degrees={self.degrees}, "
            f"interpolation={self.interpolation.value}, expand={self.expand}{center}, "
            f"fill={self.fill})"
        )


class RandomAffine(nn.Module):
    """Rotate, move, scale and shear at random, about the image's centre.

    Args:
        degrees: the range of the rotation, or one number for -degrees to degrees.
        translate: the largest shift as a part of the width and of the height.
        scale: the range of the factor.
        shear: degrees along x: (least, most), or along x and y: four numbers, or one number for x.
        interpolation: tensors know nearest and bilinear.
        fill: the colour outside of the image.
        center: (x, y), by default the image's centre.
    """

    def __init__(
        self,
        degrees: float | Sequence[float],
        translate: Sequence[float] | None = None,
        scale: Sequence[float] | None = None,
        shear: float | Sequence[float] | None = None,
        interpolation: InterpolationMode | int = InterpolationMode.NEAREST,
        fill: float | Sequence[float] | None = 0,
        center: Sequence[float] | None = None,
    ):
        super().__init__()
        self.interpolation = interpolation_mode(interpolation)
        self.degrees = angle_range(degrees, "degrees")
        if translate is not None:
            check_sequence(translate, "translate", (2,))
            if any(not 0.0 <= part <= 1.0 for part in translate):
                raise ValueError("translation values should be between 0 and 1")
        self.translate = translate
        if scale is not None:
            check_sequence(scale, "scale", (2,))
            if any(factor <= 0 for factor in scale):
                raise ValueError("scale values should be positive")
        self.scale = scale
        self.shear = None if shear is None else angle_range(shear, "shear", (2, 4))
        self.fill = fill_colour(fill)
        if center is not None:
            check_sequence(center, "center", (2,))
        self.center = center

    @staticmethod
    def get_params(
        degrees: Sequence[float],
        translate: Sequence[float] | None,
        scale_ranges: Sequence[float] | None,
        shears: Sequence[float] | None,
        img_size: Sequence[int],
    ) -> tuple[float, tuple[int, int], float, tuple[float, float]]:
        """Draw angle, (shift x, y), scale, (shear x, y); `img_size` is (width, height)."""
        angle = draws.uniform(float(degrees[0]), float(degrees[1]))
        shift = (0, 0)
        if translate is not None:
            farthest = [float(part * size) for part, size in zip(translate, img_size, strict=True)]
            shift = (
                round(draws.uniform(-farthest[0], farthest[0])),
                round(draws.uniform(-farthest[1], farthest[1])),
            )
        scale = 1.0 if scale_ranges is None else draws.uniform(*scale_ranges)
        shear_x = shear_y = 0.0
        if shears is not None:
            shear_x = draws.uniform(shears[0], shears[1])
            if len(shears) == 4:
                shear_y = draws.uniform(shears[2], shears[3])
        return angle, shift, scale, (shear_x, shear_y)

    def forward(self, img: Any) -> Any:
        channels, height, width = functional.get_dimensions(img)
        fill = fill_for(img, self.fill, channels)
        choice = self.get_params(
            self.degrees, self.translate, self.scale, self.shear, [width, height]
        )
        return functional.affine(
            img, *choice, interpolation=self.interpolation, fill=fill, center=self.center
        )

    def __repr__(self) -> str:
        parts = [f"degrees={self.degrees}"]
        parts += [
            f"{name}={getattr(self, name)}"
            for name in ("translate", "scale", "shear")
            if getattr(self, name) is not None
        ]
        if self.interpolation != InterpolationMode.NEAREST:
            parts.append(f"interpolation={self.interpolation.value}")
        if self.fill != 0:
            parts.append(f"fill={self.fill}")
        if self.center is not None:
            parts.append(f"center={self.center}")
        return f"{type(self).__name__}({', '.join(parts)})"


class RandomPerspective(nn.Module):
    """Move the four corners inwards at random, with probability `p`.

    Args:
        distortion_scale: how far, from 0 to 1 (the middle of the image).
        p: the probability.
        interpolation: tensors know nearest and bilinear.
        fill: the colour outside of the image.
    """

    def __init__(
        self,
        distortion_scale: float = 0.5,
        p: float = 0.5,
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        fill: float | Sequence[float] | None = 0,
    ):
        super().__init__()
        self.p = p
        self.interpolation = interpolation_mode(interpolation)
        self.distortion_scale = distortion_scale
        self.fill = fill_colour(fill)

    @staticmethod
    def get_params(
        width: int, height: int, distortion_scale: float
    ) -> tuple[list[list[int]], list[list[int]]]:
        """Draw where the corners (top left, top right, bottom right, bottom left; x, y) go."""
        reach_x = int(distortion_scale * (width // 2))
        reach_y = int(distortion_scale * (height // 2))
        near_x, near_y = (0, reach_x + 1), (0, reach_y + 1)
        far_x, far_y = (width - reach_x - 1, width), (height - reach_y - 1, height)
        ranges = [(near_x, near_y), (far_x, near_y), (far_x, far_y), (near_x, far_y)]
        endpoints = [[draws.whole_number(*x), draws.whole_number(*y)] for x, y in ranges]
        startpoints = [[0, 0], [width - 1, 0], [width - 1, height - 1], [0, height - 1]]
        return startpoints, endpoints

    def forward(self, img: Any) -> Any:
        channels, height, width = functional.get_dimensions(img)
        fill = fill_for(img, self.fill, channels)
        if draws.chance() < self.p:
            corners = self.get_params(width, height, self.distortion_scale)
            return functional.perspective(img, *corners, self.interpolation, fill)
        return img

    def __repr__(self) -> str:
        return f"{type(self).__name__}(p={self.p})"
