"""Pooling with pointwise neighbours, forward and backward; resampling; copies in other orders."""

import numpy as np
import pytest

import fakel
from fakel import nn
from tests.compiler.native import both

F = nn.functional


def drawn(*shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def pulled(function, *values):
    """The results of a function of tensors, and its gradients."""
    inputs = [fakel.tensor(value, requires_grad=True) for value in values]
    result = function(*inputs)
    weights = drawn(*result.shape, seed=99)
    result.backward(fakel.tensor(weights))
    return tuple(t.detach().numpy() for t in (result, *(each.grad for each in inputs)))


def compare(function, *values):
    expected, found, interpreted = both(lambda: pulled(function, *values))
    assert not interpreted
    for want, have in zip(expected, found, strict=True):
        np.testing.assert_allclose(have, want, rtol=2e-5, atol=2e-5)


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
    compare(lambda x: F.max_pool2d(first(x), 2), x)
    compare(lambda x: F.relu(F.max_pool2d(first(x), 3, 2, 1)), x)
    compare(lambda x: F.max_pool2d(F.relu(first(x)), 3, 1, 1), x)
    compare(lambda x: F.avg_pool2d(first(x), 2) * 2, x)
    compare(lambda x: F.adaptive_avg_pool2d(first(x), 2), x)


def test_windows_of_sequences():
    x = drawn(3, 4, 50)
    compare(lambda x: F.max_pool1d(F.relu(x), 2), x)
    compare(lambda x: F.avg_pool1d(x.exp(), 3, 2), x)


def test_nan_is_greater_than_everything():
    x = drawn(2, 3, 8, 40)
    x[0, 1, 3, 17] = np.nan
    expected, found, _ = both(lambda: (F.max_pool2d(fakel.tensor(x), 2).numpy(),))
    assert np.isnan(found[0][0, 1, 1, 8]) and np.isnan(found[0]).sum() == 1
    np.testing.assert_array_equal(found[0], expected[0])


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
    compare(lambda x: F.interpolate(x, size=size, mode=mode), drawn(*shape))
    compare(lambda x: F.interpolate(x.transpose(0, 1), size=size, mode=mode), drawn(*shape))


def test_copies_in_other_orders():
    x, y = fakel.tensor(drawn(5, 6, 7)), fakel.tensor(drawn(33, 40))

    def compute():
        found = (
            x.flip(0, 2),
            x.transpose(0, 1).flip(1),
            x.roll((1, -2), (0, 2)),
            y.roll(5),
            x.repeat(2, 1, 3),
            y.repeat(2, 1, 1),
            F.pad(x, (1, 2, 0, 3), value=2.5),
            F.pad(x, (-1, 2)),
            y.tril(),
            y.t().triu(-3),
            x.tril(1),
            F.one_hot(fakel.arange(12).view(3, 4).t() % 5, 6),
        )
        return tuple(t.numpy() for t in found)

    expected, found, interpreted = both(compute)
    assert not interpreted
    for want, have in zip(expected, found, strict=True):
        np.testing.assert_array_equal(have, want)
