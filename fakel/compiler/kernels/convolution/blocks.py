"""Correlation with output channels in the lanes, in register tiles of (positions x channels).

The weights lie packed with the channels of a tile side by side. For each input channel and tap, the
tile's positions are broadcast and multiplied with them: a matrix product whose left side is read
from the images as they are. The tile is transposed when it is written.
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
from fakel.compiler.loop_ir.language import (
    INDEX,
    Buffer,
    Expression,
    Kernel,
    Type,
    Variable,
    binary,
    fma,
    literal,
    shuffle,
)
from fakel.compiler.loop_ir.target import Target, current, registers
from fakel.compiler.loop_ir.target import lanes as lanes_of

# A block's framed images should stay in the second-level cache (elements).
BLOCK_ELEMENTS = 48 * 1024
# With fewer blocks of images than this, threads share output channels as well.
ENOUGH_BLOCKS = 8
# Registers that a tile leaves for weights and broadcasts.
_SPARE = 4
_LATENCY = 4


@dataclass(frozen=True)
class Tile:
    """What one pass over the input channels computes: rows x columns x vectors of channels."""

    rows: int
    columns: int
    vectors: int
    lanes: int

    @property
    def positions(self) -> int:
        """Positions of the tile."""
        return self.rows * self.columns

    @property
    def channels(self) -> int:
        """Channels of the tile."""
        return self.vectors * self.lanes

    @property
    def term_cycles(self) -> float:
        """Estimated cycles that one product of every sum takes."""
        products = self.positions * self.vectors / 2
        loads = (self.positions + self.vectors) / 2
        return max(products, loads, _LATENCY) + 0.5

    def count(self, outputs: int) -> int:
        """How many tiles so many channels take."""
        return -(-outputs // self.channels)


@dataclass(frozen=True)
class Correlation:
    """Sizes and strides, in elements, of one correlation. ``inputs`` and ``outputs`` are a group's
    channels. ``size`` and ``strides`` are the source's; ``result_strides`` may skip elements.
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
    result_strides: tuple[int, int, int, int]
    has_bias: bool
    target: Target = field(default_factory=current)

    @property
    def taps(self) -> int:
        """Taps of the kernel."""
        return self.vertical.taps * self.horizontal.taps

    @property
    def terms(self) -> int:
        """Products that one output sums."""
        return self.inputs * self.taps

    @property
    def products(self) -> int:
        """Multiplications of the whole correlation."""
        outputs = self.vertical.outputs * self.horizontal.outputs
        return self.batch * self.groups * self.outputs * outputs * self.terms

    @property
    def frame(self) -> Frame:
        """What the outputs reach over."""
        return Frame.over(self.size, self.vertical, self.horizontal)

    @property
    def framed(self) -> bool:
        """Whether the source must be copied into a frame of zeros."""
        return not (self.vertical.fits(self.size[0]) and self.horizontal.fits(self.size[1]))

    @property
    def images(self) -> int:
        """Images of a block."""
        one = max(self.groups * self.inputs * self.frame.elements, 1)
        return max(1, min(BLOCK_ELEMENTS // one, self.batch // ENOUGH_BLOCKS))

    @property
    def blocks(self) -> int:
        """Blocks of images."""
        return -(-self.batch // self.images)

    @property
    def frames_of_its_own(self) -> bool:
        """Whether each thread frames the images that it computes."""
        return self.framed and self.blocks >= ENOUGH_BLOCKS

    @property
    def framed_strides(self) -> tuple[int, int, int, int]:
        """Strides of framed images."""
        width = self.horizontal.extent
        plane = self.frame.elements
        return (self.groups * self.inputs * plane, plane, width, 1)

    @property
    def tap_steps(self) -> tuple[int, int]:
        """How far taps in a column, and in a row, are apart in what kernels read."""
        strides = self.framed_strides if self.framed else self.strides
        return self.vertical.dilation * strides[2], self.horizontal.dilation * strides[3]

    @functools.cached_property
    def tile(self) -> Tile:
        """The tile that takes the least time by a simple count of a core's cycles."""
        lanes = lanes_of(self.scalar)
        room = registers() - _SPARE
        best: tuple[float, Tile] | None = None
        for vectors in range(1, 5):
            if vectors > 1 and (vectors - 1) * lanes >= self.outputs:
                break
            for columns in _parts(self.horizontal.outputs):
                for rows in _parts(self.vertical.outputs):
                    tile = Tile(rows, columns, vectors, lanes)
                    if tile.positions * vectors > room:
                        continue
                    cost = self.cycles(tile)
                    if best is None or cost < best[0]:
                        best = (cost, tile)
        assert best is not None
        return best[1]

    def cycles(self, tile: Tile) -> float:
        """Estimated cycles of an image."""
        # pieces of rows which are written as vectors
        length = tile.lanes if self.result_strides[3] == 1 else 1
        pieces = tile.rows * -(-tile.columns // length)
        leave = 40 + tile.channels * (-(-tile.positions // tile.lanes) * 5 + 2 * pieces)
        tiles = -(-self.vertical.outputs // tile.rows) * -(-self.horizontal.outputs // tile.columns)
        return tiles * tile.count(self.outputs) * (self.terms * tile.term_cycles + leave)


def _parts(length: int) -> list[int]:
    """Lengths of which several cover a length with little left over."""
    return sorted({-(-length // count) for count in range(1, length + 1)})


@functools.lru_cache(maxsize=512)
def pack_weights(spec: Correlation, tile: Tile, strides: tuple[int, int, int, int, int]) -> Kernel:
    """weight, packed: (groups, tiles, inputs, taps, channels of a tile). The strides are those of
    groups, outputs, inputs, rows and columns. Channels past the last repeat it.
    """
    build = Builder("pack_weights")
    weight, packed = build.buffer("weight", spec.scalar), build.buffer("packed", spec.scalar)
    tiles = tile.count(spec.outputs)
    group_stride, output_stride, input_stride, row_stride, column_stride = strides
    with build.share(spec.groups * tiles * spec.inputs) as unit:
        rest, i = quotient(build, unit, spec.inputs)
        group, number = quotient(build, rest, tiles)
        place = build.let(unit * (spec.taps * tile.channels))
        with build.loop(tile.channels, name="lane") as lane:
            channel = smaller(number * tile.channels + lane, spec.outputs - 1)
            source = build.let(group * group_stride + channel * output_stride + i * input_stride)
            with build.loop(spec.vertical.taps, name="y") as y:
                with build.loop(spec.horizontal.taps, name="x") as x:
                    value = build.load(weight, source + y * row_stride + x * column_stride)
                    tap = y * spec.horizontal.taps + x
                    build.store(packed, place + tap * tile.channels + lane, value)
    return build.kernel


@functools.lru_cache(maxsize=512)
def pack_bias(spec: Correlation, tile: Tile, stride: int) -> Kernel:
    """bias, packed: (groups, tiles, channels of a tile)."""
    build = Builder("pack_bias")
    bias, packed = build.buffer("bias", spec.scalar), build.buffer("packed", spec.scalar)
    tiles = tile.count(spec.outputs)
    with build.loop(spec.groups, name="group") as group:
        with build.loop(tiles * tile.channels, name="lane") as lane:
            channel = group * spec.outputs + smaller(lane, spec.outputs - 1)
            place = group * (tiles * tile.channels) + lane
            build.store(packed, place, build.load(bias, channel * stride))
    return build.kernel


@functools.lru_cache(maxsize=512)
def frame_images(spec: Correlation) -> Kernel:
    """source, framed: every plane into its frame."""
    build = Builder("frame_images")
    source, framed = build.buffer("source", spec.scalar), build.buffer("framed", spec.scalar)
    channels = spec.groups * spec.inputs
    with build.share(spec.batch * channels) as plane:
        image, channel = quotient(build, plane, channels)
        begin = build.let(image * spec.strides[0] + channel * spec.strides[1])
        places = (begin, build.let(plane * spec.frame.elements))
        copy_frame(
            build, source, framed, places, spec.strides[2:], spec.frame, lanes_of(spec.scalar)
        )
    return build.kernel


@functools.lru_cache(maxsize=512)
def correlate(spec: Correlation, tile: Tile) -> Kernel:
    """source, packed weights, packed bias (if any), result, and where each thread frames its own
    images, memory for the frames.
    """
    build = Builder("correlate")
    nest = _Nest(spec, tile, build)
    if spec.frames_of_its_own:
        nest.framing_blocks()
    else:
        nest.sharing_blocks()
    return build.kernel


class _Nest:
    def __init__(self, spec: Correlation, tile: Tile, build: Builder) -> None:
        self.spec, self.tile, self.build = spec, tile, build
        self.source = build.buffer("source", spec.scalar)
        self.weight = build.buffer("weight", spec.scalar)
        self.bias = build.buffer("bias", spec.scalar) if spec.has_bias else None
        self.result = build.buffer("result", spec.scalar)
        self.taps = tap_offsets(build, spec, spec.tap_steps)
        self.width = -(-tile.positions // tile.lanes) * tile.lanes
        self.flat = build.local("tile", spec.scalar, self.width * tile.channels)
        self.turned = build.local("turned", spec.scalar, tile.lanes * self.width)

    def framing_blocks(self) -> None:
        """Threads share blocks of images, which they frame first."""
        spec, build = self.spec, self.build
        frames = build.buffer("frames", spec.scalar)
        image_elements = spec.framed_strides[0]
        with share(build, spec.blocks) as (block, first):
            slot = build.let(first * (spec.images * image_elements), "slot")
            begin = build.let(block * spec.images)
            count = build.let(smaller(begin + spec.images, spec.batch) - begin, "count")
            with build.loop(count, name="image") as image:
                with build.loop(spec.groups * spec.inputs, name="channel") as channel:
                    origin = build.let(
                        (begin + image) * spec.strides[0] + channel * spec.strides[1]
                    )
                    place = build.let(slot + image * image_elements + channel * spec.frame.elements)
                    copy_frame(
                        build, self.source, frames, (origin, place), spec.strides[2:], spec.frame,
                        self.tile.lanes,
                    )  # fmt: skip
            with build.loop(spec.groups, name="group") as group:
                with build.loop(self.tile.count(spec.outputs), name="number") as number:
                    with build.loop(count, name="image") as image:
                        place = build.let(
                            slot
                            + image * image_elements
                            + group * (spec.inputs * spec.frame.elements)
                        )
                        self.image(frames, place, spec.framed_strides, begin + image, group, number)

    def sharing_blocks(self) -> None:
        """Threads share blocks of images and tiles of output channels."""
        spec, build = self.spec, self.build
        strides = spec.framed_strides if spec.framed else spec.strides
        tiles = self.tile.count(spec.outputs)
        with build.share(spec.blocks * spec.groups * tiles) as unit:
            rest, number = quotient(build, unit, tiles)
            block, group = quotient(build, rest, spec.groups)
            begin = build.let(block * spec.images)
            end = build.let(smaller(begin + spec.images, spec.batch))
            with build.loop(end, begin, name="image") as image:
                channel = group * spec.inputs
                place = build.let(image * strides[0] + channel * strides[1])
                self.image(self.source, place, strides, image, group, number)

    def image(
        self,
        source: Buffer,
        place: Expression,
        strides: tuple[int, int, int, int],
        image: Expression,
        group: Expression,
        number: Expression,
    ) -> None:
        """One image and one tile of channels: all positions."""
        spec, tile, build = self.spec, self.tile, self.build
        vertical, horizontal = spec.vertical, spec.horizontal
        tiles = tile.count(spec.outputs)
        chosen = build.let(group * tiles + number)
        channel = build.let(number * tile.channels, "channel")
        out = spec.result_strides
        target = build.let(image * out[0] + (group * spec.outputs + channel) * out[1])
        remaining = build.let(literal(spec.outputs, "i64") - channel, "remaining")
        with build.loop(-(-vertical.outputs // tile.rows), name="row") as row:
            y = build.let(smaller(row * tile.rows, vertical.outputs - tile.rows), "y")
            with build.loop(-(-horizontal.outputs // tile.columns), name="column") as column:
                x = build.let(
                    smaller(column * tile.columns, horizontal.outputs - tile.columns), "x"
                )
                begin = build.let(
                    place
                    + y * (vertical.stride * strides[2])
                    + x * (horizontal.stride * strides[3])
                )
                sums = accumulate(
                    build, spec, tile, (source, self.weight, self.bias), strides, self.taps, begin,
                    chosen,
                )  # fmt: skip
                for position, row_of_sums in enumerate(sums):
                    for vector, value in enumerate(row_of_sums):
                        build.store(
                            self.flat, position * tile.channels + vector * tile.lanes, value
                        )
                self.write(build.let(target + y * out[2] + x * out[3]), remaining)

    def write(self, target: Expression, remaining: Expression) -> None:
        """Puts the tile, transposed, into the result."""
        spec, tile, build = self.spec, self.tile, self.build
        with build.loop(tile.vectors, name="vector", unroll=False) as vector:
            channel = build.let(target + vector * (tile.lanes * spec.result_strides[1]))
            if spec.outputs % tile.channels == 0:
                self.write_vector(vector, channel, None)
            elif spec.outputs % tile.lanes == 0:
                with build.when(binary("<", vector * tile.lanes, remaining)):
                    self.write_vector(vector, channel, None)
            else:
                count = build.let(smaller(remaining - vector * tile.lanes, tile.lanes))
                self.write_vector(vector, channel, count)

    def write_vector(
        self, vector: Expression, target: Expression, count: Expression | None
    ) -> None:
        """Puts a vector of channels, of which so many exist (None: all), into the result."""
        tile, build, out = self.tile, self.build, self.spec.result_strides
        directly = count is None and out[3] == 1
        for start in range(0, self.width, tile.lanes):
            rows = [
                build.let(
                    build.load(
                        self.flat, (start + i) * tile.channels + vector * tile.lanes, tile.lanes
                    )
                )
                for i in range(tile.lanes)
            ]
            for lane, value in enumerate(transposed(build, rows)):
                if directly:
                    self.write_positions(target + lane * out[1], start, value)
                else:
                    build.store(self.turned, lane * self.width + start, value)
        if directly:
            return
        present = literal(tile.lanes, INDEX) if count is None else count
        with build.loop(present, name="lane", unroll=False) as lane:
            place = build.let(target + lane * out[1])
            if out[3] == 1:
                for start in range(0, self.width, tile.lanes):
                    value = build.load(self.turned, lane * self.width + start, tile.lanes)
                    self.write_positions(place, start, build.let(value))
                return
            with build.loop(tile.rows, name="y", unroll=False) as y:
                with build.loop(tile.columns, name="x") as x:
                    value = build.load(self.turned, lane * self.width + y * tile.columns + x)
                    build.store(self.result, place + y * out[2] + x * out[3], value)

    def write_positions(self, target: Expression, start: int, value: Expression) -> None:
        """Puts one channel of as many positions of the tile as a vector has, from the start-th on,
        into the result.
        """
        tile, build = self.tile, self.build
        target = build.let(target)
        position, end = start, min(start + tile.lanes, tile.positions)
        while position < end:
            row, x = divmod(position, tile.columns)
            count = min(tile.columns - x, end - position)
            first = position - start
            lanes = max(1 << (count - 1).bit_length(), 2)
            part = value
            if first or lanes < tile.lanes:
                picked = [min(first + i, tile.lanes - 1) for i in range(lanes)]
                part = shuffle(value, value, picked)
            build.store(self.result, target + (row * self.spec.result_strides[2] + x), part, count)
            position += count


def tap_offsets(build: Builder, spec: Correlation, steps: tuple[int, int]) -> Buffer:
    """For each tap, how far it is from the first one where rows and columns of taps are so far
    apart: in one loop over all taps a processor loses less time than in nested short ones.
    """
    taps = build.local("taps", INDEX, max(spec.taps, 1))
    with build.loop(spec.vertical.taps) as y, build.loop(spec.horizontal.taps) as x:
        build.store(taps, y * spec.horizontal.taps + x, y * steps[0] + x * steps[1])
    return taps


def accumulate(
    build: Builder,
    spec: Correlation,
    tile: Tile,
    buffers: tuple[Buffer, Buffer, Buffer | None],
    strides: tuple[int, int, int, int],
    taps: Buffer,
    begin: Expression,
    chosen: Expression,
) -> list[list[Variable]]:
    """The sums of one tile: for each of its positions, vectors of output channels.

    Args:
        buffers: source, packed weights, packed bias.
        strides: of the source.
        taps: what `tap_offsets` gives for the source.
        begin: where in the source the tile's first position meets the first tap.
        chosen: the number of the tile of channels, over all groups.
    """
    source, weight, bias = buffers
    vertical, horizontal, lanes = spec.vertical, spec.horizontal, tile.lanes
    vectors = range(tile.vectors)
    if bias is None:
        start = [literal(0, Type(spec.scalar, lanes)) for _ in vectors]
    else:
        start = [
            build.let(build.load(bias, chosen * tile.channels + v * lanes, lanes)) for v in vectors
        ]
    sums = [[build.accumulator(start[v]) for v in vectors] for _ in range(tile.positions)]
    offsets = [
        row * vertical.stride * strides[2] + column * horizontal.stride * strides[3]
        for row in range(tile.rows)
        for column in range(tile.columns)
    ]
    panel = build.let(chosen * (spec.terms * tile.channels), "panel")
    with build.loop(spec.inputs, name="channel") as channel:
        here = build.let(begin + channel * strides[1])
        step = build.let(panel + channel * (spec.taps * tile.channels))
        with build.loop(spec.taps, name="tap", unroll=False) as tap:
            taken = build.let(here + build.load(taps, tap))
            place = build.let(step + tap * tile.channels)
            weights = [build.let(build.load(weight, place + v * lanes, lanes)) for v in vectors]
            for offset, row_of_sums in zip(offsets, sums, strict=True):
                value = build.let(
                    literal(build.load(source, taken + offset), Type(spec.scalar, lanes))
                )
                for total, factor in zip(row_of_sums, weights, strict=True):
                    build.assign(total, fma(value, factor, total))
    return sums
