"""The Laplace distribution."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.parametric import Parametric
from fakel.distributions.utils import broadcast_all
from fakel.tensor import finfo

__all__ = ["Laplace"]


class Laplace(Parametric):
    """The Laplace (double exponential) distribution.

    Density ``exp(-|x - loc| / scale) / (2 scale)``; mean ``loc``, variance ``2 scale**2``, entropy
    ``1 + log(2 scale)``.

    Args:
        loc: mean.
        scale: positive.
    """

    arg_constraints = {"loc": constraints.real, "scale": constraints.positive}
    support = constraints.real
    has_rsample = True

    def __init__(self, loc: Any, scale: Any, validate_args: bool | None = None) -> None:
        self.loc, self.scale = broadcast_all(loc, scale)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @property
    def stddev(self) -> Any:
        return (2**0.5) * self.scale

    @property
    def variance(self) -> Any:
        return 2 * self.scale.pow(2)

    def rsample(self, sample_shape: Sequence[int] = ()) -> Any:
        kind = self.loc.dtype
        uniform = ops.empty(self._extended_shape(sample_shape), dtype=kind)
        uniform.uniform_(finfo(kind).eps - 1, 1)
        return self.loc - self.scale * uniform.sign() * (-uniform.abs()).log1p()

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        return -(2 * self.scale).log() - (value - self.loc).abs() / self.scale

    def cdf(self, value: Any) -> Any:
        self._check_sample(value)
        distance = value - self.loc
        return 0.5 - 0.5 * distance.sign() * (-distance.abs() / self.scale).expm1()

    def icdf(self, value: Any) -> Any:
        term = value - 0.5
        return self.loc - self.scale * term.sign() * (-2 * term.abs()).log1p()

    def entropy(self) -> Any:
        return 1 + (2 * self.scale).log()
