"""Recurrent layers beyond the contract. Same scenario, both libraries."""

import pytest

import fakel
from tests.nn.both import compare, scenarios

torch = pytest.importorskip("torch")


def first_states(library, report):
    nn = library.nn
    x, h, c = library.randn(4, 3, 2), library.randn(2, 3, 5), library.randn(2, 3, 5)
    for layer in (nn.RNN(2, 5, 2), nn.GRU(2, 5, 2)):
        report(layer(x, h), layer(x[:, 0], h[:, 0]))
        report(lambda layer=layer: layer(x, h[0]), lambda layer=layer: layer(x[0], h))
        report(lambda layer=layer: layer(x, h[:1]), lambda layer=layer: layer(x[0][0], h))
    lstm = nn.LSTM(2, 5, 2)
    report(lstm(x, (h, c)), lstm(x[:, 0], (h[:, 0], c[:, 0])))
    report(lambda: lstm(x, (h[0], c)), lambda: lstm(x[0], (h, c)), lambda: lstm(x, (h, c[:, :1])))
    report(lambda: lstm(x[..., :1]), lambda: lstm(x.double()), lambda: lstm(x[0, 0]))


def packed_sequences(library, report):
    rnn = library.nn.utils.rnn
    x = library.randn(4, 3, 2)
    for kind in ("RNN", "LSTM", "GRU"):
        layer = getattr(library.nn, kind)(2, 5, 2, bidirectional=True)
        packed = rnn.pack_padded_sequence(x, [2, 4, 1], enforce_sorted=False)
        output, state = layer(packed)
        report(type(output).__name__, rnn.pad_packed_sequence(output), state)
        report(layer(packed, state)[0].data)


def gradients_through_packing(library, report):
    rnn = library.nn.utils.rnn
    x = library.randn(3, 4, 2).requires_grad_()
    layer = library.nn.LSTM(2, 3, batch_first=True)
    packed = rnn.pack_padded_sequence(x, library.tensor([4, 2, 1]), batch_first=True)
    output, _ = layer(packed)
    padded, lengths = rnn.pad_packed_sequence(output, batch_first=True, padding_value=-1.0)
    (padded * padded).sum().backward()
    report(padded, lengths, x.grad, [p.grad for p in layer.parameters()])


def wrong_arguments(library, report):
    nn = library.nn
    report(
        lambda: nn.LSTM(2, 3, dropout=1.5),
        lambda: nn.LSTM(2, 3, dropout=True),
        lambda: nn.LSTM(2, 3, dropout=0.5) and None,
        lambda: nn.LSTM(0, 3),
        lambda: nn.LSTM(2, 0),
        lambda: nn.LSTM(2.0, 3),
        lambda: nn.LSTM(2, "3"),
        lambda: nn.LSTM(2, 3, num_layers=0),
        lambda: nn.LSTM(2, 3, bias=1),
        lambda: nn.LSTM(2, 3, batch_first=1),
        lambda: nn.LSTM(2, 3, proj_size=3),
        lambda: nn.LSTM(2, 3, proj_size=-1),
        lambda: nn.GRU(2, 3, proj_size=1),
        lambda: nn.RNN(2, 3, proj_size=1),
        lambda: nn.RNN(2, 3, nonlinearity="x"),
        lambda: nn.RNNBase("X", 2, 3),
        lambda: nn.RNNCell(2, 3, nonlinearity="x")(library.ones(1, 2)),
        lambda: nn.LSTMCell(2, 3)(library.ones(1, 1, 2)),
        lambda: nn.GRUCell(2, 3)(library.ones(2), library.ones(1, 1, 3)),
    )


def weights(library, report):
    layer = library.nn.LSTM(2, 3, 2, bidirectional=True)
    layer.flatten_parameters()
    report([[tuple(w.shape) for w in group] for group in layer.all_weights])
    x = library.ones(1, 1, 2)
    layer.weight_ih_l0 = library.nn.Parameter(library.zeros(12, 2))
    report(layer(x)[0], [name for name, _ in layer.named_parameters()])
    layer.double()
    report(layer(x.double())[0])


@pytest.mark.parametrize("scenario", scenarios(globals()))
def test_same_as_pytorch(scenario):
    compare(scenario, fakel, torch)
