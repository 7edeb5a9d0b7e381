"""Compiled recurrent layers: outputs, states and all gradients against the interpreter and
PyTorch.
"""

import functools

import numpy as np
import pytest

import fakel
from fakel.compiler.loop_ir import target
from fakel.interpreter import Interpreter
from fakel.ops.recurrent import lstm
from tests.compiler.native import Native, both, running_on

# kind, steps, batch, inputs, units, options, packed: odd sizes around those of vectors and tiles
CASES = [
    ("LSTM", 7, 5, 6, 20, {}, False),
    ("LSTM", 3, 33, 4, 128, {}, False),
    ("LSTM", 5, 1, 3, 3, {"bias": False}, False),
    ("LSTM", 4, 4, 5, 17, {"bidirectional": True, "num_layers": 2}, True),
    ("LSTM", 3, 6, 5, 40, {"proj_size": 33}, False),
    ("LSTM", 4, 6, 5, 18, {"proj_size": 5, "bidirectional": True}, True),
    ("GRU", 7, 5, 6, 20, {}, False),
    ("GRU", 3, 9, 4, 65, {"bias": False}, True),
    ("GRU", 4, 3, 5, 16, {"bidirectional": True}, False),
    ("RNN", 7, 5, 6, 20, {}, False),
    ("RNN", 3, 40, 4, 130, {"nonlinearity": "relu"}, True),
    # long enough to be cut into parts
    ("LSTM", 40, 33, 3, 5, {"bidirectional": True}, False),
    ("LSTM", 9, 128, 3, 7, {"proj_size": 4}, False),
    ("GRU", 20, 64, 3, 9, {}, False),
    ("RNN", 11, 100, 3, 7, {}, False),
    ("RNN", 1, 3, 5, 1, {"bidirectional": True, "num_layers": 2}, False),
]
each_case = pytest.mark.parametrize("number", range(len(CASES)), ids=lambda i: str(CASES[i][:5]))


def lengths_of(steps, batch):
    """Falling lengths, the longest first."""
    return sorted((1 + (3 * i + steps) % steps for i in range(batch)), reverse=True)


def run(library, case):
    """Outputs, last states and gradients as arrays."""
    kind, steps, batch, inputs, units, options, packed = case
    layer = getattr(library.nn, kind)(inputs, units, **options)
    directions = (1 + options.get("bidirectional", False)) * options.get("num_layers", 1)
    rng = np.random.default_rng(5)

    def made(*shape):
        return library.tensor(rng.standard_normal(shape).astype(np.float32), requires_grad=True)

    for parameter in layer.parameters():
        values = rng.standard_normal(tuple(parameter.shape)).astype(np.float32) / units**0.5
        parameter.data = library.tensor(values)
    x = made(steps, batch, inputs)
    states = [made(directions, batch, options.get("proj_size") or units)]
    states += [made(directions, batch, units)] if kind == "LSTM" else []
    given = tuple(states) if kind == "LSTM" else states[0]
    if packed:
        rnn = library.nn.utils.rnn
        output, last = layer(rnn.pack_padded_sequence(x, lengths_of(steps, batch)), given)
        output = output.data
    else:
        output, last = layer(x, given)
    last = list(last) if kind == "LSTM" else [last]
    loss = (output * output).sum()
    for number, state in enumerate(last):
        loss = loss + ((state + number).cos() * state).sum()
    loss.backward()
    tensors = [output, *last, x.grad, *(s.grad for s in states)]
    tensors += [parameter.grad for parameter in layer.parameters()]
    return [np.array(tensor.detach().numpy()) for tensor in tensors]


def close(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-4, atol=2e-5 * max(np.abs(other).max(), 1))


@functools.cache
def natively(number):
    with running_on(Native()) as native:
        found = run(fakel, CASES[number])
    return found, native.interpreted


@each_case
def test_layers_agree_with_the_interpreter(number):
    found, interpreted = natively(number)
    assert not [name for name in interpreted if name.startswith("recurrent")]
    with running_on(Interpreter()):
        close(found, run(fakel, CASES[number]))


# PyTorch says that it takes another way for projections, with the same result
@pytest.mark.filterwarnings("ignore:LSTM with projections is not supported")
@each_case
def test_layers_agree_with_pytorch(number):
    torch = pytest.importorskip("torch")
    close(natively(number)[0], run(torch, CASES[number]))


def test_not_a_number_stays_where_it_belongs():
    """NaN in one sequence reaches that sequence's later steps and no other sequence."""
    layer, x = fakel.nn.LSTM(3, 8), fakel.randn(4, 5, 3)
    x[1, 2, 0] = float("nan")
    with running_on(Native()) as native:
        output = layer(x)[0].detach().numpy()
    assert "recurrent_layer" not in native.interpreted
    expected = np.zeros((4, 5, 8), bool)
    expected[1:, 2] = True
    np.testing.assert_array_equal(np.isnan(output), expected)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_wide_inputs_saturate(kind):
    """Gates far beyond where their functions are flat neither overflow nor give NaN."""

    def compute():
        fakel.manual_seed(0)
        layer = getattr(fakel.nn, kind)(2, 20)
        x = (fakel.randn(3, 4, 2) * 1e4).requires_grad_()
        layer(x)[0].sum().backward()
        return [x.grad.numpy().copy(), layer.weight_hh_l0.grad.numpy().copy()]

    expected, found, _ = both(compute)
    assert all(np.isfinite(each).all() for each in found)
    close(found, expected)


def test_threads_share_the_batch_without_changing_anything():
    """One thread and three give the same bits: what a row gives does not depend on who computes
    it.
    """
    case = ("LSTM", 6, 37, 30, 64, {}, False)
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


def test_sizes_that_do_not_fit_are_refused():
    """Numbers of rows that do not add up never reach memory beyond the data."""
    layer, data = fakel.nn.LSTM(3, 4), fakel.randn(6, 3)
    weights = list(layer.parameters())
    states = (fakel.zeros(1, 3, 4), fakel.zeros(1, 3, 4))
    for sizes in ([3, 2, 2], [2, 3, 1], [3, 4, -1], [5, 1, 0]):
        arguments = data, fakel.tensor(sizes), states, weights, True, 1, 0.0, False, False
        with pytest.raises(RuntimeError, match="batch_sizes"), running_on(Native()):
            lstm(*arguments)[0].detach().numpy()


@pytest.mark.parametrize("processor", [target.SSE2, target.AVX2], ids=["128 bits", "256 bits"])
@pytest.mark.parametrize("number", [0, 5, 7])
def test_narrower_vectors_give_the_same(number, processor):
    with running_on(Interpreter()):
        expected = run(fakel, CASES[number])
    with target.override(processor), running_on(Native()):
        close(run(fakel, CASES[number]), expected)
