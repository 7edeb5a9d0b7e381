"""The binomial distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.autograd import no_grad
from fakel.distributions import constraints
from fakel.distributions.probabilities import ProbsOrLogits
from fakel.distributions.utils import enumerated

__all__ = ["Binomial"]


class Binomial(ProbsOrLogits):
    """The number of successes in n independent trials, each of probability p.

    Probability ``n! / (k! (n - k)!) p**k (1 - p)**(n - k)``; mean ``n p``, variance
    ``n p (1 - p)``.

    Args:
        total_count: n.
        probs: p.
        logits: its log-odds ``log(p / (1 - p))``; one of the two is given.
    """

    arg_constraints = {
        "total_count": constraints.nonnegative_integer,
        "probs": constraints.unit_interval,
        "logits": constraints.real,
    }
    has_enumerate_support = True

    def __init__(
        self,
        total_count: Any = 1,
        probs: Any = None,
        logits: Any = None,
        validate_args: bool | None = None,
    ) -> None:
        (self.total_count,) = self._give(probs, logits, total_count)
        super().__init__(self._param.shape, validate_args=validate_args)

    @constraints.dependent_property(is_discrete=True, event_dim=0)
    def support(self) -> Any:
        """The integers from 0 to n."""
        return constraints.integer_interval(0, self.total_count)

    @property
    def mean(self) -> Any:
        return self.total_count * self.probs

    @property
    def mode(self) -> Any:
        return ((self.total_count + 1) * self.probs).floor().clamp(max=self.total_count)

    @property
    def variance(self) -> Any:
        return self.total_count * self.probs * (1 - self.probs)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        with no_grad():
            return ops.binomial(self.total_count.expand(shape), self.probs.expand(shape))

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        # k log(p) + (n - k) log(1 - p) = k logit - n log(1 + exp(logit)), without overflow
        n, logits = self.total_count, self.logits
        normalizer = n * _positive_part(logits) + n * (-logits.abs()).exp().log1p()
        ways = (n + 1).lgamma() - (value + 1).lgamma() - (n - value + 1).lgamma()
        return value * logits - normalizer + ways

    def entropy(self) -> Any:
        self._same_count("entropy")
        log_prob = self.log_prob(self.enumerate_support(False))
        return -(log_prob.exp() * log_prob).sum(0)

    def enumerate_support(self, expand: bool = True) -> Any:
        count = self._same_count("enumerate_support")
        return enumerated(ops.arange(1 + count, dtype=self._param.dtype), self._batch_shape, expand)

    def _same_count(self, name: str) -> int:
        count = int(self.total_count.max())
        if not self.total_count.min() == count:
            raise NotImplementedError(f"Inhomogeneous total count not supported by `{name}`.")
        return count


def _positive_part(x: Any) -> Any:
    # its derivative at 0 is 1/2, as that of the whole normaliser has to be
    return (x.clamp(min=0) + x - x.clamp(max=0)) / 2
