"""Kernels that work row by row: reductions, softmax, normalisations.

A row is what is reduced to one value; the other dimensions are kept. The vector's lanes lie along
the row where its elements are neighbours ("along"), else across neighbouring rows, one row a lane
("across"). A kernel is written once for both::

    rows = Rows("scale_rows", shape, (1,), [("x", x, x.strides), ("out", out, out.strides)])

    def row():
        (total,) = rows.fold([(SUM, "f32")], lambda: [rows.at("x")])
        rows.walk(lambda: rows.put("out", rows.at("x") / total))

    rows.run(row, parallel=True)
    plan.call(rows.kernel, rows.accesses, writes=[out], parallel=True)
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from fakel.compiler.kernels.pointwise.fusion import Operand, Result
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    INDEX,
    Buffer,
    Expression,
    Kernel,
    Literal,
    Type,
    binary,
    call,
    cast,
    literal,
    select,
)
from fakel.compiler.loop_ir.nests import even_loops, loops, merged, offset
from fakel.compiler.planning.lowering import Access

# an operand: its name, where it lies or how it is computed, its strides
Given = tuple[str, Access | Operand | Result, Sequence[int] | None]

# terms that one lane adds up before the sum of the block is added to the others', in float64
_BLOCKS = {"f32": 8, "f64": 64}


@dataclass(frozen=True)
class Fold:
    """A way to make one value of many: how two combine, how lanes do, and what nothing gives."""

    combine: Callable[[Any, Any], Expression]
    lanes: str
    floats: float
    integers: int = 0

    def neutral(self, scalar: str) -> float:
        """What nothing gives, as a number of an element type."""
        if scalar in ("f32", "f64"):
            return self.floats
        bits = {"u8": 8, "i8": 8, "i16": 16, "i32": 32, "i64": 64}[scalar]
        return max(-(2 ** (bits - 1)), min(2 ** (bits - 1) - 1, self.integers))


def _larger(a: Expression, b: Expression) -> Expression:
    return select(binary(">", a, b), a, b)


SUM = Fold(lambda a, b: a + b, "reduce_add", 0.0)
PRODUCT = Fold(lambda a, b: a * b, "reduce_mul", 1.0, 1)
# of the numbers among the elements; NaN may be passed over
LARGEST = Fold(_larger, "reduce_max", -math.inf)
MAXIMUM = Fold(lambda a, b: call("maximum", a, b), "reduce_maximum", -math.inf)
MINIMUM = Fold(lambda a, b: call("minimum", a, b), "reduce_minimum", math.inf)
INTEGER_MAXIMUM = Fold(lambda a, b: call("max", a, b), "reduce_max", 0, -(2**63))
INTEGER_MINIMUM = Fold(lambda a, b: call("min", a, b), "reduce_min", 0, 2**63 - 1)
EVERY = Fold(lambda a, b: binary("&", a, b), "reduce_and", 0, 1)
SOME = Fold(lambda a, b: binary("|", a, b), "reduce_or", 0, 0)


@dataclass(frozen=True)
class Piece:
    """``count`` indices from ``start`` on, in steps, each step of some lanes."""

    start: Any
    count: int
    lanes: int
    step: int

    @contextlib.contextmanager
    def over(self, build: Builder) -> Iterator[Any]:
        """A loop over the steps, unless there is but one."""
        if self.count == self.step:
            yield self.start
        else:
            with build.loop(self.start + self.count, self.start, step=self.step) as index:
                yield index


def _cut(count: int, widest: int, width: int, start: Any = 0) -> list[Piece]:
    """``count`` indices as whole vectors of ``widest`` lanes, then narrower ones, then what is
    left.
    """
    if widest == 1:
        return [Piece(start, count, 1, 1)]
    result = []
    position = 0
    lanes = widest
    while lanes >= width:
        whole = (count - position) // lanes * lanes
        if whole:
            result.append(Piece(start + position, whole, lanes, lanes))
            position += whole
        lanes //= 2
    if count > position:
        rest = count - position
        result.append(Piece(start + position, rest, rest, rest))
    return result


def pieces_of(count: int, width: int, vectors: int) -> list[Piece]:
    """``count`` neighbours in vectors of up to ``vectors`` registers of ``width`` lanes; one by one
    for a width of 1.
    """
    return _cut(count, _widest(count, width, vectors) if width > 1 else 1, width)


class Rows:
    """Builds a kernel over the rows of a tensor.

    Args:
        name: the kernel's.
        shape: the sizes of all dimensions.
        dims: the dimensions that make up a row.
        operands: for each, a name, where it lies, and its strides over ``shape``: 0 along the row
            for what a row has one of. Or a name, an operand that is computed on the way, and None.
        scalar: the element type in which most is computed.
        vectors: how many registers wide the widest vectors are.
        ordered: whether a row's elements are walked one after the other, in order.
    """

    def __init__(
        self,
        name: str,
        shape: Sequence[int],
        dims: Sequence[int],
        operands: Sequence[Given],
        scalar: str = "f32",
        vectors: int = 4,
        ordered: bool = False,
    ) -> None:
        self.build = Builder(name)
        self._fused = {label: given for label, given, _ in operands if isinstance(given, Operand)}
        self._results = {label: given for label, given, _ in operands if isinstance(given, Result)}
        present = [each for given in operands for each in _in_memory(*given)]
        self.accesses = [access for _, access, _ in present]
        self._numbers = {label: number for number, (label, _, _) in enumerate(present)}
        self.buffers = [self.build.buffer(label, access.scalar) for label, access, _ in present]
        strides = [tuple(steps) for _, _, steps in present]
        reduced = [dim for dim in range(len(shape)) if dim in set(dims)]
        kept = [dim for dim in range(len(shape)) if dim not in set(dims)]
        self.kept, self.kept_steps = _nest(shape, kept, strides, sort=True)
        self.row, self.row_steps = _nest(shape, reduced, strides, sort=not ordered)
        self.width = target.lanes(scalar)
        self._choose_lanes(vectors)
        if ordered and not self.across:
            self.widest = 1
        self._lanes = 1
        self._base: list[Expression] = []
        self._inner: list[Any] = [0] * len(self.row)
        # walks along the row so far, the first in which each fused operand was used, and the values
        # of those at this place
        self._walks = 0
        self._first_walk: dict[str, int] = {}
        self._here: dict[str, Expression] = {}

    @property
    def kernel(self) -> Kernel:
        """The kernel built so far."""
        return self.build.kernel

    def access(self, name: str) -> Access:
        """Where an operand lies."""
        return self.accesses[self._numbers[name]]

    @property
    def stored(self) -> list[Access]:
        """What operands store on the way."""
        return [access for operand in self._fused.values() for access in operand.written]

    def _choose_lanes(self, vectors: int) -> None:
        """Which dimension the lanes lie along; it becomes the last of the row or of the kept
        ones.
        """
        self.across = False
        self.widest = 1
        for sizes, steps, across in (
            (self.row, self.row_steps, False),
            (self.kept, self.kept_steps, True),
        ):
            for dim in reversed(range(len(sizes))):
                moves = {operand[dim] for operand in steps}
                if moves <= {0, 1} and 1 in moves:
                    for each in (sizes, *steps):
                        each.append(each.pop(dim))
                    self.across = across
                    self.widest = _widest(sizes[-1], self.width, vectors)
                    return

    # ---------------------------------------------------------------- rows

    def run(self, body: Callable[[], None], parallel: bool) -> None:
        """Puts ``body`` into loops over all rows (or vectors of rows); threads share them."""
        sizes = self.kept[:-1] if self.across else self.kept
        if not self.across:
            with self._kept(sizes, parallel) as indices:
                self._enter(indices, 1)
                body()
            return
        if parallel and math.prod(sizes) < 8:
            with self._kept(sizes, False) as indices:
                self._shared_columns(body, indices)
            return
        with self._kept(sizes, parallel) as indices:
            for piece in _cut(self.kept[-1], self.widest, self.width):
                with piece.over(self.build) as column:
                    self._enter([*indices, column], piece.lanes)
                    body()

    def _shared_columns(self, body: Callable[[], None], indices: list[Any]) -> None:
        count, lanes = self.kept[-1], self.widest
        while lanes > self.width and count // lanes < 8:
            lanes //= 2
        for piece in _cut(count, lanes, self.width):
            if piece.lanes == lanes and piece.count > lanes:
                with self.build.share(piece.count // lanes) as unit:
                    self._enter([*indices, unit * lanes + piece.start], lanes)
                    body()
            else:
                with (
                    self.build.when(binary("==", self.kernel.thread, 0)),
                    piece.over(self.build) as column,
                ):
                    self._enter([*indices, column], piece.lanes)
                    body()

    @contextlib.contextmanager
    def _kept(self, sizes: list[int], parallel: bool) -> Iterator[list[Any]]:
        if parallel and not sizes:
            with self.build.when(binary("==", self.kernel.thread, 0)):
                yield []
        else:
            with even_loops(self.build, sizes, parallel, name="row") as indices:
                yield indices

    def _enter(self, indices: list[Any], lanes: int) -> None:
        self._lanes = lanes
        self._walks, self._first_walk, self._here = 0, {}, {}
        self._inner = [0] * len(self.row)
        self._base = [offset(indices, steps) for steps in self.kept_steps]

    # ---------------------------------------------------------------- elements

    def _index(self, operand: int) -> tuple[Expression, int]:
        index = offset(self._inner, self.row_steps[operand], self._base[operand])
        steps = (self.kept_steps if self.across else self.row_steps)[operand]
        along = steps[-1] if steps else 0
        return index, self._lanes if along == 1 else 1

    def at(self, name: str) -> Expression:
        """An operand's elements at this place of the row; outside of a walk, what the row has
        one of.
        """
        if name in self._fused:
            if name not in self._here:
                self._here[name] = self._value(name, self._fused[name])
            return self._here[name]
        operand = self._numbers[name]
        index, lanes = self._index(operand)
        return self.build.load(self.buffers[operand], index, lanes)

    def _value(self, name: str, operand: Operand) -> Expression:
        """A fused operand at this place. The first walk stores what is to be stored, from which
        later ones load it.
        """
        if operand.cone is None or operand.root is None:
            return self.at(f"{name}0")
        first = self._first_walk.setdefault(name, self._walks) == self._walks
        places = {id(node): f"{name}_{i}" for i, (node, _) in enumerate(operand.stored)}
        if not first and id(operand.root) in places:
            value = self.at(places[id(operand.root)])
            return binary("!=", value, 0) if operand.dtype.name == "bool" else value
        labels = {id(node): f"{name}{i}" for i, node in enumerate(operand.cone.sources)}
        values = operand.cone.values(self.build, lambda source: self.at(labels[id(source)]))
        if first:
            for node, _ in operand.stored:
                self.put(places[id(node)], values[id(node)])
        return values[id(operand.root)]

    @property
    def lanes(self) -> int:
        """Rows (across), or neighbours in a row (along), that are computed together here."""
        return self._lanes

    def position(self) -> Expression:
        """The number of this place in its row, of each lane, for a row of one dimension."""
        first = literal(self._inner[-1] if self.row else 0, INDEX)
        if self.across or self._lanes == 1:
            return first
        return first + Literal(tuple(range(self._lanes)), Type(INDEX, self._lanes))

    def start(self, name: str) -> Expression:
        """The index in an operand's buffer at which the row starts."""
        return self._base[self._numbers[name]]

    def buffer(self, name: str) -> Buffer:
        """An operand's buffer."""
        return self.buffers[self._numbers[name]]

    def put(self, name: str, value: Expression) -> None:
        """Writes an operand's elements at this place."""
        if name in self._results:
            result = self._results[name]
            labels = {id(source): f"{name}{i}" for i, source in enumerate(result.others)}
            value = self.build.let(value)
            value = result.after(self.build, value, lambda source: self.at(labels[id(source)]))
        operand = self._numbers[name]
        index, lanes = self._index(operand)
        scalar = self.buffers[operand].scalar
        value = value if value.type.scalar == "i1" and scalar == "u8" else cast(value, scalar)
        self.build.store(
            self.buffers[operand], index, literal(value, Type(value.type.scalar, lanes))
        )

    def let(self, value: Expression) -> Expression:
        """Names a value, which is then computed once."""
        return self.build.let(value)

    # ---------------------------------------------------------------- walks along a row

    def walk(self, body: Callable[[], None]) -> None:
        """Puts ``body`` into loops over the elements of the row."""
        self._walks += 1
        pieces = self._row_pieces(self.row[-1] if self.row else 1)
        with loops(self.build, self.row[:-1]) as outer:
            for piece in pieces:
                with piece.over(self.build) as index:
                    with self._placed([*outer, index], piece.lanes):
                        body()

    def fold(
        self,
        folds: Sequence[tuple[Fold, str]],
        terms: Callable[[], Sequence[Expression]],
        wide: bool = False,
    ) -> list[Expression]:
        """Reduces the row, to one value a row for each of several terms.

        Args:
            folds: for each term, how it is reduced, and its element type.
            terms: makes the terms at one place of the row.
            wide: whether sums of float32 are given as the float64 that they are summed up in.
        """
        kinds = [wide_type(f, s) if wide else s for f, s in folds]
        self._walks += 1
        row = self.row or [1]
        blocks = [_BLOCKS[scalar] for f, scalar in folds if f is SUM and scalar in _BLOCKS]
        dim, size = self._block(row, min(blocks)) if blocks else (0, row[0])
        if not dim and size == row[0]:
            whole = [(0, count) for count in row]
            values = self._fold_block(folds, terms, [], whole)
            return [self.let(cast(v, kind)) for v, kind in zip(values, kinds, strict=True)]
        totals = [
            self.build.accumulator(f.neutral(s), Type(wide_type(f, s), self._lanes))
            for f, s in folds
        ]

        def block(start: Any, count: int) -> None:
            ranges = [(start, count), *((0, count) for count in row[dim + 1 :])]
            values = self._fold_block(folds, terms, indices, ranges)
            for (f, _), total, value in zip(folds, totals, values, strict=True):
                self.build.assign(total, f.combine(total, cast(value, total.type.scalar)))

        with loops(self.build, row[:dim]) as indices:
            with self.build.loop(row[dim] // size * size, step=size) as start:
                block(start, size)
            if row[dim] % size:
                block(row[dim] // size * size, row[dim] % size)
        return [self.let(cast(total, kind)) for total, kind in zip(totals, kinds, strict=True)]

    def _block(self, row: Sequence[int], most: int) -> tuple[int, int]:
        """A block of a row, of about so many terms for each lane: which dimension is cut, and into
        how many indices. The dimensions before it are walked block by block, those behind it belong
        to the block.
        """
        lanes = 1 if self.across else self.widest
        dim = len(row) - 1
        terms = math.ceil(row[dim] / lanes)
        if terms > most:
            return dim, most * lanes
        while dim and terms * row[dim - 1] <= most:
            dim -= 1
            terms *= row[dim]
        if not dim or most // terms == 1:
            return dim, row[dim]
        return dim - 1, most // terms

    def _fold_block(
        self,
        folds: Sequence[tuple[Fold, str]],
        terms: Callable[[], Sequence[Expression]],
        indices: list[Any],
        ranges: Sequence[tuple[Any, int]],
    ) -> list[Expression]:
        """Reduces the elements in a range of each inner dimension, given by its start and count,
        at the indices of the outer ones.
        """
        *between, (first, last) = ranges
        pieces = self._row_pieces(last, first)
        sums = [
            [self.build.accumulator(f.neutral(s), Type(s, piece.lanes)) for f, s in folds]
            for piece in pieces
        ]
        with contextlib.ExitStack() as stack:
            more = [
                stack.enter_context(self.build.loop(start + count, start))
                for start, count in between
            ]
            for piece, accumulators in zip(pieces, sums, strict=True):
                with piece.over(self.build) as index:
                    with self._placed([*indices, *more, index], piece.lanes):
                        for (f, _), total, term in zip(folds, accumulators, terms(), strict=True):
                            self.build.assign(total, f.combine(total, term))
        result = []
        for number, (f, scalar) in enumerate(folds):
            values = [self._of_lanes(f, scalar, accumulators[number]) for accumulators in sums]
            found = values[0]
            for value in values[1:]:
                found = f.combine(found, value)
            result.append(found)
        return result

    def _of_lanes(self, fold: Fold, scalar: str, value: Expression) -> Expression:
        if self.across or value.type.lanes == 1:
            return value
        return call(fold.lanes, value, type=Type(scalar))

    def _row_pieces(self, count: int, start: Any = 0) -> list[Piece]:
        """The innermost dimension of the row in vectors, or one by one when lanes lie across."""
        if not self.across:
            return _cut(count, min(self.widest, _widest(count, self.width, 8)), self.width, start)
        return [Piece(start, count, self._lanes, 1)]

    @contextlib.contextmanager
    def _placed(self, inner: list[Any], lanes: int) -> Iterator[None]:
        before = self._inner, self._lanes, self._here
        self._inner, self._lanes, self._here = (inner if self.row else []), lanes, {}
        yield
        self._inner, self._lanes, self._here = before


def _in_memory(
    label: str, given: Access | Operand | Result, steps: Sequence[int] | None
) -> list[Any]:
    """The parts of an operand that lie in memory, with labels and strides."""
    if isinstance(given, Access):
        return [(label, given, given.strides if steps is None else steps)]
    if isinstance(given, Result):
        place = (label, given.place, given.place.strides)
        return [place, *((f"{label}{i}", s, s.strides) for i, s in enumerate(given.sources))]
    parts = [(f"{label}{i}", source, source.strides) for i, source in enumerate(given.sources)]
    parts += [(f"{label}_{i}", at, at.strides) for i, (_, at) in enumerate(given.stored)]
    return parts


def wide_type(fold: Fold, scalar: str) -> str:
    """The element type in which results of blocks are put together."""
    return "f64" if fold is SUM and scalar == "f32" else scalar


def _widest(count: int, width: int, vectors: int) -> int:
    """Lanes of the widest vectors that ``count`` elements fill."""
    lanes = width
    while lanes < width * vectors and lanes * 2 <= count:
        lanes *= 2
    return lanes


def _nest(
    shape: Sequence[int], dims: Sequence[int], strides: Sequence[Sequence[int]], sort: bool
) -> tuple[list[int], list[list[int]]]:
    """Sizes and strides of some of the dimensions, the furthest steps outermost, merged."""
    order = sorted(dims, key=lambda dim: -abs(strides[0][dim])) if sort else list(dims)
    sizes, steps, _ = merged(
        [shape[dim] for dim in order], [[each[dim] for dim in order] for each in strides]
    )
    return sizes, steps


def kept_strides(shape: Sequence[int], dims: Sequence[int]) -> tuple[int, ...]:
    """The strides over ``shape`` of a contiguous tensor that lacks the dimensions ``dims``."""
    result = [0] * len(shape)
    step = 1
    for dim in reversed(range(len(shape))):
        if dim not in dims:
            result[dim] = step
            step *= shape[dim]
    return tuple(result)
