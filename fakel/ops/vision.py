"""Rearranging images: sliding blocks (`unfold`, `fold`), pixel and channel shuffles."""

from __future__ import annotations

import math

import numpy as np

from fakel.ops.checks import INTEGER, refuse
from fakel.ops.convolution import Geometry, pad_spatial
from fakel.ops.declare import gradient, operator, primitive


@primitive("im2col")
def _unfold(input, *, kernel, geometry):
    batch, channels = input.shape[:2]
    output = geometry.output_size(input.shape[2:], kernel)
    padded = pad_spatial(input, geometry.padding)
    columns = np.empty((batch, channels, math.prod(kernel), *output), input.dtype)
    for tap, window in enumerate(geometry.windows(kernel, output)):
        columns[:, :, tap] = padded[(..., *window)]
    return columns.reshape(batch, channels * math.prod(kernel), math.prod(output))


@primitive("col2im")
def _fold(input, *, size, kernel, geometry):
    output = geometry.output_size(size, kernel)
    batch, channels = input.shape[0], input.shape[1] // math.prod(kernel)
    columns = input.reshape(batch, channels, math.prod(kernel), *output)
    padded_size = [n + 2 * p for n, p in zip(size, geometry.padding, strict=True)]
    padded = np.zeros((batch, channels, *padded_size), input.dtype)
    for tap, window in enumerate(geometry.windows(kernel, output)):
        padded[(..., *window)] += columns[:, :, tap]
    inner = tuple(slice(p, p + n) for p, n in zip(geometry.padding, size, strict=True))
    return padded[(..., *inner)].copy()


def _record_unfold(input, kernel, geometry):
    positions = math.prod(geometry.output_size(input.shape[2:], kernel))
    shape = (input.shape[0], input.shape[1] * math.prod(kernel), positions)
    return _unfold(input, kernel=kernel, geometry=geometry, shape=shape)


def _record_fold(columns, size, kernel, geometry):
    size = tuple(size)
    shape = (columns.shape[0], columns.shape[1] // math.prod(kernel), *size)
    return _fold(columns, size=size, kernel=kernel, geometry=geometry, shape=shape)


gradient(
    _unfold,
    input=lambda grad, input, kernel, geometry: _record_fold(
        grad, input.shape[2:], kernel, geometry
    ),
)
gradient(_fold, input=lambda grad, kernel, geometry: _record_unfold(grad, kernel, geometry))


def _pair(value, name):
    values = tuple(value) if hasattr(value, "__len__") else (value,)
    if len(values) not in (1, 2):
        raise RuntimeError(f"It is expected {name} equals to 2, but got size {len(values)}")
    return tuple(int(number) for number in values) * (3 - len(values))


def _geometry(kernel_size, dilation, padding, stride):
    kernel, stride = _pair(kernel_size, "kernel_size"), _pair(stride, "stride")
    dilation, padding = _pair(dilation, "dilation"), _pair(padding, "padding")
    for name, values in (("kernel", kernel), ("dilation", dilation), ("stride", stride)):
        if min(values) <= 0:
            raise RuntimeError(
                f"{name} {'size ' if name == 'kernel' else ''}should be greater than zero, but got "
                f"{name}_height: {values[0]} {name}_width: {values[1]}"
            )
    if min(padding) < 0:
        raise RuntimeError(
            f"padding should be non-negative, but got pad_height: {padding[0]} pad_width: "
            f"{padding[1]}"
        )
    return kernel, Geometry(stride, padding, dilation, 1)


@operator(method=False, out=False, namespace="nn.functional", backward_name="Im2ColBackward0")
def unfold(input, kernel_size, dilation=1, padding=0, stride=1):
    """The blocks that a kernel meets: (batch, channels · taps, positions).

    Args:
        input: (batch, channels, height, width), or without the batch.
        kernel_size, dilation, padding, stride: as of `conv2d`.
    """
    refuse("im2col_out_cpu", input.dtype, INTEGER)
    if input.ndim not in (3, 4) or 0 in input.shape[-3:]:
        raise RuntimeError(
            "Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero "
            f"dimensions for input, but got: {list(input.shape)}"
        )
    kernel, geometry = _geometry(kernel_size, dilation, padding, stride)
    batched = input if input.ndim == 4 else input.unsqueeze(0)
    output = geometry.output_size(batched.shape[2:], kernel)
    if min(output) < 1:
        size = tuple(batched.shape[2:])
        raise RuntimeError(
            f"Given input with spatial size {size}, kernel_size={kernel}, "
            f"dilation={geometry.dilation}, padding={geometry.padding}, calculated shape of the "
            f"array of sliding blocks as {output}, but its components must be at least one."
        )
    result = _record_unfold(batched, kernel, geometry)
    return result if input.ndim == 4 else result.squeeze(0)


@operator(method=False, out=False, namespace="nn.functional", backward_name="Col2ImBackward0")
def fold(input, output_size, kernel_size, dilation=1, padding=0, stride=1):
    """Sums blocks back to an image, the transpose of `unfold`.

    Args:
        input: (batch, channels · taps, positions), or without the batch.
        output_size: (height, width) of the image.
        kernel_size, dilation, padding, stride: as of `unfold`.
    """
    size = _pair(output_size, "output_size")
    if input.ndim not in (2, 3) or 0 in input.shape[-2:]:
        raise RuntimeError(
            "Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and "
            f"non-zero dimensions for input, but got: {list(input.shape)}"
        )
    kernel, geometry = _geometry(kernel_size, dilation, padding, stride)
    batched = input if input.ndim == 3 else input.unsqueeze(0)
    if batched.shape[1] % math.prod(kernel):
        raise RuntimeError(
            "Expected size of input's dimension 1 to be divisible by the product of kernel_size, "
            f"but got input.size(1)={batched.shape[1]} and kernel_size={kernel}."
        )
    given = (
        f"Given output_size={size}, kernel_size={kernel}, dilation={geometry.dilation}, "
        f"padding={geometry.padding}, stride={geometry.stride}, "
    )
    output = geometry.output_size(size, kernel)
    if min(output) < 1:
        raise RuntimeError(
            f"{given}calculated shape of the array of sliding blocks as {output}, which is too "
            "small (non-positive)"
        )
    if batched.shape[2] != math.prod(output):
        raise RuntimeError(
            f"{given}expected size of input's dimension 2 to match the calculated number of "
            f"sliding blocks {output[0]} * {output[1]} = {math.prod(output)}, but got "
            f"input.size(2)={batched.shape[2]}."
        )
    result = _record_fold(batched, size, kernel, geometry)
    return result if input.ndim == 3 else result.squeeze(0)


def _check_image(name, input):
    if input.ndim < 3:
        raise RuntimeError(
            f"{name} expects input to have at least 3 dimensions, but got input with {input.ndim} "
            "dimension(s)"
        )


@operator(method=False, out=False, backward_name="PixelShuffleBackward0")
def pixel_shuffle(input, upscale_factor):
    """(*, c · r², h, w) as (*, c, h · r, w · r): channels become pixels (arXiv:1609.05158)."""
    _check_image("pixel_shuffle", input)
    factor = int(upscale_factor)
    if factor <= 0:
        raise RuntimeError(f"pixel_shuffle expects a positive upscale_factor, but got {factor}")
    *rest, channels, height, width = input.shape
    if channels % (factor * factor):
        raise RuntimeError(
            "pixel_shuffle expects its input's 'channel' dimension to be divisible by the square "
            f"of upscale_factor, but input.size(-3)={channels} is not divisible by "
            f"{factor * factor}"
        )
    lead, count = len(rest), channels // (factor * factor)
    split = input.reshape(*rest, count, factor, factor, height, width)
    order = (lead, lead + 3, lead + 1, lead + 4, lead + 2)
    moved = split.permute(*range(lead), *order)
    return moved.reshape(*rest, count, height * factor, width * factor)


@operator(method=False, out=False, backward_name="PixelUnshuffleBackward0")
def pixel_unshuffle(input, downscale_factor):
    """(*, c, h · r, w · r) as (*, c · r², h, w): the inverse of `pixel_shuffle`."""
    _check_image("pixel_unshuffle", input)
    factor = int(downscale_factor)
    if factor <= 0:
        raise RuntimeError(f"pixel_unshuffle expects a positive downscale_factor, but got {factor}")
    *rest, channels, height, width = input.shape
    for name, dim, length in (("height", -2, height), ("width", -1, width)):
        if length % factor:
            raise RuntimeError(
                f"pixel_unshuffle expects {name} to be divisible by downscale_factor, but "
                f"input.size({dim})={length} is not divisible by {factor}"
            )
    lead = len(rest)
    split = input.reshape(*rest, channels, height // factor, factor, width // factor, factor)
    order = (lead, lead + 2, lead + 4, lead + 1, lead + 3)
    moved = split.permute(*range(lead), *order)
    return moved.reshape(*rest, channels * factor * factor, height // factor, width // factor)


@operator(
    method=False,
    out=False,
    aliases=("native_channel_shuffle",),
    backward_name="ChannelShuffleBackward0",
)
def channel_shuffle(input, groups):
    """Interleaves the channels of groups (Zhang et al., arXiv:1707.01083)."""
    if input.ndim < 3:
        raise RuntimeError(
            "channel_shuffle expects input with > 2 dims, but got input with sizes "
            f"{list(input.shape)}"
        )
    if groups <= 0:
        raise RuntimeError(
            f"Number of groups to divide channels in must be positive. Value of groups:{groups}"
        )
    batch, channels = input.shape[:2]
    if channels % groups:
        raise RuntimeError(
            f"Number of channels must be divisible by groups. Got {channels} channels and {groups} "
            "groups."
        )
    split = input.reshape(batch, groups, channels // groups, *input.shape[2:])
    return split.transpose(1, 2).reshape(input.shape)


native_channel_shuffle = channel_shuffle
