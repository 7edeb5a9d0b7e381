"""The logistic-normal distribution."""

from __future__ import annotations

from typing import Any

from fakel.distributions import constraints
from fakel.distributions.normal import Normal
from fakel.distributions.transformed_distribution import TransformedDistribution
from fakel.distributions.transforms import StickBreakingTransform

__all__ = ["LogisticNormal"]


class LogisticNormal(TransformedDistribution):
    """Points of the simplex, made from K - 1 normal variables by breaking a stick.

    Args:
        loc: means, K - 1 along the last dimension.
        scale: standard deviations, positive.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.simplex
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        base = Normal(loc, scale, validate_args=validate_args)
        if not base.batch_shape:
            base = base.expand([1])
        super().__init__(base, StickBreakingTransform(), validate_args=validate_args)

    @property
    def loc(self) -> Any:
        """Means of the normal variables."""
        return self.base_dist.base_dist.loc

    @property
    def scale(self) -> Any:
        """Standard deviations of the normal variables."""
        return self.base_dist.base_dist.scale
