"""Systems of equations with a triangular matrix."""

from __future__ import annotations

from typing import Any

from fakel.ops import return_types
from fakel.ops.declare import gradient, operator, primitive
from fakel.ops.linalg_common import (
    LINALG,
    adjoint,
    batch_of,
    check_kernel,
    check_matrix,
    check_square,
    check_system,
    solve_triangle,
)
from fakel.tensor import Tensor


@primitive("linalg_solve_triangular", "LinalgSolveTriangularBackward0")
def _solve_triangular(A, B, *, upper, unitriangular):
    return solve_triangle(A, B, upper, unitriangular)


def _triangular_gradient(grad, A, result, upper, unitriangular):
    grad_b = triangular_system(adjoint(A), grad, not upper, unitriangular)
    grad_a = -(grad_b @ adjoint(result))
    offset = 1 if unitriangular else 0
    return grad_a.triu(offset) if upper else grad_a.tril(-offset), grad_b


gradient(_solve_triangular, joint=_triangular_gradient)


def triangular_system(
    A: Tensor, B: Tensor, upper: bool, unitriangular: bool = False, left: bool = True
) -> Tensor:
    """``solve_triangular`` without checks."""
    if not left:
        turned = triangular_system(
            A.transpose(-2, -1), B.transpose(-2, -1), not upper, unitriangular
        )
        return turned.transpose(-2, -1)
    batch = batch_of(A, B)
    n, columns = B._shape[-2:]
    return _solve_triangular(
        A.expand((*batch, n, n)),
        B.expand((*batch, n, columns)),
        upper=upper,
        unitriangular=unitriangular,
        shape=(*batch, n, columns),
    )


@operator(**LINALG)
def solve_triangular(
    input: Tensor, B: Tensor, *, upper: bool, left: bool = True, unitriangular: bool = False
) -> Tensor:
    """The X with ``A X = B`` (``X A = B`` when not ``left``) for triangular A, the input.

    Args:
        upper: which triangle of A counts.
        unitriangular: the diagonal counts as ones.
    """
    name = "linalg.solve_triangular"
    check_square(name, input)
    check_matrix(name, B, "B")
    check_system(name, input, B, left)
    check_kernel("triangular_solve_cpu", input)
    return triangular_system(input, B, bool(upper), bool(unitriangular), left)


@operator()
def triangular_solve(
    input: Tensor,
    A: Tensor,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> Any:
    """The X with ``A X = input`` for triangular A (transposed when asked for), and a copy of A."""
    for argument, tensor in (("b", input), ("A", A)):
        if tensor.ndim < 2:
            raise RuntimeError(
                f"torch.triangular_solve: Expected {argument} to have at least 2 dimensions, but "
                f"it has {tensor.ndim} dimensions instead"
            )
    check_fit("triangular_solve", input, A)
    check_kernel("triangular_solve_cpu", A)
    matrix = A.transpose(-2, -1) if transpose else A
    found = triangular_system(matrix, input, bool(upper) != bool(transpose), bool(unitriangular))
    cloned = A.expand((*found._shape[:-2], *A._shape[-2:])).clone()
    return return_types.triangular_solve((found, cloned))


def check_fit(name: str, b: Tensor, A: Tensor) -> None:
    """Refuses a matrix that is not square or has not as many rows as the right side."""
    rows, columns = A._shape[-2:]
    if rows != columns:
        raise RuntimeError(
            f"A must be batches of square matrices, but they are {rows} by {columns} matrices"
        )
    if rows != b._shape[-2]:
        raise RuntimeError(
            f"Incompatible matrix sizes for {name}: each A matrix is {rows} by {columns} but each "
            f"b matrix is {b._shape[-2]} by {b._shape[-1]}"
        )
