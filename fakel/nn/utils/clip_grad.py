"""Limiting the size of gradients."""

import functools
import types
import warnings

from fakel import ops
from fakel.autograd import no_grad
from fakel.ops.reduction import vector_norm
from fakel.recall.calls import recalled
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
    return _total_norm(_as_list(tensors), float(norm_type), error_if_nonfinite)


def _total_norm(tensors, norm_type, error_if_nonfinite):
    if not tensors:
        return ops.tensor(0.0)
    total = _norm_together(norm_type, *tensors)
    if error_if_nonfinite and not bool(ops.isfinite(total)):
        raise RuntimeError(
            f"The total norm of order {norm_type} for gradients from "
            "`parameters` is non-finite, so it cannot be clipped. To disable "
            "this error and scale the gradients by the non-finite norm anyway, "
            "set `error_if_nonfinite=False`"
        )
    return total


@recalled
def _norm_together(norm_type, *tensors):
    norms = [vector_norm(tensor, norm_type) for tensor in tensors]
    return vector_norm(ops.stack(norms), norm_type)


@no_grad()
def clip_grads_with_norm_(parameters, max_norm, total_norm, foreach=None):
    """Scale gradients by max_norm / total_norm where that is below one, in place."""
    grads = _gradients(_as_list(parameters))
    max_norm = float(max_norm)
    if grads:
        _scale_to_norm(max_norm, total_norm, *grads)


@functools.partial(recalled, numbers=True, constants=True)
def _scale_to_norm(max_norm, total_norm, *grads):
    # The product by one where nothing is to be clipped keeps the program the same every step.
    factor = ops.clamp(max_norm / (total_norm + 1e-6), max=1.0)
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
    grads = _gradients(parameters)
    total_norm = _total_norm(grads, float(norm_type), error_if_nonfinite)
    if grads:
        _scale_to_norm(float(max_norm), total_norm, *grads)
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
    grads = _gradients(_as_list(parameters))
    if grads:
        _clamp_together(-float(clip_value), float(clip_value), *grads)


@functools.partial(recalled, numbers=True, constants=True)
def _clamp_together(smallest, largest, *grads):
    for grad in grads:
        grad.clamp_(min=smallest, max=largest)


def _gradients(parameters):
    grads = [each.grad for each in parameters]
    return [grad for grad in grads if grad is not None]


def _as_list(tensors):
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)
