"""Elementwise functions of one tensor."""

import math

import numpy as np

from tests.support.case import EVERY, FLOATS, NUMBERS, REAL, case, flags, floats, integers, mistake


def unary(
    name,
    numpy=None,
    *,
    domain="normal",
    dtypes=EVERY,
    gradient=2,
    out=True,
    method=True,
    tolerance=1.0,
):
    """The lines of one function: a matrix, a number, nothing, and nothing of two dimensions."""
    options = {
        "dtypes": dtypes,
        "gradient": gradient,
        "out": out,
        "method": method,
        "tolerance": tolerance,
    }
    shapes = [(3, 4), (), (0,), (2, 0)]
    return [
        case(name, floats(*shape, domain=domain), numpy=numpy, options=options) for shape in shapes
    ]


_vector = np.vectorize


CASES = [
    *unary("abs", np.abs, domain="away"),
    *unary("absolute", np.abs, domain="away"),
    *unary("acos", np.arccos, domain="open", tolerance=2),
    *unary("acosh", np.arccosh, domain="above one", tolerance=2),
    *unary("angle", np.angle, domain="nonzero", gradient=1),
    *unary("arccos", np.arccos, domain="open", tolerance=2),
    *unary("arcsin", np.arcsin, domain="open"),
    *unary("arctan", np.arctan),
    *unary("asin", np.arcsin, domain="open"),
    *unary("asinh", np.arcsinh),
    *unary("atan", np.arctan),
    *unary("atanh", np.arctanh, domain="open"),
    *unary("bitwise_not", gradient=0, dtypes=("int64", "int32", "uint8", "bool", "float32")),
    *unary("ceil", np.ceil, domain="away", dtypes=REAL, gradient=1),
    *unary("conj", np.conj, out=False),
    *unary("cos", np.cos),
    *unary("cosh", np.cosh),
    *unary("deg2rad", np.deg2rad, dtypes=REAL),
    *unary("digamma", domain="positive", dtypes=("float32", "float64"), tolerance=5),
    *unary("erf", _vector(math.erf, otypes=[float]), dtypes=REAL),
    *unary("erfc", _vector(math.erfc, otypes=[float]), dtypes=REAL, tolerance=5),
    *unary("erfinv", domain="open", dtypes=("float32", "float64")),
    *unary("exp", np.exp),
    *unary("exp2", np.exp2),
    *unary("expm1", np.expm1),
    *unary("floor", np.floor, domain="away", dtypes=REAL, gradient=1),
    *unary("frac", lambda x: x - np.trunc(x), domain="away", dtypes=FLOATS),
    *unary("isfinite", np.isfinite, gradient=0),
    *unary("isinf", np.isinf, gradient=0),
    *unary("isnan", np.isnan, gradient=0),
    *unary("isneginf", np.isneginf, dtypes=REAL, gradient=0),
    *unary("isposinf", np.isposinf, dtypes=REAL, gradient=0),
    *unary("isreal", np.isreal, gradient=0, out=False),
    *unary(
        "lgamma",
        _vector(math.lgamma, otypes=[float]),
        domain="positive",
        dtypes=("float32", "float64"),
        tolerance=5,
    ),
    *unary("log", np.log, domain="positive"),
    *unary("log10", np.log10, domain="positive"),
    *unary("log1p", np.log1p, domain="positive"),
    *unary("log2", np.log2, domain="positive"),
    *unary("logical_not", np.logical_not, gradient=0),
    *unary("logit", lambda p: np.log(p / (1 - p)), domain="unit", dtypes=FLOATS, tolerance=3),
    *unary("nan_to_num", np.nan_to_num, dtypes=REAL),
    *unary("neg", np.negative),
    *unary("negative", np.negative),
    *unary("positive", np.positive, dtypes=EVERY, out=False),
    *unary("rad2deg", np.rad2deg, dtypes=REAL),
    *unary("real", np.real, out=False, method=False),
    *unary("reciprocal", np.reciprocal, domain="nonzero"),
    *unary("relu", lambda x: np.maximum(x, 0), domain="away", dtypes=REAL),
    *unary("round", np.round, domain="away", dtypes=REAL, gradient=1),
    *unary("rsqrt", lambda x: 1 / np.sqrt(x), domain="positive"),
    *unary("selu", domain="away", dtypes=FLOATS, out=False),
    *unary("sgn", np.sign, domain="nonzero", gradient=1),
    *unary("sigmoid", lambda x: 1 / (1 + np.exp(-x))),
    *unary("sign", np.sign, domain="nonzero", dtypes=REAL, gradient=1),
    *unary("signbit", np.signbit, dtypes=REAL, gradient=0),
    *unary("sin", np.sin),
    *unary("sinc", np.sinc, domain="nonzero", dtypes=("float32", "float64")),
    *unary("sinh", np.sinh),
    *unary("sqrt", np.sqrt, domain="positive"),
    *unary("square", np.square),
    *unary("tan", np.tan, domain="open"),
    *unary("tanh", np.tanh),
    *unary("trunc", np.trunc, domain="away", dtypes=REAL, gradient=1),
    *unary("fix", np.trunc, domain="away", dtypes=REAL, gradient=1),
    case("round", floats(3, 4, domain="away"), decimals=1, options={"gradient": 1}),
    case("round", floats(3, 4, domain="away"), decimals=-1, options={"gradient": 1}),
    case("logit", floats(3, 4, domain="unit"), 0.1),
    case("nan_to_num", floats(3, 4), nan=1.0, posinf=2.0, neginf=-2.0),
    case(
        "clamp",
        floats(3, 4, domain="away"),
        -1.0,
        1.0,
        numpy=lambda x, low, high: np.clip(x, low, high),
        options={"dtypes": NUMBERS},
    ),
    case("clamp", floats(3, 4, domain="away"), min=0, options={"dtypes": NUMBERS}),
    case("clamp", floats(3, 4, domain="away"), max=1, options={"dtypes": NUMBERS}),
    case("clamp", floats(3, 4, domain="distinct"), floats(4), floats(3, 1, domain="above one")),
    case("clamp", floats(), 0.0, 1.0),
    case("clamp", floats(0, 3), 0.0, 1.0),
    case("clip", floats(3, 4, domain="away"), -1.0, 1.0),
    case("clamp_min", floats(3, 4, domain="away"), 0.0),
    case("clamp_max", floats(3, 4, domain="away"), 0.0),
    case("clamp_min", flags(3, 4), flags(4), options={"gradient": 0}),
    case("clamp_max", flags(3, 4), flags(4), options={"gradient": 0}),
    case("imag", floats(3, 4, dtype="complex64"), options={"out": False, "method": False}),
    case("real", floats(3, 4, dtype="complex64"), options={"out": False, "method": False}),
    case("polygamma", 1, floats(3, 4, domain="positive"), options={"tolerance": 10}),
    case("mvlgamma", floats(3, 4, domain="above one"), 2, options={"tolerance": 10}),
    case("celu", floats(3, 4, domain="away"), 1.5, options={"out": False}),
    case("threshold", floats(3, 4, domain="away"), 0.5, 2.0),
    case("is_nonzero", floats(1), options={"gradient": 0}),
    case("is_floating_point", floats(2), options={"gradient": 0, "dtypes": EVERY}),
    case("is_complex", floats(2), options={"gradient": 0, "dtypes": EVERY}),
    case("is_signed", floats(2), options={"gradient": 0, "dtypes": REAL}),
    case("special.expit", floats(3), options={"dtypes": FLOATS}),
    case("special.xlogy", floats(3), floats(3, domain="positive")),
    case("special.entr", floats(3, domain="positive")),
    case("i0", floats(3, 4), numpy=np.i0, options={"tolerance": 5}),
]

MISTAKES = [
    mistake(TypeError, "exp(): argument 'input' (position 1) must be Tensor, not int", "exp", 1),
    mistake(
        RuntimeError,
        "result type Float can't be cast to the desired output type Long",
        "exp",
        floats(2),
        out=integers(2),
    ),
    mistake(
        RuntimeError, "clamp: At least one of 'min' or 'max' must not be None", "clamp", floats(2)
    ),
    mistake(
        RuntimeError,
        "result type Float can't be cast to the desired output type Long",
        "Tensor.sqrt_",
        integers(2),
    ),
    mistake(
        RuntimeError,
        "Negation, the `-` operator, on a bool tensor is not supported",
        "neg",
        floats(2, dtype="bool"),
    ),
]
