"""Packing: copies a matrix into strips that lie in the order in which products read them.

A strip holds ``width`` neighbours along one dimension (the extent) for every index of the other one
(the depth), so that a product walks through it from start to end: strips[strip][depth][width]. The
last strip has its own width; what exceeds the matrix there is zero.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass

from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    Buffer,
    Expression,
    Kernel,
    Type,
    binary,
    call,
    literal,
    shuffle,
)


@dataclass(frozen=True)
class Packing:
    """What is packed: strides in elements, sizes of the matrix, widths of the strips."""

    scalar: str
    batch: int
    extent: int
    depth: int
    batch_stride: int
    extent_stride: int
    depth_stride: int
    width: int
    last_width: int

    @property
    def strips(self) -> int:
        """The number of strips of one matrix."""
        return -(-self.extent // self.width)

    @property
    def count(self) -> int:
        """Elements of one packed matrix."""
        return ((self.strips - 1) * self.width + self.last_width) * self.depth


def packing_kernel(packing: Packing) -> Kernel:
    """A kernel ``pack(source, packed)``; threads share the strips."""
    return _kernel(packing, target.lanes(packing.scalar))


@functools.lru_cache(maxsize=256)
def _kernel(packing: Packing, lanes: int) -> Kernel:
    build = Builder("pack")
    source, packed = build.buffer("source", packing.scalar), build.buffer("packed", packing.scalar)
    strips = packing.strips
    if packing.extent_stride == 1:
        copy: Callable[..., None] = _copy_rows
    elif packing.depth_stride == 1:
        copy = _transpose_blocks
    else:
        copy = _copy_elements
    with build.share(packing.batch * strips, "unit") as unit:
        number = build.let(unit // strips, "matrix") if packing.batch > 1 else literal(0, "i64")
        strip = build.let(unit % strips, "strip") if packing.batch > 1 else unit
        first = strip * packing.width
        origin = build.let(number * packing.batch_stride + first * packing.extent_stride, "origin")
        place = build.let(number * packing.count + first * packing.depth, "place")
        rest = packing.extent - (strips - 1) * packing.width
        whole = (packing.width, packing.width)
        last = (rest, packing.last_width)
        write = functools.partial(copy, build, packing, lanes, source, packed, origin, place)
        if whole == last:
            write(*whole)
        elif strips == 1:
            write(*last)
        else:
            with build.when(binary("<", strip, strips - 1)):
                write(*whole)
            with build.otherwise():
                write(*last)
    return build.kernel


def _copy_rows(
    build: Builder,
    packing: Packing,
    lanes: int,
    source: Buffer,
    packed: Buffer,
    origin: Expression,
    place: Expression,
    present: int,
    width: int,
) -> None:
    """Neighbours along the extent lie side by side already."""
    with build.loop(packing.depth, name="p") as p:
        start = build.let(origin + p * packing.depth_stride, "from")
        to = build.let(place + p * width, "to")
        for offset in range(0, width, lanes):
            value = _part(build, source, start + offset, lanes, present - offset)
            build.store(packed, to + offset, value, active=width - offset)


def _part(
    build: Builder, source: Buffer, index: Expression, lanes: int, present: int
) -> Expression:
    if present <= 0:
        return literal(0, Type(source.scalar, lanes))
    return build.load(source, index, lanes, active=present)


def _transpose_blocks(
    build: Builder,
    packing: Packing,
    lanes: int,
    source: Buffer,
    packed: Buffer,
    origin: Expression,
    place: Expression,
    present: int,
    width: int,
) -> None:
    """Neighbours along the depth lie side by side: square blocks are transposed in registers."""
    whole = packing.depth // lanes * lanes

    def block(p: Expression, depth: int) -> None:
        for offset in range(0, width, lanes):
            rows = [
                build.let(
                    build.load(source, origin + (p + j * packing.extent_stride), lanes, depth)
                )
                if j < present
                else literal(0, Type(source.scalar, lanes))
                for j in range(offset, offset + lanes)
            ]
            for i, column in enumerate(transposed(build, rows)[:depth]):
                build.store(
                    packed, place + (p * width + (i * width + offset)), column, width - offset
                )

    if whole:
        with build.loop(whole, step=lanes, name="p") as p:
            block(p, lanes)
    if whole < packing.depth:
        block(literal(whole, "i64"), packing.depth - whole)


def transposed(build: Builder, rows: list[Expression]) -> list[Expression]:
    """The columns of a square block, given its rows as vectors.

    First within the pieces of 128 bits that processors shuffle fast, then whole pieces.
    """
    lanes = rows[0].type.lanes
    piece = min(2 if rows[0].type.scalar == "f64" else 4, lanes)
    groups = [within_pieces(build, rows[i : i + piece]) for i in range(0, lanes, piece)]
    columns: list[Expression] = list(rows)
    for j in range(piece):
        columns[j::piece] = _across_pieces(build, [group[j] for group in groups], piece)
    return columns


def within_pieces(build: Builder, rows: list[Expression]) -> list[Expression]:
    """For as many rows as a piece has lanes: vectors whose pieces are columns of these rows."""
    lanes, piece = rows[0].type.lanes, len(rows)

    def unpack(left: Expression, right: Expression, width: int) -> list[Expression]:
        picked: tuple[list[int], list[int]] = ([], [])
        for start in range(0, lanes, piece):
            for half, found in enumerate(picked):
                for first in range(
                    start + half * piece // 2, start + (half + 1) * piece // 2, width
                ):
                    found += range(first, first + width)
                    found += range(lanes + first, lanes + first + width)
        return [build.let(shuffle(left, right, each)) for each in picked]

    if piece < 4:
        return unpack(rows[0], rows[1], 1) if piece == 2 else rows
    low, high = unpack(rows[0], rows[1], 1), unpack(rows[2], rows[3], 1)
    return unpack(low[0], high[0], 2) + unpack(low[1], high[1], 2)


def _across_pieces(build: Builder, vectors: list[Expression], piece: int) -> list[Expression]:
    """Vectors of the first pieces of all, of the second ones, and so on."""
    if len(vectors) == 1:
        return vectors
    lanes = vectors[0].type.lanes
    found: list[list[Expression]] = []
    for parity in (0, 1):
        picked = [i for i in range(2 * lanes) if i // piece % 2 == parity]
        pairs = zip(vectors[::2], vectors[1::2], strict=True)
        halves = [build.let(shuffle(left, right, picked)) for left, right in pairs]
        found.append(_across_pieces(build, halves, piece))
    return [each for pair in zip(*found, strict=True) for each in pair]


def _copy_elements(
    build: Builder,
    packing: Packing,
    lanes: int,
    source: Buffer,
    packed: Buffer,
    origin: Expression,
    place: Expression,
    present: int,
    width: int,
) -> None:
    """Neither dimension lies side by side: one by one."""
    with build.loop(packing.depth, name="p") as p:
        with build.loop(present, name="j") as j:
            index = origin + p * packing.depth_stride + j * packing.extent_stride
            build.store(packed, place + p * width + j, build.load(source, index))
        if present < width:
            with build.loop(width, present, name="j") as j:
                build.store(packed, place + p * width + j, literal(0.0, packing.scalar))


def copy_row(
    build: Builder,
    source: tuple[Buffer, Expression, int, int],
    p: Expression,
    extent: tuple[Expression, int, Expression],
    target_place: tuple[Buffer, Expression],
) -> None:
    """Copies the p-th row of one strip, strip[depth][width], of a matrix whose neighbours along the
    extent lie side by side; zeros follow what exceeds it. Arguments as for `copy_strip`.
    """
    buffer, origin, _, depth_stride = source
    first, present, width = extent
    strip, place = target_place
    lanes = target.lanes(strip.scalar)
    start = build.let(origin + p * depth_stride + first, "from")
    to = build.let(place + p * width, "to")
    rest = present % lanes
    whole = width
    if rest:
        whole = build.let(call("min", width, literal(present - rest, "i64") - first), "whole")
    with build.loop(whole, step=lanes, name="offset") as offset:
        build.store(strip, to + offset, build.load(buffer, start + offset, lanes))
    if rest:
        with build.when(binary("<", whole, width)):
            build.store(strip, to + whole, build.load(buffer, start + whole, lanes, rest))


def copy_strip(
    build: Builder,
    source: tuple[Buffer, Expression, int, int],
    extent: tuple[Expression, int, Expression],
    depth: tuple[Expression, int],
    target_place: tuple[Buffer, Expression],
) -> None:
    """Copies one strip, strip[depth][width]; what exceeds the matrix repeats its last neighbour.

    Args:
        source: the buffer, where the matrix starts in it, and its strides along extent and depth.
        extent: the first neighbour, how many the matrix has, and the strip's width (whole vectors).
        depth: the length, and what it is at most (and is, where that is less than a vector).
        target_place: the buffer of the strip, and where it starts.
    """
    buffer, origin, extent_stride, depth_stride = source
    strip, place = target_place
    first, present, width = extent
    count, most = depth
    lanes = target.lanes(strip.scalar)

    def nearest(index: Expression) -> Expression:
        return call("min", index, present - 1)

    if depth_stride == 1:
        with build.loop(width, step=lanes, name="offset") as offset:
            starts = [
                build.let(origin + nearest(first + offset + j) * extent_stride, "from")
                for j in range(lanes)
            ]
            with build.loop((count + (lanes - 1)) // lanes, name="block", unroll=False) as block:
                # the last block overlaps the one before it
                p = build.let(call("min", block * lanes, call("max", count - lanes, 0)), "p")
                rows = [
                    build.let(build.load(buffer, start + p, lanes, min(most, lanes)))
                    for start in starts
                ]
                for i, column in enumerate(transposed(build, rows)[: min(most, lanes)]):
                    build.store(strip, place + (p + i) * width + offset, column)
    else:
        with build.loop(count, name="p") as p, build.loop(width, name="j") as j:
            index = origin + p * depth_stride + nearest(first + j) * extent_stride
            build.store(strip, place + p * width + j, build.load(buffer, index))
