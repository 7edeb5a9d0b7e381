"""Randomised decompositions of matrices that are nearly of low rank.

N. Halko, P. Martinsson, J. Tropp, Finding structure with randomness, arXiv:0909.4061 (2009).
"""

from __future__ import annotations

from fakel import ops
from fakel.ops.declare import FUNCTIONS, function
from fakel.ops.linalg_common import adjoint
from fakel.tensor import Tensor, dtypes

qr, svd = FUNCTIONS["linalg"]["qr"], FUNCTIONS["linalg"]["svd"]


def _approximate_basis(A: Tensor, q: int, niter: int, M: Tensor | None) -> Tensor:
    """q orthonormal columns Q for which Q Q^H (A - M) is near A - M (algorithm 4.4)."""

    def times(columns: Tensor) -> Tensor:
        return A @ columns if M is None else A @ columns - M @ columns

    def turned(columns: Tensor) -> Tensor:
        product = adjoint(A) @ columns
        return product if M is None else product - adjoint(M) @ columns

    kind = A.dtype if A.is_floating_point() or A.is_complex() else dtypes.float32
    basis = qr(times(ops.randn(A._shape[-1], q, dtype=kind)))[0]
    for _ in range(niter):
        basis = qr(turned(basis))[0]
        basis = qr(times(basis))[0]
    return basis


@function
def svd_lowrank(
    A: Tensor, q: int | None = 6, niter: int | None = 2, M: Tensor | None = None
) -> tuple[Tensor, Tensor, Tensor]:
    """(U, S, V) with A about U diag(S) V^H, of q columns (algorithm 5.1).

    Args:
        A: (*, m, n).
        q: somewhat more than the rank.
        niter: how often the subspace is iterated, which brings it nearer.
        M: what is subtracted from A, of a shape that broadcasts to it.
    """
    q = 6 if q is None else q
    niter = 2 if niter is None else niter
    M = None if M is None else M.broadcast_to(A._shape)
    wide = A._shape[-2] < A._shape[-1]
    if wide:
        A, M = adjoint(A), None if M is None else adjoint(M)
    basis = _approximate_basis(A, q, niter, M)
    turned = adjoint(basis)
    inner = turned @ A if M is None else turned @ A - turned @ M
    U, S, Vh = svd(inner, full_matrices=False)
    U, V = basis @ U, adjoint(Vh)
    return (V, S, U) if wide else (U, S, V)


@function
def pca_lowrank(
    A: Tensor, q: int | None = None, center: bool = True, niter: int = 2
) -> tuple[Tensor, Tensor, Tensor]:
    """The principal components of samples (rows): ``svd_lowrank`` of A less its rows' mean.

    Args:
        A: (*, samples, features).
        q: somewhat more than the rank; 6, or the smaller size of A, when left out.
        center: False where the mean is 0 already.
        niter: as of ``svd_lowrank``.

    Returns:
        U, S and V; V's columns are the directions, S^2 / (samples - 1) the variances along them.

    Raises:
        ValueError: for a q larger than a size of A or negative, and for a negative niter.
    """
    m, n = A._shape[-2:]
    if q is None:
        q = min(6, m, n)
    elif not 0 <= q <= min(m, n):
        raise ValueError(
            f"q(={q}) must be non-negative integer and not greater than min(m, n)={min(m, n)}"
        )
    if not niter >= 0:
        raise ValueError(f"niter(={niter}) must be non-negative integer")
    return svd_lowrank(A - A.mean(-2, keepdim=True) if center else A, q, niter)
