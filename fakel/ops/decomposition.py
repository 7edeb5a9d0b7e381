"""Cholesky, QR, eigenvalues of symmetric matrices, singular values, and pseudo-inverses.

Gradients of the factors follow Giles, "An extended collection of matrix derivative results for
forward and reverse mode algorithmic differentiation" (2008); they need distinct eigenvalues.
"""

from __future__ import annotations

import numpy as np

from fakel import ops
from fakel.ops import return_types
from fakel.ops.declare import gradient, operator, primitive
from fakel.ops.linalg import LinAlgError, check_matrices, failing, inv
from fakel.tensor import Tensor


@primitive("linalg_cholesky_ex")
def _cholesky(A):
    # only the lower half counts
    lower = np.tril(A)
    full = lower + np.swapaxes(np.tril(A, -1), -1, -2).conj()
    try:
        return np.linalg.cholesky(full)
    except np.linalg.LinAlgError:
        where, matrix = failing(full, np.linalg.cholesky)
        minor = next(k for k in range(1, len(matrix) + 1) if not _definite(matrix[:k, :k]))
        raise LinAlgError(
            f"linalg.cholesky: {where}The factorization could not be completed because the input "
            f"is not positive-definite (the leading minor of order {minor} is not "
            "positive-definite)."
        ) from None


def _definite(matrix: np.ndarray) -> bool:
    try:
        np.linalg.cholesky(matrix)
    except np.linalg.LinAlgError:
        return False
    return True


def _cholesky_gradient(grad, result):
    inside = (result.mH @ grad).tril()
    inside = inside - inside.diagonal(0, -2, -1).diag_embed() / 2
    outer = inv(result)
    whole = outer.mH @ (inside + inside.mH) @ outer
    return whole / 2


gradient(_cholesky, A=_cholesky_gradient)


@operator(namespace="linalg", method=False)
def cholesky(A, *, upper=False):
    """The lower (or upper) triangular L with A = L Lᴴ.

    Raises:
        LinAlgError: when an A is not positive-definite.
    """
    check_matrices("linalg.cholesky", A, square=True)
    factor = _cholesky(A)
    return factor.mH if upper else factor


# -------------------------------------------------------------------- QR


@primitive("linalg_qr")
def _qr(A, *, mode):
    if mode == "r":
        return np.empty((0,), A.dtype), np.linalg.qr(A, "r")
    return tuple(np.linalg.qr(A, mode))


def _qr_gradient(grads, A, results, mode):
    Q, R = results
    if mode != "reduced" or A.shape[-2] < A.shape[-1]:
        raise RuntimeError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols, or "
            "for wide matrices"
        )
    grad_Q, grad_R = grads
    inside = 0
    if grad_R is not None:
        inside = R @ grad_R.mH
    if grad_Q is not None:
        inside = inside - grad_Q.mH @ Q
    lower = inside.tril(-1)
    symmetric = lower + lower.mH + inside.diagonal(0, -2, -1).diag_embed()
    rest = Q @ symmetric if grad_Q is None else grad_Q + Q @ symmetric
    return rest @ inv(R).mH


gradient(_qr, A=_qr_gradient)


@operator(namespace="linalg", method=False, out=False)
def qr(A, mode="reduced"):
    """Q with orthonormal columns and the upper triangular R with A = Q R.

    Args:
        mode: "reduced", "complete" (Q is square) or "r" (Q is empty).
    """
    check_matrices("linalg.qr", A)
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', "
            "or 'complete'"
        )
    *batch, rows, columns = A.shape
    inner = rows if mode == "complete" else min(rows, columns)
    first = (0,) if mode == "r" else (*batch, rows, inner)
    shape = (first, (*batch, inner, columns))
    return return_types.linalg_qr(_qr(A, mode=mode, shape=shape, dtype=(A.dtype, A.dtype)))


# -------------------------------------------------------------------- eigenvalues


@primitive("linalg_eigh")
def _eigh(A, *, lower):
    return tuple(np.linalg.eigh(A, "L" if lower else "U"))


def _eigh_gradient(grads, results):
    values, vectors = results
    grad_values, grad_vectors = grads
    inside = 0
    if grad_vectors is not None:
        gaps = values.unsqueeze(-2) - values.unsqueeze(-1)
        inside = _without_diagonal(vectors.mH @ grad_vectors, gaps)
    if grad_values is not None:
        inside = inside + grad_values.diag_embed().to(vectors.dtype)
    return vectors @ inside @ vectors.mH


def _without_diagonal(matrix: Tensor, gaps: Tensor) -> Tensor:
    """matrix / gaps, zero on the diagonal."""
    diagonal = ops.eye(gaps.shape[-1], dtype=gaps.dtype)
    return matrix * ((1 - diagonal) / (gaps + diagonal)).to(matrix.dtype)


gradient(_eigh, A=_eigh_gradient)


@operator(namespace="linalg", method=False, out=False)
def eigh(A, UPLO="L"):
    """Eigenvalues (ascending) and eigenvectors of symmetric or Hermitian matrices.

    Args:
        UPLO: which half of A counts, "L" or "U".
    """
    check_matrices("linalg.eigh", A, square=True)
    if UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    shape, kinds = (A.shape[:-1], A.shape), (A.dtype.to_real(), A.dtype)
    return return_types.linalg_eigh(_eigh(A, lower=UPLO.upper() == "L", shape=shape, dtype=kinds))


@operator(namespace="linalg", method=False)
def eigvalsh(A, UPLO="L"):
    """Eigenvalues of symmetric or Hermitian matrices, ascending."""
    return eigh(A, UPLO)[0]


# -------------------------------------------------------------------- singular values


@primitive("linalg_svd")
def _svd(A, *, full):
    return tuple(np.linalg.svd(A, full_matrices=full))


def _svd_gradient(grads, results, full):
    U, S, Vh = results
    grad_U, grad_S, grad_Vh = grads
    size = S.shape[-1]
    if full and (grad_U is not None or grad_Vh is not None):
        U, Vh = U[..., :size], Vh[..., :size, :]
        grad_U = None if grad_U is None else grad_U[..., :size]
        grad_Vh = None if grad_Vh is None else grad_Vh[..., :size, :]
    scale = S.unsqueeze(-2).to(U.dtype)
    squares = S * S
    gaps = squares.unsqueeze(-2) - squares.unsqueeze(-1)
    inside = 0
    if grad_U is not None:
        turn = U.mH @ grad_U
        inside = _without_diagonal(turn - turn.mH, gaps) * scale
    if grad_Vh is not None:
        turn = Vh @ grad_Vh.mH
        inside = inside + scale.mT * _without_diagonal(turn - turn.mH, gaps)
    if grad_S is not None:
        inside = inside + grad_S.diag_embed().to(U.dtype)
    result = U[..., :size] @ inside @ Vh[..., :size, :]
    if grad_U is not None and U.shape[-2] > size:
        result = result + (grad_U - U @ (U.mH @ grad_U)) / scale @ Vh
    if grad_Vh is not None and Vh.shape[-1] > size:
        result = result + U / scale @ (grad_Vh - (grad_Vh @ Vh.mH) @ Vh)
    return result


gradient(_svd, A=_svd_gradient)


def _singular(A: Tensor, full: bool) -> tuple[Tensor, Tensor, Tensor]:
    *batch, rows, columns = A.shape
    size = min(rows, columns)
    left, right = (rows, columns) if full else (size, size)
    shape = ((*batch, rows, left), (*batch, size), (*batch, right, columns))
    kinds = (A.dtype, A.dtype.to_real(), A.dtype)
    return _svd(A, full=bool(full), shape=shape, dtype=kinds)


@operator(namespace="linalg", method=False, out=False)
def svd(A, full_matrices=True, *, driver=None):
    """U, S and Vᴴ with A = U diag(S) Vᴴ; the singular values S are descending."""
    check_matrices("linalg.svd", A)
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with "
            "cuSOLVER backend."
        )
    return return_types.linalg_svd(_singular(A, full_matrices))


@operator(namespace="linalg", method=False)
def svdvals(A, *, driver=None):
    """The singular values, descending."""
    return svd(A, False, driver=driver)[1]


@operator(namespace="linalg", method=False)
def pinv(A, *, rtol=None, atol=None, hermitian=False):
    """The Moore-Penrose pseudo-inverse.

    Args:
        rtol, atol: singular values up to max(atol, rtol · largest) count as zero; rtol is the
            larger size times the dtype's epsilon unless atol is given.
        hermitian: says that A is symmetric or Hermitian.
    """
    check_matrices("linalg.pinv", A, square=hermitian)
    if rtol is None:
        size = max(A.shape[-2:])
        rtol = 0.0 if atol is not None else size * float(np.finfo(A.dtype.storage).eps)
    relative, absolute = (
        value if isinstance(value, Tensor) else ops.tensor(float(value), dtype=A.dtype.to_real())
        for value in (rtol, 0.0 if atol is None else atol)
    )
    return _pinv(A, relative, absolute, shape=(*A.shape[:-2], A.shape[-1], A.shape[-2]))


@primitive("linalg_pinv")
def _pinv(A, rtol, atol):
    U, S, Vh = np.linalg.svd(A, full_matrices=False)
    largest = S.max(-1, initial=0.0)
    limit = np.maximum(atol, rtol * largest)[..., None]
    inverse = np.divide(1, S, where=S > limit, out=np.zeros_like(S))
    return np.swapaxes(Vh, -1, -2).conj() @ (inverse[..., None] * np.swapaxes(U, -1, -2).conj())


def _pinv_gradient(grad, A, result):
    P, G = result, grad.mH
    direct = P.mH @ grad @ P.mH
    rows = (G - A @ (P @ G)) @ P @ P.mH
    columns = P.mH @ P @ (G - (G @ P) @ A)
    return rows + columns - direct


gradient(_pinv, A=_pinv_gradient)


@operator(out=False)
def pinverse(input, rcond=1e-15):
    """The pseudo-inverse; singular values up to rcond · largest count as zero."""
    return pinv(input, rtol=rcond)
