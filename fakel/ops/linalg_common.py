"""What linear algebra shares: checks of arguments, errors of factorisations, triangular systems.

Matrices are the last two dimensions of a tensor; those before are a batch.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fakel.ops.declare import broadcast_shapes
from fakel.tensor import Tensor, dtypes

LINALG: dict[str, Any] = {"namespace": "linalg", "method": False}
_BLOCK = 32


class _LinAlgError(RuntimeError):
    """A matrix that has no such factorisation or inverse."""


LinAlgError = _LinAlgError


def check_matrix(name: str, tensor: Tensor, argument: str = "A") -> None:
    """Refuses what has fewer than two dimensions."""
    if not isinstance(tensor, Tensor):
        raise TypeError(
            f"{name.replace('.', '_')}(): argument '{argument}' (position 1) must be Tensor, not "
            f"{type(tensor).__name__}"
        )
    if tensor.ndim < 2:
        raise RuntimeError(f"{name}: The input tensor {argument} must have at least 2 dimensions.")


def check_square(name: str, tensor: Tensor, argument: str = "A") -> None:
    """Refuses what is not a batch of square matrices."""
    check_matrix(name, tensor, argument)
    rows, columns = tensor._shape[-2:]
    if rows != columns:
        raise RuntimeError(
            f"{name}: {argument} must be batches of square matrices, but they are {rows} by "
            f"{columns} matrices"
        )


def check_numbers(name: str, tensor: Tensor, kernel: str = "") -> None:
    """Refuses integers, and 16-bit numbers (as the kernel that would have been called says)."""
    kind = tensor.dtype
    if not (kind.is_floating_point or kind.is_complex):
        raise RuntimeError(
            f"{name}: Expected a floating point or complex tensor as input. Got {kind.letter}"
        )
    if kind.itemsize < 4:
        if kernel:
            raise NotImplementedError(f"\"{kernel}\" not implemented for '{kind.letter}'")
        raise RuntimeError(f"{name}: Low precision dtypes not supported. Got {kind.letter}")


def check_kernel(kernel: str, tensor: Tensor) -> None:
    """Refuses integers and 16-bit numbers in the words of a missing kernel."""
    kind = tensor.dtype
    if not (kind.is_floating_point or kind.is_complex) or kind.itemsize < 4:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{kind.letter}'")


def check_system(name: str, A: Tensor, B: Tensor, left: bool) -> None:
    """Refuses A and B that do not fit into ``A X = B``, or ``X A = B`` when not ``left``."""
    n = A._shape[-1]
    rows, columns = B._shape[-2:]
    if (rows if left else columns) != n:
        raise RuntimeError(
            f"{name}: Incompatible shapes of A and B for the equation {'AX' if left else 'XA'} = B "
            f"({A._shape[-2]}x{n} and {rows}x{columns})"
        )


def adjoint(tensor: Tensor) -> Tensor:
    """The conjugate transpose."""
    return tensor.transpose(-2, -1).conj()  # type: ignore[attr-defined, no-any-return]


def column(tensor: Tensor) -> Tensor:
    """Vectors as matrices of one column."""
    return tensor.unsqueeze(-1)  # type: ignore[attr-defined, no-any-return]


def row(tensor: Tensor) -> Tensor:
    """Vectors as matrices of one row."""
    return tensor.unsqueeze(-2)  # type: ignore[attr-defined, no-any-return]


def as_diagonal(tensor: Tensor) -> Tensor:
    """Vectors as diagonal matrices."""
    return tensor.diag_embed()  # type: ignore[attr-defined, no-any-return]


def identity(n: int, like: Tensor) -> Tensor:
    """The n x n identity matrix in the dtype of a tensor."""
    return Tensor._from_array(np.eye(n), like.dtype)


def without_diagonal(tensor: Tensor) -> Tensor:
    """Square matrices with zeros on the diagonal."""
    n = tensor._shape[-1]
    return tensor.masked_fill(Tensor._from_array(np.eye(n, dtype=bool)), 0)  # type: ignore[attr-defined, no-any-return]


def no_errors(tensor: Tensor) -> Tensor:
    """The code 0 for each matrix."""
    return Tensor._zeros(tensor._shape[:-2], dtypes.int32)


def raise_failures(info: Tensor, describe: Callable[[str, int], str]) -> None:
    """Computes what was recorded and raises where a factorisation failed.

    Args:
        info: a code for each matrix, not 0 where it failed.
        describe: the message from the place in the batch ("" for a single matrix) and the code.

    Raises:
        LinAlgError: at the caller's own line, which is why this computes at once.
    """
    codes = info._array()
    if not codes.any():
        return
    first = int(np.argmax(codes.reshape(-1) != 0))
    where = f"(Batch element {first}): " if codes.ndim else ""
    raise LinAlgError(describe(where, int(codes.reshape(-1)[first])))


def batch_of(*tensors: Tensor) -> tuple[int, ...]:
    """The batch shape that the tensors' batches broadcast to."""
    return broadcast_shapes(*(tensor._shape[:-2] for tensor in tensors))


def each_matrix(array: np.ndarray) -> np.ndarray:
    """The batch as one dimension."""
    return array.reshape((int(np.prod(array.shape[:-2])), *array.shape[-2:]))


def rows_of(array: np.ndarray) -> np.ndarray:
    """The batch of vectors as one dimension."""
    return array.reshape((int(np.prod(array.shape[:-1])), array.shape[-1]))


def cheap_size(values: np.ndarray) -> np.ndarray:
    """|Re| + |Im|, by which LAPACK chooses pivots."""
    return np.abs(values.real) + np.abs(values.imag)


def solve_triangle(A: np.ndarray, B: np.ndarray, upper: bool, unitriangular: bool) -> np.ndarray:
    """Solves ``A X = B`` for triangular matrices; what is beyond the triangle is not looked at.

    The system is halved until it is small, so that most of the work is products of matrices.
    """
    n = A.shape[-1]
    if n <= _BLOCK:
        return _substitute(A, B, upper, unitriangular)
    half = n // 2
    first, second = slice(0, half), slice(half, n)
    if upper:
        first, second = second, first
    solved = solve_triangle(A[..., first, first], B[..., first, :], upper, unitriangular)
    rest = B[..., second, :] - A[..., second, first] @ solved
    other = solve_triangle(A[..., second, second], rest, upper, unitriangular)
    return np.concatenate((other, solved) if upper else (solved, other), -2)


def _substitute(A: np.ndarray, B: np.ndarray, upper: bool, unitriangular: bool) -> np.ndarray:
    n = A.shape[-1]
    shape = np.broadcast_shapes(A.shape[:-2], B.shape[:-2])
    result = np.empty((*shape, *B.shape[-2:]), np.result_type(A, B))
    with np.errstate(all="ignore"):
        for i in reversed(range(n)) if upper else range(n):
            known = slice(i + 1, n) if upper else slice(0, i)
            line = B[..., i, :]
            if known.start != known.stop:
                line = line - (A[..., i, None, known] @ result[..., known, :])[..., 0, :]
            result[..., i, :] = line if unitriangular else line / A[..., i, i, None]
    return result
