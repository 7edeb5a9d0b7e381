"""Functions of many arguments, recalled: their numbers, and arguments that they write."""

import numpy as np
import pytest

import fakel
from fakel.nn import utils
from fakel.recall.calls import recalled


def test_numbers_that_are_equal_when_captured_are_told_apart():
    known = []

    def function(tensor, first, second):
        known.append(1)
        return tensor * first + second

    call = recalled(function, numbers=True)
    tensor, number = fakel.tensor([1.0, 2.0]), 0.5
    for _ in range(4):
        assert call(tensor, number, number).tolist() == [1.0, 1.5]
    assert call(tensor, 3.0, 4.0).tolist() == [7.0, 10.0]
    assert len(known) == 2


def test_a_number_that_is_not_an_operand_as_it_is_counts_by_value():
    call = recalled(lambda tensor, number: tensor * (number + 1), numbers=True, constants=True)
    tensor = fakel.tensor([1.0, 2.0])
    for number in (0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 3.0, 0.5):
        assert call(tensor, number).tolist() == [number + 1, 2 * number + 2]


def test_a_number_used_for_many_tensors_is_one_leaf():
    nodes = []

    def function(first, second, number):
        results = first * number, second * number
        nodes.append([result._storage.node.inputs[1:] for result in results])
        return results

    call = recalled(function, numbers=True)
    first, second = fakel.ones(2), fakel.ones(3)
    for number in (0.5, 0.5, 0.25, 0.75):
        results = call(first, second, number)
        assert [result.tolist() for result in results] == [[number] * 2, [number] * 3]
    assert len(nodes) == 2
    (one,), (same,) = nodes[1]
    assert one is same


def test_an_argument_that_is_written_several_times():
    call = recalled(lambda tensor, other: tensor.mul_(2).add_(other))
    tensor, other = fakel.ones(2), fakel.ones(2)
    for step in range(1, 6):
        assert call(tensor, other) is tensor
        assert tensor._version == 2 * step
        assert tensor.tolist() == [2**step * 2 - 1] * 2


def test_storages_that_share_a_value_are_not_one():
    call = recalled(lambda tensor, other: (tensor.add_(1), other * 1)[1])
    tensor = fakel.ones(2)
    for count in range(5):
        alias = tensor.detach()
        assert call(tensor, alias).tolist() == [count + 2] * 2
    other = fakel.ones(2)
    other._storage.node = tensor._storage.node
    assert call(tensor, other).tolist() == [6, 6]
    assert tensor.tolist() == [7, 7]


@pytest.mark.parametrize("order", [2.0, 1.0, float("inf")])
def test_gradients_are_clipped_to_a_norm_that_changes(order):
    generator = np.random.default_rng(0)
    weights = [fakel.zeros(shape, requires_grad=True) for shape in ((3, 2), (4,))]
    for step in range(8):
        values = [generator.standard_normal(tuple(weight.shape)).astype("f4") for weight in weights]
        for weight, value in zip(weights, values, strict=True):
            weight.grad = fakel.tensor(value)
        limit = 0.5 + step
        total = utils.clip_grad_norm_(weights, limit, order)
        assert total._storage.node.value is None, "nothing is computed before somebody looks"
        expected = np.linalg.norm(np.concatenate([value.ravel() for value in values]), order)
        assert total.item() == pytest.approx(expected, rel=1e-6)
        factor = min(1, limit / (expected + 1e-6))
        for weight, value in zip(weights, values, strict=True):
            np.testing.assert_allclose(weight.grad.numpy(), value * factor, rtol=1e-5)


def test_gradients_are_clipped_to_a_value_that_changes():
    weights = [fakel.zeros(2, requires_grad=True) for _ in range(2)]
    for step in range(8):
        for weight in weights:
            weight.grad = fakel.tensor([-10.0, 0.25])
        utils.clip_grad_value_(weights, step + 0.5)
        assert [weight.grad.tolist() for weight in weights] == [[-step - 0.5, 0.25]] * 2
