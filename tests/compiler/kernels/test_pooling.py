"""Pooling with pointwise neighbours, forward and backward."""

import numpy as np
import pytest

import fakel
from fakel import nn
from tests.compiler.native import both, compare_gradients, drawn

F = nn.functional


BEFORE = {
    "alone": lambda x: x,
    "relu": F.relu,
    "channels": lambda x: x * fakel.tensor(drawn(x.shape[1])).view(1, -1, *[1] * (x.ndim - 2)),
    "two images": lambda x: x + x.flip(-1),
}


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("shape", [(2, 3, 9, 41), (3, 4, 8, 8)])
def test_windows(shape, before):
    x, first = drawn(*shape), BEFORE[before]
    compare_gradients(lambda x: F.max_pool2d(first(x), 2), x)
    compare_gradients(lambda x: F.relu(F.max_pool2d(first(x), 3, 2, 1)), x)
    compare_gradients(lambda x: F.max_pool2d(F.relu(first(x)), 3, 1, 1), x)
    compare_gradients(lambda x: F.avg_pool2d(first(x), 2) * 2, x)
    compare_gradients(lambda x: F.adaptive_avg_pool2d(first(x), 2), x)


def test_windows_of_sequences():
    x = drawn(3, 4, 50)
    compare_gradients(lambda x: F.max_pool1d(F.relu(x), 2), x)
    compare_gradients(lambda x: F.avg_pool1d(x.exp(), 3, 2), x)


def test_images_that_do_not_lie_in_order():
    x = drawn(2, 3, 9, 41)
    compare_gradients(lambda x: F.max_pool2d(x.transpose(2, 3), 3, 2, 1), x)
    compare_gradients(lambda x: F.avg_pool2d(x.transpose(2, 3), 3, 2, 1), x)
    compare_gradients(lambda x: F.avg_pool2d(x, 2, divisor_override=3), x)
    compare_gradients(lambda x: F.avg_pool2d(x, 3, 2, 1, count_include_pad=False), x)
    compare_gradients(lambda x: F.adaptive_avg_pool2d(x.transpose(2, 3), (3, 4)), x)


def test_nan_is_greater_than_everything():
    x = drawn(2, 3, 8, 40)
    x[0, 1, 3, 17] = np.nan
    expected, found, _ = both(lambda: (F.max_pool2d(fakel.tensor(x), 2).numpy(),))
    assert np.isnan(found[0][0, 1, 1, 8]) and np.isnan(found[0]).sum() == 1
    np.testing.assert_array_equal(found[0], expected[0])
