"""Counting: histograms and occurrences."""

from __future__ import annotations

import numpy as np

from fakel.ops import return_types
from fakel.ops.checks import BOOL, COMPLEX, FLOATING, HALF, NOT_FLOATING, floating_only, refuse
from fakel.ops.declare import function, operator
from fakel.tensor import Tensor, dtypes


def _limits(name, values, low, high):
    """The range to count in: the data's own where none is given, widened around a single point."""
    if low == high:
        if values.size:
            low, high = float(values.min()), float(values.max())
        if low == high:
            low, high = (
                low - 0.5 * (name == "histogram") - (name == "histc"),
                high + 1 - 0.5 * (name == "histogram"),
            )
    if not (np.isfinite(low) and np.isfinite(high)):
        raise RuntimeError(f"torch.{name}: range of [{low:g}, {high:g}] is not finite")
    return low, high


@operator()
def histc(input, bins=100, min=0, max=0):
    """How many elements fall into each of equal bins between min and max.

    Args:
        min, max: the ends of the range, which count as inside; equal ones mean the data's own.
    """
    floating_only("histogram_cpu", input)
    if bins <= 0:
        raise RuntimeError(f"torch.histogram(): bins must be > 0, but got {bins} for dimension 0")
    if max < min:
        raise RuntimeError("torch.histc: max must be larger than min")
    values = input._values().ravel()
    low, high = _limits("histc", values, min, max)
    edges = np.linspace(low, high, bins + 1)
    counts = _count(values.astype(np.float64), [(low, high)], [edges], None)
    return Tensor._from_array(counts.astype(values.dtype), input.dtype)


def _count(points, ranges, edges, weights):
    """Histogram of (n,) or (n, d) points; each bin holds its left edge, the last also its right."""
    points = points.reshape(-1, len(edges))
    inside = np.ones(len(points), bool)
    places = []
    for axis, axis_edges in enumerate(edges):
        column = points[:, axis]
        inside &= (column >= axis_edges[0]) & (column <= axis_edges[-1])
        place = np.searchsorted(axis_edges, column, "right") - 1
        places.append(np.minimum(place, len(axis_edges) - 2))
    shape = tuple(len(axis_edges) - 1 for axis_edges in edges)
    flat = np.ravel_multi_index([place[inside] for place in places], shape) if inside.any() else []
    chosen = None if weights is None else weights.reshape(-1)[inside]
    counts = np.bincount(np.asarray(flat, np.int64), chosen, int(np.prod(shape)))
    return counts.reshape(shape)


def _axis_edges(name, bins, values, low_high, kind):
    if isinstance(bins, Tensor):
        return bins._values()
    if bins <= 0:
        raise RuntimeError(f"torch.{name}(): bins must be > 0, but got {bins} for dimension 0")
    low, high = (0.0, 0.0) if low_high is None else low_high
    if low > high:
        raise RuntimeError(
            f"torch.{name}(): min should not exceed max, but got min {low} max {high}"
        )
    low, high = _limits("histogram", values, low, high)
    return np.linspace(low, high, bins + 1, dtype=kind)


def _density(counts, edges):
    for axis, axis_edges in enumerate(edges):
        shape = [1] * len(edges)
        shape[axis] = -1
        counts = counts / np.diff(axis_edges).reshape(shape)
    return counts


@operator()
def histogram(input, bins, *, range=None, weight=None, density=False):
    """(hist, bin_edges): how many elements, or how much weight, falls into each bin.

    Args:
        bins: the number of equal bins, or a tensor of their edges.
        range: (low, high) of equal bins; the data's own without it.
        density: divides by the total and the width, so that the integral is 1.
    """
    refuse("histogramdd", input.dtype, *NOT_FLOATING, HALF)
    values = input._values().ravel()
    edges = _axis_edges("histogram", bins, values, range, values.dtype)
    counts = _count(values, None, [edges], None if weight is None else weight._values())
    if density:
        counts = _density(counts / counts.sum(), [edges])
    hist = Tensor._from_array(counts.astype(values.dtype), input.dtype)
    return return_types.histogram((hist, Tensor._from_array(edges.copy(), input.dtype)))


@function
def histogramdd(input, bins, *, range=None, weight=None, density=False):
    """(hist, bin_edges) of points (..., D) in D dimensions.

    Args:
        bins: a number for all dimensions, a number each, or a tensor of edges each.
        range: low and high of each dimension, in one flat sequence.
    """
    refuse("histogramdd", input.dtype, *NOT_FLOATING, HALF)
    if input.ndim < 2:
        raise RuntimeError(
            "torch.histogramdd: input tensor should have at least 2 dimensions, but got "
            f"{input.ndim}"
        )
    points = input._values().reshape(-1, input._shape[-1])
    dimensions = points.shape[1]
    per_axis = [bins] * dimensions if isinstance(bins, int) else list(bins)
    if len(per_axis) != dimensions:
        raise RuntimeError(
            f"torch.histogramdd: expected {dimensions} sequences of bin edges for a "
            f"{dimensions}-dimensional histogram but got {len(per_axis)}"
        )
    edges = [
        _axis_edges(
            "histogramdd",
            each,
            points[:, axis],
            None if range is None else tuple(range[2 * axis : 2 * axis + 2]),
            points.dtype,
        )
        for axis, each in enumerate(per_axis)
    ]
    counts = _count(points, None, edges, None if weight is None else weight._values())
    if density:
        counts = _density(counts / counts.sum(), edges)
    hist = Tensor._from_array(counts.astype(points.dtype), input.dtype)
    made = tuple(Tensor._from_array(each.copy(), input.dtype) for each in edges)
    return return_types.histogramdd((hist, made))


@operator(out=False)
def bincount(input, weights=None, minlength=0):
    """How often each number from 0 occurs in a vector of integers, or what weights it collects."""
    refuse("bincount_cpu", input.dtype, BOOL, FLOATING, COMPLEX)
    values = input._values()
    if minlength < 0:
        raise RuntimeError("minlength should be >= 0")
    if values.ndim != 1 or (values.size and values.min() < 0):
        raise RuntimeError("bincount only supports 1-d non-negative integral inputs.")
    if weights is None:
        return Tensor._from_array(np.bincount(values, minlength=minlength).astype(np.int64))
    if weights._shape != input._shape:
        raise RuntimeError("weights should be 1-d and have the same length as input")
    kind = weights.dtype if weights.dtype is dtypes.float32 else dtypes.float64
    totals = np.bincount(values, weights._values(), minlength)
    return Tensor._from_array(totals.astype(kind.storage), kind)
