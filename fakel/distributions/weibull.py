"""The Weibull distribution."""

from __future__ import annotations

from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.exponential import Exponential
from fakel.distributions.transformed_distribution import TransformedDistribution
from fakel.distributions.transforms import AffineTransform, PowerTransform
from fakel.distributions.utils import broadcast_all, euler_constant
from fakel.tensor import Size

__all__ = ["Weibull"]


class Weibull(TransformedDistribution):
    """A power of an exponential variable: lifetimes with a rate of failure that changes with age.

    ``P(X > x) = exp(-(x / scale)**k)`` with the concentration k; mean
    ``scale gamma(1 + 1 / k)``, variance ``scale**2 (gamma(1 + 2 / k) - gamma(1 + 1 / k)**2)``.

    Args:
        scale: positive.
        concentration: the shape parameter k, positive.
    """

    arg_constraints = {"scale": constraints.positive, "concentration": constraints.positive}
    support = constraints.positive

    def __init__(self, scale: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.scale, self.concentration = broadcast_all(scale, concentration)
        self.concentration_reciprocal = self.concentration.reciprocal()
        base = Exponential(ops.ones_like(self.scale), validate_args=validate_args)
        super().__init__(base, self._steps(), validate_args=validate_args)

    def _steps(self) -> list[Any]:
        power = PowerTransform(exponent=self.concentration_reciprocal)
        return [power, AffineTransform(loc=0, scale=self.scale)]

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new.concentration_reciprocal = new.concentration.reciprocal()
        new.base_dist = self.base_dist.expand(batch_shape)
        new.transforms = new._steps()

    @property
    def mean(self) -> Any:
        return self.scale * (1 + self.concentration_reciprocal).lgamma().exp()

    @property
    def mode(self) -> Any:
        k = self.concentration
        return self.scale * ((k - 1) / k) ** k.reciprocal()

    @property
    def variance(self) -> Any:
        reciprocal = self.concentration_reciprocal
        second = (1 + 2 * reciprocal).lgamma().exp()
        return self.scale.pow(2) * (second - (2 * (1 + reciprocal).lgamma()).exp())

    def entropy(self) -> Any:
        reciprocal = self.concentration_reciprocal
        return euler_constant * (1 - reciprocal) + (self.scale * reciprocal).log() + 1
