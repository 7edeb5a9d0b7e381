"""Determinants, inverses, linear systems, powers and chains of matrices.

Matrices are the last two dimensions; all before are batches.
"""

from __future__ import annotations

import numpy as np

from fakel import ops
from fakel.ops import return_types
from fakel.ops.declare import FUNCTIONS, broadcast_shapes, gradient, operator, primitive
from fakel.tensor import Tensor


class LinAlgError(RuntimeError):
    """What an operation on a matrix raises that the matrix does not allow."""


def check_matrices(name: str, A: Tensor, square: bool = False) -> None:
    """Refuses what is not a (square) matrix of floating-point numbers.

    Raises:
        RuntimeError: as PyTorch words it.
    """
    if not (A.is_floating_point() or A.is_complex()):
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {A.dtype.letter}"
        )
    if A.dtype.itemsize == 2:
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {A.dtype.letter}")
    if A.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor A must have at least 2 dimensions.")
    rows, columns = A.shape[-2:]
    if square and rows != columns:
        raise RuntimeError(
            f"{name}: A must be batches of square matrices, but they are {rows} by {columns} "
            "matrices"
        )


def failing(A: np.ndarray, function) -> tuple[str, np.ndarray]:
    """The first matrix of a batch on which `function` fails, and how messages call it."""
    for position, matrix in enumerate(A.reshape(-1, *A.shape[-2:])):
        try:
            function(matrix)
        except np.linalg.LinAlgError:
            return (f"(Batch element {position}): " if A.ndim > 2 else ""), matrix
    raise AssertionError("every matrix of the batch passes alone")


def _zero_pivot(matrix: np.ndarray) -> int:
    """The first (counted from 1) zero on the diagonal of the upper factor."""
    work = matrix.copy()
    for k in range(len(work)):
        pivot = k + int(np.argmax(np.abs(work[k:, k])))
        if work[pivot, k] == 0:
            return k + 1
        work[[k, pivot]] = work[[pivot, k]]
        work[k + 1 :] -= np.outer(work[k + 1 :, k] / work[k, k], work[k])
    return len(work)


# -------------------------------------------------------------------- inverses and systems


@primitive("linalg_inv_ex")
def _inv(A):
    try:
        return np.linalg.inv(A)
    except np.linalg.LinAlgError:
        where, matrix = failing(A, np.linalg.inv)
        raise LinAlgError(
            f"linalg.inv: {where}The diagonal element {_zero_pivot(matrix)} is zero, the inversion "
            "could not be completed because the input matrix is singular."
        ) from None


gradient(_inv, A=lambda grad, result: -(result.mH @ grad @ result.mH))


@operator(namespace="linalg", method=False)
def inv(A):
    """The inverse of square matrices.

    Raises:
        LinAlgError: when one is singular.
    """
    check_matrices("linalg.inv", A, square=True)
    return _inv(A)


@operator()
def inverse(input):
    """The inverse of square matrices; another name of ``linalg.inv``."""
    return inv(input)


@primitive("linalg_solve_ex")
def _solve(A, B):
    try:
        return np.linalg.solve(A, B)
    except np.linalg.LinAlgError:
        where, _ = failing(A, np.linalg.inv)
        raise LinAlgError(
            f"torch.linalg.solve: {where}The solver failed because the input matrix is singular."
        ) from None


gradient(
    _solve,
    A=lambda grad, A, result: -_system(A.mH, grad) @ result.mH,
    B=lambda grad, A: _system(A.mH, grad),
)


def _system(A: Tensor, B: Tensor) -> Tensor:
    """A⁻¹ B for matrices whose batches broadcast."""
    batch = broadcast_shapes(A.shape[:-2], B.shape[:-2])
    return _solve(A, B, shape=(*batch, *B.shape[-2:]))


@operator(namespace="linalg", method=False)
def solve(A, B, *, left=True):
    """The X with A X = B (X A = B when not ``left``); B is a batch of matrices or of vectors.

    Raises:
        LinAlgError: when an A is singular.
    """
    check_matrices("linalg.solve", A, square=True)
    vector = B.ndim == 1 or (A.ndim - 1 == B.ndim and B.shape == A.shape[:-1])
    right = B.unsqueeze(-1) if vector else B
    size = A.shape[-1]
    if right.shape[-2 if left else -1] != size:
        equation = "AX = B" if left else "XA = B"
        raise RuntimeError(
            f"linalg.solve: Incompatible shapes of A and B for the equation {equation} "
            f"({size}x{size} and {right.shape[-2]}x{right.shape[-1]})"
        )
    result = _system(A, right) if left else _system(A.mT, right.mT).mT
    return result.squeeze(-1) if vector else result


# -------------------------------------------------------------------- determinants


@primitive("linalg_det")
def _det(A):
    return np.linalg.det(A)


gradient(_det, A=lambda grad, A, result: (grad * result.conj())[..., None, None] * _inv(A).mH)


@operator(namespace="linalg", method=False)
def det(A):
    """The determinant of square matrices."""
    check_matrices("linalg.det", A, square=True)
    return _det(A, shape=A.shape[:-2])


@primitive("linalg_slogdet")
def _slogdet(A):
    return tuple(np.linalg.slogdet(A))


gradient(
    _slogdet,
    A=lambda grads, A: (
        None if grads[1] is None else grads[1][..., None, None].to(A.dtype) * _inv(A).mH
    ),
)


@operator(namespace="linalg", method=False)
def slogdet(A):
    """The sign of the determinant and the logarithm of its absolute value."""
    return return_types.linalg_slogdet(_sign_and_logarithm("linalg.slogdet", A))


def _sign_and_logarithm(name: str, A: Tensor) -> tuple[Tensor, Tensor]:
    check_matrices(name, A, square=True)
    shape = A.shape[:-2]
    sign, logarithm = _slogdet(A, shape=(shape, shape), dtype=(A.dtype, A.dtype.to_real()))
    return (sign if A.is_complex() else sign.detach()), logarithm


@operator()
def logdet(input):
    """The logarithm of the determinant; nan where that is negative."""
    sign, logarithm = _sign_and_logarithm("logdet", input)
    return ops.where(sign < 0, float("nan"), logarithm)


# -------------------------------------------------------------------- products


@operator(namespace="linalg", method=False)
def matrix_power(A, n):
    """A multiplied n times with itself; the inverse is, for negative n."""
    check_matrices("linalg.matrix_power", A, square=True)
    if n < 0:
        return matrix_power(inv(A), -n)
    result = None
    while n:
        if n & 1:
            result = A if result is None else result @ A
        n >>= 1
        A = A @ A if n else A
    if result is None:
        return ops.eye(A.shape[-1], dtype=A.dtype).expand(A.shape).clone()
    return result.clone() if result is A else result


@operator(namespace="linalg", method=False)
def multi_dot(tensors):
    """The product of several matrices; the first and the last may be vectors."""
    if len(tensors) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(tensors)}")
    product = tensors[0]
    for matrix in tensors[1:]:
        product = product @ matrix
    return product


@operator(namespace="linalg", method=False)
def cross(input, other, *, dim=-1):
    """The cross product of vectors of three elements along a dimension."""
    return ops.cross(input, other, dim)


def _declare_old_names() -> None:
    """torch.det and the like: the same as methods of the tensor."""

    @operator(out=False)
    def det(input):
        """The determinant of square matrices."""
        return FUNCTIONS["linalg"]["det"](input)

    @operator()
    def matrix_power(input, n):
        """A matrix multiplied n times with itself."""
        return FUNCTIONS["linalg"]["matrix_power"](input, n)

    @operator()
    def slogdet(input):
        """The sign of the determinant and the logarithm of its absolute value."""
        return return_types.slogdet(_sign_and_logarithm("linalg.slogdet", input))


_declare_old_names()
