"""Kullback-Leibler divergences ``KL(p || q)`` between distributions of different families.

Each is ``-H(p) - E[log q(x)]``, with the entropy H of p and the mean over p.
"""

from __future__ import annotations

import math
from typing import Any

from fakel import ops
from fakel.distributions.bernoulli import Bernoulli
from fakel.distributions.beta import Beta
from fakel.distributions.binomial import Binomial
from fakel.distributions.continuous_bernoulli import ContinuousBernoulli
from fakel.distributions.exponential import Exponential
from fakel.distributions.gamma import Gamma
from fakel.distributions.gumbel import Gumbel
from fakel.distributions.kl import register_kl
from fakel.distributions.laplace import Laplace
from fakel.distributions.normal import Normal
from fakel.distributions.pareto import Pareto
from fakel.distributions.poisson import Poisson
from fakel.distributions.uniform import Uniform
from fakel.distributions.utils import euler_constant


def _x_log_x(x: Any) -> Any:
    return ops.xlogy(x, x)


# -------------------------------------------------------------------- infinite ones

# p has values where q has none. By type of p: a parameter of its shape, and the types of q.
_INFINITE: dict[type, tuple[str, tuple[type, ...]]] = {
    Beta: ("concentration1", (Pareto,)),
    ContinuousBernoulli: ("probs", (Pareto,)),
    Exponential: ("rate", (Beta, ContinuousBernoulli, Pareto, Uniform)),
    Gamma: ("concentration", (Beta, ContinuousBernoulli, Pareto, Uniform)),
    Gumbel: ("loc", (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)),
    Laplace: ("loc", (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)),
    Normal: ("loc", (Beta, ContinuousBernoulli, Exponential, Gamma, Pareto, Uniform)),
    Pareto: ("scale", (Beta, ContinuousBernoulli, Uniform)),
    Poisson: ("rate", (Bernoulli, Binomial)),
}


def _register_infinite(type_p: type, parameter: str, types_q: tuple[type, ...]) -> None:
    def infinite(p: Any, q: Any) -> Any:
        return ops.full_like(getattr(p, parameter), math.inf)

    for type_q in types_q:
        register_kl(type_p, type_q)(infinite)


for _type_p, (_parameter, _types_q) in _INFINITE.items():
    _register_infinite(_type_p, _parameter, _types_q)

# -------------------------------------------------------------------- of p = Bernoulli


@register_kl(Bernoulli, Poisson)
def _bernoulli_poisson(p: Any, q: Any) -> Any:
    return -p.entropy() - (p.probs * q.rate.log() - q.rate)


# -------------------------------------------------------------------- of p = Beta


@register_kl(Beta, ContinuousBernoulli)
def _beta_continuous_bernoulli(p: Any, q: Any) -> Any:
    return -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._cont_bern_log_norm()


@register_kl(Beta, Exponential)
def _beta_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(Beta, Gamma)
def _beta_gamma(p: Any, q: Any) -> Any:
    total = p.concentration1 + p.concentration0
    log_mean = p.concentration1.digamma() - total.digamma()
    normalizer = q.concentration.lgamma() - q.concentration * q.rate.log()
    mean = q.rate * p.concentration1 / total
    return -p.entropy() + normalizer - (q.concentration - 1) * log_mean + mean


@register_kl(Beta, Normal)
def _beta_normal(p: Any, q: Any) -> Any:
    mean = p.mean
    variance = q.scale.pow(2)
    total = p.concentration1 + p.concentration0
    half_square = (mean * (1 - mean) / (total + 1) + mean.pow(2)) * 0.5
    distance = half_square - q.loc * mean + q.loc.pow(2) * 0.5
    return -p.entropy() + 0.5 * (variance * 2 * math.pi).log() + distance / variance


@register_kl(Beta, Uniform)
def _beta_uniform(p: Any, q: Any) -> Any:
    result = -p.entropy() + (q.high - q.low).log()
    outside = (q.low > p.support.lower_bound) | (q.high < p.support.upper_bound)
    return result.masked_fill(outside, math.inf)


# -------------------------------------------------------------------- of p = ContinuousBernoulli


@register_kl(ContinuousBernoulli, Exponential)
def _continuous_bernoulli_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.mean


@register_kl(ContinuousBernoulli, Normal)
def _continuous_bernoulli_normal(p: Any, q: Any) -> Any:
    mean = p.mean
    normalizer = 0.5 * (math.log(2.0 * math.pi) + (q.loc / q.scale).square()) + q.scale.log()
    distance = p.variance + mean.square() - 2.0 * q.loc * mean
    return -p.entropy() + normalizer + distance / (2.0 * q.scale.square())


@register_kl(ContinuousBernoulli, Uniform)
def _continuous_bernoulli_uniform(p: Any, q: Any) -> Any:
    result = -p.entropy() + (q.high - q.low).log()
    outside = (q.low >= p.support.lower_bound) | (q.high <= p.support.upper_bound)
    return ops.where(outside, math.inf, result)


# -------------------------------------------------------------------- of p = Exponential


@register_kl(Exponential, Gamma)
def _exponential_gamma(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    of_log = q.concentration.lgamma() + q.concentration * euler_constant
    return -q.concentration * ratio.log() + ratio + of_log - (1 + euler_constant)


@register_kl(Exponential, Gumbel)
def _exponential_gumbel(p: Any, q: Any) -> Any:
    product = p.rate * q.scale
    shift = q.loc / q.scale
    exponential = shift.exp() * product / (product + 1)
    return product.log() - 1 - shift + exponential + product.reciprocal()


@register_kl(Exponential, Normal)
def _exponential_normal(p: Any, q: Any) -> Any:
    variance = q.scale.pow(2)
    squared_rate = p.rate.pow(2)
    normalizer = 0.5 * (squared_rate * variance * 2 * math.pi).log()
    distance = squared_rate.reciprocal() - q.loc / p.rate + q.loc.pow(2) * 0.5
    return normalizer - 1 + distance / variance


# -------------------------------------------------------------------- of p = Gamma


@register_kl(Gamma, Exponential)
def _gamma_exponential(p: Any, q: Any) -> Any:
    return -p.entropy() - q.rate.log() + q.rate * p.concentration / p.rate


@register_kl(Gamma, Gumbel)
def _gamma_gumbel(p: Any, q: Any) -> Any:
    a = p.concentration
    product = p.rate * q.scale
    shift = q.loc / q.scale
    of_p = (a - 1) * a.digamma() - a.lgamma() - a
    exponential = shift.exp() * (1 + product.reciprocal()).pow(-a)
    return of_p + (product.log() + a / product) + (exponential - shift)


@register_kl(Gamma, Normal)
def _gamma_normal(p: Any, q: Any) -> Any:
    a = p.concentration
    variance = q.scale.pow(2)
    squared_rate = p.rate.pow(2)
    normalizer = 0.5 * (squared_rate * variance * 2 * math.pi).log() - a - a.lgamma()
    half_square = 0.5 * (a.pow(2) + a) / squared_rate
    distance = half_square - q.loc * a / p.rate + 0.5 * q.loc.pow(2)
    return normalizer + (a - 1) * a.digamma() + distance / variance


# -------------------------------------------------------------------- of p = Gumbel


@register_kl(Gumbel, Normal)
def _gumbel_normal(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    normalizer = (ratio / math.sqrt(2 * math.pi)).log()
    variance = (math.pi * ratio * 0.5).pow(2) / 3
    distance = ((p.loc + p.scale * euler_constant - q.loc) / q.scale).pow(2) * 0.5
    return -normalizer + variance + distance - (euler_constant + 1)


# -------------------------------------------------------------------- of p = Laplace


@register_kl(Laplace, Normal)
def _laplace_normal(p: Any, q: Any) -> Any:
    variance = q.scale.pow(2)
    ratio = p.scale.pow(2) / variance
    distance = 0.5 * p.loc.pow(2) - p.loc * q.loc + 0.5 * q.loc.pow(2)
    return -0.5 * (2 * ratio / math.pi).log() + ratio + distance / variance - 1


# -------------------------------------------------------------------- of p = Normal


@register_kl(Normal, Gumbel)
def _normal_gumbel(p: Any, q: Any) -> Any:
    at_p, at_q = p.loc / q.scale, q.loc / q.scale
    ratio = (p.scale / q.scale).pow(2)
    exponential = (-at_p + 0.5 * ratio + at_q).exp()
    constant = 0.5 * (1 + math.log(2 * math.pi))
    return -(ratio.log() * 0.5) + (at_p - at_q) + exponential - constant


@register_kl(Normal, Laplace)
def _normal_laplace(p: Any, q: Any) -> Any:
    difference = p.loc - q.loc
    standardised = difference / p.scale
    near = math.sqrt(2 / math.pi) * p.scale * (-0.5 * standardised.pow(2)).exp()
    far = difference * (math.sqrt(0.5) * standardised).erf()
    constant = 0.5 * (1 + math.log(0.5 * math.pi))
    return -(p.scale / q.scale).log() + (near + far) / q.scale - constant


# -------------------------------------------------------------------- of p = Pareto


@register_kl(Pareto, Exponential)
def _pareto_exponential(p: Any, q: Any) -> Any:
    product = p.scale * q.rate
    mean = p.alpha * product / (p.alpha - 1)
    result = (p.alpha / product).log() - p.alpha.reciprocal() + mean - 1
    return result.masked_fill(p.alpha <= 1, math.inf)


@register_kl(Pareto, Gamma)
def _pareto_gamma(p: Any, q: Any) -> Any:
    log_mean = p.scale.log() + p.alpha.reciprocal()
    normalizer = q.concentration.lgamma() - q.concentration * q.rate.log()
    mean = q.rate * p.alpha * p.scale / (p.alpha - 1)
    powers = (1 - q.concentration) * log_mean
    result = (p.alpha.log() - log_mean) + normalizer + powers + mean - 1
    return result.masked_fill(p.alpha <= 1, math.inf)


@register_kl(Pareto, Normal)
def _pareto_normal(p: Any, q: Any) -> Any:
    twice_variance = 2 * q.scale.pow(2)
    unit = p.scale / (p.alpha - 1)
    normalizer = (math.sqrt(2 * math.pi) * q.scale * p.alpha / p.scale).log()
    variance = p.alpha * unit.pow(2) / (p.alpha - 2)
    distance = (p.alpha * unit - q.loc).pow(2)
    result = normalizer - p.alpha.reciprocal() + (variance + distance) / twice_variance - 1
    return result.masked_fill(p.alpha <= 2, math.inf)


# -------------------------------------------------------------------- of p = Uniform


def _mean_log(p: Any) -> Any:
    """The mean of log(x) over p = Uniform."""
    width = p.high - p.low
    return (_x_log_x(p.high) - _x_log_x(p.low) - width) / width


@register_kl(Uniform, Beta)
def _uniform_beta(p: Any, q: Any) -> Any:
    width = p.high - p.low
    a, b = q.concentration1, q.concentration0
    of_x = (a - 1) * _mean_log(p)
    of_rest = (b - 1) * (_x_log_x(1 - p.high) - _x_log_x(1 - p.low) + width) / width
    normalizer = a.lgamma() + b.lgamma() - (a + b).lgamma()
    outside = (p.high > q.support.upper_bound) | (p.low < q.support.lower_bound)
    return (of_rest + normalizer - width.log() - of_x).masked_fill(outside, math.inf)


@register_kl(Uniform, ContinuousBernoulli)
def _uniform_continuous_bernoulli(p: Any, q: Any) -> Any:
    result = -p.entropy() - p.mean * q.logits - (-q.probs).log1p() - q._cont_bern_log_norm()
    outside = (p.high >= q.support.upper_bound) | (p.low <= q.support.lower_bound)
    return ops.where(outside, math.inf, result)


@register_kl(Uniform, Exponential)
def _uniform_exponential(p: Any, q: Any) -> Any:
    result = q.rate * (p.high + p.low) / 2 - ((p.high - p.low) * q.rate).log()
    return result.masked_fill(p.low < q.support.lower_bound, math.inf)


@register_kl(Uniform, Gamma)
def _uniform_gamma(p: Any, q: Any) -> Any:
    normalizer = q.concentration.lgamma() - q.concentration * q.rate.log()
    powers = (1 - q.concentration) * _mean_log(p)
    mean = q.rate * (p.high + p.low) / 2
    result = -(p.high - p.low).log() + normalizer + powers + mean
    return result.masked_fill(p.low < q.support.lower_bound, math.inf)


@register_kl(Uniform, Gumbel)
def _uniform_gumbel(p: Any, q: Any) -> Any:
    ratio = q.scale / (p.high - p.low)
    high, low = (p.high - q.loc) / q.scale, (p.low - q.loc) / q.scale
    return ratio.log() + 0.5 * (high + low) - ratio * ((-high).exp() - (-low).exp())


@register_kl(Uniform, Normal)
def _uniform_normal(p: Any, q: Any) -> Any:
    width = p.high - p.low
    normalizer = (math.sqrt(math.pi * 2) * q.scale / width).log()
    distance = ((p.high + p.low - 2 * q.loc) / 2).pow(2)
    return normalizer + 0.5 * (width.pow(2) / 12 + distance) / q.scale.pow(2)


@register_kl(Uniform, Pareto)
def _uniform_pareto(p: Any, q: Any) -> Any:
    normalizer = (q.alpha * q.scale.pow(q.alpha) * (p.high - p.low)).log()
    result = _mean_log(p) * (q.alpha + 1) - normalizer
    return result.masked_fill(p.low < q.support.lower_bound, math.inf)
