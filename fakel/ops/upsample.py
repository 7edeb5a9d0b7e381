"""Resampling to another size: nearest, linear, cubic and Lanczos, in one to three dimensions.

Every mode is a sum over a few taps along each spatial dimension in turn, so one node serves all
of them, and its gradient is the same sum over the transposed taps.
"""

from __future__ import annotations

import functools
import math
import warnings
from typing import NamedTuple

import numpy as np

from fakel.autograd.tape import retitled
from fakel.ops.adaptive_pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    adaptive_avg_pool3d,
)
from fakel.ops.checks import NOT_FLOATING, refuse
from fakel.ops.declare import gradient, operator, primitive
from fakel.tensor import dtypes

# The parameter of the cubic kernel (Keys, 1981): PyTorch's two choices.
CUBIC = -0.75
CUBIC_ANTIALIAS = -0.5
# Over how many elements a kernel reaches.
WIDTHS = {"linear": 2, "cubic": 4, "lanczos": 6}
KERNELS = {
    "nearest": "nearest", "nearest-exact": "nearest-exact", "linear": "linear",
    "bilinear": "linear", "trilinear": "linear", "bicubic": "cubic", "lanczos": "lanczos",
}  # fmt: skip


_REFUSING = {
    "linear": "compute_indices_weights_linear",
    "bilinear": "upsample_bilinear2d_channels_last",
    "trilinear": "compute_indices_weights_linear",
    "bicubic": "compute_indices_weights_cubic",
}


class Resampling(NamedTuple):
    """How the spatial dimensions are resampled; `scales` has None where the sizes decide."""

    kernel: str
    output: tuple[int, ...]
    scales: tuple[float | None, ...]
    align_corners: bool
    antialias: bool

    def axes(self, size, dtype):
        """For each spatial dimension the axis, its length before, and the taps of the result.

        Args:
            size: of the spatial dimensions before.
            dtype: NumPy's, of the elements.
        """
        precise = (np.float64,) if self.kernel.startswith("nearest") else (np.float64, np.uint8)
        kind = "float64" if dtype in precise else "float32"
        for axis, (length, output, scale) in enumerate(
            zip(size, self.output, self.scales, strict=True), 2
        ):
            known = self.align_corners, self.antialias, kind
            yield axis, length, _taps(self.kernel, length, output, scale, *known)


class Taps(NamedTuple):
    """For each element of a line, which elements of the other line it sums: (length, taps)."""

    indices: np.ndarray
    weights: np.ndarray

    def transposed(self, length: int) -> Taps:
        """The taps of the transposed sum, whose line has `length` elements."""
        flat = self.indices.ravel()
        order = np.argsort(flat, kind="stable")
        rows = flat[order]
        counts = np.bincount(flat, minlength=length)
        places = np.arange(flat.size) - (np.cumsum(counts) - counts)[rows]
        indices = np.zeros((length, counts.max(initial=1)), np.int64)
        weights = np.zeros(indices.shape, self.weights.dtype)
        indices[rows, places] = order // self.indices.shape[1]
        weights[rows, places] = self.weights.ravel()[order]
        return Taps(indices, weights)

    def apply(self, array: np.ndarray, axis: int) -> np.ndarray:
        """The sums along an axis."""
        shape = [1] * array.ndim
        shape[axis] = -1
        total = None
        for tap in range(self.indices.shape[1]):
            taken = np.take(array, self.indices[:, tap], axis)
            if self.indices.shape[1] > 1 or not (self.weights == 1).all():
                taken = taken * self.weights[:, tap].reshape(shape).astype(array.dtype)
            total = taken if total is None else total + taken
        return total

    def apply_to_bytes(self, array: np.ndarray, axis: int) -> np.ndarray:
        """The sums along an axis in fixed-point numbers, rounded and limited to 0 to 255.

        As in PyTorch and Pillow, weights have as many binary places as fit into 16 bits.
        """
        largest, places = np.abs(self.weights).max(), 0
        while places < 22 and int(0.5 + largest * (1 << (places + 1))) < 1 << 15:
            places += 1
        scaled = self.weights * (1 << places)
        rounded = np.trunc(scaled + np.copysign(0.5, scaled))
        total = Taps(self.indices, rounded).apply(array.astype(np.int64), axis)
        return np.clip((total + (1 << places >> 1)) >> places, 0, 255).astype(np.uint8)


def _cubic(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys' kernel at a distance of less than 2, and 0 beyond."""
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = ((x - 5) * x + 8) * x * a - 4 * a
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _filter(kernel: str, distance: np.ndarray) -> np.ndarray:
    if kernel == "linear":
        return np.maximum(1 - np.abs(distance), 0)
    if kernel == "cubic":
        return _cubic(distance, CUBIC_ANTIALIAS)
    return np.where(np.abs(distance) < 3, np.sinc(distance) * np.sinc(distance / 3), 0)


def _antialiased_taps(kernel, length, output, scale):
    support = WIDTHS[kernel] * 0.5 * max(scale, 1.0)
    centre = scale * (np.arange(output) + 0.5)
    first = np.maximum((centre - support + 0.5).astype(np.int64), 0)
    count = np.minimum((centre + support + 0.5).astype(np.int64), length) - first
    steps = np.arange(max(count.max(), 1))
    distance = (steps + first[:, None] - centre[:, None] + 0.5) / max(scale, 1.0)
    weights = np.where(steps < count[:, None], _filter(kernel, distance), 0)
    weights = weights / weights.sum(1, keepdims=True)
    return Taps(np.minimum(first[:, None] + steps, length - 1), weights)


@functools.lru_cache(maxsize=256)
def _taps(
    kernel: str, length: int, output: int, scale: float | None, align: bool, antialias: bool,
    kind: str,
) -> Taps:  # fmt: skip
    """The taps along one dimension. Positions are worked out in the precision of `kind`."""
    real = np.float64 if kind == "float64" else np.float32
    if align:
        ratio = real((length - 1) / (output - 1)) if output > 1 else real(0)
    else:
        given = scale is not None and scale > 0
        ratio = real(1.0 / scale) if given else real(length) / real(output)
    steps = np.arange(output).astype(real)
    if antialias:
        return _antialiased_taps(kernel, length, output, float(ratio))
    if kernel in ("nearest", "nearest-exact"):
        half = real(0.5) if kernel == "nearest-exact" else real(0)
        source = np.minimum(np.floor((steps + half) * ratio).astype(np.int64), length - 1)
        return Taps(source[:, None], np.ones((output, 1)))
    position = steps * ratio if align else ratio * (steps + real(0.5)) - real(0.5)
    if kernel == "linear":
        position = np.maximum(position, 0)
        first = np.minimum(np.floor(position).astype(np.int64), length - 1)
        share = np.minimum(position - first, 1)
        second = np.minimum(first + 1, length - 1)
        return Taps(np.stack([first, second], 1), np.stack([1 - share, share], 1))
    first = np.floor(position).astype(np.int64)
    share = (position - first)[:, None]
    offsets = np.arange(-1, 3)
    return Taps(np.clip(first[:, None] + offsets, 0, length - 1), _cubic(offsets - share, CUBIC))


@primitive("upsample")
def _upsample(input, *, plan):
    result = input
    axes = list(plan.axes(input.shape[2:], input.dtype))
    if input.dtype == np.uint8 and not plan.kernel.startswith("nearest"):
        for axis, length, taps in reversed(axes):
            if taps.indices.shape[0] != length:
                result = taps.apply_to_bytes(result, axis)
        return result.copy()
    for axis, _, taps in axes:
        result = taps.apply(result, axis)
    return result


@primitive("upsample_gradient")
def _upsample_gradient(output_gradient, *, size, plan):
    result = output_gradient
    for axis, length, taps in plan.axes(size, output_gradient.dtype):
        result = taps.transposed(length).apply(result, axis)
    return result


gradient(
    _upsample,
    input=lambda grad, input, plan: _upsample_gradient(
        grad, size=tuple(input.shape[2:]), plan=plan, shape=tuple(input.shape)
    ),
)
gradient(
    _upsample_gradient,
    output_gradient=lambda grad, plan: _upsample(
        grad, plan=plan, shape=(*grad.shape[:2], *plan.output)
    ),
)

AREA = {3: adaptive_avg_pool1d, 4: adaptive_avg_pool2d, 5: adaptive_avg_pool3d}
NEEDED_NDIM = {"linear": 3, "bilinear": 4, "bicubic": 4, "lanczos": 4, "trilinear": 5}
ALL_MODES = "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact"


def _sequence(value, count):
    return list(value) if hasattr(value, "__len__") else [value] * count


def _output_sizes(input, size, scale_factor, recompute_scale_factor):
    """The spatial sizes of the output, and the scales that positions are worked out with."""
    spatial = list(input.shape[2:])
    if size is None and scale_factor is None:
        raise ValueError("either size or scale_factor should be defined")
    if size is not None and scale_factor is not None:
        raise ValueError("only one of size or scale_factor should be defined")
    if size is not None:
        if recompute_scale_factor:
            raise ValueError("recompute_scale_factor is not meaningful with an explicit size.")
        if hasattr(size, "__len__") and len(size) != len(spatial):
            raise ValueError(
                "Input and output must have the same number of spatial dimensions, but got input "
                f"with spatial dimensions of {spatial} and output size of {size}. Please provide "
                "input tensor in (N, C, d1, d2, ...,dK) format and output size in (o1, o2, ...,oK) "
                "format."
            )
        return [int(n) for n in _sequence(size, len(spatial))], [None] * len(spatial)
    if hasattr(scale_factor, "__len__") and len(scale_factor) != len(spatial):
        raise ValueError(
            "Input and scale_factor must have the same number of spatial dimensions, but got input "
            f"with spatial dimensions of {spatial} and scale_factor of shape {scale_factor}. "
            "Please provide input tensor in (N, C, d1, d2, ...,dK) format and scale_factor in "
            "(s1, s2, ...,sK) format."
        )
    scales = [float(scale) for scale in _sequence(scale_factor, len(spatial))]
    sizes = [math.floor(n * scale) for n, scale in zip(spatial, scales, strict=True)]
    return sizes, ([None] * len(spatial) if recompute_scale_factor else scales)


@operator(method=False, out=False, namespace="nn.functional")
def interpolate(
    input, size=None, scale_factor=None, mode="nearest", align_corners=None,
    recompute_scale_factor=None, antialias=False,
):  # fmt: skip
    """Resamples (batch, channels, *spatial) to another spatial size.

    Args:
        input: one to three spatial dimensions.
        size: the spatial size of the result, or
        scale_factor: by what to multiply each spatial size.
        mode: "nearest", "nearest-exact", "linear", "bilinear", "bicubic", "trilinear", "lanczos" or
            "area".
        align_corners: the corners' centres stay in place, instead of their outer edges.
        recompute_scale_factor: works positions out from the sizes, not from `scale_factor`.
        antialias: widens the kernel when the image gets smaller ("bilinear", "bicubic", "lanczos").
    """
    if mode in ("nearest", "area", "nearest-exact"):
        if align_corners is not None:
            raise ValueError(
                "align_corners option can only be set with the interpolating modes: linear | "
                "bilinear | bicubic | trilinear"
            )
    align_corners = bool(align_corners)
    sizes, scales = _output_sizes(input, size, scale_factor, recompute_scale_factor)
    if antialias and not (mode in ("bilinear", "bicubic", "lanczos") and input.ndim == 4):
        raise ValueError(
            "Anti-alias option is restricted to bilinear, bicubic, and lanczos modes and requires "
            "a 4-D tensor as input"
        )
    if mode == "lanczos" and not antialias:
        raise ValueError("Lanczos mode requires antialias=True")
    if input.ndim not in (3, 4, 5) or mode not in (*KERNELS, "area"):
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported "
            f"(got {input.ndim}D) for the modes: {ALL_MODES} (got {mode})"
        )
    needed = NEEDED_NDIM.get(mode, input.ndim)
    if needed != input.ndim and (mode == "bicubic" and input.ndim == 5):
        raise NotImplementedError(
            "Input Error: Only 3D, 4D and 5D input Tensors supported (got 5D) for the modes: "
            "nearest | linear | bilinear | bicubic | trilinear | lanczos | area | nearest-exact "
            "(got bicubic)"
        )
    if needed != input.ndim:
        raise NotImplementedError(f"Got {input.ndim}D input, but {mode} mode needs {needed}D input")
    if mode == "area":
        return AREA[input.ndim](input, sizes)
    if min(sizes) <= 0 or min(input.shape[2:]) <= 0:
        names = ("D", "H", "W")[-len(sizes) :]
        ours, theirs = (
            ", ".join(f"{name}: {n}" for name, n in zip(names, numbers, strict=True))
            for numbers in (input.shape[2:], sizes)
        )
        raise RuntimeError(
            f"Input and output sizes should be greater than 0, but got input ({ours}) output "
            f"({theirs})"
        )
    if input.dtype is not dtypes.uint8 or input.ndim != 4 and KERNELS[mode] == "linear":
        refuse(_REFUSING.get(mode, "compute_indices_weights_nearest"), input.dtype, *NOT_FLOATING)
    plan = Resampling(KERNELS[mode], tuple(sizes), tuple(scales), align_corners, bool(antialias))
    result = _upsample(input, plan=plan, shape=(*input.shape[:2], *sizes))
    name = "".join(part.capitalize() for part in mode.split("-"))
    return retitled(result, f"Upsample{name}{len(sizes)}D{'Aa' * antialias}Backward0")


@operator(method=False, out=False, namespace="nn.functional")
def upsample(input, size=None, scale_factor=None, mode="nearest", align_corners=None):
    """The older name of `interpolate`."""
    warnings.warn(
        "`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode, align_corners)


@operator(method=False, out=False, namespace="nn.functional")
def upsample_nearest(input, size=None, scale_factor=None):
    """`interpolate` with mode "nearest"."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="nearest")


@operator(method=False, out=False, namespace="nn.functional")
def upsample_bilinear(input, size=None, scale_factor=None):
    """`interpolate` with mode "bilinear" and aligned corners."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.",
        stacklevel=2,
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)
