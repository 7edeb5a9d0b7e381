"""The gradient of a convolution's weight through max pooling and ReLU.

Only the maxima above zero have a gradient, so that one small multiply-add for each of them does
instead of a dense correlation.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass, field
from typing import Any

from fakel.compiler.kernels.convolution.layout import (
    Axis,
    Frame,
    axes,
    contiguous,
    copy_frame,
    four_dimensional,
    share,
)
from fakel.compiler.kernels.convolution.lowerings import supported
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    INDEX,
    Expression,
    Kernel,
    Type,
    binary,
    call,
    cast,
    fma,
    literal,
    select,
)
from fakel.compiler.loop_ir.target import Target, current, registers
from fakel.compiler.loop_ir.target import lanes as lanes_of
from fakel.graph import Node
from fakel.tensor.dtypes import int32

# Parts of the batch that are summed apart: what threads can share.
_PARTS = 16
# A pooled element's taps times the elements of its window: from here on the sparse sum is faster.
_WORTHWHILE = 32
# Taps of a row, all of which stay in registers.
_WIDEST = 16
# Elements of images, and windows of a channel, that are in use at the same time.
_NEAR = 8192


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
        return Frame.over(self.size, self.vertical, self.horizontal)

    @property
    def width(self) -> int:
        """Lanes that hold a row of taps."""
        return 1 << max(self.horizontal.taps - 1, 0).bit_length()

    @property
    def images(self) -> int:
        """Images that are added at the same time: they should stay in the first-level cache."""
        room = _NEAR // max(self.inputs * self.frame.elements, self.pooled)
        return max(1, min(room, -(-self.batch // self.parts)))

    @property
    def frames_elements(self) -> int:
        """A thread's memory for frames; rows of taps may be read past the end."""
        return self.images * self.inputs * self.frame.elements + self.width

    @property
    def together(self) -> int:
        """Output channels that are summed at the same time."""
        vectors = -(-self.width // lanes_of(self.scalar)) * self.vertical.taps
        room = registers() // 2 // vectors
        return max(n for n in (1, 2, 3) if n == 1 or (self.outputs % n == 0 and n <= room))

    @property
    def listed(self) -> int:
        """Windows of which a thread lists what they pass."""
        return self.images * self.together * self.pooled

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
    if not supported(source, gradient, maxima) or chosen.dtype.name != "int64":
        return False
    if not all(contiguous(access) for access in (gradient, chosen, maxima)):
        return False
    if not _pays(weight_gradient, math.prod(gradient.shape[2:])):
        return False
    shape = weight_gradient.shape
    seen = four_dimensional(source)
    vertical, horizontal = axes(
        weight_gradient.inputs[1].shape[2:], shape[2:], weight_gradient.parameters["geometry"]
    )
    spec = SparseGradient(
        scalar=source.scalar,
        batch=seen.shape[0],
        inputs=seen.shape[1],
        outputs=shape[0],
        vertical=vertical,
        horizontal=horizontal,
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
    frames = plan.scratch(spec.parts * spec.frames_elements, source.dtype)
    corners = plan.scratch(spec.parts * spec.listed, int32)
    factors = plan.scratch(spec.parts * spec.listed, source.dtype)
    memory = [sums, frames, corners, factors]
    plan.call(
        sum_sparse(spec), [source, gradient, chosen, maxima, *memory], writes=memory,
        errors=lambda status: RuntimeError("max_pool_gradient: an index lies outside the input"),
        trusted=plan.makes(chosen), fine=True,
    )  # fmt: skip
    plan.call(join_sparse(spec), [sums, *results], writes=results, parallel=False)
    return True


def _pays(weight_gradient: Node, pooled: int) -> bool:
    """Whether there is a kernel for a geometry, with so many windows a channel, that is faster than
    the dense gradient.
    """
    geometry, taps = weight_gradient.parameters["geometry"], weight_gradient.shape[-1]
    if geometry.groups != 1 or geometry.dilation[-1] != 1 or taps > _WIDEST:
        return False
    spared = math.prod(weight_gradient.inputs[1].shape[2:]) // pooled
    return bool(taps * spared >= _WORTHWHILE)


@functools.lru_cache(maxsize=256)
def sum_sparse(spec: SparseGradient) -> Kernel:
    """input, output gradient, indices, maxima, sums, memory for frames and for lists of what
    windows pass: where from, and how much.
    """
    return _Nest(spec).kernel()


class _Nest:
    def __init__(self, spec: SparseGradient) -> None:
        self.spec = spec
        self.build = build = Builder("sparse_weight_gradient")
        self.source = build.buffer("input", spec.scalar)
        self.gradient = build.buffer("gradient", spec.scalar)
        self.indices = build.buffer("indices", INDEX)
        self.maxima = build.buffer("maxima", spec.scalar)
        self.sums = build.buffer("sums", spec.scalar)
        self.frames = build.buffer("frames", spec.scalar)
        self.lanes = lanes_of(spec.scalar)
        # [image][channel][window]: where its largest element meets the first tap, and its gradient
        self.corners = build.buffer("corners", "i32")
        self.factors = build.buffer("factors", spec.scalar)
        self.size = spec.together * spec.pooled

    def kernel(self) -> Kernel:
        spec, build = self.spec, self.build
        with share(build, spec.parts) as (part, first):
            frames = build.let(first * spec.frames_elements, "frames")
            place = build.let(part * spec.part_elements, "place")
            listed = build.let(first * spec.listed, "listed")
            with build.loop(spec.part_elements) as k:
                build.store(self.sums, place + k, 0)
            # what is read past the last frame must be a number
            with build.loop(spec.width) as k:
                past = frames + (spec.frames_elements - spec.width)
                build.store(self.frames, past + k, 0)
            begin = build.let(part * spec.batch // spec.parts)
            end = build.let((part + 1) * spec.batch // spec.parts)
            with build.loop(end, begin, step=spec.images, name="start") as start:
                count = build.let(call("min", end - start, spec.images), "count")
                with (
                    build.loop(count, name="image") as image,
                    build.loop(spec.inputs, name="input") as i,
                ):
                    origin = (start + image) * spec.strides[0] + i * spec.strides[1]
                    target = frames + (image * spec.inputs + i) * spec.frame.elements
                    copy_frame(
                        build, self.source, self.frames, (build.let(origin), build.let(target)),
                        spec.strides[2:], spec.frame, self.lanes,
                    )  # fmt: skip
                with build.loop(spec.outputs, step=spec.together, name="channel") as channel:
                    with build.loop(count, name="image") as image:
                        self.describe(
                            (start + image) * spec.outputs + channel,
                            listed + image * self.size,
                            image,
                        )
                    with build.loop(spec.inputs, name="input") as i:
                        self.add((frames, listed, place), count, channel, i)
        return build.kernel

    def describe(self, first: Expression, target: Expression, image: Expression) -> None:
        """Lists what passes the pooling of some channels, and ReLU: where from, and how much."""
        spec, build, lanes = self.spec, self.build, self.lanes
        begin, target = build.let(first * spec.pooled), build.let(target)
        corner = build.let(cast(image * (spec.inputs * spec.frame.elements), "i32"))
        whole = self.size // lanes * lanes
        with build.loop(whole, step=lanes, name="window", unroll=False) as window:
            self.describe_vector(begin + window, target + window, corner, lanes)
        if whole < self.size:
            self.describe_vector(begin + whole, target + whole, corner, self.size - whole)

    def describe_vector(
        self, begin: Expression, target: Expression, corner: Expression, active: int
    ) -> None:
        """So many windows of the list."""
        spec, build, lanes = self.spec, self.build, self.lanes
        width, columns = spec.horizontal.outputs, spec.frame.extent[1]
        index = build.let(build.load(self.indices, begin, lanes, active))
        positions = spec.vertical.outputs * width
        wrong = binary("|", binary("<", index, 0), binary(">=", index, positions))
        with build.when(call("reduce_or", wrong, type=Type("i1"))):
            build.fail(1)
        index = build.let(cast(index, "i32"))
        y = build.let(index // width)
        x = index - y * width
        steps = (spec.vertical.stride * columns, spec.horizontal.stride)
        where = literal(corner, x.type) + y * steps[0] + x * steps[1]
        build.store(self.corners, target, where, active)
        value = build.load(self.gradient, begin, lanes, active)
        maximum = build.load(self.maxima, begin, lanes, active)
        build.store(self.factors, target, select(binary("<=", maximum, 0), 0, value), active)

    def add(
        self,
        memory: tuple[Expression, Expression, Expression],
        count: Expression,
        channel: Expression,
        i: Expression,
    ) -> None:
        """What some images give to the sums of some output channels and one input channel."""
        spec, build = self.spec, self.build
        step = min(self.lanes, spec.width)
        kind, numbers = Type(spec.scalar, step), range(spec.together)
        taps, starts = range(spec.vertical.taps), range(0, spec.width, step)
        parts = [(row, start) for row in taps for start in starts]
        totals = [[build.accumulator(literal(0, kind)) for _ in parts] for _ in numbers]
        passed = [build.accumulator(literal(0, kind)) for _ in numbers]
        frames, listed, place = memory
        plane = build.let(frames + i * spec.frame.elements)
        with (
            build.loop(count, name="image") as image,
            build.loop(spec.pooled, name="window", unroll=False) as window,
        ):
            for number in numbers:
                at = build.let(listed + image * self.size + number * spec.pooled + window)
                corner = build.let(plane + cast(build.load(self.corners, at), INDEX))
                factor = build.let(literal(build.load(self.factors, at), kind))
                build.assign(passed[number], passed[number] + factor)
                for (row, start), total in zip(parts, totals[number], strict=True):
                    met = corner + (row * spec.vertical.dilation * spec.frame.extent[1] + start)
                    build.assign(total, fma(build.load(self.frames, met, step), factor, total))
        for number in numbers:
            row_start = build.let(
                place
                + (channel + number) * spec.row_elements
                + i * (spec.vertical.taps * spec.width)
            )
            for (row, start), total in zip(parts, totals[number], strict=True):
                where = row_start + (row * spec.width + start)
                build.store(self.sums, where, build.load(self.sums, where, step) + total)
            with build.when(binary("==", i, 0)):
                where = build.let(place + spec.outputs * spec.row_elements + channel + number)
                one: Expression = passed[number]
                if step > 1:  # all lanes are equal
                    one = call("reduce_max", one, type=Type(spec.scalar))
                build.store(self.sums, where, build.load(self.sums, where) + one)


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
