"""Recurrent layers: RNN, LSTM and GRU, one layer in one direction.

Each thread takes some rows of the batch through all steps, so that threads never wait for one
another, nor read what others have just written. A block of steps begins with the input's part of
its gates. Then each step multiplies the rows' hidden states with the recurrent weight, and
activates the sums.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fakel.compiler.kernels.copying.copies import copied
from fakel.compiler.kernels.products.tiles import Numbers, over_vectors, share_of
from fakel.compiler.kernels.recurrent.recurrence import (
    Block,
    Recurrence,
    Share,
    Step,
    Weight,
    Write,
    check_sizes,
    over_blocks,
    over_steps,
    pack_weight,
    recurrence,
    wrong_sizes,
    zero,
)
from fakel.compiler.loop_ir import math as functions
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import Buffer, Expression, Kernel, Variable, binary, select
from fakel.compiler.planning.lowering import lowers
from fakel.graph import Node

_INPUTS = (
    "input", "hidden", "cell", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "batch_sizes",
)  # fmt: skip


@dataclass(frozen=True)
class _Forward:
    """A kernel's parameters: the layer, steps of a block, the packed weights, the input's strides,
    and whether there are biases.
    """

    layer: Recurrence
    block: int
    recurrent: Weight
    entering: Weight
    projection: Weight | None
    data: tuple[int, ...]
    bias: bool
    entering_bias: bool


@lowers("recurrent_layer")
def _recurrent_layer(plan: Any, node: Node) -> bool:
    inputs = {
        name: None if source is None else plan.read(source)
        for name, source in zip(_INPUTS, node.inputs, strict=True)
    }
    layer = recurrence(node, inputs)
    biases = inputs["b_hh"], inputs["b_ih"]
    if layer is None or any(each is not None and each.strides[0] != 1 for each in biases):
        return False
    data, w_ih, w_hh, w_hr = (inputs[name] for name in ("input", "w_ih", "w_hh", "w_hr"))
    hidden, cell = inputs["hidden"], inputs["cell"]
    assert data is not None and w_ih is not None and w_hh is not None and hidden is not None
    output, last_hidden, *last_cell, saved = plan.results(node)
    recurrent, packed = pack_weight(plan, layer, w_hh, along_rows=True)
    entering, packed_entering = pack_weight(plan, layer, w_ih, along_rows=True)
    projection, packed_projection = None, None
    if w_hr is not None:
        projection, packed_projection = pack_weight(plan, layer, w_hr, along_rows=True)
    copied(plan, hidden, last_hidden)
    if cell is not None:
        copied(plan, cell, last_cell[0])
    sums = plan.scratch(layer.batch * layer.gates * layer.units, hidden.dtype)
    written = [sums, output, last_hidden, *last_cell, saved]
    if w_hr is not None:
        written.append(plan.scratch(layer.batch * layer.units, hidden.dtype))
    has_biases = (each is not None for each in biases)
    block = layer.block(layer.share_rows)
    forward = _Forward(layer, block, recurrent, entering, projection, data.strides, *has_biases)
    arguments = [packed, packed_entering, *biases, data, inputs["batch_sizes"], packed_projection]
    plan.call(
        _kernel(forward, target.current()),
        [each for each in (*arguments, *written) if each is not None],
        writes=written,
        parallel=layer.parallel,
        errors=wrong_sizes if layer.packed else None,
    )
    return True


@functools.lru_cache(maxsize=64)
def _kernel(forward: _Forward, processor: target.Target) -> Kernel:
    return _Layer(forward).kernel()


class _Layer:
    """Builds the kernel of all steps."""

    def __init__(self, forward: _Forward) -> None:
        self.forward, self.layer = forward, forward.layer
        self.lanes = target.lanes("f32")
        self.build = Builder("recurrent_layer")

        def buffer(name: str, present: bool = True, scalar: str = "f32") -> Any:
            return self.build.buffer(name, scalar) if present else None

        has_cell, projected = self.layer.mode == "lstm", forward.projection is not None
        self.weight, self.entering = buffer("weight"), buffer("entering")
        self.bias = buffer("bias", forward.bias)
        self.entering_bias = buffer("entering_bias", forward.entering_bias)
        self.data = buffer("data")
        self.sizes = buffer("sizes", self.layer.packed, "i64")
        self.projection = buffer("projection", projected)
        self.sums, self.output = buffer("sums"), buffer("output")
        # the states, which become the last ones
        self.hidden, self.cell = buffer("hidden"), buffer("cell", has_cell)
        self.saved = buffer("saved")
        self.unprojected = buffer("unprojected", projected)

    def kernel(self) -> Kernel:
        build, layer = self.build, self.layer
        if self.sizes is not None:
            check_sizes(build, layer, self.sizes)
        with (
            share_of(build, layer.batch) as share,
            over_blocks(build, layer, self.sizes, self.forward.block) as block,
        ):
            self._enter(block, share)
            with over_steps(build, layer, self.sizes, block, share) as step:
                self._step(step, share[0])
        return build.kernel

    def _enter(self, block: Block, share: Share) -> None:
        """The input's part of the gates of a block: it lies where the activated gates will, or the
        outputs.
        """
        build, layer = self.build, self.layer
        gates, width = self.saved, layer.saved_width
        if layer.gates == 1:
            gates, width = self.output, layer.units
        row_step, column_step = self.forward.data

        def all_steps(multiply: Any) -> None:
            with over_steps(build, layer, self.sizes, block, share) as step:
                left = Numbers(self.data, step.first * row_step, row_step, column_step)
                place = step.first * width
                multiply(left, (share[0], step.end), self._writing(gates, place, width, step.end))

        begin = self._begin(self.entering_bias)
        self.forward.entering.multiply(build, self.entering, begin, all_steps)

    def _step(self, step: Step, start: Expression) -> None:
        build, layer, lanes = self.build, self.layer, self.lanes
        rows, width = (start, step.end), layer.gates * layer.units
        hidden = Numbers(self.hidden, 0, layer.features, 1)
        write = self._writing(self.sums, 0, width, step.end)
        self.forward.recurrent.multiply(
            build,
            self.weight,
            self._begin(self.bias),
            lambda multiply: multiply(hidden, rows, write),
        )
        with build.loop(step.end, start, name="row") as row:
            line = build.let(step.first + row, "line")

            def keep(unit: Expression, active: int) -> None:
                before = build.load(self.hidden, row * layer.features + unit, lanes, active)
                place = line * layer.saved_width + layer.before + unit
                build.store(self.saved, place, before, active)

            def activate(unit: Expression, active: int) -> None:
                sums = [
                    build.load(self.sums, row * width + gate * layer.units + unit, lanes, active)
                    for gate in range(layer.gates)
                ]
                state = _ACTIVATIONS[layer.mode](self, sums, line, row, unit, active)
                if self.unprojected is None:
                    self._put_state(state, row, line, unit, active)
                else:
                    build.store(self.unprojected, row * layer.units + unit, state, active)

            over_vectors(build, layer.features, lanes, keep)
            over_vectors(build, layer.units, lanes, activate)
        if self.forward.projection is None:
            return

        def project(
            sums: list[list[Variable]], row: Expression, column: Expression, active: int
        ) -> None:
            for i, line in enumerate(sums):
                with build.when(binary("<", row + i, step.end)):
                    for j, total in enumerate(line):
                        unit, rest = column + j * lanes, min(active - j * lanes, lanes)
                        self._put_state(total, row + i, step.first + (row + i), unit, rest)

        inner = Numbers(self.unprojected, 0, layer.units, 1)
        self.forward.projection.multiply(
            build, self.projection, zero, lambda multiply: multiply(inner, rows, project)
        )

    def _begin(self, bias: Buffer | None) -> Callable[[Expression, int], Expression]:
        """Sums start from a bias."""
        if bias is None:
            return zero
        return lambda column, active: self.build.load(bias, column, self.lanes, active)

    def _writing(self, into: Buffer, first: Any, width: int, end: Expression) -> Write:
        """Writes the sums of rows up to an end, with so much from row to row."""
        build, lanes = self.build, self.lanes

        def write(
            sums: list[list[Variable]], row: Expression, column: Expression, active: int
        ) -> None:
            for i, line in enumerate(sums):
                with build.when(binary("<", row + i, end)):
                    place = build.let(first + (row + i) * width + column)
                    for j, total in enumerate(line):
                        rest = min(active - j * lanes, lanes)
                        build.store(into, place + j * lanes, total, rest)

        return write

    def _put_state(
        self, state: Expression, row: Expression, line: Expression, unit: Expression, active: int
    ) -> None:
        features = self.layer.features
        self.build.store(self.hidden, row * features + unit, state, active)
        self.build.store(self.output, line * features + unit, state, active)

    def _gate(self, line: Expression, gate: int, unit: Expression, active: int) -> Expression:
        """The input's part of a gate."""
        place = line * self.layer.saved_width + (gate * self.layer.units + unit)
        return self.build.load(self.saved, place, self.lanes, active)

    def _save(
        self, value: Expression, line: Expression, gate: int, unit: Expression, active: int
    ) -> None:
        place = line * self.layer.saved_width + (gate * self.layer.units + unit)
        self.build.store(self.saved, place, value, active)

    def _lstm(
        self,
        from_hidden: list[Expression],
        line: Expression,
        row: Expression,
        unit: Expression,
        active: int,
    ) -> Expression:
        build = self.build
        activated = []
        for gate, value in enumerate(from_hidden):
            total = build.let(value + self._gate(line, gate, unit, active))
            function = functions.tanh if gate == 2 else functions.sigmoid
            activated.append(build.let(function(total)))
        entering, kept, new, leaving = activated
        place = build.let(row * self.layer.units + unit)
        before = build.let(build.load(self.cell, place, self.lanes, active))
        now = build.let(kept * before + entering * new)
        build.store(self.cell, place, now, active)
        for gate, value in enumerate((*activated, before)):
            self._save(value, line, gate, unit, active)
        return build.let(leaving * functions.tanh(now))

    def _gru(
        self,
        from_hidden: list[Expression],
        line: Expression,
        row: Expression,
        unit: Expression,
        active: int,
    ) -> Expression:
        build = self.build
        reset, update = (
            build.let(functions.sigmoid(build.let(value + self._gate(line, i, unit, active))))
            for i, value in enumerate(from_hidden[:2])
        )
        hidden = build.let(from_hidden[2])
        total = build.let(reset * hidden + self._gate(line, 2, unit, active))
        new = build.let(functions.tanh(total))
        for gate, value in enumerate((reset, update, new, hidden)):
            self._save(value, line, gate, unit, active)
        place = line * self.layer.saved_width + (self.layer.before + unit)
        before = build.load(self.saved, place, self.lanes, active)
        return build.let((before - new) * update + new)

    def _rnn(
        self,
        from_hidden: list[Expression],
        line: Expression,
        row: Expression,
        unit: Expression,
        active: int,
    ) -> Expression:
        build = self.build
        place = line * self.layer.units + unit
        total = from_hidden[0] + build.load(self.output, place, self.lanes, active)
        total = build.let(total)
        if self.layer.mode == "rnn_tanh":
            return build.let(functions.tanh(total))
        return build.let(select(binary("<", total, 0.0), 0.0, total))


_ACTIVATIONS = {
    "lstm": _Layer._lstm,
    "gru": _Layer._gru,
    "rnn_tanh": _Layer._rnn,
    "rnn_relu": _Layer._rnn,
}
