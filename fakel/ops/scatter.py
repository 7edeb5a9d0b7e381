"""Elements picked and placed along a dimension by an index each: ``gather``, ``scatter``."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakel import ops
from fakel.autograd.tape import Backward, attach, retitled
from fakel.ops.checks import COMPLEX, check_fits, check_known, refuse
from fakel.ops.declare import (
    gradient,
    operator,
    primitive,
    scalar,
    wrap_dim,
)
from fakel.tensor import Tensor, dtypes


def out_of_bounds(
    index: np.ndarray,
    size: int,
    dim: int,
    error: type[Exception] = RuntimeError,
    name: str = "",
    least: int = 0,
) -> None:
    """Raises for an index below `least` or not below `size`; the message names the dimension."""
    if index.size:
        lowest, highest = int(index.min()), int(index.max())
        if lowest < least or highest >= size:
            wrong = lowest if lowest < least else highest
            raise error(
                f"{name}index {wrong} is out of bounds for dimension {dim} with size {size}"
            )


def _check_now(index: Tensor, size: int, dim: int) -> None:
    check_known(index, lambda array: out_of_bounds(array, size, dim))


def _at(index: np.ndarray, dim: int) -> tuple[np.ndarray, ...]:
    """The NumPy index that replaces each position's coordinate in ``dim`` by the given one."""
    grid = list(np.ogrid[tuple(slice(size) for size in index.shape)])
    if not grid:
        return (index,)
    grid[dim] = index
    return tuple(grid)


def _prepared(name: str, input: Tensor, dim: int, index: Tensor) -> int:
    if not isinstance(index, Tensor):
        raise TypeError(f"{name}(): argument 'index' must be Tensor, not {type(index).__name__}")
    if index.numel() and index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32/int64 for index")
    dim = wrap_dim(dim, input.ndim)
    if index.numel() and max(index.ndim, 1) != max(input.ndim, 1):
        kind = "input" if name == "gather" else "self"
        raise RuntimeError(
            "Index tensor must have the same number of dimensions as input tensor"
            if name == "gather"
            else f"Index tensor must have the same number of dimensions as {kind} tensor"
        )
    return dim


# -------------------------------------------------------------------- gather and scatter


@primitive("gather")
def _gather(input, index, *, dim):
    if not index.size:
        return np.empty(index.shape, input.dtype)
    whole, index = np.atleast_1d(input), index.astype(np.int64)
    positions = np.atleast_1d(index)
    out_of_bounds(positions, whole.shape[dim], dim)
    return whole[_at(positions, dim)].reshape(index.shape)


@operator()
def gather(input: Tensor, dim: int, index: Tensor, *, sparse_grad: bool = False) -> Tensor:
    """``out[i][j] = input[index[i][j]][j]`` (for ``dim`` 0).

    Args:
        index: of integers, with as many dimensions as ``input`` and no larger in the others.

    Raises:
        RuntimeError: for an index out of bounds or of the wrong shape.
    """
    dim = _prepared("gather", input, dim, index)
    if index.numel():
        for each, (size, limit) in enumerate(zip(index._shape, input._shape, strict=False)):
            if each != dim and size > limit:
                raise RuntimeError(
                    f"Size does not match at dimension {each} expected index {list(index._shape)} "
                    "to be no "
                    f"larger than self {list(input._shape)} apart from dimension {dim}"
                )
        _check_now(index, input._shape[dim] if input.ndim else 1, dim)
    return _gather(input, index, dim=dim, shape=index._shape)


gradient(
    _gather,
    input=lambda grad, input, index, dim: Tensor._zeros(input._shape, grad.dtype).scatter_add(
        dim, index, grad
    ),
)


@primitive("scatter")
def _scatter(input, index, src, *, dim):
    return _scattered(input, index, src, dim, None)


@primitive("scatter_add")
def _scatter_add(input, index, src, *, dim):
    add = np.logical_or if input.dtype == np.bool_ else np.add
    return _scattered(input, index, src, dim, add)


def _scattered(
    input: np.ndarray, index: np.ndarray, src: np.ndarray, dim: int, ufunc: Any
) -> np.ndarray:
    result = np.atleast_1d(input).copy()
    if index.size:
        positions = np.atleast_1d(index)
        out_of_bounds(positions, result.shape[dim], dim)
        values = np.atleast_1d(src)
        if src.ndim:
            values = values[tuple(slice(size) for size in positions.shape)]
        if ufunc is None:
            result[_at(positions, dim)] = values
        else:
            ufunc.at(result, _at(positions, dim), values)
    return result.reshape(input.shape)


def _cut(tensor: Tensor, shape: Any) -> Tensor:
    """The leading part of a tensor that an index of the given shape reaches."""
    for dim, size in enumerate(shape):
        if tensor._shape[dim] != size:
            tensor = tensor.narrow(dim, 0, size)
    return tensor


def _source_gradient(grad: Tensor, index: Tensor, src: Tensor, dim: int) -> Tensor:
    taken = grad.gather(dim, index)
    if not src.ndim and index.ndim:
        return taken.sum()
    padded = Tensor._zeros(src._shape, taken.dtype)
    if padded._shape == taken._shape:
        return taken
    _cut(padded, index._shape).copy_(taken)
    return padded


gradient(
    _scatter,
    input=lambda grad, index, dim: grad.scatter(dim, index, 0),
    src=lambda grad, index, src, dim: _source_gradient(grad, index, src, dim),
)
gradient(
    _scatter_add,
    input=lambda grad: grad,
    src=lambda grad, index, src, dim: _source_gradient(grad, index, src, dim),
)


def _checked_source(
    name: str, input: Tensor, dim: int, index: Tensor, src: Any
) -> tuple[int, Tensor]:
    dim = _prepared(name, input, dim, index)
    if isinstance(src, Tensor):
        if src.dtype is not input.dtype:
            raise RuntimeError("scatter(): Expected self.dtype to be equal to src.dtype")
        if index.numel():
            for each, size in enumerate(index._shape):
                if src.ndim and (
                    size > src._shape[each] or (each != dim and size > input._shape[each])
                ):
                    raise RuntimeError(
                        f"Expected index {list(index._shape)} to be no larger than self "
                        f"{list(input._shape)} "
                        f"apart from dimension {dim} and to be no larger size than src "
                        f"{list(src._shape)}"
                    )
    else:
        check_fits(src, input.dtype)
        src = scalar(src, input.dtype)
    _check_now(index, input._shape[dim] if input.ndim else 1, dim)
    return dim, src


@operator(inplace=True)
def scatter(
    input: Tensor,
    dim: int,
    index: Tensor,
    src: Any = None,
    *,
    value: Any = None,
    reduce: str | None = None,
) -> Tensor:
    """A copy with ``out[index[i][j]][j] = src[i][j]`` (for ``dim`` 0).

    Args:
        src: a tensor, or a number for all positions.
        reduce: "add" or "multiply" with what is there instead of replacing it.
    """
    source = value if src is None else src
    dim, tensor = _checked_source("scatter", input, dim, index, source)
    if reduce is not None:
        if reduce not in ("add", "multiply"):
            raise RuntimeError("reduce argument must be either add or multiply.")
        full = tensor.expand(index._shape) if not tensor.ndim else tensor
        return scatter_reduce_of(
            input, dim, index, full, "sum" if reduce == "add" else "prod", True
        )
    result = _scatter(input, index, tensor, dim=dim)
    return result if isinstance(source, Tensor) else retitled(result, "ScatterBackward1")


@operator(inplace=True)
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """A copy with ``out[index[i][j]][j] += src[i][j]`` (for ``dim`` 0)."""
    dim, src = _checked_source("scatter_add", input, dim, index, src)
    return _scatter_add(input, index, src, dim=dim)


_START = {"sum": 0, "mean": 0, "prod": 1}
_UFUNC = {
    "sum": np.add,
    "mean": np.add,
    "prod": np.multiply,
    "amax": np.maximum,
    "amin": np.minimum,
}


@primitive("scatter_reduce")
def _scatter_reduce(input, index, src, *, dim, reduce):
    return _scattered(input, index, src, dim, _UFUNC[reduce])


def _reduce_gradient(grad, input, index, src, result, dim, reduce):
    source = _cut(src, index._shape) if src.ndim else src
    if reduce == "prod":
        return _product_gradient(grad, input, index, source, result, dim)
    hit_input = (input == result).to(grad.dtype)
    hit_src = (source == result.gather(dim, index)).to(grad.dtype)
    count = hit_input.scatter_add(dim, index, hit_src)
    share = grad / count
    return hit_input * share, None, _grown(hit_src * share.gather(dim, index), src)


def _product_gradient(grad, input, index, source, result, dim):
    # the gradient of a factor that is zero is the product of the others
    unit_in = input.masked_fill(input == 0, 1)
    rest = _scatter_reduce(unit_in, index, source, dim=dim, reduce="prod")
    zero = source == 0
    counts = Tensor._zeros(input._shape, grad.dtype).scatter_add(dim, index, zero.to(grad.dtype))
    zeros = counts.gather(dim, index)
    alone = zero & (zeros == 1)
    others = _scatter_reduce(
        input, index, source.masked_fill(alone, 1), dim=dim, reduce="prod"
    ).gather(dim, index)
    quotient = result.gather(dim, index) / source.masked_fill(zero, 1)
    by_source = grad.gather(dim, index) * ops.where(alone, others, quotient)
    if by_source.requires_grad and (zeros > 1).any():
        undefined = _Undefined.titled("DelayedError")((by_source,))
        by_source = by_source.detach()
        attach(by_source, undefined)
    return grad * rest / unit_in, None, by_source


class _Undefined(Backward):
    def pullback(self, grads):
        raise RuntimeError(
            "scatter_reduce(): Double backward is unsupported for src when >1 zeros in src are "
            "scattered to the same position in self"
        )


def _grown(taken: Tensor, src: Tensor) -> Tensor:
    if taken._shape == src._shape:
        return taken
    padded = Tensor._zeros(src._shape, taken.dtype)
    _cut(padded, taken._shape).copy_(taken)
    return padded


gradient(_scatter_reduce, joint=_reduce_gradient)


def scatter_reduce_of(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool
) -> Tensor:
    """``scatter_reduce`` of arguments that were checked."""
    if not include_self and index.numel():
        limit = {"amax": -np.inf, "amin": np.inf}.get(reduce, _START.get(reduce, 0))
        if not input.is_floating_point() and reduce in ("amax", "amin"):
            info = np.iinfo(input.dtype.storage) if input.dtype is not dtypes.bool_ else None
            limit = (info.min if reduce == "amax" else info.max) if info else reduce == "amin"
        start = input.scatter(dim, index, limit)
    else:
        start = input
    if reduce in ("sum", "mean"):
        total = _scatter_add(start, index, src, dim=dim)
        if reduce == "sum":
            return total
        ones = Tensor._ones(index._shape, input.dtype)
        count = (
            Tensor._ones(input._shape, input.dtype)
            if include_self
            else Tensor._zeros(input._shape, input.dtype)
        )
        count = count.scatter_add(dim, index, ones)
        count = count.masked_fill(count == 0, 1)
        return (
            total / count
            if input.is_floating_point() or input.is_complex()
            else total.div(count, rounding_mode="floor")
        )
    return _scatter_reduce(start, index, src, dim=dim, reduce=reduce)


@operator(inplace=True)
def scatter_reduce(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, *, include_self: bool = True
) -> Tensor:
    """A copy in which what ``src`` sends to a position is combined there.

    Args:
        reduce: "sum", "prod", "mean", "amax" or "amin".
        include_self: whether what was there takes part.
    """
    if reduce not in _UFUNC:
        raise RuntimeError(
            "reduce argument must be either sum, prod, mean, amax or amin, got " + str(reduce)
        )
    dim, src = _checked_source("scatter_reduce", input, dim, index, src)
    if reduce in ("amax", "amin"):
        refuse(f"scatter_gather_tensor_cpu_reduce_{reduce}", input.dtype, COMPLEX)
    return scatter_reduce_of(input, dim, index, src, reduce, include_self)
