"""Convolution, ReLU and max pooling as one kernel.

The map between convolution and pooling never goes to memory: maxima are taken from the tiles in
registers.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

from fakel.compiler.kernels.convolution.blocks import Correlation, Tile, accumulate, tap_offsets
from fakel.compiler.kernels.convolution.layout import (
    contiguous,
    four_dimensional,
    quotient,
    smaller,
    two_dimensional,
)
from fakel.compiler.kernels.convolution.lowerings import (
    SMALL,
    correlation_of,
    place_images,
    prepare,
    supported,
)
from fakel.compiler.kernels.convolution.pooled_lines import correlate_lines_and_pool, line_tile
from fakel.compiler.kernels.convolution.pooled_rows import correlate_rows_and_pool, pooled_tile
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    INDEX,
    Expression,
    Kernel,
    Type,
    binary,
    cast,
    literal,
    select,
)
from fakel.compiler.loop_ir.target import lanes as lanes_of
from fakel.compiler.loop_ir.target import registers
from fakel.graph import Node

_SPARE = 4
# Estimated cycles: to compare a vector, to write a maximum and where it is.
_COMPARING, _WRITING = 1.6, 3


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
    if not _tiles(window, convolution.shape[2:]):
        return False
    geometry = convolution.parameters["geometry"]
    spec = correlation_of(source, weight, bias, convolution.shape, geometry)
    kernel, pooled = two_dimensional(window.kernel, 1), two_dimensional(window.output, 1)
    o, c, y, x = four_dimensional(weight).strides
    strides = (spec.outputs * o, o, c, y, x)
    tile = _pooled_tile(spec, kernel[1], pooled[1])
    least = math.inf if tile is None else _cycles(spec, tile, kernel, pooled)
    # kernels that read the weight and the bias where they lie
    in_place: Callable[[], Kernel] | None = None
    if bias is None or bias.strides[0] == 1:
        rows, lines = pooled_tile(spec, kernel, pooled), line_tile(spec, kernel, pooled)
        if rows is not None and rows.cycles(spec) < least:
            least = rows.cycles(spec)
            in_place = functools.partial(correlate_rows_and_pool, spec, rows, strides, relu)
        if lines is not None and contiguous(weight) and lines.cycles(spec) < least:
            in_place = functools.partial(correlate_lines_and_pool, spec, lines, relu)
    if in_place is None and tile is None:
        return False
    results = list(plan.results(pool))
    if in_place is not None:
        images = place_images(plan, spec, source, spec.framed)
        arguments = [images, weight, *([] if bias is None else [bias]), *results]
        parallel = spec.products > SMALL
        plan.call(in_place(), arguments, writes=results, parallel=parallel, fine=True)
    else:
        assert tile is not None
        prepared = prepare(plan, spec, tile, source, (weight, strides), bias, spec.framed)
        made = correlate_and_pool(spec, tile, kernel, pooled, relu)
        plan.call(made, [*prepared, *results], writes=results, parallel=spec.batch > 1, fine=True)
    return True


def _tiles(window: Any, size: Sequence[int]) -> bool:
    """Whether windows of pooling lie side by side, all of them inside of what is pooled."""
    inside = not any(window.padding) and all(
        o * k <= n for o, k, n in zip(window.output, window.kernel, size, strict=True)
    )
    apart = two_dimensional(window.stride, 1) == two_dimensional(window.kernel, 1)
    return apart and inside and set(window.dilation) == {1}


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


def _cycles(
    spec: Correlation, tile: Tile, window: tuple[int, int], pooled: tuple[int, int]
) -> float:
    """Estimated cycles of an image."""
    compare = _COMPARING * tile.columns * tile.vectors
    tiles = pooled[0] * window[0] * -(-pooled[1] * window[1] // tile.columns)
    tiles *= tile.count(spec.outputs)
    written = math.prod(pooled) * spec.outputs
    return tiles * (spec.terms * tile.term_cycles + compare + 40) + _WRITING * written


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
