"""Kullback-Leibler divergences between two distributions of one family, and of wrapped ones."""

from __future__ import annotations

import math
from typing import Any

from fakel import ops
from fakel.distributions.bernoulli import Bernoulli
from fakel.distributions.beta import Beta
from fakel.distributions.binomial import Binomial
from fakel.distributions.categorical import Categorical
from fakel.distributions.cauchy import Cauchy
from fakel.distributions.continuous_bernoulli import ContinuousBernoulli
from fakel.distributions.dirichlet import Dirichlet
from fakel.distributions.exp_family import ExponentialFamily
from fakel.distributions.exponential import Exponential
from fakel.distributions.gamma import Gamma
from fakel.distributions.geometric import Geometric
from fakel.distributions.gumbel import Gumbel
from fakel.distributions.half_normal import HalfNormal
from fakel.distributions.independent import Independent
from fakel.distributions.kl import kl_divergence, register_kl
from fakel.distributions.laplace import Laplace
from fakel.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from fakel.distributions.matrices import batch_mahalanobis, batch_trace_XXT, log_diagonal
from fakel.distributions.multivariate_normal import MultivariateNormal
from fakel.distributions.normal import Normal
from fakel.distributions.one_hot_categorical import OneHotCategorical
from fakel.distributions.pareto import Pareto
from fakel.distributions.poisson import Poisson
from fakel.distributions.transformed_distribution import TransformedDistribution
from fakel.distributions.uniform import Uniform
from fakel.distributions.utils import _sum_rightmost, euler_constant
from fakel.ops.linalg_triangular import solve_triangular


@register_kl(Bernoulli, Bernoulli)
def _bernoulli(p: Any, q: Any) -> Any:
    ones = p.probs * (ops.softplus(-q.logits) - ops.softplus(-p.logits))
    ones = ones.masked_fill(q.probs == 0, math.inf).masked_fill(p.probs == 0, 0)
    zeros = (1 - p.probs) * (ops.softplus(q.logits) - ops.softplus(p.logits))
    zeros = zeros.masked_fill(q.probs == 1, math.inf).masked_fill(p.probs == 1, 0)
    return ones + zeros


@register_kl(Beta, Beta)
def _beta(p: Any, q: Any) -> Any:
    total_p = p.concentration1 + p.concentration0
    total_q = q.concentration1 + q.concentration0
    of_q = q.concentration1.lgamma() + q.concentration0.lgamma() + total_p.lgamma()
    of_p = p.concentration1.lgamma() + p.concentration0.lgamma() + total_q.lgamma()
    return (
        of_q
        - of_p
        + (p.concentration1 - q.concentration1) * p.concentration1.digamma()
        + (p.concentration0 - q.concentration0) * p.concentration0.digamma()
        + (total_q - total_p) * total_p.digamma()
    )


@register_kl(Binomial, Binomial)
def _binomial(p: Any, q: Any) -> Any:
    if (p.total_count < q.total_count).any():
        raise NotImplementedError(
            "KL between Binomials where q.total_count > p.total_count is not implemented"
        )
    one = p.probs * (p.logits - q.logits) + (-p.probs).log1p() - (-q.probs).log1p()
    return (p.total_count * one).masked_fill(p.total_count > q.total_count, math.inf)


@register_kl(Categorical, Categorical)
def _categorical(p: Any, q: Any) -> Any:
    terms = p.probs * (p.logits - q.logits)
    terms = terms.masked_fill(q.probs == 0, math.inf).masked_fill(p.probs == 0, 0)
    return terms.sum(-1)


@register_kl(OneHotCategorical, OneHotCategorical)
def _one_hot_categorical(p: Any, q: Any) -> Any:
    return _categorical(p._categorical, q._categorical)


@register_kl(ContinuousBernoulli, ContinuousBernoulli)
def _continuous_bernoulli(p: Any, q: Any) -> Any:
    of_p = p._cont_bern_log_norm() + (-p.probs).log1p()
    of_q = -q._cont_bern_log_norm() - (-q.probs).log1p()
    return p.mean * (p.logits - q.logits) + of_p + of_q


@register_kl(Dirichlet, Dirichlet)
def _dirichlet(p: Any, q: Any) -> Any:
    # http://bariskurt.com/kullback-leibler-divergence-between-two-dirichlet-and-beta-distributions
    total_p, total_q = p.concentration.sum(-1), q.concentration.sum(-1)
    normalizers = (p.concentration.lgamma() - q.concentration.lgamma()).sum(-1)
    log_means = p.concentration.digamma() - total_p.digamma().unsqueeze(-1)
    weighted = ((p.concentration - q.concentration) * log_means).sum(-1)
    return total_p.lgamma() - total_q.lgamma() - normalizers + weighted


@register_kl(Exponential, Exponential)
def _exponential(p: Any, q: Any) -> Any:
    ratio = q.rate / p.rate
    return -ratio.log() + ratio - 1


@register_kl(ExponentialFamily, ExponentialFamily)
def _exponential_family(p: Any, q: Any) -> Any:
    # the Bregman divergence of the log-normaliser, with arguments exchanged
    if type(p) is not type(q):
        raise NotImplementedError(
            "The cross KL-divergence between different exponential families cannot "
            "be computed using Bregman divergences"
        )
    parameters, normalizer, means = p._moments()
    others = q._natural_params
    result = q._log_normalizer(*others) - normalizer
    for parameter, other, mean in zip(parameters, others, means):
        result = result - _sum_rightmost((other - parameter) * mean, len(q.event_shape))
    return result


@register_kl(Gamma, Gamma)
def _gamma(p: Any, q: Any) -> Any:
    return (
        q.concentration * (p.rate / q.rate).log()
        + (q.concentration.lgamma() - p.concentration.lgamma())
        + (p.concentration - q.concentration) * p.concentration.digamma()
        + (q.rate - p.rate) * (p.concentration / p.rate)
    )


@register_kl(Gumbel, Gumbel)
def _gumbel(p: Any, q: Any) -> Any:
    scale = p.scale / q.scale
    at_q, at_p = q.loc / q.scale, p.loc / q.scale
    exponential = (at_q + (1 + scale).lgamma() - at_p).exp()
    return (
        (-scale.log() - at_q + at_p) + scale * euler_constant + exponential - (1 + euler_constant)
    )


@register_kl(Geometric, Geometric)
def _geometric(p: Any, q: Any) -> Any:
    return -p.entropy() - (-q.probs).log1p() / p.probs - q.logits


@register_kl(HalfNormal, HalfNormal)
def _half_normal(p: Any, q: Any) -> Any:
    return _normal(p.base_dist, q.base_dist)


@register_kl(Laplace, Laplace)
def _laplace(p: Any, q: Any) -> Any:
    ratio = p.scale / q.scale
    distance = (p.loc - q.loc).abs()
    return -ratio.log() + distance / q.scale + ratio * (-distance / p.scale).exp() - 1


def _check_events(p: Any, q: Any, kind: str) -> None:
    if p.event_shape != q.event_shape:
        raise ValueError(
            f"KL-divergence between two {kind} with different event shapes cannot be computed"
        )


@register_kl(LowRankMultivariateNormal, LowRankMultivariateNormal)
def _low_rank_normal(p: Any, q: Any) -> Any:
    _check_events(p, q, "Low Rank Multivariate Normals")
    log_dets = q._log_det() - p._log_det()
    distance = q._mahalanobis(q.loc - p.loc)
    # trace of (Wq Wq^T + Dq)^-1 (Wp Wp^T + Dp), by Woodbury's identity
    correction = q._solved_factor()
    q_diagonal, p_diagonal = q._unbroadcasted_cov_diag, p._unbroadcasted_cov_diag
    p_factor = p._unbroadcasted_cov_factor
    trace = (
        (p_diagonal / q_diagonal).sum(-1)
        + batch_trace_XXT(p_factor * q_diagonal.rsqrt().unsqueeze(-1))
        - batch_trace_XXT(correction * p_diagonal.sqrt().unsqueeze(-2))
        - batch_trace_XXT(correction @ p_factor)
    )
    return 0.5 * (log_dets + trace + distance - p.event_shape[0])


@register_kl(MultivariateNormal, LowRankMultivariateNormal)
def _normal_to_low_rank_normal(p: Any, q: Any) -> Any:
    _check_events(p, q, "(Low Rank) Multivariate Normals")
    factor = p._unbroadcasted_scale_tril
    log_dets = q._log_det() - 2 * log_diagonal(factor)
    distance = q._mahalanobis(q.loc - p.loc)
    inverse_deviation = q._unbroadcasted_cov_diag.rsqrt().unsqueeze(-1)
    trace = batch_trace_XXT(factor * inverse_deviation) - batch_trace_XXT(
        q._solved_factor() @ factor
    )
    return 0.5 * (log_dets + trace + distance - p.event_shape[0])


@register_kl(LowRankMultivariateNormal, MultivariateNormal)
def _low_rank_normal_to_normal(p: Any, q: Any) -> Any:
    _check_events(p, q, "(Low Rank) Multivariate Normals")
    log_dets = 2 * log_diagonal(q._unbroadcasted_scale_tril) - p._log_det()
    distance = batch_mahalanobis(q._unbroadcasted_scale_tril, q.loc - p.loc)
    deviations = p._unbroadcasted_cov_diag.sqrt().diag_embed()
    trace = _trace_of_solved(q, p._unbroadcasted_cov_factor) + _trace_of_solved(q, deviations)
    return 0.5 * (log_dets + trace + distance - p.event_shape[0])


@register_kl(MultivariateNormal, MultivariateNormal)
def _multivariate_normal(p: Any, q: Any) -> Any:
    _check_events(p, q, "Multivariate Normals")
    p_factor, q_factor = p._unbroadcasted_scale_tril, q._unbroadcasted_scale_tril
    log_dets = log_diagonal(q_factor) - log_diagonal(p_factor)
    trace = _trace_of_solved(q, p_factor)
    distance = batch_mahalanobis(q_factor, q.loc - p.loc)
    return log_dets + 0.5 * (trace + distance - p.event_shape[0])


def _trace_of_solved(q: Any, factor: Any) -> Any:
    """The trace of ``(L L^T)^-1 F F^T`` with L that of q."""
    scale_tril = q._unbroadcasted_scale_tril
    batch_shape = ops.broadcast_shapes(scale_tril.shape[:-2], factor.shape[:-2])
    solved = solve_triangular(
        scale_tril.expand(batch_shape + scale_tril.shape[-2:]),
        factor.expand(batch_shape + factor.shape[-2:]),
        upper=False,
    )
    return batch_trace_XXT(solved)


@register_kl(Normal, Normal)
def _normal(p: Any, q: Any) -> Any:
    variances = (p.scale / q.scale).pow(2)
    distance = ((p.loc - q.loc) / q.scale).pow(2)
    return 0.5 * (variances + distance - 1 - variances.log())


@register_kl(Pareto, Pareto)
def _pareto(p: Any, q: Any) -> Any:
    scales, exponents = p.scale / q.scale, q.alpha / p.alpha
    result = q.alpha * scales.log() - exponents.log() + exponents - 1
    return result.masked_fill(p.support.lower_bound < q.support.lower_bound, math.inf)


@register_kl(Poisson, Poisson)
def _poisson(p: Any, q: Any) -> Any:
    return p.rate * (p.rate.log() - q.rate.log()) - (p.rate - q.rate)


@register_kl(Uniform, Uniform)
def _uniform(p: Any, q: Any) -> Any:
    result = ((q.high - q.low) / (p.high - p.low)).log()
    return result.masked_fill((q.low > p.low) | (q.high < p.high), math.inf)


@register_kl(Cauchy, Cauchy)
def _cauchy(p: Any, q: Any) -> Any:
    # F. Chyzak and F. Nielsen, "A closed-form formula for the Kullback-Leibler divergence between
    # Cauchy distributions", 2019
    squares = (p.scale + q.scale).pow(2) + (p.loc - q.loc).pow(2)
    return squares.log() - (4 * p.scale * q.scale).log()


@register_kl(TransformedDistribution, TransformedDistribution)
def _transformed(p: Any, q: Any) -> Any:
    if p.transforms != q.transforms or p.event_shape != q.event_shape:
        raise NotImplementedError
    return kl_divergence(p.base_dist, q.base_dist)


@register_kl(Independent, Independent)
def _independent(p: Any, q: Any) -> Any:
    if p.reinterpreted_batch_ndims != q.reinterpreted_batch_ndims:
        raise NotImplementedError
    result = kl_divergence(p.base_dist, q.base_dist)
    return _sum_rightmost(result, p.reinterpreted_batch_ndims)
