"""Results that are computed in parts, each of which holds every so-manyeth row and column."""

from __future__ import annotations

import functools
import math

from fakel.compiler.kernels.convolution.layout import quotient
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import Kernel, shuffle
from fakel.compiler.loop_ir.target import lanes as lanes_of


@functools.lru_cache(maxsize=512)
def interleave(
    scalar: str,
    planes: tuple[int, int],
    size: tuple[int, int],
    steps: tuple[int, int],
    strides: tuple[int, int, int, int],
) -> Kernel:
    """parts, result: puts images together of which a part holds every so-manyeth row and column.

    Args:
        scalar: the element type.
        planes: images, channels.
        size: rows and columns of the result.
        steps: how many parts there are along rows and columns; each is contiguous.
        strides: of the result; its columns lie side by side.
    """
    build = Builder("interleave")
    parts, result = build.buffer("parts", scalar), build.buffer("result", scalar)
    lanes = lanes_of(scalar)
    places = part_places(planes, size, steps)
    with build.share(planes[0] * planes[1]) as plane:
        image, channel = quotient(build, plane, planes[1])
        target = build.let(image * strides[0] + channel * strides[1])
        for top in range(min(steps[0], size[0])):
            shapes = [part_shape(size, steps, (top, left)) for left in range(steps[1])]
            with build.loop(shapes[0][0], name="y") as y:
                starts = [
                    build.let(plane * (rows * columns) + y * columns + places[top, left])
                    for left, (rows, columns) in enumerate(shapes)
                ]
                row = build.let(target + (y * steps[0] + top) * strides[2])
                whole = shapes[-1][1] // lanes * lanes if steps[1] == 2 else 0
                if whole:
                    with build.loop(whole, step=lanes, name="x") as x:
                        even, odd = (build.let(build.load(parts, s + x, lanes)) for s in starts)
                        for half in (0, lanes // 2):
                            picked = [half + i // 2 + i % 2 * lanes for i in range(lanes)]
                            at = row + x * 2 + 2 * half
                            build.store(result, at, shuffle(even, odd, picked))
                for left, (start, shape) in enumerate(zip(starts, shapes, strict=True)):
                    with build.loop(shape[1], whole, name="x") as x:
                        value = build.load(parts, start + x)
                        build.store(result, row + x * steps[1] + left, value)
    return build.kernel


def part_shape(
    size: tuple[int, int], steps: tuple[int, int], first: tuple[int, int]
) -> tuple[int, int]:
    """The size of the part that begins at a row and a column."""
    rows, columns = (max(-(-(n - f) // s), 0) for n, s, f in zip(size, steps, first, strict=True))
    return rows, columns


def part_places(
    planes: tuple[int, int], size: tuple[int, int], steps: tuple[int, int]
) -> dict[tuple[int, int], int]:
    """Where each part begins, by its first row and column; where all end, under (-1, -1)."""
    found, end = {}, 0
    for top in range(steps[0]):
        for left in range(steps[1]):
            found[top, left] = end
            end += math.prod((*planes, *part_shape(size, steps, (top, left))))
    return found | {(-1, -1): end}
