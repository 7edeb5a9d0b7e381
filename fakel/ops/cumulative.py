"""Running sums and products."""

from __future__ import annotations

import numpy as np

from fakel import ops
from fakel.ops.declare import gradient, operator, primitive, wrap_dim
from fakel.ops.exponential import logaddexp_of
from fakel.ops.reduced import numpy_names
from fakel.tensor import dtypes


def _in_dtype(input, dtype):
    if dtype is not None:
        return input.to(dtype)
    if input.is_floating_point() or input.is_complex():
        return input
    return input.to(dtypes.int64)


@primitive("cumsum")
def _cumsum(input, *, dim):
    if not input.ndim:
        return input.copy()
    wider = {"float32": np.float64, "complex64": np.complex128}.get(input.dtype.name)
    return np.cumsum(input, axis=dim, dtype=wider)


gradient(_cumsum, input=lambda grad, dim: _backwards(grad, dim, lambda g: g.cumsum(dim)))


def _backwards(tensor, dim, function):
    return function(tensor.flip(dim)).flip(dim) if tensor.ndim else tensor


@operator(inplace=True)
@numpy_names
def cumsum(input, dim, *, dtype=None):
    """The sum of the elements up to each position along the dimension; integers add up in int64."""
    input = _in_dtype(input, dtype)
    return _cumsum(input, dim=wrap_dim(dim, input.ndim))


@primitive("cumprod")
def _cumprod(input, *, dim):
    return np.cumprod(input, axis=dim) if input.ndim else input.copy()


@primitive("linear_recurrence")
def _recurrence(values, factors, *, dim):
    """y[0] = values[0], y[i] = values[i] + factors[i] * y[i - 1]."""
    result = np.moveaxis(values, dim, 0).copy()
    scales = np.moveaxis(factors, dim, 0)
    for i in range(1, len(result)):
        result[i] += scales[i] * result[i - 1]
    return np.moveaxis(result, 0, dim)


def _reverse_recurrence(grad, factors, dim):
    """z[n - 1] = grad[n - 1], z[i] = grad[i] + factors[i + 1] * z[i + 1]."""
    mirrored = _recurrence(grad.flip(dim), factors.conj().flip(dim).roll(1, dim), dim=dim)
    return mirrored.flip(dim)


def _shifted(tensor, dim, first):
    """The tensor moved one position on, with ``first`` in front."""
    length = tensor._shape[dim]
    front = ops.full_like(tensor.narrow(dim, 0, 1), first)
    return ops.cat((front, tensor.narrow(dim, 0, length - 1)), dim)


gradient(
    _recurrence,
    values=lambda grad, factors, dim: _reverse_recurrence(grad, factors, dim),
    factors=lambda grad, factors, result, dim: (
        _reverse_recurrence(grad, factors, dim) * _shifted(result, dim, 0).conj()
    ),
)


def _cumprod_gradient(grad, input, dim):
    """No division, so that zeros are as good as other numbers."""
    if not input.ndim or not input._shape[dim]:
        return grad
    before = _shifted(input.cumprod(dim), dim, 1)
    return before.conj() * _reverse_recurrence(grad, input, dim)


gradient(_cumprod, input=_cumprod_gradient)


@operator(inplace=True)
@numpy_names
def cumprod(input, dim, *, dtype=None):
    """The product of the elements up to each position along the dimension."""
    input = _in_dtype(input, dtype)
    return _cumprod(input, dim=wrap_dim(dim, input.ndim))


@primitive("logcumsumexp")
def _logcumsumexp(input, *, dim):
    if not input.ndim:
        return input.copy()
    if input.dtype.kind != "c":
        return np.logaddexp.accumulate(input.astype(np.float64), axis=dim)
    # one after the other, so that the imaginary part keeps its turns
    result = np.moveaxis(input, dim, 0).copy()
    for i in range(1, len(result)):
        result[i] = logaddexp_of(result[i - 1], result[i])
    return np.moveaxis(result, 0, dim)


@primitive("logcumsumexp_gradient")
def _logcumsumexp_gradient(upstream, input, total, *, dim):
    """exp(input) * reversed running sum of upstream / exp(total), in logarithms, by sign."""
    summed = np.zeros_like(upstream)
    for sign in (1, -1):
        part = upstream * sign
        weights = np.log(np.where(part > 0, part, 0)) - total
        running = np.flip(_logcumsumexp.operator.meaning(np.flip(weights, dim), dim=dim), dim)
        summed += sign * np.exp(running.astype(input.dtype) + input)
    return summed


def _forward_weights(grad, input, total, dim):
    """exp(-total) * running sum of grad * exp(input), without overflow."""
    decay = (_shifted(total, dim, 0) - total).exp()
    return _recurrence(grad * (input - total).exp(), decay, dim=dim)


gradient(
    _logcumsumexp_gradient,
    upstream=_forward_weights,
    input=lambda grad, upstream, input, total, dim: (
        grad * _logcumsumexp_gradient(upstream, input, total, dim=dim)
    ),
    total=lambda grad, upstream, input, total, dim: (
        -upstream * _forward_weights(grad, input, total, dim)
    ),
)


def _through_logcumsumexp(grad, input, result, dim):
    if not input.numel() or not input.ndim:
        return grad
    if not grad.is_complex():
        return _logcumsumexp_gradient(grad, input, result, dim=dim)
    decay = (_shifted(result, dim, 0) - result).exp()
    return (input - result).exp().conj() * _reverse_recurrence(grad, decay, dim)


gradient(_logcumsumexp, input=_through_logcumsumexp)


@operator()
@numpy_names
def logcumsumexp(input, dim):
    """log(cumsum(exp(input))), without overflow."""
    if not (input.is_floating_point() or input.is_complex()):
        raise NotImplementedError(
            f"\"logcumsumexp_out_cpu\" not implemented for '{input.dtype.letter}'"
        )
    return _logcumsumexp(input, dim=wrap_dim(dim, input.ndim))
