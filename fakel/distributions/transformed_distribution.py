"""`TransformedDistribution`: the distribution of transformed samples."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakel.autograd import no_grad
from fakel.distributions import constraints
from fakel.distributions.distribution import Distribution
from fakel.distributions.independent import Independent
from fakel.distributions.parametric import Parametric
from fakel.distributions.transforms import ComposeTransform, Transform
from fakel.distributions.utils import _sum_rightmost
from fakel.tensor import Size

__all__ = ["TransformedDistribution"]


class TransformedDistribution(Parametric):
    """The distribution of ``y = f(x)``, where x is of a base distribution.

    Its log-density is ``log p(x) - log |det dy/dx|`` at ``x = f^-1(y)``.

    Args:
        base_distribution: that of x.
        transforms: a transform, or a list of transforms, of which the first is applied first.
    """

    arg_constraints: dict[str, constraints.Constraint] = {}

    def __init__(
        self,
        base_distribution: Distribution,
        transforms: Transform | list[Transform],
        validate_args: bool | None = None,
    ) -> None:
        self.transforms = _listed(transforms)
        shape = base_distribution.batch_shape + base_distribution.event_shape
        event_dim = len(base_distribution.event_shape)
        whole = ComposeTransform(self.transforms)
        domain_dim, codomain_dim = whole.domain.event_dim, whole.codomain.event_dim
        if len(shape) < domain_dim:
            raise ValueError(
                "base_distribution needs to have shape with size at least "
                f"{domain_dim}, but got {shape}."
            )
        forward_shape = whole.forward_shape(shape)
        expanded = whole.inverse_shape(forward_shape)
        if shape != expanded:  # parameters of the transforms make the batch larger
            batch_shape = expanded[: len(expanded) - event_dim]
            base_distribution = base_distribution.expand(batch_shape)
        if domain_dim > event_dim:
            base_distribution = Independent(base_distribution, domain_dim - event_dim)
        self.base_dist = base_distribution
        cut = len(forward_shape) - max(codomain_dim, event_dim + codomain_dim - domain_dim)
        super().__init__(forward_shape[:cut], forward_shape[cut:], validate_args=validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        shape = batch_shape + self.event_shape
        for transform in reversed(self.transforms):
            shape = transform.inverse_shape(shape)
        new.base_dist = self.base_dist.expand(shape[: len(shape) - len(self.base_dist.event_shape)])
        new.transforms = self.transforms

    @constraints.dependent_property(is_discrete=False)
    def support(self) -> Any:
        """What the last transform results in."""
        if not self.transforms:
            return self.base_dist.support
        support = self.transforms[-1].codomain
        added = len(self.event_shape) - support.event_dim
        return constraints.independent(support, added) if added > 0 else support

    @property
    def has_rsample(self) -> bool:
        """Whether the base distribution has ``rsample``."""
        return self.base_dist.has_rsample

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        with no_grad():
            return self._transformed(self.base_dist.sample(sample_shape))

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        return self._transformed(self.base_dist.rsample(sample_shape))

    def _transformed(self, value: Any) -> Any:
        for transform in self.transforms:
            value = transform(value)
        return value

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        event_dim = len(self.event_shape)
        log_prob: Any = 0.0
        after = value
        for transform in reversed(self.transforms):
            before = transform.inv(after)
            event_dim += transform.domain.event_dim - transform.codomain.event_dim
            stretch = transform.log_abs_det_jacobian(before, after)
            log_prob = log_prob - _sum_rightmost(stretch, event_dim - transform.domain.event_dim)
            after = before
        of_base = self.base_dist.log_prob(after)
        return log_prob + _sum_rightmost(of_base, event_dim - len(self.base_dist.event_shape))

    def _monotonised(self, probability: Any) -> Any:
        """``1 - F`` where the transforms together decrease, else F."""
        sign = 1
        for transform in self.transforms:
            sign = sign * transform.sign
        if isinstance(sign, int) and sign == 1:
            return probability
        return sign * (probability - 0.5) + 0.5

    def cdf(self, value: Any) -> Any:
        for transform in reversed(self.transforms):
            value = transform.inv(value)
        if self._validate_args:
            self.base_dist._validate_sample(value)
        return self._monotonised(self.base_dist.cdf(value))

    def icdf(self, value: Any) -> Any:
        return self._transformed(self.base_dist.icdf(self._monotonised(value)))


def _listed(transforms: Any) -> list[Transform]:
    if isinstance(transforms, Transform):
        return [transforms]
    if not isinstance(transforms, list):
        raise ValueError(f"transforms must be a Transform or list, but was {transforms}")
    if not all(isinstance(each, Transform) for each in transforms):
        raise ValueError("transforms must be a Transform or a list of Transforms")
    return transforms
