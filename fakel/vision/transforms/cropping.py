"""Transforms that choose a part of the image, or put a border around it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from fakel import nn
from fakel.vision.transforms import draws, functional
from fakel.vision.transforms.arguments import size_pair
from fakel.vision.transforms.interpolation import InterpolationMode, interpolation_mode

# The axes of height and width in an array of each stage of a batch.
_AXES = {"image": (1, 2), "tensor": (2, 3)}


class Resize(nn.Module):
    """Resize.

    Args:
        size: (height, width), or the length of the shorter edge.
        interpolation: how; tensors know nearest, nearest-exact, bilinear and bicubic.
        max_size: the longest that the longer edge may become; only with a single `size`.
        antialias: whether tensors are filtered when they shrink. PIL images always are.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        max_size: int | None = None,
        antialias: bool | None = True,
    ):
        super().__init__()
        if not isinstance(size, int | Sequence):
            raise TypeError(f"Size should be int or sequence. Got {type(size)}")
        if isinstance(size, Sequence) and len(size) not in (1, 2):
            raise ValueError("If size is a sequence, it should have 1 or 2 values")
        self.size = size
        self.max_size = max_size
        self.interpolation = interpolation_mode(interpolation)
        self.antialias = antialias

    def forward(self, img: Any) -> Any:
        return functional.resize(img, self.size, self.interpolation, self.max_size, self.antialias)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(size={self.size}, interpolation={self.interpolation.value}, "
            f"max_size={self.max_size}, antialias={self.antialias})"
        )


class CenterCrop(nn.Module):
    """The middle of the image; a smaller image is first padded with black.

    Args:
        size: (height, width), or one number for a square.
    """

    batch_stages = {"image": "image", "tensor": "tensor"}

    def __init__(self, size: int | Sequence[int]):
        super().__init__()
        self.size = size_pair(size)

    def forward(self, img: Any) -> Any:
        return functional.center_crop(img, self.size)

    def batch_size_after(self, height: int, width: int) -> tuple[int, int]:
        return self.size[0], self.size[1]

    def batch(self, images: np.ndarray, stage: str, choices: None) -> np.ndarray:
        tops, lefts = [], []
        for starts, axis, size in zip((tops, lefts), _AXES[stage], self.size, strict=True):
            missing = max(size - images.shape[axis], 0)
            middle = round((max(images.shape[axis], size) - size) / 2.0)
            starts += [middle - missing // 2] * len(images)
        return _cut(images, stage, tops, lefts, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class Pad(nn.Module):
    """Put a border around the image.

    Args:
        padding: one number, (left and right, top and bottom), or (left, top, right, bottom).
        fill: the border's colour, a number or, for PIL images, one for each channel.
        padding_mode: constant, edge (repeat the last pixel), reflect (mirror without it) or
            symmetric (mirror with it).
    """

    batch_stages = {"image": "image"}

    def __init__(
        self,
        padding: int | Sequence[int],
        fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ):
        super().__init__()
        if not isinstance(padding, int | float | tuple | list):
            raise TypeError("Got inappropriate padding arg")
        if not isinstance(fill, int | float | tuple | list):
            raise TypeError("Got inappropriate fill arg")
        if padding_mode not in ("constant", "edge", "reflect", "symmetric"):
            raise ValueError("Padding mode should be either constant, edge, reflect or symmetric")
        if isinstance(padding, Sequence) and len(padding) not in (1, 2, 4):
            raise ValueError(
                "Padding must be an int or a 1, 2, or 4 element tuple, not a "
                f"{len(padding)} element tuple"
            )
        self.padding = padding
        self.fill = fill
        self.padding_mode = padding_mode
        if not _pads_batches(padding, fill):
            self.batch_stages = {}

    def forward(self, img: Any) -> Any:
        return functional.pad(img, self.padding, self.fill, self.padding_mode)

    def batch_size_after(self, height: int, width: int) -> tuple[int, int]:
        left, top, right, bottom = functional.padding_sides(self.padding)
        return height + top + bottom, width + left + right

    def batch(self, images: np.ndarray, stage: str, choices: None) -> np.ndarray:
        sides = functional.padding_sides(self.padding)
        return _padded(images, stage, sides, self.fill, self.padding_mode)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(padding={self.padding}, fill={self.fill}, "
            f"padding_mode={self.padding_mode})"
        )


class RandomCrop(nn.Module):
    """A box of the image at a random place.

    Args:
        size: (height, width), or one number for a square.
        padding: border put around the image first, as for `Pad`.
        pad_if_needed: pad an image that is smaller than `size`.
        fill, padding_mode: as for `Pad`.
    """

    batch_stages = {"image": "image", "tensor": "tensor"}

    def __init__(
        self,
        size: int | Sequence[int],
        padding: int | Sequence[int] | None = None,
        pad_if_needed: bool = False,
        fill: float | Sequence[float] = 0,
        padding_mode: str = "constant",
    ):
        super().__init__()
        self.size = tuple(size_pair(size))
        self.padding = padding
        self.pad_if_needed = pad_if_needed
        self.fill = fill
        self.padding_mode = padding_mode
        if pad_if_needed or not _pads_batches(0 if padding is None else padding, fill):
            self.batch_stages = {}
        elif padding_mode != "constant" or fill != 0:
            self.batch_stages = {"image": "image"}

    @staticmethod
    def get_params(img: Any, output_size: Sequence[int]) -> tuple[int, int, int, int]:
        """Draw (top, left, height, width)."""
        _, height, width = functional.get_dimensions(img)
        top, left = _place(height, width, *output_size)
        return top, left, *output_size

    def forward(self, img: Any) -> Any:
        if self.padding is not None:
            img = functional.pad(img, self.padding, self.fill, self.padding_mode)
        _, height, width = functional.get_dimensions(img)
        if self.pad_if_needed and width < self.size[1]:
            border = [self.size[1] - width, 0]
            img = functional.pad(img, border, self.fill, self.padding_mode)
        if self.pad_if_needed and height < self.size[0]:
            border = [0, self.size[0] - height]
            img = functional.pad(img, border, self.fill, self.padding_mode)
        return functional.crop(img, *self.get_params(img, self.size))

    def _sides(self) -> list[int]:
        return functional.padding_sides(0 if self.padding is None else self.padding)

    def _places(self, height: int, width: int) -> tuple[int, int]:
        """How many rows and columns the box can begin at."""
        left, top, right, bottom = self._sides()
        return _places(height + top + bottom, width + left + right, *self.size)

    def words(self, height: int, width: int) -> int:
        return 0 if self._places(height, width) == (1, 1) else 2

    def choose(self, words: np.ndarray, height: int, width: int) -> np.ndarray:
        """Where the boxes begin, (n, 2)."""
        rows, columns = self._places(height, width)
        if words.shape[1] == 0:
            return np.zeros((len(words), 2), dtype=np.int64)
        tops = draws.whole_numbers(words[:, 0], 0, rows)
        return np.stack([tops, draws.whole_numbers(words[:, 1], 0, columns)], axis=1)

    def batch_size_after(self, height: int, width: int) -> tuple[int, int]:
        return self.size

    def batch(self, images: np.ndarray, stage: str, choices: np.ndarray) -> np.ndarray:
        sides = self._sides()
        if self.padding_mode == "constant" and self.fill == 0:
            # What lies outside of the image is black: the border need not be built.
            choices = choices - [sides[1], sides[0]]
        else:
            images = _padded(images, stage, sides, self.fill, self.padding_mode)
        return _cut(images, stage, *choices.T.tolist(), self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, padding={self.padding})"


class RandomResizedCrop(nn.Module):
    """A box of random area and shape at a random place, resized (Szegedy et al. 2015, Inception).

    Args:
        size: (height, width) of the result, or one number for a square.
        scale: the range of the box's part of the whole area.
        ratio: the range of width / height; drawn so that its logarithm is uniform.
        interpolation, antialias: as for `Resize`.
    """

    def __init__(
        self,
        size: int | Sequence[int],
        scale: Sequence[float] = (0.08, 1.0),
        ratio: Sequence[float] = (3.0 / 4.0, 4.0 / 3.0),
        interpolation: InterpolationMode | int = InterpolationMode.BILINEAR,
        antialias: bool | None = True,
    ):
        super().__init__()
        self.size = size_pair(size)
        if not isinstance(scale, Sequence):
            raise TypeError("Scale should be a sequence")
        if not isinstance(ratio, Sequence):
            raise TypeError("Ratio should be a sequence")
        if scale[0] > scale[1] or ratio[0] > ratio[1]:
            warnings.warn("Scale and ratio should be of kind (min, max)", stacklevel=2)
        self.interpolation = interpolation_mode(interpolation)
        self.antialias = antialias
        self.scale = scale
        self.ratio = ratio

    @staticmethod
    def get_params(
        img: Any, scale: Sequence[float], ratio: Sequence[float]
    ) -> tuple[int, int, int, int]:
        """Draw (top, left, height, width); after ten misses take the largest box in the middle."""
        _, height, width = functional.get_dimensions(img)
        for _ in range(10):
            rows, columns = draw_box(height * width, scale, ratio)
            if 0 < columns <= width and 0 < rows <= height:
                top = draws.whole_number(0, height - rows + 1)
                left = draws.whole_number(0, width - columns + 1)
                return top, left, rows, columns
        rows, columns = height, width
        if width / height < min(ratio):
            rows = round(width / min(ratio))
        elif width / height > max(ratio):
            columns = round(height * max(ratio))
        return (height - rows) // 2, (width - columns) // 2, rows, columns

    def forward(self, img: Any) -> Any:
        box = self.get_params(img, self.scale, self.ratio)
        return functional.resized_crop(
            img, *box, self.size, self.interpolation, antialias=self.antialias
        )

    def __repr__(self) -> str:
        scale = tuple(round(value, 4) for value in self.scale)
        ratio = tuple(round(value, 4) for value in self.ratio)
        return (
            f"{type(self).__name__}(size={self.size}, scale={scale}, ratio={ratio}, "
            f"interpolation={self.interpolation.value}, antialias={self.antialias})"
        )


class FiveCrop(nn.Module):
    """The four corners and the middle, as a tuple.

    Args:
        size: (height, width), or one number for a square.
    """

    def __init__(self, size: int | Sequence[int]):
        super().__init__()
        self.size = size_pair(size)

    def forward(self, img: Any) -> tuple[Any, ...]:
        return functional.five_crop(img, self.size)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size})"


class TenCrop(nn.Module):
    """`FiveCrop` of the image and of its mirror image, as a tuple.

    Args:
        size: (height, width), or one number for a square.
        vertical_flip: mirror top and bottom instead of left and right.
    """

    def __init__(self, size: int | Sequence[int], vertical_flip: bool = False):
        super().__init__()
        self.size = size_pair(size)
        self.vertical_flip = vertical_flip

    def forward(self, img: Any) -> tuple[Any, ...]:
        return functional.ten_crop(img, self.size, self.vertical_flip)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(size={self.size}, vertical_flip={self.vertical_flip})"


def draw_box(area: int, scale: Sequence[float], ratio: Sequence[float]) -> tuple[int, int]:
    """Draw a box: a and b with a * b about `scale` of the area and b / a in `ratio`."""
    target = area * draws.uniform(scale[0], scale[1])
    low, high = np.log(np.asarray(ratio, dtype=np.float32))
    shape = float(np.exp(np.float32(draws.uniform(float(low), float(high)))))
    return round(math.sqrt(target / shape)), round(math.sqrt(target * shape))


def _place(height: int, width: int, rows: int, columns: int) -> tuple[int, int]:
    """Draw where a box of rows x columns lies in the image, unless it fills the image."""
    tops, lefts = _places(height, width, rows, columns)
    if (tops, lefts) == (1, 1):
        return 0, 0
    return draws.whole_number(0, tops), draws.whole_number(0, lefts)


def _places(height: int, width: int, rows: int, columns: int) -> tuple[int, int]:
    """How many rows and columns of the image a box of rows x columns can begin at."""
    if height < rows or width < columns:
        raise ValueError(
            f"Required crop size {(rows, columns)} is larger than input image size "
            f"{(height, width)}"
        )
    return height - rows + 1, width - columns + 1


def _pads_batches(padding: Any, fill: Any) -> bool:
    """Whether `_padded` knows this border: of a number's colour, and nowhere cut off."""
    if not isinstance(padding, int | tuple | list) or type(fill) is not int:
        return False
    if not 0 <= fill <= 255:
        return False
    return all(type(side) is int and side >= 0 for side in functional.padding_sides(padding))


def _padded(
    images: np.ndarray, stage: str, sides: Sequence[int], fill: int, padding_mode: str
) -> np.ndarray:
    """Images with a border; `sides` is left, top, right, bottom."""
    left, top, right, bottom = sides
    widths = [(0, 0)] * images.ndim
    for axis, width in zip(_AXES[stage], ((top, bottom), (left, right)), strict=True):
        widths[axis] = width
    if padding_mode == "constant":
        return np.pad(images, widths, constant_values=fill)
    return np.pad(images, widths, mode=padding_mode)  # type: ignore[call-overload]


def _cut(
    images: np.ndarray, stage: str, tops: Sequence[int], lefts: Sequence[int], size: Sequence[int]
) -> np.ndarray:
    """A box of each image; what lies outside of the image is black.

    The result lies in memory as the images do.
    """
    rows_axis, columns_axis = _AXES[stage]
    shape = list(images.shape)
    height, width = images.shape[rows_axis], images.shape[columns_axis]
    rows, columns = shape[rows_axis], shape[columns_axis] = size
    boxes = np.zeros_like(images, shape=shape)
    # Axes of rows and columns first, and the channels where they are.
    order = (0, rows_axis, columns_axis, 6 - rows_axis - columns_axis)
    source, target = images.transpose(order), boxes.transpose(order)
    for index, (top, left) in enumerate(zip(tops, lefts, strict=True)):
        first, start = min(max(-top, 0), rows), min(max(-left, 0), columns)
        last, stop = max(min(height - top, rows), first), max(min(width - left, columns), start)
        target[index, first:last, start:stop] = source[
            index, first + top : last + top, start + left : stop + left
        ]
    return boxes
