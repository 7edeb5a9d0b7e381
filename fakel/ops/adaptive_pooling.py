"""Pooling to a given output size: adaptive average and maximum, and fractional max pooling."""

from __future__ import annotations

import math

import numpy as np

from fakel import ops
from fakel.autograd.autocast import followed
from fakel.autograd.tape import retitled
from fakel.ops.checks import COMPLEX, floating_only, refuse
from fakel.ops.declare import gradient, operator, primitive
from fakel.ops.pooling import lowest, per_dimension, scatter_maxima
from fakel.tensor import dtypes


def _bounds(length: int, output: int) -> tuple[np.ndarray, np.ndarray]:
    """Where each window starts and stops: `[floor(i·n/o), ceil((i + 1)·n/o))`."""
    steps = np.arange(output)
    return steps * length // output, -(-(steps + 1) * length // output)


def _mean_matrix(length: int, output: int, dtype: np.dtype) -> np.ndarray:
    """(output, length): row i averages over window i."""
    starts, stops = _bounds(length, output)
    steps = np.arange(length)
    inside = (steps >= starts[:, None]) & (steps < stops[:, None])
    return (inside / (stops - starts)[:, None]).astype(dtype)


def _window_means(array: np.ndarray, axis: int, output: int) -> np.ndarray:
    length = array.shape[axis]
    if output and length % output == 0:
        split = (*array.shape[:axis], output, length // output, *array.shape[axis + 1 :])
        return array.reshape(split).mean(axis + 1)
    starts, stops = _bounds(length, output)
    margin = [(0, 0)] * array.ndim
    margin[axis] = (0, 1)  # reduceat's last stop has to be a valid index
    sums = np.add.reduceat(
        np.pad(array, margin), np.stack([starts, stops], 1).ravel().astype(np.intp), axis
    )
    counts = (stops - starts).reshape(-1, *[1] * (array.ndim - axis - 1))
    return sums[(slice(None),) * axis + (slice(None, None, 2),)] / counts.astype(array.dtype)


@primitive("adaptive_average_pool")
def _adaptive_average_pool(input, *, output):
    if 0 in output:
        return np.zeros((*input.shape[:2], *output), input.dtype)
    if all(length == 1 for length in output):
        spatial = tuple(range(2, input.ndim))
        if 0 in input.shape[2:]:
            return np.full((*input.shape[:2], *output), np.nan, input.dtype)
        return input.mean(spatial, keepdims=True)
    for axis, length in enumerate(output, 2):
        input = _window_means(input, axis, length)
    return input


@primitive("adaptive_average_pool_gradient")
def _adaptive_average_pool_gradient(output_gradient, *, size):
    result = output_gradient
    for axis, length in enumerate(size, 2):
        matrix = _mean_matrix(length, result.shape[axis], result.dtype)
        result = np.moveaxis(np.tensordot(result, matrix, (axis, 0)), -1, axis)
    return result


gradient(
    _adaptive_average_pool,
    input=lambda grad, input: _adaptive_average_pool_gradient(
        grad, size=tuple(input.shape[2:]), shape=tuple(input.shape)
    ),
)
gradient(
    _adaptive_average_pool_gradient,
    output_gradient=lambda grad, output_gradient: _adaptive_average_pool(
        grad, output=tuple(output_gradient.shape[2:]), shape=tuple(output_gradient.shape)
    ),
)


def _maxima_of_windows(input, positions):
    """The maximum of each window and its flat position.

    `positions` has an array a spatial dimension, (taps, ..., outputs): the input positions of each
    window, where the leading axes broadcast with the input's batch and channels.
    """
    size = input.shape[2:]
    count = len(size)
    flat_input = input.reshape(*input.shape[:2], math.prod(size))
    output = tuple(array.shape[-1] for array in positions)
    best = np.full((*input.shape[:2], *output), lowest(input.dtype), input.dtype)
    winner = np.zeros(best.shape, np.int64)
    for number, tap in enumerate(np.ndindex(*(len(array) for array in positions))):
        flat = np.zeros((), np.int64)
        for axis, (t, array) in enumerate(zip(tap, positions, strict=True)):
            lead = array[t].shape[:-1]
            line = array[t].reshape(*lead, *[1] * axis, array.shape[-1], *[1] * (count - axis - 1))
            flat = flat + line * math.prod(size[axis + 1 :])
        flat = np.broadcast_to(flat, best.shape)
        places = flat.reshape(*flat.shape[:2], math.prod(output))
        taken = np.take_along_axis(flat_input, places, 2)
        candidate = taken.reshape(best.shape)
        better = (candidate > best) | (candidate != candidate)
        if number == 0:
            better = np.ones(best.shape, bool)
        best = np.where(better, candidate, best)
        winner = np.where(better, flat, winner)
    return best, winner


@primitive("adaptive_max_pool")
def _adaptive_max_pool(input, *, output):
    positions = []
    for length, out in zip(input.shape[2:], output, strict=True):
        starts, stops = _bounds(length, out)
        taps = np.arange((stops - starts).max(initial=0))[:, None]
        positions.append(np.minimum(starts + taps, stops - 1))
    return _maxima_of_windows(input, positions)


gradient(
    _adaptive_max_pool,
    input=lambda grads, result1, input: scatter_maxima(grads[0], result1, input),
)


@primitive("fractional_max_pool")
def _fractional_max_pool(input, samples, *, kernel, output):
    positions = []
    for axis, (n, k, o) in enumerate(zip(input.shape[2:], kernel, output, strict=True)):
        sample = samples[..., axis, None]  # (batch, channels, 1)
        alpha = np.asarray((n - k) / (o - 1) if o > 1 else 0, samples.dtype)
        steps = ((np.arange(o) + sample) * alpha).astype(np.int64)
        starts = steps - (sample * alpha).astype(np.int64)
        starts[..., -1] = n - k
        positions.append(starts + np.arange(k).reshape(-1, 1, 1, 1))
    return _maxima_of_windows(input, positions)


gradient(
    _fractional_max_pool,
    input=lambda grads, result1, input: scatter_maxima(grads[0], result1, input),
    samples=lambda grads: None,
)


# Checking arguments


def _sizes(name: str, count: int, input, output_size) -> tuple[int, ...]:
    if count == 1:
        if input.ndim not in (2, 3):
            raise RuntimeError(
                f"Expected 2 to 3 dimensions, but got {input.ndim}-dimensional tensor for argument "
                f"#1 'self' (while checking arguments for {name})"
            )
    elif input.ndim not in (count + 1, count + 2):
        colon = ":" if "max" in name else ""
        raise RuntimeError(
            f"{name}(): Expected {count + 1}D or {count + 2}D tensor, but got{colon} "
            f"{list(input.shape)}"
        )
    values = tuple(output_size) if hasattr(output_size, "__len__") else (output_size,) * count
    if len(values) != count:
        raise RuntimeError(f"{name}: output_size must be {count}")
    values = tuple(
        int(length if value is None else value)
        for value, length in zip(values, input.shape[-count:], strict=True)
    )
    if min(values) < 0:
        numbers = ", ".join(str(value) for value in values)
        raise RuntimeError(
            f"{name}: elements of output_size must be greater than or equal to 0 but received "
            f"{{{numbers}}}"
        )
    return values


def _adaptive_average(count, input, output_size):
    output = _sizes(f"adaptive_avg_pool{count}d", count, input, output_size)
    if input.numel() or count == 3:
        floating_only(f"adaptive_avg_pool{'3d_cpu' if count == 3 else '2d'}", input)
    batched = input if input.ndim == count + 2 else input.unsqueeze(0)
    shape = (*batched.shape[:2], *output)
    result = _adaptive_average_pool(batched, output=output, shape=shape)
    title = "MeanBackward1" if set(output) == {1} else f"AdaptiveAvgPool{count}DBackward0"
    return retitled(result if input.ndim == count + 2 else result.squeeze(0), title)


def _adaptive_maximum(count, input, output_size):
    name = f"adaptive_max_pool{count}d"
    output = _sizes(name, count, input, output_size)
    for dim in range(input.ndim - count, input.ndim):
        if input.shape[dim] == 0:
            raise RuntimeError(
                f"{name}(): Expected input to have non-zero size for non-batch dimensions, but "
                f"input has sizes {list(input.shape)} with dimension {dim} being empty"
            )
    floating_only(f"adaptive_max_pool{'3d_cpu' if count == 3 else '2d'}", input)
    batched = input if input.ndim == count + 2 else input.unsqueeze(0)
    shape = (*batched.shape[:2], *output)
    values, indices = _adaptive_max_pool(
        batched, output=output, shape=(shape, shape), dtype=(input.dtype, dtypes.int64)
    )
    if input.ndim == count + 2:
        return values, indices
    return values.squeeze(0), indices.squeeze(0)


# The public operators


@operator(method=False, out=False, backward_name="SqueezeBackward1")
def adaptive_avg_pool1d(input, output_size):
    """Means over `output_size` windows that cover the last dimension evenly."""
    return _adaptive_average(1, input, output_size)


@operator(method=False, out=False, namespace="nn.functional")
def adaptive_avg_pool2d(input, output_size):
    """Means over windows that cover the last two dimensions evenly; None keeps a size."""
    return _adaptive_average(2, input, output_size)


@operator(method=False, out=False, namespace="nn.functional")
def adaptive_avg_pool3d(input, output_size):
    """Means over windows that cover the last three dimensions evenly; None keeps a size."""
    return _adaptive_average(3, input, output_size)


@operator(method=False, out=False, backward_name="SqueezeBackward1")
def adaptive_max_pool1d(input, output_size):
    """The maxima of `output_size` windows that cover the last dimension, and their positions."""
    return _adaptive_maximum(1, input, output_size)


@operator(
    method=False, out=False, namespace="nn.functional", backward_name="AdaptiveMaxPool2DBackward0"
)
def adaptive_max_pool2d_with_indices(input, output_size):
    """The maxima of windows that cover the last two dimensions, and their flat positions."""
    return _adaptive_maximum(2, input, output_size)


@operator(
    method=False, out=False, namespace="nn.functional", backward_name="AdaptiveMaxPool3DBackward0"
)
def adaptive_max_pool3d_with_indices(input, output_size):
    """The maxima of windows that cover the last three dimensions, and their flat positions."""
    return _adaptive_maximum(3, input, output_size)


def _check_samples(samples, batched, count):
    if samples.dtype != batched.dtype:
        raise RuntimeError("Expect _random_samples to have the same dtype as input")
    if samples.ndim != 3:
        raise RuntimeError(f"Expect _random_samples to have 3 dimensions, got {samples.ndim}")
    if samples.shape[0] < batched.shape[0]:
        raise RuntimeError("Expect _random_samples.size(0) no less then input batch size.")
    if samples.shape[1] != batched.shape[1]:
        raise RuntimeError("Expect _random_samples.size(1) equals to input channel size.")
    if samples.shape[2] != count:
        raise RuntimeError(
            f"Expect _random_samples.size(2) equals to {count}; got {samples.shape[2]}."
        )


@followed
def fractional_max_pool(
    count, input, kernel_size, output_size=None, output_ratio=None, _random_samples=None
):
    """The maxima of windows at pseudo-random places (Graham, arXiv:1412.6071), and their positions.

    Either `output_size` or `output_ratio` (output over input size) must be given.
    """
    name = f"fractional_max_pool{count}d"
    if output_size is None and output_ratio is None:
        raise ValueError(f"{name} requires specifying either an output_size or an output_ratio")
    kernel = per_dimension(kernel_size, count, f"{name}: kernel_size must be an int or a tuple")
    if output_size is None:
        ratios = output_ratio if hasattr(output_ratio, "__len__") else (output_ratio,) * count
        if not all(0 < ratio < 1 for ratio in ratios):
            raise ValueError(f"output_ratio must be between 0 and 1 (got {output_ratio})")
        output_size = [
            int(n * ratio) for n, ratio in zip(input.shape[-count:], ratios, strict=True)
        ]
    output = per_dimension(output_size, count, f"{name}: output_size must be an int or a tuple")
    if input.ndim not in (count + 1, count + 2):
        raise RuntimeError(
            f"{name}(): Expected {count + 1}D or {count + 2}D tensor, but got: {list(input.shape)}"
        )
    batched = input if input.ndim == count + 2 else input.unsqueeze(0)
    for axis, (n, k, o) in enumerate(zip(batched.shape[2:], kernel, output, strict=True)):
        if o + k - 1 > n:
            label = ("height", "width")[axis] if count == 2 else ("time", "height", "width")[axis]
            raise RuntimeError(
                f"{name}(): pool {label} {k} too large relative to input {label} {n}"
            )
    refuse(f"{name}_out_frame", input.dtype, COMPLEX)
    samples = _random_samples
    if samples is None:
        samples = ops.rand(*batched.shape[:2], count, dtype=input.dtype)
    else:
        _check_samples(samples, batched, count)
    if count == 2:
        samples = samples.flip(-1)  # the first number of a pair is the horizontal one
    shape = (*batched.shape[:2], *output)
    values, indices = _fractional_max_pool(
        batched, samples, kernel=kernel, output=output, shape=(shape, shape),
        dtype=(input.dtype, dtypes.int64),
    )  # fmt: skip
    if input.ndim != count + 2:
        values, indices = values.squeeze(0), indices.squeeze(0)
    return retitled(values, f"FractionalMaxPool{count}DBackward0"), indices
