"""Convolution, ReLU and max pooling with a line in each lane: for few input and output channels.

A line is a row of pooling windows of an image. What lines read is turned first, so that everything
else is lane by lane: no row has ends that leave lanes idle, and maxima need no shuffles. The
windows' maxima are turned back when they are written.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

from fakel.compiler.kernels.convolution.blocks import Correlation, tap_offsets
from fakel.compiler.kernels.convolution.layout import quotient, smaller
from fakel.compiler.kernels.products.packing import within_pieces
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    INDEX,
    Expression,
    Kernel,
    Type,
    Variable,
    binary,
    call,
    cast,
    fma,
    literal,
    select,
    shuffle,
)
from fakel.compiler.loop_ir.target import lanes as lanes_of
from fakel.compiler.loop_ir.target import registers

# What the lines of all lanes read, and their maxima, lie on the stack, and should stay in the
# second-level cache: elements of each.
_ROOM = 1 << 15
# Estimated cycles: to turn a vector, to compare one, to write a vector of maxima.
_TURNING, _COMPARING, _WRITING = 3.5, 1.6, 28
# Sums of squares below this: then no sum of products is infinite, or made of infinite ones.
_HARMLESS = 2.0**100


@dataclass(frozen=True)
class LineTile:
    """What is computed at the same time for every lane: rows x columns of a window, of so many
    channels.
    """

    lanes: int
    rows: int
    columns: int
    channels: int
    window: tuple[int, int]
    pooled: tuple[int, int]

    @property
    def positions(self) -> list[tuple[int, int]]:
        """Rows and columns of the tile, in order."""
        return [(y, x) for y in range(self.rows) for x in range(self.columns)]

    @property
    def piece(self) -> int:
        """As many vectors are turned together."""
        return min(4, self.lanes)

    @property
    def fits(self) -> bool:
        """Whether the sums, what they meet, and a weight fit into registers."""
        return len(self.positions) * (self.channels + 1) + 1 <= registers()

    def met(self, spec: Correlation) -> tuple[int, int]:
        """How many rows and columns of an input channel a line meets."""
        lengths = (self.window[0], self.window[1] * self.pooled[1])
        rows, columns = (
            (length - 1) * axis.stride + (axis.taps - 1) * axis.dilation + 1
            for length, axis in zip(lengths, (spec.vertical, spec.horizontal), strict=True)
        )
        return rows, columns

    def cycles(self, spec: Correlation) -> float:
        """Estimated cycles of an image."""
        positions = len(self.positions)
        loads = positions + self.channels + 1
        step = max(positions * self.channels / 2, loads / 2, 4) + loads / 10
        windows = self.pooled[1] * spec.outputs
        passes = math.prod(self.window) // positions * self.pooled[1]
        passes *= -(-spec.outputs // self.channels)
        line = (
            spec.inputs * math.prod(self.met(spec)) * _TURNING
            + passes * (spec.terms * step + 15)
            + windows * (math.prod(self.window) * _COMPARING + _WRITING)
        )
        lines = spec.batch * self.pooled[0]
        return -(-lines // self.lanes) * line / spec.batch


def line_tile(
    spec: Correlation, window: tuple[int, int], pooled: tuple[int, int]
) -> LineTile | None:
    """The best tile; None for geometries that this has no kernel for."""
    if spec.groups > 1 or not spec.taps:
        return None
    found = [
        LineTile(lanes_of(spec.scalar), rows, columns, channels, window, pooled)
        for columns in range(1, window[1] + 1)
        if window[1] % columns == 0
        for rows in range(1, window[0] + 1 if columns == window[1] else 2)
        if window[0] % rows == 0
        for channels in range(1, min(spec.outputs, registers()) + 1)
    ]
    fitting = [tile for tile in found if tile.fits]
    best = min(fitting, key=lambda tile: tile.cycles(spec), default=None)
    if best is None:
        return None
    needed = max(spec.inputs * math.prod(best.met(spec)), best.channels * pooled[1])
    return best if needed * best.lanes <= _ROOM else None


@functools.lru_cache(maxsize=256)
def correlate_lines_and_pool(spec: Correlation, tile: LineTile, relu: bool) -> Kernel:
    """source, weight, bias (if any), values, indices; all but the source are contiguous."""
    return _Nest(spec, tile, relu).kernel()


class _Nest:
    def __init__(self, spec: Correlation, tile: LineTile, relu: bool) -> None:
        self.spec, self.tile, self.relu = spec, tile, relu
        self.build = build = Builder("correlate_lines_and_pool")
        self.source = build.buffer("source", spec.scalar)
        self.weight = build.buffer("weight", spec.scalar)
        self.bias = build.buffer("bias", spec.scalar) if spec.has_bias else None
        self.values = build.buffer("values", spec.scalar)
        self.indices = build.buffer("indices", INDEX)
        self.strides = spec.framed_strides if spec.framed else spec.strides
        lanes, (rows, columns) = tile.lanes, tile.met(spec)
        self.kind, self.places = Type(spec.scalar, lanes), Type("i32", lanes)
        # [input][row][column][lane]
        self.steps = (rows * columns * lanes, columns * lanes, lanes)
        self.turned = build.local("turned", spec.scalar, spec.inputs * self.steps[0])
        self.taps = tap_offsets(
            build, spec,
            (spec.vertical.dilation * self.steps[1], spec.horizontal.dilation * lanes),
        )  # fmt: skip
        # [channel][window][lane]: maxima, and where they are in the window
        count = tile.channels * max(tile.pooled[1], tile.piece) * lanes
        self.best = build.local("best", spec.scalar, count)
        self.chosen = build.local("chosen", "i32", count)
        # [lane]: where the line begins, where its results begin, and its first position's number
        self.origins = build.local("origins", INDEX, lanes)
        self.targets = build.local("targets", INDEX, lanes)
        self.firsts = build.local("firsts", "i32", lanes)
        # a piece of each line, turned back
        self.turned_best = build.local("turned_best", spec.scalar, tile.piece * lanes)
        self.turned_chosen = build.local("turned_chosen", "i32", tile.piece * lanes)
        # the number of each position of a window, in every lane
        self.numbers = build.local("numbers", "i32", math.prod(tile.window) * lanes)
        with build.loop(tile.window[0], name="y") as y, build.loop(tile.window[1], name="x") as x:
            number = cast(y * spec.horizontal.outputs + x, "i32")
            at = (y * tile.window[1] + x) * lanes
            build.store(self.numbers, at, literal(number, self.places))

    def kernel(self) -> Kernel:
        spec, tile, build = self.spec, self.tile, self.build
        lines = spec.batch * tile.pooled[0]
        with build.share(-(-lines // tile.lanes), "group") as group:
            with build.loop(tile.lanes, name="lane") as lane:
                line = build.let(smaller(group * tile.lanes + lane, lines - 1), "line")
                image, number = quotient(build, line, tile.pooled[0])
                row = build.let(number * tile.window[0])
                step = spec.vertical.stride * self.strides[2]
                build.store(self.origins, lane, image * self.strides[0] + row * step)
                plane = image * (spec.outputs * tile.pooled[0]) + number
                build.store(self.targets, lane, plane * tile.pooled[1])
                build.store(self.firsts, lane, cast(row * spec.horizontal.outputs, "i32"))
            squares = build.accumulator(literal(0, self.kind))
            self.turn(squares)
            self.add_squares(squares)
            total = build.let(call("reduce_add", squares, type=Type(spec.scalar)))
            harmless = build.let(binary("<", total, _HARMLESS), "harmless")
            with build.loop(spec.outputs, step=tile.channels, name="first") as start:
                first = build.let(smaller(start, spec.outputs - tile.channels), "first")
                self.prefetch(first)
                with build.loop(tile.pooled[1], name="window", unroll=False) as window:
                    self.pool(first, window, harmless)
                pieces = -(-tile.pooled[1] // tile.piece)
                with build.loop(pieces, name="piece", unroll=False) as piece:
                    last = max(tile.pooled[1] - tile.piece, 0)
                    self.write(first, build.let(smaller(piece * tile.piece, last)))
        return build.kernel

    def turn(self, squares: Variable) -> None:
        """Turns what the lines read, and adds up its squares."""
        spec, tile, build = self.spec, self.tile, self.build
        lanes, piece, (rows, columns) = tile.lanes, tile.piece, tile.met(spec)
        active, step = min(piece, columns), self.strides[3]
        with (
            build.loop(spec.inputs, name="input") as i,
            build.loop(rows, name="y", unroll=False) as y,
            build.loop(columns, step=piece, name="x", unroll=False) as start,
        ):
            x = build.let(smaller(start, columns - active))
            place = build.let(i * self.strides[1] + y * self.strides[2] + x * step)
            target = build.let(i * self.steps[0] + y * self.steps[1] + x * lanes)
            vectors = []
            for n in range(piece):
                parts = []
                for lane in range(n, lanes, piece):
                    at = build.load(self.origins, lane) + place
                    parts.append(build.let(build.load(self.source, at, piece, active, step)))
                vectors.append(self.joined(parts))
            added = functools.reduce(
                lambda total, each: fma(each, each, total), vectors, literal(0, self.kind)
            )
            build.assign(squares, squares + added)
            for n, vector in enumerate(within_pieces(build, vectors)[:active]):
                build.store(self.turned, target + n * lanes, vector)

    def joined(self, parts: list[Variable]) -> Expression:
        """One vector of several short ones: each takes its place, as processors load it there."""
        build, lanes, piece = self.build, self.tile.lanes, self.tile.piece
        wide = [build.let(shuffle(each, each, [*range(piece)] * len(parts))) for each in parts]
        vector: Expression = wide[0]
        for n, each in enumerate(wide[1:], 1):
            picked = [lanes + lane if lane // piece == n else lane for lane in range(lanes)]
            vector = build.let(shuffle(vector, each, picked))
        return vector

    def add_squares(self, squares: Variable) -> None:
        """Adds the squares of weight and bias."""
        build, spec, lanes = self.build, self.spec, self.tile.lanes
        counts = [(self.weight, spec.outputs * spec.terms)]
        if self.bias is not None:
            counts.append((self.bias, spec.outputs))
        for buffer, count in counts:
            whole = count // lanes * lanes
            with build.loop(whole, step=lanes, name="k") as k:
                value = build.let(build.load(buffer, k, lanes))
                build.assign(squares, fma(value, value, squares))
            if whole < count:
                value = build.let(build.load(buffer, whole, lanes, count - whole))
                build.assign(squares, fma(value, value, squares))

    def prefetch(self, first: Expression) -> None:
        """Where results of some channels go: scattered writes would wait for this memory."""
        tile, build = self.tile, self.build
        size = math.prod(tile.pooled)
        with build.loop(tile.lanes, name="lane", unroll=False) as lane:
            target = build.let(build.load(self.targets, lane) + first * size)
            with build.loop(tile.channels, name="channel", unroll=False) as channel:
                for result in (self.values, self.indices):
                    build.prefetch(result, target + channel * size, write=True)

    def pool(self, first: Expression, window: Expression, harmless: Expression) -> None:
        """The maxima of a window, of some channels, and where they are."""
        tile, build = self.tile, self.build
        for c in range(tile.channels):
            build.store(self.best, self.kept(c, window), literal(-math.inf, self.kind))
            build.store(self.chosen, self.kept(c, window), literal(0, self.places))
        with (
            build.loop(tile.window[0], step=tile.rows, name="y", unroll=False) as y,
            build.loop(tile.window[1], step=tile.columns, name="x", unroll=False) as x,
        ):
            sums = self.correlate(first, y, build.let(window * tile.window[1] + x))
            at = build.let((y * tile.window[1] + x) * tile.lanes)
            numbers = [
                build.let(build.load(self.numbers, at + n * tile.lanes, tile.lanes))
                for n in range(len(tile.positions))
            ]
            with build.when(harmless):
                self.compare(sums, window, numbers, has_nan=False)
            with build.otherwise():
                self.compare(sums, window, numbers, has_nan=True)

    def kept(self, channel: int, window: Expression) -> Expression:
        """Where a channel's maxima of a window are kept."""
        size = self.tile.pooled[1] * self.tile.lanes
        return window * self.tile.lanes + channel * size

    def correlate(self, first: Expression, y: Expression, x: Expression) -> list[list[Variable]]:
        """For some channels, the sums at the tile's positions, of which the first one is given."""
        spec, tile, build = self.spec, self.tile, self.build
        sums = []
        for c in range(tile.channels):
            begin = literal(0, self.kind)
            if self.bias is not None:
                begin = literal(build.let(build.load(self.bias, first + c)), self.kind)
            sums.append([build.accumulator(begin) for _ in tile.positions])
        down, right = spec.vertical.stride * self.steps[1], spec.horizontal.stride * tile.lanes
        place = build.let(y * down + x * right)
        with build.loop(spec.inputs, name="input") as i:
            here = build.let(place + i * self.steps[0])
            these = build.let(first * spec.terms + i * spec.taps)
            with build.loop(spec.taps, name="tap", unroll=False) as tap:
                taken = build.let(here + build.load(self.taps, tap))
                met = [
                    build.let(build.load(self.turned, taken + (v * down + u * right), tile.lanes))
                    for v, u in tile.positions
                ]
                for c in range(tile.channels):
                    number = build.let(build.load(self.weight, these + tap + c * spec.terms))
                    for total, value in zip(sums[c], met, strict=True):
                        build.assign(total, fma(literal(number, self.kind), value, total))
        return sums

    def compare(
        self,
        sums: list[list[Variable]],
        window: Expression,
        numbers: list[Expression],
        has_nan: bool,
    ) -> None:
        """Compares sums, whose positions have these numbers, with the maxima so far."""
        tile, build = self.tile, self.build
        for c, values in enumerate(sums):
            at = build.let(self.kept(c, window))
            top: Expression = build.let(build.load(self.best, at, tile.lanes))
            place: Expression = build.let(build.load(self.chosen, at, tile.lanes))
            for value, number in zip(values, numbers, strict=True):
                better = binary(">", value, top)
                if has_nan:
                    better = binary("|", better, binary("!=", value, value))
                better = build.let(better)
                place = build.let(select(better, number, place))
                top = build.let(select(better, value, top))
            build.store(self.best, at, top)
            build.store(self.chosen, at, place)

    def write(self, first: Expression, window: Expression) -> None:
        """Writes maxima of some channels, of a piece of each line."""
        tile, build = self.tile, self.build
        lanes, piece = tile.lanes, tile.piece
        active = min(piece, tile.pooled[1])
        firsts = build.let(build.load(self.firsts, 0, lanes))
        begins = [
            build.let(firsts + literal(cast((window + n) * tile.window[1], "i32"), self.places))
            for n in range(piece)
        ]
        with build.loop(tile.channels, name="channel", unroll=False) as channel:
            tops, places = [], []
            for n, begin in enumerate(begins):
                at = build.let((channel * tile.pooled[1] + window + n) * lanes)
                top: Expression = build.let(build.load(self.best, at, lanes))
                place: Expression = build.load(self.chosen, at, lanes)
                if self.relu:
                    # in a window without anything above zero, all are zero: the first one counts
                    place = select(binary("<=", top, 0), 0, place)
                    top = build.let(select(binary("<", top, 0), 0, top))
                tops.append(top)
                places.append(build.let(place + begin))
            for n, (top, place) in enumerate(
                zip(within_pieces(build, tops), within_pieces(build, places), strict=True)
            ):
                build.store(self.turned_best, n * lanes, top)
                build.store(self.turned_chosen, n * lanes, place)
            plane = build.let((first + channel) * math.prod(tile.pooled) + window)
            with build.loop(piece, name="n", unroll=False) as n:
                for lane in range(0, lanes, piece):
                    target = build.let(build.load(self.targets, n + lane) + plane)
                    at = build.let(n * lanes + lane)
                    build.store(
                        self.values, target, build.load(self.turned_best, at, piece), active
                    )
                    number = cast(build.load(self.turned_chosen, at, piece), INDEX)
                    build.store(self.indices, target, number, active)
