"""Normalisations of samples: layer, group, root mean square, local response, and vectors'.

The first three are single nodes with gradient nodes of their own.
"""

from __future__ import annotations

import math
from operator import index

import numpy as np

from fakel import ops
from fakel.ops.checks import BOOL, INTEGER, floating_only, refuse
from fakel.ops.declare import gradient, operator, primitive
from fakel.ops.normalized import (
    along_channels,
    centre,
    channel_sums,
    check_kinds,
    derivative_of_gradient,
)
from fakel.ops.padding import pad
from fakel.ops.pooling import avg_pool2d
from fakel.tensor import finfo


def _rows(array, elements):
    """(rows, elements), also where there are none."""
    return array.reshape(array.size // elements if elements else 0, elements)


def _normalise_rows(rows, eps):
    """The normalised rows, their means and the factors that they were scaled by."""
    mean, centred, variance = centre(rows, 1)
    scale = 1 / np.sqrt(variance + np.asarray(eps, rows.dtype))
    centred *= scale
    return centred, mean, scale


def _pull_rows(gradient_rows, normalised, scale):
    """The gradient of rows from that of their normalised values."""
    kind = gradient_rows.dtype
    inner = (gradient_rows * normalised).mean(1, np.float64, keepdims=True).astype(kind)
    centre = gradient_rows.mean(1, np.float64, keepdims=True).astype(kind)
    return (gradient_rows - centre - normalised * inner) * scale


@primitive("layer_norm", backward_name="NativeLayerNormBackward0")
def _layer_norm(input, weight, bias, *, elements, eps):
    result, mean, scale = _normalise_rows(_rows(input, elements), eps)
    if weight is not None:
        result *= weight.ravel()
    if bias is not None:
        result += bias.ravel()
    return result.reshape(input.shape), mean.ravel(), scale.ravel()


@primitive("layer_norm_gradient")
def _layer_norm_gradient(output_gradient, input, weight, mean, scale, *, elements, eps):
    scale = scale[:, None]
    normalised = (_rows(input, elements) - mean[:, None]) * scale
    rows = _rows(output_gradient, elements)
    weight_gradient = (rows * normalised).sum(0)
    bias_gradient = rows.sum(0)
    if weight is not None:
        rows = rows * weight.ravel()
    return _pull_rows(rows, normalised, scale).reshape(input.shape), weight_gradient, bias_gradient


def _pull_layer_norm(grads, input, weight, bias, result1, result2, elements, eps):
    kind, vector = input.dtype, (elements,)
    found = _layer_norm_gradient(
        grads[0], input, weight, result1, result2, elements=elements, eps=eps,
        shape=(tuple(input.shape), vector, vector), dtype=(kind, kind, kind),
    )  # fmt: skip
    return (
        found[0],
        None if weight is None else found[1].reshape(weight.shape),
        None if bias is None else found[2].reshape(bias.shape),
    )


def _composite_layer_norm(input, weight, bias, elements, eps):
    rows = input.reshape(-1, elements)
    centred = rows - rows.mean(1, keepdim=True)
    result = centred * ((centred * centred).mean(1, keepdim=True) + eps).rsqrt()
    return (result * weight + bias).reshape(input.shape)


gradient(_layer_norm, joint=_pull_layer_norm)
gradient(
    _layer_norm_gradient,
    joint=lambda grads, output_gradient, input, weight, elements, eps: (
        *derivative_of_gradient(
            lambda *tensors: _composite_layer_norm(*tensors, elements, eps), elements, grads,
            output_gradient, input, weight),
        None, None),
)  # fmt: skip


def _check_normalized_shape(input, normalized_shape, star, **vectors):
    """The normalised shape as a tuple."""
    shape = tuple(index(size) for size in normalized_shape)
    if not shape:
        raise RuntimeError(
            "Expected normalized_shape to be at least 1-dimensional, i.e., containing at least one "
            "element, but got normalized_shape = []"
        )
    for name, tensor in vectors.items():
        if tensor is not None and tuple(tensor.shape) != shape:
            raise RuntimeError(
                f"Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(tensor.shape)} and normalized_shape = {list(shape)}"
            )
    if tuple(input.shape[-len(shape) :]) != shape:
        wanted = ", ".join(str(size) for size in shape)
        raise RuntimeError(
            f"Given normalized_shape={list(shape)}, expected input with shape [*{star}{wanted}], "
            f"but got input of size{list(input.shape)}"
        )
    return shape


@operator(method=False, out=False)
def layer_norm(input, normalized_shape, weight=None, bias=None, eps=1e-05, cudnn_enable=True):
    """`(x - mean) / sqrt(variance + eps) · weight + bias` over the last dimensions.

    Ba et al., arXiv:1607.06450.

    Args:
        input: (*, *normalized_shape).
        normalized_shape: the sizes of the last dimensions.
        weight, bias: of that shape, or None.
        cudnn_enable: has no effect on a CPU.
    """
    shape = _check_normalized_shape(input, normalized_shape, ", ", weight=weight, bias=bias)
    check_kinds("LayerNormKernelImpl", input, weight, bias)
    return _record_layer_norm(input, shape, weight, bias, eps)[0]


def _record_layer_norm(input, shape, weight, bias, eps):
    floating_only("LayerNormKernelImpl", input)
    elements = math.prod(shape)
    rows = (math.prod(input.shape[: input.ndim - len(shape)]),)
    return _layer_norm(
        input, weight, bias, elements=elements, eps=float(eps),
        shape=(tuple(input.shape), rows, rows), dtype=(input.dtype,) * 3,
    )  # fmt: skip


@operator(method=False, out=False)
def native_layer_norm(input, normalized_shape, weight, bias, eps):
    """`layer_norm`, and the mean and the inverse deviation of each row."""
    shape = _check_normalized_shape(input, normalized_shape, ", ", weight=weight, bias=bias)
    result, mean, scale = _record_layer_norm(input, shape, weight, bias, eps)
    rows = (*input.shape[: input.ndim - len(shape)], *[1] * len(shape))
    return result, mean.detach().reshape(rows), scale.detach().reshape(rows)


@primitive("group_norm", backward_name="NativeGroupNormBackward0")
def _group_norm(input, weight, bias, *, groups, eps):
    rows = input.reshape(input.shape[0] * groups, math.prod(input.shape[1:]) // groups)
    result, mean, scale = _normalise_rows(rows, eps)
    result = result.reshape(input.shape)
    if weight is not None:
        result *= along_channels(weight, input.ndim)
    if bias is not None:
        result += along_channels(bias, input.ndim)
    return result, mean.ravel(), scale.ravel()


@primitive("group_norm_gradient")
def _group_norm_gradient(output_gradient, input, weight, mean, scale, *, groups, eps):
    scale = scale[:, None]
    rows = input.reshape(len(scale), math.prod(input.shape[1:]) // groups)
    normalised = (rows - mean[:, None]) * scale
    weight_gradient = channel_sums(output_gradient * normalised.reshape(input.shape))
    bias_gradient = channel_sums(output_gradient)
    if weight is not None:
        output_gradient = output_gradient * along_channels(weight, input.ndim)
    pulled = _pull_rows(output_gradient.reshape(rows.shape), normalised, scale)
    return pulled.reshape(input.shape), weight_gradient, bias_gradient


def _pull_group_norm(grads, input, weight, result1, result2, groups, eps):
    kind, channels = input.dtype, (input.shape[1],)
    return _group_norm_gradient(
        grads[0], input, weight, result1, result2, groups=groups, eps=eps,
        shape=(tuple(input.shape), channels, channels), dtype=(kind, kind, kind),
    )  # fmt: skip


def _composite_group_norm(input, weight, bias, groups, eps):
    rows = input.reshape(input.shape[0] * groups, -1)
    centred = rows - rows.mean(1, keepdim=True)
    result = centred * ((centred * centred).mean(1, keepdim=True) + eps).rsqrt()
    scale, shift = (along_channels(vector, input.ndim) for vector in (weight, bias))
    return result.reshape(input.shape) * scale + shift


gradient(_group_norm, joint=_pull_group_norm)
gradient(
    _group_norm_gradient,
    joint=lambda grads, output_gradient, input, weight, groups, eps: (
        *derivative_of_gradient(
            lambda *tensors: _composite_group_norm(*tensors, groups, eps), input.shape[1], grads,
            output_gradient, input, weight),
        None, None),
)  # fmt: skip


@operator(method=False, out=False)
def group_norm(input, num_groups, weight=None, bias=None, eps=1e-05, cudnn_enabled=True):
    """Normalises groups of channels of each sample (Wu and He, arXiv:1803.08494).

    Args:
        input: (batch, channels, *).
        num_groups: how many groups the channels are split into.
        weight, bias: (channels), or None.
        cudnn_enabled: has no effect on a CPU.
    """
    if input.ndim < 2:
        raise RuntimeError(
            f"Expected at least 2 dimensions for input tensor but received {input.ndim}"
        )
    channels = input.shape[1]
    if num_groups <= 0:
        raise RuntimeError(f"Expected num groups to be greater than 0, got {num_groups}")
    if channels % num_groups:
        raise RuntimeError(
            "Expected number of channels in input to be divisible by num_groups, but got input of "
            f"shape {list(input.shape)} and num_groups={num_groups}"
        )
    for name, vector in (("weight", weight), ("bias", bias)):
        if vector is not None and tuple(vector.shape) != (channels,):
            raise RuntimeError(
                f"Expected {name} to be a vector of size equal to the number of channels in input, "
                f"but got {name} of shape {list(vector.shape)} and input of shape "
                f"{list(input.shape)}"
            )
    check_kinds("GroupNormKernelImpl", input, weight, bias)
    return _record_group_norm(input, weight, bias, num_groups, eps)[0]


def _record_group_norm(input, weight, bias, groups, eps):
    floating_only("GroupNormKernelImpl", input)
    rows = (input.shape[0] * groups,)
    return _group_norm(
        input, weight, bias, groups=int(groups), eps=float(eps),
        shape=(tuple(input.shape), rows, rows), dtype=(input.dtype,) * 3,
    )  # fmt: skip


@operator(method=False, out=False)
def native_group_norm(input, weight, bias, N, C, HxW, group, eps):
    """`group_norm` of (N, C, HxW), and the mean and the inverse deviation of each group."""
    result = _record_group_norm(input.reshape(N, C, HxW), weight, bias, group, eps)[0]
    rows = input.reshape(N, group, C // group * HxW)
    centred = rows - rows.mean(-1, keepdim=True)
    scale = ((centred * centred).mean(-1) + eps).rsqrt()
    return result.reshape(input.shape), rows.mean(-1), scale


# Root mean square normalisation


@primitive("rms_norm", "MulBackward0")
def _rms_norm(input, weight, *, elements, eps):
    rows = _rows(input, elements)
    scale = 1 / np.sqrt((rows * rows).mean(1, keepdims=True) + np.asarray(eps, input.dtype))
    result = rows * scale
    if weight is not None:
        result *= weight.ravel()
    return result.reshape(input.shape)


@primitive("rms_norm_gradient")
def _rms_norm_gradient(output_gradient, input, weight, *, elements, eps):
    rows = _rows(input, elements)
    scale = 1 / np.sqrt((rows * rows).mean(1, keepdims=True) + np.asarray(eps, input.dtype))
    normalised = rows * scale
    pulled = _rows(output_gradient, elements)
    weight_gradient = (pulled * normalised).sum(0)
    if weight is not None:
        pulled = pulled * weight.ravel()
    inner = (pulled * normalised).mean(1, keepdims=True)
    return ((pulled - normalised * inner) * scale).reshape(input.shape), weight_gradient


def _pull_rms_norm(grad, input, weight, elements, eps):
    found = _rms_norm_gradient(
        grad, input, weight, elements=elements, eps=eps,
        shape=(tuple(input.shape), (elements,)), dtype=(input.dtype, input.dtype),
    )  # fmt: skip
    return found[0], None if weight is None else found[1].reshape(weight.shape)


def _composite_rms_norm(input, weight, bias, elements, eps):
    rows = input.reshape(-1, elements)
    result = rows * ((rows * rows).mean(1, keepdim=True) + eps).rsqrt()
    return (result * weight + bias).reshape(input.shape)


gradient(_rms_norm, joint=_pull_rms_norm)
gradient(
    _rms_norm_gradient,
    joint=lambda grads, output_gradient, input, weight, elements, eps: derivative_of_gradient(
        lambda *tensors: _composite_rms_norm(*tensors, elements, eps), elements, (*grads, None),
        output_gradient, input, weight),
)  # fmt: skip


@operator(method=False, out=False)
def rms_norm(input, normalized_shape, weight=None, eps=None):
    """`x / sqrt(mean(x²) + eps) · weight` over the last dimensions (arXiv:1910.07467).

    `eps` is the dtype's machine epsilon when left out.
    """
    refuse("rms_norm", input.dtype, BOOL, INTEGER)
    shape = _check_normalized_shape(input, normalized_shape, "", weight=weight)
    eps = finfo(input.dtype).eps if eps is None else eps
    return _rms_norm(input, weight, elements=math.prod(shape), eps=float(eps))


# Composites


@operator(method=False, out=False, namespace="nn.functional")
def local_response_norm(input, size, alpha=1e-4, beta=0.75, k=1.0):
    """`x / (k + alpha · mean(x² of the neighbouring channels))^beta` (Krizhevsky et al., 2012)."""
    if input.ndim < 3:
        raise ValueError(
            "Expected 3D or higher dimensionality                          input "
            f"(got {input.ndim} dimensions)"
        )
    if input.numel() == 0:
        return input
    batch, channels = input.shape[:2]
    squares = (input * input).reshape(batch, 1, channels, math.prod(input.shape[2:]))
    squares = pad(squares, (0, 0, size // 2, (size - 1) // 2))
    means = avg_pool2d(squares, (size, 1), 1).reshape(input.shape)
    return input / (means * alpha + k).pow(beta)


@operator(method=False, namespace="nn.functional")
def normalize(input, p=2.0, dim=1, eps=1e-12):
    """`x / max(‖x‖ₚ, eps)` over a dimension."""
    return input / ops.norm(input, p, dim, keepdim=True).clamp_min(eps).expand_as(input)
