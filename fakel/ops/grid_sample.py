"""Sampling images at given places: `grid_sample`, and the grids of affine maps.

Each mode is a sum over taps along each spatial dimension; a tap has an index, a weight, and the
weight's first two derivatives by the position, so one loop gives values, gradients or second ones.
"""

from __future__ import annotations

import itertools
import math
import warnings

import numpy as np

from fakel import ops
from fakel.autograd.tape import retitled
from fakel.ops.checks import floating_only
from fakel.ops.declare import gradient, operator, primitive
from fakel.ops.upsample import CUBIC
from fakel.tensor import Tensor


def _unnormalized(grid, length, align):
    """Positions in elements, and their derivative by the grid's coordinate."""
    if align:
        return (grid + 1) / 2 * (length - 1), (length - 1) / 2
    return ((grid + 1) * length - 1) / 2, length / 2


def _reflected(position, length, align):
    """Positions reflected at the border until they are inside, and the derivative's sign."""
    low, span = (0, length - 1) if align else (-0.5, length)
    if span <= 0:
        return np.zeros_like(position), np.zeros_like(position)
    sign = np.where(position < low, -1, 1)
    distance = np.abs(position - low)
    flips = np.floor(distance / span)
    inside = distance - flips * span
    odd = flips % 2 == 1
    return np.where(odd, span - inside, inside) + low, np.where(odd, -sign, sign)


def _padded(position, length, padding_mode, align):
    """Positions as the padding mode moves them, and the derivative of that."""
    slope = np.ones_like(position)
    if padding_mode == "zeros":
        return position, slope
    if padding_mode == "reflection":
        position, slope = _reflected(position, length, align)
    slope = np.where((position <= 0) | (position >= length - 1), 0, slope)
    return np.clip(position, 0, length - 1), slope


def _whole(position):
    """Positions as integers; what is not a number or out of all bounds becomes -1."""
    return np.where(np.abs(position) < 2**31, position, -1).astype(np.int64)


def _cubic_weights(share):
    """The weights of the four taps around a position, with their first two derivatives."""
    a = CUBIC
    taps = []
    for offset in (-1, 0, 1, 2):
        signed = share - offset
        x = np.abs(signed)
        if offset in (0, 1):
            weight = ((a + 2) * x - (a + 3)) * x * x + 1
            slope = (3 * (a + 2) * x - 2 * (a + 3)) * x
            curvature = 6 * (a + 2) * x - 2 * (a + 3)
        else:
            weight = ((x - 5) * x + 8) * x * a - 4 * a
            slope = ((3 * x - 10) * x + 8) * a
            curvature = (6 * x - 10) * a
        taps.append((weight, slope * np.sign(signed), curvature))
    return taps


def _taps(grid, length, mode, padding_mode, align):
    """(index, (weight, its first, its second derivative by the grid)) of each tap along one
    dimension."""
    position, scale = _unnormalized(grid, length, align)
    if mode == "bicubic":
        first = np.floor(position)
        return [
            (
                _whole(_padded(first + offset, length, padding_mode, align)[0]),
                (weight, slope * scale, curvature * scale**2),
            )
            for offset, (weight, slope, curvature) in enumerate(
                _cubic_weights(position - first), start=-1
            )
        ]
    position, slope = _padded(position, length, padding_mode, align)
    none = np.zeros_like(position)
    if mode == "nearest":
        return [(_whole(np.rint(position)), (np.ones_like(position), none, none))]
    first = np.floor(position)
    share, rate = position - first, slope * scale
    index = _whole(first)
    return [(index, (1 - share, -rate, none)), (index + 1, (share, rate, none))]


def _combinations(input, grid, mode, padding_mode, align):
    """For each combination of taps: flat indices, whether they are inside, and the weights along
    each dimension with their derivatives.

    The grid's last dimension begins with the last spatial dimension.
    """
    size = input.shape[2:]
    flat = grid.reshape(len(grid), -1, len(size))
    lines = [
        _taps(flat[..., len(size) - 1 - axis], length, mode, padding_mode, align)
        for axis, length in enumerate(size)
    ]
    for taps in itertools.product(*lines):
        index, inside = 0, True
        for (where, _), length in zip(taps, size, strict=True):
            inside = inside & (where >= 0) & (where < length)
            index = index * length + np.clip(where, 0, length - 1)
        yield index, inside, [weights for _, weights in taps]


def _weight(factors, *axes):
    """The weight of a combination of taps, differentiated once for each axis that is named."""
    return math.prod(orders[axes.count(axis)] for axis, orders in enumerate(factors))


@primitive("grid_sampler")
def _grid_sampler(input, grid, *, mode, padding_mode, align_corners):
    batch, channels = input.shape[:2]
    pixels = input.reshape(batch, channels, -1).transpose(0, 2, 1)
    samples = np.arange(batch)[:, None]
    total = np.zeros((batch, math.prod(grid.shape[1:-1]), channels), input.dtype)
    for index, inside, factors in _combinations(input, grid, mode, padding_mode, align_corners):
        weight = _weight(factors)[..., None]
        total += np.where(inside[..., None], pixels[samples, index] * weight, 0)
    return total.transpose(0, 2, 1).reshape(batch, channels, *grid.shape[1:-1])


@primitive("grid_sampler_gradient")
def _grid_sampler_gradient(output_gradient, input, grid, *, mode, padding_mode, align_corners):
    """The gradients of input and grid."""
    batch, channels = input.shape[:2]
    places = math.prod(input.shape[2:])
    pixels = input.reshape(batch, channels, places).transpose(0, 2, 1)
    pulled = output_gradient.reshape(batch, channels, -1).transpose(0, 2, 1)
    samples = np.arange(batch)[:, None]
    total = np.zeros(batch * places * channels)
    axes = range(input.ndim - 2)
    grid_gradient = np.zeros((batch, pulled.shape[1], len(axes)), input.dtype)
    for index, inside, factors in _combinations(input, grid, mode, padding_mode, align_corners):
        spread = np.where(inside[..., None], pulled * _weight(factors)[..., None], 0)
        flat = ((samples * places + index)[..., None] * channels + np.arange(channels)).ravel()
        total += np.bincount(flat, spread.ravel(), total.size)
        inner = np.where(inside, (pixels[samples, index] * pulled).sum(-1), 0)
        for axis in axes:
            grid_gradient[..., -1 - axis] += inner * _weight(factors, axis)
    input_gradient = total.reshape(batch, places, channels).transpose(0, 2, 1)
    return input_gradient.reshape(input.shape), grid_gradient.reshape(grid.shape)


@primitive("grid_sampler_second_gradient")
def _grid_sampler_second_gradient(
    output_gradient, input, grid, by_input, by_grid, *, mode, padding_mode, align_corners
):
    """The gradients of the output's gradient, input and grid, given those of the two results of
    `_grid_sampler_gradient`."""
    batch, channels = input.shape[:2]
    places = math.prod(input.shape[2:])
    pixels, directions = (
        each.reshape(batch, channels, places).transpose(0, 2, 1) for each in (input, by_input)
    )
    pulled = output_gradient.reshape(batch, channels, -1).transpose(0, 2, 1)
    moved = by_grid.reshape(batch, -1, input.ndim - 2)
    samples = np.arange(batch)[:, None]
    total = np.zeros(batch * places * channels)
    axes = range(input.ndim - 2)
    by_output = np.zeros(pulled.shape, input.dtype)
    grid_gradient = np.zeros(moved.shape, input.dtype)
    for index, inside, factors in _combinations(input, grid, mode, padding_mode, align_corners):
        seen = np.where(inside[..., None], pixels[samples, index], 0)
        direction = np.where(inside[..., None], directions[samples, index], 0)
        change = sum(_weight(factors, axis) * moved[..., -1 - axis] for axis in axes)[..., None]
        by_output += direction * _weight(factors)[..., None] + seen * change
        spread = np.where(inside[..., None], pulled * change, 0)
        flat = ((samples * places + index)[..., None] * channels + np.arange(channels)).ravel()
        total += np.bincount(flat, spread.ravel(), total.size)
        first, second = (direction * pulled).sum(-1), (seen * pulled).sum(-1)
        for axis in axes:
            bend = sum(_weight(factors, axis, other) * moved[..., -1 - other] for other in axes)
            grid_gradient[..., -1 - axis] += first * _weight(factors, axis) + second * bend
    input_gradient = total.reshape(batch, places, channels).transpose(0, 2, 1)
    return (
        by_output.transpose(0, 2, 1).reshape(output_gradient.shape),
        input_gradient.reshape(input.shape),
        grid_gradient.reshape(grid.shape),
    )


gradient(
    _grid_sampler,
    joint=lambda grad, input, grid, mode, padding_mode, align_corners: _grid_sampler_gradient(
        grad, input, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners,
        shape=(tuple(input.shape), tuple(grid.shape)), dtype=(input.dtype, grid.dtype)),
)  # fmt: skip


def _second_gradient(grads, output_gradient, input, grid, mode, padding_mode, align_corners):
    by_input, by_grid = (
        Tensor._zeros(like._shape, like.dtype) if given is None else given
        for given, like in zip(grads, (input, grid), strict=True)
    )
    tensors = (output_gradient, input, grid)
    return _grid_sampler_second_gradient(
        *tensors, by_input, by_grid, mode=mode, padding_mode=padding_mode,
        align_corners=align_corners, shape=tuple(tuple(each.shape) for each in tensors),
        dtype=tuple(each.dtype for each in tensors),
    )  # fmt: skip


gradient(_grid_sampler_gradient, joint=_second_gradient)


def _warn_about_corners(align_corners):
    if align_corners is None:
        warnings.warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False since "
            "1.3.0. Please specify align_corners=True if the old behavior is desired. See the "
            "documentation of grid_sample for details.",
            stacklevel=3,
        )
    return bool(align_corners)


@operator(method=False, out=False, namespace="nn.functional")
def grid_sample(input, grid, mode="bilinear", padding_mode="zeros", align_corners=None):
    """Samples an image at the places of a grid.

    Args:
        input: (batch, channels, height, width), or with a depth.
        grid: (batch, *, 2) of (x, y) or (batch, *, 3) of (x, y, z) between -1 and 1.
        mode: "bilinear", "nearest" or "bicubic".
        padding_mode: what lies outside: "zeros", "border" or "reflection".
        align_corners: -1 and 1 mean the centres of the corners, instead of their outer edges.
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ValueError(
            "nn.functional.grid_sample(): expected mode to be 'bilinear', 'nearest' or 'bicubic', "
            f"but got: '{mode}'"
        )
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ValueError(
            "nn.functional.grid_sample(): expected padding_mode to be 'zeros', 'border', or "
            f"'reflection', but got: '{padding_mode}'"
        )
    return _sampled(input, grid, mode, padding_mode, _warn_about_corners(align_corners))


def _sampled(input, grid, mode, padding_mode, align_corners):
    sizes, places = list(input.shape), list(grid.shape)
    if input.shape[0] != grid.shape[0]:
        raise RuntimeError(
            "grid_sampler(): expected grid and input to have same batch size, but got input with "
            f"sizes {sizes} and grid with sizes {places}"
        )
    if input.ndim not in (4, 5) or input.ndim != grid.ndim:
        raise RuntimeError(
            "grid_sampler(): expected 4D or 5D input and grid with same number of dimensions, but "
            f"got input with sizes {sizes} and grid with sizes {places}"
        )
    if grid.shape[-1] != input.ndim - 2:
        raise RuntimeError(
            f"grid_sampler(): expected grid to have size {input.ndim - 2} in last dimension, but "
            f"got grid with sizes {places}"
        )
    for dim in range(2, input.ndim):
        if input.shape[dim] <= 0:
            raise RuntimeError(
                "grid_sampler(): expected input to have non-empty spatial dimensions, but input "
                f"has sizes {sizes} with dimension {dim} being empty"
            )
    if mode == "bicubic" and input.ndim != 4:
        raise RuntimeError("grid_sampler(): bicubic interpolation only supports 4D input")
    if input.dtype != grid.dtype:
        raise RuntimeError(
            f"expected scalar type {input.dtype.letter} but found {grid.dtype.letter}"
        )
    floating_only(
        "grid_sampler_2d_cpu_kernel_impl" if input.ndim == 4 else "grid_sampler3d_cpu", input
    )
    result = _grid_sampler(
        input, grid, mode=mode, padding_mode=padding_mode, align_corners=align_corners,
        shape=(*input.shape[:2], *grid.shape[1:-1]),
    )  # fmt: skip
    return retitled(result, f"GridSampler{input.ndim - 2}DBackward0")


@operator(method=False, out=False)
def grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners):
    """`grid_sample` with numbers for the modes: 0 "bilinear", 1 "nearest", 2 "bicubic"; 0 "zeros",
    1 "border", 2 "reflection"."""
    mode = ("bilinear", "nearest", "bicubic")[interpolation_mode]
    outside = ("zeros", "border", "reflection")[padding_mode]
    return _sampled(input, grid, mode, outside, bool(align_corners))


@operator(method=False, out=False)
def grid_sampler_2d(input, grid, interpolation_mode, padding_mode, align_corners):
    """`grid_sampler` of images."""
    if input.ndim != 4 or input.ndim != grid.ndim:
        raise RuntimeError(
            "grid_sampler_2d(): expected 4D input and grid with same number of dimensions, but got "
            f"input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


@operator(method=False, out=False)
def grid_sampler_3d(input, grid, interpolation_mode, padding_mode, align_corners):
    """`grid_sampler` of volumes."""
    if input.ndim != 5 or input.ndim != grid.ndim:
        raise RuntimeError(
            "grid_sampler(): expected 5D input and grid with same number of dimensions, but got "
            f"input with sizes {list(input.shape)} and grid with sizes {list(grid.shape)}"
        )
    return grid_sampler(input, grid, interpolation_mode, padding_mode, align_corners)


@operator(
    method=False, out=False, namespace="nn.functional", backward_name="AffineGridGeneratorBackward0"
)
def affine_grid(theta, size, align_corners=None):
    """The grid that an affine map samples at, for `grid_sample`.

    Args:
        theta: (batch, 2, 3), or (batch, 3, 4) for three spatial dimensions.
        size: of the image to make: (batch, channels, *spatial).
        align_corners: as of `grid_sample`.
    """
    align_corners = _warn_about_corners(align_corners)
    if not theta.is_floating_point():
        raise ValueError(f"Expected theta to have floating point type, but got {theta.dtype}")
    size = tuple(int(length) for length in size)
    if len(size) not in (4, 5):
        raise NotImplementedError(
            "affine_grid only supports 4D and 5D sizes, for 2D and 3D affine transforms, "
            f"respectively. Got size {size}."
        )
    rows = len(size) - 2
    if theta.ndim != 3 or tuple(theta.shape[-2:]) != (rows, rows + 1):
        raise ValueError(
            f"Expected a batch of {rows}D affine matrices of shape Nx{rows}x{rows + 1} for size "
            f"{size}. Got {theta.shape}."
        )
    if min(size) <= 0:
        raise ValueError(f"Expected non-zero, positive output size. Got {size}")
    if align_corners and min(size[2:]) == 1:
        warnings.warn(
            "Since version 1.3.0, affine_grid behavior has changed for unit-size grids when "
            "align_corners=True. This is not an intended use case of affine_grid. See the "
            "documentation of affine_grid for details.",
            stacklevel=2,
        )
    spatial = size[2:]
    lines = []
    for axis, length in reversed(list(enumerate(spatial))):
        line = ops.linspace(-1, 1, length, dtype=theta.dtype)
        if length <= 1:
            line = ops.zeros(length, dtype=theta.dtype)
        elif not align_corners:
            line = line * ((length - 1) / length)
        shape = [1] * rows
        shape[axis] = length
        lines.append(line.reshape(shape).expand(spatial))
    base = ops.stack([*lines, ops.ones(*spatial, dtype=theta.dtype)], -1)
    flat = base.reshape(1, math.prod(spatial), rows + 1).expand(size[0], -1, -1)
    return flat.bmm(theta.transpose(1, 2)).reshape(size[0], *spatial, rows)
