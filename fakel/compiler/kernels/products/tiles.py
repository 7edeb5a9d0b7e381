"""Tiles of products inside kernels that do more than one product: sums stay in vector registers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    INDEX,
    Buffer,
    Expression,
    Variable,
    binary,
    call,
    fma,
    literal,
)


def tile_shape(rows: int, vectors: int, scalar: str) -> tuple[int, int]:
    """How many rows and vectors a tile has.

    Args:
        rows: rows of the whole product.
        vectors: vectors in a row of the whole product.
        scalar: the element type.
    """
    return _tile_shape(rows, vectors, target.registers())


@functools.lru_cache(maxsize=1024)
def _tile_shape(rows: int, vectors: int, registers: int) -> tuple[int, int]:
    found = []
    for wide in range(1, min(vectors, 8) + 1):
        # more rows than eight would need too many registers for addresses
        for high in range(1, max(min(rows, (registers - 1 - wide) // wide, 8), 1) + 1):
            # two multiply-adds and two loads a cycle, and a latency of four cycles; vectors may
            # come from the second-level cache
            step = max(high * wide / 2, (high + wide) / 2, 4.0) + 0.3 + wide / 4
            cycles = -(-rows // high) * -(-vectors // wide) * step
            found.append((cycles, -high * wide, high, wide))
    return min(found)[2:]


@dataclass(frozen=True)
class Numbers:
    """A product's left operand: where its first row lies in a buffer, and the steps along rows and
    depth. Its numbers are read one by one.
    """

    buffer: Buffer
    origin: Any
    row_step: int
    depth_step: int


@dataclass(frozen=True)
class Vectors:
    """A product's right operand: where each of its vectors starts, and the step along the depth."""

    buffer: Buffer
    starts: Sequence[Expression]
    depth_step: int
    lanes: int


def product(
    build: Builder,
    left: Numbers,
    right: Vectors,
    rows: tuple[Any, Any],
    depth: int | Expression,
    tile_rows: int,
    begin: Callable[[Expression], Sequence[Expression]],
    write: Callable[[Expression, list[list[Variable]]], None],
) -> None:
    """A product as tall as one likes and as wide as a tile.

    Args:
        rows: the first row, and the one after the last. The tile at the end may reach beyond them;
            its rows there repeat the last one.
        begin: what the sums of a row start from.
        write: gets the first row of a tile and the sums of all its rows.
    """
    first, stop = rows
    with build.loop(stop, first, step=tile_rows, name="row") as row:
        last = literal(stop, INDEX) - 1
        indices = [build.let(call("min", row + i, last), "row") for i in range(tile_rows)]
        places = [build.let(left.origin + index * left.row_step, "at") for index in indices]
        sums = [[build.accumulator(value) for value in begin(index)] for index in indices]
        with build.loop(depth, name="p") as p:
            values = [
                build.let(build.load(right.buffer, start + p * right.depth_step, right.lanes))
                for start in right.starts
            ]
            for place, totals in zip(places, sums, strict=True):
                number = build.load(left.buffer, place + p * left.depth_step)
                number = build.let(literal(number, values[0].type))
                for total, value in zip(totals, values, strict=True):
                    build.assign(total, fma(number, value, total))
        write(row, sums)


@contextmanager
def share_of(build: Builder, count: int) -> Iterator[tuple[Variable, Variable]]:
    """The first index of this thread's share of ``count``, and the one after its last, in a block
    that runs unless the share is empty.
    """
    thread, threads = build.kernel.thread, build.kernel.threads
    start = build.let(thread * count // threads, "start")
    stop = build.let((thread + 1) * count // threads, "stop")
    with build.when(binary("<", start, stop)):
        yield start, stop


def over_vectors(
    build: Builder,
    count: int,
    width: int,
    body: Callable[[Expression, int], None],
) -> None:
    """Calls ``body(first, active)`` for ``count`` neighbours in pieces of ``width``; the last has
    ``active`` of them.
    """
    whole = count // width * width
    if whole == width:
        body(literal(0, INDEX), width)
    elif whole:
        with build.loop(whole, step=width, name="u") as first:
            body(first, width)
    if count > whole:
        body(literal(whole, INDEX), count - whole)
