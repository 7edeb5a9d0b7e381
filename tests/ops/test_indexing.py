"""Every form of an index, reading and writing, against NumPy and PyTorch."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from tests.support.compare import assert_same, to_array
from tests.support.derivatives import check_derivatives
from tests.support.package import package

SHAPE = (4, 5, 6)


def array() -> np.ndarray:
    return np.arange(np.prod(SHAPE), dtype=np.float64).reshape(SHAPE)


MASK = np.zeros(SHAPE, bool)
MASK[::2, 1:3, ::3] = True
ROWS = np.array([True, False, True, True])

# Forms that mean the same in NumPy and PyTorch; arrays stand for tensors too.
SHARED = {
    "integer": 1,
    "negative integer": -1,
    "integers": (1, -2, 3),
    "slice": slice(1, 3),
    "slice with step": slice(0, 4, 2),
    "empty slice": slice(3, 1),
    "slice past the end": slice(2, 100),
    "negative slice": slice(-3, -1),
    "everything": slice(None),
    "ellipsis": ...,
    "ellipsis, integer": (..., 2),
    "integer, ellipsis, slice": (1, ..., slice(0, 3)),
    "none": None,
    "none between": (slice(None), None, 2),
    "none at the end": (..., None),
    "empty tuple": (),
    "slices": (slice(1, 3), slice(None, None, 2), slice(2, 5)),
    "mask of all": MASK,
    "mask of rows": ROWS,
    "mask of the last": (..., np.array([True, False, False, True, True, False])),
    "mask of columns": (slice(None), np.array([False, True, True, False, True])),
    "mask of two dimensions": MASK[:, :, 0],
    "mask of nothing": np.zeros(4, bool),
    "mask and integer": (ROWS, 2),
    "mask and slice": (ROWS, slice(1, 3)),
    "array": np.array([2, 0, 2]),
    "array of negatives": np.array([-1, -4]),
    "array of two dimensions": np.array([[0, 1], [2, 3]]),
    "zero-dimensional array": np.array(2),
    "empty array": np.array([], dtype=np.int64),
    "arrays": (np.array([0, 1]), np.array([2, 3])),
    "arrays that broadcast": (np.array([[0], [1]]), np.array([2, 3, 4])),
    "three arrays": (np.array([0, 1]), np.array([2, 3]), np.array([4, 5])),
    "array, slice": (np.array([0, 1]), slice(1, 3)),
    "slice, array": (slice(None), np.array([4, 0])),
    "array, slice, array": (np.array([0, 1]), slice(None), np.array([2, 3])),
    "slice, arrays": (slice(1, 3), np.array([0, 1]), np.array([2, 3])),
    "array, integer": (np.array([0, 1]), 2),
    "array, none": (np.array([0, 1]), None),
    "array, ellipsis, array": (np.array([0, 1]), ..., np.array([2, 3])),
    "ellipsis, array": (..., np.array([5, 5, 0])),
    "list": [0, 2],
    "list in a tuple": ([0, 2], [1, 3]),
    "list of flags": [True, False, True, False],
    "range": (slice(None), [*range(3)]),
    "int32 array": np.array([1, 2], dtype=np.int32),
}


def wrap(index, make):
    """The index with every array turned by `make`."""
    if isinstance(index, tuple):
        return tuple(wrap(part, make) for part in index)
    return make(index) if isinstance(index, np.ndarray) else index


def tensor_index(index):
    return wrap(index, lambda part: package.from_numpy(part.copy()))


forms = pytest.mark.parametrize("index", SHARED.values(), ids=SHARED.keys())


@forms
@pytest.mark.parametrize("make", [tensor_index, lambda index: index], ids=["tensors", "arrays"])
def test_reading(index, make):
    expected = array()[index]
    found = package.from_numpy(array())[make(index)]
    assert tuple(found.shape) == expected.shape
    np.testing.assert_array_equal(to_array(found), expected)


@forms
def test_reading_a_view_that_is_not_contiguous(index):
    expected = array()[index]
    stored = package.from_numpy(array().transpose(2, 0, 1).copy()).permute(1, 2, 0)
    np.testing.assert_array_equal(to_array(stored[tensor_index(index)]), expected)


@forms
def test_writing_a_number(index):
    expected, tensor = array(), package.from_numpy(array())
    expected[index] = -1
    tensor[tensor_index(index)] = -1
    np.testing.assert_array_equal(to_array(tensor), expected)


@forms
def test_writing_a_tensor(index):
    expected, tensor = array(), package.from_numpy(array())
    values = -1.0 - np.arange(expected[index].size, dtype=np.float64).reshape(expected[index].shape)
    if _repeats(index):
        values = np.full_like(values, -7.0)
    expected[index] = values
    tensor[tensor_index(index)] = package.from_numpy(np.asarray(values))
    np.testing.assert_array_equal(to_array(tensor), expected)


@forms
def test_writing_into_a_view_changes_its_base(index):
    expected = array()
    base = package.from_numpy(array())
    view = base.permute(2, 0, 1).permute(1, 2, 0)
    expected[index] = 0
    view[tensor_index(index)] = package.zeros((), dtype=package.float64)
    np.testing.assert_array_equal(to_array(base), expected)


@forms
def test_adding_in_place(index):
    expected, tensor = array(), package.from_numpy(array())
    expected[index] += 100
    tensor[tensor_index(index)] += 100
    np.testing.assert_array_equal(to_array(tensor), expected)


@forms
def test_gradients_of_reading(index):
    if array()[index].size == 0:
        pytest.skip("nothing is read")
    check_derivatives(package, lambda x: (x * x)[tensor_index(index)], [array() / 50], 2)


@forms
def test_gradients_of_writing(index):
    size = array()[index].shape
    if _repeats(index):
        pytest.skip("which of the repeated writes wins is not defined")

    def write(x, y):
        x = x * x
        x[tensor_index(index)] = y * y
        return x

    points = [array() / 50, np.random.default_rng(0).normal(size=size)]
    check_derivatives(package, write, points, 2)


def _repeats(index) -> bool:
    """Whether an element is named twice."""
    numbers = np.arange(np.prod(SHAPE)).reshape(SHAPE)[index].ravel()
    return len(np.unique(numbers)) < len(numbers)


def test_a_slice_of_a_slice_of_a_slice_is_a_view():
    tensor = package.from_numpy(array())
    tensor[1:][..., ::2][:, 1:3][0] = -5
    expected = array()
    expected[1:][..., ::2][:, 1:3][0] = -5
    np.testing.assert_array_equal(to_array(tensor), expected)


def test_reading_with_an_array_is_a_copy():
    tensor = package.from_numpy(array())
    part = tensor[package.tensor([0, 1])]
    part.zero_()
    np.testing.assert_array_equal(to_array(tensor), array())


@pytest.mark.parametrize("values", [2, 2.5, True, [[1.0] * 6] * 5, np.ones(6)])
def test_writing_what_is_not_a_tensor(values, torch):
    found, expected = package.zeros(SHAPE), torch.zeros(SHAPE)
    try:
        expected[1] = values
    except (TypeError, ValueError) as error:
        with pytest.raises(type(error)):
            found[1] = values
        return
    found[1] = values
    assert_same(found, expected)


def test_writing_casts_to_the_tensors_dtype(torch):
    for module in (package, torch):
        x = module.zeros(3, dtype=module.int64)
        x[0] = 2.7
        x[1:] = module.tensor([1.5, -1.5])
        assert x.tolist() == [2, 1, -1]


@pytest.mark.parametrize("accumulate", [True, False])
def test_index_put(accumulate, torch):
    def put(module):
        x = module.arange(12.0).reshape(3, 4)
        index = (module.tensor([0, 2, 2]), module.tensor([1, 3, 0]))
        return x.index_put_(index, module.tensor([10.0, 20.0, 30.0]), accumulate=accumulate)

    assert_same(put(package), put(torch))


MISTAKES = {
    "index out of range": lambda m, x: x[4],
    "negative index out of range": lambda m, x: x[-5],
    "too many": lambda m, x: x[0, 0, 0, 0],
    "two ellipses with too many": lambda m, x: x[0, 0, 0, ..., 0],
    "zero-dimensional": lambda m, x: m.tensor(1.0)[0],
    "tensor index out of range": lambda m, x: x[m.tensor([0, 9])].sum().item(),
    "second tensor index out of range": lambda m, x: x[:, m.tensor([5])].sum().item(),
    "mask of the wrong length": lambda m, x: x[m.ones(3, dtype=m.bool)],
    "mask of the wrong shape": lambda m, x: x[m.ones(4, 4, dtype=m.bool)],
    "float index": lambda m, x: x[1.5],
    "float tensor": lambda m, x: x[m.tensor([1.0])],
    "text": lambda m, x: x["a"],
    "negative step": lambda m, x: x[::-1],
    "zero step": lambda m, x: x[::0],
    "indices that do not broadcast": lambda m, x: x[m.tensor([0, 1]), m.tensor([0, 1, 2])],
    "values that do not fit": lambda m, x: x.__setitem__(0, m.zeros(7)),
    "values that do not fit the mask": lambda m, x: x.__setitem__(x > 100, m.zeros(7)),
    "another dtype": lambda m, x: x.__setitem__(m.tensor([0]), m.zeros(5, 6)),
    "writing out of range": lambda m, x: x.__setitem__(m.tensor([7]), 0.0),
}


@pytest.mark.filterwarnings("ignore:Using a non-tuple sequence")
@pytest.mark.parametrize("mistake", MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes(mistake, torch):
    with pytest.raises(Exception) as expected:
        mistake(torch, torch.from_numpy(array()))
    with pytest.raises(Exception) as found:
        mistake(package, package.from_numpy(array()))
    assert type(found.value) is type(expected.value), found.value
    assert str(found.value).split("\n")[0] == str(expected.value).split("\n")[0]


PARTS = [1, slice(1, 3), None, ..., np.array([0, 2]), np.array([[1], [3]]), ROWS]


@pytest.mark.parametrize("pair", [*itertools.product(range(len(PARTS)), repeat=2)])
def test_pairs_of_forms(pair, torch):
    index = tuple(PARTS[i] for i in pair)
    try:
        expected = torch.from_numpy(array())[wrap(index, torch.from_numpy)]
    except (IndexError, RuntimeError) as error:
        with pytest.raises(type(error)):
            package.from_numpy(array())[tensor_index(index)]
        return
    assert_same(package.from_numpy(array())[tensor_index(index)], expected)


def _product_at_zeros(source):
    index = package.tensor([0, 1, 1, 2])
    return package.tensor([2.0, 0.0, 3.0], dtype=package.float64).scatter_reduce(
        0, index, source, "prod"
    )


def test_second_derivatives_of_scattered_products_reach_zeros():
    check_derivatives(package, _product_at_zeros, [np.array([0.0, 0.0, 2.0, 0.0])], 2)


def test_second_derivatives_of_several_zeros_in_one_place_are_refused():
    source = package.tensor([1.0, 0.0, 0.0, 1.0], dtype=package.float64, requires_grad=True)
    (slope,) = package.autograd.grad(_product_at_zeros(source).sum(), source, create_graph=True)
    with pytest.raises(RuntimeError, match="Double backward is unsupported for src when >1 zeros"):
        slope.sum().backward()
