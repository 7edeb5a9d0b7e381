"""Matrix products and determinants that the multivariate distributions share."""

from __future__ import annotations

from typing import Any

from fakel import ops
from fakel.ops.declare import FUNCTIONS
from fakel.ops.linalg_triangular import solve_triangular

cholesky = FUNCTIONS["linalg"]["cholesky"]


def batch_mv(matrices: Any, vectors: Any) -> Any:
    """Matrix times vector: shapes (..., n, m) and (..., m), batches broadcast."""
    return (matrices @ vectors.unsqueeze(-1)).squeeze(-1)


def log_diagonal(triangular: Any) -> Any:
    """The logarithms of the diagonal's elements, summed: log det of a triangular matrix."""
    return triangular.diagonal(dim1=-2, dim2=-1).log().sum(-1)


def batch_mahalanobis(factor: Any, x: Any) -> Any:
    """Squared Mahalanobis distances ``x^T (L L^T)^-1 x``.

    Args:
        factor: L, lower triangular, shape (*batch, n, n).
        x: vectors, shape (*more, *batch', n), where batch' is a multiple of batch in each
            dimension.

    Every matrix is solved once for all vectors that share it.
    """
    size = x.size(-1)
    outer = x.dim() - 1 - (factor.dim() - 2)
    # (*more, b1', b2', n) -> (*more, b1' / b1, b1, b2' / b2, b2, n)
    split = x.shape[:outer]
    for ours, theirs in zip(factor.shape[:-2], x.shape[outer:-1]):
        split += (theirs // ours, ours)
    batch_dims = factor.dim() - 2
    last = outer + 2 * batch_dims
    repeats, matrices = range(outer, last, 2), range(outer + 1, last, 2)
    parted = x.reshape(split + (size,)).permute(*range(outer), *repeats, *matrices, last)
    factors = factor.reshape(-1, size, size)  # (B, n, n)
    columns = parted.reshape(-1, factors.size(0), size).permute(1, 2, 0)  # (B, n, vectors)
    distances = solve_triangular(factors, columns, upper=False).pow(2).sum(-2)
    back = list(range(outer))
    for dim in range(batch_dims):
        back += [outer + dim, outer + batch_dims + dim]
    return distances.t().reshape(parted.shape[:-1]).permute(back).reshape(x.shape[:-1])


def batch_trace_XXT(matrices: Any) -> Any:
    """The trace of ``X X^T``: the sum of the squares of X's elements."""
    count = matrices.size(-1) * matrices.size(-2)
    return matrices.reshape(-1, count).pow(2).sum(-1).reshape(matrices.shape[:-2])


def precision_to_scale_tril(precision: Any) -> Any:
    """The lower Cholesky factor of a matrix's inverse, without inverting the matrix.

    With J the reversal of rows and ``J P J = F F^T``, the inverse of ``J F^T J`` is that factor.
    """
    flipped = cholesky(precision.flip(-2, -1))
    inverse_factor = flipped.flip(-2, -1).mT
    identity = ops.eye(precision.shape[-1], dtype=precision.dtype, device=precision.device)
    return solve_triangular(inverse_factor, identity, upper=False)


def add_identity(matrices: Any) -> Any:
    """``K + I``, written into a copy of K."""
    size = matrices.size(-1)
    result = matrices.contiguous()
    result.view(-1, size * size)[:, :: size + 1] += 1
    return result
