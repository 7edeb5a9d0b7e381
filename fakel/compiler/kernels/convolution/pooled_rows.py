"""Convolution, ReLU and max pooling with positions in the lanes: for few output channels.

A thread computes the rows of one row of pooling windows, some channels at a time, keeps them in the
first-level cache, and takes the windows' maxima there. Vectors hold neighbouring positions of a
row; what is left of several rows shares a vector.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass

from fakel.compiler.kernels.convolution.blocks import Correlation
from fakel.compiler.kernels.convolution.layout import quotient, smaller
from fakel.compiler.kernels.convolution.rows import RowSums, RowTile, Segment, reads_rows
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    INDEX,
    Expression,
    Kernel,
    Literal,
    Type,
    binary,
    call,
    cast,
    literal,
    select,
    shuffle,
)
from fakel.compiler.loop_ir.target import lanes as lanes_of
from fakel.compiler.loop_ir.target import registers

# Estimated cycles that a channel's row of pooling windows takes, for each vector of it.
_POOLING_CYCLES = 5
_NOWHERE = 2**31 - 1


@dataclass(frozen=True)
class PooledTile(RowTile):
    """Rows of so many windows of a size."""

    window: tuple[int, int]
    pooled: tuple[int, int]

    def place(self, row: Expression, segment: Segment) -> Expression:
        """Where the vector of a segment so many rows on lies, among those of all rows of a window
        in the order of ``vectors``.
        """
        rows = self.window[0]
        if segment.x < self.whole * self.lanes:
            return (row + (segment.x // self.lanes * rows + segment.row)) * self.lanes
        before = self.whole * rows * self.lanes
        return (row + segment.row) * self.rest_lanes + before

    def position(self, build: Builder, row: Expression, x: Expression) -> Expression:
        """Where an element lies among these vectors."""
        rows, end = self.window[0], self.whole * self.lanes
        inside = (x // self.lanes * rows + row) * self.lanes + x % self.lanes
        after = row * self.rest_lanes + (x - end) + end * rows
        return build.let(select(binary("<", x, end), inside, after))

    def cycles(self, spec: Correlation) -> float:
        """Estimated cycles of an image."""
        passes = self.window[0] // self.rows * -(-spec.outputs // self.channels)
        pooling = _POOLING_CYCLES * len(self.vectors(self.window[0])) * spec.outputs
        return self.pooled[0] * (passes * self.pass_cycles(spec.terms) + pooling)


def pooled_tile(
    spec: Correlation, window: tuple[int, int], pooled: tuple[int, int]
) -> PooledTile | None:
    """The best tile; None for geometries that this has no kernel for."""
    lanes = lanes_of(spec.scalar)
    if window[1] > lanes or window[1] & (window[1] - 1) or spec.groups > 1 or not reads_rows(spec):
        return None
    found = [
        PooledTile(pooled[1] * window[1], lanes, rows, channels, window, pooled)
        for rows in range(1, window[0] + 1)
        if window[0] % rows == 0
        for channels in range(1, min(spec.outputs, registers()) + 1)
    ]
    fitting = [tile for tile in found if tile.fits]
    return min(fitting, key=lambda tile: tile.cycles(spec), default=None)


@functools.lru_cache(maxsize=256)
def correlate_rows_and_pool(
    spec: Correlation, tile: PooledTile, weights: tuple[int, int, int, int, int], relu: bool
) -> Kernel:
    """source, weight, bias (if any), values, indices. ``weights`` are the weight's strides: of
    groups, outputs, inputs, rows and columns.
    """
    return _Nest(spec, tile, weights, relu).kernel()


class _Nest:
    def __init__(
        self,
        spec: Correlation,
        tile: PooledTile,
        weights: tuple[int, int, int, int, int],
        relu: bool,
    ) -> None:
        self.spec, self.tile, self.relu = spec, tile, relu
        self.build = build = Builder("correlate_rows_and_pool")
        source, weight = build.buffer("source", spec.scalar), build.buffer("weight", spec.scalar)
        bias = build.buffer("bias", spec.scalar) if spec.has_bias else None
        self.values = build.buffer("values", spec.scalar)
        self.indices = build.buffer("indices", INDEX)
        # what a channel's rows of windows take
        self.size = len(tile.vectors(tile.window[0])) * tile.lanes
        self.rows = build.local("rows", spec.scalar, tile.channels * self.size)
        self.strides = spec.framed_strides if spec.framed else spec.strides
        self.sums = RowSums(build, spec, tile, (source, weight, bias), self.strides, weights)

    def kernel(self) -> Kernel:
        spec, tile, build = self.spec, self.tile, self.build
        with build.share(spec.batch * tile.pooled[0], "unit") as unit:
            image, number = quotient(build, unit, tile.pooled[0])
            row = build.let(number * tile.window[0], "row")
            with build.loop(spec.outputs, step=tile.channels, name="first") as start:
                first = build.let(smaller(start, spec.outputs - tile.channels), "first")
                with build.loop(tile.window[0], step=tile.rows, name="y", unroll=False) as y:
                    place = image * self.strides[0]
                    step = spec.vertical.stride * self.strides[2]
                    self.correlate(build.let(place + (row + y) * step), first, y)
                with build.loop(tile.channels, name="channel", unroll=False) as channel:
                    plane = image * spec.outputs + first + channel
                    target = build.let((plane * tile.pooled[0] + number) * tile.pooled[1])
                    self.pool(channel * self.size, target, row)
        return build.kernel

    def correlate(self, place: Expression, first: Expression, y: Expression) -> None:
        """Computes some rows, from the y-th of the windows on, of some channels."""
        tile = self.tile
        for c, values in enumerate(self.sums.of(place, literal(0, INDEX), first)):
            for total, each in zip(values, tile.vectors(tile.rows), strict=True):
                self.build.store(self.rows, tile.place(y, each[0]) + c * self.size, total)

    def pool(self, base: Expression, target: Expression, row: Expression) -> None:
        """Takes the maxima of a channel's windows, and where they are."""
        build, tile = self.build, self.tile
        base = build.let(base)
        vectors = tile.vectors(tile.window[0])
        zero = literal(0, INDEX)
        values = [
            build.let(
                build.load(
                    self.rows,
                    base + tile.place(zero, each[0]),
                    sum(segment.width for segment in each),
                )
            )
            for each in vectors
        ]
        first = build.let(cast(row * self.spec.horizontal.outputs, "i32"))
        groups: dict[int, list[int]] = {}
        for n, each in enumerate(vectors):
            groups.setdefault(each[0].x, []).append(n)
        unknown: Expression | None = None
        for chosen in groups.values():
            # a sum is NaN where one of them is
            total = _tree([values[n] for n in chosen], lambda a, b: build.let(a + b))
            found = call("reduce_or", binary("!=", total, total), type=Type("i1"))
            unknown = found if unknown is None else binary("|", unknown, found)
        assert unknown is not None
        with build.when(unknown):
            self.pool_one_by_one(base, target, row)
        with build.otherwise():
            for x, chosen in groups.items():
                self.pool_vectors(
                    [values[n] for n in chosen], [vectors[n] for n in chosen],
                    target + x // tile.window[1], first,
                )  # fmt: skip

    def pool_vectors(
        self,
        values: list[Expression],
        vectors: list[tuple[Segment, ...]],
        target: Expression,
        first: Expression,
    ) -> None:
        """The windows of the same columns: vectors of one or several rows each."""
        build, tile, width = self.build, self.tile, self.spec.horizontal.outputs
        lanes, size = values[0].type.lanes, tile.window[1]
        whole = Type("i32", lanes)
        segment = vectors[0][0].width
        steps = [1 << i for i in range(lanes.bit_length() - 1)]
        steps = [step for step in steps if step < size or step >= segment]

        def greater(a: Expression, b: Expression) -> Expression:
            return build.let(select(binary(">", a, b), a, b))

        top = _tree(values, greater)
        for step in steps:
            top = greater(top, _exchanged(build, top, step))
        index: Expression = literal(_NOWHERE, whole)
        for value, each in reversed(list(zip(values, vectors, strict=True))):
            here = tuple(s.row * width + s.x + i for s in each for i in range(s.width))
            index = build.let(select(binary("==", value, top), Literal(here, whole), index))
        for step in steps:
            index = build.let(call("min", index, _exchanged(build, index, step)))
        if self.relu:
            # in a window without anything above zero, all are zero, and the first one counts
            begin = tuple(s.x + i // size * size for s in vectors[0] for i in range(s.width))
            index = build.let(select(binary(">", top, 0), index, Literal(begin, whole)))
            top = build.let(select(binary("<", top, 0), 0, top))
        index = build.let(index + literal(first, whole))
        count = vectors[0][0].count // size
        picked = [min(i * size, lanes - 1) for i in range(max(1 << (count - 1).bit_length(), 2))]
        build.store(self.values, target, shuffle(top, top, picked), count)
        build.store(self.indices, target, cast(shuffle(index, index, picked), INDEX), count)

    def pool_one_by_one(self, base: Expression, target: Expression, row: Expression) -> None:
        """Where a NaN is among them, which is then the maximum."""
        build, tile, width = self.build, self.tile, self.spec.horizontal.outputs
        with build.loop(tile.pooled[1], name="window", unroll=False) as window:
            top = build.accumulator(-math.inf, self.spec.scalar)
            left = build.let(window * tile.window[1])
            index = build.accumulator(build.let(row * width + left))
            with (
                build.loop(tile.window[0], name="y", unroll=False) as y,
                build.loop(tile.window[1], name="x", unroll=False) as x,
            ):
                place = tile.position(build, y, left + x)
                value = build.let(build.load(self.rows, base + place))
                if self.relu:
                    value = build.let(select(binary("<", value, 0), 0, value))
                better = binary("|", binary(">", value, top), binary("!=", value, value))
                better = build.let(better)
                build.assign(index, select(better, (row + y) * width + left + x, index))
                build.assign(top, select(better, value, top))
            build.store(self.values, target + window, top)
            build.store(self.indices, target + window, index)


def _tree(
    values: list[Expression], join: Callable[[Expression, Expression], Expression]
) -> Expression:
    """All values joined, two neighbours at a time."""
    while len(values) > 1:
        rest = values[len(values) // 2 * 2 :]
        pairs = zip(values[::2], values[1::2], strict=False)
        values = [join(left, right) for left, right in pairs] + rest
    return values[0]


def _exchanged(build: Builder, vector: Expression, step: int) -> Expression:
    """The vector with every lane's partner, so many lanes away, in its place."""
    return build.let(shuffle(vector, vector, [i ^ step for i in range(vector.type.lanes)]))
