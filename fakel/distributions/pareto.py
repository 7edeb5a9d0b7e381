"""The Pareto distribution."""

from __future__ import annotations

from typing import Any

from fakel.distributions import constraints
from fakel.distributions.exponential import Exponential
from fakel.distributions.transformed_distribution import TransformedDistribution
from fakel.distributions.transforms import AffineTransform, ExpTransform
from fakel.distributions.utils import broadcast_all

__all__ = ["Pareto"]


class Pareto(TransformedDistribution):
    """The Pareto distribution, a power law.

    Density ``alpha scale**alpha / x**(alpha + 1)`` from ``scale`` on; mean
    ``alpha scale / (alpha - 1)`` for alpha > 1, variance
    ``alpha scale**2 / ((alpha - 1)**2 (alpha - 2))`` for alpha > 2, infinite otherwise.

    Args:
        scale: the smallest value, positive.
        alpha: the exponent, positive.
    """

    arg_constraints = {"alpha": constraints.positive, "scale": constraints.positive}

    def __init__(self, scale: Any, alpha: Any, validate_args: bool | None = None) -> None:
        self.scale, self.alpha = broadcast_all(scale, alpha)
        base = Exponential(self.alpha, validate_args=validate_args)
        transforms = [ExpTransform(), AffineTransform(loc=0, scale=self.scale)]
        super().__init__(base, transforms, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=False, event_dim=0)
    def support(self) -> Any:
        """The numbers from ``scale`` on."""
        return constraints.greater_than_eq(self.scale)

    @property
    def mean(self) -> Any:
        alpha = self.alpha.clamp(min=1)
        return alpha * self.scale / (alpha - 1)

    @property
    def mode(self) -> Any:
        return self.scale

    @property
    def variance(self) -> Any:
        alpha = self.alpha.clamp(min=2)
        return self.scale.pow(2) * alpha / ((alpha - 1).pow(2) * (alpha - 2))

    def entropy(self) -> Any:
        return (self.scale / self.alpha).log() + (1 + self.alpha.reciprocal())
