"""Resampling of tensors: resizing, and reading pixels at computed positions.

Where a pixel of the result comes from depends on the sizes and the transformation only, never on
the pixels, so positions and weights are worked out once with NumPy; the pixels then go through two
matrix products (resizing) or a weighted gather, both of which have gradients.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from fakel import ops
from fakel.tensor import Tensor


def resize(images: Tensor, size: Sequence[int], mode: str, antialias: bool) -> Tensor:
    """Resize a floating tensor (..., height, width) to `size`, corners not aligned."""
    for axis, length in ((-2, size[0]), (-1, size[1])):
        old = images.shape[axis]
        if old == length:
            continue
        if mode.startswith("nearest"):
            source = _from_array(_nearest_sources(old, length, mode == "nearest-exact"))
            images = images.index_select(axis, source)
            continue
        matrix = _from_array(_resize_matrix(old, length, mode, antialias)).to(images.dtype)
        if axis == -2:
            images = matrix @ images
        else:
            images = images @ matrix.t()
    return images


def sample(images: Tensor, grid: np.ndarray, mode: str, fill: Sequence[float] | None) -> Tensor:
    """Read a floating tensor (n, channels, height, width) at `grid` (rows, columns, 2).

    The grid holds x and y, where -1 and 1 are the outer edges of the image. Outside of it lies
    `fill` (one value, or one a channel; None means 0).
    """
    height, width = images.shape[-2:]
    rows, columns = grid.shape[:2]
    one, two = np.float32(1), np.float32(2)
    x = ((grid[..., 0] + one) * np.float32(width) - one) / two
    y = ((grid[..., 1] + one) * np.float32(height) - one) / two
    if mode == "nearest":
        corners = [(np.rint(x), np.rint(y), np.ones_like(x))]
    else:
        left, top = np.floor(x), np.floor(y)
        right, bottom = x - left, y - top
        corners = [
            (left, top, (1 - right) * (1 - bottom)),
            (left + 1, top, right * (1 - bottom)),
            (left, top + 1, (1 - right) * bottom),
            (left + 1, top + 1, right * bottom),
        ]
    pixels = images.flatten(-2)
    result = None
    coverage = np.zeros_like(x)
    for column, row, weight in corners:
        inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
        weight = np.where(inside, weight, 0).astype(np.float32)
        index = np.where(inside, row * width + column, 0).astype(np.int64)
        term = pixels.index_select(-1, _from_array(index.reshape(-1)))
        term = term * _from_array(weight.reshape(-1)).to(images.dtype)
        result = term if result is None else result + term
        coverage += weight
    if fill is not None:
        colour = ops.tensor(list(fill), dtype=images.dtype).view(1, -1, 1)
        # Pixels at the edge fade twice, as in torchvision: weighted above and blended here.
        covered = _from_array(coverage.reshape(-1)).to(images.dtype)
        result = result * covered + (1.0 - covered) * colour
    return result.view(*images.shape[:-2], rows, columns)


def affine_grid(
    matrix: Sequence[float], source: tuple[int, int], target: tuple[int, int]
) -> np.ndarray:
    """The grid of an affine map about the middle; `source` and `target` are (height, width)."""
    theta = np.asarray(matrix, dtype=np.float32).reshape(2, 3)
    height, width = source
    scale = np.array([0.5 * width, 0.5 * height], dtype=np.float32)
    return _homogeneous(target, centred=True) @ (theta.T / scale)


def perspective_grid(coefficients: Sequence[float], size: tuple[int, int]) -> np.ndarray:
    """The grid of x' = (a x + b y + c) / (g x + h y + 1), and y' likewise with d, e, f."""
    a, b, c, d, e, f, g, h = (np.float32(value) for value in coefficients)
    height, width = size
    points = _homogeneous(size, centred=False)
    scale = np.array([0.5 * width, 0.5 * height], dtype=np.float32)
    numerator = points @ (np.array([[a, b, c], [d, e, f]], dtype=np.float32).T / scale)
    denominator = points @ np.array([[g], [h], [1]], dtype=np.float32)
    return numerator / denominator - np.float32(1)


def rotated_size(matrix: Sequence[float], height: int, width: int) -> tuple[int, int]:
    """(height, width) of the smallest image that holds the whole image after the map."""
    theta = np.asarray(matrix, dtype=np.float32).reshape(2, 3)
    half = np.array([0.5 * width, 0.5 * height], dtype=np.float32)
    signs = np.array([[-1, -1], [-1, 1], [1, 1], [1, -1]], dtype=np.float32)
    corners = np.concatenate([signs * half, np.ones((4, 1), dtype=np.float32)], axis=1)
    moved = corners @ theta.T
    # Positions are cut to a ten-thousandth, so that rounding noise does not add a row.
    step = np.float32(1e-4)
    highest = np.ceil(np.trunc((moved.max(axis=0) + half) / step) * step)
    lowest = np.floor(np.trunc((moved.min(axis=0) + half) / step) * step)
    columns, rows = highest - lowest
    return int(rows), int(columns)


def _homogeneous(size: tuple[int, int], centred: bool) -> np.ndarray:
    """(rows, columns, 3): the pixel centres x, y and a 1."""
    rows, columns = size
    points = np.ones((rows, columns, 3), dtype=np.float32)
    points[..., 0] = np.arange(columns) + 0.5 - (0.5 * columns if centred else 0)
    points[..., 1] = (np.arange(rows) + 0.5 - (0.5 * rows if centred else 0))[:, None]
    return points


def _nearest_sources(old: int, new: int, exact: bool) -> np.ndarray:
    scale = np.float32(old) / np.float32(new)
    position = (np.arange(new, dtype=np.float32) + np.float32(0.5 if exact else 0)) * scale
    return np.minimum(np.floor(position).astype(np.int64), old - 1)


@lru_cache(maxsize=64)
def _resize_matrix(old: int, new: int, mode: str, antialias: bool) -> np.ndarray:
    """(new, old): row i holds the weights of the old pixels in new pixel i."""
    scale = old / new
    matrix = np.zeros((new, old))
    for row in range(new):
        if antialias:
            columns, weights = _filter_taps(row, scale, old, mode)
        else:
            columns, weights = _interpolation_taps(row, scale, old, mode)
        np.add.at(matrix[row], columns, weights)
    return matrix.astype(np.float32)


def _filter_taps(row: int, scale: float, old: int, mode: str) -> tuple[np.ndarray, np.ndarray]:
    """The kernel, widened by the scale when the image shrinks, cut at the edges and normalised."""
    radius = {"bilinear": 1.0, "bicubic": 2.0}[mode]
    stretch = max(scale, 1.0)
    center = scale * (row + 0.5)
    first = max(int(center - radius * stretch + 0.5), 0)
    last = min(int(center + radius * stretch + 0.5), old)
    columns = np.arange(first, last)
    distance = np.abs(columns - center + 0.5) / stretch
    weights = np.maximum(1 - distance, 0) if mode == "bilinear" else _cubic(distance, -0.5)
    return columns, weights / weights.sum()


def _interpolation_taps(
    row: int, scale: float, old: int, mode: str
) -> tuple[np.ndarray, np.ndarray]:
    """Linear or cubic interpolation between the neighbours; beyond the edge lies the edge pixel."""
    position = scale * (row + 0.5) - 0.5
    if mode == "bilinear":
        position = max(position, 0.0)
    base = int(np.floor(position))
    offsets = np.arange(0, 2) if mode == "bilinear" else np.arange(-1, 3)
    distance = np.abs(position - (base + offsets))
    weights = 1 - distance if mode == "bilinear" else _cubic(distance, -0.75)
    return np.clip(base + offsets, 0, old - 1), weights


def _cubic(distance: np.ndarray, sharpness: float) -> np.ndarray:
    """Keys's cubic convolution kernel (IEEE Trans. ASSP 29, 1981)."""
    a = sharpness
    near = ((a + 2) * distance - (a + 3)) * distance * distance + 1
    far = ((distance - 5) * distance + 8) * distance * a - 4 * a
    return np.where(distance < 1, near, np.where(distance < 2, far, 0))


def _from_array(array: np.ndarray) -> Tensor:
    return Tensor._from_array(np.ascontiguousarray(array))
