"""Mixtures of distributions of one family."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.autograd import no_grad
from fakel.distributions import constraints
from fakel.distributions.categorical import Categorical
from fakel.distributions.constraints import MixtureSameFamilyConstraint
from fakel.distributions.distribution import Distribution
from fakel.distributions.parametric import Parametric
from fakel.tensor import Size

__all__ = ["MixtureSameFamily"]


class MixtureSameFamily(Parametric):
    """A mixture: one of K components is chosen, then a value of that one is drawn.

    Density ``sum over k of w[k] p[k](x)``. Since the choice is discrete, there is no ``rsample``.

    Args:
        mixture_distribution: a Categorical distribution over K components.
        component_distribution: the components, along its last batch dimension.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(
        self,
        mixture_distribution: Categorical,
        component_distribution: Distribution,
        validate_args: bool | None = None,
    ) -> None:
        if not isinstance(mixture_distribution, Categorical):
            raise ValueError(
                " The Mixture distribution needs to be an  instance of "
                "torch.distributions.Categorical"
            )
        if not isinstance(component_distribution, Distribution):
            raise ValueError(
                "The Component distribution needs to be an instance of "
                "torch.distributions.Distribution"
            )
        self._mixture_distribution = mixture_distribution
        self._component_distribution = component_distribution
        of_mixture = mixture_distribution.batch_shape
        batch_shape = component_distribution.batch_shape[:-1]
        for one, other in zip(reversed(of_mixture), reversed(batch_shape)):
            if one != 1 and other != 1 and one != other:
                raise ValueError(
                    f"`mixture_distribution.batch_shape` ({of_mixture}) is not compatible with "
                    f"`component_distribution.batch_shape`({batch_shape})"
                )
        weights = mixture_distribution.logits.shape[-1]
        components = component_distribution.batch_shape[-1]
        if weights != components:
            raise ValueError(
                f"`mixture_distribution component` ({weights}) does not equal "
                f"`component_distribution.batch_shape[-1]` ({components})"
            )
        event_shape = component_distribution.event_shape
        super().__init__(batch_shape, event_shape, validate_args=validate_args)

    @property
    def _num_component(self) -> int:
        return self._mixture_distribution._num_events

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new._component_distribution = self._component_distribution.expand(
            batch_shape + (self._num_component,)
        )
        new._mixture_distribution = self._mixture_distribution.expand(batch_shape)

    @constraints.dependent_property
    def support(self) -> Any:
        """The components' support."""
        return MixtureSameFamilyConstraint(self._component_distribution.support)

    @property
    def mixture_distribution(self) -> Categorical:
        """The distribution over components."""
        return self._mixture_distribution

    @property
    def component_distribution(self) -> Distribution:
        """The components."""
        return self._component_distribution

    @property
    def mean(self) -> Any:
        return self._averaged(self.component_distribution.mean)

    @property
    def variance(self) -> Any:
        """The mean of the variances plus the variance of the means."""
        distances = self.component_distribution.mean - self._pad(self.mean)
        within = self._averaged(self.component_distribution.variance)
        return within + self._averaged(distances.pow(2.0))

    def _averaged(self, values: Any) -> Any:
        """Means over components, by their weights."""
        weights = self._pad_mixture_dimensions(self.mixture_distribution.probs)
        return (weights * values).sum(dim=-1 - len(self._event_shape))

    def _pad_mixture_dimensions(self, weights: Any) -> Any:
        """Weights, (*batch, K), with dimensions of size 1 for those of the components' event."""
        of_mixture = len(self.mixture_distribution.batch_shape)
        added = 0 if of_mixture == 1 else len(self.batch_shape) - of_mixture
        shape = weights.shape[:-1] + Size([1] * added) + weights.shape[-1:]
        return weights.reshape(shape + Size([1] * len(self._event_shape)))

    def cdf(self, x: Any) -> Any:
        of_components = self.component_distribution.cdf(self._pad(x))
        return (of_components * self.mixture_distribution.probs).sum(dim=-1)

    def log_prob(self, x: Any) -> Any:
        self._check_sample(x)
        of_components = self.component_distribution.log_prob(self._pad(x))
        log_weights = self.mixture_distribution.logits.log_softmax(dim=-1)
        return (of_components + log_weights).logsumexp(dim=-1)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        with no_grad():
            dim = len(sample_shape) + len(self.batch_shape)
            chosen = self.mixture_distribution.sample(sample_shape)
            values = self.component_distribution.sample(sample_shape)
            event = self.event_shape
            index = chosen.reshape(chosen.shape + Size([1] * (len(event) + 1)))
            index = index.repeat(Size([1] * chosen.dim()) + Size([1]) + event)
            return ops.gather(values, dim, index).squeeze(dim)

    def _pad(self, x: Any) -> Any:
        return x.unsqueeze(-1 - len(self._event_shape))

    def __repr__(self) -> str:
        return (
            f"MixtureSameFamily(\n  {self.mixture_distribution},\n  {self.component_distribution})"
        )
