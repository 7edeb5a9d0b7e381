"""The multinomial distribution."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.binomial import Binomial
from fakel.distributions.of_categorical import OfCategorical
from fakel.distributions.utils import broadcast_all
from fakel.tensor import Size

__all__ = ["Multinomial"]


class Multinomial(OfCategorical):
    """How often each of K categories comes up in n independent draws.

    Probability ``n! prod of p**k / k!``; mean ``n p``, variance ``n p (1 - p)``. ``log_prob`` takes
    the sum of its argument for n.

    Args:
        total_count: n, one number for all.
        probs: probabilities along the last dimension, which are made to sum to 1.
        logits: their logarithms, up to a constant; one of the two is given.
    """

    def __init__(
        self,
        total_count: int = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(total_count, int):
            raise NotImplementedError("inhomogeneous total_count is not supported")
        self.total_count = total_count
        super().__init__(probs, logits, validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        super()._expand_rest(new, batch_shape)
        new.total_count = self.total_count

    @constraints.dependent_property(is_discrete=True, event_dim=1)
    def support(self) -> Any:
        """Vectors of counts."""
        return constraints.multinomial(self.total_count)

    @property
    def mean(self) -> Any:
        return self.probs * self.total_count

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        sample_shape = Size(sample_shape)
        draws = self._categorical.sample(Size((self.total_count,)) + sample_shape)
        draws = draws.movedim(0, -1)
        counts = draws.new_zeros(self._extended_shape(sample_shape))
        counts.scatter_add_(-1, draws, ops.ones_like(draws))
        return counts.type_as(self.probs)

    def entropy(self) -> Any:
        """``n H - log(n!) + sum over categories of E[log(k!)]``, with H that of one draw."""
        n = ops.tensor(self.total_count)
        counts = Binomial(total_count=self.total_count, probs=self.probs)
        values = counts.enumerate_support(expand=False)[1:]
        expected = (counts.log_prob(values).exp() * (values + 1).lgamma()).sum([0, -1])
        return n * self._categorical.entropy() - (n + 1).lgamma() + expected

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        logits, value = broadcast_all(self.logits, value)
        ways = (value.sum(-1) + 1).lgamma() - (value + 1).lgamma().sum(-1)
        logits = logits.masked_fill((value == 0) & (logits == -math.inf), 0)
        return ways + (logits * value).sum(-1)
