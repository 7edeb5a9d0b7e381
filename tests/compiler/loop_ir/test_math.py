"""Elementary functions agree with the C library's, in long double precision, to a few units in the
last place.
"""

import ctypes

import numpy as np
import pytest

from fakel.compiler.loop_ir import math
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.emit import emit
from fakel.compiler.loop_ir.naming import name_shared
from fakel.runtime.native import compile_kernel

SPECIAL = [0.0, -0.0, np.inf, -np.inf, np.nan, 1, -1, 0.5, -0.5, 2, 1e-30, -1e-30, 1e30, -1e30]
# the function, NumPy's name, the interval to draw from
FUNCTIONS = [
    ("exp", "exp", -100, 88),
    ("exp2", "exp2", -140, 127),
    ("expm1", "expm1", -5, 80),
    ("log", "log", 0, 100),
    ("log2", "log2", 0, 100),
    ("log10", "log10", 0, 1e5),
    ("log1p", "log1p", -1, 10),
    ("tanh", "tanh", -10, 10),
    ("sinh", "sinh", -80, 80),
    ("cosh", "cosh", -80, 80),
    ("asinh", "arcsinh", -1e4, 1e4),
    ("acosh", "arccosh", 1, 1e3),
    ("atanh", "arctanh", -1, 1),
    ("sin", "sin", -1e4, 1e4),
    ("cos", "cos", -1e4, 1e4),
    ("tan", "tan", -1e3, 1e3),
    ("atan", "arctan", -30, 30),
    ("asin", "arcsin", -1, 1),
    ("acos", "arccos", -1, 1),
]
LANES = {np.float32: ("f32", 16), np.float64: ("f64", 8)}


def evaluate(function, *operands):
    """The function of arrays, in vectors."""
    scalar, lanes = LANES[operands[0].dtype.type]
    count = len(operands[0])
    build = Builder("evaluate")
    buffers = [build.buffer(f"x{i}", scalar) for i in range(len(operands))]
    target = build.buffer("out", scalar)
    with build.loop(count, step=lanes) as index:
        build.store(target, index, function(*[build.load(b, index, lanes) for b in buffers]))
    kernel = name_shared(build.kernel)
    address = compile_kernel(kernel.name, lambda: emit(kernel), repr(kernel))
    words = (ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
    out = np.zeros(count, operands[0].dtype)
    places = np.array([array.ctypes.data for array in (*operands, out)], np.int64)
    assert ctypes.CFUNCTYPE(ctypes.c_int64, *words)(address)(places.ctypes.data, 0, 1) == 0
    return out


def drawn(dtype, low, high, seed=0):
    rng = np.random.default_rng(seed)
    wide = rng.uniform(low, high, 1024)
    small = rng.uniform(low, high, 1024) * 10.0 ** rng.uniform(-9, 0, 1024)
    special = np.resize(SPECIAL, 32)
    return np.concatenate([wide, small, special]).astype(dtype)


def units(found, exact):
    """The error in units in the last place; where the result is not finite it must be equal."""
    with np.errstate(all="ignore"):
        nearest = exact.astype(found.dtype)
        finite = np.isfinite(nearest)
        np.testing.assert_array_equal(found[~finite], nearest[~finite])
        np.testing.assert_array_equal(np.signbit(found[finite]), np.signbit(nearest[finite]))
        gap = np.abs(found[finite].astype(np.longdouble) - exact[finite])
        return float((gap / np.spacing(np.abs(nearest[finite]))).max())


@pytest.mark.parametrize("dtype", LANES)
@pytest.mark.parametrize(("name", "numpy_name", "low", "high"), FUNCTIONS)
def test_functions(name, numpy_name, low, high, dtype):
    x = drawn(dtype, low, high)
    with np.errstate(all="ignore"):
        exact = getattr(np, numpy_name)(x.astype(np.longdouble))
    assert units(evaluate(getattr(math, name), x), exact) < 4


@pytest.mark.parametrize("dtype", LANES)
def test_sigmoid(dtype):
    x = drawn(dtype, -80, 80)
    with np.errstate(all="ignore"):
        exact = 1 / (1 + np.exp(-x.astype(np.longdouble)))
    assert units(evaluate(math.sigmoid, x), exact) < 4


@pytest.mark.parametrize("dtype", LANES)
def test_powers(dtype):
    grid = np.array([*SPECIAL, 3, -3, 1e10], dtype)
    x = np.concatenate([drawn(dtype, 0, 20), np.repeat(grid, len(grid))])
    y = np.concatenate([drawn(dtype, -8, 8, 1), np.tile(grid, len(grid))])
    count = len(x) // 16 * 16
    x, y = x[:count], y[:count]
    with np.errstate(all="ignore"):
        exact = np.power(x.astype(np.longdouble), y.astype(np.longdouble))
    assert units(evaluate(math.power, x, y), exact) < 4


@pytest.mark.parametrize("dtype", LANES)
def test_angles_of_points(dtype):
    grid = np.array([*SPECIAL, 3, -3], dtype)
    y = np.concatenate([drawn(dtype, -3, 3), np.repeat(grid, len(grid))])
    x = np.concatenate([drawn(dtype, -3, 3, 1), np.tile(grid, len(grid))])
    with np.errstate(all="ignore"):
        exact = np.arctan2(y.astype(np.longdouble), x.astype(np.longdouble))
    assert units(evaluate(math.atan2, y, x), exact) < 5
