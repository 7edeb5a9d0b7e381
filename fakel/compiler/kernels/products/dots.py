"""The kernel of a matrix product whose operands both lie along the depth: rows of a, columns of b.

Sums are vectors along the depth, added up across their lanes at the end. Nothing needs packing, so
this is best where a packed operand would be used too few times: vectors, small batches.
"""

from __future__ import annotations

import functools
import math
from typing import Any

from fakel.compiler.kernels.products.product import Part, Place, Product, Tiles, Tiling
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    Expression,
    Kernel,
    Type,
    call,
    cast,
    fma,
    literal,
    shuffle,
)

# the depth at least, and the steps along it, after which sums of float32 go on in float64
_BLOCK, _STEPS = 1024, 32


@functools.lru_cache(maxsize=1024)
def _tiling(rows: int, columns: int, depth: int, lanes: int, registers: int) -> Tiling:
    found = []
    for wide in (1 << i for i in range(lanes.bit_length())):
        if wide // 2 >= columns:
            break
        for high in range(1, min(rows, (registers - 1) // (wide + 1)) + 1):
            row_tiles, column_tiles = -(-rows // high), -(-columns // wide)
            cycles = row_tiles * column_tiles * _cycles(high, wide, depth, lanes)
            found.append(
                Tiling(
                    high,
                    rows - (row_tiles - 1) * high,
                    wide,
                    columns - (column_tiles - 1) * wide,
                    row_tiles,
                    column_tiles,
                    round(cycles),
                )
            )
    return min(found, key=lambda each: (each.cycles, each.row_tiles * each.column_tiles))


def _cycles(rows: int, columns: int, depth: int, lanes: int) -> float:
    """Estimated cycles of a tile, as for other products, but most loads cross lines of the cache;
    adding up the lanes takes two shuffles and an addition for each halving.
    """
    sums = rows * columns
    step = max(sums / 2, 0.9 * (rows + columns), 4.0 / _chains(sums)) + 0.3
    halvings = rows * (columns - 1 + math.log2(lanes / columns))
    return -(-depth // lanes) * step + 1.5 * halvings + 2 * rows + 20


def _chains(sums: int) -> int:
    """How many partial sums each element has, so that multiply-adds do not wait for one another."""
    return max(8 // sums, 1)


def dot_tiling(rows: int, columns: int, depth: int, scalar: str) -> Tiling:
    """The best shape of tiles for a result."""
    return _tiling(rows, columns, depth, target.lanes(scalar), target.registers())


def dot_kernel(product: Product) -> Kernel:
    """A kernel ``dots(a, b, operands of steps..., out)``; the depth is one block."""
    return _kernel(product, target.lanes(product.scalar))


@functools.lru_cache(maxsize=256)
def _kernel(product: Product, lanes: int) -> Kernel:
    return _Dots(product, lanes, "dots").kernel()


class _Dots(Tiles):
    def _tile(self, place: Place, number: Expression, part: Part, rows: int, columns: int) -> None:
        build, product, lanes = self.build, self.product, self.lanes
        vector, depth = Type(product.scalar, lanes), product.depth
        chains = _chains(rows * columns)
        a, b = product.a, product.b
        a_start = build.let(place.row * a.extent_stride + place.matrix * a.batch_stride, "afrom")
        b_start = build.let(place.column * b.extent_stride + place.matrix * b.batch_stride, "bfrom")

        def multiply(sums: Any, p: Expression, chain: int, active: int) -> None:
            a_at, b_at = build.let(a_start + p, "aat"), build.let(b_start + p, "bat")
            left = [
                build.let(build.load(self.a, a_at + r * a.extent_stride, lanes, active))
                for r in range(rows)
            ]
            for c in range(columns):
                at = b_at + c * b.extent_stride
                value = build.let(build.load(self.b, at, lanes, active))
                for r in range(rows):
                    total = sums[chain][r][c]
                    build.assign(total, fma(left[r], value, total))

        step = lanes * chains

        def summed(start: Any, count: int) -> list[list[Expression]]:
            """The sums over a part of the depth, by row and column."""
            sums = [
                [[build.accumulator(0.0, vector) for _ in range(columns)] for _ in range(rows)]
                for _ in range(chains)
            ]
            whole = count // step * step
            if whole:
                with build.loop(start + whole, start, step=step, name="p") as p:
                    for chain in range(chains):
                        multiply(sums, p + chain * lanes, chain, lanes)
            for chain, tail in enumerate(range(whole, count, lanes)):
                at = literal(start + tail, "i64")
                multiply(sums, at, chain, min(count - tail, lanes))
            return [
                [_sum(build, [s[r][c] for s in sums]) for c in range(columns)] for r in range(rows)
            ]

        block = max(_BLOCK, _STEPS * step)
        if depth <= block or product.scalar != "f32":
            values = summed(0, depth)
        else:
            # so many terms would lose precision against one another
            wide = Type("f64", lanes)
            totals = [[build.accumulator(0.0, wide) for _ in range(columns)] for _ in range(rows)]

            def add(found: list[list[Expression]]) -> None:
                for row, others in zip(totals, found, strict=True):
                    for total, value in zip(row, others, strict=True):
                        build.assign(total, total + cast(value, "f64"))

            with build.loop(depth // block * block, step=block, name="block") as start:
                add(summed(start, block))
            if depth % block:
                add(summed(depth // block * block, depth % block))
            values = [list(row) for row in totals]
        lines = [cast(_add_lanes(build, row), product.scalar) for row in values]
        self._leave(place, part, [[build.accumulator(line)] for line in lines], columns)


def _sum(build: Builder, values: list[Expression]) -> Expression:
    while len(values) > 1:
        pairs = zip(values[::2], values[1::2], strict=True)
        values = [build.let(left + right) for left, right in pairs]
    return values[0]


def _add_lanes(build: Builder, vectors: list[Expression]) -> Expression:
    """The sums over the lanes of some vectors, as the first lanes of one vector."""
    lanes = vectors[0].type.lanes
    if len(vectors) == 1:
        kind = Type(vectors[0].type.scalar)
        return call("reduce_add", vectors[0], type=kind)
    count = 1 << (len(vectors) - 1).bit_length()
    zero = literal(0.0, vectors[0].type)
    values = vectors + [zero] * (count - len(vectors))
    while len(values) > 1:
        pairs = zip(values[::2], values[1::2], strict=True)
        values = [_halved(build, left, right, range(2 * lanes)) for left, right in pairs]
    value = values[0]
    while value.type.lanes > count:
        value = _halved(build, value, value, range(value.type.lanes))
    return value


def _halved(build: Builder, left: Expression, right: Expression, picked: range) -> Expression:
    """Sums of neighbouring lanes of two vectors, one after the other."""
    even = shuffle(left, right, picked[::2])
    odd = shuffle(left, right, picked[1::2])
    return build.let(even + odd)
