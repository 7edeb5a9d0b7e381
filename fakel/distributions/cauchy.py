"""The Cauchy distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.parametric import Parametric
from fakel.distributions.utils import broadcast_all

__all__ = ["Cauchy"]


class Cauchy(Parametric):
    """The Cauchy (Lorentz) distribution: the ratio of two centred normal variables.

    Density ``1 / (pi scale (1 + ((x - loc) / scale)**2))``; it has no mean, its variance is
    infinite, its entropy ``log(4 pi scale)``.

    Args:
        loc: median and mode.
        scale: half the width at half the maximum, positive.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return ops.full(self._extended_shape(), math.nan, dtype=self.loc.dtype)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        return ops.full(self._extended_shape(), math.inf, dtype=self.loc.dtype)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        noise = ops.empty(self._extended_shape(sample_shape), dtype=self.loc.dtype).cauchy_()
        return self.loc + noise * self.scale

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        standardised = (value - self.loc) / self.scale
        return -math.log(math.pi) - self.scale.log() - (standardised**2).log1p()

    def cdf(self, value: Any) -> Any:
        self._check_sample(value)
        return ((value - self.loc) / self.scale).atan() / math.pi + 0.5

    def icdf(self, value: Any) -> Any:
        return (math.pi * (value - 0.5)).tan() * self.scale + self.loc

    def entropy(self) -> Any:
        return math.log(4 * math.pi) + self.scale.log()
