"""What the kernels of attention and of its gradient share: sizes, blocks of queries, masks.

A block holds as many queries as a few vectors have lanes, one query a lane: a source's scores for
all of them are vectors, and softmax runs along the sources without adding up lanes. Numbers of keys
and values are read one by one where they lie, so that these need neither packing nor copies.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fakel.compiler.kernels.products.packing import transposed
from fakel.compiler.kernels.products.tiles import Numbers, Vectors, over_vectors, product
from fakel.compiler.loop_ir import math as functions
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    INDEX,
    Buffer,
    Expression,
    Literal,
    Type,
    Variable,
    binary,
    call,
    cast,
    literal,
    select,
)
from fakel.compiler.loop_ir.nests import broadcast_strides
from fakel.compiler.planning.lowering import Access
from fakel.graph import Node
from fakel.tensor.dtypes import float32

# a block's vectors stay on the stack
_WIDEST = 256
# sources of a block: their scores stay in the cache
_SOURCES = 64
# multiply-adds from which several threads are worth their start
_PARALLEL_WORK = 100_000


@dataclass(frozen=True)
class Matrices:
    """Where an operand's matrices lie: strides along the batch's dimensions, rows and columns."""

    batch: tuple[int, ...]
    row: int
    column: int


@dataclass(frozen=True)
class Attention:
    """The sizes of an attention, and how its operands lie: query, key and value."""

    batch: tuple[int, ...]
    targets: int
    sources: int
    features: int
    value_features: int
    causal: bool
    scale: float
    query: Matrices
    key: Matrices
    value: Matrices
    mask: Matrices | None

    @property
    def matrices(self) -> int:
        """How many matrices the batch has."""
        return math.prod(self.batch)

    @property
    def vectors(self) -> int:
        """Vectors of queries in a block."""
        return 2 if self.targets > target.lanes("f32") else 1

    @property
    def width(self) -> int:
        """Queries in a block."""
        return self.vectors * target.lanes("f32")

    @property
    def blocks(self) -> int:
        """Blocks of queries in a matrix."""
        return -(-self.targets // self.width)

    @property
    def block_sources(self) -> int:
        """Sources that are looked at together."""
        count = -(-self.sources // _SOURCES)
        return -(-self.sources // count)

    @property
    def parallel(self) -> bool:
        """Whether threads share the work."""
        features = self.features + self.value_features
        return self.matrices * self.targets * self.sources * features >= _PARALLEL_WORK


def attention(
    node: Node, query: Access, key: Access, value: Access, mask: Access | None
) -> Attention | None:
    """What the node, or its gradient's, says; None for what there are no kernels for."""
    shape = node.shape[0]
    features, value_features = query.shape[-1], value.shape[-1]
    kinds = {query.dtype.name, key.dtype.name, value.dtype.name}
    if mask is not None and mask.dtype.name not in ("float32", "bool"):
        return None
    if kinds != {"float32"} or not 0 < max(features, value_features) <= _WIDEST:
        return None
    batch = tuple(shape[:-2])
    sizes = query.shape[-2], key.shape[-2], features, value_features
    if 0 in (*batch, *sizes):
        return None
    return Attention(
        batch,
        *sizes,
        node.parameters["causal"],
        node.parameters["scale"],
        lies(query, batch),
        lies(key, batch),
        lies(value, batch),
        None if mask is None else lies(mask, batch),
    )


def lies(access: Access, batch: Sequence[int]) -> Matrices:
    """Where an operand's matrices lie when it is broadcast to a batch."""
    strides = broadcast_strides(access.shape[:-2], access.strides[:-2], batch)
    row, column = (
        0 if size == 1 else step
        for size, step in zip(access.shape[-2:], access.strides[-2:], strict=True)
    )
    return Matrices(strides, row, column)


def additive_mask(plan: Any, mask: Access, width: int) -> Access:
    """The mask as numbers to add, in scratch memory: a source's numbers for all queries lie side by
    side, and there is room for a whole block after the last.
    """
    steps = [0 if size == 1 else step for size, step in zip(mask.shape, mask.strides, strict=True)]
    sizes = [1 if not step else size for size, step in zip(mask.shape, steps, strict=True)]
    *batch, targets, sources = sizes
    room = 1 if targets == 1 else -(-targets // width) * width
    count = math.prod(batch) * sources
    made = plan.scratch(count * room, float32)
    build = Builder("additive_mask")
    given, out = build.buffer("mask", mask.scalar), build.buffer("out", "f32")
    with build.share(count, "unit") as unit:
        place = _offset(unit, (*batch, sources), (*steps[:-2], steps[-1]))
        place = build.let(place)
        with build.loop(targets, name="t") as row:
            value = build.load(given, place + row * steps[-2])
            if mask.dtype.name == "bool":
                value = select(binary("!=", value, 0), literal(0.0, "f32"), -math.inf)
            build.store(out, unit * room + row, value)
    plan.call(build.kernel, [mask, made], writes=[made], parallel=count * targets >= 8192)
    batch_strides = [math.prod(batch[i + 1 :]) * sources * room for i in range(len(batch))]
    strides = (*batch_strides, 1 if targets > 1 else 0, room)
    return replace(made, shape=mask.shape, strides=_repeated(strides, sizes))


def _repeated(strides: Sequence[int], sizes: Sequence[int]) -> tuple[int, ...]:
    return tuple(0 if size == 1 else step for size, step in zip(sizes, strides, strict=True))


def _offset(number: Expression, sizes: Sequence[int], steps: Sequence[int]) -> Expression:
    """Where the matrix with this number lies."""
    total: Expression = literal(0, INDEX)
    behind = math.prod(sizes)
    for position, (size, step) in enumerate(zip(sizes, steps, strict=True)):
        behind //= size
        if size > 1 and step:
            index = number // behind
            total = total + (index if not position else index % size) * step
    return total


class Blocks:
    """Builds kernels that go through blocks of queries."""

    def __init__(self, sizes: Attention, name: str) -> None:
        self.sizes = sizes
        self.lanes = target.lanes("f32")
        self.width = sizes.width
        self.build = Builder(name)

    def pitch(self, columns: int) -> int:
        """The length of rows of whole vectors."""
        return -(-columns // self.lanes) * self.lanes

    def local(self, name: str, rows: int, width: int | None = None) -> Buffer:
        """Memory on the stack for vectors of a block, one for each of some rows."""
        return self.build.local(name, "f32", self.pitch(rows) * (width or self.width))

    def origin(self, operand: Matrices, matrix: Expression) -> Expression:
        """Where an operand's matrix starts."""
        return self.build.let(_offset(matrix, self.sizes.batch, operand.batch), "origin")

    def groups(self, body: Callable[[Expression], None]) -> None:
        """Calls ``body`` with where each vector of the block starts."""
        if self.sizes.vectors == 1:
            body(literal(0, INDEX))
            return
        with self.build.loop(self.width, step=self.lanes, name="g", unroll=False) as group:
            body(group)

    def block_number(self, number: Expression) -> Expression:
        """The block of a number. Early blocks of a causal attention have few sources: late ones
        come in between, so that threads have even shares.
        """
        if not self.sizes.causal:
            return number
        half = number // 2
        late = (self.sizes.blocks - 1) - half
        return self.build.let(select(binary("==", number % 2, 0), half, late), "block")

    def sources_of(self, first: Expression) -> Expression:
        """How many sources the block's queries see."""
        if not self.sizes.causal:
            return literal(self.sizes.sources, INDEX)
        return self.build.let(call("min", first + self.width, self.sizes.sources), "sources")

    def read(
        self,
        buffer: Buffer,
        origin: Expression,
        steps: tuple[int, int],
        count: Expression,
        columns: int,
        turned: Buffer | None,
        rows: Buffer | None = None,
        scale: float | None = None,
    ) -> None:
        """Copies ``count`` rows of a matrix: into ``turned`` one a lane, into ``rows`` side by
        side.

        Args:
            origin: where the first row lies.
            steps: from row to row, and from column to column.
            scale: multiplies what goes into ``turned``.
        """
        build, lanes = self.build, self.lanes
        row_step, step = steps
        pitch = self.pitch(columns)
        if step != 1:
            with build.loop(count, name="r") as row, build.loop(columns, name="c") as column:
                value = build.let(build.load(buffer, origin + row * row_step + column * step))
                if rows is not None:
                    build.store(rows, row * pitch + column, value)
                if turned is not None:
                    place = column * self.width + row
                    build.store(turned, place, value if scale is None else value * scale)
            return
        last = build.let(count - 1)

        def block(column: Expression, active: int) -> None:
            def group(first: Expression) -> None:
                lines = []
                for i in range(lanes):
                    row = call("min", first + i, last)
                    place = origin + row * row_step + column
                    lines.append(build.let(build.load(buffer, place, lanes, active)))
                    if rows is not None:
                        build.store(rows, (first + i) * pitch + column, lines[-1])
                if turned is None:
                    return
                for i, line in enumerate(transposed(build, lines)[:active]):
                    value = line if scale is None else line * scale
                    build.store(turned, (column + i) * self.width + first, value)

            self.groups(group)

        over_vectors(build, columns, lanes, block)

    def products(
        self,
        left: Numbers,
        right: Buffer,
        into: Buffer,
        rows: Any,
        depth: int | Expression,
        tile_rows: int,
        accumulate: bool = False,
    ) -> None:
        """Products whose vectors have a query a lane: rows of ``left`` with columns of ``right``.
        There is room for a whole tile after the last row of ``into``.
        """
        build, lanes = self.build, self.lanes
        starts = range(0, self.width, lanes)
        zeros = [literal(0.0, Type("f32", lanes)) for _ in starts]

        def begin(row: Expression) -> Sequence[Expression]:
            if not accumulate:
                return zeros
            return [build.load(into, row * self.width + start, lanes) for start in starts]

        def write(first: Expression, sums: list[list[Variable]]) -> None:
            for i, line in enumerate(sums):
                for start, total in zip(starts, line, strict=True):
                    build.store(into, (first + i) * self.width + start, total)

        columns = [literal(start, INDEX) for start in starts]
        vectors = Vectors(right, columns, self.width, lanes)
        product(build, left, vectors, (0, rows), depth, tile_rows, begin, write)

    def write(
        self,
        turned: Buffer,
        buffer: Buffer,
        origin: Expression,
        row_step: int,
        count: Expression,
        columns: int,
    ) -> None:
        """Writes what ``turned`` holds, one row a lane, as rows of a matrix."""
        build, lanes = self.build, self.lanes

        def block(column: Expression, active: int) -> None:
            def group(first: Expression) -> None:
                found = [
                    build.let(build.load(turned, (column + i) * self.width + first, lanes))
                    for i in range(lanes)
                ]
                for i, line in enumerate(transposed(build, found)):
                    with build.when(binary("<", first + i, count)):
                        place = origin + (first + i) * row_step + column
                        build.store(buffer, place, line, active)

            self.groups(group)

        over_vectors(build, columns, lanes, block)

    def power(self, exponent: Expression) -> Expression:
        """e to an exponent of at most 0, and 0 where that would be no normal number: processors
        take long for those, and masked scores would ask for them all the time.
        """
        small = self.build.let(binary("<", exponent, -87.0))
        value = functions.exp(self.build.let(select(small, 0.0, exponent)))
        return self.build.let(select(small, 0.0, value))

    def masked(
        self,
        score: Expression,
        mask: tuple[Buffer, Expression] | None,
        source: Expression,
        first: Expression,
        group: Expression,
    ) -> Expression:
        """A source's scores for a vector of queries, masked.

        Args:
            mask: the mask of numbers to add, and where the matrix's lies.
            source: the source.
            first: the block's first query.
            group: where in the block the vector starts.
        """
        build, sizes = self.build, self.sizes
        if mask is not None:
            assert sizes.mask is not None
            buffer, origin = mask
            place = origin + source * sizes.mask.column
            if sizes.mask.row:
                score = score + build.load(buffer, place + first + group, self.lanes)
            else:
                score = score + build.load(buffer, place)
        if sizes.causal:
            numbers = literal_range(self.lanes)
            reach = build.let(cast(source - first - group, "i32"))
            score = select(binary(">=", numbers, reach), score, -math.inf)
        return score


def literal_range(lanes: int) -> Expression:
    """0, 1, 2, … in the lanes of a vector of i32."""
    from fakel.compiler.loop_ir.language import Type

    return Literal(tuple(range(lanes)), Type("i32", lanes))
