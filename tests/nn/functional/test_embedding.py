"""Embeddings and bags of them."""

import numpy as np
import pytest

from tests.nn.functional.agreement import assert_agree, numbers

INDICES = np.array([[0, 2, 2], [4, 1, 2]])
OFFSETS = np.array([0, 2, 2, 5])


@pytest.mark.parametrize("padding", [None, 2, -3])
@pytest.mark.parametrize("by_frequency", [False, True])
def test_embedding(torch, padding, by_frequency):
    assert_agree(
        torch,
        lambda F, w, i: F.embedding(i, w, padding, scale_grad_by_freq=by_frequency),
        numbers(5, 3),
        INDICES,
        order=1 if by_frequency else 2,  # PyTorch has no second derivative of that
    )


def test_long_rows_are_scaled_in_place(torch):
    def call(F, w, i):
        w = w.detach() * 3
        return F.embedding(i, w, max_norm=1.0), w

    assert_agree(torch, call, numbers(5, 3), INDICES[:, :2], order=0)


@pytest.mark.parametrize("mode", ["sum", "mean", "max"])
@pytest.mark.parametrize("padding", [None, 2])
@pytest.mark.parametrize("last", [False, True])
def test_bags(torch, mode, padding, last):
    options = {"mode": mode, "padding_idx": padding}
    assert_agree(
        torch,
        lambda F, w, i, o: F.embedding_bag(i, w, o, include_last_offset=last, **options),
        numbers(5, 3),
        INDICES.ravel(),
        np.append(OFFSETS, 6) if last else OFFSETS,
        order=1,
    )
    assert_agree(
        torch,
        lambda F, w, i: F.embedding_bag(i, w, **options),
        numbers(5, 3),
        INDICES,
        order=1,
    )


def test_weighted_bags(torch):
    assert_agree(
        torch,
        lambda F, w, p, i, o: F.embedding_bag(i, w, o, mode="sum", per_sample_weights=p),
        numbers(5, 3),
        numbers(6),
        INDICES.ravel(),
        OFFSETS,
        order=1,
    )


def test_one_hot(torch):
    assert_agree(torch, lambda F, i: F.one_hot(i), INDICES)
    assert_agree(torch, lambda F, i: F.one_hot(i, 9), INDICES)
