"""Normalisations: batch, layer, group, instance, root mean square, local response, and vectors'.

The first five are single nodes with gradient nodes of their own.
"""

from __future__ import annotations

import math
from operator import index

import numpy as np

from fakel import ops
from fakel.autograd import no_grad
from fakel.ops.checks import BOOL, INTEGER, floating_only, refuse
from fakel.ops.declare import gradient, operator, primitive, scalar
from fakel.ops.inplace import check_writable, store
from fakel.ops.padding import pad
from fakel.ops.pooling import avg_pool2d
from fakel.ops.pullback import pullback
from fakel.tensor import Tensor, dtypes, finfo


def _rows(array, elements):
    """(rows, elements), also where there are none."""
    return array.reshape(array.size // elements if elements else 0, elements)


def _along_channels(vector, ndim):
    """(channels,) so that it broadcasts with (batch, channels, *)."""
    return vector.reshape(1, -1, *[1] * (ndim - 2))


def _channel_sums(array):
    """The sums over all but the channels, without losing precision over a large batch."""
    batch, channels = array.shape[:2]
    of_samples = array.reshape(batch, channels, math.prod(array.shape[2:])).sum(2, np.float64)
    return of_samples.sum(0).astype(array.dtype)


def _centre(array, dims):
    """The mean over dimensions, which are kept, the array without it, and the mean of its squares.

    A mean that is large against the deviation is rounded away by as much as counts there; the mean
    of what is left says how much.
    """
    kind = array.dtype
    mean = array.mean(dims, np.float64, keepdims=True).astype(kind)
    centred = array - mean
    centred -= centred.mean(dims, np.float64, keepdims=True).astype(kind)
    return mean, centred, (centred * centred).mean(dims, np.float64, keepdims=True).astype(kind)


# Batch normalisation


@primitive("batch_norm", backward_name="NativeBatchNormBackward0")
def _batch_norm(input, weight, bias, running_mean, running_var, momentum, *, eps):
    """The result, the batch's mean and variance, and the next running ones (empty where None)."""
    count = input.size / input.shape[1]
    mean, centred, variance = _centre(input, (0, *range(2, input.ndim)))
    mean, variance = mean.ravel(), variance.ravel()
    scale = 1 / np.sqrt(variance + np.asarray(eps, input.dtype))
    if weight is not None:
        scale = scale * weight
    centred *= _along_channels(scale, input.ndim).astype(input.dtype)
    if bias is not None:
        centred += _along_channels(bias, input.ndim)
    unbiased = variance * np.asarray(count / max(count - 1, 1), input.dtype)
    running = [
        np.zeros((0,), input.dtype) if old is None else (1 - momentum) * old + momentum * new
        for old, new in ((running_mean, mean), (running_var, unbiased))
    ]
    return centred, mean, variance, *running


@primitive("batch_norm_gradient")
def _batch_norm_gradient(output_gradient, input, weight, mean, variance, *, eps):
    ndim, count = input.ndim, input.size / input.shape[1]
    scale = 1 / np.sqrt(variance + np.asarray(eps, input.dtype))
    normalised = (input - _along_channels(mean, ndim)) * _along_channels(scale, ndim)
    bias_gradient = _channel_sums(output_gradient)
    weight_gradient = _channel_sums(output_gradient * normalised)
    normalised *= _along_channels(weight_gradient / np.asarray(count, input.dtype), ndim)
    centred = output_gradient - _along_channels(
        bias_gradient / np.asarray(count, input.dtype), ndim
    )
    centred -= normalised
    centred *= _along_channels(scale if weight is None else scale * weight, ndim)
    return centred, weight_gradient, bias_gradient


def _pull_batch_norm(grads, input, weight, result1, result2, eps):
    channels = (input.shape[1],)
    kind = input.dtype
    found = _batch_norm_gradient(
        grads[0], input, weight, result1, result2, eps=eps,
        shape=(tuple(input.shape), channels, channels), dtype=(kind, kind, kind),
    )  # fmt: skip
    return (*found, None, None, None)


def _composite_batch_norm(input, weight, bias, eps):
    dims = (0, *range(2, input.ndim))
    centred = input - input.mean(dims, keepdim=True)
    result = centred * ((centred * centred).mean(dims, keepdim=True) + eps).rsqrt()
    return result * _along_channels(weight, input.ndim) + _along_channels(bias, input.ndim)


def _derivative_of_gradient(composite, size, grads, output_gradient, input, weight):
    """The rule of a normalisation's gradient node, from the normalisation as a composite.

    `composite` takes the input, and weight and bias of `size` elements.
    """

    def first(output_gradient, input, weight):
        scale = input.new_ones(size) if weight is None else weight.reshape(-1)
        return pullback(composite, (input, scale, input.new_zeros(size)), (output_gradient,))

    return pullback(first, (output_gradient, input, weight), grads)


gradient(_batch_norm, joint=_pull_batch_norm)
gradient(
    _batch_norm_gradient,
    joint=lambda grads, output_gradient, input, weight, eps: (
        *_derivative_of_gradient(
            lambda *tensors: _composite_batch_norm(*tensors, eps), input.shape[1], grads,
            output_gradient, input, weight),
        None, None),
)  # fmt: skip


@primitive("batch_norm_inference", backward_name="NativeBatchNormBackward0")
def _batch_norm_inference(input, weight, bias, running_mean, running_var, *, eps):
    scale = 1 / np.sqrt(running_var + np.asarray(eps, running_var.dtype))
    if weight is not None:
        scale = scale * weight
    result = input - _along_channels(running_mean, input.ndim)
    result *= _along_channels(scale, input.ndim)
    if bias is not None:
        result += _along_channels(bias, input.ndim)
    return result


def _composite_inference(input, weight, bias, mean, variance, eps):
    result = input - _along_channels(mean, input.ndim)
    result = result * _along_channels((variance + eps).rsqrt(), input.ndim)
    if weight is not None:
        result = result * _along_channels(weight, input.ndim)
    return result if bias is None else result + _along_channels(bias, input.ndim)


gradient(
    _batch_norm_inference,
    joint=lambda grad, input, weight, bias, running_mean, running_var, eps: pullback(
        lambda *tensors: _composite_inference(*tensors, eps),
        (input, weight, bias, running_mean, running_var),
        (grad,),
    ),
)


def check_kinds(kernel, input, *parameters):
    """Refuses an input that is no floating-point one, and parameters of another dtype than its
    own; float32 ones go with 16-bit inputs.
    """
    halves = dtypes.float16, dtypes.bfloat16
    for parameter in parameters:
        if parameter is None or parameter.dtype is input.dtype:
            continue
        if parameter.dtype is dtypes.float32 and input.dtype.is_floating_point | (
            kernel == "LayerNormKernelImpl"
        ):
            if input.dtype in halves:
                continue
            raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")
        if input.dtype.is_floating_point:
            raise RuntimeError(
                "mixed dtype (CPU): expect parameter to have scalar type of "
                f"{'Float' if input.dtype in halves else input.dtype.letter}"
            )
    floating_only(kernel, input)


def _check_channels(name, tensor, channels):
    if tensor is not None and tensor.numel() != channels:
        raise RuntimeError(f"{name} should contain {channels} elements not {tensor.numel()}")


@operator(method=False, out=False, namespace="nn.functional")
def batch_norm(
    input, running_mean, running_var, weight=None, bias=None, training=False, momentum=0.1,
    eps=1e-05,
):  # fmt: skip
    """`(x - mean) / sqrt(variance + eps) · weight + bias` for each channel (arXiv:1502.03167).

    Args:
        input: (batch, channels, *).
        running_mean, running_var: the statistics to use; when training, those of the batch are used
            and these become `(1 - momentum) · old + momentum · new` in place.
        weight, bias: (channels), or None.
    """
    if training:
        if input.shape[0] * math.prod(input.shape[2:]) == 1:
            raise ValueError(
                "Expected more than 1 value per channel when training, got input size "
                f"{input.shape}"
            )
    return _record_batch_norm(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )[0]


def _record_batch_norm(input, running_mean, running_var, weight, bias, training, momentum, eps):
    """The result, and the mean and the variance of each channel if training."""
    floating_only("batch_norm", input)
    if input.numel() == 0:
        result = input if weight is None else input * weight[0]
        return (result.clone() if bias is None else result + bias[0]), None, None
    channels = input.shape[1]
    if not training:
        for name, tensor in (("running_mean", running_mean), ("running_var", running_var)):
            if tensor is None:
                raise RuntimeError(f"{name} must be defined in evaluation mode")
    _check_channels("running_mean", running_mean, channels)
    _check_channels("running_var", running_var, channels)
    _check_channels("weight", weight, channels)
    _check_channels("bias", bias, channels)
    check_kinds("batch_norm", input, weight, bias, running_mean, running_var)
    eps = float(eps)
    if not training:
        result = _batch_norm_inference(input, weight, bias, running_mean, running_var, eps=eps)
        return result, None, None
    statistics = running_mean, running_var
    kind, sizes = input.dtype, [(0,) if old is None else (channels,) for old in statistics]
    result, mean, variance, *updated = _batch_norm(
        input, weight, bias, *statistics, scalar(momentum, kind), eps=eps,
        shape=(tuple(input.shape), (channels,), (channels,), *sizes),
        dtype=(kind, kind, kind, *(kind if old is None else old.dtype for old in statistics)),
    )  # fmt: skip
    with no_grad():
        for old, new in zip(statistics, updated, strict=True):
            if old is not None:
                check_writable(old)
                store(old, new)
    return result, mean, variance


@operator(method=False, out=False)
def native_batch_norm(input, weight, bias, running_mean, running_var, training, momentum, eps):
    """`batch_norm`, and the mean and the inverse deviation of each channel (nothing if not
    training)."""
    result, mean, variance = _record_batch_norm(
        input, running_mean, running_var, weight, bias, training, momentum, eps
    )
    if mean is None:
        none = Tensor._zeros((0,), input.dtype)
        return result, none, none
    return result, mean.detach(), (variance.detach() + eps).rsqrt()


@operator(method=False, out=False, namespace="nn.functional")
def instance_norm(
    input, running_mean=None, running_var=None, weight=None, bias=None, use_input_stats=True,
    momentum=0.1, eps=1e-05,
):  # fmt: skip
    """Batch normalisation of each sample on its own (Ulyanov et al., arXiv:1607.08022).

    `use_input_stats=False` uses the running statistics, as `batch_norm` does in evaluation.
    """
    if not use_input_stats:
        return batch_norm(input, running_mean, running_var, weight, bias, False, momentum, eps)
    if math.prod(input.shape[2:]) == 1:
        raise ValueError(
            f"Expected more than 1 spatial element when training, got input size {input.shape}"
        )
    batch, channels = input.shape[:2]
    shape = tuple(input.shape)
    repeated = [
        None if t is None else t.repeat(batch) for t in (running_mean, running_var, weight, bias)
    ]
    result = batch_norm(
        input.reshape(1, batch * channels, *shape[2:]), *repeated, True, momentum, eps
    )
    with no_grad():
        for running, updated in zip((running_mean, running_var), repeated, strict=False):
            if running is not None:
                running.copy_(updated.reshape(batch, channels).mean(0))
    return result.reshape(shape)


# Layer and group normalisation: rows of a matrix, (rows, elements of a row)


def _normalise_rows(rows, eps):
    """The normalised rows, their means and the factors that they were scaled by."""
    mean, centred, variance = _centre(rows, 1)
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
        *_derivative_of_gradient(
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
        result *= _along_channels(weight, input.ndim)
    if bias is not None:
        result += _along_channels(bias, input.ndim)
    return result, mean.ravel(), scale.ravel()


@primitive("group_norm_gradient")
def _group_norm_gradient(output_gradient, input, weight, mean, scale, *, groups, eps):
    scale = scale[:, None]
    rows = input.reshape(len(scale), math.prod(input.shape[1:]) // groups)
    normalised = (rows - mean[:, None]) * scale
    weight_gradient = _channel_sums(output_gradient * normalised.reshape(input.shape))
    bias_gradient = _channel_sums(output_gradient)
    if weight is not None:
        output_gradient = output_gradient * _along_channels(weight, input.ndim)
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
    scale, shift = (_along_channels(vector, input.ndim) for vector in (weight, bias))
    return result.reshape(input.shape) * scale + shift


gradient(_group_norm, joint=_pull_group_norm)
gradient(
    _group_norm_gradient,
    joint=lambda grads, output_gradient, input, weight, groups, eps: (
        *_derivative_of_gradient(
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
    joint=lambda grads, output_gradient, input, weight, elements, eps: _derivative_of_gradient(
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
