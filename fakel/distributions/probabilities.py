"""`ProbsOrLogits`: distributions of which either the probabilities or their logits are given."""

from __future__ import annotations

from typing import Any

from fakel.distributions.parametric import Parametric
from fakel.distributions.utils import broadcast_all, lazy_property, logits_to_probs, probs_to_logits
from fakel.tensor import Size


def check_one_given(probs: Any, logits: Any) -> None:
    """Raises ValueError unless exactly one of the two is given."""
    if (probs is None) == (logits is None):
        raise ValueError("Either `probs` or `logits` must be specified, but not both.")


class ProbsOrLogits(Parametric):
    """A distribution that keeps what was given, ``probs`` or ``logits``, and derives the other."""

    _is_binary = True

    def _give(self, probs: Any, logits: Any, *others: Any) -> tuple[Any, ...]:
        """Sets what is given, broadcast against other parameters, which are returned."""
        check_one_given(probs, logits)
        *others, given = broadcast_all(*others, logits if probs is None else probs)
        self._keep("logits" if probs is None else "probs", given)
        return tuple(each.type_as(given) for each in others)

    def _keep(self, name: str, given: Any) -> None:
        setattr(self, name, given)
        self._param = given

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        name = "probs" if self._param is self.__dict__.get("probs") else "logits"
        new._param = getattr(new, name)

    def _new(self, *args: Any, **kwargs: Any) -> Any:
        return self._param.new(*args, **kwargs)

    @lazy_property
    def logits(self) -> Any:
        """Log-odds, or log-probabilities of categories."""
        return probs_to_logits(self.probs, self._is_binary)

    @lazy_property
    def probs(self) -> Any:
        """Probabilities."""
        return logits_to_probs(self.logits, self._is_binary)

    @property
    def param_shape(self) -> Size:
        """The shape of the probabilities."""
        return self._param.size()
