"""Calls that are expected in the state of a run: anything that differs is noticed."""

import numpy as np

import fakel


def _known(call):
    """Calls often enough that the call is expected."""
    for _ in range(6):
        call().tolist()


def test_which_arguments_are_the_same_tensor():
    first, second = fakel.tensor([1.0, 2.0]), fakel.tensor([10.0, 20.0])
    _known(lambda: fakel.addcmul(first, second, first))
    assert fakel.addcmul(first, second, second).tolist() == [101.0, 402.0]
    assert fakel.addcmul(first, second, first).tolist() == [11.0, 42.0]
    assert fakel.addcmul(first, first, second).tolist() == [11.0, 42.0]
    assert fakel.addcmul(first, first, first).tolist() == [2.0, 6.0]


def test_an_argument_that_was_written_through_a_view_of_another_shape():
    tensor = fakel.ones(2, 2)
    _known(lambda: tensor * 2)
    tensor.view(-1).add_(fakel.arange(4.0))
    assert tensor.sum().item() == 10
    assert np.array_equal((tensor * 2).numpy(), [[2, 4], [6, 8]])
    tensor.view(-1).add_(1)
    assert np.array_equal((tensor * 2).numpy(), [[4, 6], [8, 10]])
