"""Norms of vectors and matrices, and condition numbers."""

from __future__ import annotations

import math
from typing import Any

from fakel.ops import reduction
from fakel.ops.declare import operator, wrap_dim
from fakel.ops.linalg_common import LINALG, check_matrix, check_numbers, check_square
from fakel.ops.linalg_solve import inv_ex
from fakel.ops.linalg_svd import singular_values
from fakel.ops.reduced import numpy_names
from fakel.tensor import Tensor

_ORDERS = (1, -1, 2, -2, math.inf, -math.inf)


@operator(**LINALG)
@numpy_names
def vector_norm(
    input: Tensor, ord: Any = 2, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
) -> Tensor:
    """(sum |x|^ord)^(1/ord) over the dimensions, and the limits of that for 0, infinity and minus
    infinity."""
    if isinstance(ord, str):
        raise TypeError("linalg_vector_norm(): argument 'ord' must be Number, not str")
    return reduction.vector_norm(input, ord, dim, keepdim, dtype=dtype)


def _number(value: Any) -> str:
    return f"{value:g}" if isinstance(value, (int, float)) else str(value)


def _matrix_norm(input: Tensor, ord: Any, dims: Any, keepdim: bool, dtype: Any) -> Tensor:
    name = "linalg.matrix_norm"
    check_matrix(name, input)
    kind = input.dtype
    if not (kind.is_floating_point or kind.is_complex):
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {kind.letter}"
        )
    given = [dims] if isinstance(dims, int) else list(dims)
    if len(given) != 2:
        raise RuntimeError(
            f"{name}: dim must be a 2-tuple. Got {' '.join(str(dim) for dim in given)}"
        )
    first, second = (wrap_dim(dim, input.ndim) for dim in given)
    if first == second:
        raise RuntimeError(f"{name}: dims must be different. Got ({first}, {second})")
    supported = ord in ("fro", "nuc") if isinstance(ord, str) else abs(ord) in (1, 2, math.inf)
    if not supported:
        raise RuntimeError(f"{name}: Order {_number(ord)} not supported.")
    if dtype is not None:
        input = input.to(dtype)
    if ord == "fro":
        return reduction.vector_norm(input, 2, (first, second), keepdim)
    if ord == "nuc" or abs(ord) == 2:
        check_numbers(name, input)
        values = singular_values("linalg.svd", input.movedim((first, second), (-2, -1)))
        if ord == "nuc":
            result = values.sum(-1)
        else:
            result = _extreme(values, -1, ord > 0)
    else:
        summed, left = (first, second) if abs(ord) == 1 else (second, first)
        sums = reduction.vector_norm(input, 1, summed, keepdim=True)
        result = _extreme(sums, left, ord > 0).squeeze(summed - (summed > left))
    if keepdim:
        for dim in sorted((first, second)):
            result = result.unsqueeze(dim)
    return result


def _extreme(values: Tensor, dim: int, largest: bool) -> Tensor:
    """The largest values (0 of none) or the smallest."""
    if largest and not values._shape[dim]:
        return values.sum(dim)
    return values.amax(dim) if largest else values.amin(dim)  # type: ignore[attr-defined, no-any-return]


@operator(**LINALG)
@numpy_names
def matrix_norm(
    input: Tensor,
    ord: Any = "fro",
    dim: Any = (-2, -1),
    keepdim: bool = False,
    *,
    dtype: Any = None,
) -> Tensor:
    """A norm of matrices.

    Args:
        ord: "fro" (as a vector), "nuc" (the sum of the singular values), 2 (the largest), -2 (the
            smallest), 1 (the largest sum of a column), inf (of a row), -1, -inf for the smallest.
        dim: the rows' and the columns' dimension.
    """
    return _matrix_norm(input, ord, dim, keepdim, dtype)


def _declare_norm() -> None:
    def norm(
        input: Tensor, ord: Any = None, dim: Any = None, keepdim: bool = False, *, dtype: Any = None
    ) -> Tensor:
        """``vector_norm`` of everything or one dimension, ``matrix_norm`` of two dimensions or of a
        matrix when ``ord`` is given."""
        dims = None if dim is None else [dim] if isinstance(dim, int) else list(dim)
        if dims is not None and ord is not None and len(dims) not in (1, 2):
            raise RuntimeError(
                f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {dims}"
            )
        if (
            dims is None
            and ord is not None
            and not isinstance(ord, str)
            and input.ndim not in (1, 2)
        ):
            raise RuntimeError(
                "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
                f"{input.ndim}D."
            )
        of_matrix = ord is not None and (
            isinstance(ord, str) or (input.ndim == 2 if dims is None else len(dims) == 2)
        )
        if of_matrix:
            return _matrix_norm(input, ord, (-2, -1) if dims is None else dims, keepdim, dtype)
        return reduction.vector_norm(input, 2 if ord is None else ord, dim, keepdim, dtype=dtype)

    operator(**LINALG)(numpy_names(norm))


_declare_norm()


@operator(**LINALG)
def cond(input: Tensor, p: Any = None) -> Tensor:
    """The condition number: ``norm(A) * norm(A^-1)``, infinite for singular matrices; for p = 2
    (the default) and -2 the ratio of the largest and the smallest singular value.
    """
    if input.ndim < 2:
        raise RuntimeError("linalg.cond: The input tensor must have at least 2 dimensions.")
    supported = p in ("fro", "nuc") if isinstance(p, str) else p is None or p in _ORDERS
    if not supported:
        raise RuntimeError(f"linalg.cond got an invalid norm type: {_number(p)}")
    if p is None or p in (2, -2):
        values = singular_values("linalg.svd", input)
        if not values._shape[-1]:
            return values.sum(-1)
        largest, smallest = values.select(-1, 0), values.select(-1, -1)
        return smallest / largest if p == -2 else largest / smallest
    check_square(f"linalg.cond(ord={_number(p)})", input)
    if not input.numel():
        return Tensor._zeros(input._shape[:-2], input.dtype.to_real())
    result, info = inv_ex(input)
    product = _matrix_norm(input, p, (-2, -1), False, None) * _norm_of_existing(result, info, p)
    return product.masked_fill(info != 0, math.inf)


def _norm_of_existing(inverse: Tensor, info: Tensor, p: Any) -> Tensor:
    """The norm of the inverses that exist (of 0 for the others)."""
    failed = (info != 0).unsqueeze(-1).unsqueeze(-1)
    return _matrix_norm(inverse.masked_fill(failed, 0), p, (-2, -1), False, None)
