"""What the kernels of recurrent layers and of their gradients share: sizes, steps, weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
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
    cast,
    literal,
)
from fakel.compiler.planning.lowering import Access
from fakel.graph import Node
from fakel.runtime.threads import get_num_threads

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3}
# what is saved of each unit: gates, and for "lstm" the cell before the step
_SAVED = {"rnn_tanh": 0, "rnn_relu": 0, "lstm": 5, "gru": 4}
# multiply-adds from which several threads are worth their start
_PARALLEL_WORK = 200_000
# rows of a part: enough for products over all of them, and of whose saved values no more than this
# many
_PART_ROWS = 256
_PART_ELEMENTS = 512 * 1024
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


def parts_of(layer: Recurrence) -> list[tuple[int, Recurrence]]:
    """The layer cut into parts that follow one another in time, in the order in which it takes
    them: what one kernel writes about a part is in the cache when the next reads it. For each, the
    number of its first row.
    """
    steps = max(_PART_ROWS // layer.batch // 2 * 2, 2)
    if layer.packed or layer.saved_width * steps * layer.batch > _PART_ELEMENTS:
        return [(0, layer)]
    found = []
    for start in range(0, layer.steps, steps):
        count = min(steps, layer.steps - start)
        part = replace(layer, steps=count, rows=count * layer.batch)
        found.append((start * layer.batch, part))
    return found[::-1] if layer.reverse else found


def rows_of(access: Access, first: int, part: Recurrence) -> Access:
    """A part's rows."""
    offset = access.offset + first * access.strides[0]
    return replace(access, offset=offset, shape=(part.rows, *access.shape[1:]))


def begin(plan: Any, state: Access | None, target: Access) -> None:
    """Fills the target with a state, or with zeros."""
    if state is None:
        filled(plan, target)
    else:
        copied(plan, state, target)


@dataclass(frozen=True)
class Weight:
    """A packed weight of ``parts`` matrices whose products with the same rows are summed together:
    ``columns`` wide, in strips as wide as a tile, and ``depth`` high.
    """

    parts: int
    columns: int
    depth: int
    tile_rows: int
    tile_width: int

    @property
    def count(self) -> int:
        """Elements of one packed matrix."""
        lanes = target.lanes("f32")
        whole = (self.columns - 1) // self.tile_width * self.tile_width
        return (whole + -(-(self.columns - whole) // lanes) * lanes) * self.depth

    def multiply(
        self,
        build: Builder,
        left: Numbers,
        packed: Buffer,
        rows: tuple[Expression, Expression],
        begin: Callable[[int, Expression, int], Expression],
        write: Callable[[list[list[Variable]], Expression, Expression, int], None],
    ) -> None:
        """Multiplies rows with the weight, tile by tile.

        Args:
            left: the rows.
            packed: the weight.
            rows: the first row, and the one after the last.
            begin: what the sums of a part start from, given its number, a column, and how many
                lanes are there.
            write: gets the sums of each row (for all parts, one after the other), the tile's first
                row and column, and how many columns it has.
        """
        lanes = target.lanes("f32")

        def strip(column: Expression, active: int) -> None:
            offsets = range(0, active, lanes)
            vectors = [(part, offset) for part in range(self.parts) for offset in offsets]
            start = build.let(column * self.depth, "strip")
            right = Vectors(
                packed,
                [start + (part * self.count + offset) for part, offset in vectors],
                len(offsets) * lanes,
                lanes,
            )
            values = [
                build.let(begin(part, column + offset, min(active - offset, lanes)))
                for part, offset in vectors
            ]
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

        over_vectors(build, self.columns, self.tile_width, strip)


def zero(part: int, column: Expression, active: int) -> Expression:
    """Sums that start from 0."""
    return literal(0.0, Type("f32", target.lanes("f32")))


def pack_weight(
    plan: Any, layer: Recurrence, access: Access, parts: int, along_rows: bool
) -> tuple[Weight, Access]:
    """A weight as products read it, packed into scratch memory.

    Args:
        access: the weight; its parts lie one below the other.
        parts: how many there are.
        along_rows: whether its rows become columns of the product.
    """
    (height, across), (row_step, column_step) = access.shape, access.strides
    height //= parts
    columns, depth = (height, across) if along_rows else (across, height)
    steps = (row_step, column_step) if along_rows else (column_step, row_step)
    lanes = target.lanes("f32")
    share = -(-layer.batch // get_num_threads()) if layer.parallel else layer.batch
    tile_rows, vectors = tile_shape(share, -(-columns // lanes), "f32", parts)
    weight = Weight(parts, columns, depth, tile_rows, vectors * lanes)
    rest = columns - (columns - 1) // weight.tile_width * weight.tile_width
    packing = Packing(
        "f32", parts, columns, depth, height * row_step, *steps,
        weight.tile_width, -(-rest // lanes) * lanes,
    )  # fmt: skip
    packed = plan.scratch(parts * packing.count, access.dtype)
    parallel = parts * packing.count >= _PARALLEL_MOVES
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


@contextmanager
def over_steps(
    build: Builder, layer: Recurrence, sizes: Buffer | None, backwards: bool = False
) -> Iterator[tuple[Expression, Expression, Expression]]:
    """The steps in the order in which the layer takes them, or the other way round: the number of
    the step so far, the first of its rows, and how many it has.
    """
    ascending = layer.reverse == backwards
    place = build.accumulator(0 if ascending else layer.rows, INDEX, "place")
    with build.loop(layer.steps, name="step") as number:
        count: Expression = literal(layer.batch, INDEX)
        if sizes is not None:
            step = number if ascending else (layer.steps - 1) - number
            count = build.let(cast(build.load(sizes, step), INDEX), "count")
        if not ascending:
            build.assign(place, place - count)
        yield number, build.let(place * 1, "first"), count
        if ascending:
            build.assign(place, place + count)
