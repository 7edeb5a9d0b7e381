"""Multiplication and addition with one rounding: the bits of PyTorch's kernels."""

from fractions import Fraction

import numpy as np
import pytest

import fakel
from fakel.compiler.executor import Compiler
from fakel.interpreter import Interpreter
from fakel.ops.numerics.fused import multiply_add
from tests.compiler.native import running_on


def test_the_sum_alone_is_rounded():
    a, b = np.random.default_rng(0).standard_normal((2, 20_000))
    c = -(a * b) * (1 + np.arange(20_000) % 5 * 2.0**-40)  # nearly all cancels
    exact = [float(Fraction(x) * Fraction(y) + Fraction(z)) for x, y, z in zip(a, b, c)]
    np.testing.assert_array_equal(multiply_add(a, b, c), exact)
    large = np.array([1e200, np.inf, np.nan, 1e300])
    with np.errstate(all="ignore"):
        found = multiply_add(large, np.array([1e200, 1, 1, 0.5]), -large)
    np.testing.assert_array_equal(found, [np.inf, np.nan, np.nan, -5e299])


@pytest.mark.parametrize("executor", [Interpreter, lambda: Compiler(eager=True)], ids="ic")
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("weight", [None, 0.1, 0.3, 0.5, 0.7, -1.0, 2.0])
def test_interpolation_has_pytorchs_bits(torch, executor, dtype, weight):
    random = np.random.default_rng(1)
    start, end = random.standard_normal((2, 5003)).astype(dtype)
    weights = random.uniform(-1, 2, 5003).astype(dtype)
    start[:20], end[10:30], weights[5:7] = np.inf, -np.inf, (0.5, np.inf)

    def found(package):
        given = package.tensor(weights) if weight is None else weight
        return package.lerp(package.tensor(start), package.tensor(end), given).numpy()

    with running_on(executor()):
        np.testing.assert_array_equal(found(fakel), found(torch))
