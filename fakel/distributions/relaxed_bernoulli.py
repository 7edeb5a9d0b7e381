"""The relaxed Bernoulli distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.probabilities import ProbsOrLogits
from fakel.distributions.transformed_distribution import TransformedDistribution
from fakel.distributions.transforms import SigmoidTransform
from fakel.distributions.utils import broadcast_all, clamp_probs
from fakel.tensor import Size

__all__ = ["LogitRelaxedBernoulli", "RelaxedBernoulli"]


class LogitRelaxedBernoulli(ProbsOrLogits):
    """The log-odds of `RelaxedBernoulli`: a logistic variable over a temperature.

    Samples are ``(logit(p) + log(u) - log(1 - u)) / temperature`` for a uniform u. Working with the
    log-odds avoids the under- and overflow of the numbers themselves.
    (C. Maddison, A. Mnih, Y. W. Teh, "The concrete distribution: a continuous relaxation of
    discrete random variables", 2017)

    Args:
        temperature: a tensor; the lower, the nearer to 0 and 1 are the numbers.
        probs: p.
        logits: its log-odds ``log(p / (1 - p))``; one of the two is given.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.real

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self.temperature = temperature
        self._give(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        super()._expand_rest(new, batch_shape)
        new.temperature = self.temperature

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        probs = clamp_probs(self.probs.expand(shape))
        uniform = clamp_probs(ops.rand(shape, dtype=probs.dtype))
        noise = uniform.log() - (-uniform).log1p()
        return (noise + probs.log() - (-probs).log1p()) / self.temperature

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        logits, value = broadcast_all(self.logits, value)
        difference = logits - value.mul(self.temperature)
        return self.temperature.log() + difference - 2 * difference.exp().log1p()


class RelaxedBernoulli(TransformedDistribution):
    """A continuous and differentiable stand-in for `Bernoulli`: numbers of (0, 1).

    They are the sigmoid of `LogitRelaxedBernoulli`'s; for low temperatures nearly 0 or 1, 1 with
    probability p.

    Args:
        temperature: a tensor; the lower, the nearer to 0 and 1 are the numbers.
        probs: p.
        logits: its log-odds ``log(p / (1 - p))``; one of the two is given.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.unit_interval
    has_rsample = True

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = LogitRelaxedBernoulli(temperature, probs, logits)
        super().__init__(base, SigmoidTransform(), validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        """The temperature."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """Log-odds."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """p."""
        return self.base_dist.probs
