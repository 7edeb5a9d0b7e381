"""Recurrent layers: each layer and direction is one node, with a gradient node of its own.

Sequences lie packed, as in `PackedSequence`: (all steps, features), where step t has as many rows
as sequences are longer than t, longest sequence first. A sequence that is not packed has all rows
at every step, so one meaning serves both.
"""

from __future__ import annotations

import numpy as np

from fakel import ops
from fakel.ops.declare import gradient, operator, primitive
from fakel.ops.dropout import dropout
from fakel.ops.pullback import pullback

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}


def _sigmoid(x):
    decay = np.exp(-np.abs(x))
    return np.where(x >= 0, np.ones((), x.dtype), decay) / (1 + decay)


def _step_slices(batch_sizes, rows, steps):
    """Where each step's rows lie."""
    if batch_sizes is None:
        size = rows // steps if steps else 0
        return [slice(t * size, (t + 1) * size) for t in range(steps)]
    ends = np.cumsum(batch_sizes)
    return [slice(int(e - n), int(e)) for e, n in zip(ends, batch_sizes, strict=True)]


def _order(slices, reverse):
    return list(reversed(slices)) if reverse else slices


def _length(place):
    return place.stop - place.start


def saved_width(mode, units, hidden):
    """How wide the rows of what a layer saves for its gradient are."""
    return {"lstm": 5, "gru": 4}.get(mode, 0) * units + hidden


# One step of each kind: from the input's and the hidden state's part of the gates


def _lstm_step(from_input, from_hidden, cell):
    """(input, forget, cell, output) gates, activated, and the next cell."""
    gates = from_input + from_hidden
    size = cell.shape[1]
    gates[:, : 2 * size] = _sigmoid(gates[:, : 2 * size])
    gates[:, 2 * size : 3 * size] = np.tanh(gates[:, 2 * size : 3 * size])
    gates[:, 3 * size :] = _sigmoid(gates[:, 3 * size :])
    entering, kept, new, _ = np.split(gates, 4, 1)
    return gates, kept * cell + entering * new


def _gru_step(from_input, from_hidden, hidden):
    """(reset, update, new) gates and the hidden part of the new one; and the next state."""
    size = hidden.shape[1]
    gates = np.empty((len(hidden), 4 * size), from_input.dtype)
    gates[:, : 2 * size] = _sigmoid(from_input[:, : 2 * size] + from_hidden[:, : 2 * size])
    reset, update = gates[:, :size], gates[:, size : 2 * size]
    gates[:, 3 * size :] = from_hidden[:, 2 * size :]
    new = np.tanh(from_input[:, 2 * size :] + reset * from_hidden[:, 2 * size :])
    gates[:, 2 * size : 3 * size] = new
    return gates, (hidden - new) * update + new


@primitive("recurrent_layer")
def _recurrent_layer(
    input, hidden, cell, w_ih, w_hh, b_ih, b_hh, w_hr, batch_sizes, *, mode, reverse, steps
):
    """Gives outputs, last hidden state, for "lstm" the last cell, and what the gradient needs, side
    by side: activated gates, for "lstm" the cell before the step, and the hidden state before it.
    """
    from_input = np.matmul(input, w_ih.T)
    if b_ih is not None:
        from_input += b_ih
    hidden, kind = hidden.copy(), input.dtype
    cell = None if cell is None else cell.copy()
    units = w_hh.shape[0] // GATES[mode]
    output = np.empty((len(input), hidden.shape[1]), kind)
    saved = np.empty((len(input), saved_width(mode, units, hidden.shape[1])), kind)
    for place in _order(_step_slices(batch_sizes, len(input), steps), reverse):
        count = _length(place)
        before = hidden[:count]
        from_hidden = np.matmul(before, w_hh.T)
        if b_hh is not None:
            from_hidden += b_hh
        if mode == "lstm":
            gates, now = _lstm_step(from_input[place], from_hidden, cell[:count])
            saved[place] = np.concatenate((gates, cell[:count], before), 1)
            cell[:count] = now
            state = gates[:, 3 * units :] * np.tanh(now)
            state = state if w_hr is None else np.matmul(state, w_hr.T)
        elif mode == "gru":
            gates, state = _gru_step(from_input[place], from_hidden, before)
            saved[place] = np.concatenate((gates, before), 1)
        else:
            saved[place] = before
            state = from_input[place] + from_hidden
            state = np.tanh(state) if mode == "rnn_tanh" else np.maximum(state, 0)
        hidden[:count] = output[place] = state
    return (output, hidden, saved) if cell is None else (output, hidden, cell, saved)


def _lstm_step_gradient(pulled, cell_pulled, gates, cell_before):
    """The gradients of the gates before activation and of the cell before."""
    entering, kept, new, leaving = np.split(gates, 4, 1)
    squashed = np.tanh(kept * cell_before + entering * new)
    cell_pulled = cell_pulled + pulled * leaving * (1 - squashed * squashed)
    parts = [
        cell_pulled * new * entering * (1 - entering),
        cell_pulled * cell_before * kept * (1 - kept),
        cell_pulled * entering * (1 - new * new),
        pulled * squashed * leaving * (1 - leaving),
    ]
    return np.concatenate(parts, 1), cell_pulled * kept


def _gru_step_gradient(pulled, gates, before):
    """The gradients of the input's and the hidden state's gates before activation, and of the state
    before through the update gate."""
    reset, update, new, from_hidden = np.split(gates, 4, 1)
    new_pulled = pulled * (1 - update) * (1 - new * new)
    update_pulled = pulled * (before - new) * update * (1 - update)
    reset_pulled = new_pulled * from_hidden * reset * (1 - reset)
    first = np.concatenate([reset_pulled, update_pulled, new_pulled], 1)
    second = np.concatenate([reset_pulled, update_pulled, new_pulled * reset], 1)
    return first, second, pulled * update


@primitive("recurrent_layer_gradient")
def _recurrent_layer_gradient(
    output_gradient, hidden_gradient, cell_gradient, input, hidden, cell, w_ih, w_hh, b_ih, b_hh,
    w_hr, batch_sizes, output, saved, *, mode, reverse, steps,
):  # fmt: skip
    """The gradients of input, hidden, cell, w_ih, w_hh, b_ih, b_hh and w_hr; empty where None."""
    order = _order(_step_slices(batch_sizes, len(input), steps), reverse)
    units = w_hh.shape[0] // GATES[mode]
    before = saved[:, saved.shape[1] - hidden.shape[1] :]
    cells = None if cell is None else saved[:, 4 * units : 5 * units]
    kind = input.dtype
    pulled = np.zeros(hidden.shape, kind) if hidden_gradient is None else hidden_gradient.copy()
    if cell is not None:
        no_gradient = cell_gradient is None
        cell_pulled = np.zeros(cell.shape, kind) if no_gradient else cell_gradient.copy()
    of_input = np.empty((len(input), GATES[mode] * units), kind)
    of_hidden = np.empty_like(of_input) if mode == "gru" else of_input
    w_hr_gradient = np.zeros((0,) if w_hr is None else w_hr.shape, kind)
    for place in reversed(order):
        count = _length(place)
        now = pulled[:count]
        if output_gradient is not None:
            now = now + output_gradient[place]
        gates, rest = saved[place, : 4 * units], 0
        if mode == "lstm":
            if w_hr is not None:
                entering, kept, new, leaving = np.split(gates, 4, 1)
                state = leaving * np.tanh(kept * cells[place] + entering * new)
                w_hr_gradient += now.T @ state
                now = now @ w_hr
            of_input[place], cell_pulled[:count] = _lstm_step_gradient(
                now, cell_pulled[:count], gates, cells[place]
            )
        elif mode == "gru":
            of_input[place], of_hidden[place], rest = _gru_step_gradient(now, gates, before[place])
        elif mode == "rnn_tanh":
            of_input[place] = now * (1 - output[place] * output[place])
        else:
            of_input[place] = np.where(output[place] > 0, now, 0)
        pulled[:count] = of_hidden[place] @ w_hh + rest
    nothing = np.zeros((0,), kind)
    return (
        of_input @ w_ih,
        pulled,
        nothing if cell is None else cell_pulled,
        of_input.T @ input,
        of_hidden.T @ before,
        nothing if b_ih is None else of_input.sum(0),
        nothing if b_hh is None else of_hidden.sum(0),
        w_hr_gradient,
    )


def _composite_layer(
    input, hidden, cell, w_ih, w_hh, b_ih, b_hh, w_hr, batch_sizes, mode, reverse, steps
):
    """The layer as small operators: outputs, last hidden state, and for "lstm" the last cell."""
    sizes = None if batch_sizes is None else batch_sizes._values()
    slices = _step_slices(sizes, input.shape[0], steps)
    outputs = {}
    for place in _order(slices, reverse):
        count = _length(place)
        from_input = input[place].matmul(w_ih.t())
        from_hidden = hidden[:count].matmul(w_hh.t())
        from_input = from_input if b_ih is None else from_input + b_ih
        from_hidden = from_hidden if b_hh is None else from_hidden + b_hh
        if mode == "lstm":
            entering, kept, new, leaving = (from_input + from_hidden).chunk(4, 1)
            now = kept.sigmoid() * cell[:count] + entering.sigmoid() * new.tanh()
            cell = ops.cat([now, cell[count:]])
            state = leaving.sigmoid() * now.tanh()
            state = state if w_hr is None else state.matmul(w_hr.t())
        elif mode == "gru":
            parts = zip(from_input.chunk(3, 1), from_hidden.chunk(3, 1), strict=True)
            (r_x, r_h), (z_x, z_h), (n_x, n_h) = parts
            new = (n_x + (r_x + r_h).sigmoid() * n_h).tanh()
            state = (hidden[:count] - new) * (z_x + z_h).sigmoid() + new
        else:
            state = from_input + from_hidden
            state = state.tanh() if mode == "rnn_tanh" else state.relu()
        hidden = ops.cat([state, hidden[count:]])
        outputs[place.start] = state
    output = ops.cat([outputs[place.start] for place in slices])
    return (output, hidden) if cell is None else (output, hidden, cell)


def _pull_layer(
    grads, input, hidden, cell, w_ih, w_hh, b_ih, b_hh, w_hr, batch_sizes, results, mode, reverse,
    steps,
):  # fmt: skip
    cell_gradient = None if cell is None else grads[2]
    tensors = (input, hidden, cell, w_ih, w_hh, b_ih, b_hh, w_hr)
    return _recurrent_layer_gradient(
        grads[0], grads[1], cell_gradient, *tensors, batch_sizes, results[0],
        results[-1], mode=mode, reverse=reverse, steps=steps,
        shape=tuple((0,) if t is None else tuple(t.shape) for t in tensors),
        dtype=(input.dtype,) * len(tensors),
    )  # fmt: skip


def _pull_layer_gradient(
    grads, output_gradient, hidden_gradient, cell_gradient, input, hidden, cell, w_ih, w_hh, b_ih,
    b_hh, w_hr, batch_sizes, mode, reverse, steps,
):  # fmt: skip
    def first(output_gradient, hidden_gradient, cell_gradient, *tensors):
        incoming = (output_gradient, hidden_gradient, cell_gradient)
        return pullback(
            lambda *tensors: _composite_layer(*tensors, batch_sizes, mode, reverse, steps),
            tensors,
            incoming if tensors[2] is not None else incoming[:2],
        )

    inputs = (
        output_gradient, hidden_gradient, cell_gradient, input, hidden, cell, w_ih, w_hh, b_ih,
        b_hh, w_hr,
    )  # fmt: skip
    return (*pullback(first, inputs, grads), None, None, None)


gradient(_recurrent_layer, joint=_pull_layer)
gradient(_recurrent_layer_gradient, joint=_pull_layer_gradient)


def _run_layer(mode, input, state, weights, batch_sizes, reverse, steps):
    """One layer in one direction: outputs and last states."""
    hidden, cell = state if mode == "lstm" else (state[0], None)
    w_ih, w_hh, b_ih, b_hh, w_hr = weights
    rows, units = input.shape[0], w_hh.shape[0] // GATES[mode]
    states = [tuple(tensor.shape) for tensor in state]
    saved = rows, saved_width(mode, units, hidden.shape[1])
    shapes = ((rows, hidden.shape[1]), *states, saved)
    results = _recurrent_layer(
        input, hidden, cell, w_ih, w_hh, b_ih, b_hh, w_hr, batch_sizes, mode=mode,
        reverse=reverse, steps=steps, shape=shapes, dtype=(input.dtype,) * len(shapes),
    )  # fmt: skip
    return results[0], results[1 : 1 + len(state)]


def _grouped_weights(params, has_biases, count, mode):
    """The weights of each layer and direction: w_ih, w_hh, b_ih, b_hh, w_hr, or None."""
    size, rest = divmod(len(params), count)
    expected = (4, 5) if has_biases else (2, 3)
    if rest or size not in expected or (size == expected[1] and mode != "lstm"):
        raise RuntimeError(f"{mode}: got an incorrect number of RNN parameters")
    groups = []
    for start in range(0, len(params), size):
        group = list(params[start : start + size])
        w_hr = group.pop() if size == expected[1] else None
        groups.append((*group, *(() if has_biases else (None, None)), w_hr))
    return groups


def _run_layers(
    mode, input, batch_sizes, states, params, has_biases, num_layers, p, train, bidirectional, steps
):
    directions = 2 if bidirectional else 1
    groups = _grouped_weights(params, has_biases, num_layers * directions, mode)
    final = []
    for layer in range(num_layers):
        outputs = []
        for direction in range(directions):
            number = layer * directions + direction
            state = [tensor[number] for tensor in states]
            output, last = _run_layer(
                mode, input, state, groups[number], batch_sizes, direction == 1, steps
            )
            outputs.append(output)
            final.append(last)
        input = ops.cat(outputs, 1) if bidirectional else outputs[0]
        if p > 0 and train and layer < num_layers - 1:
            input = dropout(input, p)
    return input, tuple(ops.stack(tensors) for tensors in zip(*final, strict=True))


def _declare_layers(mode):
    def layers(*arguments):
        states_first = arguments[2] if len(arguments) == 9 and _is_packed(arguments) else None
        if states_first is not None:
            data, batch_sizes, hx, *options = arguments
            states = tuple(hx) if mode == "lstm" else (hx,)
            steps = batch_sizes.shape[0]
            output, final = _run_layers(mode, data, batch_sizes, states, *options, steps)
            return (output, *final)
        input, hx, *options, batch_first = arguments
        states = tuple(hx) if mode == "lstm" else (hx,)
        input = input.transpose(0, 1) if batch_first else input
        steps, batch = input.shape[:2]
        flat = input.reshape(steps * batch, input.shape[2])
        output, final = _run_layers(mode, flat, None, states, *options, steps)
        output = output.reshape(steps, batch, output.shape[1])
        return (output.transpose(0, 1) if batch_first else output, *final)

    layers.__name__ = layers.__qualname__ = mode
    layers.__doc__ = f"""All layers of `{mode}`, over a whole sequence.

    `(input, hx, params, has_biases, num_layers, dropout, train, bidirectional, batch_first)`, or
    for packed sequences `(data, batch_sizes, hx, params, has_biases, num_layers, dropout, train,
    bidirectional)`. Gives the outputs of the last layer and the last states of all.
    """
    return operator(method=False, out=False)(layers)


def _is_packed(arguments):
    """Whether the third argument is the state, and not the list of weights."""
    third = arguments[2]
    fourth = arguments[3]
    return isinstance(fourth, list | tuple) and not isinstance(third, bool)


rnn_tanh = _declare_layers("rnn_tanh")
rnn_relu = _declare_layers("rnn_relu")
lstm = _declare_layers("lstm")
gru = _declare_layers("gru")


def _check_cell(input, state, w_ih, w_hh):
    """Refuses an input (batch, features) and states (batch, hidden) that do not fit the weights."""
    if input.shape[1] != w_ih.shape[1]:
        raise RuntimeError(
            f"input has inconsistent input_size: got {input.shape[1]} expected {w_ih.shape[1]}"
        )
    for number, hidden in enumerate(state):
        if hidden.shape[0] != input.shape[0]:
            raise RuntimeError(
                f"Input batch size {input.shape[0]} doesn't match hidden{number} batch size "
                f"{hidden.shape[0]}"
            )
        if hidden.shape[1] != w_hh.shape[1]:
            raise RuntimeError(
                f"hidden{number} has inconsistent hidden_size: got {hidden.shape[1]}, expected "
                f"{w_hh.shape[1]}"
            )


def _cell(mode, input, state, w_ih, w_hh, b_ih, b_hh):
    batched = input.ndim == 2
    if not batched:
        input, state = input.unsqueeze(0), [tensor.unsqueeze(0) for tensor in state]
    _check_cell(input, state, w_ih, w_hh)
    _, last = _run_layer(mode, input, list(state), (w_ih, w_hh, b_ih, b_hh, None), None, False, 1)
    return last if batched else tuple(tensor.squeeze(0) for tensor in last)


@operator(method=False, out=False)
def rnn_tanh_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """`tanh(w_ih · x + b_ih + w_hh · h + b_hh)`."""
    return _cell("rnn_tanh", input, [hx], w_ih, w_hh, b_ih, b_hh)[0]


@operator(method=False, out=False)
def rnn_relu_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """`max(0, w_ih · x + b_ih + w_hh · h + b_hh)`."""
    return _cell("rnn_relu", input, [hx], w_ih, w_hh, b_ih, b_hh)[0]


@operator(method=False, out=False)
def lstm_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of a long short-term memory: the next hidden state and cell."""
    return tuple(_cell("lstm", input, list(hx), w_ih, w_hh, b_ih, b_hh))


@operator(method=False, out=False)
def gru_cell(input, hx, w_ih, w_hh, b_ih=None, b_hh=None):
    """One step of a gated recurrent unit (Cho et al., arXiv:1406.1078)."""
    return _cell("gru", input, [hx], w_ih, w_hh, b_ih, b_hh)[0]
