"""Activations written in place, and dropout with PyTorch's random stream."""

import pytest

from tests.nn.functional.agreement import assert_agree, numbers

IN_PLACE = [
    "relu", "leaky_relu", "elu", "celu", "selu", "silu", "mish", "relu6", "hardtanh", "hardswish",
    "rrelu",
]  # fmt: skip


@pytest.mark.parametrize("name", IN_PLACE)
def test_in_place(torch, name):
    def call(F, x):
        x = x * 1
        result = getattr(F, name)(x, inplace=True)
        assert result is x
        return result

    assert_agree(torch, call, numbers(3, 4))


@pytest.mark.parametrize("hard", [False, True])
def test_gumbel_softmax(torch, hard):
    assert_agree(torch, lambda F, x: F.gumbel_softmax(x, 0.7, hard), numbers(3, 4))


def test_random_slopes(torch):
    assert_agree(torch, lambda F, x: F.rrelu(x, training=True), numbers(3, 4))


DROPOUTS = [
    ("dropout", (3, 4)),
    ("dropout1d", (2, 3, 4)),
    ("dropout1d", (3, 4)),
    ("dropout2d", (2, 3, 4, 5)),
    ("dropout3d", (2, 3, 2, 4, 5)),
    ("dropout3d", (3, 2, 4, 5)),
    ("alpha_dropout", (3, 4)),
    ("feature_alpha_dropout", (2, 3, 4)),
]


@pytest.mark.parametrize(("name", "shape"), DROPOUTS, ids=str)
@pytest.mark.parametrize("p", [0.0, 0.3, 1.0])
def test_dropout(torch, name, shape, p):
    if "alpha" in name and p == 1.0:
        pytest.skip("not a number in PyTorch")
    x = numbers(*shape)
    assert_agree(torch, lambda F, x: getattr(F, name)(x, p, True), x)
    assert_agree(torch, lambda F, x: getattr(F, name)(x, p, False), x)


def test_dropout_draws_in_memory_order(torch):
    assert_agree(torch, lambda F, x: F.dropout(x.t()), numbers(3, 4))


def test_dropout_written_in_place(torch):
    assert_agree(torch, lambda F, x: F.dropout(x * 1, 0.3, inplace=True), numbers(3, 4))
