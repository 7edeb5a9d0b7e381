"""Norms of matrices, and distances between all rows of two."""

from __future__ import annotations

from fakel import ops
from fakel.ops.declare import FUNCTIONS, broadcast_shapes, operator, wrap_dim
from fakel.ops.decomposition import svdvals

vector_norm = FUNCTIONS["linalg"]["vector_norm"]


@operator(namespace="linalg", method=False)
def matrix_norm(A, ord="fro", dim=(-2, -1), keepdim=False, *, dtype=None):
    """A norm of matrices.

    Args:
        ord: "fro" (root of the sum of squares), "nuc" (sum of singular values), 2 or -2 (largest or
             smallest singular value), 1 or -1 (of the columns' sums), inf or -inf (of the rows').
        dim: which two dimensions are the matrices.
    """
    if A.ndim < 2:
        raise RuntimeError(
            "linalg.matrix_norm: The input tensor A must have at least 2 dimensions."
        )
    A = A if dtype is None else A.to(dtype)
    rows, columns = (wrap_dim(each, A.ndim) for each in dim)
    if rows == columns:
        raise RuntimeError(f"linalg.matrix_norm: dims must be different. Got ({rows}, {columns})")
    if ord == "fro":
        return vector_norm(A, 2, (rows, columns), keepdim)
    if ord in ("nuc", 2, -2):
        values = svdvals(A.movedim((rows, columns), (-2, -1)))
        reduce = {"nuc": ops.sum, 2: ops.amax, -2: ops.amin}[ord]
        norm = reduce(values, -1)
    elif ord in (1, -1, float("inf"), -float("inf")):
        inner, outer = (rows, columns) if abs(ord) == 1 else (columns, rows)
        sums = A.abs().sum(inner, keepdim=True)
        norm = (ops.amax if ord > 0 else ops.amin)(sums, (rows, columns))
    else:
        raise RuntimeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if keepdim:
        for each in sorted((rows, columns)):
            norm = norm.unsqueeze(each)
    return norm


@operator(namespace="linalg", method=False)
def norm(A, ord=None, dim=None, keepdim=False, *, dtype=None):
    """A norm of vectors or matrices: of vectors for one ``dim``, of matrices for two; of everything
    without ``dim`` and ``ord``.
    """
    pair = isinstance(dim, tuple | list) and len(dim) == 2
    if ord is not None and (pair or (dim is None and A.ndim == 2)):
        return matrix_norm(A, ord, dim if pair else (-2, -1), keepdim, dtype=dtype)
    if ord is not None and dim is None and A.ndim != 1:
        raise RuntimeError(
            "linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got "
            f"{A.ndim}D."
        )
    return vector_norm(A, 2 if ord is None else ord, dim, keepdim, dtype=dtype)


@operator(namespace="linalg", method=False)
def vecdot(x, y, *, dim=-1):
    """The inner product of vectors along a dimension."""
    return (x.conj() * y).sum(dim)


@operator(method=False, out=False)
def cdist(x1, x2, p=2.0, compute_mode="use_mm_for_euclid_dist_if_necessary"):
    """The p-norm of the difference between each row of x1 and each row of x2.

    Args:
        compute_mode: accepted as by PyTorch; the differences themselves are always formed.
    """
    if x1.ndim < 2 or x2.ndim < 2:
        which, tensor = ("X1", x1) if x1.ndim < 2 else ("X2", x2)
        raise RuntimeError(f"cdist only supports at least 2D tensors, {which} got: {tensor.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    batch = broadcast_shapes(x1.shape[:-2], x2.shape[:-2])
    first = x1.expand(*batch, *x1.shape[-2:]).unsqueeze(-2)
    second = x2.expand(*batch, *x2.shape[-2:]).unsqueeze(-3)
    return vector_norm(first - second, p, -1)
