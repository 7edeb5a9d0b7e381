"""Recurrent layers and cells. The recurrence itself is one operator (ops.lstm, ops.gru, ...)."""

import math
import numbers
import warnings

from fakel import ops
from fakel.nn import init
from fakel.nn.modules.module import Module
from fakel.nn.parameter import Parameter
from fakel.nn.utils.rnn import PackedSequence

__all__ = ["GRU", "LSTM", "RNN", "GRUCell", "LSTMCell", "RNNBase", "RNNCell", "RNNCellBase"]

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}
_ONLY_LSTM_PROJECTS = "proj_size argument is only supported for LSTM, not RNN or GRU"


class RNNBase(Module):
    """What RNN, LSTM and GRU have in common: layers of weights, and the shapes of states.

    Args:
        mode: ``"LSTM"``, ``"GRU"``, ``"RNN_TANH"`` or ``"RNN_RELU"``.
        input_size: length of an input.
        hidden_size: length of a hidden state.
        num_layers: the number of layers on top of each other.
        bias: whether there are biases.
        batch_first: whether sequences are (N, L, H) instead of (L, N, H).
        dropout: probability of dropping an output of any layer but the last.
        bidirectional: run a second set of layers backwards over the sequence.
        proj_size: project hidden states to this length (LSTM only).
    """

    def __init__(
        self,
        mode,
        input_size,
        hidden_size,
        num_layers=1,
        bias=True,
        batch_first=False,
        dropout=0.0,
        bidirectional=False,
        proj_size=0,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.mode = mode
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.num_layers = num_layers
        self.bias = bias
        self.batch_first = batch_first
        self.dropout = float(dropout)
        self.bidirectional = bidirectional
        self.proj_size = proj_size
        self._check_arguments(dropout)
        directions = 2 if bidirectional else 1
        output_size = proj_size or hidden_size
        gates = _GATES[mode] * hidden_size
        self._flat_weights_names = []
        self._all_weights = []
        for layer in range(num_layers):
            layer_input = input_size if layer == 0 else output_size * directions
            shapes = {"weight_ih": (gates, layer_input), "weight_hh": (gates, output_size)}
            if bias:
                shapes |= {"bias_ih": (gates,), "bias_hh": (gates,)}
            if proj_size > 0:
                shapes["weight_hr"] = (proj_size, hidden_size)
            for suffix in ("", "_reverse")[:directions]:
                names = []
                for prefix, shape in shapes.items():
                    names.append(f"{prefix}_l{layer}{suffix}")
                    weight = Parameter(ops.empty(shape, device=device, dtype=dtype))
                    setattr(self, names[-1], weight)
                self._flat_weights_names.extend(names)
                self._all_weights.append(names)
        self.reset_parameters()

    def _check_arguments(self, dropout):
        if (
            not isinstance(dropout, numbers.Number)
            or not 0 <= dropout <= 1
            or isinstance(dropout, bool)
        ):
            raise ValueError(
                "dropout should be a number in range [0, 1] "
                "representing the probability of an element being "
                "zeroed"
            )
        if dropout > 0 and self.num_layers == 1:
            warnings.warn(
                "dropout option adds dropout after all but last "
                "recurrent layer, so non-zero dropout expects "
                f"num_layers greater than 1, but got dropout={dropout} and "
                f"num_layers={self.num_layers}",
                stacklevel=4,
            )
        for name in ("bias", "batch_first"):
            _check_type(name, getattr(self, name), bool)
        for name in ("input_size", "hidden_size"):
            _check_type(name, getattr(self, name), int)
            if getattr(self, name) <= 0:
                raise ValueError(f"{name} must be greater than zero")
        if self.num_layers <= 0:
            raise ValueError("num_layers must be greater than zero")
        if self.proj_size < 0:
            raise ValueError(
                "proj_size should be a positive integer or zero to disable projections"
            )
        if self.proj_size >= self.hidden_size:
            raise ValueError("proj_size has to be smaller than hidden_size")
        if self.mode not in _GATES:
            raise ValueError("Unrecognized RNN mode: " + self.mode)

    @property
    def _flat_weights(self):
        return [getattr(self, name, None) for name in self._flat_weights_names]

    @property
    def all_weights(self):
        """The weights of each layer and direction, in lists."""
        return [[getattr(self, name) for name in names] for names in self._all_weights]

    def flatten_parameters(self):
        """Does nothing: on a CPU the weights need not lie next to each other."""

    def reset_parameters(self):
        """Draw all weights uniformly from ±1/√hidden_size."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def __getstate__(self):
        # PyTorch's layers keep the weights in a list as well, and expect it in a pickle.
        return {**super().__getstate__(), "_flat_weights": self._flat_weights}

    def __setstate__(self, state):
        super().__setstate__({k: v for k, v in state.items() if k != "_flat_weights"})
        self.__dict__.setdefault("proj_size", 0)

    def check_input(self, input, batch_sizes):
        """Raise if the input does not fit the layer."""
        weight = getattr(self, self._flat_weights_names[0])
        if input.dtype != weight.dtype:
            raise ValueError(
                f"RNN input dtype ({input.dtype}) does not match weight dtype ({weight.dtype}). "
                f"Convert input: input.to({weight.dtype}), or convert model: "
                f"model.to({input.dtype})"
            )
        expected = 2 if batch_sizes is not None else 3
        if input.dim() != expected:
            raise RuntimeError(f"input must have {expected} dimensions, got {input.dim()}")
        if self.input_size != input.size(-1):
            raise RuntimeError(
                "input.size(-1) must be equal to input_size. "
                f"Expected {self.input_size}, got {input.size(-1)}"
            )

    def _batch_length(self, input, batch_sizes):
        if batch_sizes is not None:
            return int(batch_sizes[0])
        return input.size(0) if self.batch_first else input.size(1)

    def _state_size(self, input, batch_sizes, length):
        count = self.num_layers * (2 if self.bidirectional else 1)
        return count, self._batch_length(input, batch_sizes), length

    def get_expected_hidden_size(self, input, batch_sizes):
        """The shape of the hidden state: (layers · directions, N, length)."""
        return self._state_size(input, batch_sizes, self.proj_size or self.hidden_size)

    def check_hidden_size(self, hx, expected_hidden_size, msg="Expected hidden size {}, got {}"):
        """Raise if a state does not have the expected shape."""
        if hx.size() != expected_hidden_size:
            raise RuntimeError(msg.format(expected_hidden_size, list(hx.size())))

    def check_forward_args(self, input, hidden, batch_sizes):
        """Raise if input or state do not fit the layer."""
        self.check_input(input, batch_sizes)
        self.check_hidden_size(hidden, self.get_expected_hidden_size(input, batch_sizes))

    def permute_hidden(self, hx, permutation):
        """Reorder the batch of a state."""
        return hx if permutation is None else hx.index_select(1, permutation)

    def forward(self, input, hx=None):
        """Run over a whole sequence.

        Args:
            input: (L, N, input_size), (N, L, input_size) with ``batch_first``,
                (L, input_size), or a PackedSequence.
            hx: the first state; zero by default.

        Returns:
            the outputs of the last layer, and the last state of every layer.
        """
        if isinstance(input, PackedSequence):
            return self._forward_packed(input, hx)
        name = self._get_name_of_kind()
        if input.dim() not in (2, 3):
            kind = "tensor " if name == "RNN" else ""
            raise ValueError(
                f"{name}: Expected input to be 2D or 3D, got {input.dim()}D {kind}instead"
            )
        batched = input.dim() == 3
        batch_dim = 0 if self.batch_first else 1
        if hx is not None:
            self._check_state_dimensions(hx, batched)
        if not batched:
            input = input.unsqueeze(batch_dim)
            hx = None if hx is None else self._map_state(lambda state: state.unsqueeze(1), hx)
        if hx is None:
            hx = self._zero_state(input, None)
        self.check_forward_args(input, hx, None)
        output, state = self._run(input, hx, None)
        if not batched:
            output = output.squeeze(batch_dim)
            state = self._map_state(lambda each: each.squeeze(1), state)
        return output, state

    def _forward_packed(self, sequence, hx):
        data, batch_sizes, sorted_indices, unsorted_indices = sequence
        if hx is None:
            hx = self._zero_state(data, batch_sizes)
        else:
            hx = self.permute_hidden(hx, sorted_indices)
        self.check_forward_args(data, hx, batch_sizes)
        output, state = self._run(data, hx, batch_sizes)
        packed = PackedSequence(output, batch_sizes, sorted_indices, unsorted_indices)
        return packed, self.permute_hidden(state, unsorted_indices)

    def _run(self, input, hx, batch_sizes):
        operator = getattr(ops, self.mode.lower())
        options = (
            self._flat_weights,
            self.bias,
            self.num_layers,
            self.dropout,
            self.training,
            self.bidirectional,
        )
        if batch_sizes is None:
            output, *state = operator(input, hx, *options, self.batch_first)
        else:
            output, *state = operator(input, batch_sizes, hx, *options)
        return output, self._state_of(state)

    def _get_name_of_kind(self):
        return self.mode.split("_")[0]

    # What is different for the two states of an LSTM:

    def _state_of(self, tensors):
        return tensors[0]

    def _map_state(self, function, state):
        return function(state)

    def _zero_state(self, input, batch_sizes):
        return _zeros_like_input(input, self.get_expected_hidden_size(input, batch_sizes))

    def _check_state_dimensions(self, hx, batched):
        if hx.dim() != (3 if batched else 2):
            kind = "batched 3-D" if batched else "unbatched 2-D"
            raise RuntimeError(
                f"For {kind} input, hx should also be {kind[-3:]} but got {hx.dim()}-D tensor"
            )

    def extra_repr(self):
        parts = [f"{self.input_size}, {self.hidden_size}"]
        defaults = {
            "proj_size": 0,
            "num_layers": 1,
            "bias": True,
            "batch_first": False,
            "dropout": 0,
            "bidirectional": False,
        }
        for name, default in defaults.items():
            value = getattr(self, name)
            if value != default:
                parts.append(f"{name}={value}")
        return ", ".join(parts)


def _check_type(name, value, kind):
    if not isinstance(value, kind):
        raise TypeError(f"{name} should be of type {kind.__name__}, got: {type(value).__name__}")


def _zeros_like_input(input, shape):
    return ops.zeros(*shape, dtype=input.dtype, device=input.device)


class RNN(RNNBase):
    """h_t = tanh(W_ih x_t + b_ih + W_hh h_(t-1) + b_hh), or with ReLU.

    Args: as of :class:`RNNBase`, and after ``num_layers``
        nonlinearity: ``"tanh"`` or ``"relu"``.
    """

    def __init__(self, *args, **kwargs):
        if "proj_size" in kwargs:
            raise ValueError(_ONLY_LSTM_PROJECTS)
        if len(args) > 3:
            nonlinearity = args[3]
            args = args[:3] + args[4:]
        else:
            nonlinearity = kwargs.pop("nonlinearity", "tanh")
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(
                f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'."
            )
        super().__init__(f"RNN_{nonlinearity.upper()}", *args, **kwargs)
        self.nonlinearity = nonlinearity


class LSTM(RNNBase):
    """Long short-term memory (Hochreiter and Schmidhuber 1997).

    i, f, o = sigmoid(W x_t + b + W' h_(t-1) + b') each, g = tanh(...) likewise,
    c_t = f c_(t-1) + i g, h_t = o tanh(c_t); with ``proj_size`` h_t is projected.

    Args: as of :class:`RNNBase`. The state is the pair (h, c).
    """

    def __init__(self, *args, **kwargs):
        super().__init__("LSTM", *args, **kwargs)

    def get_expected_cell_size(self, input, batch_sizes):
        """The shape of the cell state: (layers · directions, N, hidden_size)."""
        return self._state_size(input, batch_sizes, self.hidden_size)

    def check_forward_args(self, input, hidden, batch_sizes):
        self.check_input(input, batch_sizes)
        expected = (
            self.get_expected_hidden_size(input, batch_sizes),
            self.get_expected_cell_size(input, batch_sizes),
        )
        for position in range(2):
            message = f"Expected hidden[{position}] size {{}}, got {{}}"
            self.check_hidden_size(hidden[position], expected[position], message)

    def permute_hidden(self, hx, permutation):
        if permutation is None:
            return hx
        return hx[0].index_select(1, permutation), hx[1].index_select(1, permutation)

    def _state_of(self, tensors):
        return tuple(tensors)

    def _map_state(self, function, state):
        return function(state[0]), function(state[1])

    def _zero_state(self, input, batch_sizes):
        return (
            _zeros_like_input(input, self.get_expected_hidden_size(input, batch_sizes)),
            _zeros_like_input(input, self.get_expected_cell_size(input, batch_sizes)),
        )

    def _check_state_dimensions(self, hx, batched):
        wanted = 3 if batched else 2
        if hx[0].dim() != wanted or hx[1].dim() != wanted:
            kind = "batched 3-D" if batched else "unbatched 2-D"
            raise RuntimeError(
                f"For {kind} input, hx and cx should also be {kind[-3:]} but got "
                f"({hx[0].dim()}-D, {hx[1].dim()}-D) tensors"
            )


class GRU(RNNBase):
    """Gated recurrent units (Cho et al. 2014, arXiv:1406.1078).

    r, z = sigmoid(W x_t + b + W' h_(t-1) + b') each,
    n = tanh(W x_t + b + r (W' h_(t-1) + b')), h_t = (1 - z) n + z h_(t-1).

    Args: as of :class:`RNNBase`.
    """

    def __init__(self, *args, **kwargs):
        if "proj_size" in kwargs:
            raise ValueError(_ONLY_LSTM_PROJECTS)
        super().__init__("GRU", *args, **kwargs)


class RNNCellBase(Module):
    """What the cells, one step of a recurrent layer, have in common.

    Args:
        input_size: length of an input.
        hidden_size: length of a state.
        bias: whether there are biases.
        num_chunks: the number of gates.
    """

    def __init__(self, input_size, hidden_size, bias, num_chunks, device=None, dtype=None):
        super().__init__()
        self.input_size = input_size
        self.hidden_size = hidden_size
        self.bias = bias
        gates = num_chunks * hidden_size
        shapes = {"weight_ih": (gates, input_size), "weight_hh": (gates, hidden_size)}
        for name, shape in shapes.items():
            setattr(self, name, Parameter(ops.empty(shape, device=device, dtype=dtype)))
        for name in ("bias_ih", "bias_hh"):
            value = Parameter(ops.empty(gates, device=device, dtype=dtype)) if bias else None
            self.register_parameter(name, value)
        self.reset_parameters()

    def reset_parameters(self):
        """Draw all weights uniformly from ±1/√hidden_size."""
        bound = 1.0 / math.sqrt(self.hidden_size) if self.hidden_size > 0 else 0
        for weight in self.parameters():
            init.uniform_(weight, -bound, bound)

    def extra_repr(self):
        text = f"{self.input_size}, {self.hidden_size}"
        if self.bias is not True:
            text += f", bias={self.bias}"
        if getattr(self, "nonlinearity", "tanh") != "tanh":
            text += f", nonlinearity={self.nonlinearity}"
        return text

    def _check_dimensions(self, tensor, what):
        if tensor.dim() not in (1, 2):
            raise ValueError(
                f"{type(self).__name__}: Expected {what} to be 1D or 2D, "
                f"got {tensor.dim()}D instead"
            )

    def _weights(self):
        return self.weight_ih, self.weight_hh, self.bias_ih, self.bias_hh

    def forward(self, input, hx=None):
        """Compute the next state from an input (N, input_size) or (input_size)."""
        self._check_dimensions(input, "input")
        if hx is not None:
            self._check_dimensions(hx, "hidden")
        if hx is None:
            hx = _zeros_like_input(input, (*input.shape[:-1], self.hidden_size))
        if input.dim() == 2:
            return self._step(input, hx)
        return self._step(input.unsqueeze(0), hx.unsqueeze(0)).squeeze(0)


class RNNCell(RNNCellBase):
    """One step of an :class:`RNN`: h' = tanh(W_ih x + b_ih + W_hh h + b_hh), or with ReLU."""

    def __init__(
        self, input_size, hidden_size, bias=True, nonlinearity="tanh", device=None, dtype=None
    ):
        super().__init__(input_size, hidden_size, bias, 1, device=device, dtype=dtype)
        self.nonlinearity = nonlinearity

    def _step(self, input, hx):
        if self.nonlinearity == "tanh":
            return ops.rnn_tanh_cell(input, hx, *self._weights())
        if self.nonlinearity == "relu":
            return ops.rnn_relu_cell(input, hx, *self._weights())
        raise RuntimeError(f"Unknown nonlinearity: {self.nonlinearity}")


class LSTMCell(RNNCellBase):
    """One step of an :class:`LSTM`. The state is the pair (h, c)."""

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 4, device=device, dtype=dtype)

    def forward(self, input, hx=None):
        self._check_dimensions(input, "input")
        if hx is None:
            zeros = _zeros_like_input(input, (*input.shape[:-1], self.hidden_size))
            hx = (zeros, zeros)
        for position, state in enumerate(hx):
            self._check_dimensions(state, f"hx[{position}]")
        if input.dim() == 2:
            return ops.lstm_cell(input, hx, *self._weights())
        hx = (hx[0].unsqueeze(0), hx[1].unsqueeze(0))
        hidden, cell = ops.lstm_cell(input.unsqueeze(0), hx, *self._weights())
        return hidden.squeeze(0), cell.squeeze(0)


class GRUCell(RNNCellBase):
    """One step of a :class:`GRU`."""

    def __init__(self, input_size, hidden_size, bias=True, device=None, dtype=None):
        super().__init__(input_size, hidden_size, bias, 3, device=device, dtype=dtype)

    def _step(self, input, hx):
        return ops.gru_cell(input, hx, *self._weights())
