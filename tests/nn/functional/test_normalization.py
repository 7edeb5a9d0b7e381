"""Normalisations: values, running statistics, first and second derivatives."""

import numpy as np
import pytest

from tests.nn.functional.agreement import assert_agree, numbers

SHAPES = [(4, 3), (2, 3, 5), (2, 3, 4, 5)]
affine = pytest.mark.parametrize("affine", [True, False])
by_shape = pytest.mark.parametrize("shape", SHAPES, ids=str)


def vectors(affine, *size):
    return (numbers(*size, seed=1), numbers(*size, seed=2)) if affine else (None, None)


@by_shape
@affine
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_and_its_running_statistics(torch, shape, affine, training):
    def call(F, x, weight, bias):
        mean, variance = (x.detach()[0].reshape(3, -1)[:, 0] * scale for scale in (1, 0))
        mean, variance = mean.clone(), variance + 1.5
        result = F.batch_norm(x, mean, variance, weight, bias, training, momentum=0.3)
        return result, mean, variance

    assert_agree(torch, call, numbers(*shape), *vectors(affine, 3))


@by_shape
@affine
def test_instance_norm(torch, shape, affine):
    if len(shape) == 2:
        pytest.skip("needs a spatial dimension")
    call = lambda F, x, w, b: F.instance_norm(x, None, None, w, b)
    assert_agree(torch, call, numbers(*shape), *vectors(affine, 3))


@by_shape
@affine
def test_layer_and_rms_norm(torch, shape, affine):
    last = shape[-2:]
    weight, bias = vectors(affine, *last)
    x = numbers(*shape)
    assert_agree(torch, lambda F, x, w, b: F.layer_norm(x, last, w, b), x, weight, bias)
    assert_agree(torch, lambda F, x, w: F.rms_norm(x, last, w), x, weight)


@affine
@pytest.mark.parametrize("groups", [1, 2, 6])
def test_group_norm(torch, affine, groups):
    call = lambda F, x, w, b: F.group_norm(x, groups, w, b)
    assert_agree(torch, call, numbers(2, 6, 4, 3), *vectors(affine, 6))


def test_local_response_norm(torch):
    for shape in SHAPES[1:]:
        assert_agree(torch, lambda F, x: F.local_response_norm(x, 2), numbers(*shape))


def test_a_large_mean_keeps_its_variance(torch):
    import fakel

    x = (numbers(64, 3, 40, 40) + 1000).astype(np.float32)
    ours = fakel.nn.functional.batch_norm(fakel.from_numpy(x), None, None, training=True).numpy()
    wide = torch.from_numpy(x.astype(np.float64))
    theirs = torch.nn.functional.batch_norm(wide, None, None, training=True).numpy()
    np.testing.assert_allclose(ours, theirs, atol=2e-3)
