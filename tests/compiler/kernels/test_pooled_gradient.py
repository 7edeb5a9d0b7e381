"""The gradient of a convolution's weight and bias through pooling and ReLU, which adds up only what
was largest, against the interpreter.
"""

import pytest

import fakel
import fakel.nn.functional as F
from fakel.compiler.loop_ir import target
from fakel.graph import flush
from tests.support.graphs import check

# input, output channels, kernel, how, pooling window
CASES = [
    ((9, 1, 28, 28), 10, (5, 5), {}, 4),
    ((70, 1, 12, 12), 6, (5, 5), {"padding": 2}, 4),
    ((2, 3, 70, 75), 4, (3, 5), {"padding": (0, 2)}, 4),
    ((5, 3, 22, 19), 4, (3, 3), {"stride": 2, "padding": 1}, 4),
    ((3, 2, 30, 16), 3, (4, 7), {"dilation": (2, 1), "padding": (1, 0)}, (4, 2)),
    ((4, 2, 80), 5, (9,), {}, 8),
    ((3, 2, 13, 14), 4, (1, 1), {}, 6),
    ((2, 1, 12, 50), 3, (2, 16), {}, (2, 4)),
]


def training(case, dtype=fakel.float32, x=None):
    """A function that records the gradients of weight and bias."""
    shape, outputs, kernel, how, window = case
    convolution, pool = (getattr(F, f"{name}{len(kernel)}d") for name in ("conv", "max_pool"))

    def record():
        fakel.manual_seed(3)
        images = fakel.randn(*shape, dtype=dtype) if x is None else x
        weight = fakel.randn(outputs, shape[1], *kernel, dtype=dtype, requires_grad=True)
        bias = fakel.randn(outputs, dtype=dtype, requires_grad=True)
        flush()
        pooled = pool(F.relu(convolution(images, weight, bias, **how) - 3), window)
        (pooled * pooled).sum().backward()
        return [weight.grad / images.numel(), bias.grad / images.numel()]

    return record


def kernels(program):
    return [step.kernel.name for step in program.steps]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_every_geometry(case):
    assert "sparse_weight_gradient" in kernels(check(training(case)))


@pytest.mark.parametrize(
    "chosen", [target.AVX2, target.NEON, target.SSE2], ids=["avx2", "neon", "sse2"]
)
def test_narrower_vectors(chosen):
    with target.override(chosen):
        for case in (CASES[0], CASES[4]):
            check(training(case))


def test_double_precision():
    for case in (CASES[1], CASES[5]):
        check(training(case, fakel.float64), tolerance=1e-12)


def test_columns_that_are_apart():
    x = fakel.randn(28, 28, 1, 9).permute(3, 2, 0, 1)
    assert "sparse_weight_gradient" in kernels(check(training(CASES[0], x=x)))
