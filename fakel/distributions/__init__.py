"""Probability distributions, with PyTorch's samples for the same seed.

Every distribution draws samples (``sample``), scores values (``log_prob``) and knows its moments;
those with ``has_rsample`` draw samples that are differentiable in the parameters (``rsample``).
``kl_divergence`` compares two, ``TransformedDistribution`` and ``Independent`` make new ones.
"""

from fakel.distributions import constraints as constraints
from fakel.distributions import kl_between_families as kl_between_families
from fakel.distributions import kl_same_family as kl_same_family
from fakel.distributions import transforms
from fakel.distributions.bernoulli import Bernoulli
from fakel.distributions.beta import Beta
from fakel.distributions.binomial import Binomial
from fakel.distributions.categorical import Categorical
from fakel.distributions.cauchy import Cauchy
from fakel.distributions.chi2 import Chi2
from fakel.distributions.constraint_registry import biject_to, transform_to
from fakel.distributions.continuous_bernoulli import ContinuousBernoulli
from fakel.distributions.dirichlet import Dirichlet
from fakel.distributions.distribution import Distribution
from fakel.distributions.exp_family import ExponentialFamily
from fakel.distributions.exponential import Exponential
from fakel.distributions.fishersnedecor import FisherSnedecor
from fakel.distributions.gamma import Gamma
from fakel.distributions.generalized_pareto import GeneralizedPareto
from fakel.distributions.geometric import Geometric
from fakel.distributions.gumbel import Gumbel
from fakel.distributions.half_cauchy import HalfCauchy
from fakel.distributions.half_normal import HalfNormal
from fakel.distributions.independent import Independent
from fakel.distributions.inverse_gamma import InverseGamma
from fakel.distributions.kl import kl_divergence, register_kl
from fakel.distributions.kumaraswamy import Kumaraswamy
from fakel.distributions.laplace import Laplace
from fakel.distributions.lkj_cholesky import LKJCholesky
from fakel.distributions.log_normal import LogNormal
from fakel.distributions.logistic_normal import LogisticNormal
from fakel.distributions.lowrank_multivariate_normal import LowRankMultivariateNormal
from fakel.distributions.mixture_same_family import MixtureSameFamily
from fakel.distributions.multinomial import Multinomial
from fakel.distributions.multivariate_normal import MultivariateNormal
from fakel.distributions.negative_binomial import NegativeBinomial
from fakel.distributions.normal import Normal
from fakel.distributions.one_hot_categorical import (
    OneHotCategorical,
    OneHotCategoricalStraightThrough,
)
from fakel.distributions.pareto import Pareto
from fakel.distributions.poisson import Poisson
from fakel.distributions.relaxed_bernoulli import RelaxedBernoulli
from fakel.distributions.relaxed_categorical import RelaxedOneHotCategorical
from fakel.distributions.studentT import StudentT
from fakel.distributions.transformed_distribution import TransformedDistribution
from fakel.distributions.transforms import *  # noqa: F403 - the package has all their names
from fakel.distributions.uniform import Uniform
from fakel.distributions.von_mises import VonMises
from fakel.distributions.weibull import Weibull
from fakel.distributions.wishart import Wishart

__all__ = [
    "Bernoulli",
    "Beta",
    "Binomial",
    "Categorical",
    "Cauchy",
    "Chi2",
    "ContinuousBernoulli",
    "Dirichlet",
    "Distribution",
    "Exponential",
    "ExponentialFamily",
    "FisherSnedecor",
    "Gamma",
    "GeneralizedPareto",
    "Geometric",
    "Gumbel",
    "HalfCauchy",
    "HalfNormal",
    "Independent",
    "InverseGamma",
    "Kumaraswamy",
    "LKJCholesky",
    "Laplace",
    "LogNormal",
    "LogisticNormal",
    "LowRankMultivariateNormal",
    "MixtureSameFamily",
    "Multinomial",
    "MultivariateNormal",
    "NegativeBinomial",
    "Normal",
    "OneHotCategorical",
    "OneHotCategoricalStraightThrough",
    "Pareto",
    "Poisson",
    "RelaxedBernoulli",
    "RelaxedOneHotCategorical",
    "StudentT",
    "TransformedDistribution",
    "Uniform",
    "VonMises",
    "Weibull",
    "Wishart",
    "biject_to",
    "kl_divergence",
    "register_kl",
    "transform_to",
    *transforms.__all__,
]
