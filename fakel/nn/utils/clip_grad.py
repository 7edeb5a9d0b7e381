"""Limiting the size of gradients."""

import types
import warnings

from fakel import ops
from fakel.autograd import no_grad
from fakel.ops.reduction import vector_norm
from fakel.tensor import Tensor

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "get_total_norm",
]


@no_grad()
def get_total_norm(tensors, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The norm of all tensors together, as if they were one vector.

    Args:
        tensors: a tensor or an iterable of tensors.
        norm_type: the order of the norm.
        error_if_nonfinite: raise if the norm is nan or infinite.
        foreach: which of PyTorch's implementations to use; there is only one here.
    """
    tensors = _as_list(tensors)
    norm_type = float(norm_type)
    if not tensors:
        return ops.tensor(0.0)
    norms = [vector_norm(tensor, norm_type) for tensor in tensors]
    total = vector_norm(ops.stack(norms), norm_type)
    if error_if_nonfinite and not bool(ops.isfinite(total)):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from "
            "`parameters` is non-finite, so it cannot be clipped. To disable "
            "this error and scale the gradients by the non-finite norm anyway, "
            "set `error_if_nonfinite=False`"
        )
    return total


@no_grad()
def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    """Scale gradients by max_norm / total_norm where that is below one, in place."""
    grads = [each.grad for each in _as_list(parameters) if each.grad is not None]
    if not grads:
        return
    # The product by one where nothing is to be clipped keeps the program the same every step.
    factor = ops.clamp(float(max_norm) / (total_norm + 1e-6), max=1.0)
    for grad in grads:
        grad.mul_(factor)


@no_grad()
def clip_grad_norm_(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """Scale gradients so that their norm together is at most ``max_norm``, in place.

    Args:
        parameters: a tensor or an iterable of tensors that have gradients.
        max_norm: the largest norm.
        norm_type: the order of the norm.
        error_if_nonfinite: raise if the norm is nan or infinite.
        foreach: which of PyTorch's implementations to use; there is only one here.

    Returns:
        the norm before.
    """
    empty_generator = isinstance(parameters, types.GeneratorType)
    parameters = _as_list(parameters)
    if empty_generator and not parameters:
        warnings.warn(
            "`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=3
        )
    grads = [each.grad for each in parameters if each.grad is not None]
    total_norm = get_total_norm(grads, norm_type, error_if_nonfinite, foreach)
    clip_grads_with_norm_(parameters, max_norm, total_norm, foreach)
    return total_norm


def clip_grad_norm(parameters, max_norm, norm_type=2.0, error_if_nonfinite=False, foreach=None):
    """The old name of :func:`clip_grad_norm_`."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated "
        "in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(parameters, max_norm, norm_type, error_if_nonfinite, foreach)


@no_grad()
def clip_grad_value_(parameters, clip_value, foreach=None):
    """Clip every element of the gradients to [-clip_value, clip_value], in place."""
    clip_value = float(clip_value)
    for parameter in _as_list(parameters):
        if parameter.grad is not None:
            parameter.grad.clamp_(min=-clip_value, max=clip_value)


def _as_list(tensors):
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)
