"""The Wishart distribution of covariance matrices."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.chi2 import Chi2
from fakel.distributions.exp_family import ExponentialFamily
from fakel.distributions.matrices import log_diagonal
from fakel.distributions.multivariate_normal import as_scale_tril, given_matrices
from fakel.distributions.utils import lazy_property
from fakel.tensor import Size, finfo

__all__ = ["Wishart"]

_LOG_2 = math.log(2)
_TRIES = 10  # to replace samples that rounding has made singular


def _mvdigamma(x: Any, p: int) -> Any:
    """The derivative of mvlgamma."""
    return (x.unsqueeze(-1) - ops.arange(p, dtype=x.dtype) / 2).digamma().sum(-1)


class Wishart(ExponentialFamily):
    """Matrices ``sum of x x^T`` over ``df`` normal vectors x of p elements, mean 0, covariance V.

    Density ``det(X)**((df - p - 1) / 2) exp(-trace(V^-1 X) / 2)`` up to the factor
    ``2**(df p / 2) det(V)**(df / 2) mvgamma(df / 2, p)``; mean ``df V``. Samples are made by
    Bartlett's decomposition: X = L A A^T L^T with ``V = L L^T`` and a lower triangular A of
    independent normal and chi variables.
    (M. Bartlett, "On the theory of statistical regression", 1933)

    Args:
        df: degrees of freedom, above p - 1, not necessarily whole.
        covariance_matrix: V, positive definite, shape (..., p, p).
        precision_matrix: its inverse.
        scale_tril: L, lower triangular with a positive diagonal; one of the three is given.
    """

    support = constraints.positive_definite
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(
        self,
        df: Any,
        covariance_matrix: Any = None,
        precision_matrix: Any = None,
        scale_tril: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        given = given_matrices(covariance_matrix, precision_matrix, scale_tril)
        if len(given) != 1:
            raise AssertionError(
                "Exactly one of covariance_matrix or precision_matrix or scale_tril may be "
                "specified."
            )
        ((name, matrix),) = given.items()
        if matrix.dim() < 2:
            raise ValueError(
                "scale_tril must be at least two-dimensional, with optional leading batch "
                "dimensions"
            )
        if isinstance(df, (bool, int, float)):
            batch_shape = Size(matrix.shape[:-2])
            self.df = ops.tensor(df, dtype=matrix.dtype)
        else:
            batch_shape = ops.broadcast_shapes(matrix.shape[:-2], df.shape)
            self.df = df.expand(batch_shape)
        size = matrix.shape[-1]
        if (self.df <= size - 1).any():
            raise ValueError(f"Value of df={df} expected to be greater than ndim - 1 = {size - 1}.")
        setattr(self, name, matrix.expand(batch_shape + (-1, -1)))
        if (self.df < size).any():
            warnings.warn(
                "Low df values detected. Singular samples are highly likely to occur for "
                "ndim - 1 < df < ndim.",
                stacklevel=2,
            )
        super().__init__(batch_shape, matrix.shape[-2:], validate_args=validate_args)
        self._unbroadcasted_scale_tril = as_scale_tril(name, matrix)
        self._dist_chi2 = self._diagonal_distribution(batch_shape, matrix)

    @property
    def arg_constraints(self) -> dict[str, constraints.Constraint]:
        """The bound of df depends on the matrices' size."""
        return {
            "covariance_matrix": constraints.positive_definite,
            "precision_matrix": constraints.positive_definite,
            "scale_tril": constraints.lower_cholesky,
            "df": constraints.greater_than(self.event_shape[-1] - 1),
        }

    def _diagonal_distribution(self, batch_shape: Size, like: Any) -> Chi2:
        """The squares of A's diagonal: chi-squared with df, df - 1, ... degrees of freedom."""
        fewer = ops.arange(like.shape[-1], dtype=like.dtype)
        return Chi2(df=self.df.unsqueeze(-1) - fewer.expand(batch_shape + (-1,)))

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        factor = self._unbroadcasted_scale_tril.expand(batch_shape + self.event_shape)
        new._unbroadcasted_scale_tril = factor
        new._dist_chi2 = new._diagonal_distribution(batch_shape, factor)

    @lazy_property
    def scale_tril(self) -> Any:
        """L."""
        return self._unbroadcasted_scale_tril.expand(self._batch_shape + self._event_shape)

    @lazy_property
    def covariance_matrix(self) -> Any:
        """V."""
        factor = self._unbroadcasted_scale_tril
        return (factor @ factor.mT).expand(self._batch_shape + self._event_shape)

    @lazy_property
    def precision_matrix(self) -> Any:
        """The inverse of V."""
        factor = self._unbroadcasted_scale_tril
        inverse = ops.cholesky_solve(ops.eye(self._event_shape[-1], dtype=factor.dtype), factor)
        return inverse.expand(self._batch_shape + self._event_shape)

    @property
    def mean(self) -> Any:
        return self.df.view(self._batch_shape + (1, 1)) * self.covariance_matrix

    @property
    def mode(self) -> Any:
        factor = self.df - self.covariance_matrix.shape[-1] - 1
        factor = factor.masked_fill(factor <= 0, math.nan)
        return factor.view(self._batch_shape + (1, 1)) * self.covariance_matrix

    @property
    def variance(self) -> Any:
        covariance = self.covariance_matrix
        diagonal = covariance.diagonal(dim1=-2, dim2=-1)
        products = diagonal.unsqueeze(-1) * diagonal.unsqueeze(-2)
        return self.df.view(self._batch_shape + (1, 1)) * (covariance.pow(2) + products)

    def _bartlett_sampling(self, sample_shape: Sequence[int] = ()) -> Any:
        size = self._event_shape[-1]
        deviations = self._dist_chi2.rsample(sample_shape).sqrt()
        noise = deviations.clamp(min=finfo(deviations.dtype).eps).diag_embed()
        rows, columns = ops.tril_indices(size, size, offset=-1)
        below = Size(sample_shape) + self._batch_shape + (size * (size - 1) // 2,)
        noise[..., rows, columns] = ops.randn(below, dtype=noise.dtype)
        factor = self._unbroadcasted_scale_tril @ noise
        return factor @ factor.mT

    def rsample(
        self, sample_shape: Sequence[int] = (), max_try_correction: int | None = None
    ) -> Any:
        """Draws matrices that are differentiable functions of the parameters.

        Args:
            sample_shape: how many, as a shape that comes before those of batch and event.
            max_try_correction: how often singular ones are drawn again; 10 times for None.
        """
        sample_shape = Size(sample_shape)
        sample = self._bartlett_sampling(sample_shape)
        # PyTorch takes regular samples for singular ones at first, warns, and draws them again.
        # For its numbers, so must we.
        is_singular = self._over_batch(self.support.check(sample))
        if not is_singular.any():
            return sample
        warnings.warn("Singular sample detected.", stacklevel=2)
        for _ in range(_TRIES if max_try_correction is None else max_try_correction):
            again = self._bartlett_sampling(is_singular[is_singular].shape)
            sample[is_singular] = again
            is_singular[is_singular.clone()] = self._over_batch(~self.support.check(again))
            if not is_singular.any():
                break
        return sample

    def _over_batch(self, is_singular: Any) -> Any:
        dims = [-dim - 1 for dim in range(len(self._batch_shape))]
        return is_singular.amax(dims) if dims else is_singular

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        df, p = self.df, self._event_shape[-1]
        factor = self._unbroadcasted_scale_tril
        trace = ops.cholesky_solve(value, factor).diagonal(dim1=-2, dim2=-1).sum(dim=-1)
        return (
            -df * (p * _LOG_2 / 2 + log_diagonal(factor))
            - (df / 2).mvlgamma(p=p)
            + (df - p - 1) / 2 * ops.slogdet(value).logabsdet
            - trace / 2
        )

    def entropy(self) -> Any:
        df, p = self.df, self._event_shape[-1]
        return (
            (p + 1) * (p * _LOG_2 / 2 + log_diagonal(self._unbroadcasted_scale_tril))
            + (df / 2).mvlgamma(p=p)
            - (df - p - 1) / 2 * _mvdigamma(df / 2, p)
            + df * p / 2
        )

    @property
    def _natural_params(self) -> tuple[Any, Any]:
        return -self.precision_matrix / 2, (self.df - self._event_shape[-1] - 1) / 2

    def _log_normalizer(self, x: Any, y: Any) -> Any:
        p = self._event_shape[-1]
        half_df = y + (p + 1) / 2
        return half_df * (-ops.slogdet(-2 * x).logabsdet + _LOG_2 * p) + half_df.mvlgamma(p=p)
