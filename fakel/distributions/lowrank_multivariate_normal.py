"""The multivariate normal distribution with a covariance matrix of low rank plus a diagonal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.matrices import (
    add_identity,
    batch_mahalanobis,
    batch_mv,
    cholesky,
    log_diagonal,
)
from fakel.distributions.parametric import Parametric
from fakel.distributions.utils import _standard_normal, lazy_property
from fakel.ops.linalg_triangular import solve_triangular
from fakel.tensor import Size

__all__ = ["LowRankMultivariateNormal"]


def _capacitance_tril(factor: Any, diagonal: Any) -> Any:
    """The lower Cholesky factor of the capacitance matrix ``I + W^T D^-1 W``, (..., m, m)."""
    return cholesky(add_identity((factor.mT / diagonal.unsqueeze(-2)) @ factor))


class LowRankMultivariateNormal(Parametric):
    """Normal vectors of n elements with a covariance matrix ``W W^T + diag(d)``.

    W has few columns m: determinant and inverse take an m x m matrix only, the capacitance C, by
    ``det(W W^T + D) = det(C) det(D)`` and Woodbury's identity
    ``(W W^T + D)^-1 = D^-1 - D^-1 W C^-1 W^T D^-1``.

    Args:
        loc: mean, shape (..., n).
        cov_factor: W, shape (..., n, m).
        cov_diag: d, positive, shape (..., n).
    """

    arg_constraints = {
        "loc": constraints.real_vector,
        "cov_factor": constraints.independent(constraints.real, 2),
        "cov_diag": constraints.independent(constraints.positive, 1),
    }
    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self, loc: Any, cov_factor: Any, cov_diag: Any, validate_args: bool | None = None
    ) -> None:
        if loc.dim() < 1:
            raise ValueError("loc must be at least one-dimensional.")
        event_shape = loc.shape[-1:]
        if cov_factor.dim() < 2:
            raise ValueError(
                "cov_factor must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        if cov_factor.shape[-2:-1] != event_shape:
            raise ValueError(
                f"cov_factor must be a batch of matrices with shape {event_shape[0]} x m"
            )
        if cov_diag.shape[-1:] != event_shape:
            raise ValueError(f"cov_diag must be a batch of vectors with shape {event_shape}")
        try:
            columns, self.cov_factor, diagonal = ops.broadcast_tensors(
                loc.unsqueeze(-1), cov_factor, cov_diag.unsqueeze(-1)
            )
        except RuntimeError as error:
            raise ValueError(
                f"Incompatible batch shapes: loc {loc.shape}, cov_factor {cov_factor.shape}, "
                f"cov_diag {cov_diag.shape}"
            ) from error
        self.loc = columns[..., 0]
        self.cov_diag = diagonal[..., 0]
        self._unbroadcasted_cov_factor = cov_factor
        self._unbroadcasted_cov_diag = cov_diag
        self._capacitance_tril = _capacitance_tril(cov_factor, cov_diag)
        super().__init__(self.loc.shape[:-1], event_shape, validate_args=validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new._unbroadcasted_cov_factor = self._unbroadcasted_cov_factor
        new._unbroadcasted_cov_diag = self._unbroadcasted_cov_diag
        new._capacitance_tril = self._capacitance_tril

    def _square_shape(self) -> Size:
        return self._batch_shape + self._event_shape + self._event_shape

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        """The diagonal of the covariance matrix."""
        variance = self._unbroadcasted_cov_factor.pow(2).sum(-1) + self._unbroadcasted_cov_diag
        return variance.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def scale_tril(self) -> Any:
        """The lower Cholesky factor of the covariance matrix."""
        deviation = self._unbroadcasted_cov_diag.sqrt().unsqueeze(-1)
        scaled = self._unbroadcasted_cov_factor / deviation
        factor = deviation * cholesky(add_identity(scaled @ scaled.mT))
        return factor.expand(self._square_shape())

    @lazy_property
    def covariance_matrix(self) -> Any:
        """``W W^T + diag(d)``."""
        factor = self._unbroadcasted_cov_factor
        matrix = factor @ factor.mT + self._unbroadcasted_cov_diag.diag_embed()
        return matrix.expand(self._square_shape())

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of the covariance matrix."""
        correction = self._solved_factor()
        diagonal = self._unbroadcasted_cov_diag.reciprocal().diag_embed()
        return (diagonal - correction.mT @ correction).expand(self._square_shape())

    def _weighted_factor(self) -> Any:
        """``W^T D^-1``."""
        return self._unbroadcasted_cov_factor.mT / self._unbroadcasted_cov_diag.unsqueeze(-2)

    def _solved_factor(self) -> Any:
        """``L^-1 W^T D^-1`` with L L^T the capacitance."""
        return solve_triangular(self._capacitance_tril, self._weighted_factor(), upper=False)

    def _log_det(self) -> Any:
        """log det of the covariance matrix."""
        return 2 * log_diagonal(self._capacitance_tril) + self._unbroadcasted_cov_diag.log().sum(-1)

    def _mahalanobis(self, x: Any) -> Any:
        """``x^T (W W^T + D)^-1 x``."""
        weighted = batch_mv(self._weighted_factor(), x)
        uncorrected = (x.pow(2) / self._unbroadcasted_cov_diag).sum(-1)
        return uncorrected - batch_mahalanobis(self._capacitance_tril, weighted)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        of_factor = _standard_normal(shape[:-1] + self.cov_factor.shape[-1:], self.loc.dtype)
        of_diagonal = _standard_normal(shape, self.loc.dtype)
        return (
            self.loc
            + batch_mv(self._unbroadcasted_cov_factor, of_factor)
            + self._unbroadcasted_cov_diag.sqrt() * of_diagonal
        )

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        distance = self._mahalanobis(value - self.loc)
        constant = self._event_shape[0] * math.log(2 * math.pi)
        return -0.5 * (constant + self._log_det() + distance)

    def entropy(self) -> Any:
        constant = self._event_shape[0] * (1.0 + math.log(2 * math.pi))
        return (0.5 * (constant + self._log_det())).expand(self._batch_shape)
