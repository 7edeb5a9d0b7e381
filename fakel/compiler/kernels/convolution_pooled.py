"""Convolution, ReLU and max pooling as one kernel, and the gradient of the weight through them.

Forward, the map between convolution and pooling never goes to memory: maxima are taken from the
tiles in registers. Backward, only the maxima above zero have a gradient, so that the gradient of
the weight needs one small multiply-add for each of them instead of a dense correlation.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fakel.compiler.builder import Builder
from fakel.compiler.kernels.convolution import (
    SMALL,
    correlation_of,
    place_images,
    prepare,
    supported,
)
from fakel.compiler.kernels.convolution_blocks import Correlation, Tile, accumulate, tap_offsets
from fakel.compiler.kernels.convolution_layout import (
    Axis,
    Frame,
    copy_frame,
    four_dimensional,
    quotient,
    share,
    smaller,
    two_dimensional,
)
from fakel.compiler.kernels.convolution_pooled_lines import correlate_lines_and_pool, line_tile
from fakel.compiler.kernels.convolution_pooled_rows import correlate_rows_and_pool, pooled_tile
from fakel.compiler.loop_ir import (
    INDEX,
    Expression,
    Kernel,
    Type,
    binary,
    cast,
    fma,
    literal,
    select,
)
from fakel.compiler.target import Target, current, registers
from fakel.compiler.target import lanes as lanes_of
from fakel.graph import Node

_SPARE = 4
# Parts of the batch whose sparse gradients are summed apart: what threads can share.
_PARTS = 16
# A pooled element's taps times the elements of its window: from here on the sparse sum is faster.
_WORTHWHILE = 32


# -------------------------------------------------------------------- forward


def convolution_relu_pool(plan: Any, convolution: Node, pool: Node, relu: bool = True) -> bool:
    """Lowers ``max_pool(relu(convolution(input, weight, bias)))`` as a whole.

    The caller makes sure that nobody else reads the convolution's and the ReLU's values, and that
    the convolution's inputs are lowered. The results are those of `pool`.

    Args:
        plan: the plan.
        convolution: the node "convolution"; its inputs are read.
        pool: the node "max_pool"; its results (values, indices) are placed.
        relu: False where there is no ReLU between them.

    Returns:
        False, with nothing added, for what this has no kernel for: other dtypes, pooling windows
        that overlap, are padded or dilated, or are wider than a tile of registers.
    """
    source, weight, bias = (None if i is None else plan.read(i) for i in convolution.inputs)
    if not supported(source, weight, bias) or not all(math.prod(s) for s in pool.shape):
        return False
    window = pool.parameters["window"]
    kernel = two_dimensional(window.kernel, 1)
    apart = two_dimensional(window.stride, 1) == kernel
    inside = not any(window.padding) and all(
        o * k <= n
        for o, k, n in zip(window.output, window.kernel, convolution.shape[2:], strict=True)
    )
    if not (apart and inside) or set(window.dilation) != {1}:
        return False
    geometry = convolution.parameters["geometry"]
    spec = correlation_of(source, weight, bias, convolution.shape, geometry)
    pooled = two_dimensional(window.output, 1)
    o, c, y, x = four_dimensional(weight).strides
    packing = (weight, (spec.outputs * o, o, c, y, x))
    tile = _pooled_tile(spec, kernel[1], pooled[1])
    least = math.inf if tile is None else spec.cycles(tile)
    in_place: Callable[[], Kernel] | None = None
    if bias is None or bias.strides[0] == 1:
        rows, lines = pooled_tile(spec, kernel, pooled), line_tile(spec, kernel, pooled)
        if rows is not None and rows.cycles(spec) < least:
            least = rows.cycles(spec)
            in_place = functools.partial(correlate_rows_and_pool, spec, rows, packing[1], relu)
        if lines is not None and _contiguous(weight) and lines.cycles(spec) < least:
            in_place = functools.partial(correlate_lines_and_pool, spec, lines, relu)
    if in_place is not None:
        values, indices = plan.results(pool)
        images = place_images(plan, spec, source, spec.framed)
        biases = [] if bias is None else [bias]
        plan.call(
            in_place(),
            [images, weight, *biases, values, indices],
            writes=[values, indices],
            parallel=spec.products > SMALL,
            fine=True,
        )
        return True
    if tile is None:
        return False
    values, indices = plan.results(pool)
    prepared = prepare(plan, spec, tile, source, packing, bias, spec.framed)
    plan.call(
        correlate_and_pool(spec, tile, kernel, pooled, relu),
        [*prepared, values, indices],
        writes=[values, indices],
        parallel=spec.batch > 1,
        fine=True,
    )
    return True


def _pooled_tile(spec: Correlation, width: int, pooled: int) -> Tile | None:
    """Whole pooling windows of one row, as many as registers have room for."""
    lanes = lanes_of(spec.scalar)
    room = registers() - _SPARE
    for vectors in (2, 1):
        if vectors > 1 and spec.outputs <= lanes:
            continue
        windows = min(pooled, room // (vectors * width))
        if windows:
            windows = -(-pooled // -(-pooled // windows))
            return Tile(1, windows * width, vectors, lanes)
    return None


@functools.lru_cache(maxsize=256)
def correlate_and_pool(
    spec: Correlation, tile: Tile, window: tuple[int, int], pooled: tuple[int, int], relu: bool
) -> Kernel:
    """source, packed weights, packed bias (if any), values, indices."""
    build = Builder("correlate_and_pool")
    source, weight = build.buffer("source", spec.scalar), build.buffer("weight", spec.scalar)
    bias = build.buffer("bias", spec.scalar) if spec.has_bias else None
    values, indices = build.buffer("values", spec.scalar), build.buffer("indices", INDEX)
    strides = spec.framed_strides if spec.framed else spec.strides
    vertical, horizontal, lanes = spec.vertical, spec.horizontal, tile.lanes
    windows, tiles = tile.columns // window[1], tile.count(spec.outputs)
    best = build.local("best", spec.scalar, windows * tile.channels)
    chosen = build.local("chosen", "i32", windows * tile.channels)
    kind, whole = Type(spec.scalar, lanes), Type("i32", lanes)
    taps = tap_offsets(build, spec, spec.tap_steps)

    def keep_maxima(y: Expression, x: Expression, number: Expression) -> None:
        """Computes one row of the tile and compares it with the windows' maxima so far."""
        begin = build.let(
            place + y * (vertical.stride * strides[2]) + x * (horizontal.stride * strides[3])
        )
        sums = accumulate(build, spec, tile, (source, weight, bias), strides, taps, begin, number)
        first = build.let(cast(y * horizontal.outputs + x, "i32"))
        for slot in range(windows):
            for vector in range(tile.vectors):
                where = slot * tile.channels + vector * lanes
                top = build.let(build.load(best, where, lanes))
                index = build.let(build.load(chosen, where, lanes))
                for column in range(slot * window[1], (slot + 1) * window[1]):
                    value: Expression = sums[column][vector]
                    if relu:
                        value = build.let(select(binary("<", value, 0), 0, value))
                    here = build.let(literal(first + literal(column, "i32"), whole))
                    greater = build.let(
                        binary("|", binary(">", value, top), binary("!=", value, value))
                    )
                    top = build.let(select(greater, value, top))
                    index = build.let(select(greater, here, index))
                build.store(best, where, top)
                build.store(chosen, where, index)

    with build.share(spec.batch * spec.groups * tiles) as unit:
        rest, in_group = quotient(build, unit, tiles)
        image, group = quotient(build, rest, spec.groups)
        number = build.let(group * tiles + in_group)
        place = build.let(image * strides[0] + group * (spec.inputs * strides[1]))
        channel = build.let(in_group * tile.channels)
        remaining = build.let(smaller(literal(spec.outputs, INDEX) - channel, tile.channels))
        plane = build.let(image * (spec.groups * spec.outputs) + group * spec.outputs + channel)
        with build.loop(pooled[0], name="row") as row:
            with build.loop(-(-pooled[1] // windows), name="column") as column:
                slot = build.let(smaller(column * windows, pooled[1] - windows))
                x = build.let(slot * window[1])
                start = build.let(cast(row * window[0] * horizontal.outputs + x, "i32"))
                for i in range(windows * tile.vectors):
                    build.store(best, i * lanes, literal(-math.inf, kind))
                    at = i // tile.vectors * window[1]
                    build.store(chosen, i * lanes, literal(start + literal(at, "i32"), whole))
                with build.loop(window[0], name="y") as y:
                    keep_maxima(build.let(row * window[0] + y), x, number)
                with build.loop(remaining, name="lane") as lane:
                    target = build.let(((plane + lane) * pooled[0] + row) * pooled[1] + slot)
                    for i in range(windows):
                        build.store(values, target + i, build.load(best, lane + i * tile.channels))
                        build.store(
                            indices, target + i,
                            cast(build.load(chosen, lane + i * tile.channels), INDEX),
                        )  # fmt: skip
    return build.kernel


# -------------------------------------------------------------------- backward


@dataclass(frozen=True)
class SparseGradient:
    """Sizes and strides, in elements, of a weight gradient through pooling and ReLU."""

    scalar: str
    batch: int
    inputs: int
    outputs: int
    vertical: Axis
    horizontal: Axis
    size: tuple[int, int]
    strides: tuple[int, int, int, int]
    pooled: int
    has_bias: bool
    target: Target = field(default_factory=current)

    @property
    def parts(self) -> int:
        """Parts of the batch that are summed apart."""
        return min(_PARTS, self.batch)

    @property
    def frame(self) -> Frame:
        """What the convolution's outputs reach over."""
        start = (self.vertical.start, self.horizontal.start)
        return Frame(self.size, start, (self.vertical.extent, self.horizontal.extent))

    @property
    def width(self) -> int:
        """Lanes that hold a row of taps."""
        return 1 << max(self.horizontal.taps - 1, 0).bit_length()

    @property
    def frame_elements(self) -> int:
        """A thread's memory for the frames of an image; rows of taps may be read past the end."""
        return self.inputs * self.frame.elements + self.width

    @property
    def together(self) -> int:
        """Output channels that are summed at the same time."""
        vectors = -(-self.width // lanes_of(self.scalar)) * self.vertical.taps
        room = registers() // 2 // vectors
        return max(n for n in (1, 2, 3) if n == 1 or (self.outputs % n == 0 and n <= room))

    @property
    def row_elements(self) -> int:
        """Memory for the sums of an output channel."""
        return self.inputs * self.vertical.taps * self.width

    @property
    def part_elements(self) -> int:
        """Memory for the sums of a part: weights, then biases."""
        return self.outputs * (self.row_elements + 1)


def sparse_weight_gradient(
    plan: Any,
    weight_gradient: Node,
    input: Node,
    output_gradient: Node,
    indices: Node,
    pooled: Node,
    bias_gradient: Node | None = None,
) -> bool:
    """Lowers ``weight_gradient(input, relu_gradient(max_pool_gradient(g, indices), relu_output))``.

    Args:
        plan: the plan.
        weight_gradient: the node "convolution_weight_gradient"; its result is placed.
        input: the convolution's input.
        output_gradient: the pooling's output gradient, g.
        indices: the pooling's second result.
        pooled: the pooling's first result: the maxima of the ReLU's output. Where one is not above
            zero, its gradient does not pass the ReLU.
        bias_gradient: a node that is the sum of the same ReLU's gradient over batch and positions,
            of shape (channels,), whose result is then placed as well.

    Returns:
        False, with nothing added, for what this has no kernel for (other dtypes, groups, dilated
        rows, tensors that are not contiguous), or where the dense gradient is faster.
    """
    source, gradient, chosen, maxima = (
        plan.read(each) for each in (input, output_gradient, indices, pooled)
    )
    geometry = weight_gradient.parameters["geometry"]
    if geometry.groups != 1 or geometry.dilation[-1] != 1:
        return False
    if not supported(source, gradient, maxima) or chosen.dtype.name != "int64":
        return False
    if not all(_contiguous(access) for access in (gradient, chosen, maxima)):
        return False
    shape = weight_gradient.shape
    map_shape = weight_gradient.inputs[1].shape  # type: ignore[union-attr]
    spared = math.prod(map_shape[2:]) // math.prod(gradient.shape[2:])
    if shape[-1] * spared < _WORTHWHILE or shape[-1] > 16:
        return False
    seen = four_dimensional(source)
    taps = two_dimensional(tuple(shape[2:]), 1)
    axes = [
        Axis(outputs, count, -p, s, d)
        for outputs, count, s, p, d in zip(
            two_dimensional(tuple(map_shape[2:]), 1),
            taps,
            two_dimensional(geometry.stride, 1),
            two_dimensional(geometry.padding, 0),
            two_dimensional(geometry.dilation, 1),
            strict=True,
        )
    ]
    spec = SparseGradient(
        scalar=source.scalar,
        batch=seen.shape[0],
        inputs=seen.shape[1],
        outputs=shape[0],
        vertical=axes[0],
        horizontal=axes[1],
        size=seen.shape[2:],
        strides=seen.strides,
        pooled=math.prod(gradient.shape[2:]),
        has_bias=bias_gradient is not None,
    )
    results = [plan.result(weight_gradient)]
    if bias_gradient is not None:
        results.append(plan.result(bias_gradient))
    sums = plan.scratch(spec.parts * spec.part_elements, source.dtype)
    # a thread uses the part of the first of its parts
    frames = plan.scratch(spec.parts * spec.frame_elements, source.dtype)
    plan.call(
        sum_sparse(spec), [source, gradient, chosen, maxima, sums, frames], writes=[sums, frames],
        errors=lambda status: RuntimeError("max_pool_gradient: an index lies outside the input"),
        trusted=plan.makes(chosen), fine=True,
    )  # fmt: skip
    plan.call(join_sparse(spec), [sums, *results], writes=results, parallel=False)
    return True


def _contiguous(access: Any) -> bool:
    expected, step = [], 1
    for length in reversed(access.shape):
        expected.append(step)
        step *= length
    return all(
        length == 1 or stride == wanted
        for length, stride, wanted in zip(
            access.shape, access.strides, reversed(expected), strict=True
        )
    )


@functools.lru_cache(maxsize=256)
def sum_sparse(spec: SparseGradient) -> Kernel:
    """input, output gradient, indices, maxima, sums, memory for frames."""
    build = Builder("sparse_weight_gradient")
    source, gradient = build.buffer("input", spec.scalar), build.buffer("gradient", spec.scalar)
    indices, maxima = build.buffer("indices", INDEX), build.buffer("maxima", spec.scalar)
    sums, frames = build.buffer("sums", spec.scalar), build.buffer("frames", spec.scalar)
    lanes, columns = lanes_of(spec.scalar), spec.frame.extent[1]
    step = min(lanes, spec.width)
    kind, positions = Type(spec.scalar, step), spec.vertical.outputs * spec.horizontal.outputs
    parts = [(row, at) for row in range(spec.vertical.taps) for at in range(0, spec.width, step)]

    def add(image: Expression, channel: Expression, i: Expression) -> None:
        """What one image and input channel give to the sums of some output channels."""
        zero = literal(0, kind)
        totals = [[build.accumulator(zero) for _ in parts] for _ in range(spec.together)]
        passed = [build.accumulator(0, spec.scalar) for _ in range(spec.together)]
        plane = build.let(slot + i * spec.frame.elements)
        begin = build.let((image * spec.outputs + channel) * spec.pooled)
        with build.loop(spec.pooled, name="window", unroll=False) as window:
            for number in range(spec.together):
                at = build.let(begin + (window + number * spec.pooled))
                index = build.let(build.load(indices, at))
                with build.when(binary("|", binary("<", index, 0), binary(">=", index, positions))):
                    build.fail(1)
                y, x = quotient(build, index, spec.horizontal.outputs)
                value = build.load(gradient, at)
                value = build.let(select(binary("<=", build.load(maxima, at), 0), 0, value))
                build.assign(passed[number], passed[number] + value)
                corner = build.let(
                    plane + y * (spec.vertical.stride * columns) + x * spec.horizontal.stride
                )
                factor = build.let(literal(value, kind))
                for (row, start), total in zip(parts, totals[number], strict=True):
                    met = corner + (row * spec.vertical.dilation * columns + start)
                    build.assign(total, fma(build.load(frames, met, step), factor, total))
        for number in range(spec.together):
            row_start = build.let(
                place
                + (channel + number) * spec.row_elements
                + i * (spec.vertical.taps * spec.width)
            )
            for (row, start), total in zip(parts, totals[number], strict=True):
                where = row_start + (row * spec.width + start)
                build.store(sums, where, build.load(sums, where, step) + total)
            with build.when(binary("==", i, 0)):
                where = build.let(place + spec.outputs * spec.row_elements + channel + number)
                build.store(sums, where, build.load(sums, where) + passed[number])

    with share(build, spec.parts) as (part, first):
        slot = build.let(first * spec.frame_elements, "slot")
        place = build.let(part * spec.part_elements, "place")
        with build.loop(spec.part_elements) as k:
            build.store(sums, place + k, 0)
        # what is read past the last frame must be a number
        with build.loop(spec.width) as k:
            build.store(frames, slot + (spec.inputs * spec.frame.elements + k), 0)
        begin = build.let(part * spec.batch // spec.parts)
        end = build.let((part + 1) * spec.batch // spec.parts)
        with build.loop(end, begin, name="image") as image:
            with build.loop(spec.inputs, name="channel") as i:
                origin = build.let(image * spec.strides[0] + i * spec.strides[1])
                copy_frame(
                    build, source, frames, (origin, build.let(slot + i * spec.frame.elements)),
                    spec.strides[2:], spec.frame, lanes,
                )  # fmt: skip
            with build.loop(spec.outputs, step=spec.together, name="channel") as channel:
                with build.loop(spec.inputs, name="input") as i:
                    add(image, channel, i)
    return build.kernel


@functools.lru_cache(maxsize=256)
def join_sparse(spec: SparseGradient) -> Kernel:
    """sums, weight gradient, bias gradient (if wanted): adds the parts up."""
    build = Builder("join_sparse")
    sums, result = build.buffer("sums", spec.scalar), build.buffer("result", spec.scalar)
    taps = spec.horizontal.taps

    def total(at: Expression, lanes: int) -> Expression:
        value = build.accumulator(build.load(sums, at, lanes))
        with build.loop(spec.parts, 1, name="part") as part:
            following = build.load(sums, at + part * spec.part_elements, lanes)
            build.assign(value, value + following)
        return value

    with build.loop(spec.outputs * spec.inputs * spec.vertical.taps, name="row") as row:
        lanes = min(spec.width, lanes_of(spec.scalar))
        for start in range(0, taps, lanes):
            value = total(build.let(row * spec.width + start), lanes)
            if lanes == 1:
                build.store(result, row * taps + start, value)
            else:
                build.store(result, row * taps + start, value, active=min(lanes, taps - start))
    if spec.has_bias:
        bias = build.buffer("bias", spec.scalar)
        with build.loop(spec.outputs, name="channel") as channel:
            at = build.let(spec.outputs * spec.row_elements + channel)
            build.store(bias, channel, total(at, 1))
    return build.kernel
