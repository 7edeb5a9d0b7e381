"""Transforms of vectors and matrices: to the simplex, to triangular and positive definite ones."""

from __future__ import annotations

import math
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.matrices import cholesky
from fakel.distributions.transforms.elementwise import _clipped_sigmoid
from fakel.distributions.transforms.transform import SameOfItsKind, Transform
from fakel.distributions.utils import tril_matrix_to_vec, vec_to_tril_matrix
from fakel.tensor import finfo

__all__ = [
    "CorrCholeskyTransform",
    "LowerCholeskyTransform",
    "PositiveDefiniteTransform",
    "SoftmaxTransform",
    "StickBreakingTransform",
]


def _check_dims(shape: Any, least: int) -> None:
    if len(shape) < least:
        raise ValueError("Too few dimensions on input")


class SoftmaxTransform(SameOfItsKind):
    """``y = exp(x) / sum(exp(x))``: not bijective, since adding a number to x changes nothing."""

    domain = constraints.real_vector
    codomain = constraints.simplex

    def _call(self, x: Any) -> Any:
        weights = (x - x.max(-1, True)[0]).exp()
        return weights / weights.sum(-1, True)

    def _inverse(self, y: Any) -> Any:
        return y.log()

    def forward_shape(self, shape: Any) -> Any:
        _check_dims(shape, 1)
        return shape

    def inverse_shape(self, shape: Any) -> Any:
        _check_dims(shape, 1)
        return shape


class StickBreakingTransform(SameOfItsKind):
    """From K - 1 numbers to the simplex of K: each breaks a share off what is left of a stick.

    The k-th share is ``sigmoid(x[k] - log(K - k))``, k from 1, so that ``x = 0`` gives equal parts.
    (Stan Development Team, "Stan Reference Manual", section "Unit simplex")
    """

    domain = constraints.real_vector
    codomain = constraints.simplex
    bijective = True

    def _call(self, x: Any) -> Any:
        share = _clipped_sigmoid(x - _pieces_left(x).log())
        left = (1 - share).cumprod(-1)
        return ops.pad(share, [0, 1], value=1) * ops.pad(left, [1, 0], value=1)

    def _inverse(self, y: Any) -> Any:
        parts = y[..., :-1]
        left = (1 - parts.cumsum(-1)).clamp(min=finfo(y.dtype).tiny)
        return parts.log() - left.log() + _pieces_left(parts).log()

    def log_abs_det_jacobian(self, x: Any, y: Any) -> Any:
        shifted = x - _pieces_left(x).log()
        return (-shifted + ops.logsigmoid(shifted) + y[..., :-1].log()).sum(-1)

    def forward_shape(self, shape: Any) -> Any:
        _check_dims(shape, 1)
        return shape[:-1] + (shape[-1] + 1,)

    def inverse_shape(self, shape: Any) -> Any:
        _check_dims(shape, 1)
        return shape[:-1] + (shape[-1] - 1,)


def _pieces_left(x: Any) -> Any:
    """K - 1, K - 2, ..., 1 for vectors of K - 1 elements."""
    return x.shape[-1] + 1 - x.new_ones(x.shape[-1]).cumsum(-1)


class CorrCholeskyTransform(Transform):
    """From D (D - 1) / 2 numbers to the lower Cholesky factors of D x D correlation matrices.

    ``tanh`` of the numbers are canonical partial correlations z, row by row below the diagonal;
    every row is a unit vector made from them by breaking sticks:
    ``y[i, j] = z[i, j] * sqrt(prod over k < j of (1 - z[i, k]**2))`` with ``z[i, i] = 1``.
    (D. Lewandowski, D. Kurowicka, H. Joe, "Generating random correlation matrices based on vines
    and extended onion method", 2009)
    """

    domain = constraints.real_vector
    codomain = constraints.corr_cholesky
    bijective = True

    def _call(self, x: Any) -> Any:
        x = x.tanh()
        eps = finfo(x.dtype).eps
        partial = vec_to_tril_matrix(x.clamp(min=-1 + eps, max=1 - eps), diag=-1)
        left = (1 - partial**2).sqrt().cumprod(-1)
        partial = partial + ops.eye(partial.shape[-1], dtype=partial.dtype, device=partial.device)
        return partial * ops.pad(left[..., :-1], [1, 0], value=1)

    def _inverse(self, y: Any) -> Any:
        left = ops.pad((1 - (y * y).cumsum(-1))[..., :-1], [1, 0], value=1)
        partial = tril_matrix_to_vec(y, diag=-1) / tril_matrix_to_vec(left, diag=-1).sqrt()
        return (partial.log1p() - partial.neg().log1p()) / 2

    def log_abs_det_jacobian(self, x: Any, y: Any, intermediates: Any = None) -> Any:
        # the square roots are products over all columns before the last two, hence diag=-2
        left = tril_matrix_to_vec(1 - (y * y).cumsum(-1), diag=-2)
        of_sticks = 0.5 * left.log().sum(-1)
        of_tanh = -2 * (x + ops.softplus(-2 * x) - math.log(2.0)).sum(dim=-1)
        return of_sticks + of_tanh

    def forward_shape(self, shape: Any) -> Any:
        _check_dims(shape, 1)
        count = shape[-1]
        size = round((0.25 + 2 * count) ** 0.5 + 0.5)
        if size * (size - 1) // 2 != count:
            raise ValueError("Input is not a flattened lower-diagonal number")
        return shape[:-1] + (size, size)

    def inverse_shape(self, shape: Any) -> Any:
        _check_dims(shape, 2)
        if shape[-2] != shape[-1]:
            raise ValueError("Input is not square")
        size = shape[-1]
        return shape[:-2] + (size * (size - 1) // 2,)


class LowerCholeskyTransform(SameOfItsKind):
    """From square matrices to lower triangular ones with a positive diagonal, by its exponential.

    Not bijective, since what is above the diagonal does not count.
    """

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.lower_cholesky

    def _call(self, x: Any) -> Any:
        return x.tril(-1) + x.diagonal(dim1=-2, dim2=-1).exp().diag_embed()

    def _inverse(self, y: Any) -> Any:
        return y.tril(-1) + y.diagonal(dim1=-2, dim2=-1).log().diag_embed()


class PositiveDefiniteTransform(Transform):
    """From square matrices to positive definite ones: ``L @ L.T``, L by LowerCholeskyTransform."""

    domain = constraints.independent(constraints.real, 2)
    codomain = constraints.positive_definite

    def _call(self, x: Any) -> Any:
        factor = LowerCholeskyTransform()(x)
        return factor @ factor.mT

    def _inverse(self, y: Any) -> Any:
        return LowerCholeskyTransform().inv(cholesky(y))
