"""What reductions share: shapes, NumPy's argument names, spreading a gradient back."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from fakel.ops.declare import wrap_dims
from fakel.tensor import Tensor

_NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim", "x": "input"}


def numpy_names(function: Callable[..., Any]) -> Callable[..., Any]:
    """Lets ``axis=`` and ``keepdims=`` stand for ``dim=`` and ``keepdim=``, as PyTorch does."""

    @functools.wraps(function)
    def renamed(*args: Any, **kwargs: Any) -> Any:
        for old, new in _NUMPY_NAMES.items():
            if old in kwargs and new not in kwargs:
                kwargs[new] = kwargs.pop(old)
        return function(*args, **kwargs)

    return renamed


def reduced_shape(shape: Sequence[int], dims: Sequence[int], keepdim: bool) -> tuple[int, ...]:
    """The shape after reducing over the dimensions."""
    if keepdim:
        return tuple(1 if dim in dims else size for dim, size in enumerate(shape))
    return tuple(size for dim, size in enumerate(shape) if dim not in dims)


def spread(reduced: Tensor, size: Sequence[int], dims: Sequence[int], keepdim: bool) -> Tensor:
    """A reduction's result (or its gradient) as a view of the shape before the reduction."""
    if not keepdim and len(dims) < len(size):
        reduced = reduced.reshape(reduced_shape(size, dims, True))  # type: ignore[attr-defined]
    return reduced.expand(*size) if size else reduced  # type: ignore[attr-defined, no-any-return]


def count(size: Sequence[int], dims: Sequence[int]) -> int:
    """How many elements each result of a reduction is made from."""
    return math.prod(size[dim] for dim in dims)


def checked_dims(name: str, dim: Any, ndim: int) -> tuple[int, ...]:
    """The dimensions that a reduction's argument names, counted from the front.

    Raises:
        TypeError: when it is neither None, an int nor a sequence of ints.
    """
    if isinstance(dim, (float, str)) or (
        isinstance(dim, (tuple, list)) and any(isinstance(each, (float, str)) for each in dim)
    ):
        raise TypeError(
            f"{name}() received an invalid combination of arguments - got ({type(dim).__name__}), "
            "but expected one of:\n * (*, torch.dtype dtype = None)\n * (tuple of ints dim, bool "
            "keepdim = False, *, torch.dtype dtype = None)\n"
        )
    return wrap_dims(dim, ndim)


def check_not_empty(name: str, size: Sequence[int], dims: Sequence[int]) -> None:
    """Refuses to reduce over dimensions of size 0, for reductions without an identity."""
    for dim in dims:
        if size and size[dim] == 0:
            raise IndexError(f"{name}: Expected reduction dim {dim} to have non-zero size.")
