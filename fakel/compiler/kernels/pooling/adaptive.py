"""Kernels of adaptive average pooling: window ``i`` of ``o`` over ``n`` elements goes from
``floor(i·n/o)`` up to ``ceil((i + 1)·n/o)``.
"""

from __future__ import annotations

import functools

from fakel.compiler.kernels.convolution.layout import quotient
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import Expression, Kernel, Type, call, cast
from fakel.compiler.loop_ir.target import lanes as lanes_of


def _bounds(
    build: Builder, window: Expression, length: int, output: int
) -> tuple[Expression, Expression]:
    start = build.let(window * length // output, "start")
    return start, build.let(((window + 1) * length + (output - 1)) // output, "stop")


@functools.lru_cache(maxsize=256)
def adaptive_average(
    scalar: str,
    shape: tuple[int, int, int, int],
    strides: tuple[int, int, int, int],
    output: tuple[int, int],
) -> Kernel:
    """source, result: the means of the windows."""
    build = Builder("adaptive_average_pool")
    source, result = build.buffer("source", scalar), build.buffer("result", scalar)
    lanes = lanes_of(scalar) if strides[3] == 1 else 1
    with build.share(shape[0] * shape[1], name="plane") as plane:
        image, channel = quotient(build, plane, shape[1])
        begin = build.let(image * strides[0] + channel * strides[1])
        with build.loop(output[0], name="row") as row, build.loop(output[1]) as column:
            top, bottom = _bounds(build, row, shape[2], output[0])
            left, right = _bounds(build, column, shape[3], output[1])
            whole = build.let((right - left) // lanes * lanes + left)
            several = build.accumulator(0, Type(scalar, lanes))
            one = build.accumulator(0, scalar)
            with build.loop(bottom, top, name="y") as y:
                line = build.let(begin + y * strides[2])
                with build.loop(whole, left, step=lanes, name="x") as x:
                    value = build.load(source, line + x * strides[3], lanes)
                    build.assign(several, several + value)
                with build.loop(right, whole, name="x") as x:
                    build.assign(one, one + build.load(source, line + x * strides[3]))
            joined = several if lanes == 1 else call("reduce_add", several, type=Type(scalar))
            total = one + joined
            count = cast((bottom - top) * (right - left), scalar)
            place = (plane * output[0] + row) * output[1] + column
            build.store(result, place, total / count)
    return build.kernel


@functools.lru_cache(maxsize=256)
def adaptive_average_gradient(
    scalar: str,
    shape: tuple[int, int, int, int],
    strides: tuple[int, int, int, int],
    size: tuple[int, int],
) -> Kernel:
    """output gradient, result: for each element, what the windows that it lies in give it. The
    shape and the strides are the gradient's, the size is the result's.
    """
    build = Builder("adaptive_average_pool_gradient")
    gradient, result = build.buffer("gradient", scalar), build.buffer("result", scalar)
    rows, columns = shape[2:]

    def windows(position: Expression, length: int, output: int) -> tuple[Expression, Expression]:
        """The first window that an element lies in, and the one after the last."""
        last = ((position + 1) * output - 1) // length
        return build.let(position * output // length, "first"), build.let(last + 1, "last")

    with build.share(shape[0] * shape[1], name="plane") as plane:
        image, channel = quotient(build, plane, shape[1])
        begin = build.let(image * strides[0] + channel * strides[1])
        with build.loop(size[0], name="y") as y, build.loop(size[1], name="x") as x:
            total = build.accumulator(0, scalar)
            first_row, last_row = windows(y, size[0], rows)
            first_column, last_column = windows(x, size[1], columns)
            with build.loop(last_row, first_row, name="row") as row:
                top, bottom = _bounds(build, row, size[0], rows)
                with build.loop(last_column, first_column, name="column") as column:
                    left, right = _bounds(build, column, size[1], columns)
                    given = build.load(gradient, begin + row * strides[2] + column * strides[3])
                    count = cast((bottom - top) * (right - left), scalar)
                    build.assign(total, total + given / count)
            build.store(result, (plane * size[0] + y) * size[1] + x, total)
    return build.kernel
