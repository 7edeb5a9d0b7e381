"""Softmax and its relatives over one dimension: each is one node with its own gradient node."""

from __future__ import annotations

import numpy as np

from fakel import ops
from fakel.ops.declare import FUNCTIONS, gradient, operator, primitive, wrap_dim
from fakel.ops.reduction import accumulated_sum


def _exponentials(input, dim):
    """`exp(x - max)` and its sum, and `x - max`."""
    shifted = input - input.max(dim, keepdims=True)
    powers = np.exp(shifted)
    return powers, accumulated_sum(powers, (dim,), True).astype(powers.dtype), shifted


@primitive("softmax")
def _softmax(input, *, dim):
    if input.size == 0:
        return input.copy()
    powers, total, _ = _exponentials(input, dim)
    powers /= total
    return powers


@primitive("softmax_gradient")
def _softmax_gradient(output_gradient, softened, *, dim):
    weighted = output_gradient * softened
    return weighted - softened * accumulated_sum(weighted, (dim,), True).astype(weighted.dtype)


gradient(_softmax, input=lambda grad, result, dim: _softmax_gradient(grad, result, dim=dim))


def _through_softened(grad, output_gradient, softened, dim):
    inner = (output_gradient * softened).sum(dim, keepdim=True)
    return grad * (output_gradient - inner) - output_gradient * (grad * softened).sum(
        dim, keepdim=True
    )


gradient(
    _softmax_gradient,
    output_gradient=lambda grad, softened, dim: _softmax_gradient(grad, softened, dim=dim),
    softened=_through_softened,
)


@primitive("log_softmax")
def _log_softmax(input, *, dim):
    if input.size == 0:
        return input.copy()
    _, total, shifted = _exponentials(input, dim)
    return shifted - np.log(total)


@primitive("log_softmax_gradient")
def _log_softmax_gradient(output_gradient, logarithms, *, dim):
    total = accumulated_sum(output_gradient, (dim,), True).astype(output_gradient.dtype)
    return output_gradient - np.exp(logarithms) * total


gradient(_log_softmax, input=lambda grad, result, dim: _log_softmax_gradient(grad, result, dim=dim))
gradient(
    _log_softmax_gradient,
    output_gradient=lambda grad, logarithms, dim: (
        grad - (grad * logarithms.exp()).sum(dim, keepdim=True)
    ),
    logarithms=lambda grad, output_gradient, logarithms, dim: (
        -grad * logarithms.exp() * output_gradient.sum(dim, keepdim=True)
    ),
)


def _over_dimension(node, name, input, dim, dtype):
    if dtype is not None:
        input = input.to(dtype)
    dim = wrap_dim(dim, input.ndim)
    if not input.is_floating_point():
        last = "_lastdim" if dim >= input.ndim - 1 else ""
        raise NotImplementedError(
            f"\"{name}{last}_kernel_impl\" not implemented for '{input.dtype.letter}'"
        )
    if input.ndim == 0:
        return node(input.reshape(1), dim=0).reshape(())
    return node(input, dim=dim)


@operator()
def softmax(input, dim, dtype=None):
    """`exp(x) / Σ exp(x)` over a dimension."""
    return _over_dimension(_softmax, "softmax", input, dim, dtype)


@operator()
def log_softmax(input, dim, dtype=None):
    """`log(softmax(x))` over a dimension, without loss of precision."""
    return _over_dimension(_log_softmax, "log_softmax", input, dim, dtype)


FUNCTIONS["special"].update(softmax=softmax, log_softmax=log_softmax)


@operator(method=False, out=False, namespace="nn.functional")
def gumbel_softmax(logits, tau=1, hard=False, eps=1e-10, dim=-1):
    """Samples from the Gumbel-softmax distribution (Jang et al., arXiv:1611.01144).

    Args:
        logits: unnormalised log probabilities.
        tau: the temperature.
        hard: gives one-hot samples whose gradient is that of the soft ones.
        eps: has no effect, as in PyTorch.
        dim: the dimension of the categories.
    """
    noise = -ops.empty(logits.shape, dtype=logits.dtype).exponential_().log()
    soft = softmax((logits + noise) / tau, dim)
    if not hard:
        return soft
    index = soft.argmax(dim, keepdim=True)
    return ops.zeros_like(logits).scatter_(dim, index, 1.0) - soft.detach() + soft
