"""Singular values, and what is made of them: rank, pseudo-inverse, least squares."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakel import ops
from fakel.ops import return_types
from fakel.ops.declare import as_tensor, gradient, not_differentiable, operator, primitive
from fakel.ops.linalg_common import (
    LINALG,
    LinAlgError,
    adjoint,
    as_diagonal,
    batch_of,
    check_matrix,
    check_numbers,
    check_square,
    column,
    identity,
    row,
    without_diagonal,
)
from fakel.ops.linalg_eigen import eigvalsh
from fakel.tensor import Tensor, dtypes, finfo


@primitive("linalg_svd", "LinalgSvdBackward0")
def _svd(A, *, full):
    return tuple(np.linalg.svd(A, full))


def _svd_gradient(grads, result, result1, result2):
    """The gradient of A from those of U, S and V^H
    (J. Townsend, Differentiating the singular value decomposition, 2016)."""
    k = result1._shape[-1]
    u, s, vh = result.narrow(-1, 0, k), result1, result2.narrow(-2, 0, k)
    grad_u = None if grads[0] is None else grads[0].narrow(-1, 0, k)
    grad_v = None if grads[2] is None else adjoint(grads[2].narrow(-2, 0, k))
    parts = []
    if grad_u is not None or grad_v is not None:
        gaps = row(s) * row(s) - column(s) * column(s) + identity(k, s)
    if grad_u is not None:
        product = adjoint(u) @ grad_u
        parts.append(without_diagonal(product - adjoint(product)) / gaps * row(s))
        if u.is_complex():
            parts.append(as_diagonal(product.diagonal(0, -2, -1).imag / s * 1j))
    if grad_v is not None:
        product = vh @ grad_v
        parts.append(column(s) * without_diagonal(product - adjoint(product)) / gaps)
    if grads[1] is not None:
        parts.append(as_diagonal(grads[1]).to(u.dtype))
    middle = sum(parts[1:], parts[0])
    left, right = u @ middle, None
    if grad_u is not None and u._shape[-2] > k:
        left = left + (grad_u - u @ (adjoint(u) @ grad_u)) / row(s)
    found = left @ vh
    if grad_v is not None and vh._shape[-1] > k:
        right = adjoint(grad_v) - (adjoint(grad_v) @ adjoint(vh)) @ vh
        found = found + (u / row(s)) @ right
    return (found,)


gradient(_svd, joint=_svd_gradient)


@primitive("linalg_svdvals", "LinalgSvdBackward0")
def _svdvals(A):
    return np.linalg.svd(A, compute_uv=False)


def _svdvals_gradient(grad, A):
    u, _, vh = factors(A, False)
    return (u * row(grad)) @ vh


gradient(_svdvals, A=_svdvals_gradient)


def factors(A: Tensor, full: bool) -> tuple[Tensor, Tensor, Tensor]:
    """U, S and V^H without checks."""
    *batch, rows, columns = A._shape
    k = min(rows, columns)
    u, vh = ((rows, rows), (columns, columns)) if full else ((rows, k), (k, columns))
    return _svd(  # type: ignore[no-any-return]
        A,
        full=full,
        shape=((*batch, *u), (*batch, k), (*batch, *vh)),
        dtype=(A.dtype, A.dtype.to_real(), A.dtype),
    )


def _check(name: str, A: Tensor, driver: Any = None) -> None:
    check_matrix(name, A)
    check_numbers(name, A, "linalg_svd_cpu")
    if driver is not None:
        raise RuntimeError(
            "torch.linalg.svd: keyword argument `driver=` is only supported on CUDA inputs with "
            "cuSOLVER backend."
        )
    finite = np.isfinite(A._array())
    if not finite.all():
        good = finite.all((-2, -1)).reshape(-1)
        where = f"(Batch element {int(np.argmin(good))}): " if A.ndim > 2 else ""
        raise LinAlgError(
            f"linalg.svd: {where}The algorithm failed to converge because the input matrix "
            "contained non-finite values."
        )


def singular_values(name: str, A: Tensor) -> Tensor:
    """The singular values after the checks of ``name``."""
    _check(name, A)
    shape = (*A._shape[:-2], min(A._shape[-2:]))
    return _svdvals(A, shape=shape, dtype=A.dtype.to_real())


def _declare_svds() -> None:
    def svd(A: Tensor, full_matrices: bool = True, *, driver: Any = None) -> Any:
        """U, S, V^H with ``A = U diag(S) V^H``: orthonormal columns, singular values (descending),
        orthonormal rows.

        Args:
            full_matrices: U and V^H are square.
            driver: chooses between GPU algorithms; must be None.
        """
        _check("linalg.svd", A, driver)
        return return_types.linalg_svd(factors(A, bool(full_matrices)))

    operator(**LINALG)(svd)

    def old(input: Tensor, some: bool = True, compute_uv: bool = True) -> Any:
        _check("linalg.svd", input)
        if compute_uv:
            u, s, vh = factors(input, not some)
            return return_types.svd((u, s, adjoint(vh)))
        *batch, rows, columns = input._shape
        zeros = [Tensor._zeros((*batch, n, n), input.dtype) for n in (rows, columns)]
        return return_types.svd((zeros[0], singular_values("linalg.svd", input), zeros[1]))

    old.__name__, old.__doc__ = "svd", "U, S, V with ``input = U diag(S) V^H``."
    operator()(old)


_declare_svds()


@operator(**LINALG)
def svdvals(A: Tensor, *, driver: Any = None) -> Tensor:
    """The singular values, descending."""
    _check("linalg.svd", A, driver)
    return singular_values("linalg.svd", A)


# -------------------------------------------------------------------- thresholds


def _tolerances(input: Tensor, atol: Any, rtol: Any) -> tuple[Any, Any]:
    """The absolute and the relative threshold: numbers, or tensors that broadcast to the batch."""
    if rtol is None:
        given = isinstance(atol, Tensor) or (atol is not None and atol > 0)
        machine = finfo(input.dtype.to_real()).eps * max(input._shape[-2:])
        if isinstance(atol, Tensor):
            rtol = ops.where(atol > 0, 0.0, machine).to(input.dtype.to_real())
        else:
            rtol = 0.0 if given else machine
    return (0.0 if atol is None else atol), rtol


def _threshold(values: Tensor, atol: Any, rtol: Any) -> Tensor:
    """max(atol, rtol * the largest value), with one more dimension of size 1."""
    atol, rtol = _as_tensors(atol, rtol, values.dtype)
    return column(ops.maximum(atol, rtol * values.amax(-1)))


def _as_tensors(atol: Any, rtol: Any, dtype: Any) -> tuple[Tensor, Tensor]:
    for argument, value in (("atol", atol), ("rtol", rtol)):
        if isinstance(value, Tensor) and value.is_complex():
            raise RuntimeError(
                f"torch.linalg.pinv: {argument} tensor of complex type is not supported."
            )
    return as_tensor(atol, dtype), as_tensor(rtol, dtype)


def _magnitudes(input: Tensor, hermitian: bool) -> Tensor:
    """Singular values; of Hermitian matrices from the eigenvalues."""
    if hermitian:
        return eigvalsh(input).abs()
    return singular_values("linalg.svd", input)


@operator(**LINALG)
def matrix_rank(
    input: Tensor,
    tol: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Tensor:
    """How many singular values are larger than max(atol, rtol * the largest).

    Args:
        tol: the threshold itself.
        hermitian: takes the absolute eigenvalues, which are cheaper.
        rtol: max(m, n) times the distance of 1 to the next number when neither is given.
    """
    check_matrix("torch.linalg.matrix_rank", input, "input")
    kind = input.dtype
    if kind.itemsize < 4 or not (kind.is_floating_point or kind.is_complex):
        raise RuntimeError("This function doesn't handle types other than float and double")
    input = input.detach()
    if tol is not None:
        atol, rtol = tol, 0.0
    atol, rtol = _tolerances(input, atol, rtol)
    values = _magnitudes(input, hermitian)
    if not min(input._shape[-2:]):
        return Tensor._zeros(input._shape[:-2], dtypes.int64)
    return (values > _threshold(values, atol, rtol)).sum(-1)


def _above(values, atol, rtol):
    largest = values.max(-1)
    return values > np.maximum(atol, rtol * largest)[..., None]


@primitive("linalg_pinv", "LinalgPinvBackward0")
def _pinv(input, atol, rtol, *, hermitian):
    if hermitian:
        values, vectors = np.linalg.eigh(input)
        kept = _above(np.abs(values), atol, rtol)
        inverted = np.where(kept, 1 / np.where(kept, values, 1), 0).astype(values.dtype)
        return (vectors * inverted[..., None, :]) @ np.conj(np.swapaxes(vectors, -2, -1))
    u, s, vh = np.linalg.svd(input, False)
    kept = _above(s, atol, rtol)
    inverted = np.where(kept, 1 / np.where(kept, s, 1), 0).astype(s.dtype)
    v = np.conj(np.swapaxes(vh, -2, -1))
    return (v * inverted[..., None, :]) @ np.conj(np.swapaxes(u, -2, -1))


def pinv_gradient(grad: Tensor, input: Tensor, result: Tensor) -> Tensor:
    """With P = A^+: -P^H G P^H + (I - A P) G^H P P^H + P^H P G^H (I - P A)
    (G. Golub, V. Pereyra, The differentiation of pseudo-inverses, 1973)."""
    turned, g = adjoint(result), adjoint(grad)
    first = g @ (result @ turned)
    second = (turned @ result) @ g
    return (
        first
        - input @ (result @ first)
        + second
        - (second @ result) @ input
        - turned @ (grad @ turned)
    )


gradient(_pinv, input=pinv_gradient)


@operator(**LINALG)
def pinv(
    input: Tensor,
    rcond: Any = None,
    hermitian: bool = False,
    *,
    atol: Any = None,
    rtol: Any = None,
) -> Tensor:
    """The Moore-Penrose pseudo-inverse: singular values up to max(atol, rtol * the largest) count
    as zero.

    Args:
        rcond: the older name of ``rtol``.
        hermitian: takes eigenvalues instead of singular values.
    """
    kind = input.dtype
    if input.ndim < 2 or kind.itemsize < 4 or not (kind.is_floating_point or kind.is_complex):
        shape = ", ".join(str(size) for size in input._shape)
        raise RuntimeError(
            f"linalg.pinv({kind.letter}{{[{shape}]}}): expected a tensor with 2 or more dimensions "
            "of float, double, cfloat or cdouble types"
        )
    if hermitian:
        check_square("linalg.eigh", input)
    *batch, rows, columns = input._shape
    if not rows or not columns:
        return adjoint(input).clone()
    atol, rtol = _tolerances(input, atol, rcond if rtol is None else rtol)
    atol, rtol = (t.detach() for t in _as_tensors(atol, rtol, input.dtype.to_real()))
    return _pinv(input, atol, rtol, hermitian=bool(hermitian), shape=(*batch, columns, rows))


@operator(out=False)
def pinverse(input: Tensor, rcond: float = 1e-15) -> Tensor:
    """``linalg.pinv`` with a relative threshold."""
    return pinv(input, rcond)


# -------------------------------------------------------------------- least squares


@primitive("linalg_lstsq", "LinalgLstsqBackward0")
def _lstsq(input, b, *, rcond):
    u, s, vh = np.linalg.svd(input, False)
    largest = np.max(s, -1, keepdims=True, initial=0)
    kept = s > rcond * largest
    inverted = np.where(kept, 1 / np.where(kept, s, 1), 0).astype(s.dtype)
    inner = inverted[..., None] * (np.conj(np.swapaxes(u, -2, -1)) @ b)
    return np.conj(np.swapaxes(vh, -2, -1)) @ inner, kept.sum(-1), s


def _lstsq_gradient(grad, input, b):
    inverse = pinv(input)
    return (
        pinv_gradient(grad @ adjoint(b), input, inverse),
        adjoint(inverse) @ grad,
    )


gradient(_lstsq, joint=_lstsq_gradient)


@primitive("lstsq_residuals")
def _residuals(input, b, solution):
    rest = np.abs(input @ solution - b)
    return np.sum(rest * rest, -2)


not_differentiable(_residuals)


@operator(**LINALG)
def lstsq(input: Tensor, b: Tensor, rcond: float | None = None, *, driver: Any = None) -> Any:
    """The X that makes the norm of ``A X - B`` smallest, and of those the smallest.

    Args:
        rcond: singular values up to this times the largest count as zero.
        driver: LAPACK's name of the algorithm ("gels", "gelsy", "gelsd" or "gelss"), which decides
            what is returned besides the solution: the residuals (of systems of full rank with more
            rows than columns), the rank (not for gels), the singular values (gelsd, gelss).
    """
    name = "torch.linalg.lstsq"
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    if b.ndim < 1:
        raise RuntimeError(f"{name}: other must have at least 1 dimension.")
    if input.dtype is not b.dtype:
        raise RuntimeError(
            f"{name}: Expected input and other to have the same dtype, but got input's dtype "
            f"{input.dtype.letter} and other's dtype {b.dtype.letter}"
        )
    kind = input.dtype
    if not (kind.is_floating_point or kind.is_complex) or kind.itemsize < 4:
        raise RuntimeError("This function doesn't handle types other than float and double")
    driver = "gelsy" if driver is None else driver
    if driver not in ("gels", "gelsy", "gelsd", "gelss"):
        raise RuntimeError(
            f"{name}: parameter `driver` should be one of (gels, gelsy, gelsd, gelss)"
        )
    rows, columns = input._shape[-2:]
    vector = input.ndim - 1 == b.ndim and b._shape == input._shape[:-1]
    right = column(b) if vector else b
    if right._shape[-2] != rows:
        raise RuntimeError(f"{name}: input.size(-2) should match other.size(-2)")
    batch = batch_of(input, right)
    matrix = input.expand((*batch, rows, columns))
    right = right.expand((*batch, rows, right._shape[-1]))
    precision = finfo(kind.to_real()).eps * max(rows, columns) if rcond is None else rcond
    shape = (*batch, columns, right._shape[-1])
    solution, rank, values = _lstsq(
        matrix,
        right,
        rcond=0.0 if driver == "gels" else float(precision),
        shape=(shape, batch, (*batch, min(rows, columns))),
        dtype=(kind, dtypes.int64, kind.to_real()),
    )
    full = rows > columns and (driver == "gels" or bool((rank._array() == columns).all()))
    empty = Tensor._zeros((0,), kind.to_real())
    residuals = (
        _residuals(matrix, right, solution, shape=(*batch, shape[-1]), dtype=kind.to_real())
        if full and driver != "gelsy"
        else empty
    )
    return return_types.linalg_lstsq(
        (
            solution.squeeze(-1) if vector else solution,
            residuals,
            Tensor._zeros((0,), dtypes.int64) if driver == "gels" else rank,
            values if driver in ("gelsd", "gelss") else empty,
        )
    )
