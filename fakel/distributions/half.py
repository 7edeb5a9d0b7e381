"""`Half`: the absolute value of a variable that is symmetric about zero."""

from __future__ import annotations

import math
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.distribution import Distribution
from fakel.distributions.transformed_distribution import TransformedDistribution
from fakel.distributions.transforms import AbsTransform


class Half(TransformedDistribution):
    """The distribution of ``|x|``, where x is of a base distribution with mode zero and a scale.

    Its density on the nonnegative numbers is twice the base's.
    """

    arg_constraints = {"scale": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True

    def __init__(self, base: Distribution, validate_args: bool | None) -> None:
        super().__init__(base, AbsTransform(), validate_args=validate_args)

    @property
    def scale(self) -> Any:
        """The base's scale."""
        return self.base_dist.scale

    @property
    def mode(self) -> Any:
        return ops.zeros_like(self.scale)

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        log_prob = self.base_dist.log_prob(value) + math.log(2)
        return ops.where(value >= 0, log_prob, -math.inf)

    def cdf(self, value: Any) -> Any:
        self._check_sample(value)
        return 2 * self.base_dist.cdf(value) - 1

    def icdf(self, prob: Any) -> Any:
        return self.base_dist.icdf((prob + 1) / 2)

    def entropy(self) -> Any:
        return self.base_dist.entropy() - math.log(2)
