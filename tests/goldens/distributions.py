"""Distributions: samples, gradients, densities, moments, divergences, transforms, errors."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

from tests.goldens.values import described

SEED = 7

PROBABILITIES = [0.3, 0.8, 0.5]
ROWS = [[0.1, 0.6, 0.3], [0.5, 0.25, 0.25]]
COVARIANCE = [[2.0, 0.3, 0.1], [0.3, 1.0, -0.2], [0.1, -0.2, 0.5]]
FACTOR = [[1.2, 0.0, 0.0], [0.4, 0.9, 0.0], [-0.3, 0.2, 0.7]]
LOCATION = [0.5, -1.0, 2.0]
SCALE = [1.0, 0.3, 2.5]
POSITIVE = [0.4, 1.5, 12.0]
MORE = [2.0, 0.7, 9.0]

# name: an expression and the values of its parameters a, b, c
EXAMPLES: dict[str, tuple[Any, ...]] = {
    "Bernoulli": ("D.Bernoulli(a)", PROBABILITIES),
    "Bernoulli of certainties": ("D.Bernoulli(a)", [0.0, 1.0]),
    "Bernoulli of logits": ("D.Bernoulli(logits=a)", LOCATION),
    "Bernoulli of a number": ("D.Bernoulli(0.25)",),
    "Beta": ("D.Beta(a, b)", POSITIVE, MORE),
    "Beta of numbers": ("D.Beta(0.5, 3)",),
    "Beta of large numbers": ("D.Beta(a, b)", [40.0, 7.0], [9.0, 80.0]),
    "Binomial": ("D.Binomial(torch.tensor([5.0, 40.0, 3.0]), a)", PROBABILITIES),
    "Binomial of one count": ("D.Binomial(6, a)", PROBABILITIES),
    "Binomial of logits": ("D.Binomial(30, logits=a)", LOCATION),
    "Categorical": ("D.Categorical(a)", ROWS),
    "Categorical of logits": ("D.Categorical(logits=a)", LOCATION),
    "Categorical with an impossible one": ("D.Categorical(a)", [0.5, 0.0, 1.5]),
    "Cauchy": ("D.Cauchy(a, b)", LOCATION, SCALE),
    "Chi2": ("D.Chi2(a)", POSITIVE),
    "ContinuousBernoulli": ("D.ContinuousBernoulli(a)", PROBABILITIES),
    "ContinuousBernoulli of logits": ("D.ContinuousBernoulli(logits=a)", LOCATION),
    "Dirichlet": ("D.Dirichlet(a)", [[0.4, 1.5, 3.0], [0.2, 0.5, 0.9]]),
    "Dirichlet of many": ("D.Dirichlet(a)", [20.0, 7.0, 9.0, 30.0]),
    "Exponential": ("D.Exponential(a)", POSITIVE),
    "Exponential of a number": ("D.Exponential(2)",),
    "FisherSnedecor": ("D.FisherSnedecor(a, b)", [1.0, 5.0, 9.0], [2.0, 3.0, 11.0]),
    "Gamma": ("D.Gamma(a, b)", POSITIVE, MORE),
    "Gamma of numbers": ("D.Gamma(0.3, 2.0)",),
    "GeneralizedPareto": ("D.GeneralizedPareto(a, b, c)", LOCATION, SCALE, [0.0, -0.4, 0.3]),
    "Geometric": ("D.Geometric(a)", PROBABILITIES),
    "Geometric of logits": ("D.Geometric(logits=a)", LOCATION),
    "Gumbel": ("D.Gumbel(a, b)", LOCATION, SCALE),
    "Gumbel of numbers": ("D.Gumbel(1.0, 2.0)",),
    "HalfCauchy": ("D.HalfCauchy(a)", SCALE),
    "HalfNormal": ("D.HalfNormal(a)", SCALE),
    "Independent": ("D.Independent(D.Normal(a, b), 1)", LOCATION, SCALE),
    "Independent of rows": ("D.Independent(D.Bernoulli(a), 1)", ROWS),
    "InverseGamma": ("D.InverseGamma(a, b)", POSITIVE, MORE),
    "Kumaraswamy": ("D.Kumaraswamy(a, b)", POSITIVE, MORE),
    "LKJCholesky": ("D.LKJCholesky(3, a)", [0.7, 2.0]),
    "LKJCholesky of numbers": ("D.LKJCholesky(4)",),
    "Laplace": ("D.Laplace(a, b)", LOCATION, SCALE),
    "LogNormal": ("D.LogNormal(a, b)", LOCATION, SCALE),
    "LogisticNormal": ("D.LogisticNormal(a, b)", LOCATION, SCALE),
    "LowRankMultivariateNormal": (
        "D.LowRankMultivariateNormal(a, b, c)",
        LOCATION,
        [[1.0], [0.3], [-0.5]],
        [0.5, 1.0, 0.2],
    ),
    "MixtureSameFamily": (
        "D.MixtureSameFamily(D.Categorical(a), D.Normal(b, c))",
        [0.2, 0.5, 0.3],
        LOCATION,
        SCALE,
    ),
    "MixtureSameFamily of vectors": (
        "D.MixtureSameFamily(D.Categorical(a), D.Independent(D.Normal(b, c), 1))",
        [0.6, 0.4],
        ROWS,
        [[1.0, 0.3, 2.5], [0.2, 0.4, 0.6]],
    ),
    "Multinomial": ("D.Multinomial(5, a)", ROWS),
    "Multinomial of logits": ("D.Multinomial(9, logits=a)", LOCATION),
    "MultivariateNormal": ("D.MultivariateNormal(a, b)", LOCATION, COVARIANCE),
    "MultivariateNormal of a precision": (
        "D.MultivariateNormal(a, precision_matrix=b)",
        LOCATION,
        COVARIANCE,
    ),
    "MultivariateNormal of a factor": (
        "D.MultivariateNormal(a, scale_tril=b)",
        [[0.5, -1.0, 2.0], [0.0, 0.0, 0.0]],
        FACTOR,
    ),
    "NegativeBinomial": ("D.NegativeBinomial(b, a)", PROBABILITIES, [3.0, 0.5, 10.0]),
    "NegativeBinomial of logits": ("D.NegativeBinomial(4, logits=a)", LOCATION),
    "Normal": ("D.Normal(a, b)", LOCATION, SCALE),
    "Normal of numbers": ("D.Normal(0.0, 2)",),
    "Normal of many": ("D.Normal(torch.zeros(5, 4), a)", [1.0, 2.0, 3.0, 4.0]),
    "OneHotCategorical": ("D.OneHotCategorical(a)", ROWS),
    "OneHotCategoricalStraightThrough": ("D.OneHotCategoricalStraightThrough(a)", ROWS),
    "Pareto": ("D.Pareto(a, b)", SCALE, [0.5, 1.5, 3.0]),
    "Poisson": ("D.Poisson(a)", [0.5, 3.0, 40.0]),
    "RelaxedBernoulli": ("D.RelaxedBernoulli(torch.tensor(0.7), a)", PROBABILITIES),
    "RelaxedBernoulli of logits": ("D.RelaxedBernoulli(b, logits=a)", LOCATION, SCALE),
    "RelaxedOneHotCategorical": ("D.RelaxedOneHotCategorical(torch.tensor(0.7), a)", ROWS),
    "StudentT": ("D.StudentT(a, b, c)", [0.9, 1.8, 5.0], LOCATION, SCALE),
    "StudentT of a number": ("D.StudentT(3.0)",),
    "TransformedDistribution": (
        "D.TransformedDistribution(D.Normal(a, b), [D.SigmoidTransform(), D.PowerTransform(2.0)])",
        LOCATION,
        SCALE,
    ),
    "TransformedDistribution that decreases": (
        "D.TransformedDistribution(D.Normal(a, b), D.AffineTransform(1.0, torch.tensor(-2.0)))",
        LOCATION,
        SCALE,
    ),
    "TransformedDistribution of vectors": (
        "D.TransformedDistribution(D.Normal(a, b), D.StickBreakingTransform())",
        LOCATION,
        SCALE,
    ),
    "Uniform": ("D.Uniform(a, b)", LOCATION, [1.0, -0.5, 5.0]),
    "Uniform of numbers": ("D.Uniform(-1, 3)",),
    "VonMises": ("D.VonMises(a, b)", LOCATION, POSITIVE),
    "Weibull": ("D.Weibull(a, b)", SCALE, POSITIVE),
    "Wishart": ("D.Wishart(torch.tensor(5.0), a)", COVARIANCE),
    "Wishart of a factor": ("D.Wishart(4.5, scale_tril=a)", FACTOR),
}

# what is asked of a distribution d, after a sample x was drawn; p are its parameters
QUESTIONS = {
    "repr": "repr(d)",
    "shapes": "[list(d.batch_shape), list(d.event_shape)]",
    "abilities": "[d.has_rsample, d.has_enumerate_support]",
    "support": "[repr(d.support), d.support.event_dim, d.support.is_discrete]",
    "valid": "d.support.check(x)",
    "log_prob": "d.log_prob(x)",
    "gradient of log_prob": "gradients(d.log_prob(x))",
    "mean": "d.mean",
    "mode": "d.mode",
    "variance": "d.variance",
    "stddev": "d.stddev",
    "entropy": "d.entropy()",
    "gradient of entropy": "gradients(d.entropy())",
    "perplexity": "d.perplexity()",
    "cdf": "d.cdf(x)",
    "icdf": "d.icdf(torch.full(d.batch_shape, 0.3))",
    "enumerate_support": "d.enumerate_support(False)",
    "rsample": "seeded().rsample((2,))",
    "gradient of rsample": "gradients(seeded().rsample((2,)))",
    "expanded": "repr(d.expand((2,) + tuple(d.batch_shape)))",
    "sample of expanded": "seeded().expand((2,) + tuple(d.batch_shape)).sample()",
    "log_prob of expanded": "d.expand((2,) + tuple(d.batch_shape)).log_prob(x)",
}

IN_FLOAT64 = ("Gamma", "Beta", "Dirichlet", "Normal of many", "Binomial", "Poisson", "Categorical")

# examples of the types in kl_divergence's registry
OF_TYPE = {
    **{name: name for name in EXAMPLES if " " not in name},
    "ExponentialFamily": "Wishart",
    "TransformedDistribution": "LogNormal",
}

TRANSFORMS = {
    "D.AbsTransform()": [-1.0, 2.0, 0.5],
    "D.AffineTransform(1.0, -2.0)": [-1.0, 2.0, 0.5],
    "D.AffineTransform(torch.tensor(1.0), torch.tensor([1.0, -2.0, 3.0]))": [-1.0, 2.0, 0.5],
    "D.AffineTransform(torch.zeros(3), torch.ones(3) * 2, event_dim=1)": [-1.0, 2.0, 0.5],
    "D.ExpTransform()": [-1.0, 2.0, 0.5],
    "D.PowerTransform(torch.tensor(-1.5))": [1.0, 2.0, 0.5],
    "D.SigmoidTransform()": [-1.0, 2.0, 0.5, 200.0],
    "D.SoftplusTransform()": [-1.0, 2.0, 0.5, 30.0],
    "D.TanhTransform()": [-1.0, 2.0, 0.5],
    "D.CumulativeDistributionTransform(D.Normal(0.0, 1.0))": [-1.0, 2.0, 0.5],
    "D.SoftmaxTransform()": [-1.0, 2.0, 0.5],
    "D.StickBreakingTransform()": [-1.0, 2.0, 0.5],
    "D.CorrCholeskyTransform()": [-1.0, 2.0, 0.5],
    "D.LowerCholeskyTransform()": COVARIANCE,
    "D.PositiveDefiniteTransform()": COVARIANCE,
    "D.ReshapeTransform((3, 3), (9,))": COVARIANCE,
    "D.ComposeTransform([D.ExpTransform(), D.AffineTransform(1.0, 3.0)])": [-1.0, 2.0, 0.5],
    "D.ComposeTransform([D.AffineTransform(0.0, 2.0), D.StickBreakingTransform()])": LOCATION,
    "D.IndependentTransform(D.ExpTransform(), 1)": [-1.0, 2.0, 0.5],
    "D.CatTransform([D.ExpTransform(), D.AffineTransform(1.0, 3.0)], 0, [2, 1])": LOCATION,
    "D.StackTransform([D.ExpTransform(), D.AffineTransform(1.0, 3.0)], 0)": ROWS,
    "D.identity_transform": [-1.0, 2.0, 0.5],
    "D.ExpTransform().inv": [1.0, 2.0, 0.5],
    "D.TanhTransform(cache_size=1)": [-1.0, 2.0, 9.0],
    "D.biject_to(D.constraints.simplex)": LOCATION,
    "D.transform_to(D.constraints.simplex)": LOCATION,
    "D.biject_to(D.constraints.positive)": LOCATION,
    "D.biject_to(D.constraints.less_than(3.0))": LOCATION,
    "D.biject_to(D.constraints.unit_interval)": LOCATION,
    "D.biject_to(D.constraints.interval(-2.0, 3.0))": LOCATION,
    "D.transform_to(D.constraints.lower_cholesky)": COVARIANCE,
    "D.transform_to(D.constraints.positive_definite)": COVARIANCE,
    "D.biject_to(D.constraints.corr_cholesky)": LOCATION,
    "D.biject_to(D.constraints.independent(D.constraints.positive, 1))": LOCATION,
    "D.biject_to(D.constraints.real)": LOCATION,
    "D.biject_to(D.constraints.cat([D.constraints.real, D.constraints.positive], 0, [1, 2]))": (
        LOCATION
    ),
    "D.transform_to(D.constraints.stack([D.constraints.real, D.constraints.simplex], 0))": ROWS,
}

# what is asked of a transform t and an argument x, of which y is the result
OF_TRANSFORMS = {
    "repr": "repr(t)",
    "ends": "[repr(t.domain), repr(t.codomain), t.domain.event_dim, t.codomain.event_dim]",
    "bijective": "t.bijective",
    "sign": "t.sign",
    "result": "y",
    "inverse": "t.inv(y)",
    "log_abs_det_jacobian": "t.log_abs_det_jacobian(x, y)",
    "gradient": "gradients(y)",
    "shapes": "[list(t.forward_shape(x.shape)), list(t.inverse_shape(y.shape))]",
    "of the inverse": "[repr(t.inv), repr(t.inv.domain), repr(t.inv.codomain)]",
    "equal": "[t == t, t.inv.inv == t, t != D.AbsTransform()]",
}

CONSTRAINTS = {
    "boolean": [[0.0, 1.0], [2.0, 0.5]],
    "one_hot": [[0.0, 1.0], [1.0, 1.0], [0.5, 0.5]],
    "nonnegative_integer": [-1.0, 0.0, 2.0, 2.5],
    "positive_integer": [-1.0, 0.0, 2.0, 2.5],
    "integer_interval(1, 3)": [0.0, 1.0, 2.5, 3.0, 4.0],
    "real": [0.0, float("inf"), float("nan")],
    "real_vector": [[0.0, 1.0], [float("nan"), 0.0]],
    "positive": [-1.0, 0.0, 2.0],
    "nonnegative": [-1.0, 0.0, 2.0],
    "greater_than(1)": [0.0, 1.0, 2.0],
    "greater_than_eq(1)": [0.0, 1.0, 2.0],
    "less_than(1)": [0.0, 1.0, 2.0],
    "interval(0, 1)": [-1.0, 0.0, 1.0, 2.0],
    "unit_interval": [-1.0, 0.0, 1.0, 2.0],
    "half_open_interval(0, 1)": [-1.0, 0.0, 1.0, 2.0],
    "simplex": [[0.5, 0.5], [0.6, 0.5], [1.1, -0.1]],
    "multinomial(3)": [[1.0, 2.0], [2.0, 2.0], [-1.0, 2.0]],
    "lower_triangular": [FACTOR, COVARIANCE],
    "lower_cholesky": [FACTOR, [[-1.0, 0.0, 0.0], [0.4, 0.9, 0.0], [-0.3, 0.2, 0.7]]],
    "corr_cholesky": [FACTOR, [[1.0, 0.0, 0.0], [0.6, 0.8, 0.0], [0.0, 0.6, 0.8]]],
    "square": [[1.0, 2.0], [3.0, 4.0]],
    "symmetric": [COVARIANCE, COVARIANCE],
    "positive_semidefinite": [COVARIANCE, [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]],
    "positive_definite": [COVARIANCE, [[-1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]],
    "independent(D.constraints.positive, 1)": [[1.0, 2.0], [-1.0, 2.0]],
    "MixtureSameFamilyConstraint(D.constraints.positive)": [1.0, -1.0],
    "cat([D.constraints.positive, D.constraints.real], 0, [2, 1])": [1.0, -1.0, -1.0],
    "stack([D.constraints.positive, D.constraints.real], 0)": [[1.0, -1.0], [-1.0, 2.0]],
    "dependent": [1.0],
}

# wrong calls: the type of the error and its text
MISTAKES = (
    "D.Normal(0.0, -1.0)",
    "D.Normal(torch.zeros(2), torch.tensor([1.0, -1.0]))",
    "D.Normal('a', 1.0)",
    "D.Normal(torch.zeros(2), torch.ones(3))",
    "D.Normal(float('nan'), 1.0)",
    "D.Normal(0.0, 1.0).log_prob(1.0)",
    "D.Normal(0.0, 1.0).log_prob(torch.tensor(float('nan')))",
    "D.Normal(torch.zeros(2), 1.0).log_prob(torch.zeros(3))",
    "D.Bernoulli()",
    "D.Bernoulli(0.5, logits=0.1)",
    "D.Bernoulli(1.5)",
    "D.Bernoulli(0.5).log_prob(torch.tensor(0.5))",
    "D.Bernoulli(0.5).rsample()",
    "D.Beta(-1.0, 1.0)",
    "D.Binomial(-1, torch.tensor(0.5))",
    "D.Binomial(torch.tensor([2.0, 3.0]), torch.tensor(0.5)).entropy()",
    "D.Binomial(torch.tensor([2.0, 3.0]), torch.tensor(0.5)).enumerate_support()",
    "D.Binomial(3, torch.tensor(0.5)).log_prob(torch.tensor(4.0))",
    "D.Categorical(torch.tensor(1.0))",
    "D.Categorical(logits=torch.tensor(1.0))",
    "D.Categorical(torch.tensor([-1.0, 2.0]))",
    "D.Categorical(torch.ones(3)).log_prob(torch.tensor(3))",
    "D.Categorical(logits=torch.tensor([float('nan'), 0.0]))",
    "D.Cauchy(0.0, 0.0)",
    "D.ContinuousBernoulli(1.5, validate_args=True)",
    "D.Dirichlet(torch.tensor(1.0))",
    "D.Dirichlet(torch.tensor([1.0, -1.0]))",
    "D.Dirichlet(torch.ones(2)).log_prob(torch.ones(2))",
    "D.Dirichlet(torch.ones(2)).log_prob(torch.ones(3) / 3)",
    "D.Exponential(0.0)",
    "D.Geometric(0.0)",
    "D.Geometric(torch.tensor([0.0, 0.5]))",
    "D.Independent(D.Normal(0.0, 1.0), 1)",
    "D.Independent(D.Bernoulli(torch.ones(2) / 2), 1).enumerate_support()",
    "D.LKJCholesky(1)",
    "D.LowRankMultivariateNormal(torch.zeros(2), torch.ones(3, 1), torch.ones(2))",
    "D.LowRankMultivariateNormal(torch.zeros(2), torch.ones(2), torch.ones(2))",
    "D.LowRankMultivariateNormal(torch.zeros(2), torch.ones(2, 1), torch.ones(3))",
    "D.MixtureSameFamily(D.Normal(0.0, 1.0), D.Normal(0.0, 1.0))",
    "D.MixtureSameFamily(D.Categorical(torch.ones(2)), D.Normal(torch.zeros(3), 1.0))",
    "D.MixtureSameFamily(D.Categorical(torch.ones(2, 3)), D.Normal(torch.zeros(4, 3), 1.0))",
    "D.Multinomial(torch.tensor([1, 2]), torch.ones(2))",
    "D.MultivariateNormal(torch.tensor(0.0), torch.eye(1))",
    "D.MultivariateNormal(torch.zeros(2))",
    "D.MultivariateNormal(torch.zeros(2), torch.eye(2), scale_tril=torch.eye(2))",
    "D.MultivariateNormal(torch.zeros(2), torch.ones(2))",
    "D.MultivariateNormal(torch.zeros(2), -torch.eye(2))",
    "D.MultivariateNormal(torch.zeros(2), scale_tril=torch.ones(2, 2))",
    "D.NegativeBinomial(-1, torch.tensor(0.5))",
    "D.Poisson(-1.0)",
    "D.Poisson(1.0).log_prob(torch.tensor(-1.0))",
    "D.Poisson(1.0).cdf(torch.tensor(1.0))",
    "D.TransformedDistribution(D.Normal(0.0, 1.0), 3)",
    "D.TransformedDistribution(D.Normal(0.0, 1.0), [3])",
    "D.TransformedDistribution(D.Normal(0.0, 1.0), D.StickBreakingTransform())",
    "D.Uniform(1.0, 0.0)",
    "D.Uniform(0.0, 1.0).log_prob(torch.tensor(2.0))",
    "D.Wishart(torch.tensor(1.0), torch.eye(3))",
    "D.Wishart(torch.tensor(3.0))",
    "D.kl_divergence(D.Normal(0.0, 1.0), D.Poisson(1.0))",
    "D.kl_divergence(D.Dirichlet(torch.ones(2)), D.Normal(0.0, 1.0))",
    "D.kl_divergence(D.Binomial(2, torch.tensor(0.5)), D.Binomial(3, torch.tensor(0.5)))",
    "D.kl_divergence(D.LogNormal(0.0, 1.0), D.HalfNormal(1.0))",
    "D.biject_to(D.constraints.boolean)",
    "D.biject_to.register(3, None)(4)",
    "D.constraints.dependent.check(torch.ones(1))",
    "D.constraints.dependent.event_dim",
    "D.constraints.dependent.is_discrete",
    "D.constraints.independent(3, 1)",
    "D.constraints.independent(D.constraints.real, 1).check(torch.tensor(1.0))",
    "D.Transform(cache_size=2)",
    "D.CorrCholeskyTransform().event_dim",
    "D.AbsTransform().sign",
    "D.SoftmaxTransform().log_abs_det_jacobian(torch.zeros(2), torch.zeros(2))",
    "D.CorrCholeskyTransform()(torch.zeros(4))",
    "D.CorrCholeskyTransform().forward_shape((4,))",
    "D.CorrCholeskyTransform().inverse_shape((4, 3))",
    "D.ReshapeTransform((2, 3), (5,))",
    "D.ReshapeTransform((2, 3), (6,)).forward_shape((3, 2))",
    "D.IndependentTransform(D.ExpTransform(), 1)(torch.tensor(1.0))",
    "D.CatTransform([D.ExpTransform()], 0, [2])(torch.zeros(3))",
    "D.CatTransform([D.ExpTransform()], 0, [2, 3])",
    "D.CatTransform([3])",
    "D.StackTransform([D.ExpTransform()], 1)(torch.zeros(3))",
    "D.StackTransform([D.ExpTransform()], 0)(torch.zeros(3))",
    "D.Distribution.set_default_validate_args(3)",
    "D.Distribution(validate_args=False).sample()",
    "D.Distribution(validate_args=False).entropy()",
    "type('Mine', (D.Normal,), {'__init__': lambda self: None})().expand((2,))",
)


def cases(torch: Any) -> dict[str, Callable[[], Any]]:
    """Examples, divergences, transforms, constraints and mistakes, by name."""
    table: dict[str, Callable[[], Any]] = {}
    for name in EXAMPLES:
        table[name] = lambda name=name: _answers(torch, name, torch.float32)
    for name in IN_FLOAT64:
        table[f"{name}, float64"] = lambda name=name: _answers(torch, name, torch.float64)
    registered = torch.distributions.kl._KL_REGISTRY
    for p, q in sorted((p.__name__, q.__name__) for p, q in registered):
        if p in OF_TYPE and q in OF_TYPE:  # other tests register types of their own
            table[f"KL of {p} and {q}"] = lambda p=p, q=q: _divergence(torch, p, q)
    for expression in TRANSFORMS:
        table[expression] = lambda text=expression: _of_transform(torch, text)
    for expression in CONSTRAINTS:
        table[f"constraints.{expression}"] = lambda text=expression: _checked(torch, text)
    for expression in MISTAKES:
        table[expression] = lambda text=expression: _mistake(torch, text)
    return table


def tolerances(case: str) -> dict[str, float]:
    """Sums of terms that cancel are as exact as the terms.

    In float64 PyTorch's derivative of digamma, which has nine digits, sets the limit.
    """
    if case.endswith("float64"):
        return {"relative": 1e-8, "absolute": 1e-12}
    return {"relative": 2e-5, "absolute": 1e-5}


def make(torch: Any, name: str, dtype: Any) -> tuple[Any, dict[str, Any]]:
    """The distribution of an example, and its parameters."""
    expression, *values = EXAMPLES[name]
    parameters = {
        letter: torch.tensor(value, dtype=dtype, requires_grad=True)
        for letter, value in zip("abc", values)
    }
    return eval(expression, {"torch": torch, "D": torch.distributions, **parameters}), parameters


def _answers(torch: Any, name: str, dtype: Any) -> dict[str, Any]:
    d, parameters = make(torch, name, dtype)
    torch.manual_seed(SEED)
    x = d.sample((3,))

    def seeded() -> Any:
        torch.manual_seed(SEED)
        return d

    names = {"torch": torch, "d": d, "x": x, "seeded": seeded}
    names["gradients"] = lambda result: _gradients(torch, result, parameters.values())
    asked = {question: _evaluated(torch, text, names) for question, text in QUESTIONS.items()}
    return {"sample": described(torch, x), **asked}


def _gradients(torch: Any, result: Any, parameters: Any) -> Any:
    if not result.requires_grad:
        return None
    # different weights, so that sums that are constant have a gradient too
    weights = torch.arange(1, result.numel() + 1, dtype=result.dtype).reshape(result.shape)
    return torch.autograd.grad((result * weights).sum(), list(parameters), allow_unused=True)


def _evaluated(torch: Any, text: str, names: dict[str, Any]) -> Any:
    try:
        return _for_json(torch, eval(text, names))
    except (NotImplementedError, RuntimeError, AttributeError, ValueError) as error:
        return {"error": type(error).__name__}


def _for_json(torch: Any, value: Any) -> Any:
    if isinstance(value, torch.Tensor):
        return described(torch, value)
    if isinstance(value, (list, tuple)):
        return [_for_json(torch, each) for each in value]
    return value


def _divergence(torch: Any, p: str, q: str) -> Any:
    distributions = [make(torch, OF_TYPE[kind], torch.float32) for kind in (p, q)]
    (first, ours), (second, theirs) = distributions
    result = torch.distributions.kl_divergence(first, second)
    gradient = _gradients(torch, result, [*ours.values(), *theirs.values()])
    return _for_json(torch, [result, gradient])


def _of_transform(torch: Any, text: str) -> dict[str, Any]:
    names = {"torch": torch, "D": torch.distributions}
    t = eval(text, names)
    x = torch.tensor(TRANSFORMS[text], requires_grad=True)
    names.update(t=t, x=x, y=t(x), gradients=lambda result: _gradients(torch, result, [x]))
    return {asked: _evaluated(torch, each, names) for asked, each in OF_TRANSFORMS.items()}


def _checked(torch: Any, text: str) -> Any:
    names = {"torch": torch, "D": torch.distributions}
    constraint = eval(f"D.constraints.{text}", names)
    names.update(c=constraint, x=torch.tensor(CONSTRAINTS[text]))
    return [
        _evaluated(torch, each, names)
        for each in ("repr(c)", "c.check(x)", "c.event_dim", "c.is_discrete")
    ]


def _mistake(torch: Any, text: str) -> list[str]:
    try:
        names = {"torch": torch, "D": torch.distributions, "__name__": __name__}
        result = eval(text, names)
    except Exception as error:
        shown = str(error).replace(f"{torch.__name__}.distributions", "torch.distributions")
        return [type(error).__name__, re.sub(" {20,}", " ", shown)]  # lines of PyTorch's source
    raise AssertionError(f"{text} raised nothing but gave {result}")
