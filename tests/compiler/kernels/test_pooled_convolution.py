"""Convolution, ReLU and pooling as one kernel, against the interpreter."""

import numpy as np
import pytest

import fakel
from fakel import nn
from fakel.compiler import kernels
from fakel.compiler.graph import Graph
from fakel.compiler.kernels.convolution.pooled import convolution_relu_pool
from fakel.compiler.kernels.convolution.pooled_lines import LineTile
from fakel.compiler.kernels.convolution.pooled_rows import PooledTile
from fakel.compiler.loop_ir import target
from fakel.compiler.planning.assemble import Planned
from fakel.compiler.planning.plan import Plan
from fakel.compiler.structure import structure
from fakel.graph import flush, use_executor
from fakel.interpreter import Interpreter

# input, output channels, kernel, stride, padding, pooling window
CASES = [
    ((9, 1, 28, 28), 10, (5, 5), 1, 0, (4, 4)),
    ((2, 3, 12, 13), 7, (3, 3), 1, 1, (2, 2)),
    ((3, 2, 20, 23), 5, (3, 3), 1, 1, (2, 4)),
    ((2, 2, 20, 60), 3, (3, 2), (2, 1), 0, (3, 8)),
    ((2, 3, 14, 15), 40, (3, 3), 1, 1, (2, 2)),
    ((2, 2, 14, 15), 6, (3, 3), 2, 1, (2, 2)),
    ((2, 2, 16, 16), 6, (3, 3), 1, 1, (3, 3)),
    ((2, 2, 70), 6, (3,), 1, 1, (2,)),
    ((2, 2, 8, 40), 3, (1, 1), 1, 0, (2, 16)),
    ((5, 2, 13, 9), 4, (3, 4), (2, 1), (1, 2), (2, 5)),
]
KERNELS = {"lines": LineTile, "rows": PooledTile}


class Lowered:
    """An executor that compiles programs with a function ``lower(plan)``."""

    def __init__(self, lower):
        self.lower = lower

    def run(self, program):
        kernels.load()
        leaves = structure(program)[1]
        plan = Plan(Graph.of(program, leaves))
        for value in plan.program:
            if value.name == "view":
                plan._view(value)
        assert self.lower(plan)
        Planned(plan).run(program, leaves)


@pytest.fixture(params=["estimated", *KERNELS])
def kernel(request, monkeypatch):
    """What is estimated to be fastest, and each of the kernels wherever it can be used."""
    if request.param in KERNELS:
        tile = KERNELS[request.param]
        estimate = tile.cycles
        monkeypatch.setattr(tile, "cycles", lambda self, spec: 1e-6 * estimate(self, spec))


def named(plan, name):
    return next(value for value in plan.program if value.name == name)


def run(executor, record):
    flush()
    before = use_executor(executor)
    try:
        return [each.numpy().copy() for each in record()]
    finally:
        use_executor(before)


def operands(case, seed=0):
    shape, outputs, kernel, stride, padding, window = case
    fakel.manual_seed(seed)
    x = fakel.randn(*shape)
    w, bias = fakel.randn(outputs, shape[1], *kernel), fakel.randn(outputs)
    return x, w, bias


def pooled(case, x, w, bias, relu=True):
    _, _, kernel, stride, padding, window = case
    dims = len(kernel)
    y = getattr(nn.functional, f"conv{dims}d")(x, w, bias, stride, padding)
    y = y.relu() if relu else y
    return getattr(nn.functional, f"max_pool{dims}d")(y, window, return_indices=True)


def check(case, x, w, bias, relu=True, tolerance=2e-5):
    def lower(plan):
        convolution, pool = named(plan, "convolution"), named(plan, "max_pool")
        return convolution_relu_pool(plan, convolution, pool, relu)

    def record():
        return pooled(case, x, w, bias, relu)

    plain, native = run(Interpreter(), record), run(Lowered(lower), record)
    np.testing.assert_allclose(native[0], plain[0], rtol=tolerance, atol=tolerance * 10)
    np.testing.assert_array_equal(native[1], plain[1])


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("relu", [True, False])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_values_and_indices(case, relu):
    check(case, *operands(case), relu)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("case", [CASES[0], CASES[4]], ids=str)
def test_the_first_of_equal_elements_counts(case):
    x, w, bias = operands(case)
    check(case, (x * 0.7).round(), w.sign(), bias * 0)
    check(case, x * 0, w, bias, relu=False)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("case", [CASES[0], CASES[4], CASES[5]], ids=str)
def test_nan_and_infinities(case):
    x, w, bias = operands(case)
    values = x.numpy().copy()
    values[0, 0, 3, 5], values[0, 0, 3, 9], values[1, 1 % values.shape[1], 8, 3] = (
        np.nan, np.nan, np.inf,
    )  # fmt: skip
    with np.errstate(invalid="ignore"):
        check(case, fakel.from_numpy(values), w.abs(), bias)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize(
    "chosen", [target.AVX2, target.NEON, target.SSE2], ids=["avx2", "neon", "sse2"]
)
def test_narrower_vectors(chosen):
    with target.override(chosen):
        for case in CASES[:2]:
            check(case, *operands(case))


@pytest.mark.usefixtures("kernel")
def test_double_precision():
    for case in (CASES[1], CASES[9]):
        x, w, bias = (each.double() for each in operands(case))
        check(case, x, w, bias, tolerance=1e-12)


@pytest.mark.usefixtures("kernel")
def test_columns_that_are_apart():
    x, w, bias = operands(CASES[9])
    check(CASES[9], x.transpose(2, 3).contiguous().transpose(2, 3), w, bias)
    channels_last = w.permute(0, 2, 3, 1).contiguous().permute(0, 3, 1, 2)
    check(CASES[9], x, channels_last, bias)


@pytest.mark.usefixtures("kernel")
@pytest.mark.parametrize("width", [900, 9000])
def test_long_rows(width):
    """What does not fit on the stack is left to the other kernels."""
    case = ((2, 1, 4, width), 12, (1, 1), 1, 0, (2, 1))
    check(case, *operands(case))
