"""The gamma distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.exp_family import ExponentialFamily
from fakel.distributions.utils import broadcast_all
from fakel.tensor import finfo

__all__ = ["Gamma"]


class Gamma(ExponentialFamily):
    """The gamma distribution: for a whole concentration, the time until so many events.

    Density ``rate**a x**(a - 1) exp(-rate x) / gamma(a)`` with the concentration a; mean
    ``a / rate``, variance ``a / rate**2``, entropy
    ``a - log(rate) + log(gamma(a)) + (1 - a) digamma(a)``.

    Args:
        concentration: the shape parameter a, positive.
        rate: the inverse of the scale, positive.
    """

    arg_constraints = {"concentration": constraints.positive, "rate": constraints.positive}
    support = constraints.nonnegative
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(self, concentration: Any, rate: Any, validate_args: bool | None = None) -> None:
        self.concentration, self.rate = broadcast_all(concentration, rate)
        super().__init__(self.concentration.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.concentration / self.rate

    @property
    def mode(self) -> Any:
        return ((self.concentration - 1) / self.rate).clamp(min=0)

    @property
    def variance(self) -> Any:
        return self.concentration / self.rate.pow(2)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        standard = ops._standard_gamma(self.concentration.expand(shape))
        value = standard / self.rate.expand(shape)
        value.detach().clamp_(min=finfo(value.dtype).tiny)  # the gradient does not see it
        return value

    def log_prob(self, value: Any) -> Any:
        value = ops.as_tensor(value, dtype=self.rate.dtype)
        self._check_sample(value)
        return (
            ops.xlogy(self.concentration, self.rate)
            + ops.xlogy(self.concentration - 1, value)
            - self.rate * value
            - self.concentration.lgamma()
        )

    def cdf(self, value: Any) -> Any:
        self._check_sample(value)
        return ops.igamma(self.concentration, self.rate * value)

    def entropy(self) -> Any:
        a = self.concentration
        return a - self.rate.log() + a.lgamma() + (1.0 - a) * a.digamma()

    @property
    def _natural_params(self) -> tuple[Any, Any]:
        return self.concentration - 1, -self.rate

    def _log_normalizer(self, x: Any, y: Any) -> Any:
        return (x + 1).lgamma() + (x + 1) * (-y.reciprocal()).log()
