"""Compiled picking and placing by index tensors, and their gradients, against the interpreter and
PyTorch.
"""

import numpy as np
import pytest

import fakel
from tests.compiler.native import Native, both, running_on

RNG = np.random.default_rng(0)
FLOATS = RNG.standard_normal((9, 70)).astype(np.float32)
CUBE = RNG.standard_normal((6, 5, 33)).astype(np.float32)
ROWS = RNG.integers(0, 9, (13,))
PLACES = RNG.integers(-6, 6, (4, 3))
COLUMNS = RNG.integers(-5, 5, (3,))
ALONG = RNG.integers(0, 9, (7, 70))
ACROSS = RNG.integers(0, 70, (9, 90))
NATIVE = {
    "embedding", "embedding_gradient", "index", "index_put", "index_add", "index_copy",
    "index_select", "gather", "scatter", "scatter_add",
}  # fmt: skip

# what is computed from a library, a floating tensor, and numbers as tensors
CASES = {
    "embedding": (FLOATS, lambda F, x, i: F.embedding(i(ROWS), x)),
    "embedding of many": (FLOATS, lambda F, x, i: F.embedding(i(ALONG), x, padding_idx=2)),
    "index": (FLOATS, lambda F, x, i: x[i(ROWS)]),
    "index of columns": (CUBE, lambda F, x, i: x[:, i(COLUMNS)]),
    "two indices": (CUBE, lambda F, x, i: x[i(PLACES), i(COLUMNS)]),
    "two indices apart": (CUBE, lambda F, x, i: x[i(PLACES), :, i(COLUMNS)]),
    "all indices": (FLOATS, lambda F, x, i: x[i(PLACES), i(COLUMNS)]),
    "index_select": (CUBE, lambda F, x, i: x.index_select(1, i(np.abs(COLUMNS) % 5))),
    "gather": (FLOATS, lambda F, x, i: x.gather(0, i(ALONG))),
    "gather across": (FLOATS, lambda F, x, i: x.gather(1, i(ACROSS))),
    "take": (CUBE, lambda F, x, i: x.take(i(np.abs(PLACES)))),
    "index_add": (FLOATS, lambda F, x, i: x.sin().index_add(0, i(ROWS % 9), x[:1].expand(13, 70))),
    "index_add columns": (CUBE, lambda F, x, i: x.index_add(1, i(COLUMNS % 5), x[:, 1:4])),
    "index_copy": (FLOATS, lambda F, x, i: x.index_copy(0, i(np.array([3, 1])), x[:2] * 2)),
    "scatter": (FLOATS, lambda F, x, i: x.scatter(0, i(np.array([[3, 1]])), x[5:6, 10:12])),
    "scatter a number": (FLOATS, lambda F, x, i: x.scatter(1, i(ACROSS), 2.0)),
    "scatter_add": (FLOATS, lambda F, x, i: x.scatter_add(0, i(ALONG), x[1:8] * 2)),
    "scatter_add of one dimension": (
        FLOATS[0],
        lambda F, x, i: x.scatter_add(0, i(ROWS), x[:13] * x[:13]),
    ),
    "index_put": (CUBE, lambda F, x, i: x.index_put((i(PLACES),), x[0, 0])),
    "index_put added": (
        CUBE,
        lambda F, x, i: x.index_put((i(PLACES), i(COLUMNS)), x[0, :3] * 2, accumulate=True),
    ),
}


def run(library, name):
    """The result and the gradient as arrays."""
    given, compute = CASES[name]
    x = library.tensor(given).requires_grad_()
    found = compute(library.nn.functional, x, library.tensor)
    (found * found.detach().cos()).sum().backward()
    return [np.array(found.detach().numpy()), np.array(x.grad.numpy())]


@pytest.mark.parametrize("name", CASES)
def test_results_and_gradients(name):
    expected, found, interpreted = both(lambda: run(fakel, name))
    assert not interpreted & NATIVE
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)
    torch = pytest.importorskip("torch")
    for one, other in zip(found, run(torch, name), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


def test_the_last_of_equal_indices_wins():
    index, source = np.array([2, 0, 2, 2]), np.arange(4 * 5, dtype=np.float32).reshape(4, 5)

    def compute():
        x = fakel.zeros(3, 5)
        x[fakel.tensor(index)] = fakel.tensor(source)
        return x.numpy().copy()

    _, found, _ = both(compute)
    np.testing.assert_array_equal(found, [source[1], np.zeros(5), source[3]])


@pytest.mark.parametrize("dtype", ["float64", "int64", "int32", "uint8"])
def test_sums_of_other_types(dtype):
    source = RNG.integers(0, 9, (300, 40)).astype(dtype)
    index = RNG.integers(0, 7, (300,))

    def compute():
        x = fakel.tensor(np.zeros((7, 40), dtype))
        return x.index_add(0, fakel.tensor(index), fakel.tensor(source)).numpy().copy()

    _, found, interpreted = both(compute)
    assert "index_add" not in interpreted
    expected = np.zeros((7, 40), dtype)
    np.add.at(expected, index, source)
    np.testing.assert_array_equal(found, expected)


def test_threads_do_not_change_the_sums():
    """Equal indices are added in their order, whoever does it."""
    source = RNG.standard_normal((2000, 40)).astype(np.float32)
    index = RNG.integers(0, 30, (2000,))
    before = fakel.get_num_threads()
    results = []
    try:
        for threads in (1, 2, 3):
            fakel.set_num_threads(threads)
            with running_on(Native()):
                x, i = fakel.zeros(30, 40), fakel.tensor(index)
                added = x.index_add(0, i, fakel.tensor(source))
                along = x.scatter_add(0, i[:, None].expand(2000, 40), fakel.tensor(source))
                results.append((added.numpy().copy(), along.numpy().copy()))
    finally:
        fakel.set_num_threads(before)
    for added, along in results:
        np.testing.assert_array_equal(added, results[0][0])
        np.testing.assert_array_equal(along, results[0][1])


# the index is made by a pending operator, so that it is checked when it is used
MISTAKES = {
    "index": (IndexError, "index 9 is out of bounds for dimension 0", lambda x, i: x[i]),
    "index from the end": (
        IndexError,
        "index -17 is out of bounds for dimension 0",
        lambda x, i: x[i - 19],
    ),
    "index_put": (
        IndexError,
        "index 9 is out of bounds for dimension 0",
        lambda x, i: x.index_put((i,), x[0]),
    ),
    "index_add": (IndexError, "index out of range", lambda x, i: x.index_add(0, i, x[:2])),
    "index_copy": (IndexError, "index out of range", lambda x, i: x.index_copy(0, i, x[:2])),
    "index_select": (IndexError, "index out of range", lambda x, i: x.index_select(0, i)),
    "gather": (
        RuntimeError,
        "index 9 is out of bounds for dimension 0 with size 9",
        lambda x, i: x.gather(0, i[:, None].expand(2, 70)),
    ),
    "scatter": (
        RuntimeError,
        "index 9 is out of bounds for dimension 0 with size 9",
        lambda x, i: x.scatter(0, i[:, None].expand(2, 70), 1.0),
    ),
    "scatter_add": (
        RuntimeError,
        "index 9 is out of bounds for dimension 0 with size 9",
        lambda x, i: x.scatter_add(0, i[:, None].expand(2, 70), x),
    ),
    "embedding": (
        IndexError,
        "index out of range in self",
        lambda x, i: fakel.nn.functional.embedding(i, x),
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_wrong_indices_are_refused(name):
    error, text, compute = MISTAKES[name]
    with pytest.raises(error, match=text), running_on(Native()):
        index = fakel.tensor([1, 8]) + fakel.tensor([1, 1])
        compute(fakel.tensor(FLOATS), index).numpy()


def test_writing_nothing_leaves_everything():
    given = np.arange(24.0).reshape(4, 6)

    def compute():
        x = fakel.tensor(given)
        x[2:2] = -1.0
        y = fakel.tensor(given) + 1
        y[:, 3:3] = fakel.zeros(4, 0, dtype=fakel.float64)
        return x.numpy().copy(), y.numpy().copy()

    _, found, _ = both(compute)
    np.testing.assert_array_equal(found[0], given)
    np.testing.assert_array_equal(found[1], given + 1)


def test_picking_nothing_has_a_gradient_of_zeros():
    with running_on(Native()):
        weight = fakel.tensor(FLOATS).requires_grad_()
        index = fakel.zeros(0, 9, dtype=fakel.int64)
        (fakel.nn.functional.embedding(index, weight, padding_idx=3) * 0.5).sum().backward()
        np.testing.assert_array_equal(weight.grad.numpy(), np.zeros_like(FLOATS))


def test_a_number_picked_by_a_number():
    """No kernel takes these; their pending inputs are computed for the interpreter."""

    def compute():
        x, index = fakel.tensor(3.0, requires_grad=True), fakel.tensor(0)
        picked = (x * 2).sin().gather(0, index)
        (picked * picked).backward()
        return [picked.detach().numpy().copy(), x.grad.numpy().copy()]

    _, (picked, grad), interpreted = both(compute)
    assert {"gather", "scatter_add"} & interpreted
    np.testing.assert_allclose(picked, np.sin(6.0), rtol=1e-6)
    np.testing.assert_allclose(grad, 4 * np.sin(6.0) * np.cos(6.0), rtol=1e-5)
