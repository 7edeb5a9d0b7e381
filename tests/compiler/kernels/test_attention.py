"""Compiled attention: outputs and gradients against the interpreter and PyTorch, with masks."""

import functools

import numpy as np
import pytest

import fakel
from fakel.compiler.loop_ir import target
from fakel.interpreter import Interpreter
from tests.compiler.native import Native, both, running_on

# batch, heads, targets, sources, features, value features, mask: odd sizes around those of vectors
CASES = [
    (2, 3, 5, 7, 4, 6, None),
    (1, 2, 64, 64, 32, 32, None),
    (2, 2, 33, 70, 16, 20, "causal"),
    (1, 1, 1, 300, 64, 64, None),
    (1, 2, 200, 150, 100, 17, "causal"),
    (3, 1, 17, 1, 1, 1, "causal"),
    (1, 1, 40, 129, 64, 128, "causal"),
    (2, 3, 5, 7, 4, 6, "allowed"),
    (1, 2, 70, 64, 32, 32, "rows"),
    (2, 2, 33, 70, 16, 20, "padding"),
    (2, 2, 33, 19, 16, 20, "added"),
    (1, 2, 20, 30, 8, 8, "columns"),
]
each_case = pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: str(CASES[i]))


def mask_of(kind, rng, batch, heads, targets, sources):
    """A mask in one of the shapes that broadcast; no row is masked altogether."""
    if kind == "added":
        return rng.standard_normal((batch, heads, targets, sources)).astype(np.float32)
    shape = {
        "allowed": (batch, 1, targets, sources),
        "rows": (targets, sources),
        "padding": (batch, 1, 1, sources),
        "columns": (targets, 1),
    }[kind]
    allowed = rng.random(shape) < 0.6
    allowed[..., 0] = True
    return allowed


def run(library, case):
    """The output, and the gradients of query, key and value, as arrays. Heads are transposed."""
    batch, heads, targets, sources, features, value_features, mask = case
    rng = np.random.default_rng(3)

    def made(*shape):
        return library.tensor(rng.standard_normal(shape).astype(np.float32))

    given = [
        made(batch, length, heads, width).requires_grad_()
        for length, width in ((targets, features), (sources, features), (sources, value_features))
    ]
    options = {"is_causal": True} if mask == "causal" else {}
    if mask not in (None, "causal"):
        kept = mask_of(mask, rng, batch, heads, targets, sources)
        options = {"attn_mask": library.tensor(kept)}
    attend = library.nn.functional.scaled_dot_product_attention
    output = attend(*(tensor.transpose(1, 2) for tensor in given), **options)
    output.backward(made(batch, targets, heads, value_features).transpose(1, 2))
    return [np.array(t.detach().numpy()) for t in (output, *(tensor.grad for tensor in given))]


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-5)


@functools.cache
def natively(number):
    with running_on(Native()) as native:
        found = run(fakel, CASES[number])
    return found, native.interpreted


@each_case
def test_attention_agrees_with_the_interpreter(number):
    found, interpreted = natively(number)
    assert not interpreted & {"attention", "attention_gradient"}
    with running_on(Interpreter()):
        close(found, run(fakel, CASES[number]))


@each_case
def test_attention_agrees_with_pytorch(number):
    torch = pytest.importorskip("torch")
    close(natively(number)[0], run(torch, CASES[number]))


def attended(query, key, value, grad=None, **options):
    """The output and the gradients of query, key and value, as arrays."""
    tensors = [fakel.tensor(array).requires_grad_() for array in (query, key, value)]
    options = {
        name: fakel.tensor(option) if isinstance(option, np.ndarray) else option
        for name, option in options.items()
    }
    output = fakel.nn.functional.scaled_dot_product_attention(*tensors, **options)
    output.backward(fakel.ones_like(output) if grad is None else fakel.tensor(grad))
    return [np.array(t.detach().numpy()) for t in (output, *(tensor.grad for tensor in tensors))]


def arrays(rng, *shapes):
    return [rng.standard_normal(shape).astype(np.float32) for shape in shapes]


@pytest.mark.parametrize("additive", [False, True])
def test_a_row_that_is_masked_altogether_is_zero(additive):
    """And it pulls nothing; the other rows are as if it were not there."""
    rng = np.random.default_rng(0)
    given = arrays(rng, (2, 20, 8), (2, 70, 8), (2, 70, 5))
    allowed = rng.random((20, 70)) < 0.5
    allowed[[0, 7, 19]] = False
    mask = np.where(allowed, 0, -np.inf).astype(np.float32) if additive else allowed
    expected, found, _ = both(lambda: attended(*given, attn_mask=mask))
    close(found, expected)
    assert not found[0][:, [0, 7, 19]].any() and not found[1][:, [0, 7, 19]].any()
    assert found[0][:, 1].all()


def test_what_is_not_finite_spreads_as_in_the_interpreter():
    """NaN and infinities in queries, keys, values and masks."""
    rng = np.random.default_rng(1)
    query, key, value = arrays(rng, (3, 40, 8), (3, 30, 8), (3, 30, 8))
    mask = np.zeros((40, 30), np.float32)
    query[0, 3, 2] = np.nan
    key[1, 4, 0] = np.inf
    value[2, 29, 7] = np.nan
    value[2, 3, 1] = -np.inf
    mask[5, 6], mask[35, 2] = np.nan, np.inf
    expected, found, _ = both(lambda: attended(query, key, value, attn_mask=mask))
    close(found, expected)
    assert np.isnan(found[0][0, 3]).all() and np.isfinite(found[0][0, 4]).all()


def test_great_scores_do_not_overflow():
    rng = np.random.default_rng(2)
    given = arrays(rng, (1, 20, 16), (1, 200, 16), (1, 200, 16))
    given[0] *= 300
    expected, found, _ = both(lambda: attended(*given, scale=1.0))
    assert all(np.isfinite(each).all() for each in found)
    np.testing.assert_allclose(found[0], expected[0], rtol=1e-3, atol=1e-3)


def test_batches_that_broadcast():
    """Keys and values of one matrix for all, and a mask for each."""
    rng = np.random.default_rng(4)
    given = arrays(rng, (3, 2, 9, 8), (2, 11, 8), (1, 1, 11, 4))
    mask = arrays(rng, (3, 1, 9, 11))[0]
    expected, found, interpreted = both(lambda: attended(*given, attn_mask=mask))
    assert not interpreted & {"attention", "attention_gradient"}
    close(found, expected)


def test_a_mask_that_learns():
    """The gradient of the mask has no kernel, and is right nevertheless."""
    rng = np.random.default_rng(5)
    given = arrays(rng, (2, 9, 8), (2, 11, 8), (2, 11, 4), (9, 11))

    def compute():
        *tensors, mask = (fakel.tensor(array).requires_grad_() for array in given)
        output = fakel.nn.functional.scaled_dot_product_attention(*tensors, attn_mask=mask)
        (output * output).sum().backward()
        return [mask.grad.numpy().copy(), tensors[0].grad.numpy().copy()]

    expected, found, _ = both(compute)
    close(found, expected)


def test_threads_do_not_change_the_result():
    case = (1, 2, 200, 150, 32, 32, "causal")
    before = fakel.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            fakel.set_num_threads(threads)
            with running_on(Native()):
                results.append(run(fakel, case))
    finally:
        fakel.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("processor", [target.SSE2, target.AVX2], ids=["128 bits", "256 bits"])
def test_narrower_vectors_give_the_same(processor):
    case = (2, 2, 19, 70, 12, 20, "causal")
    with running_on(Interpreter()):
        expected = run(fakel, case)
    with target.override(processor), running_on(Native()):
        close(run(fakel, case), expected)
