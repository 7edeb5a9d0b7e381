"""Reductions and running reductions."""

import numpy as np

from tests.support.case import (
    EVERY,
    FLOATS,
    NUMBERS,
    REAL,
    Name,
    case,
    flags,
    floats,
    integers,
    mistake,
)

PLAIN = {"gradient": 0}


def keepdims(function):
    """NumPy's word for a function of PyTorch's arguments dim and keepdim."""

    def reduced(array, dim=None, keepdim=False):
        axis = tuple(dim) if isinstance(dim, list) else dim
        return function(array, axis=axis, keepdims=keepdim)

    return reduced


def reduction(
    name,
    numpy,
    *,
    domain="normal",
    dtypes=EVERY,
    gradient=2,
    several=True,
    empty=True,
    tolerance=1.0,
):
    """The lines of one reduction: everything, each dimension, keepdim, several dimensions, nothing."""
    options = {"dtypes": dtypes, "gradient": gradient, "tolerance": tolerance}
    numpy = numpy and keepdims(numpy)
    x = floats(3, 4, domain=domain)
    lines = [
        case(name, x, numpy=numpy, options=options),
        case(name, x, 0, numpy=numpy, options=options),
        case(name, x, dim=-1, keepdim=True, numpy=numpy, options=options),
        case(name, floats(domain=domain), numpy=numpy, options=options),
        case(name, floats(2, 3, 4, domain=domain), 1, True, numpy=numpy, options=options),
    ]
    if several:
        lines += [
            case(name, floats(2, 3, 4, domain=domain), [0, 2], numpy=numpy, options=options),
            case(name, floats(2, 3, 4, domain=domain), dim=(0, -1), keepdim=True, options=options),
        ]
    if empty:
        lines += [
            case(name, floats(2, 0), options=options),
            case(name, floats(2, 0), 1, options=options),
            case(name, floats(2, 0), 0, options=options),
        ]
    return lines


def spread(name, numpy=None):
    """Variance and standard deviation: correction, old and new arguments."""
    options = {"dtypes": FLOATS, "tolerance": 2}
    return [
        case(name, floats(3, 4), options=options),
        case(name, floats(3, 4), 1, options=options),
        case(name, floats(3, 4), 0, unbiased=False, options=options),
        case(name, floats(3, 4), False, options=options),
        case(name, floats(3, 4), dim=1, correction=0, keepdim=True, options=options),
        case(name, floats(2, 3, 4), [0, 2], options=options),
        case(name, floats(2, 3, 4), (1, 2), False, True, options=options),
    ]


CASES = [
    *reduction("sum", np.sum),
    *reduction(
        "mean", np.mean, dtypes=("float32", "float64", "float16", "bfloat16", "int64", "complex64")
    )[:7],
    *reduction("prod", np.prod, domain="nonzero", several=False),
    *reduction("amax", np.max, domain="distinct", dtypes=REAL, empty=False),
    *reduction("amin", np.min, domain="distinct", dtypes=REAL, empty=False),
    *reduction("nansum", np.nansum, dtypes=FLOATS),
    *reduction("nanmean", np.nanmean, dtypes=("float32", "float64"))[:6],
    *reduction("all", np.all, dtypes=REAL, gradient=0),
    *reduction("any", np.any, dtypes=REAL, gradient=0),
    *reduction(
        "argmax",
        np.argmax,
        domain="distinct",
        dtypes=NUMBERS,
        gradient=0,
        several=False,
        empty=False,
    ),
    *reduction(
        "argmin",
        np.argmin,
        domain="distinct",
        dtypes=NUMBERS,
        gradient=0,
        several=False,
        empty=False,
    ),
    *spread("var"),
    *spread("std"),
    *spread("var_mean"),
    *spread("std_mean"),
    case("var", floats(1, 3), 1, correction=0),
    case("sum", floats(3, 4), dtype=Name("float64"), options={"dtypes": REAL}),
    case("sum", flags(3, 4), dim=0, dtype=Name("int32"), options=PLAIN),
    case("sum", floats(2, 3, 4), ()),
    case("mean", integers(3, 4), dtype=Name("float32"), options=PLAIN),
    case("prod", floats(3, 4, domain="nonzero"), dtype=Name("float64")),
    case("max", floats(3, 4, domain="distinct"), options={"dtypes": REAL}),
    case("max", floats(3, 4, domain="distinct"), 1, options={"dtypes": NUMBERS}),
    case("max", floats(2, 3, 4, domain="distinct"), dim=-2, keepdim=True),
    case("max", floats(3, 4), floats(4), numpy=np.maximum),
    case("max", floats()),
    case("max", floats(), 0),
    case("max", floats(2, 0), 0),
    case("min", floats(3, 4, domain="distinct"), options={"dtypes": REAL}),
    case("min", floats(3, 4, domain="distinct"), 0, options={"dtypes": NUMBERS}),
    case("min", floats(2, 3, 4, domain="distinct"), dim=1, keepdim=True),
    case("min", floats(3, 4), floats(4), numpy=np.minimum),
    case("aminmax", floats(3, 4, domain="distinct")),
    case("aminmax", floats(3, 4, domain="distinct"), dim=0, keepdim=True),
    case("median", floats(3, 5, domain="distinct")),
    case("median", floats(3, 4, domain="distinct"), 1, options={"dtypes": NUMBERS}),
    case("median", floats(3, 4, domain="distinct"), dim=0, keepdim=True),
    case("nanmedian", floats(3, 4, domain="distinct"), 1),
    case("mode", integers(4, 6, high=3), 1, options=PLAIN),
    case("quantile", floats(3, 5, domain="distinct"), 0.3, options={"out": True}),
    case("quantile", floats(3, 5, domain="distinct"), 0.75, dim=1, keepdim=True),
    case("logsumexp", floats(3, 4), 1, numpy=lambda x, dim: np.log(np.exp(x).sum(dim))),
    case("logsumexp", floats(2, 3, 4), (0, 2), keepdim=True),
    case("logsumexp", floats(2, 0), 0),
    case("norm", floats(3, 4), options={"out": False}),
    case("norm", floats(3, 4), 2, 1),
    case("norm", floats(3, 4, domain="away"), 1, 0),
    case("norm", floats(3, 4), p=3, dim=1, keepdim=True),
    case("norm", floats(3, 4, domain="distinct"), float("inf"), 1),
    case("norm", floats(2, 3, 4), p="fro", dim=(1, 2)),
    case("linalg.norm", floats(3, 4)),
    case("linalg.vector_norm", floats(3, 4), 2, 1),
    case("linalg.vector_norm", floats(3, 4, domain="distinct"), float("inf")),
    case("linalg.matrix_norm", floats(3, 4)),
    case("dist", floats(3, 4), floats(4), 2),
    case("renorm", floats(3, 4), 2, 0, 1.0),
    case("count_nonzero", floats(3, 4), options={"gradient": 0, "dtypes": NUMBERS}),
    case(
        "count_nonzero",
        integers(3, 4, high=2),
        dim=1,
        numpy=lambda x, dim: np.count_nonzero(x, dim),
        options=PLAIN,
    ),
    case("cumsum", floats(3, 4), 1, numpy=np.cumsum, options={"dtypes": EVERY}),
    case("cumsum", floats(2, 3, 4), -2),
    case("cumsum", floats(), 0),
    case("cumsum", floats(0, 3), 0),
    case("cumsum", integers(4), dim=0, dtype=Name("float32"), options=PLAIN),
    case(
        "cumprod", floats(3, 4, domain="nonzero"), 1, numpy=np.cumprod, options={"dtypes": NUMBERS}
    ),
    case("cumprod", floats(2, 3, 4, domain="nonzero"), dim=0),
    case("cummax", floats(3, 4, domain="distinct"), 1, options={"dtypes": NUMBERS}),
    case("cummin", floats(3, 4, domain="distinct"), 0, options={"dtypes": NUMBERS}),
    case("logcumsumexp", floats(3, 4), 1),
    case("diff", floats(3, 5), numpy=np.diff),
    case("gradient", floats(5), options={"method": False}),
    case("gradient", floats(4, 5), spacing=0.5, dim=1, options={"method": False}),
    case("diff", floats(3, 5), n=2, dim=0, numpy=lambda x, n, dim: np.diff(x, n, dim)),
    case("trapezoid", floats(3, 5)),
    case("trapezoid", floats(3, 5), dx=0.5, dim=0),
    case("cumulative_trapezoid", floats(3, 5)),
    case("histc", floats(20), bins=5, min=-2, max=2, options=PLAIN),
    case("bincount", integers(10), options=PLAIN),
    case("bincount", integers(10), floats(10), 8, options={"gradient": None}),
    case("corrcoef", floats(3, 6)),
    case("cov", floats(3, 6)),
]

MISTAKES = [
    mistake(
        IndexError,
        "Dimension out of range (expected to be in range of [-2, 1], but got 2)",
        "sum",
        floats(3, 4),
        2,
    ),
    mistake(
        RuntimeError,
        "dim 0 appears multiple times in the list of dims",
        "sum",
        floats(3, 4),
        (0, 0),
    ),
    mistake(
        RuntimeError,
        "mean(): could not infer output dtype. Input dtype must be either a floating point or complex dtype. Got: Long",
        "mean",
        integers(3),
    ),
    mistake(
        RuntimeError,
        "max(): Expected reduction dim to be specified for input.numel() == 0. Specify the reduction dim with the 'dim' argument.",
        "max",
        floats(0),
    ),
    mistake(
        IndexError, "max(): Expected reduction dim 1 to have non-zero size.", "max", floats(2, 0), 1
    ),
    mistake(
        IndexError,
        "argmax(): Expected reduction dim to be specified for input.numel() == 0.",
        "argmax",
        floats(0),
    ),
    mistake(
        IndexError,
        "Dimension out of range (expected to be in range of [-1, 0], but got 1)",
        "cumsum",
        floats(3),
        1,
    ),
    mistake(
        RuntimeError,
        "std and var only support floating point and complex dtypes",
        "var",
        integers(3),
    ),
]
