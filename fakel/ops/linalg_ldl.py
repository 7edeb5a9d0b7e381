"""LDL factors of symmetric and Hermitian matrices that need not be positive-definite, with the
pivoting of J. Bunch and L. Kaufman (Some stable methods for calculating inertia and solving
symmetric linear systems, 1977): ``A = P L D L^H P^H``, where D has blocks of size 1 and 2."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakel.ops import return_types
from fakel.ops.declare import operator, primitive
from fakel.ops.linalg_common import (
    LINALG,
    batch_of,
    cheap_size,
    check_numbers,
    check_square,
    check_system,
    each_matrix,
    rows_of,
)
from fakel.tensor import Tensor, dtypes

# the threshold that bounds the growth of elements over blocks of size 1 and 2 alike
_ALPHA = (1 + 17**0.5) / 8


def _turn(values: np.ndarray, hermitian: bool) -> np.ndarray:
    return values.conj() if hermitian else values.copy()


def _pivot(a: np.ndarray, k: int) -> tuple[int, int]:
    """The row to exchange and the size of the block at k; 0 for a column of zeros."""
    n = len(a)
    diagonal = float(cheap_size(a[k, k]))
    below = cheap_size(a[k + 1 :, k])
    largest = float(below.max()) if k + 1 < n else 0.0
    if max(diagonal, largest) == 0 or np.isnan(diagonal):
        return k, 0
    if diagonal >= _ALPHA * largest:
        return k, 1
    row = k + 1 + int(np.argmax(below))
    others = np.concatenate((cheap_size(a[row, k:row]), cheap_size(a[row + 1 :, row])))
    across = float(others.max())
    if diagonal >= _ALPHA * largest * (largest / across):
        return k, 1
    return row, 1 if float(cheap_size(a[row, row])) >= _ALPHA * across else 2


def _exchange(a: np.ndarray, first: int, second: int, hermitian: bool) -> None:
    """Exchanges two rows and columns of what is left of the lower triangle."""
    a[second + 1 :, [first, second]] = a[second + 1 :, [second, first]]
    between = slice(first + 1, second)
    kept = _turn(a[between, first], hermitian)
    a[between, first] = _turn(a[second, between], hermitian)
    a[second, between] = kept
    if hermitian:
        a[second, first] = a[second, first].conj()
    a[first, first], a[second, second] = a[second, second], a[first, first]


def _factor(matrix: np.ndarray, hermitian: bool) -> tuple[np.ndarray, np.ndarray, int]:
    """L below the diagonal and D on it, the exchanges (from 1; negative for a block of size 2), and
    the number of the first zero block or 0."""
    a = np.tril(matrix)
    n = len(a)
    if hermitian:
        np.fill_diagonal(a, a.diagonal().real)
    pivots = np.zeros(n, np.int32)
    info = k = 0
    while k < n:
        other, size = _pivot(a, k)
        if not size:
            info = info or k + 1
            pivots[k] = k + 1
            k += 1
            continue
        last = k + size - 1
        if other != last:
            _exchange(a, last, other, hermitian)
            if size == 2:
                a[[k + 1, other], k] = a[[other, k + 1], k]
        end = k + size
        block = a[k:end, k:end].copy()
        if size == 2:
            block[0, 1] = block[1, 0].conj() if hermitian else block[1, 0]
        columns = a[end:, k:end]
        scaled = columns @ np.linalg.inv(block)
        a[end:, end:] -= np.tril(scaled @ _turn(columns, hermitian).T)
        a[end:, k:end] = scaled
        pivots[k:end] = other + 1 if size == 1 else -(other + 1)
        k = end
    return a, pivots, info


@primitive("linalg_ldl_factor_ex")
def _ldl_factor(input, *, hermitian):
    found = [_factor(matrix, hermitian) for matrix in each_matrix(input)]
    batch, n = input.shape[:-2], input.shape[-1]
    return (
        np.array([a for a, _, _ in found], input.dtype).reshape(input.shape),
        np.array([pivots for _, pivots, _ in found], np.int32).reshape(*batch, n),
        np.array([info for _, _, info in found], np.int32).reshape(batch),
    )


def _factored(input: Tensor, hermitian: bool) -> tuple[Tensor, Tensor, Tensor]:
    name = "torch.linalg.ldl_factor_ex"
    check_square(name, input)
    check_numbers(name, input, "ldl_factor_kernel_cpu")
    batch = tuple(input._shape[:-2])
    return _ldl_factor(  # type: ignore[no-any-return]
        input,
        hermitian=bool(hermitian) and input.is_complex(),
        shape=(input._shape, (*batch, input._shape[-1]), batch),
        dtype=(input.dtype, dtypes.int32, dtypes.int32),
    )


def _refuse_zero_block(name: str, info: Tensor) -> None:
    codes = info._array()
    if codes.any():
        first = int(np.argmax(codes.reshape(-1) != 0))
        where = f"(Batch element {first}): " if codes.ndim else ""
        place = int(codes.reshape(-1)[first])
        raise RuntimeError(
            f"torch.linalg.{name}: {where}D[{place},{place}] is zero and using it on ldl_solve "
            "would result in a division by zero."
        )


@operator(**LINALG)
def ldl_factor(input: Tensor, *, hermitian: bool = False) -> Any:
    """The LDL factors of symmetric (or Hermitian) matrices in one, and the exchanges, as
    ``ldl_solve`` takes them. Only the lower triangle counts.

    Raises:
        RuntimeError: where D has a block of zeros.
    """
    factors, pivots, info = _factored(input, hermitian)
    _refuse_zero_block("ldl_factor", info)
    return return_types.linalg_ldl_factor((factors, pivots))


@operator(**LINALG)
def ldl_factor_ex(input: Tensor, *, hermitian: bool = False, check_errors: bool = False) -> Any:
    """``ldl_factor`` that takes blocks of zeros, and the number of the first in each matrix."""
    parts = _factored(input, hermitian)
    if check_errors:
        _refuse_zero_block("ldl_factor_ex", parts[2])
    return return_types.linalg_ldl_factor_ex(parts)


def _solve(a: np.ndarray, pivots: np.ndarray, b: np.ndarray, hermitian: bool) -> np.ndarray:
    result = b.copy()
    n = len(a)
    starts = []
    k = 0
    while k < n:
        size = 1 if pivots[k] > 0 else 2
        end, other = k + size, abs(int(pivots[k])) - 1
        starts.append((k, end, other))
        if other != end - 1:
            result[[end - 1, other]] = result[[other, end - 1]]
        result[end:] -= a[end:, k:end] @ result[k:end]
        block = a[k:end, k:end].copy()
        if size == 2:
            block[0, 1] = block[1, 0].conj() if hermitian else block[1, 0]
            result[k:end] = np.linalg.solve(block, result[k:end])
        else:
            result[k] = result[k] / block[0, 0]
        k = end
    for k, end, other in reversed(starts):
        result[k:end] -= _turn(a[end:, k:end], hermitian).T @ result[end:]
        if other != end - 1:
            result[[end - 1, other]] = result[[other, end - 1]]
    return result


@primitive("linalg_ldl_solve")
def _ldl_solve(LD, pivots, B, *, hermitian):
    if not B.size:
        return B.copy()
    flat_pivots = rows_of(pivots)
    triples = zip(each_matrix(LD), flat_pivots, each_matrix(B), strict=True)
    with np.errstate(all="ignore"):
        found = [_solve(a, exchanges, b, hermitian) for a, exchanges, b in triples]
    return np.array(found, B.dtype).reshape(B.shape)


@operator(**LINALG)
def ldl_solve(LD: Tensor, pivots: Tensor, B: Tensor, *, hermitian: bool = False) -> Tensor:
    """The X with ``A X = B`` from the LDL factors of A."""
    name = "torch.linalg.ldl_solve"
    check_square(name, LD, "LD")
    check_numbers(name, LD, "ldl_solve_kernel_cpu")
    if B.ndim < 2:
        raise RuntimeError(
            f"{name}: Expected B to have at least 2 dimensions, but it has {B.ndim} dimensions "
            "instead"
        )
    if pivots.is_floating_point() or pivots.is_complex() or pivots.dtype is dtypes.bool_:
        raise RuntimeError(f"{name}: Expected pivots to be integers. Got {pivots.dtype.letter}")
    if LD.dtype is not B.dtype:
        raise RuntimeError(
            f"{name}: LD dtype {LD.dtype.c_name} does not match b dtype {B.dtype.c_name}"
        )
    if tuple(pivots._shape) != tuple(LD._shape[:-1]):
        raise RuntimeError(
            f"{name}: Expected LD.shape[:-1] and pivots.shape to be the same, but got pivots with "
            f"shape {list(pivots._shape)} instead"
        )
    check_system(name, LD, B, True)
    batch = batch_of(LD, B)
    n, columns = B._shape[-2:]
    return _ldl_solve(
        LD.expand((*batch, n, n)),
        pivots.expand((*batch, n)),
        B.expand((*batch, n, columns)),
        hermitian=bool(hermitian) and LD.is_complex(),
        shape=(*batch, n, columns),
        dtype=B.dtype,
    )
