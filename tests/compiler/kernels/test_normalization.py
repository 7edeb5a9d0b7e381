"""Softmax and normalisations, forward and backward, alone and with pointwise neighbours that become
part of their kernels.
"""

import numpy as np
import pytest

import fakel
from fakel import nn
from tests.compiler.native import both
from tests.support.execution import written_for

F = nn.functional


def drawn(shape, seed=0):
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def pulled(function, *values):
    """The result of a function of tensors, and its gradients."""
    inputs = [fakel.tensor(value, requires_grad=True) for value in values]
    result = function(*inputs)
    weights = np.random.default_rng(99).standard_normal(tuple(result.shape)).astype(np.float32)
    result.backward(fakel.tensor(weights))
    return tuple(t.detach().numpy() for t in (result, *(each.grad for each in inputs)))


def compare(function, *values):
    expected, found, interpreted = both(lambda: pulled(function, *values))
    assert not interpreted
    for want, have in zip(expected, found, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-4, atol=2e-5)


BEFORE = {
    "alone": lambda x: x,
    "doubled": lambda x: x * 2,
    "costly": lambda x: x.sin() * 3,
}
AFTER = {"alone": lambda y, x: y, "relu": lambda y, x: F.relu(y), "residual": lambda y, x: y + x}


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("shape", [(6, 257), (3, 5, 64)])
def test_over_the_last_dimension(shape, before, after):
    x, w, b = drawn(shape), drawn(shape[-1:], 1), drawn(shape[-1:], 2)
    size = shape[-1:]

    def around(function):
        def whole(x, *more):
            h = BEFORE[before](x)
            return AFTER[after](function(h, *more), h)

        return whole

    compare(around(lambda x: x.softmax(-1)), x)
    compare(around(lambda x: x.log_softmax(-1)), x)
    compare(around(lambda x: x.softmax(0)), x)
    compare(around(lambda x, w, b: F.layer_norm(x, size, w, b)), x, w, b)
    compare(around(lambda x: F.layer_norm(x, size)), x)
    compare(around(lambda x, w: F.rms_norm(x, size, w)), x, w)


@pytest.mark.parametrize("after", AFTER)
@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("shape", [(8, 4, 7, 9), (64, 16)])
def test_over_channels(shape, before, after):
    x, w, b = drawn(shape), drawn(shape[1:2], 1), drawn(shape[1:2], 2)

    def around(function):
        def whole(x, *more):
            h = BEFORE[before](x)
            return AFTER[after](function(h, *more), h)

        return whole

    compare(around(lambda x, w, b: F.batch_norm(x, None, None, w, b, True)), x, w, b)
    compare(around(lambda x, w, b: F.group_norm(x, 2, w, b)), x, w, b)
    if len(shape) > 2:
        compare(around(lambda x: F.instance_norm(x)), x)


def test_running_statistics_and_evaluation():
    def compute():
        layer = nn.BatchNorm2d(5)
        x = fakel.tensor(drawn((6, 5, 4, 4)))
        trained = F.relu(layer(x * 2))
        layer.eval()
        used = F.relu(layer(x + 1))
        found = trained, used, layer.running_mean, layer.running_var, layer.num_batches_tracked
        return tuple(t.detach().numpy() for t in found)

    expected, found, interpreted = both(compute)
    assert not interpreted
    for want, have in zip(expected, found, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-6)


def test_large_rows_keep_their_precision():
    x = drawn((2, 100_000)) + 100
    exact = (x - x.mean(1, keepdims=True, dtype=np.float64)) / x.std(
        1, keepdims=True, dtype=np.float64
    )
    _, (found, _), _ = both(lambda: pulled(lambda x: F.layer_norm(x, (100_000,)), x))
    np.testing.assert_allclose(found, exact, atol=2e-4)


@pytest.mark.parametrize("chosen", ["host", "AVX2", "NEON"])
@pytest.mark.parametrize("shape", [(4, 4, 97), (2, 4, 3000), (64, 4, 7)])
@pytest.mark.parametrize("value", [10000.1, 1e6 / 3, 1.2345e15])
def test_rows_of_equal_numbers_give_zeros(chosen, shape, value):
    # an error of the mean, however small beside it, would be divided by the root of epsilon
    x = np.full(shape, value, np.float32)
    with written_for(chosen):
        for function in (
            lambda x: F.layer_norm(x, shape[-1:]),
            lambda x: F.layer_norm(x, shape[1:]),
            lambda x: F.group_norm(x, 2),
            lambda x: F.batch_norm(x, None, None, training=True),
        ):
            for found in both(lambda function=function: (function(fakel.tensor(x)).numpy(),))[:2]:
                np.testing.assert_array_equal(found[0], np.zeros(shape))


def test_hardly_different_large_numbers_are_nearer_to_the_truth_than_pytorchs(torch):
    x = (1e5 + (np.arange(100) == 3) + np.zeros((4, 1))).astype(np.float32)
    wide = x.astype(np.longdouble)
    wide -= wide.mean(1, keepdims=True)
    exact = wide / np.sqrt((wide**2).mean(1, keepdims=True) + 1e-5)
    theirs = torch.nn.functional.layer_norm(torch.tensor(x), (100,)).numpy()
    for (ours,) in both(lambda: (F.layer_norm(fakel.tensor(x), (100,)).numpy(),))[:2]:
        assert np.abs(ours - exact).max() <= min(1e-5, np.abs(theirs - exact).max())


def test_softmax_of_extreme_numbers():
    x = np.array([[1e4, 0, -1e4], [-np.inf, 0, 0], [80, 90, 100]], np.float32)
    expected, found, _ = both(
        lambda: tuple(
            t.numpy() for t in (fakel.tensor(x).softmax(1), fakel.tensor(x).log_softmax(1))
        )
    )
    for want, have in zip(expected, found, strict=True):
        np.testing.assert_allclose(have, want, rtol=1e-5, atol=1e-30)
