"""Differences of neighbours: `diff`, numeric derivatives and integrals."""

from __future__ import annotations

from fakel import ops
from fakel.ops.declare import function, operator, wrap_dim, wrap_dims
from fakel.ops.reduced import numpy_names
from fakel.tensor import Tensor, dtypes


@operator()
@numpy_names
def diff(input, n=1, dim=-1, prepend=None, append=None):
    """The difference between neighbours along the dimension, taken n times.

    Args:
        prepend, append: tensors to put in front and behind first.
    """
    if not input.ndim:
        raise RuntimeError("diff expects input to be at least one-dimensional")
    if n < 0:
        raise RuntimeError(f"order must be non-negative but got {n}")
    dim = wrap_dim(dim, input.ndim)
    parts = [part for part in (prepend, input, append) if part is not None]
    result = ops.cat(parts, dim) if len(parts) > 1 else input
    if n == 0:
        return input.clone()
    for _ in range(min(n, result._shape[dim])):
        last = result._shape[dim] - 1
        after, before = result.narrow(dim, 1, last), result.narrow(dim, 0, last)
        result = after ^ before if result.dtype is dtypes.bool_ else after - before
    return result


# -------------------------------------------------------------------- numeric derivatives


@function
def gradient(input, *, spacing=None, dim=None, edge_order=1):
    """The derivative along each dimension, estimated from neighbours by a parabola through three.

    Args:
        spacing: the distance of the points: a number, one for each dimension, or a vector of
            coordinates for each.
        dim: the dimensions, all for None.
        edge_order: at the ends, the slope of a line through two points (1) or of a parabola (2).

    Returns:
        A tuple with one tensor for each dimension.
    """
    if edge_order not in (1, 2):
        raise RuntimeError("torch.gradient only supports edge_order=1 and edge_order=2.")
    dims = wrap_dims(dim, input.ndim)
    spacings = _spacings(spacing, dims, dim is None)
    for each in dims:
        if input._shape[each] < edge_order + 1:
            raise RuntimeError(
                "torch.gradient expected each dimension size to be at least edge_order+1"
            )
    return tuple(
        _derivative(input, each, distance, edge_order)
        for each, distance in zip(dims, spacings, strict=True)
    )


def _spacings(spacing, dims, all_dims):
    if spacing is None or not isinstance(spacing, (tuple, list)):
        return [1.0 if spacing is None else spacing] * len(dims)
    if len(spacing) != len(dims):
        why = "not" if all_dims else ""
        length = "self.dim()" if all_dims else "the number of dims"
        raise RuntimeError(
            "torch.gradient expected spacing to be unspecified, a scalar, or a list of length "
            f"equal to '{length} = {len(dims)}', since dim argument was "
            f"{why + ' ' if why else ''}given, but got a list of length {len(spacing)}"
        )
    return spacing


def _derivative(input, dim, spacing, edge_order):
    length = input._shape[dim]

    def part(start, size):
        return input.narrow(dim, start, size)

    if isinstance(spacing, Tensor):
        steps = spacing.diff().reshape([-1 if each == dim else 1 for each in range(input.ndim)])
    else:
        steps = ops.full([length - 1 if each == dim else 1 for each in range(input.ndim)], spacing)
        steps = steps.to(dtypes.float64) if input.dtype is dtypes.float64 else steps
    slopes = (part(1, length - 1) - part(0, length - 1)) / steps
    left, right = slopes.narrow(dim, 0, 1), slopes.narrow(dim, length - 2, 1)
    if length == 2:
        return ops.cat((left, right), dim)
    before, behind = steps.narrow(dim, 0, length - 2), steps.narrow(dim, 1, length - 2)
    first, second = slopes.narrow(dim, 0, length - 2), slopes.narrow(dim, 1, length - 2)
    # the slopes of the two sides, each weighted by the other side's step
    inner = (first * behind + second * before) / (before + behind)
    if edge_order == 2:
        # along the same parabola, the slopes at an end and in the middle average to the side's
        left = 2 * left - inner.narrow(dim, 0, 1)
        right = 2 * right - inner.narrow(dim, length - 3, 1)
    return ops.cat((left, inner, right), dim)


# -------------------------------------------------------------------- the trapezoidal rule


def _trapezoids(y, x, dx, dim):
    """The areas between neighbours: half the sum of the sides times the width."""
    dim = wrap_dim(dim, y.ndim)
    last = y._shape[dim] - 1
    sides = y.narrow(dim, 0, last) + y.narrow(dim, 1, last)
    if x is None:
        return sides * dx / 2
    if x.ndim == 1 and y.ndim > 1:
        if x._shape[0] != y._shape[dim]:
            raise RuntimeError(
                f"trapezoid: There must be one `x` value for each sample point ({y._shape[dim]}, "
                f"{x._shape[0]})"
            )
        x = x.reshape([-1 if each == dim else 1 for each in range(y.ndim)])
    elif x.ndim < y.ndim:
        x = x.reshape([1] * (y.ndim - x.ndim) + list(x._shape))
    return sides * x.diff(dim=dim) / 2


@function(aliases=("trapz",))
def trapezoid(y, x=None, *, dx=1, dim=-1):
    """The integral of y along the dimension by the trapezoidal rule.

    Args:
        x: the sample points, of y's shape or along the dimension only.
        dx: the distance of the points, without x.
    """
    _check_points("trapezoid", y)
    if y._shape[dim] == 0:
        return y.sum(dim) * 1.0
    return _trapezoids(y, x, dx, dim).sum(dim)


@function
def cumulative_trapezoid(y, x=None, *, dx=1, dim=-1):
    """The running integral of y along the dimension by the trapezoidal rule."""
    _check_points("cumulative_trapezoid", y)
    return _trapezoids(y, x, dx, dim).cumsum(dim)


def _check_points(name, y):
    if not isinstance(y, Tensor) or y.dtype is dtypes.bool_:
        raise RuntimeError(
            f"{name}: received a bool input for `x` or `y`, but bool is not supported"
        )
    wrap_dim(-1, y.ndim)
