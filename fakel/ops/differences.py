"""Differences of neighbours, and integrals by the trapezoidal rule."""

from __future__ import annotations

from fakel import ops
from fakel.autograd.tape import retitled
from fakel.ops.declare import operator, wrap_dim
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


# -------------------------------------------------------------------- the trapezoidal rule


def _trapezoids(y, x, dx, dim):
    """The areas between neighbours: half the sum of the sides times the width."""
    dim = wrap_dim(dim, y.ndim)
    last = y._shape[dim] - 1
    sides = y.narrow(dim, 0, last) + y.narrow(dim, 1, last)
    if x is None:
        return sides * dx / 2
    if x.ndim == 1:
        if x._shape[0] != y._shape[dim]:
            raise RuntimeError("trapezoid: There must be one `x` value for each sample point")
        x = x.reshape([-1 if each == dim else 1 for each in range(y.ndim)])
    elif x.ndim < y.ndim:
        x = x.reshape([1] * (y.ndim - x.ndim) + list(x._shape))
    return sides * x.diff(dim=dim) / 2


@operator(method=False, out=False, aliases=("trapz",))
def trapezoid(y, x=None, *, dx=1, dim=-1):
    """The integral of y along the dimension by the trapezoidal rule.

    Args:
        x: the sample points, of y's shape or along the dimension only.
        dx: the distance of the points, without x.
    """
    _check_points("trapezoid", y)
    if y._shape[dim] == 0:
        return y.sum(dim) * 1.0
    title = "MulBackward1" if x is None else "DivBackward1"
    return retitled(_trapezoids(y, x, dx, dim).sum(dim), title)


@operator(method=False, out=False)
def cumulative_trapezoid(y, x=None, *, dx=1, dim=-1):
    """The running integral of y along the dimension by the trapezoidal rule."""
    _check_points("cumulative_trapezoid", y)
    title = "MulBackward1" if x is None else "DivBackward1"
    return retitled(_trapezoids(y, x, dx, dim).cumsum(dim), title)


def _check_points(name, y):
    if not isinstance(y, Tensor) or y.dtype is dtypes.bool_:
        raise RuntimeError(
            f"{name}: received a bool input for `x` or `y`, but bool is not supported"
        )
    wrap_dim(-1, y.ndim)
