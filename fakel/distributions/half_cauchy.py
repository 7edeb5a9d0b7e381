"""The half-Cauchy distribution."""

from __future__ import annotations

import math
from typing import Any

from fakel import ops
from fakel.distributions.cauchy import Cauchy
from fakel.distributions.half import Half

__all__ = ["HalfCauchy"]


class HalfCauchy(Half):
    """The absolute value of a Cauchy variable with median zero.

    Density ``2 / (pi scale (1 + (x / scale)**2))`` for x >= 0; mean and variance are infinite.

    Args:
        scale: the Cauchy variable's, positive; it is the median.
    """

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Cauchy(0, scale, validate_args=False), validate_args)

    @property
    def mean(self) -> Any:
        return ops.full(self._extended_shape(), math.inf, dtype=self.scale.dtype)

    @property
    def variance(self) -> Any:
        return self.base_dist.variance

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        return super().log_prob(ops.as_tensor(value, dtype=self.scale.dtype))
