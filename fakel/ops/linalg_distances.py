"""Distances between all pairs of rows of two matrices."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fakel.ops.declare import broadcast_shapes, function, gradient, primitive
from fakel.tensor import Tensor

_MODES = (
    "use_mm_for_euclid_dist_if_necessary",
    "use_mm_for_euclid_dist",
    "donot_use_mm_for_euclid_dist",
)
# from so many rows on the Euclidean distance is made from a product of matrices
_MANY = 25


@primitive("cdist")
def _cdist(x1, x2, *, p, product):
    if product:
        squares = [np.sum(x * x, -1) for x in (x1, x2)]
        crossed = x1 @ np.swapaxes(x2, -2, -1)
        total = squares[0][..., :, None] + squares[1][..., None, :] - 2 * crossed
        return np.sqrt(np.maximum(total, 0))
    result = np.empty((*x1.shape[:-1], x2.shape[-2]), x1.dtype)
    for i in range(x1.shape[-2]):
        lengths = np.abs(x1[..., i, None, :] - x2)
        if p == 0:
            row = np.count_nonzero(lengths, -1)
        elif p == math.inf:
            row = np.max(lengths, -1, initial=0)
        elif p == 1:
            row = np.sum(lengths, -1)
        elif p == 2:
            row = np.sqrt(np.sum(lengths * lengths, -1))
        else:
            row = np.sum(lengths**p, -1) ** (1 / p)
        result[..., i, :] = row
    return result


def _cdist_gradient(grad, x1, x2, result, p):
    if p == 0:
        return x1 * 0, x2 * 0
    zero = result == 0
    if p == 2:
        scale = (grad / result).masked_fill(zero, 0)
        return (
            x1 * scale.sum(-1, keepdim=True) - scale @ x2,
            x2 * scale.sum(-2).unsqueeze(-1) - scale.transpose(-2, -1) @ x1,
        )
    difference = x1.unsqueeze(-2) - x2.unsqueeze(-3)
    lengths, signs = difference.abs(), difference.sgn()
    if p == 1:
        share = signs * grad.unsqueeze(-1)
    elif p == math.inf:
        share = signs * (lengths == result.unsqueeze(-1)) * grad.unsqueeze(-1)
    else:
        scale = (grad / result.pow(p - 1)).masked_fill(zero, 0)
        powers = lengths.pow(p - 1).masked_fill(difference == 0, 0)
        share = signs * powers * scale.unsqueeze(-1)
    return share.sum(-2), -share.sum(-3)


gradient(_cdist, joint=_cdist_gradient)


@function
def cdist(
    x1: Tensor,
    x2: Tensor,
    p: float = 2.0,
    compute_mode: Any = "use_mm_for_euclid_dist_if_necessary",
) -> Tensor:
    """The p-norm of the difference of each row of x1 and each of x2, (b, n, d) and (b, m, d) ->
    (b, n, m).

    Args:
        compute_mode: whether the Euclidean distance is made from a product of matrices, which is
            fast and less exact: "use_mm_for_euclid_dist_if_necessary" (for more than 25 rows),
            "use_mm_for_euclid_dist" or "donot_use_mm_for_euclid_dist".
    """
    if compute_mode not in _MODES:
        raise ValueError(f"{compute_mode} is not a valid value for compute_mode")
    for name, tensor in (("X1", x1), ("X2", x2)):
        if tensor.ndim < 2:
            raise RuntimeError(
                f"cdist only supports at least 2D tensors, {name} got: {tensor.ndim}D"
            )
    if x1._shape[-1] != x2._shape[-1]:
        raise RuntimeError(
            f"X1 and X2 must have the same number of columns. X1: {x1._shape[-1]} X2: "
            f"{x2._shape[-1]}"
        )
    for name, tensor in (("X1", x1), ("X2", x2)):
        if not tensor.is_floating_point():
            raise RuntimeError(
                f"cdist only supports floating-point dtypes, {name} got: {tensor.dtype.letter}"
            )
    if p < 0:
        raise RuntimeError("cdist only supports non-negative p values")
    if x1.dtype.itemsize < 4:
        raise NotImplementedError(f"\"cdist\" not implemented for '{x1.dtype.letter}'")
    if x1.dtype is not x2.dtype:
        raise RuntimeError(f"expected scalar type {x1.dtype.letter} but found {x2.dtype.letter}")
    batch = broadcast_shapes(x1._shape[:-2], x2._shape[:-2])
    (n, d), m = x1._shape[-2:], x2._shape[-2]
    many = n > _MANY or m > _MANY
    product = compute_mode == _MODES[1] or (compute_mode == _MODES[0] and many)
    return _cdist(
        x1.expand((*batch, n, d)),
        x2.expand((*batch, m, d)),
        p=float(p),
        product=product and p == 2,
        shape=(*batch, n, m),
    )
