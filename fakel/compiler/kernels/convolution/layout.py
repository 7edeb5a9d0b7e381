"""What convolution kernels share: how tensors lie, frames of zeros, and moving vectors about."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import INDEX, Buffer, Expression, Type, call, literal
from fakel.compiler.planning.lowering import Access
from fakel.tensor.size import contiguous_strides

FLOATS = ("float32", "float64")
# Rows of so many vectors are copied without a loop.
_UNROLLED = 4


@dataclass(frozen=True)
class Axis:
    """Along one spatial dimension: output ``o`` meets, with tap ``t``, the source's element
    ``start + o * stride + t * dilation``. Elements outside the source are zeros.
    """

    outputs: int
    taps: int
    start: int
    stride: int
    dilation: int

    @property
    def extent(self) -> int:
        """How many elements the outputs reach over."""
        return (self.outputs - 1) * self.stride + max(self.taps - 1, 0) * self.dilation + 1

    def fits(self, length: int) -> bool:
        """Whether all that the outputs meet lies in a source of this length."""
        return not self.taps or (self.start >= 0 and self.start + self.extent <= length)


@dataclass(frozen=True)
class Frame:
    """Rows and columns ``start`` to ``start + extent`` of images; they may reach beyond."""

    size: tuple[int, int]  # of the images
    start: tuple[int, int]
    extent: tuple[int, int]

    @classmethod
    def over(cls, size: tuple[int, int], vertical: Axis, horizontal: Axis) -> Frame:
        """What outputs reach over along two dimensions."""
        extent = (vertical.extent, horizontal.extent)
        return cls(size, (vertical.start, horizontal.start), extent)

    @property
    def elements(self) -> int:
        """Elements of one framed plane."""
        return math.prod(self.extent)


def four_dimensional(access: Access) -> Access:
    """(batch, channels, height, width): a tensor of one spatial dimension gets a height of 1."""
    if len(access.shape) == 4:
        return access
    (n, c, x), (sn, sc, sx) = access.shape, access.strides
    return replace(access, shape=(n, c, 1, x), strides=(sn, sc, 0, sx))


def two_dimensional(values: tuple[int, ...], missing: int) -> tuple[int, int]:
    """Numbers of one or two spatial dimensions as those of two."""
    return (missing, *values) if len(values) == 1 else values  # type: ignore[return-value]


def axes(outputs: Sequence[int], taps: Sequence[int], geometry: Any) -> list[Axis]:
    """What the outputs meet along both dimensions, of which one may be missing.

    Args:
        outputs: how many there are along each dimension.
        taps: the kernel's size.
        geometry: stride, padding and dilation.
    """
    return [
        Axis(count, size, -padding, stride, dilation)
        for count, size, stride, padding, dilation in zip(
            two_dimensional(tuple(outputs), 1),
            two_dimensional(tuple(taps), 1),
            two_dimensional(geometry.stride, 1),
            two_dimensional(geometry.padding, 0),
            two_dimensional(geometry.dilation, 1),
            strict=True,
        )
    ]


def moved(access: Access, elements: int) -> Access:
    """The access that begins so many elements further on."""
    return replace(access, offset=access.offset + elements)


def contiguous(access: Access) -> bool:
    """Whether the elements lie one after the other."""
    wanted = contiguous_strides(access.shape)
    return all(
        length == 1 or stride == step
        for length, stride, step in zip(access.shape, access.strides, wanted, strict=True)
    )


def split(count: int, lanes: int) -> list[tuple[int, int]]:
    """(start, width) of vectors that cover so many elements: full ones, then ever narrower ones."""
    result, start = [], 0
    while start < count:
        while lanes > count - start:
            lanes //= 2
        result.append((start, lanes))
        start += lanes
    return result


def each_vector(
    build: Builder, count: int, lanes: int, body: Callable[[Expression, int], None]
) -> None:
    """Calls ``body(start, width)`` for vectors that cover so many elements."""
    looped = count // lanes * lanes if count > _UNROLLED * lanes else 0
    if looped:
        with build.loop(looped, step=lanes, name="x") as x:
            body(x, lanes)
    for start, width in split(count - looped, lanes):
        body(literal(looped + start, INDEX), width)


@contextlib.contextmanager
def share(build: Builder, count: int) -> Iterator[tuple[Expression, Expression]]:
    """A loop over this thread's share of indices, and the first of them, a number of its own."""
    thread, threads = build.kernel.thread, build.kernel.threads
    start = build.let(thread * count // threads, "start")
    stop = build.let((thread + 1) * count // threads, "stop")
    with build.loop(stop, start) as index:
        yield index, start


def quotient(build: Builder, value: Expression, divisor: int) -> tuple[Expression, Expression]:
    """The quotient and the remainder."""
    if divisor == 1:
        return value, literal(0, INDEX)
    whole = build.let(value // divisor, "q")
    return whole, build.let(value - whole * divisor, "r")


def smaller(left: Expression, right: int) -> Expression:
    """The smaller of an index and a number."""
    return call("min", left, right)


def copy_frame(
    build: Builder,
    source: Buffer,
    target: Buffer,
    places: tuple[Expression, Expression],
    strides: tuple[int, int],
    frame: Frame,
    lanes: int,
) -> None:
    """Copies what of one plane lies in the frame, and writes zeros around it.

    Args:
        places: where the plane starts in the source, and its frame in the target.
        strides: of the source's rows and columns.
    """
    (height, width), (top, left), (rows, columns) = frame.size, frame.start, frame.extent
    first, last = min(max(-top, 0), rows), min(max(height - top, 0), rows)
    before, after = min(max(-left, 0), columns), min(max(width - left, 0), columns)
    first, before = min(first, last), min(before, after)
    begin, place = places

    def zeros(start: Expression, count: int) -> None:
        each_vector(
            build, count, lanes,
            lambda x, wide: build.store(target, start + x, _zero(target, wide)),
        )  # fmt: skip

    zeros(place, first * columns)
    with build.loop(last, first, name="y") as y:
        row = build.let(place + y * columns)
        origin = build.let(begin + (y + top) * strides[0] + (before + left) * strides[1])
        zeros(row, before)
        each_vector(
            build, after - before, lanes if strides[1] == 1 else 1,
            lambda x, wide: build.store(
                target, row + before + x, build.load(source, origin + x * strides[1], wide)
            ),
        )  # fmt: skip
        zeros(row + after, columns - after)
    zeros(place + last * columns, (rows - last) * columns)


def _zero(buffer: Buffer, lanes: int) -> Expression:
    return literal(0, Type(buffer.scalar, lanes))
