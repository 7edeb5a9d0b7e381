"""Kernels of pooling over windows of fixed size, and of its gradients.

Where windows lie inside the image, several neighbouring ones are computed at a time: the elements
that they meet in a row are loaded once and every tap's are picked from them. At the borders windows
are computed one by one, over the taps that lie inside.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from fakel.compiler.kernels.convolution.layout import each_vector, quotient, smaller
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    INDEX,
    Buffer,
    Expression,
    Kernel,
    Literal,
    Type,
    Variable,
    binary,
    call,
    cast,
    literal,
    select,
    shuffle,
)
from fakel.compiler.loop_ir.target import lanes as lanes_of

# Wider windows are computed one by one.
_WIDEST = 16


@dataclass(frozen=True)
class Windows:
    """Windows over (batch, channels, rows, columns); strides in elements."""

    scalar: str
    batch: int
    channels: int
    size: tuple[int, int]
    strides: tuple[int, int, int, int]
    kernel: tuple[int, int]
    step: tuple[int, int]
    padding: tuple[int, int]
    dilation: tuple[int, int]
    output: tuple[int, int]

    @property
    def interior(self) -> tuple[int, int]:
        """The columns of windows that lie inside the image, from the first to after the last."""
        reach = (self.kernel[1] - 1) * self.dilation[1]
        first = -(-self.padding[1] // self.step[1])
        last = (self.size[1] + self.padding[1] - reach - 1) // self.step[1] + 1
        first = min(first, self.output[1])
        return first, min(max(last, first), self.output[1])

    @property
    def lanes(self) -> int:
        """How many windows are computed at a time; 1 for one by one."""
        first, last = self.interior
        if self.strides[3] != 1 or self.kernel[1] > _WIDEST or self.step[1] > _WIDEST:
            return 1
        lanes = lanes_of(self.scalar)
        while lanes > 1 and lanes > last - first:
            lanes //= 2
        return lanes


Made = Callable[[Expression, Expression], Expression]


class _Rows:
    """The nest over planes, rows of windows and windows that all poolings share."""

    def __init__(
        self, spec: Windows, build: Builder, source: Buffer, made: Made | None = None
    ) -> None:
        self.spec, self.build, self.source = spec, build, source
        self.made = made or (lambda value, channel: value)

    def visit(
        self,
        several: Callable[[Expression, Expression, Expression], None],
        one: Callable[[Expression, Expression, Expression], None],
    ) -> None:
        """Calls ``several`` or ``one`` with the plane, the row and the first column of windows."""
        spec, build = self.spec, self.build
        rows, columns = spec.output
        first, last = spec.interior
        lanes = spec.lanes
        with build.share(spec.batch * spec.channels, name="plane") as plane:
            image, channel = quotient(build, plane, spec.channels)
            self.channel = channel
            self.begin = build.let(image * spec.strides[0] + channel * spec.strides[1], "begin")
            with build.loop(rows, name="row") as row:
                self.enter(row)
                if lanes == 1:
                    with build.loop(columns, name="column") as column:
                        one(plane, row, column)
                else:
                    self.columns(plane, row, (0, first), one)
                    whole = (last - first) // lanes * lanes
                    with build.loop(first + whole, first, step=lanes, name="column") as column:
                        several(plane, row, column)
                    if first + whole < last:
                        several(plane, row, literal(last - lanes, INDEX))
                    self.columns(plane, row, (last, columns), one)

    def columns(
        self,
        plane: Expression,
        row: Expression,
        span: tuple[int, int],
        one: Callable[[Expression, Expression, Expression], None],
    ) -> None:
        if span[0] < span[1]:
            with self.build.loop(span[1], span[0], name="column") as column:
                one(plane, row, column)

    def enter(self, row: Expression) -> None:
        """The rows of taps that lie inside the image, for a row of windows."""
        self.top, self.first_tap, self.last_tap = self.inside(row, 0)

    def inside(self, window: Expression, axis: int) -> tuple[Variable, Variable, Variable]:
        """Along one dimension: where a window starts, and its taps inside, first to after last."""
        spec, build = self.spec, self.build
        dilation = spec.dilation[axis]
        start = build.let(window * spec.step[axis] - spec.padding[axis], "start")
        missing = call("max", literal(0, INDEX) - start, 0)
        first = build.let((missing + (dilation - 1)) // dilation, "first")
        fitting = (literal(spec.size[axis] + dilation - 1, INDEX) - start) // dilation
        last = build.let(smaller(fitting, spec.kernel[axis]), "last")
        return start, first, last

    def taps(self, tap_row: Expression, column: Expression) -> list[Expression]:
        """For each tap of a row, the elements that neighbouring windows inside meet."""
        spec, build, lanes = self.spec, self.build, self.spec.lanes
        step, dilation = spec.step[1], spec.dilation[1]
        start = build.let(
            self.begin
            + (self.top + tap_row * spec.dilation[0]) * spec.strides[2]
            + (column * step - spec.padding[1])
        )
        span = (lanes - 1) * step + (spec.kernel[1] - 1) * dilation + 1
        loaded = [
            build.load(self.source, start + at, lanes, active=min(lanes, span - at))
            for at in range(0, span, lanes)
        ]
        loaded = [build.let(self.made(build.let(value), self.channel)) for value in loaded]
        return [
            _pick(build, loaded, [tap * dilation + lane * step for lane in range(lanes)])
            for tap in range(spec.kernel[1])
        ]

    def element(self, tap_row: Expression, position: Expression) -> Expression:
        """The element of a row of taps at a column of the image."""
        spec = self.spec
        row = self.top + tap_row * spec.dilation[0]
        value = self.build.load(
            self.source, self.begin + row * spec.strides[2] + position * spec.strides[3]
        )
        return self.made(value, self.channel)


def _pick(build: Builder, vectors: list[Expression], positions: list[int]) -> Expression:
    """The elements at these positions of vectors that lie side by side."""
    lanes = len(positions)
    used = sorted({position // lanes for position in positions})
    result = vectors[used[0]]
    if len(used) == 1:
        if positions == list(range(used[0] * lanes, (used[0] + 1) * lanes)):
            return result
        return build.let(shuffle(result, result, [p % lanes for p in positions]))
    for number, at in enumerate(used[1:], 1):
        picked = []
        for lane, position in enumerate(positions):
            if position // lanes == at:
                picked.append(lanes + position % lanes)
            else:  # picked before, or still to come
                done = number > 1
                picked.append(lane if done else position % lanes)
        result = build.let(shuffle(result, vectors[at], picked))
    return result


# -------------------------------------------------------------------- maximum


@functools.lru_cache(maxsize=512)
def max_pool(spec: Windows) -> Kernel:
    """source, values, indices: the maxima, and their flat positions in the plane. What is not a
    number is greater than everything.
    """
    build = Builder("max_pool")
    return max_pool_of(spec, build, build.buffer("source", spec.scalar))


def max_pool_of(spec: Windows, build: Builder, source: Buffer, made: Made | None = None) -> Kernel:
    """The kernel with the arguments values and indices more.

    Args:
        made: what the maxima are of, from the source's elements and the channel.
    """
    values, indices = build.buffer("values", spec.scalar), build.buffer("indices", INDEX)
    rows = _Rows(spec, build, source, made)
    width, dilation = spec.size[1], spec.dilation

    def place(plane: Expression, row: Expression, column: Expression) -> Expression:
        return build.let((plane * spec.output[0] + row) * spec.output[1] + column)

    def several(plane: Expression, row: Expression, column: Expression) -> None:
        lanes = spec.lanes
        best = build.accumulator(literal(-float("inf"), Type(spec.scalar, lanes)))
        # steps from the windows' first element, narrow to begin with
        first = cast(rows.first_tap * (dilation[0] * width), "i32")
        steps = build.accumulator(literal(first, Type("i32", lanes)))
        with build.loop(rows.last_tap, rows.first_tap, name="tap") as tap_row:
            line = build.let(cast(tap_row * (dilation[0] * width), "i32"))
            for tap, value in enumerate(rows.taps(tap_row, column)):
                step = literal(line + literal(tap * dilation[1], "i32"), Type("i32", lanes))
                _keep_greater(build, best, steps, value, step)
        origin = rows.top * width + (column * spec.step[1] - spec.padding[1])
        spread = Literal(tuple(lane * spec.step[1] for lane in range(lanes)), Type(INDEX, lanes))
        where = place(plane, row, column)
        build.store(values, where, best)
        build.store(indices, where, cast(steps, INDEX) + (spread + origin))

    def one(plane: Expression, row: Expression, column: Expression) -> None:
        left, first, last = rows.inside(column, 1)
        best = build.accumulator(-float("inf"), spec.scalar)
        steps = build.accumulator(
            build.let(rows.first_tap * (dilation[0] * width) + first * dilation[1])
        )
        with build.loop(rows.last_tap, rows.first_tap, name="tap") as tap_row:
            with build.loop(last, first, name="tap") as tap:
                value = build.let(rows.element(tap_row, left + tap * dilation[1]))
                step = build.let(tap_row * (dilation[0] * width) + tap * dilation[1])
                _keep_greater(build, best, steps, value, step)
        where = place(plane, row, column)
        build.store(values, where, best)
        build.store(indices, where, steps + (rows.top * width + left))

    rows.visit(several, one)
    return build.kernel


def _keep_greater(
    build: Builder, best: Variable, steps: Variable, value: Expression, step: Expression
) -> None:
    greater = build.let(
        binary("|", binary(">", value, best), binary("!=", value, value)), "greater"
    )
    build.assign(best, select(greater, value, best))
    build.assign(steps, select(greater, step, steps))


def max_pool_gradient(
    build: Builder,
    gradient: Callable[[Expression, Expression, Expression], Expression],
    planes: tuple[int, int],
    windows: int,
    length: int,
    index_strides: tuple[int, int, int],
    scalar: str,
) -> Kernel:
    """The kernel that adds each window's gradient where its maximum was; its last arguments are the
    indices and the result.

    Args:
        gradient: a window's, from the image, the channel and the window.
        planes: the batch and the channels.
        windows: of a plane.
        length: elements of a plane of the result.
        index_strides: of the indices' batch, channels and windows.
        scalar: the element type.
    """
    indices, result = build.buffer("indices", INDEX), build.buffer("result", scalar)
    lanes = lanes_of(scalar)
    with build.share(planes[0] * planes[1], name="plane") as plane:
        image, channel = quotient(build, plane, planes[1])
        begin = build.let(plane * length)
        each_vector(
            build, length, lanes,
            lambda x, wide: build.store(result, begin + x, literal(0, Type(scalar, wide))),
        )  # fmt: skip
        chosen = build.let(image * index_strides[0] + channel * index_strides[1])
        with build.loop(windows, name="window", unroll=False) as window:
            index = build.let(build.load(indices, chosen + window * index_strides[2]))
            with build.when(binary("|", binary("<", index, 0), binary(">=", index, length))):
                build.fail(1)
            value = gradient(image, channel, window)
            total = build.load(result, begin + index)
            build.store(result, begin + index, total + value)
    return build.kernel


# -------------------------------------------------------------------- average


@functools.lru_cache(maxsize=512)
def average_pool(spec: Windows, include_padding: bool, divisor: float | None) -> Kernel:
    """source, result: the means of the windows."""
    build = Builder("average_pool")
    source, result = build.buffer("source", spec.scalar), build.buffer("result", spec.scalar)
    rows = _Rows(spec, build, source)

    def place(plane: Expression, row: Expression, column: Expression) -> Expression:
        return (plane * spec.output[0] + row) * spec.output[1] + column

    def several(plane: Expression, row: Expression, column: Expression) -> None:
        total = build.accumulator(0, Type(spec.scalar, spec.lanes))
        with build.loop(rows.last_tap, rows.first_tap, name="tap") as tap_row:
            for value in rows.taps(tap_row, column):
                build.assign(total, total + value)
        count = _count(build, spec, include_padding, divisor, row, None)
        build.store(result, place(plane, row, column), total / count)

    def one(plane: Expression, row: Expression, column: Expression) -> None:
        left, first, last = rows.inside(column, 1)
        total = build.accumulator(0, spec.scalar)
        with build.loop(rows.last_tap, rows.first_tap, name="tap") as tap_row:
            with build.loop(last, first, name="tap") as tap:
                build.assign(total, total + rows.element(tap_row, left + tap))
        count = _count(build, spec, include_padding, divisor, row, column)
        build.store(result, place(plane, row, column), total / count)

    rows.visit(several, one)
    return build.kernel


def _count(
    build: Builder,
    spec: Windows,
    include_padding: bool,
    divisor: float | None,
    row: Expression,
    column: Expression | None,
) -> Expression:
    """What the sum of a window is divided by; without a column, of a window inside the image."""
    if divisor is not None:
        return literal(divisor, spec.scalar)
    count = literal(spec.kernel[1], INDEX)
    if column is not None:
        count = _length(spec, include_padding, column, 1)
    return build.let(cast(_length(spec, include_padding, row, 0) * count, spec.scalar), "count")


def _length(spec: Windows, include_padding: bool, window: Expression, axis: int) -> Expression:
    """Elements of a window along one dimension, with those in the padding or without."""
    start = window * spec.step[axis] - spec.padding[axis]
    stop = smaller(start + spec.kernel[axis], spec.size[axis] + spec.padding[axis])
    if not include_padding:
        start, stop = call("max", start, 0), smaller(stop, spec.size[axis])
    return stop - start


@functools.lru_cache(maxsize=512)
def average_pool_gradient(spec: Windows, include_padding: bool, divisor: float | None) -> Kernel:
    """output gradient, result: spreads each window's gradient over its elements. The strides are
    those of the gradient, the size is the result's.
    """
    build = Builder("average_pool_gradient")
    gradient, result = build.buffer("gradient", spec.scalar), build.buffer("result", spec.scalar)
    height, width = spec.size
    lanes = lanes_of(spec.scalar)
    rows = _Rows(spec, build, gradient)
    with build.share(spec.batch * spec.channels, name="plane") as plane:
        image, channel = quotient(build, plane, spec.channels)
        origin = build.let(image * spec.strides[0] + channel * spec.strides[1])
        begin = build.let(plane * (height * width))
        each_vector(
            build, height * width, lanes,
            lambda x, wide: build.store(result, begin + x, literal(0, Type(spec.scalar, wide))),
        )  # fmt: skip
        with build.loop(spec.output[0], name="row") as row:
            top, first_row, last_row = rows.inside(row, 0)
            with build.loop(spec.output[1], name="column") as column:
                left, first, last = rows.inside(column, 1)
                at = origin + row * spec.strides[2] + column * spec.strides[3]
                count = _count(build, spec, include_padding, divisor, row, column)
                value = build.let(build.load(gradient, at) / count)
                with build.loop(last_row, first_row, name="tap") as tap_row:
                    line = build.let(begin + (top + tap_row) * width + left)
                    with build.loop(last, first, name="tap") as tap:
                        build.store(result, line + tap, build.load(result, line + tap) + value)
    return build.kernel
