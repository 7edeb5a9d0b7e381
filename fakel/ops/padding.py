"""Padding a tensor's last dimensions with a constant or with its own elements."""

from __future__ import annotations

from operator import index

import numpy as np

from fakel.autograd.tape import retitled
from fakel.ops.checks import BOOL, refuse
from fakel.ops.declare import gradient, operator, primitive

# What torch's messages number the padding arguments of a dimension, counted from the last one.
ARGUMENT_NUMBERS = (4, 6, 8)


def _slices(padding, size):
    """Where an array lies in the padded one, and which part of it lies there."""
    outer, inner = [], []
    for (left, right), length in zip(padding, size, strict=True):
        inner.append(slice(max(-left, 0), length - max(-right, 0)))
        outer.append(slice(max(left, 0), length + left + min(right, 0)))
    return tuple(outer), tuple(inner)


@primitive("constant_pad_nd")
def _pad_constant(input, *, padding, value):
    size = [n + left + right for n, (left, right) in zip(input.shape, padding, strict=True)]
    result = np.full(size, value, input.dtype)
    outer, inner = _slices(padding, input.shape)
    result[outer] = input[inner]
    return result


def _record_constant(input, padding, value):
    size = [n + left + right for n, (left, right) in zip(input.shape, padding, strict=True)]
    if min(size, default=0) < 0:
        raise RuntimeError("narrow(): length must be non-negative.")
    return _pad_constant(input, padding=padding, value=value, shape=tuple(size))


gradient(
    _pad_constant,
    input=lambda grad, padding: _record_constant(
        grad, tuple((-left, -right) for left, right in padding), 0
    ),
)


def _sources(length: int, left: int, right: int, mode: str) -> np.ndarray:
    """Which element each place of the padded dimension takes."""
    places = np.arange(-left, length + right)
    if mode == "replicate":
        return np.clip(places, 0, length - 1)
    if mode == "circular":
        return places % length
    return length - 1 - np.abs(length - 1 - np.abs(places))


@primitive("pad_from_elements")
def _pad_from_elements(input, *, padding, mode):
    for axis, (left, right) in enumerate(padding):
        if left or right:
            input = np.take(input, _sources(input.shape[axis], left, right, mode), axis)
    return input.copy()


@primitive("pad_from_elements_gradient")
def _pad_from_elements_gradient(output_gradient, *, padding, mode):
    result = output_gradient.copy()
    for axis, (left, right) in enumerate(padding):
        if not (left or right):
            continue
        length = result.shape[axis] - left - right
        sources = _sources(length, left, right, mode)
        lines = np.moveaxis(result, axis, 0)
        total = np.zeros((length, *lines.shape[1:]), result.dtype)
        first, last = max(left, 0), len(lines) - max(right, 0)
        total[sources[first:last]] = lines[first:last]
        for place in (*range(first), *range(last, len(lines))):
            total[sources[place]] += lines[place]
        result = np.moveaxis(total, 0, axis)
    return result


def _record_elements(input, padding, mode):
    size = tuple(n + left + right for n, (left, right) in zip(input.shape, padding, strict=True))
    return _pad_from_elements(input, padding=padding, mode=mode, shape=size)


def _record_elements_gradient(grad, padding, mode):
    size = tuple(n - left - right for n, (left, right) in zip(grad.shape, padding, strict=True))
    return _pad_from_elements_gradient(grad, padding=padding, mode=mode, shape=size)


gradient(
    _pad_from_elements,
    input=lambda grad, padding, mode: _record_elements_gradient(grad, padding, mode),
)
gradient(
    _pad_from_elements_gradient,
    output_gradient=lambda grad, padding, mode: _record_elements(grad, padding, mode),
)


def _pairs(pad, ndim):
    """(left, right) of every dimension, from a list that begins with the last dimension."""
    pad = [index(number) for number in pad]
    if len(pad) % 2:
        raise RuntimeError("Padding length must be divisible by 2")
    if len(pad) > 2 * ndim:
        raise RuntimeError(
            "Padding length should be less than or equal to two times the input dimension but got "
            f"padding length {len(pad)} and input of dimension {ndim}"
        )
    pairs = [(pad[i], pad[i + 1]) for i in range(0, len(pad), 2)]
    return ((0, 0),) * (ndim - len(pairs)) + tuple(reversed(pairs))


@operator(method=False, out=False)
def constant_pad_nd(input, pad, value=0):
    """Pads with a constant; negative numbers of the padding cut elements off."""
    return _record_constant(input, _pairs(pad, input.ndim), value)


@operator(method=False, out=False, namespace="nn.functional")
def pad(input, pad, mode="constant", value=None):
    """Pads the last `len(pad) / 2` dimensions.

    Args:
        input: the tensor.
        pad: (left, right) of the last dimension, then of the one before it, and so on.
        mode: "constant", "reflect" (without repeating the edge), "replicate" (the edge) or
            "circular".
        value: what "constant" fills in, 0 by default.
    """
    if mode == "constant":
        if value is not None and not isinstance(value, (int, float)):
            found = type(value).__name__
            raise TypeError(f"pad(): argument 'value' (position 4) must be float, not {found}")
        return _record_constant(input, _pairs(pad, input.ndim), 0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise NotImplementedError(f"Unrecognised padding mode {mode}")
    if value is not None and value != 0:
        raise RuntimeError(f'Padding mode "{mode}" doesn\'t take in value argument')
    pairs = _pairs(pad, input.ndim)
    count = len(pad) // 2
    if mode != "circular":
        kernel = {"reflect": "reflection", "replicate": "replication"}[mode]
        refuse(f"{kernel}_pad{count}d", input.dtype, BOOL)
    if not 1 <= count <= 3 or input.ndim not in (count + 1, count + 2):
        raise NotImplementedError(
            f"Padding size {len(pad)} is not supported for {input.ndim}D input tensor.\n"
            "Supported combinations for non-constant padding:\n"
            "  - 2D or 3D input: padding size = 2 (pads last dimension)\n"
            "  - 3D or 4D input: padding size = 4 (pads last 2 dimensions)\n"
            "  - 4D or 5D input: padding size = 6 (pads last 3 dimensions)"
        )
    for dim in reversed(range(input.ndim - count, input.ndim)):
        most = max(pairs[dim])
        if mode == "reflect" and most >= input.shape[dim]:
            number = ARGUMENT_NUMBERS[input.ndim - 1 - dim]
            raise RuntimeError(
                f"Argument #{number}: Padding size should be less than the corresponding input "
                f"dimension, but got: padding {pairs[dim]} at dimension {dim} of input "
                f"{list(input.shape)}"
            )
        if mode == "circular" and most > input.shape[dim]:
            raise RuntimeError("Padding value causes wrapping around more than once.")
    if mode == "circular" and min(pad) < 0:
        # what is left after cutting is what goes round
        cut = tuple((min(left, 0), min(right, 0)) for left, right in pairs)
        input = _record_constant(input, cut, 0)
        pairs = tuple((max(left, 0), max(right, 0)) for left, right in pairs)
    result = _record_elements(input, pairs, mode)
    title = {"reflect": "ReflectionPad", "replicate": "ReplicationPad"}.get(mode)
    return retitled(result, f"{title}{count}DBackward0" if title else "CopySlices")
