"""Special functions, most of them also in ``torch.special``."""

from __future__ import annotations

import math

import numpy as np

from fakel import ops
from fakel.ops import exponential, rounding, trigonometry
from fakel.ops.checks import BOOL, COMPLEX, INTEGER, refuse
from fakel.ops.declare import (
    FUNCTIONS,
    Primitive,
    binary,
    broadcast_shapes,
    gradient,
    not_differentiable,
    operands,
    operator,
    primitive,
    unary,
)
from fakel.ops.inplace import write_in_place
from fakel.ops.numerics import bessel, error_function, gamma, polynomials
from fakel.tensor import Tensor, dtypes, get_default_dtype

_SQRT_PI = math.sqrt(math.pi)

# -------------------------------------------------------------------- the error function's family

erf = unary(
    "erf",
    error_function.erf,
    "float",
    refuses=("complex",),
    kernel="erf_vml_cpu",
    documentation="The error function: 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.",
)
gradient(erf, input=lambda grad, input: grad * (2 / _SQRT_PI) * (-input * input).exp())

erfc = unary(
    "erfc",
    error_function.erfc,
    "float",
    refuses=("complex",),
    kernel="erfc_vml_cpu",
    documentation="1 - erf(x).",
)
gradient(erfc, input=lambda grad, input: grad * (-2 / _SQRT_PI) * (-input * input).exp())

erfinv = unary(
    "erfinv",
    error_function.erfinv,
    "float",
    refuses=("complex",),
    kernel="erfinv_vml_cpu",
    documentation="The inverse of erf.",
)
gradient(erfinv, input=lambda grad, result: grad * (_SQRT_PI / 2) * (result * result).exp())


# names whose parts PyTorch capitalises in its own way
_CAMEL = {"i0e": "I0E", "i1e": "I1E"}


def _special(name, meaning, documentation, halves=True):
    return unary(
        name,
        meaning,
        "float",
        namespace="special",
        method=False,
        inplace=False,
        refuses=("complex",) if halves else ("complex", "half"),
        documentation=documentation,
        backward_name="Special" + _CAMEL.get(name, name.title().replace("_", "")) + "Backward0",
    )


erfcx = _special("erfcx", error_function.erfcx, "exp(x^2) erfc(x).", halves=False)
gradient(erfcx, input=lambda grad, input, result: grad * (2 * input * result - 2 / _SQRT_PI))

ndtr = _special("ndtr", error_function.ndtr, "The normal distribution function.")
gradient(
    ndtr,
    input=lambda grad, input: grad * (input * input * -0.5).exp() / math.sqrt(2 * math.pi),
)

ndtri = _special("ndtri", error_function.ndtri, "The inverse of ndtr.", halves=False)
gradient(
    ndtri, input=lambda grad, result: grad * math.sqrt(2 * math.pi) * (result * result / 2).exp()
)

log_ndtr = _special("log_ndtr", error_function.log_ndtr, "The logarithm of ndtr.", halves=False)
gradient(
    log_ndtr,
    input=lambda grad, input: grad * math.sqrt(2 / math.pi) / erfcx(input * -math.sqrt(0.5)),
)

# -------------------------------------------------------------------- the gamma function's family

lgamma = unary(
    "lgamma",
    gamma.lgamma,
    "float",
    refuses=("complex",),
    kernel="lgamma_vml_cpu",
    documentation="The logarithm of |gamma(x)|.",
)
gradient(lgamma, input=lambda grad, input: grad * input.digamma())

digamma = unary(
    "digamma",
    gamma.digamma,
    "float",
    refuses=("complex",),
    kernel="digamma",
    documentation="The derivative of lgamma.",
)
gradient(digamma, input=lambda grad, input: grad * polygamma(1, input))


@primitive("polygamma")
def _polygamma(input, *, n):
    return gamma.polygamma(n, input)


gradient(_polygamma, input=lambda grad, input, n: grad * polygamma(n + 1, input))


@operator(method=False)
def polygamma(n, input):
    """The n-th derivative of digamma.

    Raises:
        RuntimeError: for a negative n.
    """
    if n < 0:
        raise RuntimeError("polygamma(n, x) does not support negative n.")
    refuse("digamma" if n == 0 else "trigamma", input.dtype, COMPLEX)
    return _polygamma(_floating(input), n=int(n))


def _polygamma_method(self, n):
    """The n-th derivative of digamma."""
    return polygamma(n, self)


Tensor.polygamma = _polygamma_method
Tensor.polygamma_ = lambda self, n: write_in_place("polygamma_", self, _polygamma_method, (n,), {})


def _floating(input):
    if input.is_floating_point() or input.is_complex():
        return input
    return input.to(get_default_dtype())


_igamma = Primitive("igamma", lambda input, other: gamma.igamma(input, other))
_igammac = Primitive("igammac", lambda input, other: gamma.igammac(input, other))


def _gamma_density(a, x):
    return (-x + (a - 1) * x.log() - a.lgamma()).exp()


gradient(_igamma, other=lambda grad, input, other: grad * _gamma_density(input, other))
gradient(_igammac, other=lambda grad, input, other: -grad * _gamma_density(input, other))


def _incomplete(node, input, other):
    first, second = operands(node.name, input, other)
    refuse(f"{node.name}_cpu", first.dtype, BOOL, INTEGER, COMPLEX)
    return node(first, second, shape=broadcast_shapes(first._shape, second._shape))


@operator(inplace=True)
def igamma(input, other):
    """The regularised lower incomplete gamma function of order input at other."""
    return _incomplete(_igamma, input, other)


@operator(inplace=True)
def igammac(input, other):
    """The regularised upper incomplete gamma function of order input at other."""
    return _incomplete(_igammac, input, other)


@operator(inplace=True)
def mvlgamma(input, p):
    """The logarithm of the multivariate gamma function of dimension p.

    Raises:
        RuntimeError: when p is not positive.
    """
    if p < 1:
        raise RuntimeError("p has to be greater than or equal to 1")
    if input.dtype is dtypes.bool_:
        raise RuntimeError("The input tensor may not be a boolean tensor.")
    input = _floating(input)
    shifts = ops.arange(0, -p, -1, dtype=input.dtype) / 2
    return (input.unsqueeze(-1) + shifts).lgamma().sum(-1) + p * (p - 1) / 4 * math.log(math.pi)


# -------------------------------------------------------------------- products with logarithms


def _times_log(function):
    def meaning(input, other):
        product = input * function(other)
        return np.where(np.isnan(other), np.nan, np.where(input == 0, 0, product))

    return meaning


xlogy = binary(
    "xlogy",
    _times_log(np.log),
    "float",
    refuses=("complex",),
    documentation="input * log(other), 0 where input is 0.",
)
gradient(
    xlogy,
    input=lambda grad, input, other: grad * other.log().masked_fill((input == 0) & (other <= 0), 0),
    other=lambda grad, input, other: grad * input / other,
)

xlog1py = binary(
    "xlog1py",
    _times_log(np.log1p),
    "float",
    refuses=("complex",),
    backward_name="SpecialXlog1PyBackward0",
    namespace="special",
    method=False,
    inplace=False,
    documentation="input * log1p(other), 0 where input is 0.",
)
gradient(
    xlog1py,
    input=lambda grad, input, other: (
        grad * other.log1p().masked_fill((input == 0) & (other <= -1), 0)
    ),
    other=lambda grad, input, other: grad * input / (other + 1),
)


def _entropy(input):
    result = -input * np.log(input)
    return np.where(input == 0, 0, np.where(input < 0, -np.inf, result))


entr = _special("entr", _entropy, "-x log(x), 0 at 0 and minus infinity below.")
gradient(entr, input=lambda grad, input: grad * (-input.log() - 1))

zeta = binary(
    "zeta",
    gamma.zeta,
    "float",
    backward_name="SpecialZetaBackward0",
    namespace="special",
    method=False,
    inplace=False,
    refuses=("complex", "half"),
    documentation="Hurwitz's zeta function: the sum of (other + k)^-input over k = 0, 1, ...",
)
gradient(zeta, other=lambda grad, input, other: grad * -input * zeta(input + 1, other))

# -------------------------------------------------------------------- Bessel functions

i0 = unary(
    "i0",
    bessel.i0,
    "float",
    refuses=("complex",),
    kernel="i0_vml_cpu",
    documentation="The modified Bessel function I0.",
)
gradient(i0, input=lambda grad, input: grad * i1(input))

i0e = _special("i0e", bessel.i0e, "exp(-|x|) I0(x).")
gradient(i0e, input=lambda grad, input, result: grad * (i1e(input) - input.sgn() * result))

i1 = _special("i1", bessel.i1, "The modified Bessel function I1.")
gradient(i1, input=lambda grad, input, result: grad * (input.i0() - _over(result, input)))

i1e = _special("i1e", bessel.i1e, "exp(-|x|) I1(x).")
gradient(
    i1e,
    input=lambda grad, input, result: (
        grad * (i0e(input) - input.sgn() * result - _over(result, input))
    ),
)


def _over(result, input):
    """I1(x) / x, which is 1/2 at 0."""
    at_zero = input == 0
    return (result / input.masked_fill(at_zero, 1)).masked_fill(at_zero, 0.5)


for _name, _meaning, _documentation in (
    ("airy_ai", bessel.airy_ai, "Airy's function Ai."),
    ("bessel_j0", bessel.j0, "The Bessel function J0."),
    ("bessel_j1", bessel.j1, "The Bessel function J1."),
    ("bessel_y0", bessel.y0, "The Bessel function Y0."),
    ("bessel_y1", bessel.y1, "The Bessel function Y1."),
    ("modified_bessel_i0", bessel.i0, "The modified Bessel function I0."),
    ("modified_bessel_i1", bessel.i1, "The modified Bessel function I1."),
    ("modified_bessel_k0", bessel.k0, "The modified Bessel function K0."),
    ("modified_bessel_k1", bessel.k1, "The modified Bessel function K1."),
    ("scaled_modified_bessel_k0", bessel.k0e, "exp(x) K0(x)."),
    ("scaled_modified_bessel_k1", bessel.k1e, "exp(x) K1(x)."),
    ("spherical_bessel_j0", bessel.spherical_j0, "The spherical Bessel function sin(x) / x."),
):
    not_differentiable(_special(_name, _meaning, _documentation, halves=False))

# -------------------------------------------------------------------- orthogonal polynomials

for _name, _meaning in {
    "chebyshev_polynomial_t": polynomials.chebyshev_t,
    "chebyshev_polynomial_u": polynomials.chebyshev_u,
    "chebyshev_polynomial_v": polynomials.chebyshev_v,
    "chebyshev_polynomial_w": polynomials.chebyshev_w,
    "hermite_polynomial_h": polynomials.hermite_h,
    "hermite_polynomial_he": polynomials.hermite_he,
    "laguerre_polynomial_l": polynomials.laguerre_l,
    "legendre_polynomial_p": polynomials.legendre_p,
    "shifted_chebyshev_polynomial_t": polynomials.shifted_chebyshev_t,
    "shifted_chebyshev_polynomial_u": polynomials.shifted_chebyshev_u,
    "shifted_chebyshev_polynomial_v": polynomials.shifted_chebyshev_v,
    "shifted_chebyshev_polynomial_w": polynomials.shifted_chebyshev_w,
}.items():
    not_differentiable(
        binary(
            _name,
            _meaning,
            "float",
            namespace="special",
            method=False,
            inplace=False,
            refuses=("complex", "half"),
            documentation=f"The {_name.replace('_', ' ')} of degree other at input.",
        )
    )

# -------------------------------------------------------------------- the names of torch.special


def _round(input, *, decimals=0, out=None):
    """Each element rounded, as ``torch.round``, but for floating-point tensors only."""
    refuse("round_vml_cpu", input.dtype, BOOL, INTEGER)
    return rounding.round(input, decimals=decimals, out=out)


_round.__name__ = _round.__qualname__ = "round"
FUNCTIONS["special"].update(
    digamma=digamma,
    erf=erf,
    erfc=erfc,
    erfinv=erfinv,
    exp2=exponential.exp2,
    expit=exponential.sigmoid,
    expm1=exponential.expm1,
    gammainc=igamma,
    gammaincc=igammac,
    gammaln=lgamma,
    i0=i0,
    log1p=exponential.log1p,
    logit=exponential.logit,
    multigammaln=mvlgamma,
    polygamma=polygamma,
    psi=digamma,
    round=_round,
    sinc=trigonometry.sinc,
    xlogy=xlogy,
)
