"""The gradient of a convolution's weight: sums over batch and positions, in registers.

For each tile of (input channels and taps x output channels), the output's gradient, packed with the
channels of a tile side by side, meets broadcast elements of the input. Parts of the batch are
summed apart, and then in order, so that the result does not depend on the number of threads.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass, field

from fakel.compiler.kernels.convolution.layout import (
    Axis,
    Frame,
    copy_frame,
    quotient,
    share,
    smaller,
)
from fakel.compiler.kernels.products.packing import transposed
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import Buffer, Expression, Kernel, Type, fma, literal
from fakel.compiler.loop_ir.target import Target, current, registers
from fakel.compiler.loop_ir.target import lanes as lanes_of

# What a block's packed gradient may take of the second-level cache (elements).
BLOCK_ELEMENTS = 64 * 1024
# Parts of the batch times tiles of output channels: what threads can share.
ENOUGH_UNITS = 16
# A sum of more products than this goes on from a new zero.
_POSITIONS = 2048
_SPARE = 4


@dataclass(frozen=True)
class WeightGradient:
    """Sizes and strides, in elements. ``inputs`` and ``outputs`` are the channels of a group;
    ``size`` and ``strides`` are the input's.
    """

    scalar: str
    batch: int
    groups: int
    inputs: int
    outputs: int
    vertical: Axis
    horizontal: Axis
    size: tuple[int, int]
    strides: tuple[int, int, int, int]
    gradient_strides: tuple[int, int, int, int]
    target: Target = field(default_factory=current)

    @property
    def lanes(self) -> int:
        """Lanes of a vector."""
        return lanes_of(self.scalar)

    @property
    def vectors(self) -> int:
        """Vectors of output channels in a tile."""
        return 1 if self.outputs <= self.lanes else 2

    @property
    def channels(self) -> int:
        """Output channels of a tile."""
        return self.vectors * self.lanes

    @property
    def tiles(self) -> int:
        """Tiles of output channels."""
        return -(-self.outputs // self.channels)

    @functools.cached_property
    def tile_taps(self) -> int:
        """Neighbouring taps of a row that a tile takes."""
        room = (registers() - _SPARE) // self.vectors
        return _part(self.horizontal.taps, room)

    @functools.cached_property
    def tile_inputs(self) -> int:
        """Input channels that a tile takes."""
        room = (registers() - _SPARE) // self.vectors
        return _part(self.inputs, room // self.tile_taps)

    @property
    def input_tiles(self) -> int:
        """Tiles of input channels."""
        return -(-self.inputs // self.tile_inputs)

    @property
    def tap_tiles(self) -> int:
        """Tiles of taps in a row."""
        return -(-self.horizontal.taps // self.tile_taps)

    @property
    def rows(self) -> int:
        """Rows of positions that are summed in one go."""
        if self.positions <= _POSITIONS:
            return self.vertical.outputs
        return max(1, _POSITIONS // self.horizontal.outputs)

    @property
    def positions(self) -> int:
        """Positions of an image."""
        return self.vertical.outputs * self.horizontal.outputs

    @property
    def parts(self) -> int:
        """Parts of the batch that are summed apart."""
        return min(self.batch, -(-ENOUGH_UNITS // (self.groups * self.tiles)))

    @property
    def images(self) -> int:
        """Images whose positions are summed in one go."""
        if self.rows < self.vertical.outputs:
            return 1
        room = min(_POSITIONS, BLOCK_ELEMENTS // self.channels) // self.positions
        return max(1, min(room, -(-self.batch // self.parts)))

    @property
    def units(self) -> int:
        """What threads share: parts of the batch, groups and tiles of output channels."""
        return self.parts * self.groups * self.tiles

    @property
    def frame(self) -> Frame:
        """What the outputs reach over."""
        return Frame.over(self.size, self.vertical, self.horizontal)

    @property
    def framed(self) -> bool:
        """Whether the input must be copied into a frame of zeros."""
        return not (self.vertical.fits(self.size[0]) and self.horizontal.fits(self.size[1]))

    @property
    def framed_strides(self) -> tuple[int, int, int, int]:
        """Strides of framed images of one group."""
        plane = self.frame.elements
        return (self.inputs * plane, plane, self.horizontal.extent, 1)

    @property
    def frames_elements(self) -> int:
        """Memory for the frames of one thread."""
        return self.images * self.framed_strides[0] if self.framed else 0

    @property
    def packed_elements(self) -> int:
        """Memory for the packed gradient of one thread."""
        return self.images * self.rows * self.horizontal.outputs * self.channels

    @property
    def sum_elements(self) -> int:
        """Memory for the sums of one unit."""
        return (
            self.input_tiles
            * self.vertical.taps
            * self.tap_tiles
            * self.tile_inputs
            * self.tile_taps
            * self.channels
        )


def _part(length: int, room: int) -> int:
    """The longest part, at most ``room``, of which several cover a length with little left over."""
    return -(-length // -(-length // max(1, min(length, room))))


@functools.lru_cache(maxsize=512)
def sum_parts(spec: WeightGradient) -> Kernel:
    """input, output gradient, sums, memory for packed gradients, and, where the input must be
    framed, memory for frames.
    """
    build = Builder("weight_gradient")
    _Nest(spec, build).units()
    return build.kernel


class _Nest:
    def __init__(self, spec: WeightGradient, build: Builder) -> None:
        self.spec, self.build = spec, build
        self.input = build.buffer("input", spec.scalar)
        self.gradient = build.buffer("gradient", spec.scalar)
        self.sums = build.buffer("sums", spec.scalar)
        self.packed = build.buffer("packed", spec.scalar)
        self.frames = build.buffer("frames", spec.scalar) if spec.framed else None

    def units(self) -> None:
        """Each unit's sums: all taps and input channels of one tile of output channels."""
        spec, build = self.spec, self.build
        with share(build, spec.units) as (unit, first):
            rest, number = quotient(build, unit, spec.tiles)
            part, group = quotient(build, rest, spec.groups)
            self.slot = build.let(first * spec.packed_elements, "slot")
            self.frame_slot = build.let(first * spec.frames_elements, "slot")
            self.place = build.let(unit * spec.sum_elements, "place")
            self.clear()
            begin = build.let(part * spec.batch // spec.parts, "begin")
            end = build.let((part + 1) * spec.batch // spec.parts, "end")
            with build.loop(end, begin, step=spec.images, name="image") as image:
                count = build.let(smaller(end - image, spec.images), "count")
                if self.frames is not None:
                    self.fill_frames(image, count, group)
                with build.loop(spec.vertical.outputs, step=spec.rows, name="y") as y:
                    rows = build.let(smaller(spec.vertical.outputs - y, spec.rows), "rows")
                    self.pack(image, count, y, rows, group, number)
                    self.tiles(image, count, y, rows, group)

    def clear(self) -> None:
        spec, build = self.spec, self.build
        with build.loop(spec.sum_elements, step=spec.lanes) as i:
            build.store(self.sums, self.place + i, literal(0, Type(spec.scalar, spec.lanes)))

    def fill_frames(self, image: Expression, count: Expression, group: Expression) -> None:
        """Copies the images' channels of one group into frames."""
        spec, build = self.spec, self.build
        assert self.frames is not None
        with build.loop(count) as i, build.loop(spec.inputs, name="channel") as channel:
            origin = build.let(
                (image + i) * spec.strides[0] + (group * spec.inputs + channel) * spec.strides[1]
            )
            place = build.let(
                self.frame_slot + i * spec.framed_strides[0] + channel * spec.frame.elements
            )
            copy_frame(
                build, self.input, self.frames, (origin, place), spec.strides[2:], spec.frame,
                spec.lanes,
            )  # fmt: skip

    def pack(
        self,
        image: Expression,
        count: Expression,
        y: Expression,
        rows: Expression,
        group: Expression,
        number: Expression,
    ) -> None:
        """Packs the gradient of some images' rows: (images, rows, columns, channels of a tile).
        Channels past the last repeat it.
        """
        spec, build = self.spec, self.build
        columns, lanes, strides = spec.horizontal.outputs, spec.lanes, spec.gradient_strides
        joined = strides[3] == 1 and strides[2] == columns  # rows without gaps are one long row
        lines = literal(1, "i64") if joined else rows
        length = build.let(rows * columns) if joined else literal(columns, "i64")
        whole = build.let(length // lanes * lanes, "whole")
        with build.loop(count) as i, build.loop(lines, name="line") as line:
            with build.loop(spec.channels, step=lanes, name="lane") as lane:
                channel = build.let(number * spec.channels + lane)
                origin = (image + i) * strides[0] + (y + line) * strides[2]
                starts = [
                    build.let(
                        origin
                        + (group * spec.outputs + smaller(channel + c, spec.outputs - 1))
                        * strides[1]
                    )
                    for c in range(lanes)
                ]
                place = build.let(self.slot + ((i * rows + line) * columns) * spec.channels + lane)
                vectors = strides[3] == 1
                if vectors:
                    with build.loop(whole, step=lanes, name="x") as x:
                        values = [
                            build.let(build.load(self.gradient, start + x, lanes))
                            for start in starts
                        ]
                        for p, value in enumerate(transposed(build, values)):
                            build.store(self.packed, place + (x + p) * spec.channels, value)
                with build.loop(length, whole if vectors else 0, name="x") as x:
                    for c, start in enumerate(starts):
                        value = build.load(self.gradient, start + x * strides[3])
                        build.store(self.packed, place + x * spec.channels + c, value)

    def tiles(
        self,
        image: Expression,
        count: Expression,
        y: Expression,
        rows: Expression,
        group: Expression,
    ) -> None:
        """Adds what these rows of positions give to every tile's sums."""
        spec, build = self.spec, self.build
        horizontal, vertical = spec.horizontal, spec.vertical
        size = spec.tile_inputs * spec.tile_taps * spec.channels
        if self.frames is None:
            source, strides = self.input, spec.strides
            origin = build.let(image * strides[0] + group * (spec.inputs * strides[1]))
        else:
            source, strides = self.frames, spec.framed_strides
            origin = self.frame_slot
        origin = build.let(origin + y * (vertical.stride * strides[2]))
        with build.loop(spec.input_tiles, name="tile") as number:
            channel = smaller(number * spec.tile_inputs, spec.inputs - spec.tile_inputs)
            with build.loop(vertical.taps, name="tap_row") as tap_row:
                with build.loop(spec.tap_tiles, name="tap") as tap_number:
                    tap = smaller(tap_number * spec.tile_taps, horizontal.taps - spec.tile_taps)
                    begin = build.let(
                        origin
                        + channel * strides[1]
                        + tap_row * (vertical.dilation * strides[2])
                        + tap * (horizontal.dilation * strides[3])
                    )
                    which = (number * vertical.taps + tap_row) * spec.tap_tiles + tap_number
                    place = build.let(self.place + which * size)
                    self.tile(source, strides, begin, count, rows, place)

    def tile(
        self,
        source: Buffer,
        strides: tuple[int, int, int, int],
        begin: Expression,
        count: Expression,
        rows: Expression,
        place: Expression,
    ) -> None:
        spec, build = self.spec, self.build
        lanes, columns = spec.lanes, spec.horizontal.outputs
        kind = Type(spec.scalar, lanes)
        offsets = [
            channel * strides[1] + tap * spec.horizontal.dilation * strides[3]
            for channel in range(spec.tile_inputs)
            for tap in range(spec.tile_taps)
        ]
        zero = literal(0, kind)
        sums = [[build.accumulator(zero) for _ in range(spec.vectors)] for _ in offsets]
        with build.loop(count) as i, build.loop(rows, name="y") as y:
            line = build.let(begin + i * strides[0] + y * (spec.vertical.stride * strides[2]))
            packed = build.let(self.slot + (i * rows + y) * (columns * spec.channels))
            with build.loop(columns, name="x", unroll=False) as x:
                here = build.let(line + x * (spec.horizontal.stride * strides[3]))
                factors = [
                    build.let(
                        build.load(self.packed, packed + x * spec.channels + v * lanes, lanes)
                    )
                    for v in range(spec.vectors)
                ]
                for offset, row in zip(offsets, sums, strict=True):
                    value = build.let(literal(build.load(source, here + offset), kind))
                    for total, factor in zip(row, factors, strict=True):
                        build.assign(total, fma(value, factor, total))
        for position, row in enumerate(sums):
            for v, total in enumerate(row):
                where = place + position * spec.channels + v * lanes
                build.store(self.sums, where, build.load(self.sums, where, lanes) + total)


@functools.lru_cache(maxsize=512)
def join_parts(spec: WeightGradient, strides: tuple[int, int, int, int]) -> Kernel:
    """sums, result: adds the parts up and puts every sum in its place. The strides are those of the
    result's output channels, input channels, rows and columns.
    """
    build = Builder("join_parts")
    sums, result = build.buffer("sums", spec.scalar), build.buffer("result", spec.scalar)
    lanes = spec.lanes
    next_part = spec.groups * spec.tiles * spec.sum_elements
    turned = build.local("turned", spec.scalar, lanes)
    vectors = -(-spec.outputs // lanes)
    with build.share(spec.groups * vectors * spec.inputs) as unit:
        rest, channel = quotient(build, unit, spec.inputs)
        group, vector = quotient(build, rest, vectors)
        number = vector * lanes // spec.channels
        within = vector * lanes - number * spec.channels
        begin = build.let((group * spec.tiles + number) * spec.sum_elements + within)
        tile = build.let(channel // spec.tile_inputs)
        first = smaller(tile * spec.tile_inputs, spec.inputs - spec.tile_inputs)
        row = build.let(channel - first)
        target = build.let(
            (group * spec.outputs + vector * lanes) * strides[0] + channel * strides[1]
        )
        outputs = build.let(smaller(literal(spec.outputs, "i64") - vector * lanes, lanes))
        with build.loop(spec.vertical.taps, name="y") as y:
            with build.loop(spec.horizontal.taps, name="x") as x:
                tap_tile = build.let(x // spec.tile_taps)
                start = smaller(tap_tile * spec.tile_taps, spec.horizontal.taps - spec.tile_taps)
                which = (tile * spec.vertical.taps + y) * spec.tap_tiles + tap_tile
                position = (which * spec.tile_inputs + row) * spec.tile_taps + (x - start)
                place = build.let(begin + position * spec.channels)
                total = build.accumulator(build.load(sums, place, lanes))
                with build.loop(spec.parts, 1, name="part") as part:
                    build.assign(total, total + build.load(sums, place + part * next_part, lanes))
                build.store(turned, 0, total)
                with build.loop(outputs, name="lane") as lane:
                    where = target + lane * strides[0] + y * strides[2] + x * strides[3]
                    build.store(result, where, build.load(turned, lane))
    return build.kernel
