"""Eigenvalues and eigenvectors."""

from __future__ import annotations

import contextlib
from typing import Any

import numpy as np

from fakel.ops import return_types
from fakel.ops.declare import gradient, operator, primitive
from fakel.ops.linalg_common import (
    LINALG,
    LinAlgError,
    adjoint,
    as_diagonal,
    check_kernel,
    check_square,
    column,
    identity,
    row,
    without_diagonal,
)
from fakel.ops.linalg_solve import solve
from fakel.tensor import Tensor


@primitive("linalg_eigh", "LinalgEighBackward0")
def _eigh(input, *, uplo):
    try:
        return tuple(np.linalg.eigh(input, uplo))
    except np.linalg.LinAlgError:
        return _eigh_one_by_one(input, uplo)


def _eigh_one_by_one(input: np.ndarray, uplo: str) -> tuple[np.ndarray, np.ndarray]:
    """NaN for the matrices for which the algorithm fails."""
    values = np.full(input.shape[:-1], np.nan, input.real.dtype)
    vectors = np.full(input.shape, np.nan, input.dtype)
    for place in np.ndindex(input.shape[:-2]):
        with contextlib.suppress(np.linalg.LinAlgError):
            values[place], vectors[place] = np.linalg.eigh(input[place], uplo)
    return values, vectors


def _eigh_gradient(grads, result, result1):
    """V (diag(grad_values) + (M - M^H) / 2E) V^H with M = V^H grad_vectors, E_ij = l_j - l_i."""
    values, vectors = result, result1
    middle = None
    if grads[1] is not None:
        gaps = row(values) - column(values) + identity(values._shape[-1], values)
        product = adjoint(vectors) @ grads[1]
        middle = without_diagonal((product - adjoint(product)) / 2 / gaps)
    if grads[0] is not None:
        diagonal = as_diagonal(grads[0]).to(vectors.dtype)
        middle = diagonal if middle is None else middle + diagonal
    return (vectors @ middle @ adjoint(vectors),)


gradient(_eigh, joint=_eigh_gradient)


def _hermitian(input: Tensor, UPLO: str) -> tuple[Tensor, Tensor]:
    check_square("linalg.eigh", input)
    check_kernel("linalg_eigh_cpu", input)
    if not isinstance(UPLO, str) or UPLO.upper() not in ("L", "U"):
        raise RuntimeError(f"Expected UPLO argument to be 'L' or 'U', but got {UPLO}")
    parts = _eigh(
        input,
        uplo=UPLO.upper(),
        shape=(input._shape[:-1], input._shape),
        dtype=(input.dtype.to_real(), input.dtype),
    )
    _refuse_unordered(parts[0], input)
    return parts  # type: ignore[no-any-return]


def _refuse_unordered(values: Tensor, input: Tensor) -> None:
    """Raises where the algorithm found no values, which the numbers that are none tell."""
    array = values._array()
    failed = np.isnan(array).any(-1)
    if failed.any():
        first = int(np.argmax(failed.reshape(-1)))
        where = f"(Batch element {first}): " if input.ndim > 2 else ""
        raise LinAlgError(
            f"linalg.eigh: {where}The algorithm failed to converge because the input matrix is "
            "ill-conditioned or has too many repeated eigenvalues (error code: "
            f"{max(input._shape[-1] - 1, 1)})."
        )


@operator(**LINALG)
def eigh(input: Tensor, UPLO: str = "L") -> Any:
    """The eigenvalues (real, ascending) and eigenvectors (columns) of Hermitian matrices.

    Args:
        UPLO: which triangle counts, "L" or "U".
    """
    return return_types.linalg_eigh(_hermitian(input, UPLO))


@operator(**LINALG)
def eigvalsh(input: Tensor, UPLO: str = "L") -> Tensor:
    """The eigenvalues of Hermitian matrices, ascending."""
    return _hermitian(input, UPLO)[0]


@primitive("linalg_eig", "LinalgEigBackward0")
def _eig(input):
    return tuple(np.linalg.eig(input))


def _eig_gradient(grads, result, result1):
    """V^-H (diag(grad_values) + (M - V^H V Re diag M) / E) V^H, where M = V^H grad_vectors and
    E_ij is the conjugate of l_j - l_i; vectors are of length 1."""
    values, vectors = result, result1
    turned = adjoint(vectors)
    middle = None
    if grads[1] is not None:
        product = turned @ grads[1]
        lengths = product.diagonal(0, -2, -1).real.to(vectors.dtype)
        gaps = (row(values) - column(values)).conj() + identity(values._shape[-1], values)
        middle = without_diagonal((product - turned @ (vectors * row(lengths))) / gaps)
    if grads[0] is not None:
        diagonal = as_diagonal(grads[0])
        middle = diagonal if middle is None else middle + diagonal
    return (solve(turned, middle @ turned),)


gradient(_eig, joint=_eig_gradient)


def _general(name: str, input: Tensor) -> tuple[Tensor, Tensor]:
    check_square(name, input)
    kind = input.dtype
    if not (kind.is_floating_point or kind.is_complex):
        raise RuntimeError(f"Unknown Complex ScalarType for {kind.letter}")
    check_kernel("linalg_eig_out_cpu", input)
    if not np.isfinite(input._array()).all():
        raise RuntimeError("torch.linalg.eig: input tensor should not contain infs or NaNs.")
    found = kind.to_complex()
    return _eig(input, shape=(input._shape[:-1], input._shape), dtype=(found, found))  # type: ignore[no-any-return]


@operator(**LINALG)
def eig(input: Tensor) -> Any:
    """The complex eigenvalues and eigenvectors (columns of length 1) of square matrices."""
    return return_types.linalg_eig(_general("linalg.eig", input))


@operator(**LINALG)
def eigvals(input: Tensor) -> Tensor:
    """The complex eigenvalues of square matrices."""
    return _general("linalg.eigvals", input)[0]
