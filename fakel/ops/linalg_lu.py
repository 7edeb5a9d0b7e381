"""LU factors: Gaussian elimination with row exchanges, and solving with what it leaves."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fakel import ops
from fakel.ops import return_types
from fakel.ops.declare import gradient, not_differentiable, operator, primitive
from fakel.ops.linalg_common import (
    LINALG,
    adjoint,
    cheap_size,
    check_kernel,
    check_matrix,
    check_numbers,
    check_square,
    check_system,
    each_matrix,
    rows_of,
    solve_triangle,
)
from fakel.ops.linalg_triangular import triangular_system
from fakel.tensor import Tensor, dtypes

_PANEL = 8


def _exchange(matrices: np.ndarray, pivots: np.ndarray) -> None:
    """Exchanges row k of each matrix with row pivots[k], one k after the other."""
    numbers = np.arange(len(matrices))
    for k in range(pivots.shape[-1]):
        other = pivots[:, k]
        if (other != k).any():
            kept = matrices[:, k].copy()
            matrices[:, k] = matrices[numbers, other]
            matrices[numbers, other] = kept


def _eliminate(matrices: np.ndarray, pivots: np.ndarray) -> None:
    """Factors (batch, rows, columns) in place, rows >= columns or not, and notes the exchanges.

    The columns are halved until they are few, so that most of the work is products of matrices
    (S. Toledo, Locality of reference in LU decomposition with partial pivoting, 1997).
    """
    rows, columns = matrices.shape[-2:]
    steps = min(rows, columns)
    if steps <= _PANEL:
        _eliminate_columns(matrices, pivots)
        return
    half = steps // 2
    left, right = matrices[:, :, :half], matrices[:, :, half:]
    _eliminate(left, pivots[:, :half])
    _exchange(right, pivots[:, :half])
    right[:, :half] = solve_triangle(left[:, :half], right[:, :half], False, True)
    right[:, half:] -= left[:, half:] @ right[:, :half]
    _eliminate(right[:, half:], pivots[:, half:])
    _exchange(left[:, half:], pivots[:, half:])
    pivots[:, half:] += half


def _eliminate_columns(matrices: np.ndarray, pivots: np.ndarray) -> None:
    numbers = np.arange(len(matrices))
    for k in range(pivots.shape[-1]):
        best = k + np.argmax(cheap_size(matrices[:, k:, k]), -1)
        pivots[:, k] = best
        kept = matrices[:, k].copy()
        matrices[:, k] = matrices[numbers, best]
        matrices[numbers, best] = kept
        pivot = matrices[:, k, k]
        divisor = np.where(pivot == 0, 1, pivot)[:, None]
        matrices[:, k + 1 :, k] /= divisor
        matrices[:, k + 1 :, k + 1 :] -= (
            matrices[:, k + 1 :, k, None] * matrices[:, k, None, k + 1 :]
        )


def factor(A: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """L below and U on and above the diagonal, the exchanges (from 1), and which pivot is 0 (from
    1; 0 for none)."""
    result = each_matrix(A).copy()
    rows, columns = A.shape[-2:]
    steps = min(rows, columns)
    pivots = np.zeros((len(result), steps), np.int32)
    with np.errstate(all="ignore"):
        _eliminate(result, pivots)
    zero = np.diagonal(result, 0, -2, -1) == 0
    info = np.where(zero.any(-1), np.argmax(zero, -1) + 1, 0) if steps else np.zeros(len(result))
    batch = A.shape[:-2]
    return result.reshape(A.shape), (pivots + 1).reshape(*batch, steps), info.reshape(batch)


@primitive("linalg_lu_factor_ex", "LinalgLuFactorExBackward0")
def _lu_factor(A):
    return factor(A)


@primitive("lu_permutation")
def _permutation(pivots, *, rows):
    flat = rows_of(pivots)
    order = np.tile(np.arange(rows), (len(flat), 1))
    _exchange(order, flat - 1)
    result = np.zeros((len(flat), rows, rows))
    result[np.arange(len(flat))[:, None], order, np.arange(rows)] = 1
    return result.reshape(*pivots.shape[:-1], rows, rows)


not_differentiable(_permutation)


def _permutation_of(pivots: Tensor, rows: int, like: Tensor) -> Tensor:
    """The permutation matrix P with ``A = P L U``."""
    return _permutation(
        pivots, rows=rows, shape=(*pivots._shape[:-1], rows, rows), dtype=like.dtype
    )


def _pieces(lu: Tensor) -> tuple[Tensor, Tensor]:
    """L and U from the matrix that holds both."""
    rows, columns = lu._shape[-2:]
    k = min(rows, columns)
    ones = Tensor._from_array(np.eye(rows, k), lu.dtype)
    return lu.narrow(-1, 0, k).tril(-1) + ones, lu.narrow(-2, 0, k).triu()


def _lu_gradient(grad, result, result1):
    if grad is None:
        return (None,)
    rows, columns = result._shape[-2:]
    k = min(rows, columns)
    lower, upper = _pieces(result)
    grad_lower, grad_upper = grad.narrow(-1, 0, k).tril(-1), grad.narrow(-2, 0, k).triu()
    return (_permutation_of(result1, rows, result) @ _pull(grad_lower, grad_upper, lower, upper),)


def _pull(grad_l: Tensor, grad_u: Tensor, lower: Tensor, upper: Tensor) -> Tensor:
    """The gradient of ``L U`` from those of L and U, whose first square pieces are invertible."""
    rows, k = lower._shape[-2:]
    extra_rows, extra_columns = rows - k, upper._shape[-1] - k
    square_l, square_u = lower.narrow(-2, 0, k), upper.narrow(-1, 0, k)
    below = adjoint(square_l) @ grad_l.narrow(-2, 0, k)
    above = grad_u.narrow(-1, 0, k) @ adjoint(square_u)
    if extra_columns:
        wide = grad_u.narrow(-1, k, extra_columns)
        below = below - wide @ adjoint(upper.narrow(-1, k, extra_columns))
    if extra_rows:
        tall = grad_l.narrow(-2, k, extra_rows)
        above = above - adjoint(lower.narrow(-2, k, extra_rows)) @ tall
    inner = below.tril(-1) + above.triu()
    if extra_rows:
        inner = triangular_system(adjoint(square_l), inner, True, True)
        whole = ops.cat([inner, tall], -2)
        return triangular_system(adjoint(square_u), whole, False, left=False)
    inner = triangular_system(adjoint(square_u), inner, False, left=False)
    whole = ops.cat([inner, wide], -1) if extra_columns else inner
    return triangular_system(adjoint(square_l), whole, True, True)


gradient(_lu_factor, joint=_lu_gradient)


def factored(A: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """The factors in one matrix, the exchanges and the codes."""
    batch = tuple(A._shape[:-2])
    return _lu_factor(  # type: ignore[no-any-return]
        A,
        shape=(A._shape, (*batch, min(A._shape[-2:])), batch),
        dtype=(A.dtype, dtypes.int32, dtypes.int32),
    )


def _checked(name: str, A: Tensor, pivot: bool) -> tuple[Tensor, Tensor, Tensor]:
    if A.ndim < 2:
        raise RuntimeError(
            f"{name}: Expected tensor with 2 or more dimensions. Got size: {list(A._shape)} instead"
        )
    check_kernel("lu_cpu", A)
    if not pivot:
        raise RuntimeError("linalg.lu_factor: LU without pivoting is not implemented on the CPU")
    return factored(A)


def _refuse_zero_pivot(name: str, info: Tensor) -> None:
    codes = info._array()
    if codes.any():
        first = int(np.argmax(codes.reshape(-1) != 0))
        where = f"(Batch element {first}): " if codes.ndim else ""
        place = int(codes.reshape(-1)[first])
        raise RuntimeError(
            f"torch.linalg.{name}: {where}U[{place},{place}] is zero and using it on lu_solve "
            "would result in a division by zero. If you still want to perform the factorization, "
            "consider calling linalg.lu(A, pivot) or linalg.lu_factor_ex(A, pivot)"
        )


@operator(**LINALG)
def lu_factor(A: Tensor, *, pivot: bool = True) -> Any:
    """The LU factors of matrices in one, and the row exchanges.

    Raises:
        RuntimeError: where U has a zero on the diagonal.
    """
    lu_data, pivots, info = _checked("torch.lu_factor", A, pivot)
    _refuse_zero_pivot("lu_factor", info)
    return return_types.linalg_lu_factor((lu_data, pivots))


@operator(**LINALG)
def lu_factor_ex(A: Tensor, *, pivot: bool = True, check_errors: bool = False) -> Any:
    """``lu_factor`` that takes zeros on the diagonal of U, and the number of the first in each."""
    parts = _checked("torch.lu_factor_ex", A, pivot)
    if check_errors:
        _refuse_zero_pivot("lu_factor_ex", parts[2])
    return return_types.linalg_lu_factor_ex(parts)


def _declare_lu() -> None:
    def lu(A: Tensor, *, pivot: bool = True) -> Any:
        """The matrices P, L, U with ``A = P L U``: a permutation, and triangles."""
        lu_data, pivots, _ = _checked("linalg.lu", A, pivot)
        lower, upper = _pieces(lu_data)
        return return_types.linalg_lu((_permutation_of(pivots, A._shape[-2], A), lower, upper))

    operator(**LINALG)(lu)


def _declare_old_lu() -> None:
    def lu(A: Tensor, pivot: bool = True, get_infos: bool = False, out: Any = None) -> Any:
        """``linalg.lu_factor_ex``, under its old name."""
        warnings.warn(
            "torch.lu is deprecated in favor of torch.linalg.lu_factor / "
            "torch.linalg.lu_factor_ex and will be removed in a future PyTorch release.\n"
            "LU, pivots = torch.lu(A, compute_pivots)\nshould be replaced with\n"
            "LU, pivots = torch.linalg.lu_factor(A, compute_pivots)\nand\n"
            "LU, pivots, info = torch.lu(A, compute_pivots, get_infos=True)\n"
            "should be replaced with\n"
            "LU, pivots, info = torch.linalg.lu_factor_ex(A, compute_pivots)",
            stacklevel=2,
        )
        parts = _checked("torch.lu_factor", A, pivot)
        if not get_infos:
            _refuse_zero_pivot("lu_factor", parts[2])
            parts = parts[:2]
        if out is not None:
            for target, part in zip(out, parts, strict=True):
                target.resize_(part._shape).copy_(part)
            return out
        return tuple(parts)

    operator(out=False)(lu)


_declare_lu()
_declare_old_lu()


def _check_factors(name: str, lu_data: Tensor, pivots: Tensor) -> None:
    if pivots.dtype is not dtypes.int32:
        raise RuntimeError(f"{name}: pivots should be a Tensor of scalar type torch.int32")
    if pivots._shape[-1] != lu_data._shape[-1]:
        raise RuntimeError(
            f"{name}: Number of pivots per batch should be same as the dimension of the matrix"
        )


@operator(method=False)
def lu_unpack(
    LU_data: Tensor, LU_pivots: Tensor, unpack_data: bool = True, unpack_pivots: bool = True
) -> Any:
    """The matrices P, L, U from what ``lu_factor`` returns; empty where not asked for."""
    if unpack_pivots and LU_pivots.dtype is not dtypes.int32:
        raise RuntimeError(
            "torch.lu_unpack: LU_pivots is expected to be a contiguous tensor of torch.int32 dtype."
        )
    empty = Tensor._zeros((0,), LU_data.dtype)
    lower, upper = _pieces(LU_data) if unpack_data else (empty, empty)
    p = _permutation_of(LU_pivots, LU_data._shape[-2], LU_data) if unpack_pivots else empty
    return return_types.lu_unpack((p, lower, upper))


def solve_with_factors(
    lu_data: Tensor, pivots: Tensor, B: Tensor, left: bool = True, conjugate: bool = False
) -> Tensor:
    """The X with ``A X = B`` (or ``X A = B``) for ``A = P L U``, or its adjoint."""
    if not left:
        return adjoint(solve_with_factors(lu_data, pivots, adjoint(B), True, not conjugate))
    lower, upper = _pieces(lu_data)
    p = _permutation_of(pivots, lu_data._shape[-1], lu_data)
    if conjugate:
        inner = triangular_system(adjoint(upper), B, False)
        return p @ triangular_system(adjoint(lower), inner, True, True)
    return triangular_system(
        upper, triangular_system(lower, p.transpose(-2, -1) @ B, False, True), True
    )


def _declare_lu_solve() -> None:
    def lu_solve(
        LU: Tensor, pivots: Tensor, B: Tensor, *, left: bool = True, adjoint: bool = False
    ) -> Tensor:
        """The X with ``A X = B`` from the LU factors of A.

        Args:
            left: False for ``X A = B``.
            adjoint: for the conjugate transpose of A.
        """
        name = "linalg.lu_solve"
        check_numbers("torch.linalg.lu_solve", LU, "linalg.lu_solve_cpu")
        check_square(name, LU, "LU")
        check_matrix(name, B, "B")
        _check_factors(name, LU, pivots)
        check_system(name, LU, B, left)
        return solve_with_factors(LU, pivots, B, left, adjoint)

    operator(**LINALG)(lu_solve)


def _declare_old_lu_solve() -> None:
    def lu_solve(input: Tensor, LU_data: Tensor, LU_pivots: Tensor) -> Tensor:
        """``linalg.lu_solve`` with the right side first."""
        warnings.warn(
            "torch.lu_solve is deprecated in favor of torch.linalg.lu_solveand will be removed in "
            "a future PyTorch release.\nNote that torch.linalg.lu_solve has its arguments "
            "reversed.\nX = torch.lu_solve(B, LU, pivots)\nshould be replaced with\n"
            "X = torch.linalg.lu_solve(LU, pivots, B)",
            stacklevel=3,
        )
        check_numbers("torch.linalg.lu_solve", LU_data, "linalg.lu_solve_cpu")
        _check_factors("linalg.lu_solve", LU_data, LU_pivots)
        check_system("linalg.lu_solve", LU_data, input, True)
        return solve_with_factors(LU_data, LU_pivots, input)

    operator()(lu_solve)


_declare_lu_solve()
_declare_old_lu_solve()
