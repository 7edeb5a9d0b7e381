"""`ExponentialFamily`: entropies from the logarithm of the normalising factor."""

from __future__ import annotations

from typing import Any

from fakel.autograd import grad
from fakel.distributions.parametric import Parametric

__all__ = ["ExponentialFamily"]


class ExponentialFamily(Parametric):
    """Distributions with a density ``exp(<t(x), theta> - F(theta) + k(x))``.

    ``theta`` are the natural parameters, ``t`` the sufficient statistic, ``F`` the log-normaliser
    and ``k`` the carrier measure. Since the gradient of F is the mean of t, F alone gives the
    entropy ``F(theta) - <theta, grad F(theta)> - E[k(x)]`` and the divergence between two members.
    (F. Nielsen and R. Nock, "Entropies and cross-entropies of exponential families", 2010)
    """

    @property
    def _natural_params(self) -> tuple[Any, ...]:
        """The natural parameters."""
        raise NotImplementedError

    def _log_normalizer(self, *natural_params: Any) -> Any:
        """F of natural parameters."""
        raise NotImplementedError

    @property
    def _mean_carrier_measure(self) -> float:
        """The mean of k."""
        raise NotImplementedError

    def entropy(self) -> Any:
        """The entropy in nats, of the batch's shape."""
        parameters, normalizer, means = self._moments()
        result = normalizer - self._mean_carrier_measure
        for parameter, mean in zip(parameters, means):
            result = result - (parameter * mean).reshape(self._batch_shape + (-1,)).sum(-1)
        return result

    def _moments(self) -> tuple[list[Any], Any, tuple[Any, ...]]:
        """Natural parameters cut off from their history, F, and the means of t."""
        parameters = [each.detach().requires_grad_() for each in self._natural_params]
        normalizer = self._log_normalizer(*parameters)
        means = grad(normalizer.sum(), parameters, create_graph=True)
        return parameters, normalizer, tuple(means)
