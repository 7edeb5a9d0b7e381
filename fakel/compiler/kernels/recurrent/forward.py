"""Recurrent layers: RNN, LSTM and GRU, one layer in one direction.

The input's part of the gates is one product for all steps. Then each thread takes some rows of the
batch through all steps, so that threads never wait for one another: a step multiplies the rows'
hidden states with the recurrent weight, and what a tile sums up is activated at once.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, replace
from typing import Any

from fakel.compiler.kernels.copying.copies import copied
from fakel.compiler.kernels.products.lowerings import Epilogue, matmul
from fakel.compiler.kernels.products.tiles import Numbers, over_vectors, share_of
from fakel.compiler.kernels.recurrent.recurrence import (
    Recurrence,
    Weight,
    check_sizes,
    over_steps,
    pack_weight,
    parts_of,
    recurrence,
    rows_of,
    wrong_sizes,
    zero,
)
from fakel.compiler.loop_ir import math as functions
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import Expression, Kernel, Variable, binary, call, select
from fakel.compiler.planning.lowering import lowers
from fakel.graph import Node
from fakel.tensor.size import contiguous_strides

_INPUTS = (
    "input", "hidden", "cell", "w_ih", "w_hh", "b_ih", "b_hh", "w_hr", "batch_sizes",
)  # fmt: skip


@dataclass(frozen=True)
class _Forward:
    """A kernel's parameters: the layer, its packed weights, and whether the recurrent weight has a
    bias.
    """

    layer: Recurrence
    recurrent: Weight
    projection: Weight | None
    bias: bool


@lowers("recurrent_layer")
def _recurrent_layer(plan: Any, node: Node) -> bool:
    inputs = {
        name: None if source is None else plan.read(source)
        for name, source in zip(_INPUTS, node.inputs, strict=True)
    }
    layer = recurrence(node, inputs)
    bias = inputs["b_hh"]
    if layer is None or (bias is not None and bias.strides[0] != 1):
        return False
    data, w_ih, w_hh, w_hr = (inputs[name] for name in ("input", "w_ih", "w_hh", "w_hr"))
    hidden, cell = inputs["hidden"], inputs["cell"]
    assert data is not None and w_ih is not None and w_hh is not None and hidden is not None
    output, last_hidden, *last_cell, saved = plan.results(node)
    # the input's part of the gates lies where the activated gates will, or the outputs
    width = layer.gates * layer.units
    gates = output if layer.gates == 1 else saved
    gates = replace(gates, shape=(layer.rows, width))
    turned = replace(plan.scratch(w_ih.count, w_ih.dtype), shape=w_ih.shape[::-1])
    turned = replace(turned, strides=contiguous_strides(turned.shape))
    copied(plan, replace(w_ih, shape=w_ih.shape[::-1], strides=w_ih.strides[::-1]), turned)
    added = tuple(each for each in (inputs["b_ih"],) if each is not None)
    recurrent, packed = pack_weight(plan, layer, w_hh, layer.gates, along_rows=True)
    projection, packed_projection = None, None
    if w_hr is not None:
        projection, packed_projection = pack_weight(plan, layer, w_hr, 1, along_rows=True)
    # rows that start or end at another step than the rest have the same state in both halves
    states = plan.scratch(2 * layer.batch * layer.features, hidden.dtype)
    halves = replace(states, shape=(2, *hidden.shape), strides=(hidden.count, layer.features, 1))
    copied(plan, hidden, halves)
    copied(plan, hidden, last_hidden)
    if cell is not None:
        copied(plan, cell, last_cell[0])
    unprojected = None if w_hr is None else plan.scratch(layer.batch * layer.units, hidden.dtype)
    for first, part in parts_of(layer):
        rows = rows_of(data, first, part)
        matmul(plan, rows, turned, rows_of(gates, first, part), Epilogue(added=added))
        written = [states, rows_of(output, first, part), last_hidden, *last_cell]
        written += [rows_of(saved, first, part)]
        written += [] if unprojected is None else [unprojected]
        arguments = [packed, bias, inputs["batch_sizes"], packed_projection, *written]
        plan.call(
            _kernel(_Forward(part, recurrent, projection, bias is not None), target.current()),
            [each for each in arguments if each is not None],
            writes=written,
            parallel=layer.parallel,
            errors=wrong_sizes,
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
        self.weight = buffer("weight")
        self.bias = buffer("bias", forward.bias)
        self.sizes = buffer("sizes", self.layer.packed, "i64")
        self.projection = buffer("projection", projected)
        self.states, self.output = buffer("states"), buffer("output")
        self.last_hidden, self.last_cell = buffer("last_hidden"), buffer("last_cell", has_cell)
        self.saved = buffer("saved")
        self.unprojected = buffer("unprojected", projected)
        weight = forward.recurrent
        self.sums = self.build.local("sums", "f32", weight.tile_rows * self._sums_width())

    def _sums_width(self) -> int:
        return self.forward.recurrent.parts * self.forward.recurrent.tile_width

    def kernel(self) -> Kernel:
        build, layer = self.build, self.layer
        if self.sizes is not None:
            check_sizes(build, layer, self.sizes)
        with share_of(build, layer.batch) as (start, stop):
            with over_steps(build, layer, self.sizes) as (number, first, count):
                end = build.let(call("min", stop, count), "end") if layer.packed else stop
                size = layer.batch * layer.features
                old = build.let(binary("&", number, 1) * size, "old")
                new = build.let(size - old, "new")
                self._keep(start, end, first, old)
                self._step(start, end, first, old, new)
        return build.kernel

    def _keep(self, start: Expression, end: Expression, first: Expression, old: Expression) -> None:
        """Saves the hidden states before the step."""
        build, layer, lanes = self.build, self.layer, self.lanes
        with build.loop(end, start, name="row") as row:
            source = build.let(old + row * layer.features)
            place = build.let((first + row) * layer.saved_width + layer.before)

            def copy(unit: Expression, active: int) -> None:
                value = build.load(self.states, source + unit, lanes, active)
                build.store(self.saved, place + unit, value, active)

            over_vectors(build, layer.features, lanes, copy)

    def _step(
        self,
        start: Expression,
        end: Expression,
        first: Expression,
        old: Expression,
        new: Expression,
    ) -> None:
        build, layer, lanes = self.build, self.layer, self.lanes

        def begin(part: int, column: Expression, active: int) -> Expression:
            if self.bias is None:
                return zero(part, column, active)
            return build.load(self.bias, column + part * layer.units, lanes, active)

        def write(
            sums: list[list[Variable]], row: Expression, column: Expression, active: int
        ) -> None:
            # the sums go through memory so that the code of the activations stays small
            for i, line in enumerate(sums):
                for j, total in enumerate(line):
                    build.store(self.sums, i * self._sums_width() + j * lanes, total)
            count = build.let(call("min", end - row, len(sums)), "count")
            with build.loop(count, name="i", unroll=False) as i:
                self._activate(i, row + i, first, new, column, active)

        left = Numbers(self.states, old, layer.features, 1)
        self.forward.recurrent.multiply(build, left, self.weight, (start, end), begin, write)
        if self.forward.projection is None:
            return

        def project(
            sums: list[list[Variable]], row: Expression, column: Expression, active: int
        ) -> None:
            for i, line in enumerate(sums):
                with build.when(binary("<", row + i, end)):
                    for j, total in enumerate(line):
                        rest = min(active - j * lanes, lanes)
                        self._put_state(total, row + i, first, new, column + j * lanes, rest)

        left = Numbers(self.unprojected, 0, layer.units, 1)
        self.forward.projection.multiply(build, left, self.projection, (start, end), zero, project)

    def _put_state(
        self,
        state: Expression,
        row: Expression,
        first: Expression,
        new: Expression,
        unit: Expression,
        active: int,
    ) -> None:
        build, features = self.build, self.layer.features
        build.store(self.states, new + row * features + unit, state, active)
        build.store(self.last_hidden, row * features + unit, state, active)
        build.store(self.output, (first + row) * features + unit, state, active)

    def _activate(
        self,
        i: Expression,
        row: Expression,
        first: Expression,
        new: Expression,
        column: Expression,
        active: int,
    ) -> None:
        """What a step makes of the sums of one row of a tile."""
        build, layer, lanes = self.build, self.layer, self.lanes
        vectors = -(-active // lanes)
        for vector in range(vectors):
            unit = build.let(column + vector * lanes, "unit")
            rest = min(active - vector * lanes, lanes)
            base = build.let(i * self._sums_width() + vector * lanes)
            from_hidden = [
                build.load(self.sums, base + gate * vectors * lanes, lanes)
                for gate in range(layer.gates)
            ]
            state = _ACTIVATIONS[layer.mode](self, from_hidden, first + row, row, unit, rest)
            if self.unprojected is None:
                self._put_state(state, row, first, new, unit, rest)
            else:
                build.store(self.unprojected, row * layer.units + unit, state, rest)

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
        before = build.let(build.load(self.last_cell, place, self.lanes, active))
        now = build.let(kept * before + entering * new)
        build.store(self.last_cell, place, now, active)
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
