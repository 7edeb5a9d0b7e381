"""The generalised Pareto distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.parametric import Parametric
from fakel.distributions.utils import broadcast_all

__all__ = ["GeneralizedPareto"]


class GeneralizedPareto(Parametric):
    """What lies above a high threshold, in the limit, whatever the distribution.

    ``P(X > x) = (1 + c z)**(-1 / c)`` with ``z = (x - loc) / scale``, which is ``exp(-z)`` for
    c = 0; mean ``loc + scale / (1 - c)`` for c < 1, variance
    ``scale**2 / ((1 - c)**2 (1 - 2 c))`` for c < 1/2, entropy ``log(scale) + c + 1``.
    (J. Pickands, "Statistical inference using extreme order statistics", 1975)

    Args:
        loc: the smallest value.
        scale: positive.
        concentration: the shape c; below zero there is a largest value, ``loc - scale / c``.
    """

    arg_constraints = {
        "loc": constraints.real,
        "scale": constraints.positive,
        "concentration": constraints.real,
    }
    has_rsample = True

    def __init__(
        self, loc: Any, scale: Any, concentration: Any, validate_args: bool | None = None
    ) -> None:
        self.loc, self.scale, self.concentration = broadcast_all(loc, scale, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """From ``loc`` to the largest value."""
        end = self.loc - self.scale / self.concentration
        return constraints.interval(self.loc, ops.where(self.concentration < 0, end, math.inf))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        return self.icdf(ops.rand(self._extended_shape(sample_shape), dtype=self.loc.dtype))

    def _by_concentration(self) -> tuple[Any, Any]:
        """Where c is as good as zero, and c with 1 in its place there."""
        is_zero = self.concentration.isclose(ops.zeros_like(self.concentration))
        one = ops.ones_like(self.concentration)
        return is_zero, ops.where(is_zero, one, self.concentration)

    def _standardised(self, value: Any) -> Any:
        self._check_sample(value)
        return (value - self.loc) / self.scale

    def log_prob(self, value: Any) -> Any:
        z = self._standardised(value)
        is_zero, concentration = self._by_concentration()
        exponent = 1 / concentration + ops.ones_like(z)
        product = ops.where(exponent == 0, exponent, exponent * (concentration * z).log1p())
        return -self.scale.log() - ops.where(is_zero, z, product)

    def log_survival_function(self, value: Any) -> Any:
        """``log P(X > x)``."""
        z = self._standardised(value)
        is_zero, concentration = self._by_concentration()
        return ops.where(is_zero, -z, -(concentration * z).log1p() / concentration)

    def log_cdf(self, value: Any) -> Any:
        """``log P(X <= x)``."""
        return (-self.log_survival_function(value).exp()).log1p()

    def cdf(self, value: Any) -> Any:
        return self.log_cdf(value).exp()

    def icdf(self, value: Any) -> Any:
        is_zero, concentration = self._by_concentration()
        log_survival = (-value).log1p()
        power = self.loc + self.scale / concentration * (-concentration * log_survival).expm1()
        return ops.where(is_zero, self.loc - self.scale * log_survival, power)

    @property
    def mean(self) -> Any:
        exists = self.concentration < 1
        concentration = ops.where(exists, self.concentration, 0.5)
        return ops.where(exists, self.loc + self.scale / (1 - concentration), math.nan)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        exists = self.concentration < 0.5
        concentration = ops.where(exists, self.concentration, 0.25)
        variance = self.scale**2 / ((1 - concentration) ** 2 * (1 - 2 * concentration))
        return ops.where(exists, variance, math.nan)

    def entropy(self) -> Any:
        return (self.scale.log() + self.concentration + 1).broadcast_to(self._batch_shape)
