"""Recurrent layers and cells, as torch exports them."""

from tests.support.case import case, floats

F = "nn.functional."
H = 3  # hidden size; inputs have 4 features
DOUBLE = {"tolerance": 5, "method": False}


def cell(name, gates, state):
    weights = [floats(gates * H, 4), floats(gates * H, H), floats(gates * H), floats(gates * H)]
    return [
        case(name, floats(2, 4), state, *weights, options=DOUBLE),
        case(name, floats(2, 4), state, *weights[:2], options=DOUBLE),
    ]


def layer(name, gates, state):
    """One layer with biases, batch second; two layers both ways, batch first."""
    once = [floats(gates * H, 4), floats(gates * H, H), floats(gates * H), floats(gates * H)]
    above = [floats(gates * H, 2 * H), floats(gates * H, H)]
    twice = [*once[:2], *once[:2], *above, *above]
    both = [floats(4, 2, H)] * len(state)
    first = [floats(1, 2, H)] * len(state)

    def given(states):
        return states if len(states) > 1 else states[0]

    return [
        case(
            name,
            floats(5, 2, 4),
            given(first),
            once,
            True,
            1,
            0.0,
            False,
            False,
            False,
            options=DOUBLE,
        ),
        case(
            name,
            floats(2, 5, 4),
            given(both),
            twice,
            False,
            2,
            0.0,
            False,
            True,
            True,
            options=DOUBLE,
        ),
    ]


CASES = [
    *cell("rnn_tanh_cell", 1, floats(2, H)),
    *cell("rnn_relu_cell", 1, floats(2, H)),
    *cell("gru_cell", 3, floats(2, H)),
    *cell("lstm_cell", 4, [floats(2, H), floats(2, H)]),
    *layer("rnn_tanh", 1, "h"),
    *layer("rnn_relu", 1, "h"),
    *layer("gru", 3, "h"),
    *layer("lstm", 4, "hc"),
]
