"""Products and powers of matrices and vectors."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fakel import ops
from fakel.ops.declare import FUNCTIONS, broadcast_shapes, gradient, operator, primitive, wrap_dim
from fakel.ops.linalg_common import LINALG, adjoint, check_numbers, check_square, each_matrix
from fakel.ops.linalg_solve import inv
from fakel.ops.matmul import matmul as product_of
from fakel.tensor import Tensor, dtypes


def _declare_same_names() -> None:
    def matmul(input: Tensor, other: Tensor) -> Tensor:
        """``torch.matmul``."""
        return product_of(input, other)

    def diagonal(A: Tensor, *, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
        """``torch.diagonal`` of the last two dimensions."""
        return ops.diagonal(A, offset, dim1, dim2)

    def cross(input: Tensor, other: Tensor, *, dim: int = -1) -> Tensor:
        """The cross product of vectors of three elements along a dimension."""
        if input.ndim != other.ndim:
            raise RuntimeError("linalg.cross: inputs must have the same number of dimensions.")
        place = wrap_dim(dim, input.ndim)
        if input._shape[place] != 3 or other._shape[place] != 3:
            raise RuntimeError(
                f"linalg.cross: inputs dimension {dim} must have length 3. Got "
                f"{input._shape[place]} and {other._shape[place]}"
            )
        broadcast_shapes(input._shape, other._shape)
        return FUNCTIONS[""]["cross"](input, other, place)

    operator(**LINALG)(matmul)
    operator(namespace="linalg", method=False, out=False)(diagonal)
    operator(**LINALG)(cross)


_declare_same_names()


@operator(**LINALG)
def vecdot(x: Tensor, y: Tensor, *, dim: int = -1) -> Tensor:
    """The sum of conj(x) y along a dimension."""
    for tensor in (x, y):
        if not (tensor.is_floating_point() or tensor.is_complex()):
            raise RuntimeError(
                "linalg.vecdot: Expected a floating point or complex tensor as input. Got "
                f"{tensor.dtype.letter}"
            )
    return (x.conj() * y).sum(dim)


def _order(sizes: list[int]) -> list[list[int]]:
    """Where to part each chain of matrices so that the products cost least
    (T. Cormen et al., Introduction to Algorithms, 15.2)."""
    n = len(sizes) - 1
    cost = [[0] * n for _ in range(n)]
    part = [[0] * n for _ in range(n)]
    for length in range(1, n):
        for i in range(n - length):
            j = i + length
            cost[i][j], part[i][j] = min(
                (cost[i][k] + cost[k + 1][j] + sizes[i] * sizes[k + 1] * sizes[j + 1], k)
                for k in range(i, j)
            )
    return part


@operator(**LINALG, backward_name="ViewBackward0")
def multi_dot(tensors: Any) -> Tensor:
    """The product of two or more matrices, in the order that costs least; the first may be a row
    and the last a column given as vectors."""
    matrices = list(tensors)
    if len(matrices) < 2:
        raise RuntimeError(f"multi_dot(): expected at least 2 tensors but got {len(matrices)}")
    first_vector, last_vector = matrices[0].ndim == 1, matrices[-1].ndim == 1
    for place, tensor in (("first", matrices[0]), ("last", matrices[-1])):
        if tensor.ndim not in (1, 2):
            raise RuntimeError(
                f"multi_dot(): the {place} tensor must be 1D or 2D but got {tensor.ndim}D"
            )
    if first_vector:
        matrices[0] = matrices[0].unsqueeze(0)
    if last_vector:
        matrices[-1] = matrices[-1].unsqueeze(-1)
    for i, tensor in enumerate(matrices):
        if tensor.ndim != 2:
            raise RuntimeError(f"multi_dot(): tensor {i} must be 2D but got {tensor.ndim}D")
        if tensor.dtype is not matrices[0].dtype:
            raise RuntimeError(
                "multi_dot(): all tensors must have be the same dtype but tensor 0 is "
                f"{matrices[0].dtype.c_name} and tensor {i} {tensor.dtype.c_name}"
            )
        if i and matrices[i - 1]._shape[1] != tensor._shape[0]:
            raise RuntimeError(
                f"multi_dot(): tensors {i - 1} and {i} with shapes "
                f"{list(matrices[i - 1]._shape)} and {list(tensor._shape)} cannot be multiplied"
            )
    part = _order([matrices[0]._shape[0], *(matrix._shape[1] for matrix in matrices)])

    def chain(i: int, j: int) -> Tensor:
        return matrices[i] if i == j else chain(i, part[i][j]) @ chain(part[i][j] + 1, j)

    result = chain(0, len(matrices) - 1)
    if first_vector:
        result = result.squeeze(0)
    return result.squeeze(-1) if last_vector else result


@operator(**LINALG)
def vander(x: Tensor, *, N: int | None = None) -> Tensor:
    """Vandermonde matrices: the powers 0 to N - 1 (as many as elements) of elements, as rows."""
    kind = x.dtype
    if kind is dtypes.bool_ or (kind.is_floating_point and kind.itemsize == 2):
        raise RuntimeError(
            "linalg.vander supports floating point, complex, and integer tensors, but got "
            f"{kind.letter}"
        )
    x = x if x.ndim else x.unsqueeze(0)
    n = x._shape[-1] if N is None else N
    if n <= 1:
        raise RuntimeError("N must be greater than 1.")
    powers = x.unsqueeze(-1).expand((*x._shape, n - 1)).cumprod(-1)
    ones = Tensor._ones((*x._shape, 1), powers.dtype)
    return ops.cat([ones, powers], -1)


def _power(name: str, input: Tensor, n: int) -> Tensor:
    if isinstance(n, (bool, float)) or not hasattr(n, "__index__"):
        raise TypeError(f"{name}(): argument 'n' (position 2) must be int, not {type(n).__name__}")
    check_square("linalg.matrix_power", input)
    n = int(n)
    if n < 0:
        return _power(name, inv(input), -n)
    if n == 0:
        size = input._shape[-1]
        unit = Tensor._from_array(np.eye(size), input.dtype)
        return (
            unit.expand(input._shape).clone() + input * 0
            if input.requires_grad
            else (unit.expand(input._shape).clone())
        )
    result: Tensor | None = None
    while True:
        if n & 1:
            result = input if result is None else result @ input
        n >>= 1
        if not n:
            return result.clone() if result is input else result
        input = input @ input


def _declare_powers() -> None:
    def matrix_power(input: Tensor, n: int) -> Tensor:
        """The n-th power of square matrices; negative powers are those of the inverse."""
        return _power("linalg_matrix_power", input, n)

    operator(**LINALG)(matrix_power)

    def old(input: Tensor, n: int) -> Tensor:
        return _power("matrix_power", input, n)

    old.__name__, old.__doc__ = "matrix_power", "``linalg.matrix_power``."
    operator()(old)


_declare_powers()

# -------------------------------------------------------------------- the exponential

_DEGREE = 20
_NORM = 1.0


@primitive("linalg_matrix_exp", "LinalgMatrixExpBackward0")
def _matrix_exp(input):
    """The Taylor series of degree 19 of the matrices divided by a power of two, then squared that
    often (M. Paterson, L. Stockmeyer, 1973, for how the polynomial is evaluated)."""
    # squaring doubles errors, so single precision is computed in double
    matrices = each_matrix(input).astype(np.result_type(input, np.float64))
    if not matrices.size:
        return input.copy()
    norms = np.abs(matrices).sum(-2).max(-1)
    ratio = np.where(np.isfinite(norms) & (norms > _NORM), norms / _NORM, 1)
    squarings = np.ceil(np.log2(ratio)).astype(int)
    scaled = matrices / (2.0**squarings)[:, None, None]
    powers = [np.broadcast_to(np.eye(scaled.shape[-1], dtype=scaled.dtype), scaled.shape), scaled]
    for _ in range(3):
        powers.append(powers[-1] @ scaled)
    result = np.zeros_like(scaled)
    for start in reversed(range(0, _DEGREE, 4)):
        terms = sum(powers[j] / math.factorial(start + j) for j in range(4))
        result = result @ powers[4] + terms
    for step in range(int(squarings.max())):
        result = np.where((step < squarings)[:, None, None], result @ result, result)
    return result.reshape(input.shape)


def _matrix_exp_gradient(grad, input):
    """The upper right block of exp([[A^H, grad], [0, A^H]]) (C. Van Loan, 1978)."""
    n = input._shape[-1]
    turned = adjoint(input)
    upper = ops.cat([turned, grad], -1)
    lower = ops.cat([turned * 0, turned], -1)
    block = _matrix_exp(ops.cat([upper, lower], -2))
    return block.narrow(-2, 0, n).narrow(-1, n, n)


gradient(_matrix_exp, input=_matrix_exp_gradient)


def _declare_exponentials() -> None:
    def matrix_exp(input: Tensor) -> Tensor:
        """The sum of A^k / k! over all k."""
        check_square("linalg.matrix_exp", input)
        kind = input.dtype
        if not (kind.is_floating_point or kind.is_complex):
            check_numbers("linalg.matrix_exp", input)
        return _matrix_exp(input)

    operator(namespace="linalg", method=False, out=False)(matrix_exp)
    operator(out=False)(matrix_exp)


_declare_exponentials()
