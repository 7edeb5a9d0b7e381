"""The gradient of a convolution's weight with positions in the lanes: for few channels of a group.

For each output and input channel, all taps are summed at the same time, in vectors of neighbouring
positions; the lanes are added up at the end. Parts of the batch are summed apart, and then in
order, so that the result does not depend on the number of threads.
"""

from __future__ import annotations

import functools

from fakel.compiler.kernels.convolution.layout import copy_frame, quotient, share
from fakel.compiler.kernels.convolution.weights import WeightGradient
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import Buffer, Expression, Kernel, Type, call, fma, literal
from fakel.compiler.loop_ir.target import registers

# Parts of the batch times groups: what threads can share.
_ENOUGH_UNITS = 16
# Registers that the sums of taps leave.
_SPARE = 4


def parts_of_batch(spec: WeightGradient) -> int:
    """Parts of the batch that are summed apart."""
    return min(spec.batch, -(-_ENOUGH_UNITS // spec.groups))


def sums_of_part(spec: WeightGradient) -> int:
    """Memory for the sums of one part and group: a vector for each tap of each pair of channels."""
    taps = spec.vertical.taps * spec.horizontal.taps
    return spec.outputs * spec.inputs * taps * spec.lanes


def frames_of_unit(spec: WeightGradient) -> int:
    """Memory for the frames of a group of an image."""
    return spec.framed_strides[0]


def prefers_rows(spec: WeightGradient) -> bool:
    """Whether positions in the lanes are better than output channels in them."""
    side_by_side = spec.gradient_strides[3] == 1 and (spec.framed or spec.strides[3] == 1)
    if spec.horizontal.stride != 1 or not side_by_side:
        return False
    vectors = spec.vertical.outputs * -(-spec.horizontal.outputs // spec.lanes)
    # loads of the input, most of which cross lines of the cache, set the pace
    across = spec.outputs * vectors * 0.9
    along = spec.tiles * spec.vectors * spec.positions * 0.75
    return across < along


@functools.lru_cache(maxsize=512)
def sum_rows(spec: WeightGradient) -> Kernel:
    """input, output gradient, sums, and, where the input must be framed, memory for frames."""
    build = Builder("weight_gradient_rows")
    source = build.buffer("input", spec.scalar)
    gradient = build.buffer("gradient", spec.scalar)
    sums = build.buffer("sums", spec.scalar)
    frames = build.buffer("frames", spec.scalar) if spec.framed else None
    read, strides = (source, spec.strides) if frames is None else (frames, spec.framed_strides)
    parts, plane = parts_of_batch(spec), spec.frame.elements
    with share(build, parts * spec.groups) as (unit, first):
        part, group = quotient(build, unit, spec.groups)
        slot = build.let(first * frames_of_unit(spec), "slot")
        place = build.let(unit * sums_of_part(spec), "place")
        with build.loop(sums_of_part(spec), step=spec.lanes) as k:
            build.store(sums, place + k, literal(0, Type(spec.scalar, spec.lanes)))
        begin = build.let(part * spec.batch // parts, "begin")
        end = build.let((part + 1) * spec.batch // parts, "end")
        with build.loop(end, begin, name="image") as image:
            origin = build.let(
                image * spec.strides[0] + group * (spec.inputs * spec.strides[1]), "origin"
            )
            if frames is not None:
                with build.loop(spec.inputs, name="input") as i:
                    places = origin + i * spec.strides[1], slot + i * plane
                    copy_frame(
                        build, source, frames, (build.let(places[0]), build.let(places[1])),
                        spec.strides[2:], spec.frame, spec.lanes,
                    )  # fmt: skip
            with (
                build.loop(spec.outputs, name="output") as o,
                build.loop(spec.inputs, name="input") as i,
            ):
                channel = group * spec.outputs + o
                steps = spec.gradient_strides
                met = build.let(image * steps[0] + channel * steps[1], "met")
                start = slot if frames is not None else origin
                pair = build.let(
                    place
                    + (o * spec.inputs + i) * (sums_of_part(spec) // (spec.outputs * spec.inputs))
                )
                _add_image(
                    build, spec, (read, gradient, sums), strides,
                    (build.let(start + i * strides[1]), met, pair),
                )  # fmt: skip
    return build.kernel


def _add_image(
    build: Builder,
    spec: WeightGradient,
    buffers: tuple[Buffer, Buffer, Buffer],
    strides: tuple[int, int, int, int],
    places: tuple[Expression, Expression, Expression],
) -> None:
    """Adds what two channels of one image give: to every tap's vector."""
    read, gradient, sums = buffers
    start, met, pair = places
    lanes, width = spec.lanes, spec.horizontal.outputs
    columns = spec.horizontal.taps
    taps = [
        (y * spec.vertical.dilation * strides[2] + x * spec.horizontal.dilation * strides[3])
        for y in range(spec.vertical.taps)
        for x in range(columns)
    ]
    room = registers() - _SPARE
    count = -(-len(taps) // -(-len(taps) // room))
    for first in range(0, len(taps), count):
        chosen = taps[first : first + count]
        totals = [
            build.accumulator(build.load(sums, pair + (first + n) * lanes, lanes))
            for n in range(len(chosen))
        ]

        def add(row: Expression, other: Expression, active: int) -> None:
            value = build.let(build.load(gradient, other, lanes, active))
            for total, tap in zip(totals, chosen, strict=True):  # noqa: B023
                build.assign(total, fma(build.load(read, row + tap, lanes, active), value, total))

        with build.loop(spec.vertical.outputs, name="y", unroll=False) as y:
            row = build.let(start + y * (spec.vertical.stride * strides[2]))
            other = build.let(met + y * spec.gradient_strides[2])
            whole = width // lanes * lanes
            if whole:
                with build.loop(whole, step=lanes, name="x", unroll=False) as x:
                    add(build.let(row + x), build.let(other + x), lanes)
            if whole < width:
                add(row + whole, other + whole, width - whole)
        for n, total in enumerate(totals):
            build.store(sums, pair + (first + n) * lanes, total)


@functools.lru_cache(maxsize=512)
def join_rows(spec: WeightGradient, strides: tuple[int, int, int, int]) -> Kernel:
    """sums, result: adds up parts and lanes. The strides are those of the result's output channels,
    input channels, rows and columns.
    """
    build = Builder("join_rows")
    sums, result = build.buffer("sums", spec.scalar), build.buffer("result", spec.scalar)
    lanes, parts = spec.lanes, parts_of_batch(spec)
    following = spec.groups * sums_of_part(spec)
    rows, columns = spec.vertical.taps, spec.horizontal.taps
    with build.share(spec.groups * spec.outputs * spec.inputs) as pair:
        output, input = quotient(build, pair, spec.inputs)
        target = build.let(output * strides[0] + input * strides[1])
        with build.loop(rows, name="y") as y, build.loop(columns, name="x") as x:
            place = build.let((pair * (rows * columns) + y * columns + x) * lanes)
            total = build.accumulator(build.load(sums, place, lanes))
            with build.loop(parts, 1, name="part") as part:
                build.assign(total, total + build.load(sums, place + part * following, lanes))
            value: Expression = total
            if lanes > 1:
                value = call("reduce_add", total, type=Type(spec.scalar))
            build.store(result, target + y * strides[2] + x * strides[3], value)
    return build.kernel
