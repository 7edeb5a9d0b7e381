"""The chi-squared distribution."""

from __future__ import annotations

from typing import Any

from fakel.distributions import constraints
from fakel.distributions.gamma import Gamma
from fakel.tensor import Size

__all__ = ["Chi2"]


class Chi2(Gamma):
    """The sum of the squares of ``df`` standard normal variables: Gamma(df / 2, 1 / 2).

    Mean ``df``, variance ``2 df``.

    Args:
        df: degrees of freedom, positive.
    """

    arg_constraints = {"df": constraints.positive}

    def __init__(self, df: Any, validate_args: bool | None = None) -> None:
        super().__init__(0.5 * df, 0.5, validate_args=validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new.concentration = self.concentration.expand(batch_shape)
        new.rate = self.rate.expand(batch_shape)

    @property
    def df(self) -> Any:
        """Degrees of freedom."""
        return self.concentration * 2
