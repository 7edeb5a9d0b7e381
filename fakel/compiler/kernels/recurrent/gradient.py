"""Gradients of recurrent layers.

The batch is cut into groups of rows, which threads share; a group goes back through all steps on
its own. What arrives at a step's states becomes gradients of its gates, whose product with the
recurrent weight arrives at the step before. After each block of steps, when all that it needs is
still in the cache, products of its gradients are the input's gradient and are added to the group's
part of the weights' gradients; at the end the parts of all groups are added up.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from fakel.compiler.kernels.products.tiles import (
    Numbers,
    Vectors,
    over_vectors,
    product,
    share_of,
    tile_shape,
)
from fakel.compiler.kernels.recurrent.recurrence import (
    Block,
    Recurrence,
    Share,
    Step,
    Weight,
    begin,
    check_sizes,
    over_blocks,
    over_steps,
    pack_weight,
    recurrence,
    wrong_sizes,
    zero,
)
from fakel.compiler.kernels.reductions.rows import SUM, Rows
from fakel.compiler.loop_ir import math as functions
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    INDEX,
    Buffer,
    Expression,
    Kernel,
    Variable,
    binary,
    call,
    select,
)
from fakel.compiler.planning.lowering import Access, lowers
from fakel.graph import Node

_INPUTS = (
    "output_gradient", "hidden_gradient", "cell_gradient", "input", "hidden", "cell", "w_ih",
    "w_hh", "b_ih", "b_hh", "w_hr", "batch_sizes", "output", "saved",
)  # fmt: skip
# sums of biases over fewer elements stay on one thread
_PARALLEL_ELEMENTS = 32768


@dataclass(frozen=True)
class _Sum:
    """A gradient that is a sum over all rows: of the products of gates (or of what arrived at a
    projection) with what they met, or of gates alone.

    ``result`` is its number among the node's results, ``left`` what is summed up, with ``height``
    columns, ``right`` what it is multiplied with, with ``width`` columns.
    """

    result: int
    left: str
    height: int
    right: str | None = None
    width: int = 1

    @property
    def count(self) -> int:
        """Elements."""
        return self.height * self.width


@dataclass(frozen=True)
class _Backward:
    """A kernel's parameters: the layer, its packed weights (that of the input where its gradient is
    wanted), the strides of what arrives and of the input, the input's width, and which sums are
    wanted.
    """

    layer: Recurrence
    recurrent: Weight
    entering: Weight | None
    projection: Weight | None
    output_gradient: tuple[int, ...] | None
    data: tuple[int, ...]
    inputs: int
    sums: tuple[_Sum, ...]

    @property
    def block(self) -> int:
        """Steps of a block."""
        return self.layer.block(self.layer.group_rows)

    @property
    def kept(self) -> dict[str, int]:
        """What a group notes about each row of a block, and how many numbers."""
        layer = self.layer
        width = layer.gates * layer.units
        found = {"of_input": width}
        if layer.mode == "gru":
            found["of_hidden"] = width
        if self.projection is not None:
            found |= {"arrived": layer.features, "unprojected": layer.units}
        rights = [each.right for each in self.sums]
        for name, columns in (("data", self.inputs), ("before", layer.features)):
            if name in rights:
                found[name] = columns
        return found


@dataclass(frozen=True)
class _Row:
    """A row of a step: its index in the batch, among those of all steps, and among those of its
    group in the block.
    """

    row: Expression
    line: Expression
    slot: Expression


def _spaced(columns: int) -> int:
    """The distance of rows so long, whole vectors of which do not fall on the same lines of the
    cache.
    """
    lanes = target.lanes("f32")
    return (-(-columns // lanes) | 1) * lanes


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
    if data.strides[1] != 1:
        return False
    wanted = plan.outputs_of[id(node)]
    results = plan.results(node)
    kind = data.dtype
    recurrent, packed = pack_weight(plan, layer, w_hh, along_rows=False)
    entering, packed_entering, projection, packed_projection = None, None, None, None
    if 0 in wanted and data.count:
        entering, packed_entering = pack_weight(plan, layer, w_ih, along_rows=False)
    if w_hr is not None:
        projection, packed_projection = pack_weight(plan, layer, w_hr, along_rows=False)
    begin(plan, inputs["hidden_gradient"], results[1])
    states = [results[1]]
    if cell is not None:
        begin(plan, inputs["cell_gradient"], results[2])
        states.append(results[2])
    sums = [each for each in _sums(layer, data.shape[1]) if each.result in wanted and each.count]
    backward = _Backward(
        layer,
        recurrent,
        entering,
        projection,
        None if arriving is None else arriving.strides,
        data.strides,
        data.shape[1],
        # biases of the input and of the hidden state mostly have the same gradient
        tuple({(each.left, each.right): each for each in sums}.values()),
    )
    capacity = layer.groups * backward.block * layer.group_rows
    written = [*states, *([results[0]] if entering is not None else [])]
    written += [
        plan.scratch(capacity * _spaced(columns), kind) for columns in backward.kept.values()
    ]
    written += [] if w_hr is None else [plan.scratch(layer.batch * layer.units, kind)]
    totals = {
        (each.left, each.right): plan.scratch(layer.groups * each.count, kind)
        for each in backward.sums
    }
    written += totals.values()
    read = [packed, packed_entering, packed_projection, arriving, inputs["batch_sizes"], saved]
    read += [output if layer.gates == 1 else None, data]
    plan.call(
        _kernel(backward, target.current()),
        [each for each in (*read, *written) if each is not None],
        writes=written,
        parallel=layer.parallel,
        errors=wrong_sizes if layer.packed else None,
        fine=True,
    )
    for each in backward.sums:
        alike = [
            results[other.result]
            for other in sums
            if (other.left, other.right) == (each.left, each.right)
        ]
        _add_groups(plan, totals[each.left, each.right], (layer.groups, each.count), alike)
    return True


def _sums(layer: Recurrence, inputs: int) -> list[_Sum]:
    """All gradients that are sums over rows."""
    width, features = layer.gates * layer.units, layer.features
    of_hidden = "of_hidden" if layer.mode == "gru" else "of_input"
    return [
        _Sum(3, "of_input", width, "data", inputs),
        _Sum(4, of_hidden, width, "before", features),
        _Sum(5, "of_input", width),
        _Sum(6, of_hidden, width),
        *([_Sum(7, "arrived", features, "unprojected", layer.units)] if layer.projected else []),
    ]


def _add_groups(
    plan: Any, source: Access, shape: tuple[int, int], results: Sequence[Access]
) -> None:
    """The sum over all groups, as often as there are results."""
    outputs = [(f"out{i}", each, (0, 1)) for i, each in enumerate(results)]
    rows = Rows("add_groups", shape, (0,), [("x", source, (shape[1], 1)), *outputs])

    def row() -> None:
        (total,) = rows.fold([(SUM, source.scalar)], lambda: [rows.at("x")])
        for name, _, _ in outputs:
            rows.put(name, total)

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
        self.entering = buffer("entering", backward.entering is not None)
        self.projection = buffer("projection", projected)
        self.output_gradient = buffer("output_gradient", backward.output_gradient is not None)
        self.sizes = buffer("sizes", self.layer.packed, "i64")
        self.saved, self.output = buffer("saved"), buffer("output", self.layer.gates == 1)
        self.data = buffer("data")
        # the gradients of the states, which become those of the states before the first step
        self.pulled, self.cell_pulled = buffer("pulled"), buffer("cell_pulled", mode == "lstm")
        self.data_gradient = buffer("data_gradient", backward.entering is not None)
        self.kept = {name: buffer(name) for name in backward.kept}
        self.inner = buffer("inner", projected)
        self.totals = [buffer("total") for _ in backward.sums]

    def kernel(self) -> Kernel:
        build, layer = self.build, self.layer
        if self.sizes is not None:
            check_sizes(build, layer, self.sizes)
        with share_of(build, layer.groups) as (first, stop):
            # a thread uses the memory of its first group
            self.memory = build.let(first * (self.backward.block * layer.group_rows), "memory")
            with build.loop(stop, first, name="group") as group:
                self._group(group)
        return build.kernel

    def _group(self, group: Expression) -> None:
        build, layer = self.build, self.layer
        share = (
            build.let(group * layer.batch // layer.groups, "start"),
            build.let((group + 1) * layer.batch // layer.groups, "stop"),
        )
        places = [build.let(group * each.count, "total") for each in self.backward.sums]
        for each, buffer, place in zip(self.backward.sums, self.totals, places, strict=True):
            self._clear(buffer, place, each.count)
        with over_blocks(build, layer, self.sizes, self.backward.block, backwards=True) as block:
            rows = build.accumulator(0, INDEX, "rows")
            with over_steps(build, layer, self.sizes, block, share, backwards=True) as step:
                self._step(step, share[0])
                build.assign(rows, step.slot + call("max", step.end - share[0], 0))
            if self.backward.entering is not None:
                self._enter(block, share)
            for each, buffer, place in zip(self.backward.sums, self.totals, places, strict=True):
                if each.right is None:
                    self._add_rows(each, buffer, place, rows)
                else:
                    self._add_products(each, buffer, place, rows)

    # ---------------------------------------------------------------- what a group keeps

    def _at(self, name: str, slot: Expression | int) -> Expression:
        """Where what is kept of a row of the block begins."""
        return (self.memory + slot) * _spaced(self.backward.kept[name])

    def _keep(
        self,
        name: str,
        slot: Expression,
        column: Expression,
        value: Expression,
        active: int | None = None,
    ) -> None:
        """Keeps a vector, or its active lanes. What products read in vectors has whole ones."""
        self.build.store(self.kept[name], self._at(name, slot) + column, value, active)

    def _rows(self, name: str, step: Step, start: Expression) -> Numbers:
        """What is kept of a step's rows, by their indices in the batch."""
        spaced = _spaced(self.backward.kept[name])
        origin = self.build.let(self._at(name, step.slot - start), "origin")
        return Numbers(self.kept[name], origin, spaced, 1)

    # ---------------------------------------------------------------- steps

    def _step(self, step: Step, start: Expression) -> None:
        build, layer, lanes = self.build, self.layer, self.lanes
        if self.backward.projection is not None:
            self._unproject(step, start)
        with build.loop(step.end, start, name="row") as row:
            line = build.let(step.first + row, "line")
            slot = build.let(step.slot + (row - start), "slot")

            def pull(unit: Expression, active: int) -> None:
                if self.inner is None:
                    value = self._arriving(row, line, unit, active)
                else:
                    value = build.load(self.inner, row * layer.units + unit, lanes, active)
                _PULLS[layer.mode](self, build.let(value), _Row(row, line, slot), unit, active)

            over_vectors(build, layer.units, lanes, pull)

            def keep_data(unit: Expression, active: int) -> None:
                value = build.load(self.data, line * self.backward.data[0] + unit, lanes, active)
                self._keep("data", slot, unit, value)

            def keep_before(unit: Expression, active: int) -> None:
                place = line * layer.saved_width + layer.before + unit
                self._keep("before", slot, unit, build.load(self.saved, place, lanes, active))

            if "data" in self.kept:
                over_vectors(build, self.backward.inputs, lanes, keep_data)
            if "before" in self.kept:
                over_vectors(build, layer.features, lanes, keep_before)

        def write(
            sums: list[list[Variable]], row: Expression, column: Expression, active: int
        ) -> None:
            place = row * layer.features + column
            self._write(
                (self.pulled, place, layer.features),
                sums,
                step.end - row,
                active,
                layer.mode == "gru",
            )

        left = self._rows("of_hidden" if layer.mode == "gru" else "of_input", step, start)
        self.backward.recurrent.multiply(
            build, self.weight, zero, lambda multiply: multiply(left, (start, step.end), write)
        )

    def _unproject(self, step: Step, start: Expression) -> None:
        """Takes what arrives at the hidden state back to what was projected."""
        build, layer = self.build, self.layer
        assert self.backward.projection is not None
        with build.loop(step.end, start, name="row") as row:
            line = build.let(step.first + row, "line")
            slot = build.let(step.slot + (row - start), "slot")

            def keep(unit: Expression, active: int) -> None:
                self._keep("arrived", slot, unit, self._arriving(row, line, unit, active))

            over_vectors(build, layer.features, self.lanes, keep)

        def write(
            sums: list[list[Variable]], row: Expression, column: Expression, active: int
        ) -> None:
            place = row * layer.units + column
            self._write((self.inner, place, layer.units), sums, step.end - row, active)

        left, rows = self._rows("arrived", step, start), (start, step.end)
        self.backward.projection.multiply(
            build, self.projection, zero, lambda multiply: multiply(left, rows, write)
        )

    def _write(
        self,
        into: tuple[Any, Expression, int],
        sums: list[list[Variable]],
        rows: Expression,
        active: int,
        accumulate: bool = False,
    ) -> None:
        """Writes a tile's sums, or adds them: into a buffer, from a place on, with so much from row
        to row, of which there may be fewer than the tile has.
        """
        build, lanes = self.build, self.lanes
        buffer, first, width = into
        for i, line in enumerate(sums):
            with build.when(binary("<", i, rows)):
                for j, total in enumerate(line):
                    place = build.let(first + (i * width + j * lanes))
                    rest = min(active - j * lanes, lanes)
                    value: Expression = total
                    if accumulate:
                        value = value + build.load(buffer, place, lanes, rest)
                    build.store(buffer, place, value, rest)

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

    # ---------------------------------------------------------------- blocks

    def _enter(self, block: Block, share: Share) -> None:
        """The gradient of a block's input."""
        build, layer, inputs = self.build, self.layer, self.backward.inputs
        assert self.backward.entering is not None

        def all_steps(multiply: Any) -> None:
            with over_steps(build, layer, self.sizes, block, share, backwards=True) as step:

                def write(
                    sums: list[list[Variable]], row: Expression, column: Expression, active: int
                ) -> None:
                    place = (step.first + row) * inputs + column
                    self._write((self.data_gradient, place, inputs), sums, step.end - row, active)

                multiply(self._rows("of_input", step, share[0]), (share[0], step.end), write)

        self.backward.entering.multiply(build, self.entering, zero, all_steps)

    def _add_products(self, sum: _Sum, total: Buffer, place: Variable, rows: Variable) -> None:
        """Adds the products of what is kept of a block to a group's part of a weight's gradient."""
        build, lanes = self.build, self.lanes
        assert sum.right is not None
        tile_rows, vectors = tile_shape(sum.height, -(-sum.width // lanes), "f32")
        left_step, right_step = (
            _spaced(self.backward.kept[name]) for name in (sum.left, sum.right)
        )
        left = Numbers(self.kept[sum.left], build.let(self._at(sum.left, 0)), 1, left_step)
        origin = build.let(self._at(sum.right, 0))

        def strip(column: Expression, active: int) -> None:
            offsets = range(0, active, lanes)
            starts = [build.let(origin + column + offset) for offset in offsets]
            right = Vectors(self.kept[sum.right], starts, right_step, lanes)

            def before(row: Expression) -> list[Expression]:
                line = build.let(place + row * sum.width + column)
                return [
                    build.load(total, line + offset, lanes, min(active - offset, lanes))
                    for offset in offsets
                ]

            def write(row: Expression, sums: list[list[Variable]]) -> None:
                into = total, build.let(place + row * sum.width + column), sum.width
                self._write(into, sums, sum.height - row, active)

            product(build, left, right, (0, sum.height), rows, tile_rows, before, write)

        over_vectors(build, sum.width, vectors * lanes, strip)

    def _add_rows(self, sum: _Sum, total: Buffer, place: Variable, rows: Variable) -> None:
        """Adds what is kept of all rows of a block to a group's part of a bias's gradient."""
        build, lanes = self.build, self.lanes

        def strip(column: Expression, active: int) -> None:
            offsets = range(0, active, lanes)
            sums = [
                build.accumulator(
                    build.load(total, place + column + offset, lanes, min(active - offset, lanes))
                )
                for offset in offsets
            ]
            with build.loop(rows, name="slot") as slot:
                line = build.let(self._at(sum.left, slot) + column)
                for offset, each in zip(offsets, sums, strict=True):
                    value = build.load(
                        self.kept[sum.left], line + offset, lanes, min(active - offset, lanes)
                    )
                    build.assign(each, each + value)
            for offset, each in zip(offsets, sums, strict=True):
                active_lanes = min(active - offset, lanes)
                build.store(total, place + column + offset, each, active_lanes)

        over_vectors(build, sum.height, 4 * lanes, strip)

    def _clear(self, total: Buffer, place: Variable, count: int) -> None:
        def clear(index: Expression, active: int) -> None:
            self.build.store(total, place + index, zero(index, active), active)

        over_vectors(self.build, count, self.lanes, clear)

    # ---------------------------------------------------------------- gates

    def _saved(self, number: int, line: Expression, unit: Expression, active: int) -> Expression:
        place = line * self.layer.saved_width + (number * self.layer.units + unit)
        return self.build.let(self.build.load(self.saved, place, self.lanes, active))

    def _put(
        self,
        name: str,
        values: Sequence[Expression],
        here: _Row,
        unit: Expression,
        active: int,
    ) -> None:
        """Keeps the gradients of all gates of some units."""
        for gate, value in enumerate(values):
            self._keep(name, here.slot, gate * self.layer.units + unit, value, active)

    def _lstm(self, pulled: Expression, here: _Row, unit: Expression, active: int) -> None:
        build = self.build
        entering, kept, new, leaving, before = (
            self._saved(i, here.line, unit, active) for i in range(5)
        )
        squashed = build.let(functions.tanh(build.let(kept * before + entering * new)))
        if "unprojected" in self.kept:
            self._keep("unprojected", here.slot, unit, leaving * squashed)
        place = build.let(here.row * self.layer.units + unit)
        cell = build.load(self.cell_pulled, place, self.lanes, active)
        cell = build.let(cell + pulled * leaving * (1.0 - squashed * squashed))
        values = [
            cell * new * entering * (1.0 - entering),
            cell * before * kept * (1.0 - kept),
            cell * entering * (1.0 - new * new),
            pulled * squashed * leaving * (1.0 - leaving),
        ]
        self._put("of_input", values, here, unit, active)
        build.store(self.cell_pulled, place, cell * kept, active)

    def _gru(self, pulled: Expression, here: _Row, unit: Expression, active: int) -> None:
        build = self.build
        reset, update, new, hidden, before = (
            self._saved(i, here.line, unit, active) for i in range(5)
        )
        of_new = build.let(pulled * (1.0 - update) * (1.0 - new * new))
        of_update = build.let(pulled * (before - new) * update * (1.0 - update))
        of_reset = build.let(of_new * hidden * reset * (1.0 - reset))
        self._put("of_input", (of_reset, of_update, of_new), here, unit, active)
        self._put("of_hidden", (of_reset, of_update, of_new * reset), here, unit, active)
        build.store(self.pulled, here.row * self.layer.units + unit, pulled * update, active)

    def _rnn(self, pulled: Expression, here: _Row, unit: Expression, active: int) -> None:
        build = self.build
        place = here.line * self.layer.units + unit
        state = build.let(build.load(self.output, place, self.lanes, active))
        if self.layer.mode == "rnn_tanh":
            value = pulled * (1.0 - state * state)
        else:
            value = select(binary(">", state, 0.0), pulled, 0.0)
        self._put("of_input", (value,), here, unit, active)


_PULLS = {
    "lstm": _Gradient._lstm,
    "gru": _Gradient._gru,
    "rnn_tanh": _Gradient._rnn,
    "rnn_relu": _Gradient._rnn,
}
