"""Picking and placing along one dimension: ``gather``, ``scatter``, ``index_select``, masks."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakel import ops
from fakel.autograd.tape import Backward, attach, retitled
from fakel.ops.checks import BOOL, COMPLEX, check_fits, check_known, refuse
from fakel.ops.conversion import cast
from fakel.ops.declare import (
    as_tensor,
    broadcast_shapes,
    gradient,
    operator,
    primitive,
    scalar,
    wrap_dim,
)
from fakel.tensor import Tensor, dtypes


def _out_of_bounds(
    index: np.ndarray,
    size: int,
    dim: int,
    error: type[Exception] = RuntimeError,
    name: str = "",
    least: int = 0,
) -> None:
    if index.size:
        lowest, highest = int(index.min()), int(index.max())
        if lowest < least or highest >= size:
            wrong = lowest if lowest < least else highest
            raise error(
                f"{name}index {wrong} is out of bounds for dimension {dim} with size {size}"
            )


def _out_of_elements(index: np.ndarray, count: int) -> None:
    wrong = index[(index < -count) | (index >= count)]
    if wrong.size:
        raise IndexError(
            f"out of range: tried to access index {wrong[0]} on a tensor of {count} elements."
        )


def _check_now(index: Tensor, size: int, dim: int) -> None:
    check_known(index, lambda array: _out_of_bounds(array, size, dim))


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
    _out_of_bounds(positions, whole.shape[dim], dim)
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
        _out_of_bounds(positions, result.shape[dim], dim)
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
            raise RuntimeError(f"{name}(): Expected self.dtype to be equal to src.dtype")
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
        return _scatter_reduce_of(
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


def _scatter_reduce_of(
    input: Tensor, dim: int, index: Tensor, src: Tensor, reduce: str, include_self: bool
) -> Tensor:
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
    return _scatter_reduce_of(input, dim, index, src, reduce, include_self)


# -------------------------------------------------------------------- index_*


@primitive("index_select")
def _index_select(input, index, *, dim):
    whole = np.atleast_1d(input)
    _check_select(index, whole.shape[dim])
    return np.take(whole, np.atleast_1d(index), axis=dim).reshape(
        input.shape[:dim] + (index.size,) + input.shape[dim + 1 :] if input.ndim else ()
    )


def _check_select(index: np.ndarray, size: int) -> None:
    if index.size and (index.min() < 0 or index.max() >= size):
        raise IndexError("index out of range in self")


def _index_vector(name: str, index: Tensor) -> None:
    if index.ndim > 1:
        raise IndexError(f"{name}(): Index is supposed to be a vector")
    if index.dtype not in (dtypes.int64, dtypes.int32):
        raise RuntimeError(f"{name}(): Expected dtype int32 or int64 for index")


@operator()
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices at the given positions of a dimension.

    Raises:
        IndexError: for a position out of range.
    """
    _index_vector("index_select", index)
    dim = wrap_dim(dim, input.ndim)
    known = index._storage.node.value
    if known is not None:
        _check_select(known, input._shape[dim] if input.ndim else 1)
    shape = (*input._shape[:dim], index.numel(), *input._shape[dim + 1 :]) if input.ndim else ()
    return _index_select(input, index, dim=dim, shape=shape)


gradient(
    _index_select,
    input=lambda grad, input, index, dim: Tensor._zeros(input._shape, grad.dtype).index_add(
        dim, index, grad
    ),
)


@primitive("index_add")
def _index_add(input, index, source, *, dim):
    result = np.atleast_1d(input).copy()
    if input.ndim > 1:
        _out_of_bounds(index, result.shape[dim], dim)
    _check_select(index, result.shape[dim])
    place = (slice(None),) * dim + (np.atleast_1d(index),)
    values = np.atleast_1d(source)
    if result.dtype == np.bool_:
        np.logical_or.at(result, place, values)
    else:
        np.add.at(result, place, values)
    return result.reshape(input.shape)


gradient(
    _index_add,
    input=lambda grad: grad,
    source=lambda grad, index, source, dim: grad.index_select(dim, index).reshape(source._shape),
)


@primitive("index_copy")
def _index_copy(input, index, source, *, dim):
    result = np.atleast_1d(input).copy()
    _out_of_bounds(index, result.shape[dim], dim, IndexError, "index_copy_(): ")
    result[(slice(None),) * dim + (np.atleast_1d(index),)] = np.atleast_1d(source)
    return result.reshape(input.shape)


gradient(
    _index_copy,
    input=lambda grad, index, dim: grad.index_fill(dim, index, 0),
    source=lambda grad, index, source, dim: grad.index_select(dim, index).reshape(source._shape),
)


def _check_slices(name: str, input: Tensor, dim: int, index: Tensor, source: Tensor) -> int:
    _index_vector(name, index)
    dim = wrap_dim(dim, input.ndim)
    if source.dtype is not input.dtype:
        raise RuntimeError(
            f"{name}(): self ({input.dtype.letter}) and source ({source.dtype.letter}) must have "
            "the same "
            "scalar type"
        )
    if source.ndim and index.numel() != source._shape[dim]:
        raise IndexError(
            f"{name}(): Number of indices ({index.numel()}) should be equal to source.size(dim) "
            f"({source._shape[dim]}), for dim: {dim}"
        )
    return dim


@operator(inplace=True)
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: Any = 1) -> Tensor:
    """A copy with ``alpha`` times the slices of ``source`` added at positions of a dimension."""
    dim = _check_slices("index_add", input, dim, index, source)
    return _index_add(input, index, source if alpha == 1 else source * alpha, dim=dim)


@operator(inplace=True)
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy with the slices of ``source`` written at positions of a dimension."""
    dim = _check_slices("index_copy", input, dim, index, source)
    return _index_copy(input, index, source, dim=dim)


@operator(inplace=True, backward_name="IndexFillBackward0")
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Tensor:
    """A copy with a number written at positions of a dimension."""
    _index_vector("index_fill", index)
    dim = wrap_dim(dim, input.ndim)
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(
            "index_fill_ only supports a 0-dimensional value tensor, but got tensor with "
            f"{value.ndim} dimension(s)."
        )
    size = input._shape[dim] if input.ndim else 1
    check_known(index, lambda array: _out_of_bounds(array, size, dim, IndexError, least=-size))
    check_fits(value, input.dtype)
    index = _positive(index, input, dim)
    if isinstance(value, Tensor) and value.requires_grad:
        # what is written twice counts once in the number's gradient
        filled = Tensor._zeros(input._shape, dtypes.bool_).index_fill(dim, index, True)
        return ops.where(filled, as_tensor(value, input), input)
    shape = (*input._shape[:dim], index.numel(), *input._shape[dim + 1 :]) if input.ndim else ()
    return _index_copy(input, index, as_tensor(value, input).expand(shape), dim=dim)


def _positive(index: Tensor, input: Tensor, dim: int) -> Tensor:
    size = input._shape[dim] if input.ndim else 1
    return (index < 0).to(index.dtype) * size + index


@operator(inplace=True)
def index_reduce(
    input: Tensor,
    dim: int,
    index: Tensor,
    source: Tensor,
    reduce: str,
    *,
    include_self: bool = True,
) -> Tensor:
    """A copy in which slices of ``source`` are combined into positions of a dimension.

    Args:
        reduce: "prod", "mean", "amax" or "amin".
        include_self: whether what was there takes part.
    """
    if reduce not in ("prod", "mean", "amax", "amin"):
        raise RuntimeError(f"reduce argument must be either prod, mean, amax or amin, got {reduce}")
    refuse("index_func_", input.dtype, BOOL, COMPLEX)
    dim = _check_slices("index_reduce", input, dim, index, source)
    shape = [1] * input.ndim
    if input.ndim:
        shape[dim] = index.numel()
    spread = cast(index, dtypes.int64).view(shape).expand(source._shape)
    return _scatter_reduce_of(input, dim, spread, source, reduce, include_self)


# -------------------------------------------------------------------- flat positions


@operator(backward_name="TakeBackward0")
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at positions of the flattened tensor."""
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            f"take(): Expected a long tensor for index, but got {index.dtype.letter}"
        )
    count = input.numel()
    check_known(index, lambda array: _out_of_elements(array, count))
    return input.reshape(-1)[index.reshape(-1)].reshape(index._shape)


@operator(inplace=True, out=False, backward_name="PutBackward0")
def put(input: Tensor, index: Tensor, source: Tensor, accumulate: bool = False) -> Tensor:
    """A copy with ``source`` written (or added) at positions of the flattened tensor."""
    if index.dtype is not dtypes.int64:
        raise RuntimeError(
            f"put_(): Expected a long tensor for index, but got {index.dtype.letter}"
        )
    flat = input.reshape(-1).clone()
    return flat.index_put_((index.reshape(-1),), source.reshape(-1), accumulate).reshape(
        input._shape
    )


@operator()
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Tensor:
    """``gather`` whose operands broadcast in the other dimensions; flattened without ``dim``."""
    if dim is None:
        return input.reshape(-1).gather(0, indices.reshape(-1))
    if input.ndim != indices.ndim:
        raise RuntimeError(
            "torch.take_along_dim(): input and indices should have the same number of dimensions, "
            "but got "
            f"{input.ndim} dimensions for input, and {indices.ndim} dimensions for indices"
        )
    dim = wrap_dim(dim, input.ndim)
    one, two = list(input._shape), list(indices._shape)
    one[dim] = two[dim] = 1
    common = list(broadcast_shapes(one, two))
    sized = lambda size: (*common[:dim], size, *common[dim + 1 :])  # noqa: E731
    index = _positive(indices, input, dim).expand(sized(indices._shape[dim]))
    return input.expand(sized(input._shape[dim])).gather(dim, index)
