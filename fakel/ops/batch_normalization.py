"""Batch and instance normalisation: over all but the channels.

Batch normalisation is a single node with a gradient node of its own.
"""

from __future__ import annotations

import math

import numpy as np

from fakel.autograd import no_grad
from fakel.ops.checks import floating_only
from fakel.ops.declare import gradient, operator, primitive, scalar
from fakel.ops.inplace import check_writable, store
from fakel.ops.normalized import (
    along_channels,
    centre,
    channel_sums,
    check_kinds,
    derivative_of_gradient,
)
from fakel.ops.pullback import pullback
from fakel.tensor import Tensor


@primitive("batch_norm", backward_name="NativeBatchNormBackward0")
def _batch_norm(input, weight, bias, running_mean, running_var, momentum, *, eps):
    """The result, the batch's mean and variance, and the next running ones (empty where None)."""
    count = input.size / input.shape[1]
    mean, centred, variance = centre(input, (0, *range(2, input.ndim)))
    mean, variance = mean.ravel(), variance.ravel()
    scale = 1 / np.sqrt(variance + np.asarray(eps, input.dtype))
    if weight is not None:
        scale = scale * weight
    centred *= along_channels(scale, input.ndim).astype(input.dtype)
    if bias is not None:
        centred += along_channels(bias, input.ndim)
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
    normalised = (input - along_channels(mean, ndim)) * along_channels(scale, ndim)
    bias_gradient = channel_sums(output_gradient)
    weight_gradient = channel_sums(output_gradient * normalised)
    normalised *= along_channels(weight_gradient / np.asarray(count, input.dtype), ndim)
    centred = output_gradient - along_channels(bias_gradient / np.asarray(count, input.dtype), ndim)
    centred -= normalised
    centred *= along_channels(scale if weight is None else scale * weight, ndim)
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
    return result * along_channels(weight, input.ndim) + along_channels(bias, input.ndim)


gradient(_batch_norm, joint=_pull_batch_norm)
gradient(
    _batch_norm_gradient,
    joint=lambda grads, output_gradient, input, weight, eps: (
        *derivative_of_gradient(
            lambda *tensors: _composite_batch_norm(*tensors, eps), input.shape[1], grads,
            output_gradient, input, weight),
        None, None),
)  # fmt: skip


@primitive("batch_norm_inference", backward_name="NativeBatchNormBackward0")
def _batch_norm_inference(input, weight, bias, running_mean, running_var, *, eps):
    scale = 1 / np.sqrt(running_var + np.asarray(eps, running_var.dtype))
    if weight is not None:
        scale = scale * weight
    result = input - along_channels(running_mean, input.ndim)
    result *= along_channels(scale, input.ndim)
    if bias is not None:
        result += along_channels(bias, input.ndim)
    return result


def _composite_inference(input, weight, bias, mean, variance, eps):
    result = input - along_channels(mean, input.ndim)
    result = result * along_channels((variance + eps).rsqrt(), input.ndim)
    if weight is not None:
        result = result * along_channels(weight, input.ndim)
    return result if bias is None else result + along_channels(bias, input.ndim)


gradient(
    _batch_norm_inference,
    joint=lambda grad, input, weight, bias, running_mean, running_var, eps: pullback(
        lambda *tensors: _composite_inference(*tensors, eps),
        (input, weight, bias, running_mean, running_var),
        (grad,),
    ),
)


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
