"""Pooling over windows of fixed size: maximum, average and power mean, and max unpooling.

Every primitive works on (batch, channels, *spatial) with one to three spatial dimensions.
Max pooling gives, beside the values, each maximum's flat position in its channel.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from operator import index
from typing import NamedTuple

import numpy as np

from fakel.ops.checks import BOOL, COMPLEX, HALF, NOT_FLOATING, check_known, floating_only, refuse
from fakel.ops.declare import gradient, operator, primitive, wrap_dim
from fakel.tensor import dtypes


class Window(NamedTuple):
    """The windows of a pooling; one number a spatial dimension."""

    kernel: tuple[int, ...]
    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    output: tuple[int, ...]

    def padded(self, input: np.ndarray, value) -> np.ndarray:
        """The input with `value` around it, as far as the windows reach."""
        reach = [
            (o - 1) * s + (k - 1) * d + 1
            for o, s, k, d in zip(self.output, self.stride, self.kernel, self.dilation, strict=True)
        ]
        size = input.shape[2:]
        if not any(self.padding) and all(r <= n for r, n in zip(reach, size, strict=True)):
            return input
        padded = np.full(
            (
                *input.shape[:2],
                *(max(r, n + p) for r, n, p in zip(reach, size, self.padding, strict=True)),
            ),
            value,
            input.dtype,
        )
        inner = tuple(slice(p, p + n) for p, n in zip(self.padding, size, strict=True))
        padded[(..., *inner)] = input
        return padded

    def tap(self, axis: int, offset: int) -> slice:
        """Along one spatial dimension, what the windows' element number `offset` meets."""
        start = offset * self.dilation[axis]
        stride = self.stride[axis]
        return slice(start, start + stride * (self.output[axis] - 1) + 1, stride)

    def counts(self, size: Sequence[int], include_padding: bool) -> np.ndarray:
        """How many elements each window averages over."""
        total = np.ones(())
        for o, s, k, p, n in zip(
            self.output, self.stride, self.kernel, self.padding, size, strict=True
        ):
            start = np.arange(o) * s - p
            stop = np.minimum(start + k, n + p)
            if not include_padding:
                start, stop = np.maximum(start, 0), np.minimum(stop, n)
            total = total[..., None] * (stop - start)
        return total


def lowest(dtype: np.dtype):
    """The value that every other is at least as great as."""
    if dtype.kind == "f":
        return -np.inf
    return False if dtype.kind == "b" else np.iinfo(dtype).min


@primitive("max_pool")
def _max_pool(input, *, window):
    size = input.shape[2:]
    padded = window.padded(input, lowest(input.dtype))
    best = np.full((*input.shape[:2], *window.output), lowest(input.dtype), input.dtype)
    winner = np.empty(best.shape, np.min_scalar_type(math.prod(window.kernel)))
    winner[...] = _first_taps(window)
    # what is not a number wins, and shows in the sum
    has_nan = input.dtype.kind == "f" and not np.isfinite(input.sum())
    for number, tap in enumerate(np.ndindex(*window.kernel)):
        candidate = padded[(..., *(window.tap(axis, t) for axis, t in enumerate(tap)))]
        better = candidate > best
        if has_nan:
            better |= candidate != candidate
        np.copyto(best, candidate, where=better)
        np.copyto(winner, number, where=better, casting="unsafe")
    return best, _flat_origins(window, size) + _flat_steps(window, size)[winner]


def _flat_origins(window, size):
    """The flat position of each window's first element; meaningless where that is padding."""
    flat = np.zeros((), np.int64)
    for o, s, p, n in zip(window.output, window.stride, window.padding, size, strict=True):
        flat = flat[..., None] * n + (np.arange(o) * s - p)
    return flat


def _flat_steps(window, size):
    """How far each tap is from its window's first element."""
    flat = np.zeros((), np.int64)
    for k, d, n in zip(window.kernel, window.dilation, size, strict=True):
        flat = flat[..., None] * n + np.arange(k) * d
    return flat.ravel()


def _first_taps(window):
    """The number of each window's first tap that is not padding."""
    number = np.zeros((), np.int64)
    for o, s, p, d, k in zip(
        window.output, window.stride, window.padding, window.dilation, window.kernel, strict=True
    ):
        start = np.arange(o) * s - p
        number = number[..., None] * k - np.minimum(start, 0) // d
    return number


@primitive("max_pool_gradient")
def _max_pool_gradient(output_gradient, indices, *, size):
    rows = math.prod(indices.shape[:2])
    length = math.prod(size)
    flat = indices.reshape(rows, math.prod(indices.shape[2:]))
    flat = flat + np.arange(rows)[:, None] * length
    total = np.bincount(flat.ravel(), output_gradient.ravel(), rows * length)
    return total.reshape(*indices.shape[:2], *size)


def scatter_maxima(grad, indices, input):
    """The gradient of the input of a max pooling, given its indices."""
    return _max_pool_gradient(
        grad, indices, size=tuple(input.shape[2:]), shape=tuple(input.shape), dtype=grad.dtype
    )


def _gather_maxima(grad, indices):
    flat = indices.reshape(*indices.shape[:2], math.prod(indices.shape[2:]))
    length = math.prod(grad.shape[2:])
    return grad.reshape(*grad.shape[:2], length).gather(2, flat).reshape(indices.shape)


gradient(
    _max_pool,
    input=lambda grads, result1, input: scatter_maxima(grads[0], result1, input),
)
gradient(
    _max_pool_gradient,
    output_gradient=lambda grad, indices: _gather_maxima(grad, indices),
)


@primitive("average_pool")
def _average_pool(input, *, window, include_padding, divisor):
    total = window.padded(input, 0)
    for axis, length in enumerate(window.kernel):
        before = (slice(None),) * (2 + axis)
        summed = total[(*before, window.tap(axis, 0))].copy()
        for offset in range(1, length):
            summed += total[(*before, window.tap(axis, offset))]
        total = summed
    counts = _divisors(window, input.shape[2:], include_padding, divisor, input.dtype)
    if input.dtype.kind in "iu":  # rounds towards zero
        return np.sign(total) * np.sign(counts) * (np.abs(total) // np.abs(counts))
    return total / counts


@primitive("average_pool_gradient")
def _average_pool_gradient(output_gradient, *, size, window, include_padding, divisor):
    counts = _divisors(window, size, include_padding, divisor, output_gradient.dtype)
    spread = output_gradient / counts
    for axis, length in enumerate(window.kernel):
        before = (slice(None),) * (2 + axis)
        reach = (window.output[axis] - 1) * window.stride[axis] + length
        padding = window.padding[axis]
        shape = list(spread.shape)
        shape[2 + axis] = max(reach, size[axis] + padding)
        total = np.zeros(shape, spread.dtype)
        for offset in range(length):
            total[(*before, window.tap(axis, offset))] += spread
        spread = total[(*before, slice(padding, padding + size[axis]))]
    return spread.copy()


def _divisors(window, size, include_padding, divisor, dtype):
    if divisor is not None:
        return np.asarray(divisor, dtype)
    return window.counts(size, include_padding).astype(dtype)


gradient(
    _average_pool,
    input=lambda grad, input, window, include_padding, divisor: _average_pool_gradient(
        grad, size=tuple(input.shape[2:]), window=window, include_padding=include_padding,
        divisor=divisor, shape=tuple(input.shape)),
)  # fmt: skip
gradient(
    _average_pool_gradient,
    output_gradient=lambda grad, window, include_padding, divisor: _average_pool(
        grad, window=window, include_padding=include_padding, divisor=divisor,
        shape=(*grad.shape[:2], *window.output)),
)  # fmt: skip


def _check_unpool_indices(indices, size):
    wrong = (indices < 0) | (indices >= math.prod(size))
    if wrong.any():
        volume = "x".join(str(number) for number in (size if len(size) > 1 else (*size, 1)))
        raise RuntimeError(
            f"Found an invalid max index: {indices[wrong][0]} (output volumes are of size {volume})"
        )


@primitive("max_unpool")
def _max_unpool(input, indices, *, size):
    _check_unpool_indices(indices, size)
    length = math.prod(size)
    flat = indices.reshape(*indices.shape[:2], math.prod(indices.shape[2:]))
    result = np.zeros((*input.shape[:2], length), input.dtype)
    np.put_along_axis(result, flat, input.reshape(flat.shape), axis=2)
    return result.reshape(*input.shape[:2], *size)


gradient(_max_unpool, input=lambda grad, indices: _gather_maxima(grad, indices))


# Checking arguments


def per_dimension(value, count: int, message: str) -> tuple[int, ...]:
    """A number, or one number a spatial dimension, as a tuple."""
    if hasattr(value, "__len__"):
        if len(value) not in (1, count):
            raise RuntimeError(message)
        return tuple(index(number) for number in value) * (count if len(value) == 1 else 1)
    return (index(value),) * count


def sizes_text(sizes: Sequence[int]) -> str:
    """Sizes as PyTorch's messages write them: (3x2x2)."""
    return "(" + "x".join(str(size) for size in sizes) + ")"


WORDS = {1: "one int", 2: "two ints", 3: "three ints"}


def _window(name, count, input, kernel_size, stride, padding, dilation, ceil_mode) -> Window:
    def parameter(value, label):
        verb = "must be" if label in ("padding", "dilation") else "must either be"
        rest = "" if label != "stride" else "omitted, "
        message = f"{name}: {label} {verb} {rest}a single int, or a tuple of {WORDS[count]}"
        return per_dimension(value, count, message)

    kernel = parameter(kernel_size, "kernel_size")
    if stride is None or (hasattr(stride, "__len__") and not len(stride)):
        stride = kernel
    else:
        stride = parameter(stride, "stride")
    padding, dilation = parameter(padding, "padding"), parameter(dilation, "dilation")
    one = count == 1 and name.startswith("max")
    if min(stride) <= 0:
        raise RuntimeError(
            f"{name}() stride must be greater than zero, but got {stride[0]}"
            if one
            else "stride should not be zero"
        )
    if min(kernel) <= 0:
        raise RuntimeError(
            f"{name}() kernel_size must be greater than zero, but got {kernel[0]}"
            if one
            else "kernel size should be greater than zero, but got "
            + " ".join(f"k{axis}: {k}" for axis, k in zip("TWH"[-count:], kernel, strict=True))
        )
    if min(dilation) <= 0:
        raise RuntimeError(
            f"{name}() dilation must be greater than zero, but got {dilation[0]}"
            if one
            else "dilation should be greater than zero, but got "
            + " ".join(f"dilation{a}: {d}" for a, d in zip("THW"[-count:], dilation, strict=True))
        )
    if min(padding) < 0:
        raise RuntimeError(
            f"{name}() padding must be non-negative, but got {padding[0]}"
            if one
            else f"pad must be non-negative, but got pad: {min(padding)}"
        )
    for p, k, d in zip(padding, kernel, dilation, strict=True):
        if p > ((k - 1) * d + 1) // 2:
            raise RuntimeError(
                f"{name}() padding should be at most half of kernel size, but got padding={p} and "
                f"kernel_size={k}"
                if one
                else "pad should be at most half of effective kernel size, but got "
                f"pad={p}, kernel_size={k} and dilation={d}"
            )
    size = input.shape[2:]
    output = tuple(
        _output_length(n, k, s, p, d, ceil_mode)
        for n, k, s, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    )
    if name == "avg_pool3d" and any(
        n + 2 * p < k for n, p, k in zip(size, padding, kernel, strict=True)
    ):
        shown = " ".join(f"{axis}: {n}" for axis, n in zip("THW", size, strict=True))
        wanted = " ".join(f"k{axis}: {k}" for axis, k in zip("THW", kernel, strict=True))
        raise RuntimeError(f"input image ({shown}) smaller than kernel size ({wanted})")
    if min(output) < 1:
        if one:
            raise RuntimeError(f"{name}() Invalid computed output size: {output[0]}")
        ones = (1,) * (2 - count)  # one-dimensional average pooling speaks of two dimensions
        channels = input.shape[1]
        raise RuntimeError(
            f"Given input size: {sizes_text((channels, *ones, *size))}. Calculated output size: "
            f"{sizes_text((channels, *ones, *output))}. Output size is too small"
        )
    return Window(kernel, stride, padding, dilation, output)


def _output_length(length, kernel, stride, padding, dilation, ceil_mode):
    free = length + 2 * padding - dilation * (kernel - 1) - 1
    if not ceil_mode:
        return free // stride + 1
    output = -(-free // stride) + 1
    # the last window has to start inside the input or its left padding
    return output - 1 if (output - 1) * stride >= length + padding else output


def _batched(input, count, name):
    """(batch, channels, *spatial), and whether the input had a batch dimension."""
    sizes = tuple(input.shape)
    if count == 1:
        if input.ndim not in (2, 3) and name.startswith("max"):
            raise RuntimeError(
                f"{name}: Expected 2D or 3D (batch mode) tensor with optional 0 dim batch size "
                f"for input, but got:{list(sizes)}"
            )
        if input.ndim not in (2, 3):
            raise RuntimeError(
                f"Expected 2 to 3 dimensions, but got {input.ndim}-dimensional tensor for "
                f"argument #1 'self' (while checking arguments for {name})"
            )
    elif input.ndim not in (count + 1, count + 2):
        if name == "avg_pool2d":
            wrap_dim(-3, input.ndim)  # PyTorch looks at the channels first
        raise RuntimeError(
            f"non-empty {count + 1}D or {count + 2}D (batch mode) tensor expected for input"
        )
    elif 0 in sizes[1:] or (0 in sizes and input.ndim == count + 1):
        raise RuntimeError(
            f"Expected {count + 1}D or {count + 2}D (batch mode) tensor with optional 0 dim batch "
            f"size for input, but got:{list(sizes)}"
        )
    has_batch = input.ndim == count + 2
    return (input if has_batch else input.unsqueeze(0)), has_batch


def _pool_maximum(name, count, input, kernel_size, stride, padding, dilation, ceil_mode):
    """The maxima and their indices."""
    batched, has_batch = _batched(input, count, name)
    refuse("max_pool3d" if count == 3 else "max_pool2d", input.dtype, BOOL, COMPLEX)
    window = _window(name, count, batched, kernel_size, stride, padding, dilation, ceil_mode)
    shape = (*batched.shape[:2], *window.output)
    values, indices = _max_pool(
        batched, window=window, shape=(shape, shape), dtype=(input.dtype, dtypes.int64)
    )
    return (values, indices) if has_batch else (values.squeeze(0), indices.squeeze(0))


def _pool_average(
    name, count, input, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
):
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    batched, has_batch = _batched(input, count, name)
    if count == 3:
        refuse("avg_pool3d_out_frame", input.dtype, BOOL, COMPLEX, HALF)
    if input.dtype is not dtypes.int64:
        kernel = "avg_pool3d_out_frame" if count == 3 else "avg_pool2d"
        floating_only(kernel, input)
    window = _window(name, count, batched, kernel_size, stride, padding, 1, ceil_mode)
    result = _average_pool(
        batched,
        window=window,
        include_padding=bool(count_include_pad),
        divisor=divisor_override,
        shape=(*batched.shape[:2], *window.output),
    )
    return result if has_batch else result.squeeze(0)


def _unpool(count, input, indices, kernel_size, stride, padding, output_size):
    message = f"max_unpool{count}d: a single int, or a tuple of {WORDS[count]} expected"
    kernel = per_dimension(kernel_size, count, message)
    stride = kernel if stride is None else per_dimension(stride, count, message)
    padding = per_dimension(padding, count, message)
    if indices.dtype != dtypes.int64:
        raise RuntimeError(
            f"elements in indices should be type int64 but got: {indices.dtype.letter}"
        )
    if tuple(indices.shape) != tuple(input.shape):
        raise RuntimeError(
            "Expected shape of indices to be same as that of the input tensor "
            f"({list(input.shape)}) but got indices tensor with shape: {list(indices.shape)}"
        )
    refuse("max_unpool3d" if count == 3 else "max_unpool2d", input.dtype, *NOT_FLOATING)
    has_batch = input.ndim == count + 2
    batched = input if has_batch else input.unsqueeze(0)
    positions = indices if has_batch else indices.unsqueeze(0)
    size = _unpooled_size(batched.shape[2:], kernel, stride, padding, output_size)
    check_known(positions, lambda values: _check_unpool_indices(values, size))
    result = _max_unpool(batched, positions, size=size, shape=(*batched.shape[:2], *size))
    return result if has_batch else result.squeeze(0)


def _unpooled_size(size, kernel, stride, padding, output_size):
    default = tuple(
        (n - 1) * s + k - 2 * p for n, s, k, p in zip(size, stride, kernel, padding, strict=True)
    )
    if output_size is None:
        return default
    given = tuple(output_size)
    if len(given) == len(kernel) + 2:
        given = given[2:]
    if len(given) != len(kernel):
        raise ValueError(
            f"output_size should be a sequence containing {len(kernel)} or {len(kernel) + 2} "
            f"elements, but it has a length of '{len(given)}'"
        )
    for dim, (length, near, s) in enumerate(zip(given, default, stride, strict=True)):
        if not near - s < length < near + s:
            raise ValueError(
                f'invalid output_size "{given}" (dim {dim} must be between {near - s} and '
                f"{near + s})"
            )
    return given


# The public operators


def _declare_max_pool(count: int):
    name = f"max_pool{count}d"

    def with_indices(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        return _pool_maximum(name, count, input, kernel_size, stride, padding, dilation, ceil_mode)

    def plain(input, kernel_size, stride=None, padding=0, dilation=1, ceil_mode=False):
        return with_indices(input, kernel_size, stride, padding, dilation, ceil_mode)[0]

    def unpool(input, indices, kernel_size, stride=None, padding=0, output_size=None):
        return _unpool(count, input, indices, kernel_size, stride, padding, output_size)

    with_indices.__doc__ = (
        f"`{name}` that gives the maxima and their flat positions in each channel."
    )
    plain.__doc__ = (
        f"The maximum of each window over the last {count} dimensions.\n\n"
        "    `output = floor((input + 2·padding - dilation·(kernel - 1) - 1) / stride) + 1` a\n"
        "    dimension, rounded up with `ceil_mode`. The padding counts as minus infinity.\n"
    )
    unpool.__doc__ = f"Puts the values of a `{name}` back to their indices; zero elsewhere."
    # torch itself only has the one-dimensional form with indices
    namespace = "" if count == 1 else "nn.functional"
    for function, title in (
        (with_indices, f"{name}_with_indices"), (plain, name), (unpool, f"max_unpool{count}d")
    ):  # fmt: skip
        function.__name__ = function.__qualname__ = title
    backward = "SqueezeBackward1" if count == 1 else f"MaxPool{count}DWithIndicesBackward0"
    unpooling = "SqueezeBackward1" if count == 1 else f"MaxUnpool{count}DBackward0"
    return (
        operator(method=False, out=False, namespace=namespace, backward_name=backward)(
            with_indices
        ),
        operator(method=False, out=False, backward_name=backward)(plain),
        operator(method=False, out=False, namespace="nn.functional", backward_name=unpooling)(
            unpool
        ),
    )


max_pool1d_with_indices, max_pool1d, max_unpool1d = _declare_max_pool(1)
max_pool2d_with_indices, max_pool2d, max_unpool2d = _declare_max_pool(2)
max_pool3d_with_indices, max_pool3d, max_unpool3d = _declare_max_pool(3)


@operator(method=False, out=False, backward_name="SqueezeBackward1")
def avg_pool1d(input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True):
    """The mean of each window over the last dimension; zeros of the padding count if asked for."""
    return _pool_average(
        "avg_pool1d", 1, input, kernel_size, stride, padding, ceil_mode, count_include_pad, None
    )


@operator(method=False, namespace="nn.functional", backward_name="AvgPool2DBackward0")
def avg_pool2d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    """The mean of each window over the last two dimensions, or its sum over `divisor_override`."""
    return _pool_average(
        "avg_pool2d", 2, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override,
    )  # fmt: skip


@operator(method=False, namespace="nn.functional", backward_name="AvgPool3DBackward0")
def avg_pool3d(
    input, kernel_size, stride=None, padding=0, ceil_mode=False, count_include_pad=True,
    divisor_override=None,
):  # fmt: skip
    """The mean of each window over the last three dimensions."""
    return _pool_average(
        "avg_pool3d", 3, input, kernel_size, stride, padding, ceil_mode, count_include_pad,
        divisor_override,
    )  # fmt: skip


def _power_mean(average, input, norm_type, elements, *window):
    mean = average(input.pow(norm_type), *window)
    return (mean.sign() * mean.abs().relu()).mul(elements).pow(1.0 / norm_type)


@operator(method=False, out=False, namespace="nn.functional")
def lp_pool1d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """`(Σ xᵖ)^(1/p)` over each window of the last dimension."""
    elements = math.prod(per_dimension(kernel_size, 1, "kernel_size must be one int"))
    return _power_mean(avg_pool1d, input, norm_type, elements, kernel_size, stride, 0, ceil_mode)


@operator(method=False, out=False, namespace="nn.functional")
def lp_pool2d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """`(Σ xᵖ)^(1/p)` over each window of the last two dimensions."""
    elements = math.prod(per_dimension(kernel_size, 2, "kernel_size must be two ints"))
    return _power_mean(avg_pool2d, input, norm_type, elements, kernel_size, stride, 0, ceil_mode)


@operator(method=False, out=False, namespace="nn.functional")
def lp_pool3d(input, norm_type, kernel_size, stride=None, ceil_mode=False):
    """`(Σ xᵖ)^(1/p)` over each window of the last three dimensions."""
    elements = math.prod(per_dimension(kernel_size, 3, "kernel_size must be three ints"))
    return _power_mean(avg_pool3d, input, norm_type, elements, kernel_size, stride, 0, ceil_mode)
