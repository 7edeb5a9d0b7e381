"""The kernel of a matrix product ``out = a · b``, followed by pointwise operators.

The product is cut into tiles of the result, whose sums stay in vector registers: ``rows`` times
``vectors``, the vectors along the columns. Each step along the depth loads the vectors of b and,
for each row, one number of a.

Threads share groups of strips, the columns of a tile, for a part of the rows. A group goes through
the depth in blocks; where b does not lie well, its part of b is first copied into memory that stays
in the second-level cache while all tiles of the group read it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

from fakel.compiler.kernels.pointwise.meanings import apply
from fakel.compiler.kernels.products.packing import copy_row, copy_strip
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    Buffer,
    Expression,
    Kernel,
    Type,
    Variable,
    binary,
    call,
    fma,
    literal,
    select,
)
from fakel.runtime.team import fineness

# depth of a block: sums of so many terms are added up in a register
DEPTH = 384
# of what the largest part exceeds the mean by, as much is lost
_WAITING = 0.1
# operators of so few instructions that they are written out for every vector of a tile
_SHORT = ("add", "sub", "mul", "relu", "relu_gradient")


@dataclass(frozen=True)
class Operand:
    """Where a (extent: rows) or b (extent: columns) lies: strides in elements. ``packed``: a lies
    in strips as high as the tiles; b is copied into strips by the kernel.
    """

    batch_stride: int
    extent_stride: int
    depth_stride: int
    packed: bool = False


@dataclass(frozen=True)
class Placed:
    """A tensor that meets the result element by element, by its strides (0 where it is the same for
    all).
    """

    batch_stride: int
    row_stride: int
    column_stride: int


@dataclass(frozen=True)
class Tensor:
    """One of the tensors that steps read, by its number."""

    number: int


@dataclass(frozen=True)
class Step:
    """A pointwise operator that follows the product: its operands, and its parameters.

    An operand is a tensor; None, the value so far; or a number: the value after so many steps.
    ``into``: a tensor that becomes the value after this step, when all steps are done.
    """

    operator: str
    operands: tuple[Any, ...] = (None,)
    parameters: tuple[tuple[str, Any], ...] = ()
    into: Any = None

    @property
    def reads(self) -> list[Any]:
        """The operands that are tensors."""
        return [each for each in self.operands if not isinstance(each, int | None)]

    def numbered(self, numbers: dict[Any, int]) -> Step:
        """The step with tensors by their numbers."""
        operands = tuple(
            each if isinstance(each, int | None) else Tensor(numbers[each])
            for each in self.operands
        )
        return replace(self, operands=operands, into=None if self.into is None else True)


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

    Threads share ``parts`` of the rows and ``groups`` of strips. ``scale`` multiplies the product;
    ``accumulate`` adds it to what the result holds. After ``steps`` the value is put in the result;
    ``updates`` go on from there. All of these read ``tensors`` and change ``changed``, in their
    order. Blocks of the depth are at most ``longest``. ``fetched``: a, whose rows or columns lie
    side by side, is asked for beforehand.
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
    parts: int = 1
    groups: int = 1
    steps: tuple[Step, ...] = ()
    updates: tuple[Step, ...] = ()
    tensors: tuple[Placed, ...] = ()
    changed: tuple[Placed, ...] = ()
    scale: float | None = None
    accumulate: bool = False
    longest: int = DEPTH
    fetched: bool = False

    @property
    def length(self) -> int:
        """The depth of a block."""
        return -(-self.depth // max(-(-self.depth // self.longest), 1))

    @property
    def units(self) -> int:
        """What threads share."""
        return self.batch * self.parts * self.groups

    @property
    def copied_elements(self) -> int:
        """What a group's copy of b takes."""
        strips = -(-self.tiling.column_tiles // self.groups)
        return strips * self.length * self.tiling.columns if self.b.packed else 0

    @property
    def following(self) -> tuple[Step, ...]:
        """All steps."""
        return (*self.steps, *self.updates)


@functools.lru_cache(maxsize=1024)
def _tiling(
    rows: int, columns: int, depth: int, lanes: int, registers: int, threads: int, copied: bool
) -> Tiling:
    vectors = -(-columns // lanes)
    parts = threads << fineness(threads) if threads > 1 else 1
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

    def cost(tiles: Tiling) -> tuple[float, int]:
        # the thread with most tiles decides, when rows or when columns are shared
        counts = tiles.row_tiles, tiles.column_tiles
        uneven = min(_unevenness(count, threads) for count in counts)
        if not copied:
            # rows are shared in finer parts; those that differ in size make others wait
            uneven += _WAITING * (_unevenness(tiles.row_tiles, parts) - 1)
        return tiles.cycles * uneven, tiles.row_tiles * tiles.column_tiles

    return min(found, key=cost)


def _unevenness(count: int, parts: int) -> float:
    """How much larger the largest of some parts of a number is than their mean."""
    return -(-count // parts) * parts / count


def _cycles(rows: int, vectors: int, depth: int) -> float:
    """Estimated cycles of a tile: for each step along the depth, two multiply-adds and two loads a
    cycle and a latency of four, and something for the ends.
    """
    step = max(rows * vectors / 2, (rows + vectors) / 2, 4.0) + 0.3
    return depth * step + 2 * rows * vectors + 20


def tiling(
    rows: int, columns: int, depth: int, scalar: str, threads: int = 1, copied: bool = False
) -> Tiling:
    """The best shape of tiles for a result that so many threads share; b is ``copied`` or not."""
    return _tiling(rows, columns, depth, target.lanes(scalar), target.registers(), threads, copied)


def product_kernel(product: Product) -> Kernel:
    """A kernel ``product(a, b, operands of steps..., out)``, and memory for ``units`` copies of a
    group of b, where b is copied.
    """
    return _kernel(product, target.lanes(product.scalar))


@functools.lru_cache(maxsize=256)
def _kernel(product: Product, lanes: int) -> Kernel:
    return Tiles(product, lanes, "product").kernel()


@dataclass(frozen=True)
class Place:
    """A tile, or a row of one: indices of the matrix, the first row and the first column."""

    matrix: Expression
    row: Expression
    column: Expression


@dataclass(frozen=True)
class Part:
    """A part of the depth: where it starts, how long it is, and whether (known at run time, if at
    all) it is the first and the last.
    """

    start: Expression
    count: Expression
    later: Expression | None = field(default=None)
    last: Expression | None = field(default=None)


class Tiles:
    """Builds a kernel whose sums are vectors along the columns."""

    def __init__(self, product: Product, lanes: int, name: str) -> None:
        self.product = product
        self.lanes = lanes
        self.build = build = Builder(name)
        self.a = build.buffer("a", product.scalar)
        self.b = build.buffer("b", product.scalar)
        self.tensors = [build.buffer(f"x{i}", product.scalar) for i in range(len(product.tensors))]
        self.out = build.buffer("out", product.scalar)
        self.changed = [
            build.buffer(f"out{i}", product.scalar) for i in range(len(product.changed))
        ]
        self.strips = build.buffer("strips", product.scalar) if product.b.packed else None

    def kernel(self) -> Kernel:
        """The nest: units, blocks of the depth, tiles."""
        product, build, tiles = self.product, self.build, self.product.tiling
        start = build.let(build.kernel.thread * product.units // build.kernel.threads, "start")
        stop = build.let((build.kernel.thread + 1) * product.units // build.kernel.threads, "stop")
        # a thread uses the memory of its first unit
        self.memory = build.let(start * product.copied_elements, "memory")
        with build.loop(stop, start, name="unit") as unit:
            part, rest = self._split(unit, product.batch * product.groups, product.parts)
            matrix, group = self._split(rest, product.groups, product.batch)
            rows = self._share(part, product.parts, tiles.row_tiles)
            strips = self._share(group, product.groups, tiles.column_tiles)

            if product.fetched:
                self._fetch(matrix)

            def with_depth(part: Part) -> None:
                if self.strips is not None:
                    self._copy(self.strips, matrix, strips, part)
                with (
                    build.loop(rows[1], rows[0], name="rowtile") as row_tile,
                    build.loop(strips[1], strips[0], name="strip") as strip,
                ):
                    row = build.let(row_tile * tiles.rows, "row")
                    column = build.let(strip * tiles.columns, "column")
                    place = Place(matrix, row, column)
                    number = strip - strips[0]
                    self._sizes(
                        (row_tile, tiles.row_tiles, tiles.rows, tiles.last_rows),
                        lambda rows: self._sizes(
                            (strip, tiles.column_tiles, tiles.columns, tiles.last_columns),
                            lambda columns: self._tile(place, number, part, rows, columns),
                        ),
                    )

            if product.length >= product.depth:
                with_depth(Part(literal(0, "i64"), literal(product.depth, "i64")))
            else:
                with build.loop(product.depth, step=product.length, name="block") as first:
                    count: Expression = literal(product.length, "i64")
                    if product.depth % product.length:
                        count = build.let(call("min", count, product.depth - first), "count")
                    is_last = binary(">=", first, product.depth - product.length)
                    with_depth(Part(first, count, binary(">", first, 0), is_last))
        return build.kernel

    def _share(self, number: Expression, parts: int, count: int) -> tuple[Any, Any]:
        """The first of the tiles of a part, and the one after the last."""
        if parts == 1:
            return 0, count
        first = self.build.let(number * count // parts, "first")
        return first, self.build.let((number + 1) * count // parts, "last")

    def _split(self, index: Expression, inner: int, outer: int) -> tuple[Expression, Expression]:
        """An index over outer and inner dimensions as those of both."""
        if outer == 1:
            return literal(0, "i64"), index
        if inner == 1:
            return index, literal(0, "i64")
        return self.build.let(index // inner, "outer"), self.build.let(index % inner, "inner")

    def _sizes(self, tile: tuple[Expression, int, int, int], body: Callable[[int], None]) -> None:
        """Calls ``body(size)`` for tiles of a size and, where it differs, of the last one's."""
        number, count, size, last = tile
        if count == 1 or size == last:
            body(last)
            return
        with self.build.when(binary("<", number, count - 1)):
            body(size)
        with self.build.otherwise():
            body(last)

    def _fetch(self, matrix: Expression) -> None:
        """Asks for all of a, which arrives while b is copied."""
        build, product, lies = self.build, self.product, self.product.a
        lines, along = (product.rows, product.depth), (lies.extent_stride, lies.depth_stride)
        if lies.extent_stride == 1:
            lines, along = lines[::-1], along[::-1]
        with build.loop(lines[0], name="line") as line:
            start = build.let(matrix * lies.batch_stride + line * along[0], "from")
            with build.loop(lines[1], step=target.line(product.scalar), name="p") as p:
                build.prefetch(self.a, start + p)

    def _fetch_changed(self, here: Place, columns: int) -> None:
        """Asks for a row of a tile of what steps change, which other threads may have."""
        for buffer, lies in zip(self.changed, self.product.changed, strict=True):
            for offset in range(0, columns, target.line(buffer.scalar)):
                self.build.prefetch(buffer, self._at(lies, here) + offset, write=True)

    def _copy(
        self, memory: Buffer, matrix: Expression, strips: tuple[Any, Any], part: Part
    ) -> None:
        """Copies some strips of b."""
        product, build = self.product, self.build
        lies, columns = product.b, product.tiling.columns
        origin = build.let(matrix * lies.batch_stride + part.start * lies.depth_stride, "origin")
        source = (self.b, origin, lies.extent_stride, lies.depth_stride)

        def copied(strip: Expression) -> tuple[Expression, Expression, Expression]:
            first = build.let(strip * columns, "first")
            return first, self._width(strip), self._copied(strip - strips[0])

        if lies.extent_stride == 1:
            # row by row: what lies side by side is read together
            with (
                build.loop(part.count, name="p", unroll=False) as p,
                build.loop(strips[1], strips[0], name="strip") as strip,
            ):
                first, width, place = copied(strip)
                copy_row(build, source, p, (first, product.columns, width), (memory, place))
            return
        with build.loop(strips[1], strips[0], name="strip") as strip:
            first, width, place = copied(strip)
            copy_strip(
                build,
                source,
                (first, product.columns, width),
                (part.count, product.length),
                (memory, place),
            )

    def _width(self, strip: Expression) -> Expression:
        """How wide the copy of a strip is: whole vectors."""
        tiles = self.product.tiling
        width = literal(tiles.columns, "i64")
        last = literal(-(-tiles.last_columns // self.lanes) * self.lanes, "i64")
        if tiles.column_tiles == 1:
            return last
        whole = binary("<", strip, tiles.column_tiles - 1)
        same = tiles.last_columns + self.lanes > tiles.columns
        return width if same else self.build.let(select(whole, width, last), "width")

    def _copied(self, number: Expression) -> Expression:
        """Where the copy of a strip of the group starts."""
        size = self.product.length * self.product.tiling.columns
        return self.build.let(self.memory + number * size, "copy")

    def _tile(self, place: Place, number: Expression, part: Part, rows: int, columns: int) -> None:
        build, product, lanes = self.build, self.product, self.lanes
        vector = Type(product.scalar, lanes)
        offsets = range(0, columns, lanes)
        sums = [[build.accumulator(0.0, vector) for _ in offsets] for _ in range(rows)]
        a, b = product.a, product.b
        a_depth, a_row = (rows, 1) if a.packed else (a.depth_stride, a.extent_stride)
        # the rows of packed strips before this one have the whole depth each
        a_place = place.row * (product.depth if a.packed else a_row)
        a_start = build.let(a_place + place.matrix * a.batch_stride + part.start * a_depth, "afrom")
        if self.strips is not None:
            b_from, b_depth = self.strips, len(offsets) * lanes
            b_start = self._copied(number)
        else:
            b_from, b_depth = self.b, b.depth_stride
            b_start = build.let(
                place.column * b.extent_stride
                + place.matrix * b.batch_stride
                + part.start * b_depth,
                "bfrom",
            )

        def multiply(p: Expression) -> None:
            b_at = build.let(b_start + p * b_depth, "bat")
            a_at = build.let(a_start + p * a_depth, "aat")
            values = []
            for offset in offsets:
                # copied strips are as wide as whole vectors
                active = None if self.strips is not None else columns - offset
                values.append(build.let(build.load(b_from, b_at + offset, lanes, active)))
            for r in range(rows):
                number = build.let(literal(build.load(self.a, a_at + r * a_row), vector))
                for total, value in zip(sums[r], values, strict=True):
                    build.assign(total, fma(number, value, total))

        if not product.changed:
            with build.loop(part.count, name="p", unroll=False) as p:
                multiply(p)
        else:
            # what will be changed comes near meanwhile, row by row: all at once would keep the
            # operands waiting
            with build.loop(rows, name="r", unroll=False) as r:
                self._fetch_changed(Place(place.matrix, place.row + r, place.column), columns)
                first, last = (build.let(each * part.count // rows) for each in (r, r + 1))
                with build.loop(last, first, name="p", unroll=False) as p:
                    multiply(p)
        self._leave(place, part, sums, columns)

    def _leave(self, place: Place, part: Part, sums: list[list[Variable]], columns: int) -> None:
        """Writes a tile: vectors of the columns for each row."""
        build, product = self.build, self.product
        lanes = sums[0][0].type.lanes

        def each(change: Callable[[Variable, Place, int], None]) -> None:
            for r, row in enumerate(sums):
                for v, total in enumerate(row):
                    column = place.column + v * lanes
                    here = Place(place.matrix, place.row + r, column)
                    change(total, here, columns - v * lanes)

        def add(total: Variable, here: Place, active: int) -> None:
            before = build.load(self.out, self._index(here), lanes, active)
            build.assign(total, total + before)

        def store(total: Expression, here: Place, active: int) -> None:
            build.store(self.out, self._index(here), total, active)

        def finish(total: Expression, here: Place, active: int) -> None:
            self._finish(total, here, active)

        def finish_all() -> None:
            if all(step.operator in _SHORT for step in product.following):
                each(finish)
                return
            each(store)
            with build.loop(len(sums), name="r", unroll=False) as r:
                for v in range(len(sums[0])):
                    here = Place(place.matrix, place.row + r, place.column + v * lanes)
                    active = columns - v * lanes
                    finish(build.load(self.out, self._index(here), lanes, active), here, active)

        if product.scale is not None:
            each(lambda total, here, active: build.assign(total, total * product.scale))
        if product.accumulate:
            each(add)
        elif part.later is not None:
            with build.when(part.later):
                each(add)
        if part.last is None or not product.following:
            finish_all()
            return
        with build.when(part.last):
            finish_all()
        with build.otherwise():
            each(store)

    def _index(self, place: Place) -> Expression:
        product = self.product
        return place.matrix * product.batch_stride + place.row * product.row_stride + place.column

    def _finish(self, value: Expression, here: Place, active: int) -> None:
        """Puts a vector of the result in its place, and what steps make of it in theirs."""
        build, product = self.build, self.product
        values, loaded, put = [value], {}, []
        for step in product.following:
            values[-1] = build.let(values[-1])
            inputs = []
            for operand in step.operands:
                if isinstance(operand, Tensor):
                    if operand not in loaded:
                        loaded[operand] = self._load(operand.number, here, value.type, active)
                    inputs.append(loaded[operand])
                else:
                    inputs.append(values[-1 if operand is None else operand])
            values.append(apply(step.operator, inputs, dict(step.parameters)))
            if step.into is not None:
                put.append(len(values) - 1)
        build.store(self.out, self._index(here), values[len(product.steps)], active)
        for buffer, lies, number in zip(self.changed, product.changed, put, strict=True):
            build.store(buffer, self._at(lies, here), values[number], active)

    def _load(self, number: int, here: Place, kind: Type, active: int) -> Expression:
        """What of a tensor meets a vector of the result."""
        build, buffer, lies = self.build, self.tensors[number], self.product.tensors[number]
        index = self._at(lies, here)
        if lies.column_stride == 0:
            return build.let(literal(build.load(buffer, index), kind))
        return build.let(build.load(buffer, index, kind.lanes, active))

    def _at(self, lies: Placed, here: Place) -> Expression:
        return (
            here.matrix * lies.batch_stride
            + here.row * lies.row_stride
            + here.column * lies.column_stride
        )
