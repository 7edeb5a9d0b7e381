"""Cholesky factors of positive-definite matrices, and solving with them."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fakel.ops import return_types
from fakel.ops.declare import gradient, operator, primitive
from fakel.ops.linalg_common import (
    LINALG,
    adjoint,
    as_diagonal,
    batch_of,
    check_kernel,
    check_numbers,
    check_square,
    each_matrix,
    raise_failures,
    solve_triangle,
)
from fakel.ops.linalg_triangular import check_fit, triangular_system
from fakel.tensor import Tensor, dtypes


def _factor_as_far_as_possible(matrix: np.ndarray) -> tuple[np.ndarray, int]:
    """The factor, and 0 or the order of the first leading minor that is not positive-definite."""
    result = np.tril(matrix)
    for k in range(len(result)):
        pivot = result[k, k].real - np.vdot(result[k, :k], result[k, :k]).real
        if not pivot > 0:
            return result, k + 1
        result[k, k] = np.sqrt(pivot)
        known = result[k + 1 :, :k] @ result[k, :k].conj()
        result[k + 1 :, k] = (result[k + 1 :, k] - known) / result[k, k]
    return result, 0


@primitive("linalg_cholesky_ex", "LinalgCholeskyExBackward0")
def _cholesky(input):
    try:
        return np.linalg.cholesky(input), np.zeros(input.shape[:-2], np.int32)
    except np.linalg.LinAlgError:
        pairs = [_factor_as_far_as_possible(matrix) for matrix in each_matrix(input)]
        factors = np.stack([factor for factor, _ in pairs]).reshape(input.shape)
        return factors, np.array([info for _, info in pairs], np.int32).reshape(input.shape[:-2])


def _cholesky_gradient(grad, result):
    """L^-H F L^-1 made Hermitian, where F is the lower triangle of L^H grad with half of its
    diagonal (I. Murray, Differentiation of the Cholesky decomposition, 2016)."""
    product = adjoint(result) @ grad
    half = product.tril() - as_diagonal(product.diagonal(0, -2, -1) * 0.5)
    upper = adjoint(result)
    inner = triangular_system(upper, half, True)
    found = triangular_system(result, inner, False, left=False)
    return ((found + adjoint(found)) * 0.5,)


gradient(_cholesky, joint=_cholesky_gradient)


def _factors(input: Tensor, upper: bool) -> tuple[Tensor, Tensor]:
    lower = adjoint(input) if upper else input
    found, info = _cholesky(
        lower, shape=(input._shape, input._shape[:-2]), dtype=(input.dtype, dtypes.int32)
    )
    return (adjoint(found) if upper else found), info


def _checked(name: str, input: Tensor, upper: bool, raises: bool, checked: str = "") -> Any:
    check_square(checked or name, input)
    check_numbers(checked or name, input, "cholesky_cpu")
    parts = _factors(input, upper)
    if raises:
        raise_failures(
            parts[1],
            lambda where, code: (
                f"{name}: {where}The factorization could not be completed because the input is not "
                f"positive-definite (the leading minor of order {code} is not positive-definite)."
            ),
        )
    return parts


def _declare_choleskys() -> None:
    def cholesky(input: Tensor, *, upper: bool = False) -> Tensor:
        """The lower triangular L with ``L L^H = A``, or the upper U with ``U^H U = A``, for
        positive-definite A.

        Raises:
            LinAlgError: when A is not positive-definite.
        """
        return _checked("linalg.cholesky", input, upper, True)[0]

    operator(**LINALG)(cholesky)

    def old(input: Tensor, upper: bool = False) -> Tensor:
        warnings.warn(
            "torch.cholesky is deprecated in favor of torch.linalg.cholesky and will be removed in "
            "a future PyTorch release.\nL = torch.cholesky(A)\nshould be replaced with\n"
            "L = torch.linalg.cholesky(A)\nand\nU = torch.cholesky(A, upper=True)\n"
            "should be replaced with\nU = torch.linalg.cholesky(A).mH\nThis transform will produce "
            "equivalent results for all valid (symmetric positive definite) inputs.",
            stacklevel=3,
        )
        check_kernel("cholesky_cpu", input)
        return _checked("cholesky", input, upper, True)[0]

    old.__name__, old.__doc__ = "cholesky", "``linalg.cholesky``."
    operator()(old)


_declare_choleskys()


@operator(**LINALG)
def cholesky_ex(input: Tensor, *, upper: bool = False, check_errors: bool = False) -> Any:
    """``cholesky``, and a code for each matrix: 0, or the order of the first leading minor that is
    not positive-definite."""
    parts = _checked("linalg.cholesky_ex", input, upper, check_errors, "linalg.cholesky")
    return return_types.linalg_cholesky_ex(parts)


@primitive("cholesky_inverse")
def _cholesky_inverse(input, *, upper):
    n = input.shape[-1]
    unit = np.broadcast_to(np.eye(n, dtype=input.dtype), input.shape)
    factor = np.conj(np.swapaxes(input, -2, -1)) if upper else input
    half = solve_triangle(factor, unit, False, False)
    return np.conj(np.swapaxes(half, -2, -1)) @ half


def _cholesky_inverse_gradient(grad, input, result, upper):
    common = -(result @ ((grad + adjoint(grad)) @ result))
    return input @ common if upper else common @ input


gradient(_cholesky_inverse, input=_cholesky_inverse_gradient)


@operator()
def cholesky_inverse(input: Tensor, upper: bool = False) -> Tensor:
    """The inverse of the matrix whose Cholesky factor is given."""
    check_square("cholesky_inverse", input)
    check_kernel("cholesky_inverse_out_cpu", input)
    return _cholesky_inverse(input, upper=bool(upper))


@primitive("cholesky_solve")
def _cholesky_solve(input, input2, *, upper):
    turned = np.conj(np.swapaxes(input2, -2, -1))
    lower, above = (turned, input2) if upper else (input2, turned)
    return solve_triangle(above, solve_triangle(lower, input, False, False), True, False)


def _cholesky_solve_gradient(grad, input2, result, upper):
    grad_b = _cholesky_solve(grad, input2, upper=upper)
    product = grad_b @ adjoint(result)
    common = -(product + adjoint(product))
    return grad_b, input2 @ common if upper else common @ input2


gradient(_cholesky_solve, joint=_cholesky_solve_gradient)


@operator()
def cholesky_solve(input: Tensor, input2: Tensor, upper: bool = False) -> Tensor:
    """The X with ``A X = input``, where ``input2`` is the Cholesky factor of A."""
    for argument, tensor in (("b", input), ("u", input2)):
        if tensor.ndim < 2:
            raise RuntimeError(
                f"{argument} should have at least 2 dimensions, but has {tensor.ndim} dimensions "
                "instead"
            )
    check_fit("cholesky_solve", input, input2)
    check_kernel("cholesky_solve_cpu", input)
    batch = batch_of(input, input2)
    shape = (*batch, *input._shape[-2:])
    return _cholesky_solve(
        input.expand(shape), input2.expand((*batch, *input2._shape[-2:])), upper=bool(upper)
    )
