"""Tiles of products inside kernels that do more than one product: sums stay in vector registers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from fakel.compiler import target
from fakel.compiler.loop_ir import (
    INDEX,
    Buffer,
    Builder,
    Expression,
    Variable,
    binary,
    call,
    fma,
    literal,
)


def tile_shape(rows: int, vectors: int, scalar: str, parts: int = 1) -> tuple[int, int]:
    """How many rows and vectors a tile has.

    Args:
        rows: rows of the whole product.
        vectors: vectors in a row of the whole product.
        scalar: the element type.
        parts: products of the same rows whose sums are needed together.
    """
    return _tile_shape(rows, vectors, target.registers(), parts)


@functools.lru_cache(maxsize=1024)
def _tile_shape(rows: int, vectors: int, registers: int, parts: int) -> tuple[int, int]:
    found = []
    for wide in range(1, max(min(vectors, 8 // parts), 1) + 1):
        columns = wide * parts
        for high in range(1, max(min(rows, (registers - 1 - columns) // columns), 1) + 1):
            # two multiply-adds and two loads a cycle, and a latency of four cycles
            step = max(high * columns / 2, (high + columns) / 2, 4.0) + 0.3
            cycles = -(-rows // high) * -(-vectors // wide) * step
            found.append((cycles, -high * wide, high, wide))
    return min(found)[2:]


def multiply(
    build: Builder,
    sums: Sequence[Sequence[Variable]],
    left: tuple[Buffer, Sequence[Expression], int],
    right: tuple[Buffer, Sequence[Expression], int],
    depth: int | Expression,
) -> None:
    """Adds products to ``sums[row][column]``, which are vectors.

    Args:
        left: numbers: a buffer, where each row starts, and the step along the depth.
        right: vectors: a buffer, where each column's vectors start, and the step along the depth.
        depth: the number of products in each sum.
    """
    (left_buffer, rows, left_step), (right_buffer, columns, right_step) = left, right
    kind = sums[0][0].type
    with build.loop(depth, name="p") as p:
        values = [
            build.let(build.load(right_buffer, start + p * right_step, kind.lanes))
            for start in columns
        ]
        for start, totals in zip(rows, sums, strict=True):
            number = build.let(literal(build.load(left_buffer, start + p * left_step), kind))
            for total, value in zip(totals, values, strict=True):
                build.assign(total, fma(number, value, total))


def clamped_rows(build: Builder, first: Expression, stop: Expression, count: int) -> list[Variable]:
    """The indices of a tile's rows; those past the end are the last row once more."""
    last = build.let(stop - 1, "last")
    return [build.let(call("min", first + i, last), "row") for i in range(count)]


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
