"""The gradients of views: zeros of the input's shape with the view's gradient put in its place."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakel.ops.declare import gradient, primitive
from fakel.tensor import Tensor


def _slice(ndim: int, dim: int, start: int, count: int, step: int) -> tuple[slice, ...]:
    index = [slice(None)] * ndim
    index[dim] = slice(start, start + count * step, step)
    return tuple(index)


class _Embedding:
    """A primitive whose meaning needs the shape of its result as a parameter."""

    def __init__(self, name: str, meaning: Any) -> None:
        self.primitive = primitive(name)(meaning)

    def __call__(self, grad: Tensor, *, shape: tuple[int, ...], **parameters: Any) -> Tensor:
        return self.primitive(grad, shape=shape, into=tuple(shape), **parameters)


def _embed_slice(input, *, into, dim, start, step):
    result = np.zeros(into, input.dtype)
    result[_slice(len(into), dim, start, input.shape[dim], step)] = input
    return result


def _embed_diagonal(input, *, into, offset, dim1, dim2):
    result = np.zeros(into, input.dtype)
    if result.size and input.size:
        diagonal = np.diagonal(result, offset, dim1, dim2)
        diagonal.flags.writeable = True
        diagonal[...] = input
    return result


def _fold_windows(input, *, into, dim, size, step):
    result = np.zeros(into, input.dtype)
    if not into:
        return result + input.reshape(())
    windows = np.moveaxis(input, -1, 0)  # (size, ..., windows, ...)
    for position in range(size):
        result[_slice(len(into), dim, position, input.shape[dim], step)] += windows[position]
    return result


def _unstride(input, *, into, length, strides, offset):
    result = np.zeros(length, input.dtype)
    positions = np.full(input.shape, offset, np.int64)
    for dim, (size, step) in enumerate(zip(input.shape, strides, strict=True)):
        positions += (np.arange(size) * step).reshape((-1,) + (1,) * (input.ndim - dim - 1))
    np.add.at(result, positions.reshape(-1), input.reshape(-1))
    return result


embed_slice = _Embedding("embed_slice", _embed_slice)
embed_diagonal = _Embedding("embed_diagonal", _embed_diagonal)
fold_windows = _Embedding("fold_windows", _fold_windows)
unstride = _Embedding("unstride", _unstride)


def _sliced(grad, input, dim, start, step):
    index = [slice(None)] * grad.ndim
    index[dim] = slice(start, start + input._shape[dim] * step, step)
    return grad[tuple(index)]


gradient(embed_slice, input=_sliced)
gradient(embed_diagonal, input=lambda grad, offset, dim1, dim2: grad.diagonal(offset, dim1, dim2))
gradient(fold_windows, input=lambda grad, dim, size, step: grad.unfold(dim, size, step))
gradient(
    unstride,
    input=lambda grad, input, strides, offset: grad.as_strided(input._shape, strides, offset),
)
