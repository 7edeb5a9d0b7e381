"""Attention: masks, causality, shared heads, dropout, and the multi-head function."""

import numpy as np
import pytest

from tests.nn.functional.agreement import assert_agree, numbers

SHAPES = [(5, 4), (2, 5, 4), (2, 3, 5, 4)]


def inputs(shape):
    lead = shape[:-2]
    return numbers(*shape), numbers(*lead, 6, 4, seed=1), numbers(*lead, 6, 4, seed=2)


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_scaled_dot_products(torch, shape):
    order = 2 if len(shape) < 4 else 1  # PyTorch's fused kernel has no second derivative
    mask = np.random.default_rng(1).random((5, 6)) > 0.4
    mask[:, 0] = True
    attention = "scaled_dot_product_attention"
    for causal in (False, True):
        assert_agree(
            torch,
            lambda F, q, k, v, causal=causal: getattr(F, attention)(q, k, v, is_causal=causal),
            *inputs(shape),
            order=order,
        )
    assert_agree(
        torch,
        lambda F, q, k, v, m: getattr(F, attention)(q, k, v, m, scale=0.3),
        *inputs(shape),
        mask,
        order=order,
    )
    assert_agree(
        torch,
        lambda F, q, k, v, m: getattr(F, attention)(q, k, v, m),
        *inputs(shape),
        numbers(5, 6, seed=4),
    )
    assert_agree(
        torch,
        lambda F, q, k, v: getattr(F, attention)(q, k, v, dropout_p=0.4),
        *inputs(shape),
        order=order,
    )


def test_a_row_that_may_attend_to_nothing_is_zero(torch):
    mask = np.ones((5, 6), bool)
    mask[2] = False
    assert_agree(
        torch,
        lambda F, q, k, v, m: F.scaled_dot_product_attention(q, k, v, m),
        *inputs((2, 3, 5, 4)),
        mask,
        order=1,
    )


def test_groups_of_heads_share_keys(torch):
    assert_agree(
        torch,
        lambda F, q, k, v: F.scaled_dot_product_attention(q, k, v, enable_gqa=True),
        numbers(2, 6, 5, 4),
        numbers(2, 3, 6, 4),
        numbers(2, 3, 6, 4, seed=1),
        order=1,
    )


CAUSAL = np.triu(np.ones((4, 4), bool), 1)
PADDING = np.array([[False, True, False, True], [False, False, True, False]])
OPTIONS = {
    "plain": {},
    "mask": {"attn_mask": CAUSAL},
    "padding": {"key_padding_mask": PADDING},
    "both": {"attn_mask": CAUSAL, "key_padding_mask": PADDING},
    "causal": {"attn_mask": CAUSAL, "is_causal": True},
    "every head": {"average_attn_weights": False},
}


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize("batched", [True, False])
@pytest.mark.parametrize("name", OPTIONS)
def test_multi_head(torch, name, batched, weights):
    x = numbers(4, 2, 6) if batched else numbers(4, 6)
    projections = numbers(18, 6), numbers(18), numbers(6, 6), numbers(6)
    options = dict(OPTIONS[name])
    if not batched and "key_padding_mask" in options:
        options["key_padding_mask"] = PADDING[0]
    for extra, zero, dropout in ((False, False, 0.0), (True, True, 0.0), (False, False, 0.3)):
        if extra and "is_causal" in options:
            continue
        rows = (numbers(1, 1, 6), numbers(1, 1, 6, seed=1)) if extra else (None, None)

        def call(F, x, w, b, out, shift, bias_k, bias_v, zero=zero, dropout=dropout):
            flags = {
                key: x.new_tensor(value).bool() if isinstance(value, np.ndarray) else value
                for key, value in options.items()
            }
            return F.multi_head_attention_forward(
                x, x, x, 6, 2, w, b, bias_k, bias_v, zero, dropout, out, shift,
                need_weights=weights, **flags,
            )  # fmt: skip

        assert_agree(torch, call, x, *projections, *rows, order=1)
