"""Resampling and its gradient."""

import pytest

from fakel.nn import functional as F
from tests.compiler.native import compare_gradients, drawn


@pytest.mark.parametrize(
    ("shape", "mode", "size"),
    [
        ((2, 3, 6, 7), "nearest", (12, 14)),
        ((2, 3, 6, 7), "nearest", (4, 3)),
        ((2, 3, 6, 7), "bilinear", (9, 20)),
        ((2, 3, 6, 7), "bicubic", (9, 20)),
        ((2, 3, 9), "linear", (20,)),
        ((1, 2, 3, 4, 5), "trilinear", (5, 6, 7)),
    ],
)
def test_resampling(shape, mode, size):
    compare_gradients(lambda x: F.interpolate(x, size=size, mode=mode), drawn(*shape))
    compare_gradients(
        lambda x: F.interpolate(x.transpose(0, 1), size=size, mode=mode), drawn(*shape)
    )
