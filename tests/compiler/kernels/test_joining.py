"""Compiled cat, stack and gradients of slices against the interpreter and NumPy."""

import numpy as np
import pytest

import fakel
from tests.compiler.native import both

RNG = np.random.default_rng(0)


def values(*shape, dtype=np.float32):
    return np.asarray(RNG.standard_normal(shape) * 9, dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64", "bool", "uint8"])
@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_cat(dim, dtype):
    shapes = [(3, 5, 70), (3, 5, 70), (3, 5, 70)]
    for i in range(1, 3):
        shape = list(shapes[i])
        shape[dim] = i * 2 - 1
        shapes[i] = tuple(shape)
    given = [np.abs(values(*shape)).astype(dtype) for shape in shapes]

    def compute():
        return fakel.cat([fakel.tensor(each) for each in given], dim).numpy().copy()

    _, found, interpreted = both(compute)
    assert "cat" not in interpreted
    np.testing.assert_array_equal(found, np.concatenate(given, dim))


@pytest.mark.parametrize("dim", [0, 1, 2, -1])
def test_stack_of_views(dim):
    given = [values(4, 33) for _ in range(3)]

    def compute():
        tensors = [fakel.tensor(each).t()[::2] for each in given]
        return fakel.stack(tensors, dim).numpy().copy()

    _, found, interpreted = both(compute)
    assert "stack" not in interpreted
    np.testing.assert_array_equal(found, np.stack([each.T[::2] for each in given], dim))


def test_the_same_tensor_twice_and_an_empty_one():
    given = values(3, 4)

    def compute():
        x, nothing = fakel.tensor(given), fakel.zeros(0, 4)
        return [fakel.cat([x, nothing, x]).numpy().copy(), fakel.cat([x, x], 1).numpy().copy()]

    _, found, _ = both(compute)
    np.testing.assert_array_equal(found[0], np.concatenate([given, given]))
    np.testing.assert_array_equal(found[1], np.concatenate([given, given], 1))


@pytest.mark.parametrize(
    "index",
    [
        np.s_[1:3],
        np.s_[:, 2:],
        np.s_[::2],
        np.s_[:, 1::3],
        np.s_[2],
        np.s_[..., -1],
        np.s_[1:2, 3:9, 60:],
    ],
    ids=str,
)
def test_gradients_of_slices(index):
    given = values(4, 9, 70)

    def compute():
        x = fakel.tensor(given).requires_grad_()
        piece = x[index]
        (piece * piece).sum().backward()
        return x.grad.numpy().copy()

    _, found, interpreted = both(compute)
    assert "embed_slice" not in interpreted
    expected = np.zeros_like(given)
    expected[index] = 2 * given[index]
    np.testing.assert_allclose(found, expected, rtol=1e-6)
