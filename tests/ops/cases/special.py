"""torch.special, and the rarer functions of one and two tensors."""

import numpy as np

from tests.ops.cases.pointwise import unary
from tests.support.case import FLOATS, REAL, case, floats, integers

TWO = ("float32", "float64")
S = "special."
PLAIN = {"gradient": 0}
ONLY_FORWARD = {"gradient": 0, "tolerance": 20}
LOOSE = {"tolerance": 20}


def bessel(*names, domain="positive"):
    return [
        case(S + name, floats(3, 4, domain=domain), options={"tolerance": 50, "gradient": None})
        for name in names
    ]


def polynomial(*names, domain="open"):
    """Orthogonal polynomials of the first five degrees."""
    return [
        case(
            S + name,
            floats(3, 5, domain=domain),
            integers(5),
            options={**ONLY_FORWARD, "gradient": None},
        )
        for name in names
    ]


CASES = [
    *unary("arccosh", np.arccosh, domain="above one", tolerance=2),
    *unary("arcsinh", np.arcsinh),
    *unary("arctanh", np.arctanh, domain="open"),
    *unary("conj_physical", np.conj),
    *unary("special.digamma", domain="positive", dtypes=TWO, tolerance=5),
    *unary("special.psi", domain="positive", dtypes=TWO, tolerance=5),
    *unary("special.erf", dtypes=REAL),
    *unary("special.erfc", dtypes=REAL, tolerance=5),
    *unary("special.erfcx", dtypes=TWO, tolerance=5),
    *unary("special.erfinv", domain="open", dtypes=TWO),
    *unary("special.exp2", np.exp2, dtypes=REAL),
    *unary("special.expm1", np.expm1, dtypes=REAL),
    *unary("special.gammaln", domain="positive", dtypes=TWO, tolerance=5),
    *unary("special.i0", np.i0, dtypes=TWO, tolerance=5),
    *unary("special.i0e", dtypes=TWO, tolerance=5),
    *unary("special.i1", dtypes=TWO, tolerance=5),
    *unary("special.i1e", dtypes=TWO, tolerance=5),
    *unary("special.log1p", np.log1p, domain="positive", dtypes=REAL),
    *unary("special.log_ndtr", dtypes=TWO, tolerance=5),
    *unary("special.logit", domain="unit", dtypes=TWO, tolerance=5),
    *unary("special.ndtr", dtypes=TWO, tolerance=5),
    *unary("special.ndtri", domain="unit", dtypes=TWO, tolerance=5),
    *unary("special.round", np.round, domain="away", dtypes=FLOATS, gradient=1),
    *unary("special.sinc", np.sinc, domain="nonzero", dtypes=TWO),
    case(S + "polygamma", 1, floats(3, domain="positive"), options=LOOSE),
    case(S + "multigammaln", floats(3, domain="above one"), 2, options=LOOSE),
    case(S + "xlog1py", floats(3, 4), floats(4, domain="positive")),
    case(
        S + "zeta",
        floats(3, domain="above one"),
        floats(3, domain="positive"),
        options={"tolerance": 20, "gradient": None},
    ),
    *(
        case(
            "_standard_gamma_grad",
            floats(3, 4, domain=domain),
            floats(3, 4, domain="positive"),
            options={"dtypes": TWO, "gradient": None},
        )
        for domain in ("positive", "above one")
    ),
    case(
        "_dirichlet_grad",
        floats(3, 4, domain="unit"),
        floats(3, 4, domain="unit"),
        floats(3, 4, domain="above one"),
        options={"dtypes": ("float64",), "tolerance": 20, "gradient": None},
    ),
    case(
        S + "gammainc",
        floats(3, domain="positive"),
        floats(3, domain="positive"),
        options={"tolerance": 20, "gradient": None},
    ),
    case(
        S + "gammaincc",
        floats(3, domain="positive"),
        floats(3, domain="positive"),
        options={"tolerance": 20, "gradient": None},
    ),
    case(
        "igamma",
        floats(3, domain="positive"),
        floats(3, domain="positive"),
        options={"tolerance": 20, "gradient": None},
    ),
    case(
        "igammac",
        floats(3, domain="positive"),
        floats(3, domain="positive"),
        options={"tolerance": 20, "gradient": None},
    ),
    *bessel(
        "airy_ai",
        "bessel_j0",
        "bessel_j1",
        "bessel_y0",
        "bessel_y1",
        "modified_bessel_i0",
        "modified_bessel_i1",
        "modified_bessel_k0",
        "modified_bessel_k1",
        "scaled_modified_bessel_k0",
        "scaled_modified_bessel_k1",
        "spherical_bessel_j0",
    ),
    *polynomial(
        "chebyshev_polynomial_t",
        "chebyshev_polynomial_u",
        "chebyshev_polynomial_v",
        "chebyshev_polynomial_w",
        "hermite_polynomial_h",
        "hermite_polynomial_he",
        "laguerre_polynomial_l",
        "legendre_polynomial_p",
    ),
    *polynomial(
        "shifted_chebyshev_polynomial_t",
        "shifted_chebyshev_polynomial_u",
        "shifted_chebyshev_polynomial_v",
        "shifted_chebyshev_polynomial_w",
        domain="unit",
    ),
    case("special.softmax", floats(3, 4), 1),
    case("special.log_softmax", floats(3, 4), 1),
    case("special.logsumexp", floats(3, 4), 1),
    case("frexp", floats(3, 4), numpy=np.frexp, options={"gradient": None}),
    case("nanquantile", floats(3, 5, domain="distinct"), 0.25, dim=1),
    case("trapz", floats(3, 5), options={"method": False}),
    case("trapz", floats(3, 5), dx=0.5, dim=0, options={"method": False}),
]
