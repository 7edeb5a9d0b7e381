"""Convolutions of every geometry, and both their gradients: native code against the interpreter."""

import itertools

import numpy as np
import pytest

import fakel
from fakel import nn
from fakel.compiler.executor import Compiler
from fakel.compiler.kernels.convolution.blocks import Correlation
from fakel.compiler.kernels.convolution.layout import Axis
from fakel.compiler.loop_ir import target
from fakel.graph import flush, use_executor
from fakel.interpreter import Interpreter

# input, output channels, kernel, stride, padding, dilation, groups
GEOMETRIES = [
    ((2, 3, 9, 9), 5, (3, 3), 1, 1, 1, 1),
    ((9, 1, 28, 28), 10, (5, 5), 1, 0, 1, 1),
    ((16, 17, 7, 13), 33, (3, 2), 1, (1, 0), 1, 1),
    ((16, 24, 9, 10), 40, (3, 3), 1, 1, 1, 1),  # threads frame blocks of images
    ((3, 4, 10, 11), 6, (3, 3), 2, 1, 1, 2),
    ((2, 6, 12, 9), 6, (3, 3), 1, 1, 1, 6),
    ((2, 6, 12, 9), 12, (3, 3), 2, 1, 1, 6),
    ((2, 32, 8, 8), 48, (1, 1), 1, 0, 1, 1),
    ((3, 8, 9, 9), 16, (1, 1), 2, 0, 1, 2),
    ((2, 5, 11, 17), 20, (3, 5), (3, 2), (2, 3), (2, 1), 1),
    ((2, 5, 20, 20), 16, (2, 2), 4, 0, 1, 1),
    ((1, 3, 31, 31), 70, (11, 11), 4, 2, 1, 1),
    ((1, 16, 5, 5), 20, (5, 5), 1, 4, 1, 1),
    ((4, 3, 40), 7, (5,), 1, 2, 1, 1),
    ((4, 4, 41), 8, (3,), 3, 1, 4, 2),
    ((1, 2, 300), 2, (9,), 1, 4, 1, 2),
    ((2, 40, 33), 50, (1,), 1, 0, 1, 1),
    ((2, 3, 5, 4, 6), 4, (3, 2, 3), 1, 1, 1, 1),
]


def geometry(case, dtype=None):
    """A convolution with its bias, and the gradients of its input and its weight."""
    shape, outputs, kernel, stride, padding, dilation, groups = case
    dims = len(kernel)
    fakel.manual_seed(0)
    x = fakel.randn(*shape, dtype=dtype)
    w = fakel.randn(outputs, shape[1] // groups, *kernel, dtype=dtype)
    bias = fakel.randn(outputs, dtype=dtype)
    how = (stride, padding, dilation, groups)
    y = getattr(nn.functional, f"conv{dims}d")(x, w, bias, *how)
    grad = fakel.randn(*y.shape, dtype=dtype)
    yield y
    yield getattr(nn.grad, f"conv{dims}d_input")(x.shape, w, grad, *how)
    yield getattr(nn.grad, f"conv{dims}d_weight")(x, w.shape, grad, *how)


def transposed(dims, stride, padding, dilation, groups):
    fakel.manual_seed(0)
    x = fakel.randn(2, 4, *(4, 3)[:dims])
    w = fakel.randn(4, 3, *(3, 2)[:dims])
    bias = fakel.randn(3 * groups)
    function = getattr(nn.functional, f"conv_transpose{dims}d")
    yield function(x, w, bias, stride, padding, int(stride > 1), groups, dilation)


def turned_inputs():
    """Operands that do not lie in order."""
    fakel.manual_seed(0)
    x, w = fakel.randn(10, 11, 3, 2), fakel.randn(3, 3, 2, 8)
    yield nn.functional.conv2d(
        x.permute(3, 2, 0, 1), w.permute(3, 2, 0, 1)[:, :2].repeat(1, 2, 1, 1)[:, :3]
    )
    yield nn.functional.conv2d(fakel.randn(4, 3, 9, 18)[:, :, :, ::2], fakel.randn(5, 3, 2, 2))
    yield nn.functional.conv2d(
        fakel.randn(1, 16, 6, 6).expand(3, 16, 6, 6), fakel.randn(8, 16, 1, 1)
    )
    yield nn.functional.conv2d(
        fakel.randn(3, 6, 6, 16).permute(0, 3, 1, 2), fakel.randn(8, 16, 1, 1)
    )


def both(record, tolerance=2e-5):
    results = []
    for executor in (Interpreter(), Compiler(eager=True)):
        flush()
        before = use_executor(executor)
        try:
            results.append([each.numpy().copy() for each in record()])
        finally:
            use_executor(before)
    for plain, native in zip(*results, strict=True):
        size = np.abs(plain).max()
        np.testing.assert_allclose(native, plain, rtol=tolerance, atol=tolerance * size)


@pytest.mark.parametrize("case", GEOMETRIES, ids=str)
def test_geometries(case):
    both(lambda: geometry(case))


def test_double_precision():
    both(lambda: geometry(GEOMETRIES[2], fakel.float64), 1e-12)


@pytest.mark.parametrize(
    ("dims", "stride", "padding", "dilation", "groups"),
    list(itertools.product((1, 2), (1, 2, 3), (0, 1), (1, 2), (1, 2))),
)
def test_transposed(dims, stride, padding, dilation, groups):
    both(lambda: transposed(dims, stride, padding, dilation, groups))


@pytest.mark.parametrize("size", [(5, 20), (6, 1), (1, 6)])
def test_transposed_with_strides_over_long_and_short_rows(size):
    fakel.manual_seed(0)
    x, w = fakel.randn(2, 3, *size), fakel.randn(3, 20, 3, 3)
    both(lambda: [nn.functional.conv_transpose2d(x, w, stride=2, padding=1)])


def test_operands_that_do_not_lie_in_order():
    both(turned_inputs)


@pytest.mark.parametrize(
    "chosen", [target.AVX2, target.NEON, target.SSE2], ids=["avx2", "neon", "sse2"]
)
def test_narrower_vectors(chosen):
    with target.override(chosen):
        both(lambda: geometry(GEOMETRIES[0]))
        both(lambda: geometry(((2, 4, 7, 7), 18, (3, 3), 1, 1, 1, 1)))
        both(lambda: geometry(((2, 8, 5, 7), 40, (3, 3), 1, 0, 1, 1)))


def test_the_chosen_tile_keeps_both_multipliers_busy():
    """For 64 to 128 channels, 3 x 3, every other position of 32 x 32: the estimate lies little
    above two vectors of products a cycle, which no processor of AVX-512 exceeds.
    """
    axis = Axis(16, 3, -1, 2, 1)
    with target.override(target.AVX512):
        spec = Correlation(
            scalar="f32", batch=32, groups=1, inputs=64, outputs=128,
            vertical=axis, horizontal=axis,
            size=(32, 32), strides=(65536, 1024, 32, 1), result_strides=(32768, 256, 16, 1),
            has_bias=True,
        )  # fmt: skip
        least = 16 * 16 * 128 * 64 * 9 / 32
        assert least < spec.cycles(spec.tile) < 1.15 * least
