"""QR factors, and products of Householder reflections."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from fakel import ops
from fakel.ops import return_types
from fakel.ops.declare import gradient, operator, primitive
from fakel.ops.linalg_common import (
    LINALG,
    adjoint,
    as_diagonal,
    check_kernel,
    check_matrix,
    check_numbers,
    column,
    identity,
)
from fakel.ops.linalg_triangular import triangular_system
from fakel.tensor import Tensor


@primitive("linalg_qr", "LinalgQrBackward0")
def _qr(A, *, mode):
    if mode == "r":
        return np.zeros(0, A.dtype), np.linalg.qr(A, "r")
    return tuple(np.linalg.qr(A, mode))


def _qr_gradient(grads, A, result, result1, mode):
    grad_q, grad_r = grads
    rows, columns = A._shape[-2:]
    if mode == "r":
        raise RuntimeError(
            "The derivative of linalg.qr depends on Q, which is not computed when mode='r'. Please "
            "use linalg.qr(A, mode='reduced') if you are going to differentiate through linalg.qr."
        )
    if mode == "complete" and rows > columns:
        raise RuntimeError(
            "The QR decomposition is not differentiable when mode='complete' and nrows > ncols."
        )
    extra = columns - rows
    if extra <= 0:
        return (_square_gradient(grad_q, grad_r, result, result1),)
    # the columns after the first square are Q^H times those of A
    if grad_r is None:
        first = _square_gradient(grad_q, None, result, result1.narrow(-1, 0, rows))
        return (ops.cat([first, first.new_zeros((*first._shape[:-1], extra))], -1),)
    tail = grad_r.narrow(-1, rows, extra)
    through = A.narrow(-1, rows, extra) @ adjoint(tail)
    total = through if grad_q is None else grad_q + through
    square = result1.narrow(-1, 0, rows)
    first = _square_gradient(total, grad_r.narrow(-1, 0, rows), result, square)
    return (ops.cat([first, result @ tail], -1),)


def _square_gradient(grad_q: Any, grad_r: Any, q: Tensor, r: Tensor) -> Tensor:
    """(grad_q + Q C(R grad_r^H - grad_q^H Q)) R^-H for at least as many rows as columns, where C
    copies the lower triangle up (M. Seeger et al., Auto-differentiating linear algebra, 2017)."""
    middle = None
    if grad_r is not None:
        middle = r @ adjoint(grad_r)
    if grad_q is not None:
        product = adjoint(grad_q) @ q
        middle = -product if middle is None else middle - product
    lower = middle.tril()
    copied = lower + adjoint(lower)
    copied = q @ (copied - as_diagonal(copied.diagonal(0, -2, -1) * 0.5))
    total = copied if grad_q is None else grad_q + copied
    return triangular_system(adjoint(r), total, False, left=False)


gradient(_qr, joint=_qr_gradient)


def _factors(name: str, A: Tensor, mode: str) -> tuple[Tensor, Tensor]:
    if mode not in ("reduced", "complete", "r"):
        raise RuntimeError(
            f"qr received unrecognized mode '{mode}' but expected one of 'reduced' (default), 'r', "
            "or 'complete'"
        )
    check_matrix(name, A)
    check_numbers(name, A, "geqrf_cpu")
    *batch, rows, columns = A._shape
    k = rows if mode == "complete" else min(rows, columns)
    q_shape = (0,) if mode == "r" else (*batch, rows, k)
    return _qr(  # type: ignore[no-any-return]
        A, mode=mode, shape=(q_shape, (*batch, k, columns)), dtype=(A.dtype, A.dtype)
    )


def _declare_qrs() -> None:
    def qr(A: Tensor, mode: str = "reduced") -> Any:
        """Q with orthonormal columns and upper triangular R, with ``A = Q R``.

        Args:
            mode: "reduced", "complete" (Q square) or "r" (Q empty).
        """
        return return_types.linalg_qr(_factors("linalg.qr", A, mode))

    operator(**LINALG)(qr)

    def old(input: Tensor, some: bool = True) -> Any:
        warnings.warn(
            "torch.qr is deprecated in favor of torch.linalg.qr and will be removed in a future "
            "PyTorch release.\nThe boolean parameter 'some' has been replaced with a string "
            "parameter 'mode'.\nQ, R = torch.qr(A, some)\nshould be replaced with\n"
            "Q, R = torch.linalg.qr(A, 'reduced' if some else 'complete')",
            stacklevel=3,
        )
        return return_types.qr(_factors("linalg.qr", input, "reduced" if some else "complete"))

    old.__name__, old.__doc__ = "qr", "``linalg.qr``."
    operator()(old)


_declare_qrs()


@primitive("geqrf")
def _geqrf(input):
    reflections, tau = np.linalg.qr(input, "raw")
    return np.swapaxes(reflections, -2, -1), tau


@operator()
def geqrf(input: Tensor) -> Any:
    """The Householder reflections of a QR factorisation: R in the upper triangle, their vectors
    below it, and their factors ``tau``."""
    if input.ndim < 2:
        raise RuntimeError("torch.geqrf: input must have at least 2 dimensions.")
    check_kernel("geqrf_cpu", input)
    *batch, rows, columns = input._shape
    shapes = (input._shape, (*batch, min(rows, columns)))
    return return_types.geqrf(_geqrf(input, shape=shapes, dtype=(input.dtype, input.dtype)))


# -------------------------------------------------------------------- products of reflections


def _compact(vectors: Tensor, tau: Tensor) -> tuple[Tensor, Tensor]:
    """V and T with ``H_1 ... H_k = I - V T V^H``, where ``H_i = I - tau_i v_i v_i^H``.

    T = (I + D S)^-1 D, where D = diag(tau) and S is the upper triangle of V^H V without the
    diagonal (R. Schreiber, C. Van Loan, A storage-efficient WY representation, 1989).
    """
    rows, k = vectors._shape[-2], tau._shape[-1]
    ones = Tensor._from_array(np.eye(rows, k), vectors.dtype)
    v = vectors.narrow(-1, 0, k).tril(-1) + ones
    products = (adjoint(v) @ v).triu(1)
    t = triangular_system(
        identity(k, vectors) + column(tau) * products, as_diagonal(tau), True, True
    )
    return v, t


@operator(**LINALG)
def householder_product(input: Tensor, tau: Tensor) -> Tensor:
    """The first columns of ``H_1 ... H_k``, where ``H_i = I - tau_i v_i v_i^H`` and v_i is the
    input's column i with zeros above the diagonal and 1 on it."""
    name = "torch.linalg.householder_product"
    if input.ndim < 2:
        raise RuntimeError(f"{name}: input must have at least 2 dimensions.")
    rows, columns = input._shape[-2:]
    if rows < columns:
        raise RuntimeError(
            f"{name}: input.shape[-2] must be greater than or equal to input.shape[-1]"
        )
    if columns < tau._shape[-1]:
        raise RuntimeError(
            f"{name}: input.shape[-1] must be greater than or equal to tau.shape[-1]"
        )
    if input.ndim - tau.ndim != 1:
        raise RuntimeError(
            f"{name}: Expected tau to have one dimension less than input, but got tau.ndim equal "
            f"to {tau.ndim} and input.ndim is equal to {input.ndim}"
        )
    if input.dtype is not tau.dtype:
        raise RuntimeError(
            f"{name}: tau dtype {tau.dtype.letter} does not match input dtype {input.dtype.letter}"
        )
    check_kernel("orgqr_cpu", input)
    v, t = _compact(input, tau)
    first = adjoint(v).narrow(-1, 0, columns)
    return Tensor._from_array(np.eye(rows, columns), input.dtype) - v @ (t @ first)


@operator()
def orgqr(input: Tensor, input2: Tensor) -> Tensor:
    """``linalg.householder_product``."""
    return householder_product(input, input2)


@operator()
def ormqr(
    input: Tensor, input2: Tensor, input3: Tensor, left: bool = True, transpose: bool = False
) -> Tensor:
    """``Q C`` (``C Q`` when not ``left``) for ``C = input3`` and ``Q = H_1 ... H_k`` of the
    reflections that ``geqrf`` returns.

    Args:
        transpose: takes the conjugate transpose of Q.
    """
    for argument, tensor in (("input", input), ("other", input3)):
        if tensor.ndim < 2:
            raise RuntimeError(f"torch.ormqr: {argument} must have at least 2 dimensions.")
    side = -2 if left else -1
    if input3._shape[side] != input._shape[-2]:
        raise RuntimeError(f"torch.ormqr: other.shape[{side}] must be equal to input.shape[-2]")
    if input3._shape[side] < input2._shape[-1]:
        raise RuntimeError(
            f"torch.ormqr: other.shape[{side}] must be greater than or equal to tau.shape[-1]"
        )
    if input2._shape[-1] != min(input3._shape[side], input._shape[-1]):
        raise RuntimeError(
            f"torch.ormqr: tau.shape[-1] must be equal to min(other.shape[{side}], input.shape[-1])"
        )
    check_kernel("ormqr_cpu", input)
    v, t = _compact(input, input2)
    if transpose:
        t = adjoint(t)
    if left:
        return input3 - v @ (t @ (adjoint(v) @ input3))
    return input3 - ((input3 @ v) @ t) @ adjoint(v)
