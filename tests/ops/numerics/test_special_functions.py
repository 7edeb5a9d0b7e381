"""Special functions against printed tables, identities, and PyTorch in double precision."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fakel.ops.numerics import bessel, error_function, gamma, implicit, polynomials


@pytest.fixture(autouse=True)
def as_the_interpreter_runs_them():
    with np.errstate(all="ignore"):
        yield


# as in Abramowitz and Stegun, "Handbook of mathematical functions"
KNOWN = [
    (error_function.erf, 0.5, 0.5204998778130465),
    (error_function.erfinv, 0.5204998778130465, 0.5),
    (error_function.ndtri, 0.975, 1.959963984540054),
    (error_function.erfcx, 10.0, 0.05614099274382259),
    (gamma.digamma, 1.0, -0.5772156649015329),
    (gamma.digamma, 0.5, -1.9635100260214235),
    (bessel.j0, 1.0, 0.7651976865579666),
    (bessel.j1, 30.0, -0.11875106261662293),
    (bessel.y0, 1.0, 0.08825696421567697),
    (bessel.y1, 2.0, -0.10703243154093755),
    (bessel.i0, 1.0, 1.2660658777520084),
    (bessel.i1, 1.0, 0.5651591039924851),
    (bessel.k0, 1.0, 0.42102443824070834),
    (bessel.k1, 2.0, 0.13986588181652243),
    (bessel.airy_ai, 0.0, 0.3550280538878172),
    (bessel.airy_ai, 1.0, 0.13529241631288141),
]


@pytest.mark.parametrize(("function", "argument", "value"), KNOWN)
def test_known_values(function, argument, value):
    assert function(np.array(argument)) == pytest.approx(value, rel=1e-12)


def test_single_precision_of_erf():
    x = np.linspace(-6, 6, 20001).astype(np.float32)
    exact = error_function.erf(x.astype(np.float64))
    np.testing.assert_allclose(error_function.erf(x), exact, rtol=3e-7)
    edges = error_function.erf(np.array([np.inf, -np.inf, np.nan, 0], np.float32))
    np.testing.assert_array_equal(edges, [1, -1, np.nan, 0])


def test_inverses_far_out():
    tails = 10.0 ** -np.arange(1, 300, 7.0)
    z = error_function.ndtri(tails)
    np.testing.assert_allclose(error_function.log_ndtr(z), np.log(tails), rtol=1e-12)
    np.testing.assert_array_equal(error_function.erfinv(np.array([-1, 1])), [-np.inf, np.inf])
    assert np.isnan(error_function.erfinv(np.array(1.1)))


def test_wronskians_of_bessel_functions():
    x = np.concatenate([np.linspace(0.01, 60, 500), [1e-6, 500.0]])
    first = bessel.j1(x) * bessel.y0(x) - bessel.j0(x) * bessel.y1(x)
    np.testing.assert_allclose(first * np.pi * x / 2, 1, rtol=1e-10)
    modified = bessel.i0e(x) * bessel.k1e(x) + bessel.i1e(x) * bessel.k0e(x)
    np.testing.assert_allclose(modified * x, 1, rtol=1e-12)


def test_recurrences_of_the_gamma_family():
    x = np.arange(-9.9, 30, 0.25)
    np.testing.assert_allclose(gamma.digamma(x + 1), gamma.digamma(x) + 1 / x, atol=1e-11)
    np.testing.assert_allclose(
        gamma.polygamma(2, x + 1), gamma.polygamma(2, x) + 2 / x**3, rtol=1e-9, atol=1e-11
    )
    assert gamma.zeta(np.array(2.0), np.array(1.0)) == pytest.approx(math.pi**2 / 6, rel=1e-14)
    a, y = np.meshgrid(np.linspace(0.1, 40, 30), np.linspace(0.01, 60, 30))
    np.testing.assert_allclose(gamma.igamma(a, y) + gamma.igammac(a, y), 1, rtol=1e-12)


def test_zeta_far_below_zero():
    """Reflection: pi^2 / sin(pi q)^2 = zeta(2, q) + zeta(2, 1 - q), exact also where q is large."""
    q = np.array([-0.5, -3.25, -1e3 - 0.5, -1e12 - 0.25, -4e15 + 0.5])
    fraction = q - np.floor(q)
    sums = gamma.zeta(np.array(2.0), q) + gamma.zeta(np.array(2.0), 1 - q)
    np.testing.assert_allclose(sums, (np.pi / np.sin(np.pi * fraction)) ** 2, rtol=1e-12)
    # the sum itself
    q, terms = np.array([-3.3, -20.7]), np.arange(200_000)
    direct = (np.subtract.outer(q, -terms) ** -3.0).sum(axis=1)
    np.testing.assert_allclose(gamma.zeta(np.array(3.0), q), direct, rtol=1e-9)
    assert np.isinf(gamma.zeta(np.array(2.0), np.array(-1e300)))


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_implicit_gradients_in_every_region(dtype, torch):
    draw = np.random.default_rng(0)
    alpha, beta = np.exp(draw.uniform(-3, 5, (2, 3000))).astype(dtype)
    x = (alpha * np.exp(draw.normal(0, 1, 3000) / np.sqrt(alpha + 0.1))).astype(dtype)
    expected = torch._standard_gamma_grad(torch.tensor(alpha), torch.tensor(x)).numpy()
    found = implicit.gamma_gradient(alpha, x).astype(dtype)
    np.testing.assert_allclose(found, expected, rtol=1e-6 if dtype == "float32" else 1e-11)
    total = alpha + beta
    share = np.clip(draw.beta(alpha, beta), 1e-30, 1 - 1e-6).astype(dtype)
    expected = torch._dirichlet_grad(*map(torch.tensor, (share, alpha, total))).numpy()
    found = implicit.dirichlet_gradient(share, alpha, total).astype(dtype)
    # in float32 differences of digamma have few digits left where beta is small
    tolerance = 2e-3 if dtype == "float32" else 1e-10
    np.testing.assert_allclose(found, expected, rtol=tolerance)
    assert np.median(np.abs(found / expected - 1)) < 1e-6


def test_orthogonal_polynomials_of_an_angle():
    angle = np.linspace(0.1, 3, 50)
    for degree in range(9):
        n = np.array(degree)
        x = np.cos(angle)
        np.testing.assert_allclose(
            polynomials.chebyshev_t(x, n), np.cos(degree * angle), atol=1e-12
        )
        np.testing.assert_allclose(
            polynomials.chebyshev_u(x, n) * np.sin(angle), np.sin((degree + 1) * angle), atol=1e-12
        )
    assert polynomials.legendre_p(np.array(0.5), np.array(3)) == pytest.approx(-0.4375)
    assert polynomials.hermite_h(np.array(2.0), np.array(3)) == pytest.approx(40)
    assert polynomials.laguerre_l(np.array(2.0), np.array(2)) == pytest.approx(-1)
    assert polynomials.chebyshev_t(np.array(2.0), np.array(-1)) == 0
