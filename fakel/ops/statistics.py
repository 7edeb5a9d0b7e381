"""Variance and spread, medians, modes and quantiles, covariance."""

from __future__ import annotations

import warnings

import numpy as np

from fakel import ops
from fakel.ops import return_types, ties
from fakel.ops.checks import BOOL, COMPLEX, refuse
from fakel.ops.declare import gradient, operator, primitive, wrap_dim
from fakel.ops.extrema import pick, put_back, shared_evenly
from fakel.ops.primitive import shown_as
from fakel.ops.reduced import (
    check_not_empty,
    checked_dims,
    count,
    numpy_names,
    reduced_shape,
    spread,
)
from fakel.ops.reduction import accumulated_sum
from fakel.tensor import Tensor, dtypes

# -------------------------------------------------------------------- variance


@primitive("var")
def _var(input, *, dims, correction, keepdim, size):
    wide = {"float32": np.float64, "complex64": np.complex128}.get(input.dtype.name, input.dtype)
    number = count(size, dims)
    wide_input = input.astype(wide)
    centre = accumulated_sum(wide_input, dims, True) / np.float64(number)
    gap = wide_input - centre
    squares = accumulated_sum((gap * gap.conj()).real, dims, keepdim)
    return squares / np.float64(max(number - correction, 0))


def _var_gradient(grad, input, dims, correction, keepdim, size):
    degrees = max(count(size, dims) - correction, 0)
    centred = input - input.mean(dims, keepdim=True)
    # no degrees of freedom: infinity or nan, as the value
    factor = 2 / degrees if degrees else float("inf")
    return spread(grad, size, dims, keepdim) * centred * factor


gradient(_var, input=_var_gradient)


@primitive("std")
def _std(input, *, dims, correction, keepdim, size):
    return np.sqrt(
        _var.operator.meaning(input, dims=dims, correction=correction, keepdim=keepdim, size=size)
    )


def _std_gradient(grad, input, result, dims, correction, keepdim, size):
    half = (grad / (result * 2)).masked_fill(result == 0, 0)
    return _var_gradient(half, input, dims, correction, keepdim, size)


gradient(_std, input=_std_gradient)


def _spread_measure(node, name, input, dim, unbiased, keepdim, correction):
    """The variance or the standard deviation, in each of PyTorch's forms of calling it."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if not (input.is_floating_point() or input.is_complex()):
        which = name if name.endswith("_mean") else "std and var"
        raise RuntimeError(f"{which} only support floating point and complex dtypes")
    if correction is None:
        correction = 0 if unbiased is False else 1
    size = tuple(input._shape)
    dims = checked_dims(name, dim, len(size))
    if count(size, dims) - correction <= 0:
        warnings.warn(
            f"{name}(): degrees of freedom is <= 0. Correction should be strictly less than the "
            "reduction factor (input numel divided by output numel).",
            UserWarning,
            stacklevel=5,
        )
    keepdim = bool(keepdim)
    return node(
        input,
        dims=dims,
        correction=correction,
        keepdim=keepdim,
        size=size,
        shape=reduced_shape(size, dims, keepdim),
        dtype=input.dtype.to_real(),
    )


@operator()
@numpy_names
def var(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The variance over the dimensions, or of everything.

    Args:
        dim: an int, several, or None for all.
        unbiased: whether to divide by one less than the number of elements (the default).
        keepdim: whether the dimensions stay, with size 1.
        correction: how much less than the number of elements to divide by.
    """
    return _spread_measure(_var, "var", input, dim, unbiased, keepdim, correction)


@operator()
@numpy_names
def std(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """The standard deviation, the root of the variance. Arguments as for ``var``."""
    return _spread_measure(_std, "std", input, dim, unbiased, keepdim, correction)


def _with_mean(node, name, input, dim, unbiased, keepdim, correction):
    measure = _spread_measure(node, name, input, dim, unbiased, keepdim, correction)
    return measure, input.mean(None if isinstance(dim, bool) else dim, keepdim)


@operator(method=False, out=False, backward_name="VarMeanBackward0")
@numpy_names
def var_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """(variance, mean). Arguments as for ``var``."""
    return _with_mean(_var, "var_mean", input, dim, unbiased, keepdim, correction)


@operator(method=False, out=False, backward_name="StdMeanBackward0")
@numpy_names
def std_mean(input, dim=None, unbiased=None, keepdim=False, *, correction=None):
    """(standard deviation, mean). Arguments as for ``var``."""
    return _with_mean(_std, "std_mean", input, dim, unbiased, keepdim, correction)


# -------------------------------------------------------------------- medians and modes


def _ordered(array, dim):
    """Indices that sort, nan last."""
    return np.argsort(array, axis=dim, kind="stable")


@primitive("median", "MedianBackward1")
def _median(input, *, dim, keepdim, size, ignore_nan):
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64)
    length = input.shape[dim]
    order = _ordered(input, dim)
    rank = np.full(reduced_shape(input.shape, (dim,), True), (length - 1) // 2)
    if input.dtype.kind == "f":
        numbers = np.sum(~np.isnan(input), axis=dim, keepdims=True)
        # the first nan comes right behind the numbers
        rank = (
            np.maximum(numbers - 1, 0) // 2
            if ignore_nan
            else np.where(numbers < length, numbers, rank)
        )
    indices = np.take_along_axis(order, rank, dim)
    values = np.take_along_axis(input, indices, dim)
    if not keepdim:
        values, indices = values.squeeze(dim), indices.squeeze(dim)
    return values, indices


gradient(_median, input=put_back)
_nanmedian = shown_as(_median, "NanmedianBackward1")


@primitive("median_of_all", "MedianBackward0")
def _median_of_all(input, *, dims, keepdim, size, ignore_nan):
    flat = input.reshape(-1)
    return _median.operator.meaning(
        flat, dim=0, keepdim=False, size=flat.shape, ignore_nan=ignore_nan
    )[0]


gradient(_median_of_all, input=shared_evenly)
_nanmedian_of_all = shown_as(_median_of_all, "NanmedianBackward0")


def _middle(name, pack, input, dim, keepdim, ignore_nan):
    refuse("median_cpu", input.dtype, BOOL, COMPLEX)
    if dim is None:
        if not input.numel():
            value = float("nan") if input.is_floating_point() else 0
            return ops.full((), value, dtype=input.dtype)
        node = _nanmedian_of_all if ignore_nan else _median_of_all
        size = tuple(input._shape)
        dims = tuple(range(len(size)))
        return node(input, dims=dims, keepdim=False, size=size, ignore_nan=ignore_nan, shape=())
    dim = wrap_dim(dim, input.ndim)
    check_not_empty(f"{name}()", input._shape, (dim,))
    node = _nanmedian if ignore_nan else _median
    return pack(pick(node, input, dim, keepdim, ignore_nan=ignore_nan))


@operator()
@numpy_names
def median(input, dim=None, keepdim=False):
    """The (lower) median of everything, or (values, indices) over a dimension; nan where one is."""
    return _middle("median", return_types.median, input, dim, keepdim, False)


@operator()
@numpy_names
def nanmedian(input, dim=None, keepdim=False):
    """The (lower) median of what is not nan. Arguments as for ``median``."""
    return _middle("nanmedian", return_types.nanmedian, input, dim, keepdim, True)


@primitive("mode")
def _mode(input, *, dim, keepdim, size):
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64)
    lanes = np.moveaxis(input, dim, -1)
    order = np.moveaxis(_ordered(input, dim), dim, -1)
    ordered = np.take_along_axis(lanes, order, -1)
    starts = np.ones(ordered.shape, bool)
    starts[..., 1:] = ordered[..., 1:] != ordered[..., :-1]
    positions = np.arange(ordered.shape[-1])
    # how many of the same value there are up to each position
    runs = positions - np.maximum.accumulate(np.where(starts, positions, 0), axis=-1)
    best = np.argmax(runs, axis=-1, keepdims=True)
    indices = np.take_along_axis(order, best, -1)
    repeated = np.take_along_axis(runs, best, -1)[..., 0] > 0
    for position in np.unique(best[repeated]):
        tied = repeated & (best[..., 0] == position)
        ties.settle(indices, lanes, tied, ties.most_frequent(int(position)))
    indices = np.moveaxis(indices, -1, dim)
    values = np.take_along_axis(input, indices, dim)
    if not keepdim:
        values, indices = values.squeeze(dim), indices.squeeze(dim)
    return values, indices


gradient(_mode, input=put_back)


@operator()
@numpy_names
def mode(input, dim=-1, keepdim=False):
    """(values, indices) of the most frequent element over the dimension, the smallest on a tie."""
    refuse("mode_cpu", input.dtype, COMPLEX)
    dim = wrap_dim(dim, input.ndim)
    check_not_empty("mode()", input._shape, (dim,))
    return return_types.mode(pick(_mode, input, dim, keepdim))


# -------------------------------------------------------------------- quantiles

_INTERPOLATIONS = ("linear", "lower", "higher", "midpoint", "nearest")


def _quantile(name, input, q, dim, keepdim, interpolation, ignore_nan):
    if not isinstance(q, Tensor):
        if not 0 <= q <= 1:
            raise RuntimeError(f"{name}() q must be in the range [0, 1] but got {q:g}")
        q = ops.tensor(q, dtype=input.dtype)
    if input.dtype not in (dtypes.float32, dtypes.float64):
        raise RuntimeError("quantile() input tensor must be either float or double dtype")
    if q.ndim > 1:
        raise RuntimeError(f"{name}() q must be a scalar or 1D tensor")
    if q.dtype is not input.dtype:
        raise RuntimeError(f"{name}() q tensor must be same dtype as the input tensor")
    if interpolation not in _INTERPOLATIONS:
        raise RuntimeError(
            f"{name}() interpolation must be one of linear, lower, higher, midpoint or nearest, "
            f"but got {interpolation}"
        )
    if not input.numel():
        raise RuntimeError(f"{name}() input tensor must be non-empty")
    values = q._values()
    if not ((values >= 0) & (values <= 1)).all():
        raise RuntimeError(f"{name}() q values must be in the range [0, 1]")
    return _quantile_of_checked(input, q, dim, keepdim, interpolation, ignore_nan)


def _quantile_of_checked(input, q, dim, keepdim, interpolation, ignore_nan):
    ndim = input.ndim
    if dim is None:
        moved = input.reshape(-1)
        kept_shape = (1,) * ndim if keepdim else ()
    else:
        dim = wrap_dim(dim, ndim)
        moved = input.unsqueeze(-1).transpose(dim, -1) if ndim else input.reshape(1)
        moved = moved.squeeze(dim) if ndim else moved
        kept_shape = reduced_shape(input._shape, (dim,), keepdim)
    ordered = moved.sort(-1)[0]
    # rank of each quantile, (..., number of quantiles); of a lane with nan, the last, which is nan
    if ignore_nan:
        numbers = ordered.isnan().logical_not().sum(-1, keepdim=True)
        ranks = (q.reshape(-1) * (numbers - 1)).masked_fill(numbers == 0, 0)
    else:
        last = ordered._shape[-1] - 1
        ranks = (q.reshape(-1) * last).expand(*ordered._shape[:-1], -1)
        ranks = ops.where(ordered.isnan().any(-1, keepdim=True), float(last), ranks)
    if interpolation == "lower":
        ranks = ranks.floor()
    elif interpolation == "higher":
        ranks = ranks.ceil()
    elif interpolation == "nearest":
        ranks = ranks.round()
    below = ranks.long()
    result = ordered.gather(-1, below)
    if interpolation in ("linear", "midpoint"):
        weights = ranks - below if interpolation == "linear" else (ranks != below) * 0.5
        above = ordered.gather(-1, ranks.ceil().long())
        result = result.lerp(above, weights.to(input.dtype))
    if q.ndim:
        return result.movedim(-1, 0).reshape(q._shape[0], *kept_shape)
    return result.reshape(kept_shape)


@operator(backward_name="SqueezeBackward4")
@numpy_names
def quantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """The quantiles of everything, or over a dimension; nan where one is.

    Args:
        q: a number or a tensor of them between 0 and 1; several make a new first dimension.
        interpolation: between neighbours: "linear", "lower", "higher", "midpoint", "nearest".
    """
    return _quantile("quantile", input, q, dim, keepdim, interpolation, False)


@operator(backward_name="SqueezeBackward4")
@numpy_names
def nanquantile(input, q, dim=None, keepdim=False, *, interpolation="linear"):
    """The quantiles of what is not nan. Arguments as for ``quantile``."""
    return _quantile("nanquantile", input, q, dim, keepdim, interpolation, True)


# -------------------------------------------------------------------- covariance


@operator(out=False)
def cov(input, *, correction=1, fweights=None, aweights=None):
    """The covariance matrix of variables (rows) from observations (columns).

    Args:
        correction: how much less than the (weighted) number of observations to divide by.
        fweights: how often each observation occurs, integers.
        aweights: how much each observation counts.
    """
    if input.ndim > 2:
        raise RuntimeError(
            "cov(): expected input to have two or fewer dimensions but got an input with "
            f"{input.ndim} dimensions"
        )
    if input.dtype is dtypes.bool_:
        raise RuntimeError("cov(): bool dtype is not supported for input")
    rows = input.reshape(1, -1) if input.ndim < 2 else input
    observations = rows._shape[1]
    weights = _observation_weights(observations, fweights, aweights)
    if weights is None:
        total, centre = observations, rows.sum(1) / observations
    else:
        total = weights.sum()
        centre = (rows * weights).sum(1) / total
    if weights is None or correction == 0 or aweights is None:
        norm = total - correction
    else:
        squared = (weights * aweights).sum()
        norm = total - correction * squared / total
    norm = norm.clamp(min=0) if isinstance(norm, Tensor) else max(norm, 0)
    if observations and isinstance(norm, int | float) and norm <= 0:
        warnings.warn("cov(): degrees of freedom is <= 0", UserWarning, stacklevel=3)
    centred = rows - centre.unsqueeze(1)
    weighted = centred if weights is None else centred * weights
    result = weighted.mm(centred.t().conj()) / norm
    return result.squeeze()


def _observation_weights(observations, fweights, aweights):
    for name, weights in (("fweights", fweights), ("aweights", aweights)):
        if weights is None:
            continue
        if weights.ndim > 1:
            raise RuntimeError(
                f"cov(): expected {name} to have one or fewer dimensions but got {name} with "
                f"{weights.ndim} dimensions"
            )
        if weights.numel() != observations:
            raise RuntimeError(
                f"cov(): expected {name} to have the same numel as there are observations in the "
                f"input but got {weights.numel()} != {observations}"
            )
    if fweights is None:
        return aweights
    return fweights if aweights is None else fweights * aweights


@operator(out=False)
def corrcoef(input):
    """The matrix of Pearson's correlation coefficients between variables (rows)."""
    if input.ndim > 2:
        raise RuntimeError(
            "corrcoef(): expected input to have two or fewer dimensions but got an input with "
            f"{input.ndim} dimensions"
        )
    covariance = cov(input)
    if not covariance.ndim:
        return covariance / covariance
    deviations = (covariance.diag().real if covariance.is_complex() else covariance.diag()).sqrt()
    scaled = covariance / deviations.reshape(-1, 1) / deviations.reshape(1, -1)
    if scaled.is_complex():
        return ops.complex(scaled.real.clamp(-1, 1), scaled.imag.clamp(-1, 1))
    return scaled.clamp(-1, 1)
