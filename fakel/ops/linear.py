"""Affine maps: `linear` as one node, and `bilinear`."""

from __future__ import annotations

import math

import numpy as np

from fakel.autograd.tape import retitled
from fakel.ops.declare import gradient, operator, primitive


@primitive("linear", backward_name="AddmmBackward0")
def _linear(input, weight, bias):
    rows = input.reshape(-1, input.shape[-1]) if input.size else input
    result = np.matmul(rows, weight.T)
    if bias is not None:
        result += bias
    return result.reshape(*input.shape[:-1], weight.shape[0])


def _rows(tensor):
    if tensor.ndim == 2:
        return tensor
    return tensor.reshape(math.prod(tensor.shape[:-1]), tensor.shape[-1])


def _sum_of_rows(grad):
    return grad if grad.ndim == 1 else grad.sum(tuple(range(grad.ndim - 1)))


gradient(
    _linear,
    input=lambda grad, weight: grad.matmul(weight.conj()),
    weight=lambda grad, input: _rows(grad).t().matmul(_rows(input).conj()),
    bias=_sum_of_rows,
)

TYPE_NAMES = {
    "float32": "float", "float64": "double", "float16": "c10::Half", "bfloat16": "c10::BFloat16",
    "int64": "long", "int32": "int", "int16": "short", "int8": "signed char",
    "uint8": "unsigned char", "complex64": "c10::complex<float>",
    "complex128": "c10::complex<double>",
}  # fmt: skip


def _type_name(tensor):
    name = str(tensor.dtype).removeprefix("torch.")
    return TYPE_NAMES.get(name, name)


@operator(method=False, out=False, namespace="nn.functional")
def linear(input, weight, bias=None):
    """`input · weightᵀ + bias`.

    Args:
        input: (*, in features).
        weight: (out features, in features), or (in features).
        bias: (out features), or None.
    """
    if weight.ndim == 1:
        result = input.matmul(weight)
        return result if bias is None else result + bias
    rows = math.prod(input.shape[:-1])
    if input.ndim == 0 or input.shape[-1] != weight.shape[1]:
        inner = input.shape[-1] if input.ndim else 1
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{inner} and "
            f"{weight.shape[1]}x{weight.shape[0]})"
        )
    for other in (weight, bias):
        if other is not None and other.dtype != input.dtype:
            raise RuntimeError(
                "expected m1 and m2 to have the same dtype, but got: "
                f"{_type_name(input)} != {_type_name(other)}"
            )
    shape = (*input.shape[:-1], weight.shape[0])
    if bias is not None and tuple(bias.shape) != (weight.shape[0],):
        if bias.numel() == 1 or tuple(bias.shape) == shape:
            return _linear(input, weight, None, shape=shape) + bias
        target = [rows, weight.shape[0]] if input.ndim > 1 else [1, weight.shape[0]]
        raise RuntimeError(
            f"The expanded size of the tensor ({weight.shape[0]}) must match the existing size "
            f"({bias.shape[-1]}) at non-singleton dimension 1.  Target sizes: {target}.  Tensor "
            f"sizes: {list(bias.shape)}"
        )
    result = _linear(input, weight, bias, shape=shape)
    if input.ndim == 2:
        return result if bias is not None else retitled(result, "MmBackward0")
    title = "View" if bias is not None else "Squeeze" if input.ndim == 1 else "UnsafeView"
    return retitled(result, title + ("Backward4" if title == "Squeeze" else "Backward0"))


@operator(method=False, out=False)
def bilinear(input1, input2, weight, bias=None):
    """`output[*, o] = input1 · weight[o] · input2 + bias[o]`.

    Args:
        input1: (*, features 1).
        input2: (*, features 2).
        weight: (out features, features 1, features 2).
        bias: (out features), or None.
    """
    for dim in range(max(input1.ndim, input2.ndim) - 1):
        if input1.ndim != input2.ndim or input1.shape[dim] != input2.shape[dim]:
            raise RuntimeError(
                f"bilinear(): input batch dimensions do not match at dim {dim}: got "
                f"{input1.shape[dim]} and {input2.shape[dim]}"
            )
    for number, given in ((1, input1), (2, input2)):
        if given.shape[-1] != weight.shape[number]:
            raise RuntimeError(
                f"bilinear(): input{number} size does not match weight size: got "
                f"{given.shape[-1]} but expected {weight.shape[number]}"
            )
    if bias is not None and bias.shape[0] != weight.shape[0]:
        raise RuntimeError(
            f"bilinear(): bias size does not match weight size: got {bias.shape[0]} but expected "
            f"{weight.shape[0]}"
        )
    outputs, first, second = weight.shape
    left = _rows(input1).matmul(weight.permute(1, 0, 2).reshape(first, outputs * second))
    left = left.reshape(math.prod(input1.shape[:-1]), outputs, second)
    result = left.matmul(_rows(input2).unsqueeze(-1)).squeeze(-1)
    result = result.reshape(*input1.shape[:-1], outputs)
    return result if bias is None else result + bias
