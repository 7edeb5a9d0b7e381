"""The geometric distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.autograd import no_grad
from fakel.distributions import constraints
from fakel.distributions.distribution import described
from fakel.distributions.probabilities import ProbsOrLogits
from fakel.distributions.utils import binary_log_prob, broadcast_all
from fakel.tensor import finfo

__all__ = ["Geometric"]


class Geometric(ProbsOrLogits):
    """The number of failures before the first success, in trials of probability p.

    Probability ``(1 - p)**k p``, k from 0; mean ``1 / p - 1``, variance ``(1 - p) / p**2``. (Unlike
    ``Tensor.geometric_``, which counts the success as well.)

    Args:
        probs: p, positive.
        logits: its log-odds ``log(p / (1 - p))``; one of the two is given.
    """

    arg_constraints = {"probs": constraints.unit_interval, "logits": constraints.real}
    support = constraints.nonnegative_integer

    def __init__(
        self, probs: Any = None, logits: Any = None, validate_args: bool | None = None
    ) -> None:
        self._give(probs, logits)
        super().__init__(self._param.shape, validate_args=validate_args)
        if self._validate_args and probs is not None:
            self._check_positive(self.probs)

    def _check_positive(self, probs: Any) -> None:
        valid = probs > 0
        if not valid.all():
            raise ValueError(
                f"Expected parameter probs ({described(probs)}) of distribution {self!r} to be "
                f"positive but found invalid values:\n{probs.data[~valid]}"
            )

    @property
    def mean(self) -> Any:
        return 1.0 / self.probs - 1.0

    @property
    def mode(self) -> Any:
        return ops.zeros_like(self.probs)

    @property
    def variance(self) -> Any:
        return (1.0 / self.probs - 1.0) / self.probs

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        shape = self._extended_shape(sample_shape)
        kind = self.probs.dtype
        with no_grad():
            uniform = ops.empty(shape, dtype=kind).uniform_(finfo(kind).tiny, 1)
            return (uniform.log() / (-self.probs).log1p()).floor()

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        value, probs = broadcast_all(value, self.probs)
        failure = probs.masked_fill((probs == 1) & (value == 0), 0)  # no failure counts nothing
        return value * (-failure).log1p() + self.probs.log()

    def entropy(self) -> Any:
        return -binary_log_prob(self.logits, self.probs) / self.probs
