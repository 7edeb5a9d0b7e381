"""The relaxed one-hot categorical distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.of_categorical import OfCategorical
from fakel.distributions.transformed_distribution import TransformedDistribution
from fakel.distributions.transforms import ExpTransform
from fakel.distributions.utils import broadcast_all, clamp_probs
from fakel.tensor import Size

__all__ = ["ExpRelaxedCategorical", "RelaxedOneHotCategorical"]


class ExpRelaxedCategorical(OfCategorical):
    """The logarithm of `RelaxedOneHotCategorical`.

    Samples are ``log_softmax((log(p) + g) / temperature)`` for Gumbel variables g. Working with the
    logarithm avoids the underflow of the numbers themselves.
    (C. Maddison, A. Mnih, Y. W. Teh, "The concrete distribution: a continuous relaxation of
    discrete random variables", 2017; E. Jang, S. Gu, B. Poole, "Categorical reparameterization with
    Gumbel-softmax", 2017)

    Args:
        temperature: a tensor; the lower, the nearer are samples to one-hot vectors.
        probs: probabilities along the last dimension, which are made to sum to 1.
        logits: their logarithms, up to a constant; one of the two is given.
    """

    support = constraints.real_vector
    has_rsample = True

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        self.temperature = temperature
        super().__init__(probs, logits, validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        super()._expand_rest(new, batch_shape)
        new.temperature = self.temperature

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        uniform = clamp_probs(ops.rand(shape, dtype=self.logits.dtype))
        gumbel = -((-(uniform.log())).log())
        scores = (self.logits + gumbel) / self.temperature
        return scores - scores.logsumexp(dim=-1, keepdim=True)

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        categories = self._event_shape[0]
        logits, value = broadcast_all(self.logits, value)
        ways = ops.full_like(self.temperature, float(categories)).lgamma()
        scale = ways - self.temperature.log().mul(-(categories - 1))
        score = logits - value.mul(self.temperature)
        return (score - score.logsumexp(dim=-1, keepdim=True)).sum(-1) + scale


class RelaxedOneHotCategorical(TransformedDistribution):
    """A continuous and differentiable stand-in for `OneHotCategorical`: points of the simplex.

    They are the exponential of `ExpRelaxedCategorical`'s; for low temperatures nearly one-hot, with
    the probabilities of the categories.

    Args:
        temperature: a tensor; the lower, the nearer are samples to one-hot vectors.
        probs: probabilities along the last dimension, which are made to sum to 1.
        logits: their logarithms, up to a constant; one of the two is given.
    """

    arg_constraints = {"probs": constraints.simplex, "logits": constraints.real_vector}
    support = constraints.simplex
    has_rsample = True

    def __init__(
        self,
        temperature: Any,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        base = ExpRelaxedCategorical(temperature, probs, logits, validate_args=validate_args)
        super().__init__(base, ExpTransform(), validate_args=validate_args)

    @property
    def temperature(self) -> Any:
        """The temperature."""
        return self.base_dist.temperature

    @property
    def logits(self) -> Any:
        """Log-probabilities of the categories."""
        return self.base_dist.logits

    @property
    def probs(self) -> Any:
        """Probabilities of the categories."""
        return self.base_dist.probs
