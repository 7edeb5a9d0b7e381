"""The half-normal distribution."""

from __future__ import annotations

import math
from typing import Any

from fakel.distributions.half import Half
from fakel.distributions.normal import Normal

__all__ = ["HalfNormal"]


class HalfNormal(Half):
    """The absolute value of a normal variable with mean zero.

    Density ``sqrt(2 / pi) / scale exp(-x**2 / (2 scale**2))`` for x >= 0; mean
    ``scale sqrt(2 / pi)``, variance ``scale**2 (1 - 2 / pi)``.

    Args:
        scale: the normal variable's standard deviation, positive.
    """

    def __init__(self, scale: Any, validate_args: bool | None = None) -> None:
        super().__init__(Normal(0, scale, validate_args=False), validate_args)

    @property
    def mean(self) -> Any:
        return self.scale * math.sqrt(2 / math.pi)

    @property
    def variance(self) -> Any:
        return self.scale.pow(2) * (1 - 2 / math.pi)
