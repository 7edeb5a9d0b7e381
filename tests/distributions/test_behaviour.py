"""What programs do around distributions: subclasses, registries, caches, settings, training."""

import math

import numpy as np
import pytest

import fakel
from fakel import distributions as D
from tests.support.both import execute, run_both, scripts
from tests.support.package import package


@scripts(
    subclasses="""
        D = torch.distributions
        class Shifted(D.Distribution):
            arg_constraints = {"by": D.constraints.real}
            support = D.constraints.real
            has_rsample = True
            def __init__(self, by, validate_args=None):
                self.by, = D.utils.broadcast_all(by)
                super().__init__(self.by.shape, validate_args=validate_args)
            def expand(self, batch_shape, _instance=None):
                new = self._get_checked_instance(Shifted, _instance)
                new.by = self.by.expand(batch_shape)
                super(Shifted, new).__init__(torch.Size(batch_shape), validate_args=False)
                return new
            def rsample(self, sample_shape=torch.Size()):
                return self.by + torch.rand(self._extended_shape(sample_shape))
        torch.manual_seed(1)
        d = Shifted(torch.tensor([1.0, 2.0]))
        print(d, d.expand((3, 2)).sample((2,)).shape, d.sample(), Shifted(1))
        class Narrow(D.Normal):
            pass
        print(Narrow(0.0, 1.0).expand((2,)))
        class Other(D.Normal):
            def __init__(self, loc):
                super().__init__(loc, 1.0)
        print(Other(1.0), D.kl_divergence(Other(1.0), Narrow(0.0, 1.0)))
        print(Other(1.0).expand((2,)))
    """,
    without_constraints="""
        D = torch.distributions
        class Bare(D.Distribution):
            def log_prob(self, value):
                if self._validate_args:
                    self._validate_sample(value)
                return value
        print(Bare().log_prob(torch.ones(())))
        print(Bare(validate_args=False).log_prob(3))
        print(Bare().mode)
    """,
    validation_can_be_turned_off="""
        D = torch.distributions
        print(D.Normal(0.0, -1.0, validate_args=False))
        print(D.Normal(0.0, 1.0, validate_args=False).log_prob(torch.tensor(float("nan"))))
        D.Distribution.set_default_validate_args(False)
        print(D.Normal(0.0, -1.0), D.Uniform(1.0, 0.0).log_prob(torch.tensor(3.0)))
        D.Distribution.set_default_validate_args(True)
        print(D.Normal(0.0, 1.0).expand((2,))._validate_args)
        D.Normal(0.0, -1.0)
    """,
    registering_divergences="""
        D = torch.distributions
        class A(D.Normal): pass
        class B(D.Normal): pass
        @D.register_kl(A, D.Normal)
        def left(p, q): return "left"
        @D.register_kl(D.Normal, B)
        def right(p, q): return "right"
        a, b, n = A(0.0, 1.0), B(0.0, 1.0), D.Normal(0.0, 1.0)
        print(D.kl_divergence(a, n), D.kl_divergence(n, b), D.kl_divergence(n, n))
        print(D.kl_divergence(a, b))
        @D.register_kl(A, B)
        def both(p, q): return "both"
        print(D.kl_divergence(a, b))
    """,
    caches_of_transforms="""
        D = torch.distributions
        for t in (D.TanhTransform(), D.TanhTransform(cache_size=1)):
            x = torch.tensor([0.5, 20.0])
            y = t(x)
            print(t(x) is y, t.inv(y) is x, t.inv(y), t.inv(t.inv(x) * 0 + 1))
        c = D.ComposeTransform([D.ExpTransform(), D.AffineTransform(1.0, 2.0)]).with_cache()
        x = torch.ones(2)
        print(c(x) is c(x), c.inv(c(x)) is x, c.with_cache() is c, c.inv.inv is c)
        print([p._cache_size for p in c.parts], c.inv, c.inv.parts[0]._cache_size)
        print(D.PowerTransform(torch.tensor(2.0)) == D.PowerTransform(torch.tensor([2.0, 2.0])))
        print(D.AffineTransform(0, 1) == D.AffineTransform(torch.zeros(2), torch.ones(())))
        print(D.AffineTransform(0.0, -3.0).sign, D.AffineTransform(0.0, 0.0).sign)
        print(D.ReshapeTransform((2,), (1, 2)).with_cache()(torch.zeros(3, 2)).shape)
    """,
    old_names="""
        torch.manual_seed(2)
        d = torch.distributions.Gamma(torch.tensor([1.0, 2.0]), 3.0)
        print(d.sample_n(3).shape, d.log_prob(1), d.param_shape if hasattr(d, "param_shape") else 0)
        print(torch.distributions.Categorical(torch.ones(2, 4))._new((2,)).shape)
        print(torch.distributions.Bernoulli(logits=torch.zeros(3)).param_shape)
    """,
    helpers="""
        U = torch.distributions.utils
        m = torch.arange(9.0).reshape(3, 3)
        for diag in (-1, 0, 1):
            v = U.tril_matrix_to_vec(m, diag)
            print(v, U.vec_to_tril_matrix(v, diag))
        print(U.broadcast_all(1, torch.zeros(2, dtype=torch.float64)), U.broadcast_all(1, 2.5))
        print(U.probs_to_logits(torch.tensor([0.0, 0.5, 1.0]), True), U.clamp_probs(torch.ones(1)))
        print(U.logits_to_probs(torch.tensor([0.0, 1.0])))
        class Kept:
            @U.lazy_property
            def value(self):
                print("computed")
                return torch.is_grad_enabled()
        k = Kept()
        with torch.no_grad():
            print(k.value, k.value)
        print(isinstance(Kept.value, property), Kept.value.__name__)
        try:
            U.vec_to_tril_matrix(torch.zeros(4))
        except ValueError as error:
            print(error)
        U.tril_matrix_to_vec(m, 3)
    """,
    shapes="""
        D = torch.distributions
        for d in (D.Normal(torch.zeros(2, 1), torch.ones(3)), D.Dirichlet(torch.ones(2, 3)),
                  D.Independent(D.Normal(torch.zeros(4, 2, 3), 1.0), 2), D.Beta(1.0, torch.ones(2)),
                  D.MultivariateNormal(torch.zeros(4, 2), torch.eye(2)),
                  D.LKJCholesky(3, torch.ones(2)), D.OneHotCategorical(torch.ones(5, 2))):
            e = d.expand((7,) + tuple(d.batch_shape))
            print(d.batch_shape, d.event_shape, d.sample((2, 1)).shape, e.sample([2]).shape)
            print(d.log_prob(d.sample((2, 1))).shape, e.log_prob(d.sample()).shape, e)
    """,
)
def test_same_as_pytorch(script):
    run_both(script)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
@scripts(
    reinforce="""
        torch.manual_seed(3)
        policy = nn.Sequential(nn.Linear(4, 16), nn.Tanh(), nn.Linear(16, 3))
        optimizer = torch.optim.Adam(policy.parameters(), lr=0.02)
        target = torch.randint(0, 3, (32,))
        state = torch.randn(32, 4)
        for step in range(50):
            chosen = torch.distributions.Categorical(logits=policy(state))
            action = chosen.sample()
            reward = (action == target).float()
            loss = -(chosen.log_prob(action) * (reward - reward.mean())).mean()
            loss = loss - 0.01 * chosen.entropy().mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"{loss.item():.9g} {reward.mean().item():.4f}")
    """,
    a_variational_autoencoder="""
        D = torch.distributions
        torch.manual_seed(4)
        encoder, decoder = nn.Linear(12, 6), nn.Linear(3, 12)
        parameters = [*encoder.parameters(), *decoder.parameters()]
        optimizer = torch.optim.Adam(parameters, lr=0.01)
        images = torch.rand(64, 12).round()
        for step in range(50):
            mean, log_scale = encoder(images).chunk(2, -1)
            q = D.Independent(D.Normal(mean, log_scale.exp()), 1)
            prior = D.Independent(D.Normal(torch.zeros(3), torch.ones(3)), 1)
            z = q.rsample()
            p = D.Independent(D.Bernoulli(logits=decoder(z)), 1)
            loss = (D.kl_divergence(q, prior) - p.log_prob(images)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"{loss.item():.9g}")
    """,
    a_gaussian_policy="""
        D = torch.distributions
        torch.manual_seed(5)
        mean, log_scale = nn.Linear(3, 2), nn.Parameter(torch.zeros(2))
        optimizer = torch.optim.SGD([*mean.parameters(), log_scale], lr=0.05)
        state = torch.randn(16, 3)
        for step in range(50):
            base = D.Normal(mean(state), log_scale.exp())
            squashed = D.TransformedDistribution(base, D.TanhTransform(cache_size=1))
            action = squashed.rsample()
            loss = (squashed.log_prob(action).sum(-1) * 0.1 + (action - 0.5).pow(2).sum(-1)).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"{loss.item():.9g}")
    """,
    fitting_gamma_and_dirichlet="""
        D = torch.distributions
        torch.manual_seed(6)
        a, b = torch.zeros(3, requires_grad=True), torch.zeros(3, requires_grad=True)
        optimizer = torch.optim.Adam([a, b], lr=0.05)
        for step in range(50):
            q = D.Gamma(a.exp(), b.exp())
            shares = D.Dirichlet(a.exp()).rsample((4,))
            x = q.rsample((8,))
            loss = ((x - 2.0) ** 2).mean() - 0.1 * q.entropy().sum() + (shares**2).sum(-1).mean()
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            print(f"{loss.item():.9g}")
    """,
)
def test_training_follows_pytorch(script, torch):
    """Losses of 50 steps within 1e-4, or 1e-6 where they are smaller than 0.01."""
    ours, theirs = (
        [[float(number) for number in line.split()] for line in execute(script, each).splitlines()]
        for each in (package, torch)
    )
    assert len(ours) == 50
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-6)


def test_samples_have_the_moments_that_are_stated():
    """Against the formulas of mean and variance, by 20000 samples: within six standard errors."""
    fakel.manual_seed(0)
    count = 20000
    for distribution in (
        D.Normal(1.0, 2.0),
        D.Beta(2.0, 3.0),
        D.Gamma(3.0, 2.0),
        D.Laplace(1.0, 2.0),
        D.Gumbel(1.0, 2.0),
        D.Kumaraswamy(2.0, 3.0),
        D.Weibull(2.0, 3.0),
        D.ContinuousBernoulli(0.8),
        D.LogNormal(0.0, 0.3),
        D.InverseGamma(9.0, 2.0),
        D.Geometric(0.4),
        D.GeneralizedPareto(1.0, 2.0, -0.3),
    ):
        values = distribution.sample((count,)).double().numpy()
        error = float(distribution.stddev) / math.sqrt(count)
        assert abs(values.mean() - float(distribution.mean)) < 6 * error, distribution
        assert values.var() == pytest.approx(float(distribution.variance), rel=0.15), distribution


def test_densities_integrate_to_one():
    x = np.linspace(-30, 30, 60001)[1:-1]
    for distribution in (
        D.Normal(0.5, 2.0),
        D.Laplace(0.5, 2.0),
        D.StudentT(9.0),
        D.Gumbel(0.5, 1.0),
        D.Gamma(2.0, 1.5),
        D.LogNormal(0.0, 0.5),
    ):
        inside = x[x > 0] if isinstance(distribution, (D.Gamma, D.LogNormal)) else x
        density = distribution.log_prob(fakel.tensor(inside)).exp().numpy()
        assert (density.sum() * (inside[1] - inside[0])) == pytest.approx(1, abs=1e-4), distribution
