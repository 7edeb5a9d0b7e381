"""Pictures of summaries: their dimensions put in order, grids of several, figures, PNG files."""

from __future__ import annotations

import io
from typing import Any

import numpy as np


def make_grid(images: np.ndarray, ncols: int = 8) -> np.ndarray:
    """Pictures (N, C, H, W) of one or three channels in rows of ``ncols``: (3, rows, columns)."""
    if images.shape[1] == 1:
        images = np.concatenate([images] * 3, 1)
    if images.ndim != 4 or images.shape[1] != 3:
        raise AssertionError("Input should be a 4D numpy array with 3 channels")
    count, _, height, width = images.shape
    columns = min(count, ncols)
    rows = -(-count // columns)
    canvas = np.zeros((3, height * rows, width * columns), images.dtype)
    for place, picture in enumerate(images):
        top, left = place // columns * height, place % columns * width
        canvas[:, top : top + height, left : left + width] = picture
    return canvas


def as_height_width_channels(pixels: np.ndarray, dataformats: str) -> np.ndarray:
    """A picture, or a grid of several, as (H, W, 3); (H, W, C) where it has other channels.

    Args:
        pixels: the numbers.
        dataformats: a letter a dimension: N, C, H, W in some order.
    """
    if len(set(dataformats)) != len(dataformats):
        raise AssertionError(
            f"You can not use the same dimension shorthand twice. input_format: {dataformats}"
        )
    if pixels.ndim != len(dataformats):
        raise AssertionError(
            "size of input tensor and input format are different. "
            f"tensor shape: {pixels.shape}, input_format: {dataformats}"
        )
    names = dataformats.upper()
    wanted = {4: "NCHW", 3: "HWC", 2: "HW"}[len(names)]
    pixels = pixels.transpose([names.find(name) for name in wanted])
    if wanted == "NCHW":
        return make_grid(pixels).transpose(1, 2, 0)
    if wanted == "HW":
        return np.stack([pixels] * 3, 2)
    return np.concatenate([pixels] * 3, 2) if pixels.shape[2] == 1 else pixels


def encoded_png(pixels: np.ndarray) -> bytes:
    """A PNG file of bytes (H, W, C)."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG")
    return file.getvalue()


def figure_to_image(figures: Any, close: bool = True) -> np.ndarray:
    """Matplotlib's figure as bytes (3, H, W); a list of figures as (N, 3, H, W).

    Args:
        figures: a figure, or a list of them.
        close: whether they are closed.
    """
    from matplotlib import pyplot
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    if isinstance(figures, list):
        return np.stack([figure_to_image(figure, close) for figure in figures])
    canvas = FigureCanvasAgg(figures)
    canvas.draw()
    pixels = np.asarray(canvas.buffer_rgba())[:, :, :3]
    if close:
        pyplot.close(figures)
    return np.moveaxis(pixels, 2, 0)
