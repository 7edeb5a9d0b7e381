"""The inverse gamma distribution."""

from __future__ import annotations

import math
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.gamma import Gamma
from fakel.distributions.transformed_distribution import TransformedDistribution
from fakel.distributions.transforms import PowerTransform

__all__ = ["InverseGamma"]


class InverseGamma(TransformedDistribution):
    """The reciprocal of a gamma variable.

    Density ``rate**a / gamma(a) x**(-a - 1) exp(-rate / x)`` with the concentration a; mean
    ``rate / (a - 1)`` for a > 1, variance ``rate**2 / ((a - 1)**2 (a - 2))`` for a > 2.

    Args:
        concentration: the shape parameter a, positive.
        rate: the gamma variable's, positive.
    """

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.positive
    has_rsample = True

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        base = Gamma(concentration, rate, validate_args=validate_args)
        reciprocal = PowerTransform(-base.rate.new_ones(()))
        super().__init__(base, reciprocal, validate_args=validate_args)

    @property
    def concentration(self) -> Any:
        """The shape parameter."""
        return self.base_dist.concentration

    @property
    def rate(self) -> Any:
        """The gamma variable's rate."""
        return self.base_dist.rate

    @property
    def mean(self) -> Any:
        return ops.where(self.concentration > 1, self.rate / (self.concentration - 1), math.inf)

    @property
    def mode(self) -> Any:
        return self.rate / (self.concentration + 1)

    @property
    def variance(self) -> Any:
        a = self.concentration
        return ops.where(a > 2, self.rate.square() / ((a - 1).square() * (a - 2)), math.inf)

    def entropy(self) -> Any:
        a = self.concentration
        return a + self.rate.log() + a.lgamma() - (1 + a) * a.digamma()
