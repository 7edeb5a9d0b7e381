"""torchvision.utils: grids of images, image files, boxes drawn into images."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from fakel import ops
from fakel.autograd import no_grad
from fakel.tensor import Tensor, dtypes
from fakel.vision._pillow import pillow
from fakel.vision.transforms import functional

__all__ = ["draw_bounding_boxes", "make_grid", "save_image"]

Colour = str | tuple[int, int, int]


@no_grad()
def make_grid(
    tensor: Tensor | list[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Images side by side in one image (3, height, width).

    Args:
        tensor: a batch (n, channels, height, width), a list of images, or one image. Grey ones get
            three
            equal channels.
        nrow: how many in a row.
        padding: the pixels between them.
        normalize: stretch the values to 0 to 1.
        value_range: what becomes 0 and 1; by default the least and the greatest value.
        scale_each: stretch each image by itself.
        pad_value: the colour between them.
    """
    images = _as_batch(tensor)
    if normalize:
        if value_range is not None and not isinstance(value_range, tuple):
            raise TypeError(
                "value_range has to be a tuple (min, max) if specified. min and max are numbers"
            )
        parts = list(images) if scale_each else [images]
        parts = [_stretched(part, value_range) for part in parts]
        images = ops.stack(parts) if scale_each else parts[0]
    count, channels, rows, columns = images.shape
    if count == 1:
        return images.squeeze(0)
    across = min(nrow, count)
    down = -(-count // across)
    height, width = rows + padding, columns + padding
    grid = images.new_full((channels, height * down + padding, width * across + padding), pad_value)
    for index in range(count):
        top = index // across * height + padding
        left = index % across * width + padding
        grid[:, top : top + rows, left : left + columns] = images[index]
    return grid


def _as_batch(tensor: Any) -> Tensor:
    """(n, channels, height, width), with three channels instead of one."""
    if isinstance(tensor, list):
        for image in tensor:
            if not isinstance(image, Tensor):
                raise TypeError(
                    "tensor or list of tensors expected, got a list containing " + str(type(image))
                )
        tensor = ops.stack(tensor, 0)
    if not isinstance(tensor, Tensor):
        raise TypeError(f"tensor or list of tensors expected, got {type(tensor)}")
    if tensor.dim() == 2:
        tensor = tensor.unsqueeze(0)
    if tensor.dim() == 3:
        tensor = tensor.unsqueeze(0)
    return ops.cat([tensor] * 3, 1) if tensor.shape[1] == 1 else tensor


def _stretched(images: Tensor, value_range: tuple[float, float] | None) -> Tensor:
    low, high = value_range or (float(images.min()), float(images.max()))
    return (images.clamp(low, high) - low) / max(high - low, 1e-5)


@no_grad()
def save_image(
    tensor: Tensor | list[Tensor],
    fp: str | Path | BinaryIO,
    format: str | None = None,
    **kwargs: Any,
) -> None:
    """Save an image, or a grid of images.

    Args:
        tensor: as for `make_grid`, with values from 0 to 1.
        fp: the file, or its name.
        format: the format; by default the name's ending tells it.
        kwargs: for `make_grid`.
    """
    grid = make_grid(tensor, **kwargs)
    pixels = (grid * 255 + 0.5).clamp(0, 255).permute(1, 2, 0).to(dtypes.uint8)
    pillow().fromarray(np.ascontiguousarray(pixels._array())).save(fp, format=format)


@no_grad()
def draw_bounding_boxes(
    image: Tensor,
    boxes: Tensor,
    labels: Sequence[str | None] | None = None,
    colors: Sequence[Colour] | Colour | None = None,
    fill: bool = False,
    width: int = 1,
    font: str | None = None,
    font_size: int | None = None,
) -> Tensor:
    """The image with rectangles in it.

    Args:
        image: (1 or 3, height, width), bytes or floating numbers from 0 to 1.
        boxes: (n, 4), each x and y of the top left and of the bottom right corner.
        labels: a text for each box.
        colors: one for all boxes, or one for each; by default different ones.
        fill: fill the boxes with a transparent colour.
        width: of the lines, in pixels.
        font: the name of a TrueType font for the labels.
        font_size: its size, 10 by default.
    """
    _check_drawing(image, boxes)
    count = boxes.shape[0]
    if count == 0:
        warnings.warn("boxes doesn't contain any box. No box was drawn", stacklevel=2)
        return image
    if labels is None:
        labels = [None] * count
    if len(labels) != count:
        raise ValueError(
            f"Number of boxes ({count}) and labels ({len(labels)}) mismatch. "
            "Please specify labels for each box."
        )
    if font is None and font_size is not None:
        warnings.warn("Argument 'font_size' will be ignored since 'font' is not set.", stacklevel=2)
    fonts = pillow("ImageFont")
    typeface = fonts.load_default() if font is None else fonts.truetype(font, font_size or 10)
    colours = _colours(colors, count)
    canvas = functional.convert_image_dtype(image, dtypes.uint8).expand(3, *image.shape[1:])
    picture = functional.to_pil_image(canvas)
    draw = pillow("ImageDraw").Draw(picture, "RGBA" if fill else None)
    for box, colour, label in zip(boxes.to(dtypes.int64).tolist(), colours, labels):
        inside = (*colour, 100) if fill else None
        draw.rectangle(box, width=width, outline=colour, fill=inside)
        if label is not None:
            corner = (box[0] + width + 1, box[1] + width + 1)
            draw.text(corner, label, fill=colour, font=typeface)
    return functional.convert_image_dtype(functional.pil_to_tensor(picture), image.dtype)


def _check_drawing(image: Tensor, boxes: Tensor) -> None:
    if not isinstance(image, Tensor):
        raise TypeError(f"Tensor expected, got {type(image)}")
    if image.dtype != dtypes.uint8 and not image.is_floating_point():
        raise ValueError(f"The image dtype must be uint8 or float, got {image.dtype}")
    if image.dim() != 3:
        raise ValueError("Pass individual images, not batches")
    if image.shape[0] not in (1, 3):
        raise ValueError("Only grayscale and RGB images are supported")
    if (boxes[:, 0] > boxes[:, 2]).any() or (boxes[:, 1] > boxes[:, 3]).any():
        raise ValueError(
            "Boxes need to be in (xmin, ymin, xmax, ymax) format. "
            "Use torchvision.ops.box_convert to convert them"
        )


def _colours(colors: Any, count: int) -> list[tuple[int, ...]]:
    """A colour for each box."""
    if colors is None:
        palette = (2**25 - 1, 2**15 - 1, 2**21 - 1)
        return [tuple(index * part % 255 for part in palette) for index in range(count)]
    if isinstance(colors, list):
        if len(colors) < count:
            raise ValueError(
                "Number of colors must be equal or larger than the number of objects, "
                f"but got {len(colors)} < {count}."
            )
    elif not isinstance(colors, tuple | str):
        raise ValueError(
            f"colors must be a tuple or a string, or a list thereof, but got {colors}."
        )
    elif isinstance(colors, tuple) and len(colors) != 3:
        raise ValueError(f"If passed as tuple, colors should be an RGB triplet, but got {colors}.")
    else:
        colors = [colors] * count
    named = pillow("ImageColor").getrgb
    return [named(colour) if isinstance(colour, str) else colour for colour in colors]
