"""The von Mises distribution of angles."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fakel import ops
from fakel.autograd import no_grad
from fakel.distributions import constraints
from fakel.distributions.parametric import Parametric
from fakel.distributions.utils import broadcast_all, lazy_property
from fakel.tensor import dtypes

__all__ = ["VonMises"]

# Modified Bessel functions of orders 0 and 1: polynomials in (x / 3.75)**2 below 3.75 and in
# 3.75 / x above, after M. Abramowitz and I. Stegun, "Handbook of mathematical functions", 9.8.1-4.
_SMALL = (
    (1.0, 3.5156229, 3.0899424, 1.2067492, 0.2659732, 0.360768e-1, 0.45813e-2),
    (0.5, 0.87890594, 0.51498869, 0.15084934, 0.2658733e-1, 0.301532e-2, 0.32411e-3),
)
_LARGE = (
    (
        0.39894228,
        0.1328592e-1,
        0.225319e-2,
        -0.157565e-2,
        0.916281e-2,
        -0.2057706e-1,
        0.2635537e-1,
        -0.1647633e-1,
        0.392377e-2,
    ),
    (
        0.39894228,
        -0.3988024e-1,
        -0.362018e-2,
        0.163801e-2,
        -0.1031555e-1,
        0.2282967e-1,
        -0.2895312e-1,
        0.1787654e-1,
        -0.420059e-2,
    ),
)


def _polynomial(y: Any, coefficients: Sequence[float]) -> Any:
    result: Any = coefficients[-1]
    for coefficient in reversed(coefficients[:-1]):
        result = coefficient + y * result
    return result


def _log_bessel(x: Any, order: int) -> Any:
    """``log I(x)`` of order 0 or 1, for positive x."""
    small = _polynomial((x / 3.75) * (x / 3.75), _SMALL[order])
    if order == 1:
        small = x.abs() * small
    large = x - 0.5 * x.log() + _polynomial(3.75 / x, _LARGE[order]).log()
    return ops.where(x < 3.75, small.log(), large)


class VonMises(Parametric):
    """Angles about a mean: the normal distribution of the circle.

    Density ``exp(kappa cos(x - loc)) / (2 pi I0(kappa))``, with the modified Bessel function I0;
    circular variance ``1 - I1(kappa) / I0(kappa)``.

    Args:
        loc: the mean angle, in radians.
        concentration: kappa, positive.
    """

    arg_constraints = {"loc": constraints.real, "concentration": constraints.positive}
    support = constraints.real

    def __init__(self, loc: Any, concentration: Any, validate_args: bool | None = None) -> None:
        self.loc, self.concentration = broadcast_all(loc, concentration)
        super().__init__(self.loc.shape, validate_args=validate_args)

    @property
    def mean(self) -> Any:
        """The mean angle."""
        return self.loc

    @property
    def mode(self) -> Any:
        return self.loc

    @lazy_property
    def variance(self) -> Any:
        """The circular variance."""
        kappa = self.concentration
        return 1 - (_log_bessel(kappa, 1) - _log_bessel(kappa, 0)).exp()

    def log_prob(self, value: Any) -> Any:
        self._check_sample(value)
        cosine = self.concentration * (value - self.loc).cos()
        return cosine - math.log(2 * math.pi) - _log_bessel(self.concentration, 0)

    def sample(self, sample_shape: Sequence[int] = ()) -> Any:
        """Draws angles of [-pi, pi), in float64, by rejection from a wrapped Cauchy distribution.

        (D. Best and N. Fisher, "Efficient simulation of the von Mises distribution", 1979)

        Args:
            sample_shape: how many, as a shape that comes before those of batch and event.
        """
        with no_grad():
            loc, kappa = self.loc.to(dtypes.float64), self.concentration.to(dtypes.float64)
            r = _proposal(kappa)
            angle = ops.zeros(self._extended_shape(sample_shape), dtype=dtypes.float64)
            done = ops.zeros_like(angle, dtype=dtypes.bool_)
            while not done.all():
                u1, u2, u3 = ops.rand((3, *angle.shape), dtype=dtypes.float64).unbind()
                z = (math.pi * u1).cos()
                f = (1 + r * z) / (r + z)
                c = kappa * (r - f)
                accept = (c * (2 - c) - u2 > 0) | ((c / u2).log() + 1 - c >= 0)
                angle = ops.where(accept, (u3 - 0.5).sign() * f.acos(), angle)
                done = done | accept
            wrapped = (angle + math.pi + loc) % (2 * math.pi) - math.pi
            return wrapped.to(self.loc.dtype)


def _proposal(kappa: Any) -> Any:
    """The parameter r of the wrapped Cauchy distribution that fits best."""
    tau = 1 + (1 + 4 * kappa**2).sqrt()
    rho = (tau - (2 * tau).sqrt()) / (2 * kappa)
    return ops.where(kappa < 1e-5, 1 / kappa + kappa, (1 + rho**2) / (2 * rho))
