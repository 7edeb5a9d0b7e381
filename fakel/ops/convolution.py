"""Convolutions of one to three spatial dimensions, and their transposes.

Three primitives are each other's gradients, so every derivative of a convolution is one node:
`convolution` (correlation of an input with a weight), `convolution_transposed` (its transpose,
which is the gradient of the input) and `convolution_weight_gradient`.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from fakel import ops
from fakel.ops.checks import BOOL, INTEGER, refuse
from fakel.ops.declare import gradient, operator, primitive
from fakel.tensor import Tensor, dtypes

# Columns are built for so many elements at a time, to stay in the processor's cache.
BLOCK_ELEMENTS = 1 << 20


class Geometry(NamedTuple):
    """How a kernel moves over its input; one number a spatial dimension, and the groups."""

    stride: tuple[int, ...]
    padding: tuple[int, ...]
    dilation: tuple[int, ...]
    groups: int

    def output_size(self, size: Sequence[int], kernel: Sequence[int]) -> tuple[int, ...]:
        """The spatial size of what a convolution of an input of `size` gives."""
        return tuple(
            (length + 2 * p - d * (k - 1) - 1) // s + 1
            for length, k, s, p, d in zip(
                size, kernel, self.stride, self.padding, self.dilation, strict=True
            )
        )

    def windows(self, kernel: Sequence[int], output: Sequence[int]) -> Iterator[tuple[slice, ...]]:
        """For each tap of the kernel, the slices of the padded input that it meets."""
        for tap in np.ndindex(*kernel):
            yield tuple(
                slice(t * d, t * d + s * (o - 1) + 1, s)
                for t, s, d, o in zip(tap, self.stride, self.dilation, output, strict=True)
            )

    def is_pointwise(self, kernel: Sequence[int]) -> bool:
        """Whether every output meets exactly the input at its own position."""
        return math.prod(kernel) == 1 and math.prod(self.stride) == 1 and not any(self.padding)


def pad_spatial(array: np.ndarray, padding: Sequence[int], value: float = 0) -> np.ndarray:
    """(batch, channels, *spatial) with `padding` values on both sides of each spatial dimension."""
    if not any(padding):
        return array
    spatial = [size + 2 * amount for size, amount in zip(array.shape[2:], padding, strict=True)]
    padded = np.full((*array.shape[:2], *spatial), value, array.dtype)
    inner = tuple(
        slice(amount, amount + size) for amount, size in zip(padding, array.shape[2:], strict=True)
    )
    padded[(..., *inner)] = array
    return padded


def _columns(padded, kernel, output, geometry):
    """The input that meets each output: (groups, channels * taps, batch * positions)."""
    batch, channels = padded.shape[:2]
    columns = np.empty((channels, math.prod(kernel), batch, *output), padded.dtype)
    swapped = padded.swapaxes(0, 1)
    for tap, window in enumerate(geometry.windows(kernel, output)):
        columns[:, tap] = swapped[(..., *window)]
    rows = channels // geometry.groups * math.prod(kernel)
    return columns.reshape(geometry.groups, rows, batch * math.prod(output))


def _blocks(batch: int, elements_of_one: int) -> Iterator[slice]:
    step = max(1, BLOCK_ELEMENTS // max(1, elements_of_one))
    for start in range(0, batch, step):
        yield slice(start, min(batch, start + step))


def _grouped(array, groups):
    """(batch, channels, *spatial) as (groups, channels of a group, batch * positions)."""
    batch, channels = array.shape[:2]
    split = array.reshape(batch, groups, channels // groups, math.prod(array.shape[2:]))
    columns = batch * split.shape[-1]
    return split.transpose(1, 2, 0, 3).reshape(groups, channels // groups, columns)


def _add_bias(result, bias):
    return result if bias is None else result + bias.reshape(-1, *[1] * (result.ndim - 2))


@primitive("convolution")
def _convolution(input, weight, bias, *, geometry):
    batch, in_channels = input.shape[:2]
    out_channels, kernel = weight.shape[0], weight.shape[2:]
    groups = geometry.groups
    output = geometry.output_size(input.shape[2:], kernel)
    positions = math.prod(output)
    taps = weight.reshape(groups, out_channels // groups, weight.shape[1] * math.prod(kernel))
    if geometry.is_pointwise(kernel):
        split = input.reshape(batch, groups, in_channels // groups, positions)
        result = np.matmul(taps, split)
        return _add_bias(result.reshape(batch, out_channels, *output), bias)
    padded = pad_spatial(input, geometry.padding)
    result = np.empty((batch, groups, out_channels // groups, positions), taps.dtype)
    for block in _blocks(batch, in_channels * math.prod(kernel) * positions):
        product = np.matmul(taps, _columns(padded[block], kernel, output, geometry))
        split = product.reshape(*product.shape[:2], block.stop - block.start, positions)
        result[block] = split.transpose(2, 0, 1, 3)
    return _add_bias(result.reshape(batch, out_channels, *output), bias)


@primitive("convolution_transposed", "ConvolutionBackward0")
def _convolution_transposed(input, weight, bias, *, size, geometry):
    batch, in_channels = input.shape[:2]
    output, kernel = input.shape[2:], weight.shape[2:]
    groups = geometry.groups
    channels, positions = groups * weight.shape[1], math.prod(output)
    taps = weight.reshape(groups, in_channels // groups, weight.shape[1] * math.prod(kernel))
    taps = taps.swapaxes(1, 2)
    if geometry.is_pointwise(kernel) and tuple(size) == tuple(output):
        split = input.reshape(batch, groups, in_channels // groups, positions)
        result = np.matmul(taps, split)
        return _add_bias(result.reshape(batch, channels, *output), bias)
    # A stride or an output padding may leave elements that no window meets, and a window may
    # reach further than the size that was asked for.
    padded_size = [
        max(length + 2 * p, (o - 1) * s + (k - 1) * d + 1)
        for length, o, k, s, p, d in zip(
            size, output, kernel, geometry.stride, geometry.padding, geometry.dilation, strict=True
        )
    ]
    padded = np.zeros((channels, batch, *padded_size), taps.dtype)
    for block in _blocks(batch, channels * math.prod(kernel) * positions):
        columns = np.matmul(taps, _grouped(input[block], groups))
        shape = (channels, math.prod(kernel), block.stop - block.start, *output)
        columns = columns.reshape(shape)
        for tap, window in enumerate(geometry.windows(kernel, output)):
            padded[(slice(None), block, *window)] += columns[:, tap]
    inner = tuple(slice(p, p + length) for p, length in zip(geometry.padding, size, strict=True))
    result = np.ascontiguousarray(padded[(..., *inner)].swapaxes(0, 1))
    return _add_bias(result, bias)


@primitive("convolution_weight_gradient")
def _convolution_weight_gradient(input, output_gradient, *, kernel, geometry):
    batch, in_channels = input.shape[:2]
    out_channels, output = output_gradient.shape[1], output_gradient.shape[2:]
    groups = geometry.groups
    padded = pad_spatial(input, geometry.padding)
    taps = in_channels // groups * math.prod(kernel)
    total = np.zeros((groups, out_channels // groups, taps), input.dtype)
    for block in _blocks(batch, in_channels * math.prod(kernel) * math.prod(output)):
        columns = _columns(padded[block], kernel, output, geometry)
        total += np.matmul(_grouped(output_gradient[block], groups), columns.swapaxes(1, 2))
    return total.reshape(out_channels, in_channels // groups, *kernel)


def _forward(input, weight, bias, geometry):
    size = geometry.output_size(input.shape[2:], weight.shape[2:])
    shape = (input.shape[0], weight.shape[0], *size)
    return _convolution(input, weight, bias, geometry=geometry, shape=shape)


def _transposed(input, weight, bias, size, geometry):
    size = tuple(size)
    shape = (input.shape[0], weight.shape[1] * geometry.groups, *size)
    return _convolution_transposed(input, weight, bias, size=size, geometry=geometry, shape=shape)


def _weight_gradient(input, output_gradient, weight, geometry):
    kernel = tuple(weight.shape[2:])
    return _convolution_weight_gradient(
        input, output_gradient, kernel=kernel, geometry=geometry, shape=tuple(weight.shape)
    )


def _cropped_forward(grad, weight, geometry, size):
    """Undoes a transposed convolution whose output padding made room for further windows."""
    result = _forward(grad, weight, None, geometry)
    for dim, length in enumerate(size, 2):
        if result.shape[dim] != length:
            result = result.narrow(dim, 0, length)
    return result


def _sum_to_bias(grad):
    return grad.sum((0, *range(2, grad.ndim)))


gradient(
    _convolution,
    input=lambda grad, input, weight, geometry: _transposed(
        grad, weight.conj(), None, input.shape[2:], geometry
    ),
    weight=lambda grad, input, weight, geometry: _weight_gradient(
        input.conj(), grad, weight, geometry
    ),
    bias=lambda grad: _sum_to_bias(grad),
)
gradient(
    _convolution_transposed,
    input=lambda grad, input, weight, geometry: _cropped_forward(
        grad, weight.conj(), geometry, input.shape[2:]
    ),
    weight=lambda grad, input, weight, geometry: _weight_gradient(
        grad, input.conj(), weight, geometry
    ),
    bias=lambda grad: _sum_to_bias(grad),
)
gradient(
    _convolution_weight_gradient,
    input=lambda grad, input, output_gradient, geometry: _transposed(
        output_gradient.conj(), grad, None, input.shape[2:], geometry
    ),
    output_gradient=lambda grad, input, output_gradient_shape, geometry: _cropped_forward(
        input.conj(), grad, geometry, output_gradient_shape[2:]
    ),
)


# Checking arguments


def _per_dimension(value, name: str, count: int) -> tuple[int, ...]:
    """A number, or one number a spatial dimension, as a tuple."""
    values = tuple(value) if isinstance(value, Sequence) else (value,)
    values = tuple(int(number) for number in values)
    if len(values) == 1:
        return values * count
    if len(values) != count:
        raise RuntimeError(
            f"expected {name} to be a single integer value or a list of {count} values to match "
            f"the convolution dimensions, but got {name}={list(values)}"
        )
    return values


def _check_dtypes(input: Tensor, weight: Tensor, bias: Tensor | None) -> None:
    if bias is not None and bias.dtype != input.dtype:
        ours, theirs = (tensor.dtype.c_name for tensor in (input, bias))
        raise RuntimeError(f"Input type ({ours}) and bias type ({theirs}) should be the same")
    if weight.dtype != input.dtype:
        raise RuntimeError(
            f"expected scalar type {input.dtype.letter} but found {weight.dtype.letter}"
        )


def _batched(input: Tensor, count: int, name: str) -> tuple[Tensor, bool]:
    """The input with a batch dimension, and whether it had one."""
    if input.ndim not in (count + 1, count + 2):
        raise RuntimeError(
            f"Expected {count + 1}D (unbatched) or {count + 2}D (batched) input to {name}, but "
            f"got input of size: {list(input.shape)}"
        )
    has_batch = input.ndim == count + 2
    return (input if has_batch else input.unsqueeze(0)), has_batch


def _check_geometry(geometry: Geometry) -> None:
    if geometry.groups <= 0:
        raise RuntimeError("non-positive groups is not supported")
    if min(geometry.padding) < 0:
        raise RuntimeError("negative padding is not supported")
    if min(geometry.stride) <= 0:
        raise RuntimeError("non-positive stride is not supported")
    if min(geometry.dilation) <= 0:
        raise RuntimeError(
            (
                "non-positive dilation is not supported",
                f"dilation should be greater than zero, but got {list(geometry.dilation)}",
                "dilation should be greater than zero",
            )[len(geometry.dilation) - 1]
        )


def _check_shapes(input, weight, bias, geometry, *, transposed) -> None:
    """Whether the sizes of input and weight, and the bias, fit one another."""
    sizes, groups = list(weight), geometry.groups
    if len(weight) != len(input):
        raise RuntimeError(
            f"Expected {len(weight)}-dimensional input for {len(weight)}-dimensional weight "
            f"{sizes}, but got {len(input)}-dimensional input of size {list(input)} instead"
        )
    if sizes[0] < groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be at least {groups} at dimension 0, but "
            f"got weight of size {sizes} instead"
        )
    if sizes[0] % groups:
        raise RuntimeError(
            f"Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, "
            f"but got weight of size [{sizes}] instead"
        )
    given = f"transposed={int(transposed)}" if transposed else f"groups={groups}"
    channels = sizes[0] if transposed else sizes[1] * groups
    if input[1] != channels:
        raise RuntimeError(
            f"Given {given}, weight of size {sizes}, expected input{list(input)} to have "
            f"{channels} channels, but got {input[1]} channels instead"
        )
    outputs = sizes[1] * groups if transposed else sizes[0]
    if bias is not None and (bias.ndim != 1 or bias.shape[0] != outputs):
        start = f"Given transposed=1, weight of size {sizes}"
        raise RuntimeError(
            f"{start if transposed else f'Given weight of size {sizes}'}, expected bias to be "
            f"1-dimensional with {outputs} elements, but got bias of size {list(bias.shape)} "
            "instead"
        )


def _by(sizes: Sequence[int]) -> str:
    return "(" + " x ".join(str(size) for size in sizes) + ")"


def _same_padding(input, weight, stride, dilation):
    """'same' padding: what both sides share, and the input padded by what the right has more."""
    if any(step != 1 for step in stride):
        raise RuntimeError("padding='same' is not supported for strided convolutions")
    total = [d * (k - 1) for d, k in zip(dilation, weight.shape[2:], strict=True)]
    if any(amount % 2 for amount in total):
        warnings.warn(
            "Using padding='same' with even kernel lengths and odd dilation may require a "
            "zero-padded copy of the input be created",
            UserWarning,
            stacklevel=4,
        )
        extra = [side for amount in reversed(total) for side in (0, amount % 2)]
        input = ops.constant_pad_nd(input, extra, 0)
    return input, tuple(amount // 2 for amount in total)


def _convolve(count, input, weight, bias, stride, padding, dilation, groups):
    name = f"conv{count}d"
    input, has_batch = _batched(input, count, name)
    stride = _per_dimension(stride, "stride", weight.ndim - 2)
    dilation = _per_dimension(dilation, "dilation", weight.ndim - 2)
    _check_dtypes(input, weight, bias)
    if padding == "same":
        unpadded = Geometry(stride, stride, dilation, groups)
        _check_shapes(input.shape, weight.shape, bias, unpadded, transposed=False)
        input, padding = _same_padding(input, weight, stride, dilation)
    elif isinstance(padding, str):
        if padding != "valid":
            raise RuntimeError(f"Invalid padding string: '{padding}'")
        padding = 0
    padding = _per_dimension(padding, "padding", weight.ndim - 2)
    geometry = Geometry(stride, padding, dilation, groups)
    _check_geometry(geometry)
    _check_shapes(input.shape, weight.shape, bias, geometry, transposed=False)
    padded = [n + 2 * p for n, p in zip(input.shape[2:], padding, strict=True)]
    spread = [d * (k - 1) + 1 for d, k in zip(dilation, weight.shape[2:], strict=True)]
    if any(n < k for n, k in zip(padded, spread, strict=True)):
        raise RuntimeError(
            f"Calculated padded input size per channel: {_by(padded)}. Kernel size: {_by(spread)}."
            " Kernel size can't be greater than actual input size"
        )
    refuse(f"slow_conv{'3d' if count == 3 else '2d'}_cpu", input.dtype, BOOL)
    result = _forward(input, weight, bias, geometry)
    return result if has_batch else result.squeeze(0)


def _convolve_transposed(
    count, input, weight, bias, stride, padding, output_padding, groups, dilation
):
    input, has_batch = _batched(input, count, f"conv_transpose{count}d")
    _check_dtypes(input, weight, bias)
    dims = weight.ndim - 2
    stride = _per_dimension(stride, "stride", dims)
    dilation = _per_dimension(dilation, "dilation", dims)
    output_padding = _per_dimension(output_padding, "output_padding", dims)
    geometry = Geometry(stride, _per_dimension(padding, "padding", dims), dilation, groups)
    _check_geometry(geometry)
    if min(output_padding) < 0:
        raise RuntimeError("negative output_padding is not supported")
    _check_shapes(input.shape, weight.shape, bias, geometry, transposed=True)
    if any(o >= max(s, d) for o, s, d in zip(output_padding, stride, dilation, strict=True)):
        axes = {1: ("width",), 2: ("height", "width"), 3: ("depth", "height", "width")}[dims]
        parts = [
            f"{kind}_{axis}: {value}"
            for kind, values in (
                ("output_padding", output_padding), ("stride", stride), ("dilation", dilation)
            )
            for axis, value in zip(axes, values, strict=True)
        ]  # fmt: skip
        raise RuntimeError(
            "output padding must be smaller than either stride or dilation, but got "
            + " ".join(parts)
        )
    size = tuple(
        (n - 1) * s - 2 * p + d * (k - 1) + extra + 1
        for n, s, p, d, k, extra in zip(
            input.shape[2:], stride, geometry.padding, dilation, weight.shape[2:], output_padding,
            strict=True,
        )
    )  # fmt: skip
    if any(length < 1 for length in size):
        raise RuntimeError(
            f"Given input size per channel: {_by(input.shape[2:])}. Calculated output size per "
            f"channel: {_by(size)}. Output size is too small"
        )
    if input.dtype is not dtypes.int64:
        kernel = f"slow_conv_transpose{'3d' if count == 3 else '2d'}_out_cpu"
        refuse(kernel, input.dtype, BOOL, INTEGER)
    result = _transposed(input, weight, bias, size, geometry)
    return result if has_batch else result.squeeze(0)


def convolution_input_gradient(
    count, size, weight, output_gradient, stride, padding, dilation, groups
):
    """The gradient of an input of this size, in `count` spatial dimensions."""
    _check_dtypes(output_gradient, weight, None)
    geometry = _backward_geometry(
        count, size, weight.shape, output_gradient, stride, padding, dilation, groups
    )
    return _transposed(output_gradient, weight, None, size[2:], geometry)


def convolution_weight_gradient(
    count, input, size, output_gradient, stride, padding, dilation, groups
):
    """The gradient of a weight of this size, in `count` spatial dimensions."""
    _check_dtypes(output_gradient, input, None)
    geometry = _backward_geometry(
        count, input.shape, size, output_gradient, stride, padding, dilation, groups
    )
    return _convolution_weight_gradient(
        input, output_gradient, kernel=tuple(size[2:]), geometry=geometry, shape=tuple(size)
    )


def _backward_geometry(count, input, weight, output_gradient, stride, padding, dilation, groups):
    """The geometry, once the sizes of input and weight fit it and the output's gradient."""
    geometry = Geometry(
        *(
            _per_dimension(value, name, len(weight) - 2)
            for value, name in ((stride, "stride"), (padding, "padding"), (dilation, "dilation"))
        ),
        groups,
    )
    _check_geometry(geometry)
    _check_shapes(input, weight, None, geometry, transposed=False)
    expected = (input[0], weight[0], *geometry.output_size(input[2:], weight[2:]))
    if tuple(output_gradient.shape) != expected or len(weight) != count + 2:
        raise RuntimeError(
            f"Expected grad_output of size {list(expected)} for a {count}d convolution, but got "
            f"{list(output_gradient.shape)}"
        )
    return geometry


# The public operators


@operator(method=False, out=False)
def conv1d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Correlates (batch, channels, length) with a weight (out, channels / groups, taps).

    `padding` is a number of zeros for both sides, 'valid' (none) or 'same' (as long as the input).
    A missing batch dimension is allowed.
    """
    return _convolve(1, input, weight, bias, stride, padding, dilation, groups)


@operator(method=False, out=False)
def conv2d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Correlates (batch, channels, height, width) with a weight (out, channels / groups, kh, kw).

    `output[n, o, y, x] = bias[o] + Σ weight[o, c, i, j] · input[n, c, y·stride + i·dilation, …]`.
    """
    return _convolve(2, input, weight, bias, stride, padding, dilation, groups)


@operator(method=False, out=False)
def conv3d(input, weight, bias=None, stride=1, padding=0, dilation=1, groups=1):
    """Correlates (batch, channels, depth, height, width) with a weight; see `conv2d`."""
    return _convolve(3, input, weight, bias, stride, padding, dilation, groups)


@operator(method=False, out=False)
def conv_transpose1d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """The transpose of `conv1d`; the weight is (in channels, out channels / groups, taps)."""
    return _convolve_transposed(
        1, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@operator(method=False, out=False)
def conv_transpose2d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """The transpose of `conv2d`; the weight is (in channels, out channels / groups, kh, kw)."""
    return _convolve_transposed(
        2, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@operator(method=False, out=False)
def conv_transpose3d(
    input, weight, bias=None, stride=1, padding=0, output_padding=0, groups=1, dilation=1
):
    """The transpose of `conv3d`; the weight is (in channels, out channels / groups, kd, kh, kw)."""
    return _convolve_transposed(
        3, input, weight, bias, stride, padding, output_padding, groups, dilation
    )


@operator(method=False, out=False)
def convolution(input, weight, bias, stride, padding, dilation, transposed, output_padding, groups):
    """The convolution or transposed convolution of as many dimensions as the weight has."""
    count = weight.ndim - 2
    if transposed:
        return _convolve_transposed(
            count, input, weight, bias, stride, padding, output_padding, groups, dilation
        )
    return _convolve(count, input, weight, bias, stride, padding, dilation, groups)


@operator(method=False, out=False)
def conv_tbc(input, weight, bias, pad=0):
    """`conv1d` of (time, batch, channels) with a weight (taps, channels, out)."""
    result = conv1d(input.permute(1, 2, 0), weight.permute(2, 1, 0), bias, padding=pad)
    return result.permute(2, 0, 1)
