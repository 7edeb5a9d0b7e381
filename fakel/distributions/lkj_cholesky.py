"""The LKJ distribution of correlation matrices, by their Cholesky factors."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.distributions import constraints
from fakel.distributions.beta import Beta
from fakel.distributions.parametric import Parametric
from fakel.distributions.utils import broadcast_all
from fakel.tensor import Size, finfo

__all__ = ["LKJCholesky"]


class LKJCholesky(Parametric):
    """Lower Cholesky factors of correlation matrices with a density of ``det**(eta - 1)``.

    With eta = 1 correlation matrices are uniform; larger ones are nearer to the identity. Samples
    are made by the onion method, row by row: its length below the diagonal is beta distributed, its
    direction uniform.
    (D. Lewandowski, D. Kurowicka, H. Joe, "Generating random correlation matrices based on vines
    and extended onion method", 2009)

    Args:
        dim: rows of the matrices, at least 2.
        concentration: eta, positive.

    Raises:
        ValueError: when dim is below 2.
    """

    arg_constraints = {"concentration": constraints.positive}
    support = constraints.corr_cholesky

    def __init__(
        self, dim: int, concentration: Any = 1.0, validate_args: bool | None = None
    ) -> None:
        if dim < 2:
            raise ValueError(
                f"Expected dim to be an integer greater than or equal to 2. Found dim={dim}."
            )
        self.dim = dim
        (self.concentration,) = broadcast_all(concentration)
        above = ops.arange(dim - 1, dtype=self.concentration.dtype)
        above = ops.cat([above.new_zeros((1,)), above])  # the first row has no length to draw
        marginal = self.concentration + 0.5 * (dim - 2)
        self._beta = Beta(above + 0.5, marginal.unsqueeze(-1) - 0.5 * above)
        super().__init__(self.concentration.shape, Size((dim, dim)), validate_args)

    def _expand_rest(self, new: Any, batch_shape: Size) -> None:
        new.dim = self.dim
        new._beta = self._beta.expand(batch_shape + (self.dim,))

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        squared_length = self._beta.sample(sample_shape).unsqueeze(-1)
        kind = squared_length.dtype
        noise = ops.randn(self._extended_shape(sample_shape), dtype=kind).tril(-1)
        direction = noise / noise.norm(dim=-1, keepdim=True)
        direction[..., 0, :].fill_(0.0)
        rows = squared_length.sqrt() * direction
        diagonal = (1 - (rows**2).sum(dim=-1)).clamp(min=finfo(kind).tiny).sqrt()
        return rows + diagonal.diag_embed()

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        # the density of the factor: that of the matrix times the Jacobian of L -> L L^T
        diagonal = value.diagonal(dim1=-1, dim2=-2)[..., 1:]
        exponents = 2 * (self.concentration - 1).unsqueeze(-1) + self.dim
        exponents = exponents - ops.arange(2, self.dim + 1)
        unnormalised = (exponents * diagonal.log()).sum(dim=-1)
        rows = self.dim - 1
        alpha = self.concentration + 0.5 * rows
        constant = 0.5 * rows * math.log(math.pi)
        normalizer = constant + (alpha - 0.5).mvlgamma(rows) - alpha.lgamma() * rows
        return unnormalised - normalizer
