"""Correlation with positions in the lanes: for few output channels, such as one of each group.

Vectors hold neighbouring positions of a row; what is left of several rows shares a vector. Each tap
of a channel is one number for all lanes.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from fakel.compiler.kernels.convolution.blocks import Correlation, tap_offsets
from fakel.compiler.kernels.convolution.layout import copy_frame, quotient, share, smaller
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    Buffer,
    Expression,
    Kernel,
    Type,
    Variable,
    fma,
    literal,
    shuffle,
)
from fakel.compiler.loop_ir.target import lanes as lanes_of
from fakel.compiler.loop_ir.target import registers

# What threads share: images times groups times parts of the rows.
_ENOUGH_UNITS = 16
# Most loads of a vector cross lines of the cache, and take longer.
_LOAD = 1.7
# Every image reads the whole weight, number by number. From so many bytes on, it comes from beyond
# the second-level cache: cycles for each number, and more where the next input channel is far.
_BEYOND, _MUCH_BEYOND = 3 << 19, 1 << 22
_DISTANT, _SCATTERED = 0.25, 1.0
_FAR = 1024  # elements


@dataclass(frozen=True)
class Segment:
    """Neighbouring positions in the lanes of a vector: ``count`` of them, in ``width`` lanes."""

    row: int
    x: int
    count: int
    width: int


@dataclass(frozen=True)
class RowTile:
    """What is computed at the same time: so many rows of a width, of so many channels."""

    width: int
    lanes: int
    rows: int
    channels: int

    @property
    def whole(self) -> int:
        """Whole vectors of a row."""
        return self.width // self.lanes

    @property
    def rest(self) -> int:
        """What is left of a row."""
        return self.width % self.lanes

    @property
    def rest_lanes(self) -> int:
        """The lanes that this takes: a power of two, two at least."""
        return max(1 << max(self.rest - 1, 0).bit_length(), 2)

    @property
    def together(self) -> int:
        """What is left of so many rows shares a vector."""
        room = self.lanes // self.rest_lanes
        return max(n for n in (1, 2, 4, 8) if n <= room and self.rows % n == 0)

    def vectors(self, rows: int) -> list[tuple[Segment, ...]]:
        """The vectors that so many rows fill: those of equal columns follow one another."""
        end = self.whole * self.lanes
        found = [
            (Segment(row, x, self.lanes, self.lanes),)
            for x in range(0, end, self.lanes)
            for row in range(rows)
        ]
        if self.rest:
            found += [
                tuple(
                    Segment(row, end, self.rest, self.rest_lanes)
                    for row in range(first, first + self.together)
                )
                for first in range(0, rows, self.together)
            ]
        return found

    @property
    def fits(self) -> bool:
        """Whether the sums of all channels, and one vector of each kind, fit into registers."""
        return (self.channels + 1) * len(self.vectors(self.rows)) + 1 <= registers()

    def pass_cycles(self, terms: int) -> float:
        """Estimated cycles that computing the tile takes, without writing it."""
        vectors = self.vectors(self.rows)
        loads = self.channels + _LOAD * sum(len(each) for each in vectors)
        return terms * (max(len(vectors) * self.channels / 2, loads / 2, 4) + 0.5) + 30

    def cycles(self, spec: Correlation, input_stride: int) -> float:
        """Estimated cycles of a group of an image, with a weight whose input channels are so many
        elements apart.
        """
        stores = sum(len(each) for each in self.vectors(self.rows)) * self.channels
        passes = -(-spec.vertical.outputs // self.rows) * -(-spec.outputs // self.channels)
        size = spec.groups * spec.outputs * spec.terms * (8 if spec.scalar == "f64" else 4)
        waiting = _DISTANT if size > _MUCH_BEYOND else 0.0
        if size > _BEYOND and abs(input_stride) >= _FAR:
            waiting += _SCATTERED
        waits = waiting * spec.terms * self.channels
        return passes * (self.pass_cycles(spec.terms) + waits + 2 * stores)


def tile_of_rows(spec: Correlation, input_stride: int) -> RowTile | None:
    """The best tile for a weight whose input channels are so many elements apart; None for
    geometries that this has no kernel for.
    """
    if not reads_rows(spec) or spec.result_strides[3] != 1:
        return None
    found = [
        RowTile(spec.horizontal.outputs, lanes_of(spec.scalar), rows, channels)
        for rows in range(1, min(spec.vertical.outputs, 8) + 1)
        for channels in range(1, min(spec.outputs, registers()) + 1)
    ]
    fitting = [tile for tile in found if tile.fits]
    return min(fitting, key=lambda tile: tile.cycles(spec, input_stride), default=None)


def reads_rows(spec: Correlation) -> bool:
    """Whether what neighbouring outputs meet lies side by side."""
    return spec.horizontal.stride == 1 and (spec.framed or spec.strides[3] == 1)


def parts_of_rows(spec: Correlation, tile: RowTile) -> int:
    """In how many parts threads share the rows of a group of an image."""
    parts = -(-_ENOUGH_UNITS // (spec.batch * spec.groups))
    return min(parts, -(-spec.vertical.outputs // tile.rows))


@functools.lru_cache(maxsize=512)
def correlate_rows(
    spec: Correlation, tile: RowTile, weights: tuple[int, int, int, int, int], parts: int
) -> Kernel:
    """source, weight, bias (if any), result, and where the source must be framed, and the rows are
    one part, memory for the frames of ``batch * groups`` units.

    Args:
        spec: what is computed.
        tile: what at the same time.
        weights: the weight's strides: of groups, outputs, inputs, rows and columns.
        parts: the number of parts of the rows.
    """
    build = Builder("correlate_rows")
    source, weight = build.buffer("source", spec.scalar), build.buffer("weight", spec.scalar)
    bias = build.buffer("bias", spec.scalar) if spec.has_bias else None
    result = build.buffer("result", spec.scalar)
    strides = spec.framed_strides if spec.framed else spec.strides
    sums = RowSums(build, spec, tile, (source, weight, bias), strides, weights)
    plane = spec.frame.elements
    frames = build.buffer("frames", spec.scalar) if spec.framed and parts == 1 else None
    tiles = -(-spec.vertical.outputs // tile.rows)
    out = spec.result_strides
    with share(build, spec.batch * spec.groups * parts) as (unit, begin):
        rest, part = quotient(build, unit, parts)
        image, group = quotient(build, rest, spec.groups)
        channel = build.let(group * spec.inputs)
        place = build.let(image * strides[0] + channel * strides[1], "place")
        if frames is not None:
            sums.source = frames
            place = build.let(begin * (spec.inputs * plane), "place")
            with build.loop(spec.inputs, name="input") as i:
                origin = image * spec.strides[0] + (channel + i) * spec.strides[1]
                copy_frame(
                    build, source, frames, (build.let(origin), build.let(place + i * plane)),
                    spec.strides[2:], spec.frame, tile.lanes,
                )  # fmt: skip
        target = build.let(image * out[0] + group * (spec.outputs * out[1]), "target")
        first_tile = build.let(part * tiles // parts)
        last_tile = build.let((part + 1) * tiles // parts)
        with build.loop(spec.outputs, step=tile.channels, name="first") as start:
            first = build.let(smaller(start, spec.outputs - tile.channels), "first")
            with build.loop(last_tile, first_tile, name="tile", unroll=False) as number:
                y = build.let(smaller(number * tile.rows, spec.vertical.outputs - tile.rows), "y")
                step = spec.vertical.stride * strides[2]
                found = sums.of(build.let(place + y * step), group, first)
                for c, values in enumerate(found):
                    at = build.let(target + (first + c) * out[1] + y * out[2])
                    for total, each in zip(values, tile.vectors(tile.rows), strict=True):
                        for n, s in enumerate(each):
                            picked = range(n * s.width, (n + 1) * s.width)
                            value = total if len(each) == 1 else shuffle(total, total, picked)
                            build.store(result, at + (s.row * out[2] + s.x), value, s.count)
    return build.kernel


class RowSums:
    """Adds up what a tile of rows meets.

    Args:
        build: the kernel.
        spec: what is computed.
        tile: what at the same time.
        buffers: source, weight and bias.
        strides: of the source.
        weights: of groups, outputs, inputs, rows and columns of the weight.
    """

    def __init__(
        self,
        build: Builder,
        spec: Correlation,
        tile: RowTile,
        buffers: tuple[Buffer, Buffer, Buffer | None],
        strides: tuple[int, int, int, int],
        weights: tuple[int, int, int, int, int],
    ) -> None:
        self.build, self.spec, self.tile = build, spec, tile
        self.source, self.weight, self.bias = buffers
        self.strides, self.weights = strides, weights
        self.taps = tap_offsets(build, spec, spec.tap_steps)
        self.factors = tap_offsets(build, spec, weights[3:])

    def of(self, place: Expression, group: Expression, first: Expression) -> list[list[Variable]]:
        """For some output channels of a group, from the first on, the vectors of the rows.

        Args:
            place: where in the source the first row meets the first tap.
            group: the number of the group.
            first: the number of the first channel in the group.
        """
        spec, tile, build, weights = self.spec, self.tile, self.build, self.weights
        vectors = tile.vectors(tile.rows)
        step = spec.vertical.stride * self.strides[2]
        kinds = [Type(spec.scalar, sum(s.width for s in each)) for each in vectors]
        sums = []
        for c in range(tile.channels):
            start = literal(0, spec.scalar)
            if self.bias is not None:
                start = build.let(build.load(self.bias, group * spec.outputs + first + c))
            sums.append([build.accumulator(_in_every_lane(start, kind)) for kind in kinds])
        factors = build.let(group * weights[0] + first * weights[1], "factors")
        with build.loop(spec.inputs, name="input") as i:
            here = build.let(place + i * self.strides[1])
            these = build.let(factors + i * weights[2])
            with build.loop(spec.taps, name="tap", unroll=False) as tap:
                taken = build.let(here + build.load(self.taps, tap))
                factor = build.let(these + build.load(self.factors, tap))
                met = [self._joined(taken, step, each) for each in vectors]
                for c in range(tile.channels):
                    number = build.let(build.load(self.weight, factor + c * weights[1]))
                    for total, value in zip(sums[c], met, strict=True):
                        build.assign(total, fma(literal(number, value.type), value, total))
        return sums

    def _joined(self, start: Expression, step: int, segments: tuple[Segment, ...]) -> Expression:
        """One vector of several segments of the source."""
        build = self.build
        found = []
        for s in segments:
            place = start + (s.row * step + s.x)
            found.append(build.let(build.load(self.source, place, s.width, s.count)))
        while len(found) > 1:
            pairs = zip(found[::2], found[1::2], strict=True)
            found = [build.let(shuffle(a, b, range(2 * a.type.lanes))) for a, b in pairs]
        return found[0]


def _in_every_lane(value: Expression, kind: Type) -> Expression:
    return literal(value, kind) if isinstance(value, Variable) else literal(0, kind)
