"""Affine maps: `linear` as one node, and `bilinear`."""

from __future__ import annotations

import math

from fakel.autograd.tape import retitled
from fakel.ops.checks import BOOL, refuse
from fakel.ops.declare import gradient, operator, primitive
from fakel.ops.matmul import same_dtype, same_dtype_in_sum
from fakel.ops.numerics.product import product


@primitive("linear", backward_name="AddmmBackward0")
def _linear(input, weight, bias):
    rows = input.reshape(-1, input.shape[-1]) if input.size else input
    result = product(rows, weight.T)
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


@operator(method=False, namespace="nn.functional")
def linear(input, weight, bias=None):
    """`input · weightᵀ + bias`.

    Args:
        input: (*, in features).
        weight: (out features, in features), or (in features).
        bias: (out features), or None.
    """
    if weight.ndim == 1 and bias is None:
        return input.matmul(weight)
    if weight.ndim == 1:
        raise RuntimeError("mat2 must be a matrix, got 1-D tensor")
    if not input.ndim:
        raise RuntimeError(
            f"both arguments to linear need to be at least 1D, but they are 0D and {weight.ndim}D"
        )
    rows = math.prod(input.shape[:-1])
    if input.shape[-1] != weight.shape[1]:
        raise RuntimeError(
            f"mat1 and mat2 shapes cannot be multiplied ({rows}x{input.shape[-1]} and "
            f"{weight.shape[1]}x{weight.shape[0]})"
        )
    if bias is None:
        same_dtype(input, weight)
    else:
        same_dtype_in_sum(bias, input, weight)
    refuse("addmm_impl_cpu_", input.dtype, BOOL)
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
