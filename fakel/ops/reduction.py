"""Sums, means, products, norms and logical reductions over dimensions."""

from __future__ import annotations

import math

import numpy as np

from fakel import ops
from fakel.ops.checks import check_tensor
from fakel.ops.declare import (
    FUNCTIONS,
    gradient,
    not_differentiable,
    operator,
    primitive,
    wrap_dim,
)
from fakel.ops.primitive import shown_as
from fakel.ops.reduced import checked_dims, count, numpy_names, reduced_shape, spread
from fakel.tensor import dtypes, get_default_dtype

# NumPy adds float32 numbers one after the other along all but the last dimension; sums of more
# terms than this are accumulated in float64.
_FEW_TERMS = 512


def accumulated_sum(array: np.ndarray, dims: tuple[int, ...], keepdim: bool) -> np.ndarray:
    """The sum, without losing precision to many terms."""
    wider = {"float32": np.float64, "complex64": np.complex128}.get(array.dtype.name)
    if wider is None or count(array.shape, dims) <= _FEW_TERMS:
        return np.add.reduce(array, axis=dims, keepdims=keepdim)
    return np.add.reduce(array, axis=dims, keepdims=keepdim, dtype=wider)


@primitive("sum")
def _sum(input, *, dims, keepdim, size):
    return accumulated_sum(input, dims, keepdim)


gradient(_sum, input=lambda grad, dims, keepdim, size: spread(grad, size, dims, keepdim))
_sum_over = shown_as(_sum, "SumBackward1")


def _in_dtype(input, dtype):
    """The tensor that a sum or product adds up: in the dtype asked for, else integers as int64."""
    if dtype is not None:
        return input.to(dtype)
    if input.is_floating_point() or input.is_complex():
        return input
    return input.to(dtypes.int64)


@operator()
@numpy_names
def sum(input, dim=None, keepdim=False, *, dtype=None):
    """The sum over the dimensions, or of everything; integers add up in int64.

    Args:
        dim: an int, several, or None for all.
        keepdim: whether the dimensions stay, with size 1.
        dtype: converts the elements before they are added.
    """
    check_tensor("sum", "input", 1, input)
    input = _in_dtype(input, dtype)
    size = tuple(input._shape)
    dims = checked_dims("sum", dim, len(size))
    keepdim = bool(keepdim)
    node = _sum if dim is None else _sum_over
    return node(
        input, dims=dims, keepdim=keepdim, size=size, shape=reduced_shape(size, dims, keepdim)
    )


@primitive("mean")
def _mean(input, *, dims, keepdim, size):
    return accumulated_sum(input, dims, keepdim) / np.array(count(size, dims), input.real.dtype)


gradient(
    _mean,
    input=lambda grad, dims, keepdim, size: spread(
        grad / max(count(size, dims), 1), size, dims, keepdim
    ),
)
_mean_over = shown_as(_mean, "MeanBackward1")


@operator()
@numpy_names
def mean(input, dim=None, keepdim=False, *, dtype=None):
    """The mean over the dimensions, or of everything. Arguments as for ``sum``.

    Raises:
        RuntimeError: for integers.
    """
    check_tensor("mean", "input", 1, input)
    input = input if dtype is None else input.to(dtype)
    if not (input.is_floating_point() or input.is_complex()):
        what = "Input dtype" if dtype is None else "Optional dtype"
        raise RuntimeError(
            f"mean(): could not infer output dtype. {what} must be either a floating point or "
            f"complex dtype. Got: {input.dtype.letter}"
        )
    size = tuple(input._shape)
    dims = checked_dims("mean", dim, len(size))
    keepdim = bool(keepdim)
    node = _mean if dim is None else _mean_over
    return node(
        input, dims=dims, keepdim=keepdim, size=size, shape=reduced_shape(size, dims, keepdim)
    )


@operator(backward_name="NansumBackward0")
@numpy_names
def nansum(input, dim=None, keepdim=False, *, dtype=None):
    """The sum with nan counted as 0. Arguments as for ``sum``."""
    if input.is_complex():
        raise RuntimeError("nansum on CPU does not support complex inputs")
    input = input if dtype is None else input.to(dtype)
    if input.is_floating_point():
        input = input.masked_fill(input.isnan(), 0)
    return sum(input, dim, keepdim)


@operator()
@numpy_names
def nanmean(input, dim=None, keepdim=False, *, dtype=None):
    """The mean of the elements that are not nan. Arguments as for ``mean``."""
    if not (input.is_floating_point() or input.is_complex()):
        raise RuntimeError(
            "nanmean(): expected input to have floating point or complex dtype but got "
            f"{input.dtype.letter}"
        )
    numbers = input.isnan().logical_not().sum(dim, keepdim)
    return nansum(input, dim, keepdim, dtype=dtype) / numbers


# -------------------------------------------------------------------- products


@primitive("prod")
def _prod(input, *, dim, keepdim, size):
    wider = np.float64 if input.dtype == np.float32 else None
    return np.multiply.reduce(input, axis=dim, keepdims=keepdim, dtype=wider)


def _prod_gradient(grad, input, dim, keepdim, size):
    """The product of all other elements, zeros or not: what is before times what is behind."""
    if not size:
        return grad
    if dim is None:
        flat = input.reshape(-1)
        return (grad * _others(flat, 0)).reshape(size)
    return spread(grad, size, (dim,), keepdim) * _others(input, dim)


def _others(input, dim):
    length = input._shape[dim]
    if length <= 1:
        return ops.ones_like(input)
    one = ops.ones_like(input.narrow(dim, 0, 1))
    before = ops.cat((one, input.narrow(dim, 0, length - 1).cumprod(dim)), dim)
    behind = ops.cat((one, input.narrow(dim, 1, length - 1).flip(dim).cumprod(dim)), dim).flip(dim)
    return (before * behind).conj()


gradient(_prod, input=_prod_gradient)
_prod_over = shown_as(_prod, "ProdBackward1")


@operator()
@numpy_names
def prod(input, dim=None, keepdim=False, *, dtype=None):
    """The product over a dimension, or of everything; integers multiply in int64."""
    input = _in_dtype(input, dtype)
    size = tuple(input._shape)
    if isinstance(dim, (tuple, list, float, str)):
        raise TypeError(
            f"prod() received an invalid combination of arguments - got ({type(dim).__name__}), "
            "but expected one of:\n * (*, torch.dtype dtype = None)\n * (int dim, bool keepdim = "
            "False, *, torch.dtype dtype = None)\n"
        )
    if dim is None or not size:
        if dim is not None:
            wrap_dim(dim, 0)
        return _prod(input, dim=None, keepdim=False, size=size, shape=())
    dim = wrap_dim(dim, len(size))
    keepdim = bool(keepdim)
    return _prod_over(
        input, dim=dim, keepdim=keepdim, size=size, shape=reduced_shape(size, (dim,), keepdim)
    )


# -------------------------------------------------------------------- logic and counting


@primitive("all")
def _all(input, *, dims, keepdim):
    return np.logical_and.reduce(input, axis=dims, keepdims=keepdim)


@primitive("any")
def _any(input, *, dims, keepdim):
    return np.logical_or.reduce(input, axis=dims, keepdims=keepdim)


@primitive("count_nonzero")
def _count_nonzero(input, *, dims):
    return np.add.reduce(input != 0, axis=dims, dtype=np.int64)


not_differentiable(_all, _any, _count_nonzero)


def _logical(node, name, input, dim, keepdim):
    size = tuple(input._shape)
    dims = checked_dims(name, dim, len(size))
    return node(
        input,
        dims=dims,
        keepdim=bool(keepdim),
        shape=reduced_shape(size, dims, keepdim),
        dtype=dtypes.uint8 if input.dtype is dtypes.uint8 else dtypes.bool_,
    )


@operator()
@numpy_names
def all(input, dim=None, keepdim=False):
    """Whether all elements over the dimensions, or all there are, are not 0."""
    return _logical(_all, "all", input, dim, keepdim)


@operator()
@numpy_names
def any(input, dim=None, keepdim=False):
    """Whether some element over the dimensions, or any there is, is not 0."""
    return _logical(_any, "any", input, dim, keepdim)


@operator(out=False)
@numpy_names
def count_nonzero(input, dim=None):
    """How many elements over the dimensions are not 0."""
    dims = checked_dims("count_nonzero", dim, input.ndim)
    shape = reduced_shape(input._shape, dims, False)
    return _count_nonzero(input, dims=dims, shape=shape, dtype=dtypes.int64)


# -------------------------------------------------------------------- logarithms of sums


@primitive("logsumexp")
def _logsumexp(input, *, dims, keepdim, size):
    if not count(size, dims):
        return np.full(reduced_shape(size, dims, keepdim), -np.inf, input.dtype)
    highest = np.max(input.real, axis=dims, keepdims=True)
    highest = np.where(np.isfinite(highest), highest, 0)
    total = accumulated_sum(np.exp(input - highest), dims, keepdim)
    return np.log(total) + highest.reshape(total.shape)


def _logsumexp_gradient(grad, input, result, dims, keepdim, size):
    share = (input - spread(result, size, dims, keepdim)).exp().conj()
    return spread(grad, size, dims, keepdim) * share


gradient(_logsumexp, input=_logsumexp_gradient)


@operator()
@numpy_names
def logsumexp(input, dim, keepdim=False):
    """log(sum(exp(input))) over the dimensions, without overflow."""
    if not (input.is_floating_point() or input.is_complex()):
        input = input.to(get_default_dtype())
    size = tuple(input._shape)
    dims = checked_dims("logsumexp", dim, len(size))
    keepdim = bool(keepdim)
    return _logsumexp(
        input, dims=dims, keepdim=keepdim, size=size, shape=reduced_shape(size, dims, keepdim)
    )


FUNCTIONS["special"]["logsumexp"] = logsumexp

# -------------------------------------------------------------------- norms


@primitive("vector_norm", "LinalgVectorNormBackward0")
def _vector_norm(input, *, p, dims, keepdim, size):
    lengths = np.abs(input)
    if p == math.inf:
        return np.max(lengths, axis=dims, keepdims=keepdim, initial=0 if 0 in size else None)
    if p == -math.inf:
        return np.min(lengths, axis=dims, keepdims=keepdim)
    if p == 0:
        return np.add.reduce(lengths != 0, axis=dims, keepdims=keepdim, dtype=lengths.dtype)
    if p == 1:
        return accumulated_sum(lengths, dims, keepdim)
    if p == 2:
        return np.sqrt(accumulated_sum(lengths * lengths, dims, keepdim))
    return accumulated_sum(lengths**p, dims, keepdim) ** (1 / p)


def _vector_norm_gradient(grad, input, result, p, dims, keepdim, size):
    """sgn(x) |x|^(p-1) / norm^(p-1); where the norm is not differentiable, 0 is a subgradient."""
    grad, result = spread(grad, size, dims, keepdim), spread(result, size, dims, keepdim)
    if p == 0:
        return input * 0
    if p == 1:
        return grad * input.sgn()
    if p == 2:
        return input * (grad / result).masked_fill(result == 0, 0)
    lengths = input.abs()
    if math.isinf(p):
        reached = (lengths == result).logical_or(lengths.isnan())
        ties = reached.sum(dims, keepdim=True)
        return input.sgn() * reached * (grad / ties)
    powers = lengths.pow(p - 1)
    if p < 2:
        powers = powers.masked_fill(input == 0, 0)
    scale = (grad / result.pow(p - 1)).masked_fill(result == 0, 0)
    return input.sgn() * powers * scale


gradient(_vector_norm, input=_vector_norm_gradient)


@operator(namespace="linalg", method=False)
def vector_norm(x, ord=2, dim=None, keepdim=False, *, dtype=None):
    """The p-norm (p = ord) over the dimensions: (sum |x|^p)^(1/p), and its limits for p = 0
    (how many are not 0), infinity (the largest) and minus infinity (the smallest).

    Raises:
        RuntimeError: for integers, and over no elements where there is no identity.
    """
    if dtype is not None:
        x = x.to(dtype)
    if not (x.is_floating_point() or x.is_complex()):
        raise RuntimeError(
            "linalg.vector_norm: Expected a floating point or complex tensor as input. Got "
            f"{x.dtype.letter}"
        )
    size = tuple(x._shape)
    dims = checked_dims("linalg.vector_norm", dim, len(size))
    p = float(ord)
    if not count(size, dims) and (p < 0 or p == math.inf):
        raise RuntimeError(
            f"linalg.vector_norm cannot compute the {p:g} norm on an empty tensor because the "
            "operation does not have an identity"
        )
    keepdim = bool(keepdim)
    return _vector_norm(
        x,
        p=p,
        dims=dims,
        keepdim=keepdim,
        size=size,
        shape=reduced_shape(size, dims, keepdim),
        dtype=x.dtype.to_real(),
    )


@operator()
def norm(input, p="fro", dim=None, keepdim=False, dtype=None):
    """The p-norm of the elements over the dimensions, or of everything.

    Args:
        p: a number (see ``linalg.vector_norm``), "fro" (as 2), or "nuc": the sum of the singular
            values of a matrix.
    """
    if isinstance(p, str) and p != "fro":
        if p != "nuc":
            raise RuntimeError(f"linalg.matrix_norm: Order {p} not supported.")
        return FUNCTIONS["linalg"]["matrix_norm"](
            input, "nuc", (-2, -1) if dim is None else dim, keepdim, dtype=dtype
        )
    return vector_norm(input, 2 if p == "fro" or p is None else p, dim, keepdim, dtype=dtype)


@operator(out=False, backward_name="DistBackward0")
def dist(input, other, p=2):
    """The p-norm of the difference."""
    difference = input - other
    if not (difference.is_floating_point() or difference.is_complex()):
        raise RuntimeError(
            "norm(): input dtype should be either floating point or complex. Got "
            f"{difference.dtype.letter} instead."
        )
    return norm(difference, p)


@operator(inplace=True, backward_name="RenormBackward0")
def renorm(input, p, dim, maxnorm):
    """Each slice along ``dim`` scaled down to a p-norm of at most ``maxnorm``."""
    dim = wrap_dim(dim, input.ndim)
    others = tuple(each for each in range(input.ndim) if each != dim)
    norms = vector_norm(input, p, others, keepdim=True)
    scale = ops.where(norms > maxnorm, maxnorm / (norms + 1e-7), 1.0)
    return input * scale.to(input.dtype)
