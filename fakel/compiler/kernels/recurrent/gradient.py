"""Gradients of recurrent layers.

Each thread takes some rows of the batch back through all steps: what arrives at a step's states
becomes gradients of its gates, whose product with the recurrent weight arrives at the step before.
The gradients of the weights and of the input are products over all steps at once.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fakel.compiler.kernels.products.lowerings import Epilogue, matmul
from fakel.compiler.kernels.products.tiles import Numbers, over_vectors, share_of
from fakel.compiler.kernels.recurrent.recurrence import (
    Recurrence,
    Weight,
    begin,
    check_sizes,
    over_steps,
    pack_weight,
    parts_of,
    recurrence,
    rows_of,
    wrong_sizes,
    zero,
)
from fakel.compiler.kernels.reductions.rows import SUM, Rows
from fakel.compiler.loop_ir import math as functions
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import Expression, Kernel, Variable, binary, call, select
from fakel.compiler.planning.lowering import Access, lowers
from fakel.graph import Node

_INPUTS = (
    "output_gradient", "hidden_gradient", "cell_gradient", "input", "hidden", "cell", "w_ih",
    "w_hh", "b_ih", "b_hh", "w_hr", "batch_sizes", "output", "saved",
)  # fmt: skip
# sums of biases over fewer elements stay on one thread
_PARALLEL_ELEMENTS = 32768


@dataclass(frozen=True)
class _Backward:
    """A kernel's parameters: the layer, its packed weights, and the strides of what arrives."""

    layer: Recurrence
    recurrent: Weight
    projection: Weight | None
    output_gradient: tuple[int, ...] | None


@lowers("recurrent_layer_gradient")
def _recurrent_layer_gradient(plan: Any, node: Node) -> bool:
    inputs = {
        name: None if source is None else plan.read(source)
        for name, source in zip(_INPUTS, node.inputs, strict=True)
    }
    layer = recurrence(node, inputs)
    if layer is None:
        return False
    data, w_ih, w_hh, w_hr = (inputs[name] for name in ("input", "w_ih", "w_hh", "w_hr"))
    cell, arriving = inputs["cell"], inputs["output_gradient"]
    output, saved = inputs["output"], inputs["saved"]
    assert data is not None and w_ih is not None and w_hh is not None and saved is not None
    if arriving is not None and arriving.strides[1] not in (0, 1):
        return False
    wanted = plan.outputs_of[id(node)]
    results = plan.results(node)
    kind, width = data.dtype, layer.gates * layer.units
    recurrent, packed = pack_weight(plan, layer, w_hh, 1, along_rows=False)
    projection, packed_projection = None, None
    begin(plan, inputs["hidden_gradient"], results[1])
    states = [results[1]]
    if cell is not None:
        begin(plan, inputs["cell_gradient"], results[2])
        states.append(results[2])
    parts = parts_of(layer)[::-1]
    rows = max(part.rows for _, part in parts)

    def scratch(columns: int) -> Access:
        made = plan.scratch(rows * columns, kind)
        return replace(made, shape=(rows, columns), strides=(columns, 1))

    of_gates = [scratch(width) for _ in range(2 if layer.mode == "gru" else 1)]
    projecting = []
    if w_hr is not None:
        projection, packed_projection = pack_weight(plan, layer, w_hr, 1, along_rows=False)
        projecting = [scratch(layer.features), scratch(layer.units)]
        projecting.append(plan.scratch(layer.batch * layer.units, kind))
    before = replace(
        saved,
        offset=saved.offset + layer.before,
        shape=(layer.rows, layer.features),
        strides=(layer.saved_width, 1),
    )
    for number, (first, part) in enumerate(parts):

        def own(access: Access, first: int = first, part: Recurrence = part) -> Access:
            return rows_of(access, first, part)

        written = [*states, *of_gates, *projecting]
        read = [packed, None if arriving is None else own(arriving), inputs["batch_sizes"]]
        read += [packed_projection, own(saved)]
        read += [own(output)] if output is not None and layer.gates == 1 else []
        backward = _Backward(
            part, recurrent, projection, None if arriving is None else arriving.strides
        )
        plan.call(
            _kernel(backward, target.current()),
            [each for each in (*read, *written) if each is not None],
            writes=written,
            parallel=layer.parallel,
            errors=wrong_sizes,
        )
        of_input, of_hidden = (rows_of(of_gates[i], 0, part) for i in (0, -1))
        if 0 in wanted:
            matmul(plan, of_input, w_ih, own(results[0]))
        products = [(3, of_input, own(data)), (4, of_hidden, own(before))]
        if w_hr is not None:
            arrived, unprojected = (rows_of(each, 0, part) for each in projecting[:2])
            products.append((7, arrived, unprojected))
        for i, left, right in products:
            if i in wanted:
                epilogue = Epilogue(accumulate=number > 0)
                matmul(plan, _turned(left), right, results[i], epilogue)
        biases = [(i, each) for i, each in ((5, of_input), (6, of_hidden)) if i in wanted]
        biases = [(i, each) for i, each in biases if results[i].count]
        for source in dict.fromkeys(each for _, each in biases):
            sums = [results[i] for i, each in biases if each == source]
            _sum_rows(plan, source, sums, number > 0)
    return True


def _turned(access: Access) -> Access:
    return replace(access, shape=access.shape[::-1], strides=access.strides[::-1])


def _sum_rows(plan: Any, source: Access, results: Sequence[Access], accumulate: bool) -> None:
    """The sum over all rows, as often as there are results; or adds it to them."""
    outputs = [(f"out{i}", each, (0, 1)) for i, each in enumerate(results)]
    rows = Rows("sum_rows", source.shape, (0,), [("x", source, source.strides), *outputs])

    def row() -> None:
        (total,) = rows.fold([(SUM, source.scalar)], lambda: [rows.at("x")])
        for name, _, _ in outputs:
            rows.put(name, total + rows.at(name) if accumulate else total)

    parallel = source.count >= _PARALLEL_ELEMENTS
    rows.run(row, parallel)
    plan.call(rows.kernel, rows.accesses, writes=results, parallel=parallel)


@functools.lru_cache(maxsize=64)
def _kernel(backward: _Backward, processor: target.Target) -> Kernel:
    return _Gradient(backward).kernel()


class _Gradient:
    """Builds the kernel of all steps."""

    def __init__(self, backward: _Backward) -> None:
        self.backward, self.layer = backward, backward.layer
        self.lanes = target.lanes("f32")
        self.build = Builder("recurrent_layer_gradient")

        def buffer(name: str, present: bool = True, scalar: str = "f32") -> Any:
            return self.build.buffer(name, scalar) if present else None

        projected, mode = backward.projection is not None, self.layer.mode
        self.weight = buffer("weight")
        self.output_gradient = buffer("output_gradient", backward.output_gradient is not None)
        self.sizes = buffer("sizes", self.layer.packed, "i64")
        self.projection = buffer("projection", projected)
        self.saved, self.output = buffer("saved"), buffer("output", self.layer.gates == 1)
        # the gradients of the states, which become those of the states before the first step
        self.pulled, self.cell_pulled = buffer("pulled"), buffer("cell_pulled", mode == "lstm")
        self.of_input = buffer("of_input")
        self.of_hidden = buffer("of_hidden", mode == "gru")
        self.arrived = buffer("arrived", projected)
        self.unprojected = buffer("unprojected", projected)
        self.inner = buffer("inner", projected)

    def kernel(self) -> Kernel:
        build, layer = self.build, self.layer
        if self.sizes is not None:
            check_sizes(build, layer, self.sizes)
        with share_of(build, layer.batch) as (start, stop):
            with over_steps(build, layer, self.sizes, backwards=True) as (_, first, count):
                end = build.let(call("min", stop, count), "end") if layer.packed else stop
                self._step(start, end, first)
        return build.kernel

    def _step(self, start: Expression, end: Expression, first: Expression) -> None:
        build, layer = self.build, self.layer
        if self.backward.projection is not None:
            self._unproject(start, end, first)
        with build.loop(end, start, name="row") as row:
            line = build.let(first + row, "line")

            def pull(unit: Expression, active: int) -> None:
                if self.inner is None:
                    value = self._arriving(row, line, unit, active)
                else:
                    value = build.load(self.inner, row * layer.units + unit, self.lanes, active)
                _PULLS[layer.mode](self, build.let(value), line, row, unit, active)

            over_vectors(build, layer.units, self.lanes, pull)

        def write(
            sums: list[list[Variable]], row: Expression, column: Expression, active: int
        ) -> None:
            self._write(self.pulled, sums, row, end, column, active, layer.mode == "gru")

        width = layer.gates * layer.units
        source = self.of_input if self.of_hidden is None else self.of_hidden
        left = Numbers(source, build.let(first * width), width, 1)
        self.backward.recurrent.multiply(build, left, self.weight, (start, end), zero, write)

    def _unproject(self, start: Expression, end: Expression, first: Expression) -> None:
        """Takes what arrives at the hidden state back to what was projected."""
        build, layer = self.build, self.layer
        assert self.backward.projection is not None
        with build.loop(end, start, name="row") as row:
            line = build.let(first + row, "line")

            def keep(unit: Expression, active: int) -> None:
                value = self._arriving(row, line, unit, active)
                build.store(self.arrived, line * layer.features + unit, value, active)

            over_vectors(build, layer.features, self.lanes, keep)

        def write(
            sums: list[list[Variable]], row: Expression, column: Expression, active: int
        ) -> None:
            self._write(self.inner, sums, row, end, column, active, False)

        left = Numbers(self.arrived, build.let(first * layer.features), layer.features, 1)
        share = start, end
        self.backward.projection.multiply(build, left, self.projection, share, zero, write)

    def _write(
        self,
        into: Any,
        sums: list[list[Variable]],
        row: Expression,
        end: Expression,
        column: Expression,
        active: int,
        accumulate: bool,
    ) -> None:
        build, lanes = self.build, self.lanes
        width = self.layer.units if into is self.inner else self.layer.features
        for i, line in enumerate(sums):
            with build.when(binary("<", row + i, end)):
                for j, total in enumerate(line):
                    place = build.let((row + i) * width + column + j * lanes)
                    rest = min(active - j * lanes, lanes)
                    value: Expression = total
                    if accumulate:
                        value = value + build.load(into, place, lanes, rest)
                    build.store(into, place, value, rest)

    def _arriving(
        self, row: Expression, line: Expression, unit: Expression, active: int
    ) -> Expression:
        """The gradient of the hidden state after a step: from later steps, and of the output."""
        build, strides = self.build, self.backward.output_gradient
        place = row * self.layer.features + unit
        value = build.load(self.pulled, place, self.lanes, active)
        if strides is None:
            return value
        place = line * strides[0] + unit * strides[1]
        if not strides[1]:
            return value + build.load(self.output_gradient, place)
        return value + build.load(self.output_gradient, place, self.lanes, active)

    # ---------------------------------------------------------------- gates

    def _saved(self, number: int, line: Expression, unit: Expression, active: int) -> Expression:
        place = line * self.layer.saved_width + (number * self.layer.units + unit)
        return self.build.let(self.build.load(self.saved, place, self.lanes, active))

    def _put(
        self,
        into: Any,
        values: Sequence[Expression],
        line: Expression,
        unit: Expression,
        active: int,
    ) -> None:
        """Writes the gradients of all gates of some units."""
        width = self.layer.gates * self.layer.units
        for gate, value in enumerate(values):
            place = line * width + (gate * self.layer.units + unit)
            self.build.store(into, place, value, active)

    def _lstm(
        self,
        pulled: Expression,
        line: Expression,
        row: Expression,
        unit: Expression,
        active: int,
    ) -> None:
        build = self.build
        entering, kept, new, leaving, before = (
            self._saved(i, line, unit, active) for i in range(5)
        )
        squashed = build.let(functions.tanh(build.let(kept * before + entering * new)))
        if self.unprojected is not None:
            place = line * self.layer.units + unit
            build.store(self.unprojected, place, leaving * squashed, active)
        place = build.let(row * self.layer.units + unit)
        cell = build.load(self.cell_pulled, place, self.lanes, active)
        cell = build.let(cell + pulled * leaving * (1.0 - squashed * squashed))
        values = [
            cell * new * entering * (1.0 - entering),
            cell * before * kept * (1.0 - kept),
            cell * entering * (1.0 - new * new),
            pulled * squashed * leaving * (1.0 - leaving),
        ]
        self._put(self.of_input, values, line, unit, active)
        build.store(self.cell_pulled, place, cell * kept, active)

    def _gru(
        self,
        pulled: Expression,
        line: Expression,
        row: Expression,
        unit: Expression,
        active: int,
    ) -> None:
        build = self.build
        reset, update, new, hidden, before = (self._saved(i, line, unit, active) for i in range(5))
        of_new = build.let(pulled * (1.0 - update) * (1.0 - new * new))
        of_update = build.let(pulled * (before - new) * update * (1.0 - update))
        of_reset = build.let(of_new * hidden * reset * (1.0 - reset))
        self._put(self.of_input, (of_reset, of_update, of_new), line, unit, active)
        self._put(self.of_hidden, (of_reset, of_update, of_new * reset), line, unit, active)
        build.store(self.pulled, row * self.layer.units + unit, pulled * update, active)

    def _rnn(
        self,
        pulled: Expression,
        line: Expression,
        row: Expression,
        unit: Expression,
        active: int,
    ) -> None:
        build = self.build
        place = line * self.layer.units + unit
        state = build.let(build.load(self.output, place, self.lanes, active))
        if self.layer.mode == "rnn_tanh":
            value = pulled * (1.0 - state * state)
        else:
            value = select(binary(">", state, 0.0), pulled, 0.0)
        self._put(self.of_input, (value,), line, unit, active)


_PULLS = {
    "lstm": _Gradient._lstm,
    "gru": _Gradient._gru,
    "rnn_tanh": _Gradient._rnn,
    "rnn_relu": _Gradient._rnn,
}
