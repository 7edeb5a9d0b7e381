"""The kernel of a matrix product ``out = a · b``; operands are packed, or read where they lie.

The product is cut into tiles of the result, whose sums stay in vector registers: ``rows`` times
``vectors``, the vectors along the columns. Each step along the depth loads the vectors of b and,
for each row, one number of a. The depth is cut into blocks, so that one of b stays in the cache.
"""

from __future__ import annotations

import functools
from dataclasses import dataclass

from fakel.compiler import target
from fakel.compiler.loop_ir import (
    Buffer,
    Builder,
    Expression,
    Kernel,
    Type,
    binary,
    call,
    fma,
    literal,
    select,
)

# depth of a block: sums of so many terms are added up in a register
DEPTH = 1024


@dataclass(frozen=True)
class Operand:
    """Where a (extent: rows) or b (extent: columns) lies. ``packed``: in strips as wide as the
    tiles, else by strides in elements.
    """

    batch_stride: int
    extent_stride: int
    depth_stride: int
    packed: bool = False

    def place(self, first: Expression, depth: int) -> Expression:
        """The start of the strip that begins at a row or column."""
        return first * (depth if self.packed else self.extent_stride)


@dataclass(frozen=True)
class Added:
    """A summand of the result, by its strides (0 where it is the same for all)."""

    batch_stride: int
    row_stride: int
    column_stride: int


@dataclass(frozen=True)
class Tiling:
    """The shape of tiles: rows and columns, and those of the last tiles; how many there are; and an
    estimate of the cycles of one product.
    """

    rows: int
    last_rows: int
    columns: int
    last_columns: int
    row_tiles: int
    column_tiles: int
    cycles: int


@dataclass(frozen=True)
class Product:
    """A product kernel's parameters. ``row_stride`` and ``batch_stride`` are the result's.

    ``scale`` multiplies the product; ``accumulate`` adds it to what the result holds.
    """

    scalar: str
    batch: int
    rows: int
    columns: int
    depth: int
    a: Operand
    b: Operand
    batch_stride: int
    row_stride: int
    tiling: Tiling
    added: tuple[Added, ...] = ()
    scale: float | None = None
    accumulate: bool = False
    relu: bool = False


@functools.lru_cache(maxsize=1024)
def _tiling(rows: int, columns: int, depth: int, lanes: int, registers: int) -> Tiling:
    vectors = -(-columns // lanes)
    found = []
    for wide in range(1, min(vectors, 8) + 1):
        for high in range(1, min(rows, (registers - 1 - wide) // wide) + 1):
            row_tiles, column_tiles = -(-rows // high), -(-vectors // wide)
            last_high = rows - (row_tiles - 1) * high
            last_wide = vectors - (column_tiles - 1) * wide
            cycles = sum(
                _cycles(h, w, depth) * high_count * wide_count
                for h, high_count in ((high, row_tiles - 1), (last_high, 1))
                for w, wide_count in ((wide, column_tiles - 1), (last_wide, 1))
            )
            last_columns = columns - (column_tiles - 1) * wide * lanes
            found.append(
                Tiling(
                    high,
                    last_high,
                    wide * lanes,
                    last_columns,
                    row_tiles,
                    column_tiles,
                    round(cycles),
                )
            )
    return min(found, key=lambda each: (each.cycles, each.row_tiles * each.column_tiles))


def _cycles(rows: int, vectors: int, depth: int) -> float:
    """Estimated cycles of a tile: for each step along the depth, two multiply-adds and two loads a
    cycle and a latency of four, and something for the ends.
    """
    step = max(rows * vectors / 2, (rows + vectors) / 2, 4.0) + 0.3
    return depth * step + 2 * rows * vectors + 20


def tiling(rows: int, columns: int, depth: int, scalar: str) -> Tiling:
    """The best shape of tiles for a result."""
    return _tiling(rows, columns, depth, target.lanes(scalar), target.registers())


def product_kernel(product: Product) -> Kernel:
    """A kernel ``product(a, b, added..., out)``; threads share the tiles."""
    return _kernel(product, target.lanes(product.scalar))


@functools.lru_cache(maxsize=256)
def _kernel(product: Product, lanes: int) -> Kernel:
    return Tiles(product, lanes, "product").kernel()


class Tiles:
    """Builds a kernel whose sums are vectors along the columns.

    ``longest`` is the depth of a block, and ``shared_bytes`` how much of b tiles read again and
    again before they go on to the next columns.
    """

    longest = DEPTH
    shared_bytes = 384 * 1024

    def __init__(self, product: Product, lanes: int, name: str) -> None:
        self.product = product
        self.lanes = lanes
        self.build = Builder(name)
        self.a = self.build.buffer("a", product.scalar)
        self.b = self.build.buffer("b", product.scalar)
        self.added = [
            self.build.buffer(f"added{i}", product.scalar) for i in range(len(product.added))
        ]
        self.out = self.build.buffer("out", product.scalar)

    def kernel(self) -> Kernel:
        product, build = self.product, self.build
        blocks = max(-(-product.depth // self.longest), 1)
        if blocks == 1:
            self._block(literal(0, "i64"), product.depth, first=True, last=True)
            return build.kernel
        length = -(-product.depth // blocks)
        self._block(literal(0, "i64"), length, first=True, last=False)
        if blocks > 2:
            with build.loop((blocks - 1) * length, length, step=length, name="block") as start:
                self._block(start, length, first=False, last=False)
        rest = (blocks - 1) * length
        self._block(literal(rest, "i64"), product.depth - rest, first=False, last=True)
        return build.kernel

    def _block(self, start: Expression, depth: int, first: bool, last: bool) -> None:
        """All tiles of this thread, for a part of the depth."""
        build, product, tiles = self.build, self.product, self.product.tiling
        count = tiles.row_tiles * tiles.column_tiles
        with build.share(product.batch * count, "unit") as unit:
            matrix: Expression = literal(0, "i64")
            tile: Expression = unit
            if product.batch > 1:
                matrix, tile = build.let(unit // count, "matrix"), build.let(unit % count, "tile")
            row_tile, column_tile = self._position(tile, depth)
            row = build.let(row_tile * tiles.rows, "row")
            column = build.let(column_tile * tiles.columns, "column")

            def with_columns(high: int, width: int) -> None:
                self._tile(matrix, row, column, start, depth, high, width, first, last)

            def with_rows(high: int) -> None:
                if tiles.column_tiles == 1 or tiles.columns == tiles.last_columns:
                    with_columns(high, tiles.last_columns)
                    return
                with build.when(binary("<", column_tile, tiles.column_tiles - 1)):
                    with_columns(high, tiles.columns)
                with build.otherwise():
                    with_columns(high, tiles.last_columns)

            if tiles.row_tiles == 1 or tiles.rows == tiles.last_rows:
                with_rows(tiles.last_rows)
                return
            with build.when(binary("<", row_tile, tiles.row_tiles - 1)):
                with_rows(tiles.rows)
            with build.otherwise():
                with_rows(tiles.last_rows)

    def _position(self, tile: Expression, depth: int) -> tuple[Expression, Expression]:
        """Row and column of a tile in the grid: groups of columns whose part of b stays in the
        cache, in each group row by row.
        """
        build, tiles = self.build, self.product.tiling
        size = 4 if self.product.scalar == "f32" else 8
        group = max(self.shared_bytes // (max(depth, 1) * tiles.columns * size), 1)
        if group >= tiles.column_tiles:
            if tiles.column_tiles == 1:
                return tile, literal(0, "i64")
            return (
                build.let(tile // tiles.column_tiles, "rowtile"),
                build.let(tile % tiles.column_tiles, "columntile"),
            )
        whole = group * tiles.row_tiles
        number = build.let(tile // whole, "group")
        rest = build.let(tile % whole, "rest")
        width = build.let(call("min", group, tiles.column_tiles - number * group), "width")
        return (
            build.let(rest // width, "rowtile"),
            build.let(number * group + rest % width, "columntile"),
        )

    def _tile(
        self,
        matrix: Expression,
        row: Expression,
        column: Expression,
        start: Expression,
        depth: int,
        rows: int,
        width: int,
        first: bool,
        last: bool,
    ) -> None:
        build, product, lanes = self.build, self.product, self.lanes
        vector = Type(product.scalar, lanes)
        offsets = range(0, width, lanes)
        sums = [[build.accumulator(0.0, vector) for _ in offsets] for _ in range(rows)]
        a_depth, a_row = product.a.depth_stride, product.a.extent_stride
        if product.a.packed:
            a_depth, a_row = rows, 1
        b_depth = len(offsets) * lanes if product.b.packed else product.b.depth_stride
        a_place = product.a.place(row, product.depth) + matrix * product.a.batch_stride
        b_place = product.b.place(column, product.depth) + matrix * product.b.batch_stride
        a_start = build.let(a_place + start * a_depth, "afrom")
        b_start = build.let(b_place + start * b_depth, "bfrom")
        with build.loop(depth, name="p") as p:
            b_at = build.let(b_start + p * b_depth, "bat")
            a_at = build.let(a_start + p * a_depth, "aat")
            values = []
            for offset in offsets:
                # packed strips are as wide as whole vectors
                active = None if product.b.packed else width - offset
                values.append(build.let(build.load(self.b, b_at + offset, lanes, active)))
            for r in range(rows):
                number = build.let(literal(build.load(self.a, a_at + r * a_row), vector))
                for total, value in zip(sums[r], values, strict=True):
                    build.assign(total, fma(number, value, total))
        for r in range(rows):
            for total, offset in zip(sums[r], offsets, strict=True):
                self._write(total, matrix, row + r, column + offset, width - offset, first, last)

    def _write(
        self,
        value: Expression,
        matrix: Expression,
        row: Expression,
        column: Expression,
        active: int,
        first: bool,
        last: bool,
    ) -> None:
        build, product, lanes = self.build, self.product, value.type.lanes
        place = build.let(
            matrix * product.batch_stride + row * product.row_stride + column, "place"
        )
        if product.scale is not None:
            value = value * product.scale
        if product.accumulate or not first:
            value = value + build.load(self.out, place, lanes, active)
        if last:
            for buffer, added in zip(self.added, product.added, strict=True):
                value = value + self._added(buffer, added, matrix, row, column, lanes, active)
            if product.relu:
                value = build.let(value)
                value = select(binary("<", value, 0.0), 0.0, value)
        build.store(self.out, place, value, active)

    def _added(
        self,
        buffer: Buffer,
        added: Added,
        matrix: Expression,
        row: Expression,
        column: Expression,
        lanes: int,
        active: int,
    ) -> Expression:
        place = matrix * added.batch_stride + row * added.row_stride + column * added.column_stride
        if added.column_stride == 0:
            return self.build.load(buffer, place)
        return self.build.load(buffer, place, lanes, active)
