"""What the kernels of recurrent layers and of their gradients share: sizes, steps, weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fakel.compiler.kernels.copying.copies import copied, filled
from fakel.compiler.kernels.products.packing import Packing, packing_kernel
from fakel.compiler.kernels.products.tiles import (
    Numbers,
    Vectors,
    over_vectors,
    product,
    tile_shape,
)
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    INDEX,
    Buffer,
    Expression,
    Type,
    Variable,
    binary,
    call,
    cast,
    literal,
)
from fakel.compiler.planning.lowering import Access
from fakel.graph import Node
from fakel.runtime.threads import get_num_threads

# the first row, and the one after the last
Share = tuple[Any, Any]
Write = Callable[[list[list[Variable]], Expression, Expression, int], None]
GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
# what is saved of each unit: gates, and for "lstm" the cell before the step
_SAVED = {"rnn_tanh": 0, "rnn_relu": 0, "lstm": 5, "gru": 4}
# multiply-adds from which several threads are worth their start
_PARALLEL_WORK = 200_000
# a group has so many rows of the batch, or more: what each step reads of a weight that fills the
# second-level cache should serve many rows; and there are at most so many groups
_GROUP_ROWS, _SMALL_WEIGHT, _MOST_GROUPS = 8, 65536, 16
# rows of all steps of a block: enough for products over them, while what a block needs stays in the
# second-level cache
_BLOCK_ROWS = 128
# elements from which several threads pack a weight
_PARALLEL_MOVES = 20_000


@dataclass(frozen=True)
class Recurrence:
    """A layer in one direction.

    ``batch`` is how many rows the states have, ``rows`` how many all steps have together (and with
    ``packed`` each step has a number of its own), ``features`` the width of the hidden state, which
    differs from ``units`` when it is ``projected``.
    """

    mode: str
    steps: int
    batch: int
    rows: int
    units: int
    features: int
    reverse: bool
    packed: bool
    projected: bool

    @property
    def gates(self) -> int:
        """Weights' rows for each unit."""
        return GATES[self.mode]

    @property
    def before(self) -> int:
        """Where in a row of what is saved the hidden state before the step lies."""
        return _SAVED[self.mode] * self.units

    @property
    def saved_width(self) -> int:
        """The length of a row of what is saved."""
        return self.before + self.features

    @property
    def parallel(self) -> bool:
        """Whether threads share the batch."""
        work = self.rows * self.gates * self.units * self.features
        return self.batch > 1 and work >= _PARALLEL_WORK

    @property
    def groups(self) -> int:
        """Into how many groups of rows the batch is cut where sums over rows are computed, whatever
        the number of threads: it decides how sums are rounded.
        """
        weight = self.gates * self.units * self.features
        rows = _GROUP_ROWS * max(weight // _SMALL_WEIGHT, 1)
        return max(min(self.batch // rows, _MOST_GROUPS), min(self.batch, 2))

    @property
    def group_rows(self) -> int:
        """Rows of the largest group."""
        return -(-self.batch // self.groups)

    @property
    def share_rows(self) -> int:
        """Rows of the largest share, where each thread takes one of the batch."""
        return -(-self.batch // get_num_threads()) if self.parallel else self.batch

    def block(self, rows: int) -> int:
        """Steps of a block, for so many rows of the batch."""
        return min(max(_BLOCK_ROWS // rows, 1), self.steps)


def recurrence(node: Node, inputs: dict[str, Access | None]) -> Recurrence | None:
    """The layer of a node or of its gradient's; None for what there are no kernels for."""
    data, hidden, w_hh = inputs["input"], inputs["hidden"], inputs["w_hh"]
    assert data is not None and hidden is not None and w_hh is not None
    kinds = {each.dtype.name for name, each in inputs.items() if each and name != "batch_sizes"}
    layer = Recurrence(
        node.parameters["mode"],
        node.parameters["steps"],
        hidden.shape[0],
        data.shape[0],
        w_hh.shape[0] // GATES[node.parameters["mode"]],
        hidden.shape[1],
        node.parameters["reverse"],
        inputs["batch_sizes"] is not None,
        inputs["w_hr"] is not None,
    )
    sizes = inputs["batch_sizes"]
    if sizes is None:
        fitting = layer.steps * layer.batch == layer.rows
    else:
        fitting = sizes.dtype.name == "int64" and sizes.strides == (1,)
    empty = 0 in (layer.steps, layer.batch, layer.rows, layer.units, layer.features)
    return layer if kinds == {"float32"} and fitting and not empty else None


def begin(plan: Any, state: Access | None, target: Access) -> None:
    """Fills the target with a state, or with zeros."""
    if state is None:
        filled(plan, target)
    else:
        copied(plan, state, target)


@dataclass(frozen=True)
class Weight:
    """A packed weight: ``columns`` wide, in strips as wide as a tile, and ``depth`` high."""

    columns: int
    depth: int
    tile_rows: int
    tile_width: int

    def multiply(
        self,
        build: Builder,
        packed: Buffer,
        begin: Callable[[Expression, int], Expression],
        passes: Callable[[Callable[[Numbers, Share, Write], None]], None],
    ) -> None:
        """Multiplies rows with the weight, tile by tile.

        Args:
            packed: the weight.
            begin: what sums start from, given the column and how many lanes are there.
            passes: says what is multiplied with a strip of the weight, as often as it likes: calls
                what it gets with the rows, the first of them and the one after the last, and what
                gets the sums of each row of a tile, its first row and column, and how many columns
                it has.
        """
        lanes = target.lanes("f32")

        def strip(column: Expression, active: int) -> None:
            offsets = range(0, active, lanes)
            start = build.let(column * self.depth, "strip")
            starts = [start + offset for offset in offsets]
            right = Vectors(packed, starts, len(offsets) * lanes, lanes)
            values = [
                build.let(begin(column + offset, min(active - offset, lanes))) for offset in offsets
            ]

            def multiply(left: Numbers, rows: Share, write: Write) -> None:
                product(
                    build,
                    left,
                    right,
                    rows,
                    self.depth,
                    self.tile_rows,
                    lambda row: values,
                    lambda row, sums: write(sums, row, column, active),
                )

            passes(multiply)

        over_vectors(build, self.columns, self.tile_width, strip)


def zero(column: Expression, active: int) -> Expression:
    """Sums that start from 0."""
    return literal(0.0, Type("f32", target.lanes("f32")))


def pack_weight(
    plan: Any, layer: Recurrence, access: Access, along_rows: bool
) -> tuple[Weight, Access]:
    """A weight as products read it, packed into scratch memory; its columns become those of the
    product, or (``along_rows``) its rows do.
    """
    (height, across), (row_step, column_step) = access.shape, access.strides
    columns, depth = (height, across) if along_rows else (across, height)
    steps = (row_step, column_step) if along_rows else (column_step, row_step)
    lanes = target.lanes("f32")
    tile_rows, vectors = tile_shape(layer.share_rows, -(-columns // lanes), "f32")
    weight = Weight(columns, depth, tile_rows, vectors * lanes)
    rest = columns - (columns - 1) // weight.tile_width * weight.tile_width
    last = -(-rest // lanes) * lanes
    packing = Packing("f32", 1, columns, depth, 0, *steps, weight.tile_width, last)
    packed = plan.scratch(packing.count, access.dtype)
    parallel = packing.count >= _PARALLEL_MOVES
    plan.call(packing_kernel(packing), [access, packed], writes=[packed], parallel=parallel)
    return weight, packed


def check_sizes(build: Builder, layer: Recurrence, sizes: Buffer) -> None:
    """Fails unless the steps' numbers of rows never rise, fit the batch, and add up."""
    most = build.accumulator(layer.batch, INDEX, "most")
    total = build.accumulator(0, INDEX, "total")
    with build.loop(layer.steps) as step:
        count = build.let(cast(build.load(sizes, step), INDEX))
        with build.when(binary("|", binary("<", count, 0), binary(">", count, most))):
            build.fail(1)
        build.assign(most, count)
        build.assign(total, total + count)
    with build.when(binary("!=", total, layer.rows)):
        build.fail(1)


def wrong_sizes(status: int) -> Exception:
    """What `check_sizes` finds."""
    return RuntimeError("batch_sizes do not fit the sequences")


@dataclass(frozen=True)
class Block:
    """Some steps that follow one another: the number of the first one and of the one after the
    last, and where the rows of the first begin (those of steps that are walked backwards: end).
    """

    start: Expression
    stop: Expression
    place: Variable


@dataclass(frozen=True)
class Step:
    """A step: its number, from the first one that is walked; the first of its rows among those of
    all steps; the end of a share's rows in the batch that it has; and how many rows of the share
    the steps before it in the block had.
    """

    number: Expression
    first: Expression
    end: Expression
    slot: Expression


@contextmanager
def over_blocks(
    build: Builder, layer: Recurrence, sizes: Buffer | None, steps: int, backwards: bool = False
) -> Iterator[Block]:
    """Blocks of so many steps, in the order in which the layer takes them, or in the other one."""
    place = build.accumulator(0 if layer.reverse == backwards else layer.rows, INDEX, "place")
    with build.loop(layer.steps, step=steps, name="block") as start:
        stop = build.let(call("min", start + steps, layer.steps), "stop")
        block = Block(start, stop, place)
        yield block
        with _walk(build, layer, sizes, block, backwards) as (_, after, _, _):
            build.assign(place, after)


@contextmanager
def over_steps(
    build: Builder,
    layer: Recurrence,
    sizes: Buffer | None,
    block: Block,
    share: Share,
    backwards: bool = False,
) -> Iterator[Step]:
    """The steps of a block, for a share of the batch's rows."""
    start, stop = share
    slot = build.accumulator(0, INDEX, "slot")
    with _walk(build, layer, sizes, block, backwards) as (number, _, first, count):
        end = build.let(call("min", stop, count), "end") if layer.packed else stop
        yield Step(number, build.let(first * 1, "first"), end, build.let(slot * 1, "slot"))
        present = end - start
        build.assign(slot, slot + (call("max", present, 0) if layer.packed else present))


@contextmanager
def _walk(
    build: Builder, layer: Recurrence, sizes: Buffer | None, block: Block, backwards: bool
) -> Iterator[tuple[Expression, Variable, Expression, Expression]]:
    """For each step of a block its number, where the next one begins, the first of its rows, and
    how many it has.
    """
    ascending = layer.reverse == backwards
    after = build.accumulator(block.place * 1, INDEX, "after")
    with build.loop(block.stop, block.start, name="step") as number:
        count: Expression = literal(layer.batch, INDEX)
        if sizes is not None:
            step = number if ascending else (layer.steps - 1) - number
            count = build.let(cast(build.load(sizes, step), INDEX), "count")
        build.assign(after, after + count if ascending else after - count)
        yield number, after, after - count if ascending else after, count
