"""The Gumbel distribution."""

from __future__ import annotations

import math
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.transformed_distribution import TransformedDistribution
from fakel.distributions.transforms import AffineTransform, ExpTransform
from fakel.distributions.uniform import Uniform
from fakel.distributions.utils import broadcast_all, euler_constant
from fakel.tensor import finfo

__all__ = ["Gumbel"]


class Gumbel(TransformedDistribution):
    """The largest of many, in the limit: ``loc - scale log(-log(u))`` of a uniform u.

    Density ``exp(-(z + exp(-z))) / scale`` with ``z = (x - loc) / scale``; mean
    ``loc + 0.5772 scale``, variance ``(pi scale)**2 / 6``, entropy ``log(scale) + 1.5772``.

    Args:
        loc: the mode.
        scale: positive.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        limits = finfo(self.loc.dtype)
        low = ops.full_like(self.loc, limits.tiny)
        high = ops.full_like(self.loc, 1 - limits.eps)
        transforms = [
            ExpTransform().inv,
            AffineTransform(loc=0, scale=-ops.ones_like(self.scale)),
            ExpTransform().inv,
            AffineTransform(loc=loc, scale=-self.scale),
        ]
        base = Uniform(low, high, validate_args=validate_args)
        super().__init__(base, transforms, validate_args=validate_args)

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        below = (self.loc - value) / self.scale
        return below - below.exp() - self.scale.log()

    @property
    def mean(self) -> Any:
        return self.loc + self.scale * euler_constant

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def stddev(self) -> Any:
        return math.pi / math.sqrt(6) * self.scale

    @property
    def variance(self) -> Any:
        return self.stddev.pow(2)

    def entropy(self) -> Any:
        return self.scale.log() + (1 + euler_constant)
