"""Inverses, determinants and systems of equations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fakel.autograd.modes import state
from fakel.autograd.tape import retitled
from fakel.ops import return_types
from fakel.ops.declare import FUNCTIONS, gradient, not_differentiable, operator, primitive, wrap_dim
from fakel.ops.linalg_common import (
    LINALG,
    adjoint,
    batch_of,
    check_kernel,
    check_numbers,
    check_square,
    check_system,
    column,
    each_matrix,
    raise_failures,
    rows_of,
    solve_triangle,
)
from fakel.ops.linalg_lu import factor
from fakel.ops.pointwise import where
from fakel.tensor import Tensor, dtypes


def _solve_with_infinities(A: np.ndarray, B: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Solves ``A X = B`` through the LU factors, dividing by zero where A is singular; which pivot
    is zero (from 1), or 0."""
    lu_data, pivots, info = factor(A)
    n = A.shape[-1]
    flat = each_matrix(np.broadcast_to(B, (*A.shape[:-2], *B.shape[-2:]))).copy()
    exchanges = rows_of(pivots) - 1
    for matrix, exchange in zip(flat, exchanges, strict=True):
        for k, other in enumerate(exchange):
            matrix[[k, other]] = matrix[[other, k]]
    inner = solve_triangle(lu_data, flat.reshape(*A.shape[:-2], n, B.shape[-1]), False, True)
    with np.errstate(all="ignore"):
        return solve_triangle(lu_data, inner, True, False), info


@primitive("linalg_inv_ex", "LinalgInvExBackward0")
def _inverse(A):
    try:
        return np.linalg.inv(A), np.zeros(A.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        return _solve_with_infinities(A, np.eye(A.shape[-1], dtype=A.dtype))


def _inverse_gradient(grad, result):
    inverse = adjoint(result)
    return (-(inverse @ (grad @ inverse)),)


gradient(_inverse, joint=_inverse_gradient)


def inverse_of(A: Tensor) -> tuple[Tensor, Tensor]:
    """The inverse and the codes, without checks."""
    return _inverse(A, shape=(A._shape, A._shape[:-2]), dtype=(A.dtype, dtypes.int32))  # type: ignore[no-any-return]


def _checked_inverse(name: str, A: Tensor, raises: bool) -> tuple[Tensor, Tensor]:
    check_square("linalg.inv", A)
    check_numbers("linalg.inv", A)
    parts = inverse_of(A)
    if raises:
        raise_failures(
            parts[1],
            lambda where, code: (
                f"{name}: {where}The diagonal element {code} is zero, the inversion could not be "
                "completed because the input matrix is singular."
            ),
        )
    return parts


@operator(**LINALG)
def inv(A: Tensor) -> Tensor:
    """The inverse of square matrices.

    Raises:
        LinAlgError: when one is singular.
    """
    return _checked_inverse("linalg.inv", A, True)[0]


@operator()
def inverse(input: Tensor) -> Tensor:
    """``linalg.inv``."""
    return _checked_inverse("linalg.inv", input, True)[0]


@operator(**LINALG)
def inv_ex(A: Tensor, *, check_errors: bool = False) -> Any:
    """The inverse, and a code for each matrix: 0, or the number of the pivot that is zero."""
    return return_types.linalg_inv_ex(_checked_inverse("linalg.inv_ex", A, check_errors))


# -------------------------------------------------------------------- systems


@primitive("linalg_solve_ex", "LinalgSolveExBackward0")
def _solve(A, B):
    try:
        return np.linalg.solve(A, B), np.zeros(A.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        return _solve_with_infinities(A, B)


def _solve_gradient(grad, A, result):
    grad_b = _solve_of(adjoint(A), grad)[0]
    return -(grad_b @ adjoint(result)), grad_b


gradient(_solve, joint=_solve_gradient)


def _solve_of(A: Tensor, B: Tensor) -> tuple[Tensor, Tensor]:
    """The X with ``A X = B`` and the codes; the batches are already the same."""
    return _solve(A, B, shape=(B._shape, A._shape[:-2]), dtype=(B.dtype, dtypes.int32))  # type: ignore[no-any-return]


def _solution(A: Tensor, B: Tensor, left: bool) -> tuple[Tensor, Tensor]:
    name = "linalg.solve"
    check_square(name, A)
    kinds = (A.dtype, B.dtype)
    if not (A.is_floating_point() or A.is_complex()):
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {A.dtype.letter}"
        )
    if kinds[0] is not kinds[1]:
        raise RuntimeError(
            f"{name}: Expected A and B to have the same dtype, but found A of type "
            f"{kinds[0].letter} and B of type {kinds[1].letter} instead"
        )
    check_kernel("lu_cpu", A)
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and B._shape == A._shape[:-1])
    right = column(B) if vector else B
    check_system(name, A, right, left)
    if not left:
        A, right = A.transpose(-2, -1), right.transpose(-2, -1)
    batch = batch_of(A, right)
    n = A._shape[-1]
    codes_shape = tuple(A._shape[:-2])
    found, info = _solve_of(A.expand((*batch, n, n)), right.expand((*batch, n, right._shape[-1])))
    if info._shape != codes_shape:
        info = info[(0,) * (len(batch) - len(codes_shape))]
        for dim, size in enumerate(codes_shape):
            info = info.narrow(dim, 0, size)
    if not left:
        found = found.transpose(-2, -1)
    return retitled(found.squeeze(-1) if vector else found, "LinalgSolveExBackward0"), info


def _singular(name: str) -> Any:
    return lambda where, code: (
        f"torch.{name}: {where}The solver failed because the input matrix is singular."
    )


@operator(**LINALG)
def solve(A: Tensor, B: Tensor, *, left: bool = True) -> Tensor:
    """The X with ``A X = B``, or with ``X A = B`` when not ``left``.

    Args:
        B: matrices, or vectors: one dimension, or the shape of A without the last.

    Raises:
        LinAlgError: when A is singular.
    """
    found, info = _solution(A, B, left)
    raise_failures(info, _singular("linalg.solve"))
    return found


@operator(**LINALG)
def solve_ex(A: Tensor, B: Tensor, *, left: bool = True, check_errors: bool = False) -> Any:
    """``solve``, and a code for each matrix: 0, or the number of the pivot that is zero."""
    found, info = _solution(A, B, left)
    if check_errors:
        raise_failures(info, _singular("linalg.solve_ex"))
    return return_types.linalg_solve_ex((found, info))


@operator(**LINALG)
def tensorinv(input: Tensor, ind: int = 2) -> Tensor:
    """The inverse of ``tensordot`` with the input: the first ``ind`` dimensions are the rows of a
    square matrix, the others its columns."""
    if ind <= 0:
        raise RuntimeError(f"Expected a strictly positive integer for 'ind', but got {ind}")
    rows, columns = input._shape[:ind], input._shape[ind:]
    if math.prod(rows) != math.prod(columns):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[ind:]) == "
            f"prod(self.shape[:ind]), but got {math.prod(columns)} != {math.prod(rows)}"
        )
    matrix = input.reshape(math.prod(rows), math.prod(columns))
    return inv(matrix).reshape(*columns, *rows)


@operator(**LINALG)
def tensorsolve(input: Tensor, other: Tensor, dims: Any = None) -> Tensor:
    """The X with ``tensordot(input, X, X.ndim) = other``.

    Args:
        dims: dimensions of the input that are moved to the end first.
    """
    if dims is not None:
        moved = [wrap_dim(dim, input.ndim) for dim in dims]
        input = input.permute([d for d in range(input.ndim) if d not in moved] + moved)
    columns = input._shape[other.ndim :]
    rows = other.numel()
    if rows != math.prod(columns):
        raise RuntimeError(
            "Expected self to satisfy the requirement prod(self.shape[other.ndim:]) == "
            f"prod(self.shape[:other.ndim]), but got {math.prod(columns)} != {rows}"
        )
    return solve(input.reshape(rows, rows), other.reshape(-1)).reshape(columns)


# -------------------------------------------------------------------- determinants


@primitive("linalg_det", "LinalgDetBackward0")
def _det(A):
    return np.linalg.det(A)


@primitive("conjugate_cofactors")
def _cofactors(A):
    """The conjugates of the derivatives of det, for singular matrices too: with A = U S V^H they
    are conj(det U det V^H) U C V^H, where C holds the products of the other singular values."""
    u, s, vh = np.linalg.svd(A)
    others = [np.prod(np.delete(s, i, -1), -1) for i in range(s.shape[-1])]
    products = np.stack(others, -1) if others else s
    unit = np.conj(np.linalg.det(u) * np.linalg.det(vh))
    return unit[..., None, None] * ((u * products[..., None, :]) @ vh)


not_differentiable(_cofactors)


def _det_gradient(grad, A, result):
    if state.enabled:
        scaled = grad * result.conj()
        return column(column(scaled)) * adjoint(inverse_of(A)[0])
    return column(column(grad)) * _cofactors(A)


gradient(_det, A=_det_gradient)


@operator(**LINALG)
def det(A: Tensor) -> Tensor:
    """The determinant of square matrices."""
    check_square("linalg.det", A)
    check_numbers("linalg.det", A, "lu_cpu")
    return _det(A, shape=A._shape[:-2])


def _declare_torch_det() -> None:
    def det(input: Tensor) -> Tensor:
        """``linalg.det``."""
        return FUNCTIONS["linalg"]["det"](input)

    operator(out=False)(det)


_declare_torch_det()


@primitive("linalg_slogdet", "LinalgSlogdetBackward0")
def _slogdet(A):
    return tuple(np.linalg.slogdet(A))


def _slogdet_gradient(grads, A, result):
    """With t = tr(A^-1 dA): d logabsdet = Re t and d sign = i sign Im t."""
    scale = grads[1]
    if A.is_complex() and grads[0] is not None:
        turn = (grads[0].conj() * result).imag * -1j
        scale = turn if scale is None else scale + turn
    if scale is None:
        return (None,)
    return (column(column(scale)) * adjoint(inverse_of(A)[0]),)


gradient(_slogdet, joint=_slogdet_gradient)


def _slogdet_of(name: str, A: Tensor) -> tuple[Tensor, Tensor]:
    check_square(name, A)
    check_numbers(name, A)
    shape = A._shape[:-2]
    return _slogdet(A, shape=(shape, shape), dtype=(A.dtype, A.dtype.to_real()))  # type: ignore[no-any-return]


def _declare_slogdets() -> None:
    def slogdet(A: Tensor) -> Any:
        """The sign of the determinant and the logarithm of its absolute value."""
        return return_types.linalg_slogdet(_slogdet_of("linalg.slogdet", A))

    operator(**LINALG)(slogdet)

    def old(input: Tensor) -> Any:
        return return_types.slogdet(_slogdet_of("linalg.slogdet", input))

    old.__name__, old.__doc__ = "slogdet", "``linalg.slogdet``."
    operator()(old)


_declare_slogdets()


@operator(out=False)
def logdet(input: Tensor) -> Tensor:
    """The logarithm of the determinant; NaN where a real one is negative."""
    sign, logarithm = _slogdet_of("logdet", input)
    if input.is_complex():
        return sign.log() + logarithm
    return where(sign.detach() < 0, float("nan"), logarithm)
