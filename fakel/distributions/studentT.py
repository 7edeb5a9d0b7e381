"""Student's t distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.chi2 import Chi2
from fakel.distributions.parametric import Parametric
from fakel.distributions.utils import _standard_normal, broadcast_all
from fakel.tensor import Size

__all__ = ["StudentT"]


class StudentT(Parametric):
    """A standard normal variable over ``sqrt(c / df)``, with c chi-squared, scaled and shifted.

    Mean ``loc`` for df > 1, variance ``scale**2 df / (df - 2)`` for df > 2.

    Args:
        df: degrees of freedom, positive.
        loc: the mode.
        scale: positive.
    """

    arg_constraints = {
        "df": constraints.positive,
        "loc": constraints.real,
        "scale": constraints.positive,
    }
    support = constraints.real
    has_rsample = True

    def __init__(
        self, df: Any, loc: Any = 0.0, scale: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        self.df, self.loc, self.scale = broadcast_all(df, loc, scale)
        self._chi2 = Chi2(self.df)
        super().__init__(self.df.shape, validate_args=validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new._chi2 = self._chi2.expand(batch_shape)

    @property
    def mean(self) -> Any:
        return self.loc.masked_fill(self.df <= 1, math.nan)

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def variance(self) -> Any:
        exists = self.df > 2
        df = ops.where(exists, self.df, 3.0)  # no division by zero, whose gradient would be nan
        variance = self.scale.pow(2) * df / (df - 2)
        return ops.where(exists, variance, math.inf).masked_fill(self.df <= 1, math.nan)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        noise = _standard_normal(self._extended_shape(sample_shape), self.df.dtype)
        squares = self._chi2.rsample(sample_shape)
        return self.loc + self.scale * (noise * (squares / self.df).rsqrt())

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        df = self.df
        standardised = (value - self.loc) / self.scale
        normalizer = (
            self.scale.log()
            + 0.5 * df.log()
            + 0.5 * math.log(math.pi)
            + (0.5 * df).lgamma()
            - (0.5 * (df + 1.0)).lgamma()
        )
        return -0.5 * (df + 1.0) * (standardised**2.0 / df).log1p() - normalizer

    def entropy(self) -> Any:
        half, next_half = 0.5 * self.df, 0.5 * (self.df + 1)
        log_beta = half.lgamma() + math.lgamma(0.5) - next_half.lgamma()
        return (
            self.scale.log()
            + next_half * (next_half.digamma() - half.digamma())
            + 0.5 * self.df.log()
            + log_beta
        )
