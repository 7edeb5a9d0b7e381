"""The continuous Bernoulli distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.autograd import no_grad
from fakel.distributions import constraints
from fakel.distributions.exp_family import ExponentialFamily
from fakel.distributions.probabilities import ProbsOrLogits
from fakel.distributions.utils import binary_log_prob, clamp_probs, lazy_property, logits_to_probs
from fakel.tensor import Size

__all__ = ["ContinuousBernoulli"]


class ContinuousBernoulli(ProbsOrLogits, ExponentialFamily):
    """Numbers of [0, 1] with density ``C(p) p**x (1 - p)**(1 - x)``.

    ``C(p) = 2 artanh(1 - 2 p) / (1 - 2 p)``, 2 at p = 1/2. Unlike cross-entropy used as it is, it
    makes a proper likelihood of images with values between 0 and 1.
    (G. Loaiza-Ganem and J. P. Cunningham, "The continuous Bernoulli: fixing a pervasive error in
    variational autoencoders", 2019)

    Args:
        probs: p, inside (0, 1).
        logits: its log-odds ``log(p / (1 - p))``; one of the two is given.
        lims: for p between these limits Taylor series about 1/2 replace the formulas, which are
            unstable there.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True
    _mean_carrier_measure = 0

    def __init__(
        self,
        probs: Any = None,
        logits: Any = None,
        lims: tuple[float, float] = (0.499, 0.501),
        validate_args: bool | None = None,
    ) -> None:
        self._give(probs, logits)
        if probs is not None:
            # once clamped, all probabilities are valid
            inside = validate_args is None or self.arg_constraints["probs"].check(self.probs).all()
            if not inside:
                raise ValueError("The parameter probs has invalid values")
            self._keep("probs", clamp_probs(self.probs))
        self._lims = lims
        super().__init__(self._param.shape, validate_args=validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        super()._expand_rest(new, batch_shape)
        new._lims = self._lims

    @lazy_property
    def probs(self) -> Any:
        """p."""
        return clamp_probs(logits_to_probs(self.logits, is_binary=True))

    def _is_stable(self) -> Any:
        return (self.probs <= self._lims[0]) | (self.probs > self._lims[1])

    def _stable_probs(self) -> Any:
        """p, but the lower limit where the formulas are unstable."""
        return ops.where(self._is_stable(), self.probs, self._lims[0] * ops.ones_like(self.probs))

    def _cont_bern_log_norm(self) -> Any:
        """log C(p)."""
        p = self._stable_probs()
        below = p <= 0.5
        low = ops.where(below, p, ops.zeros_like(p))
        high = ops.where(p >= 0.5, p, ops.ones_like(p))
        width = ops.where(below, (-2.0 * low).log1p(), (2.0 * high - 1.0).log())
        exact = _log_odds_against(p).abs().log() - width
        x = (self.probs - 0.5).pow(2)
        taylor = math.log(2.0) + (4.0 / 3.0 + 104.0 / 45.0 * x) * x
        return ops.where(self._is_stable(), exact, taylor)

    @property
    def mean(self) -> Any:
        p = self._stable_probs()
        exact = p / (2.0 * p - 1.0) + 1.0 / _log_odds_against(p)
        x = self.probs - 0.5
        taylor = 0.5 + (1.0 / 3.0 + 16.0 / 45.0 * x.pow(2)) * x
        return ops.where(self._is_stable(), exact, taylor)

    @property
    def variance(self) -> Any:
        p = self._stable_probs()
        exact = p * (p - 1.0) / (1.0 - 2.0 * p).pow(2) + 1.0 / _log_odds_against(p).pow(2)
        x = (self.probs - 0.5).pow(2)
        taylor = 1.0 / 12.0 - (1.0 / 15.0 - 128.0 / 945.0 * x) * x
        return ops.where(self._is_stable(), exact, taylor)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        with no_grad():
            return self.rsample(sample_shape)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        return self.icdf(ops.rand(self._extended_shape(sample_shape), dtype=self.probs.dtype))

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        return binary_log_prob(self.logits, value) + self._cont_bern_log_norm()

    def cdf(self, value: Any) -> Any:
        self._check_sample(value)
        p = self._stable_probs()
        inside = (p.pow(value) * (1.0 - p).pow(1.0 - value) + p - 1.0) / (2.0 * p - 1.0)
        inside = ops.where(self._is_stable(), inside, value)
        above = ops.where(value >= 1.0, ops.ones_like(value), inside)
        return ops.where(value <= 0.0, ops.zeros_like(value), above)

    def icdf(self, value: Any) -> Any:
        p = self._stable_probs()
        numerator = (-p + value * (2.0 * p - 1.0)).log1p() - (-p).log1p()
        return ops.where(self._is_stable(), numerator / -_log_odds_against(p), value)

    def entropy(self) -> Any:
        against = (-self.probs).log1p()
        return self.mean * (against - self.probs.log()) - self._cont_bern_log_norm() - against

    @property
    def _natural_params(self) -> tuple[Any]:
        return (self.logits,)

    def _log_normalizer(self, x: Any) -> Any:
        low, high = (limit - 0.5 for limit in self._lims)
        stable = (x <= low) | (x > high)
        cut = ops.where(stable, x, low * ops.ones_like(x))
        exact = cut.expm1().abs().log() - cut.abs().log()
        taylor = 0.5 * x + x.pow(2) / 24.0 - x.pow(4) / 2880.0
        return ops.where(stable, exact, taylor)


def _log_odds_against(p: Any) -> Any:
    return (-p).log1p() - p.log()
