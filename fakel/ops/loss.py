"""Loss functions. Classification is one node, `nll_loss`, on top of `log_softmax`.

`reduction` is "none" (a loss for each element), "mean" or "sum". The older `size_average` and
`reduce` arguments are understood, with PyTorch's warning.
"""

from __future__ import annotations

import math
import warnings

import numpy as np

from fakel import ops
from fakel.autograd.modes import state
from fakel.autograd.tape import retitled
from fakel.ops.activation import logsigmoid
from fakel.ops.checks import NOT_FLOATING, check_known, floating_only, refuse
from fakel.ops.declare import gradient, operator, primitive
from fakel.ops.primitive import shown_as
from fakel.ops.softmax import log_softmax
from fakel.tensor import Tensor, can_cast, dtypes, promote_types, result_type

# PyTorch limits the logarithms of binary cross entropy and the divisor of its gradient.
LOWEST_LOGARITHM = -100.0
SMALLEST_VARIANCE = 1e-12


def legacy_reduction(size_average, reduce, reduction):
    """The reduction that the older arguments mean, when one of them is given."""
    if size_average is None and reduce is None:
        return reduction
    size_average = True if size_average is None else size_average
    reduce = True if reduce is None else reduce
    chosen = "none" if not reduce else "mean" if size_average else "sum"
    warnings.warn(
        "size_average and reduce args will be deprecated, please use "
        f"reduction='{chosen}' instead.",
        stacklevel=3,
    )
    return chosen


def _check_reduction(reduction):
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not a valid value for reduction")


def reduced(loss, reduction):
    """The losses, their mean or their sum."""
    _check_reduction(reduction)
    if reduction == "none":
        return loss
    return loss.mean() if reduction == "mean" else loss.sum()


def _warn_about_sizes(input, target):
    if target.size() != input.size():
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}). This will likely lead to incorrect results due to broadcasting. "
            "Please ensure they have the same size.",
            stacklevel=3,
        )


def _weighted(loss, weight, input, reduction):
    """The reduction of weighted losses; their mean divides by the sum of the weights."""
    if weight is None:
        return reduced(loss, reduction)
    if weight.shape != input.shape:
        raise ValueError("Inputs and weight must have the same size.")
    total = reduced(loss * weight, "sum" if reduction == "mean" else reduction)
    return total / weight.sum() if reduction == "mean" else total


# Classes


def _check_classes(target, classes, ignore_index):
    """Which targets are ignored; refuses others that are no classes."""
    ignored = target == ignore_index
    wrong = ((target < 0) | (target >= classes)) & ~ignored
    if wrong.any():
        raise IndexError(f"Target {target[wrong][0]} is out of bounds.")
    return ignored


def _class_weights(input, target, weight, ignore_index):
    """Checked targets and the weight of each, and which are ignored: (batch, *)."""
    ignored = _check_classes(target, input.shape[1], ignore_index)
    target = np.where(ignored, 0, target)
    weights = np.ones(target.shape, input.dtype) if weight is None else weight[target]
    return target, np.where(ignored, np.zeros((), weights.dtype), weights), ignored


def _batched(input, target):
    """Input (batch, classes, *) and target (batch, *); there need be no batch."""
    return (input[None], target.reshape(1)) if input.ndim == 1 else (input, target)


@primitive("nll_loss")
def _nll_loss(input, target, weight, *, ignore_index, reduction):
    """Input (batch, classes, *) or (classes), target (batch, *), () or (1). Also the sum of the
    weights.
    """
    form = target.shape
    input, target = _batched(input, target)
    chosen, weights, ignored = _class_weights(input, target, weight, ignore_index)
    taken = np.take_along_axis(input, chosen[:, None], 1)[:, 0]
    losses = -np.where(ignored, np.zeros((), input.dtype), taken) * weights
    total = np.asarray(weights.sum(dtype=np.float64), input.dtype)
    if reduction == "none":
        return losses.reshape(form), total
    loss = losses.sum(dtype=np.float64)
    return np.asarray(loss / total if reduction == "mean" else loss, input.dtype), total


@primitive("nll_loss_gradient")
def _nll_loss_gradient(output_gradient, target, weight, total, *, size, ignore_index, reduction):
    result, target = _batched(np.zeros(size, output_gradient.dtype), target)
    chosen, weights, ignored = _class_weights(result, target, weight, ignore_index)
    if reduction == "mean":
        output_gradient = output_gradient / total
    values = np.where(ignored, np.zeros((), result.dtype), -output_gradient * weights)
    np.put_along_axis(result, chosen[:, None], values[:, None].astype(result.dtype), 1)
    return result.reshape(size)


def _gather_losses(grad, target, weight, total, ignore_index, reduction):
    """The transpose of `_nll_loss_gradient`."""
    if reduction == "none":
        return _record_nll(grad, target, weight, ignore_index, "none")[0]
    result = _record_nll(grad, target, weight, ignore_index, "sum")[0]
    return result / total if reduction == "mean" else result


def _record_nll(input, target, weight, ignore_index, reduction):
    shape = tuple(target.shape) if reduction == "none" else ()
    record = _nll_loss if input.ndim <= 2 else _nll_loss_2d
    return record(
        input, target, weight, ignore_index=ignore_index, reduction=reduction,
        shape=(shape, ()), dtype=(input.dtype, input.dtype),
    )  # fmt: skip


gradient(
    _nll_loss,
    input=lambda grads, input, target, weight, results, ignore_index, reduction: _nll_loss_gradient(
        grads[0], target, weight, results[1], size=tuple(input.shape), ignore_index=ignore_index,
        reduction=reduction, shape=tuple(input.shape), dtype=input.dtype),
)  # fmt: skip
gradient(_nll_loss_gradient, output_gradient=_gather_losses)
_nll_loss_2d = shown_as(_nll_loss, "NllLoss2DBackward0")


def _check_target(input, target, weight):
    """Refuses what PyTorch's negative log likelihood refuses."""
    if input.ndim < 1:
        raise ValueError("Expected 1 or more dimensions (got 0)")
    if input.ndim != 1 and (target.ndim == 0 or input.shape[0] != target.shape[0]):
        size = target.shape[0] if target.ndim else 1
        raise ValueError(
            f"Expected input batch_size ({input.shape[0]}) to match target batch_size ({size})."
        )
    if input.ndim <= 2:
        if target.ndim > 1:
            raise RuntimeError("0D or 1D target tensor expected, multi-target not supported")
        if input.ndim == 1 and target.ndim == 1 and target.shape[0] != 1:
            raise ValueError(
                f"For 1D input, 1D target must have size 1, but got target size: {target.shape[0]}"
            )
    elif input.ndim == 4:
        if target.ndim != 3:
            raise RuntimeError(
                "only batches of spatial targets supported (3D tensors) but got targets of "
                f"dimension: {target.ndim}"
            )
        if target.shape[1:] != input.shape[2:]:
            raise RuntimeError(
                f"size mismatch (got input: {list(input.shape)} , target: {list(target.shape)}"
            )
    elif tuple(target.shape) != (input.shape[0], *input.shape[2:]):
        raise RuntimeError(
            f"Expected target size {[input.shape[0], *input.shape[2:]]}, got {list(target.shape)}"
        )
    if target.dtype not in (dtypes.int64, dtypes.uint8):
        raise RuntimeError(
            f"expected target dtype to be Long or Byte, but got {target.dtype.letter}"
        )
    classes = input.shape[1] if input.ndim > 1 else input.shape[0]
    if weight is not None and (weight.ndim > 1 or weight.numel() != classes):
        if input.ndim > 2:
            raise RuntimeError("weight tensor should be defined either for all or no classes")
        raise RuntimeError(
            f"weight tensor should be defined either for all {classes} classes or no classes but "
            f"got weight tensor of shape: {list(weight.shape)}"
        )


@operator(method=False, out=False, namespace="nn.functional")
def nll_loss(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None, reduction="mean"
):
    """`-weight[target] · input[target]`: the negative log likelihood of log probabilities.

    Args:
        input: (batch, classes, *) or (classes).
        target: (batch, *) of classes.
        weight: (classes), or None; "mean" divides by the sum of the targets' weights.
        ignore_index: a target that does not count.
        size_average, reduce: older forms of `reduction`.
        reduction: "none", "mean" or "sum".
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction(reduction)
    _check_target(input, target, weight)
    floating_only("nll_loss2d_forward_out_frame" if input.ndim > 2 else "nll_loss_out_frame", input)
    if target.dtype != dtypes.int64:
        target = target.to(dtypes.int64)
    number = input.shape[1 if input.ndim > 1 else 0]
    if weight is not None and weight.dtype is not input.dtype:
        raise RuntimeError(
            f"expected scalar type {input.dtype.letter} but found {weight.dtype.letter}"
        )
    check_known(target, lambda values: _check_classes(values, number, ignore_index))
    shape, form = tuple(input.shape), tuple(target.shape)
    if input.ndim == 3 or input.ndim > 4:
        input = input.reshape(*shape[:2], 1, math.prod(shape[2:]))
        target = target.reshape(shape[0], 1, math.prod(shape[2:]))
    loss = _record_nll(input, target, weight, int(ignore_index), reduction)[0]
    return loss.reshape(form) if reduction == "none" and loss.ndim != len(form) else loss


def _smooth_cross_entropy(logarithms, target, weight, ignore_index, reduction, label_smoothing):
    """Cross entropy with the share `label_smoothing` of each target spread over all classes."""
    dim = 1 if logarithms.ndim > 1 else 0
    sharp = nll_loss(logarithms, target, weight, ignore_index=ignore_index, reduction=reduction)
    weighted = logarithms
    if weight is not None:
        weighted = logarithms * weight.reshape([-1, *[1] * (logarithms.ndim - 1 - dim)])
    ignored = target == ignore_index
    smooth = (-weighted.sum(dim)).masked_fill(ignored, 0.0)
    if reduction != "none":
        smooth = smooth.sum()
    if reduction == "mean":
        kept = ~ignored
        if weight is not None:
            safe = target.masked_fill(ignored, 0).reshape(-1)
            total = weight[safe].reshape(target.shape).masked_fill(ignored, 0.0).sum()
        else:
            total = kept.sum()
        smooth = smooth / total
    classes = logarithms.shape[dim]
    sharp = retitled(sharp * (1 - label_smoothing), "MulBackward1")
    return sharp + retitled(smooth * (label_smoothing / classes), "MulBackward1")


def _probability_cross_entropy(logarithms, target, weight, reduction, label_smoothing):
    dim = 1 if logarithms.ndim > 1 else 0
    classes = logarithms.shape[dim]
    if label_smoothing > 0:
        target = target * (1 - label_smoothing) + label_smoothing / classes
    products = logarithms * target
    if weight is not None:
        products = products * weight.reshape([-1, *[1] * (logarithms.ndim - 1 - dim)])
    if reduction == "none":
        return -products.sum(dim)
    total = -products.sum()
    if reduction == "sum":
        return total
    return retitled(total / (logarithms.numel() // classes), "DivBackward1")


@operator(method=False, out=False, namespace="nn.functional")
def cross_entropy(
    input, target, weight=None, size_average=None, ignore_index=-100, reduce=None,
    reduction="mean", label_smoothing=0.0,
):  # fmt: skip
    """`-log(softmax(input))[target]`.

    Args:
        input: (batch, classes, *) or (classes), unnormalised.
        target: (batch, *) of classes, or probabilities in the input's shape.
        weight: (classes), or None; "mean" divides by the sum of the targets' weights.
        ignore_index: a target class that does not count.
        size_average, reduce: older forms of `reduction`.
        reduction: "none", "mean" or "sum".
        label_smoothing: the share of each target that is spread over all classes.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction(reduction)
    if not 0.0 <= label_smoothing <= 1.0:
        raise RuntimeError(f"label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    probabilities = target.shape == input.shape
    if probabilities:
        if not target.is_floating_point():
            raise RuntimeError(
                "Expected floating point type for target with class probabilities, got "
                f"{target.dtype.letter}"
            )
        if ignore_index >= 0:
            raise RuntimeError("ignore_index is not supported for floating point target")
        if weight is not None and weight.numel() != input.shape[1 if input.ndim > 1 else 0]:
            raise RuntimeError(
                "cross_entropy: weight tensor should be defined either for all "
                f"{input.shape[1 if input.ndim > 1 else 0]} classes or no classes but got weight "
                f"tensor of shape: {list(weight.shape)}"
            )
    logarithms = log_softmax(input, 1 if input.ndim > 1 else 0)
    if probabilities:
        return _probability_cross_entropy(logarithms, target, weight, reduction, label_smoothing)
    if label_smoothing > 0:
        _check_target(logarithms, target, weight)
        return _smooth_cross_entropy(
            logarithms, target, weight, ignore_index, reduction, label_smoothing
        )
    return nll_loss(logarithms, target, weight, ignore_index=ignore_index, reduction=reduction)


# Binary targets


def _check_probabilities(name, values):
    if ((values < 0) | (values > 1)).any():
        raise RuntimeError(f"all elements of {name} should be between 0 and 1")


@primitive("binary_cross_entropy")
def _binary_cross_entropy(input, target):
    _check_probabilities("input", input)
    _check_probabilities("target", target)
    positive = np.maximum(np.log(input), LOWEST_LOGARITHM)
    negative = np.maximum(np.log1p(-input), LOWEST_LOGARITHM)
    return -(target * positive + (1 - target) * negative)


gradient(
    _binary_cross_entropy,
    input=lambda grad, input, target: (
        grad * (input - target) / ((1 - input) * input).clamp(min=SMALLEST_VARIANCE)
    ),
    target=lambda grad, input: grad * ((-input).log1p() - input.log()),
)


@operator(
    method=False, out=False, namespace="nn.functional", backward_name="BinaryCrossEntropyBackward0"
)
def binary_cross_entropy(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean"
):
    """`-(t · log(x) + (1 - t) · log(1 - x))` of probabilities x; logarithms are at least -100."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction(reduction)
    if target.size() != input.size():
        raise ValueError(
            f"Using a target size ({target.shape}) that is different to the input size "
            f"({input.shape}) is deprecated. Please ensure they have the same size."
        )
    if target.dtype != input.dtype:
        raise RuntimeError(f"Found dtype {target.dtype.letter} but expected {input.dtype.letter}")
    floating_only("binary_cross_entropy", input)
    if weight is not None:
        ops.broadcast_shapes(target.shape, weight.shape)
    check_known(input, lambda values: _check_probabilities("input", values))
    check_known(target, lambda values: _check_probabilities("target", values))
    loss = _binary_cross_entropy(input, target)
    return reduced(loss if weight is None else loss * weight, reduction)


@operator(
    method=False,
    out=False,
    namespace="nn.functional",
    backward_name="BinaryCrossEntropyWithLogitsBackward0",
)
def binary_cross_entropy_with_logits(
    input, target, weight=None, size_average=None, reduce=None, reduction="mean", pos_weight=None
):
    """Binary cross entropy of `sigmoid(input)`, computed without overflow.

    `pos_weight` multiplies the loss of the positive share of each target.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction(reduction)
    if target.size() != input.size():
        raise ValueError(
            f"Target size ({target.shape}) must be the same as input size ({input.shape})"
        )
    kind = result_type(input, target)
    if not can_cast(kind, target.dtype):
        raise RuntimeError(
            f"result type {kind.letter} can't be cast to the desired output type "
            f"{target.dtype.letter}"
        )
    logarithm = logsigmoid(input)
    if pos_weight is not None:
        logarithm = logarithm * ((pos_weight - 1) * target + 1)
    loss = (1 - target) * input - logarithm
    return reduced(loss if weight is None else loss * weight, reduction)


@operator(
    method=False, out=False, namespace="nn.functional", backward_name="SoftMarginLossBackward0"
)
def soft_margin_loss(input, target, size_average=None, reduce=None, reduction="mean"):
    """`log(1 + exp(-t · x))` for targets of -1 and 1."""
    if target.requires_grad and state.enabled:
        raise RuntimeError(
            "The function 'soft_margin_loss' is not differentiable with respect to argument "
            "'target'. This input cannot have requires_grad True."
        )
    reduction = legacy_reduction(size_average, reduce, reduction)
    kind = promote_types(input.dtype, target.dtype)
    if not (kind.is_floating_point or kind.is_complex):
        raise RuntimeError(
            f"result type Float can't be cast to the desired output type {kind.letter}"
        )
    return reduced((input * -target).exp().log1p(), reduction)


@operator(method=False, out=False, namespace="nn.functional")
def hinge_embedding_loss(
    input, target, margin=1.0, size_average=None, reduce=None, reduction="mean"
):
    """`x` where the target is 1, `max(0, margin - x)` where it is -1."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction(reduction)
    zero = ops.zeros((), dtype=input.dtype)
    if not input.is_floating_point():
        margin = int(margin)
    apart = ops.where(target != 1, (margin - input).clamp_min(0), zero)
    return reduced(apart + ops.where(target != -1, input, zero), reduction)


# Differences


@operator(method=False, out=False, namespace="nn.functional", backward_name="MseLossBackward0")
def mse_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """`(x - t)²`."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction(reduction)
    _warn_about_sizes(input, target)
    refuse("mse_cpu", promote_types(input.dtype, target.dtype), *NOT_FLOATING)
    difference = input - target
    return _weighted(difference * difference, weight, input, reduction)


@operator(method=False, out=False, namespace="nn.functional")
def l1_loss(input, target, size_average=None, reduce=None, reduction="mean", weight=None):
    """`|x - t|`."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction(reduction)
    _warn_about_sizes(input, target)
    return _weighted((input - target).abs(), weight, input, reduction)


@operator(method=False, out=False, namespace="nn.functional", backward_name="SmoothL1LossBackward0")
def smooth_l1_loss(input, target, size_average=None, reduce=None, reduction="mean", beta=1.0):
    """`(x - t)² / (2 · beta)` where the difference is below beta, else `|x - t| - beta / 2`."""
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction(reduction)
    _warn_about_sizes(input, target)
    if beta < 0:
        raise RuntimeError("smooth_l1_loss does not support negative values for beta.")
    refuse("smooth_l1_cpu", promote_types(input.dtype, target.dtype), *NOT_FLOATING)
    difference = (input - target).abs()
    if beta == 0:
        return reduced(difference, reduction)
    near = difference * difference * (0.5 / beta)
    return reduced(ops.where(difference < beta, near, difference - 0.5 * beta), reduction)


@operator(method=False, out=False, namespace="nn.functional", backward_name="HuberLossBackward0")
def huber_loss(input, target, reduction="mean", delta=1.0, weight=None):
    """`(x - t)² / 2` where the difference is below delta, else `delta · (|x - t| - delta / 2)`."""
    _check_reduction(reduction)
    _warn_about_sizes(input, target)
    if delta <= 0:
        raise RuntimeError("huber_loss does not support non-positive values for delta.")
    refuse("huber_cpu", promote_types(input.dtype, target.dtype), *NOT_FLOATING)
    difference = (input - target).abs()
    far = (difference - 0.5 * delta) * delta
    loss = ops.where(difference <= delta, difference * difference * 0.5, far)
    if weight is not None and weight.shape != input.shape:
        raise ValueError("Inputs and weight must have the same size.")
    return reduced(loss if weight is None else loss * weight, reduction)


# Distributions


@operator(method=False, out=False, namespace="nn.functional")
def kl_div(input, target, size_average=None, reduce=None, reduction="mean", log_target=False):
    """`t · (log(t) - x)` of log probabilities x: the Kullback-Leibler divergence's terms.

    `reduction="batchmean"` divides the sum by the batch size, which is the divergence itself;
    `log_target` says that the target is given as its logarithm.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    if reduction == "mean":
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math "
            "definition.'mean' will be changed to behave the same as 'batchmean' in the next "
            "major release.",
            stacklevel=2,
        )
    if not input.is_floating_point():
        kind = "Complex" if input.is_complex() else "Integral"
        raise RuntimeError(f"kl_div: {kind} inputs not supported.")
    loss = target.exp() * (target - input) if log_target else target.xlogy(target) - target * input
    if reduction == "batchmean":
        return loss.sum() / input.shape[0] if input.ndim else loss.sum()
    return reduced(loss, reduction)


@operator(method=False, out=False, namespace="nn.functional")
def poisson_nll_loss(
    input, target, log_input=True, full=False, size_average=None, eps=1e-8, reduce=None,
    reduction="mean",
):  # fmt: skip
    """`exp(x) - t · x`, or `x - t · log(x + eps)` without `log_input`.

    `full` adds Stirling's approximation of `log(t!)` for targets above 1.
    """
    reduction = legacy_reduction(size_average, reduce, reduction)
    _check_reduction(reduction)
    loss = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        loss = loss + stirling.masked_fill(target <= 1, 0)
    return reduced(loss, reduction)


def _differs_in_one_dimension(shape, broadcast):
    """Whether `broadcast` is `shape` but for one dimension, which has length 1."""
    different = [short for full, short in zip(shape, broadcast) if full != short]
    return len(shape) == len(broadcast) and different == [1]


@operator(method=False, out=False, namespace="nn.functional")
def gaussian_nll_loss(input, target, var, full=False, eps=1e-6, reduction="mean"):
    """`(log(var) + (x - t)² / var) / 2`, with variances of at least eps.

    `full` adds the constant `log(2π) / 2`.
    """
    if reduction not in ("none", "mean", "sum"):
        raise ValueError(f"{reduction} is not valid")
    if not isinstance(var, Tensor):
        if var < 0:
            raise ValueError("var has negative entry/entries")
        var = var * ops.ones_like(input)
    elif bool((var < 0).any()):
        raise ValueError("var has negative entry/entries")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif not _differs_in_one_dimension(input.shape, var.shape):
            raise ValueError("var is of incorrect size")
    _check_reduction(reduction)
    if not var.is_floating_point():
        name = {"short": "short int", "long": "long int"}.get(var.dtype.c_name, var.dtype.c_name)
        raise RuntimeError(f"result type Float can't be cast to the desired output type {name}")
    limited = var.detach().clamp(min=eps) - var.detach() + var
    difference = input - target
    loss = 0.5 * (limited.log() + difference * difference / limited)
    if full:
        loss = loss + 0.5 * math.log(2 * math.pi)
    return reduced(loss, reduction)
