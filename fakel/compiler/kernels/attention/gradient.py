"""The gradient of attention: a block of queries after the other, part by part of the sources.

A block's weights are computed again from the scores. What reaches the queries is summed up in the
cache, what reaches keys and values is added to memory that one thread owns.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from fakel.compiler.kernels.attention.blocks import (
    Attention,
    Blocks,
    Matrices,
    additive_mask,
    attention,
    lies,
)
from fakel.compiler.kernels.products.tiles import (
    Numbers,
    Vectors,
    over_vectors,
    product,
    tile_shape,
)
from fakel.compiler.kernels.reductions.rows import SUM, Rows
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.language import (
    INDEX,
    Buffer,
    Expression,
    Kernel,
    Type,
    Variable,
    binary,
    call,
    literal,
)
from fakel.compiler.planning.lowering import Access, lowers
from fakel.graph import Node
from fakel.tensor.size import contiguous_strides

# so many shares of the work, if a batch has fewer matrices: then its blocks are divided
_SHARES = 8
# sums of shares over fewer elements stay on one thread
_PARALLEL_ELEMENTS = 32768


@dataclass(frozen=True)
class _Backward:
    """A kernel's parameters: the attention, what arrives, and how many shares have sums of their
    own for each matrix.
    """

    sizes: Attention
    arriving: Matrices
    output: Matrices
    shares: int


@lowers("attention_gradient")
def _attention_gradient(plan: Any, node: Node) -> bool:
    arriving, query, key, value, mask, output, logarithms = (
        None if source is None else plan.read(source) for source in node.inputs
    )
    wanted = plan.outputs_of[id(node)]
    # all gradients have the whole batch's shape
    sizes = attention(node, query, key, value, mask)
    # the gradient of a mask would have to be written for every pair
    if sizes is None or 3 in wanted or not _in_order(logarithms) or output.strides[-1] != 1:
        return False
    results = plan.results(node)
    if mask is not None:
        mask = additive_mask(plan, mask, sizes.width)
        sizes = replace(sizes, mask=lies(mask, sizes.batch))
    shares = 1
    if sizes.matrices < _SHARES:
        shares = min(sizes.blocks, -(-_SHARES // sizes.matrices))
    backward = _Backward(sizes, lies(arriving, sizes.batch), lies(output, sizes.batch), shares)
    summed = list(results[1:3])
    if shares > 1:
        summed = [plan.scratch(shares * each.count, each.dtype) for each in summed]
    written = [results[0], *summed]
    read = [arriving, query, key, value, mask, output, logarithms]
    plan.call(
        _kernel(backward, target.current()),
        [each for each in (*read, *written) if each is not None],
        writes=written,
        parallel=sizes.parallel,
    )
    if shares > 1:
        for parts, result in zip(summed, results[1:3], strict=True):
            _add_shares(plan, parts, result, shares)
    return True


def _in_order(access: Access) -> bool:
    return access.strides == contiguous_strides(access.shape)


def _add_shares(plan: Any, parts: Access, result: Access, shares: int) -> None:
    shape = (shares, result.count)
    operands = [("x", parts, (result.count, 1)), ("out", result, (0, 1))]
    rows = Rows("add_shares", shape, (0,), operands)

    def row() -> None:
        (total,) = rows.fold([(SUM, "f32")], lambda: [rows.at("x")])
        rows.put("out", total)

    parallel = parts.count >= _PARALLEL_ELEMENTS
    rows.run(row, parallel)
    plan.call(rows.kernel, rows.accesses, writes=[result], parallel=parallel)


@functools.lru_cache(maxsize=64)
def _kernel(backward: _Backward, processor: target.Target) -> Kernel:
    return _Gradient(backward).kernel()


class _Gradient(Blocks):
    """Builds the kernel."""

    def __init__(self, backward: _Backward) -> None:
        sizes = backward.sizes
        super().__init__(sizes, "attention_gradient")
        self.backward = backward
        build = self.build
        self.arriving, self.query = build.buffer("arriving", "f32"), build.buffer("query", "f32")
        self.key, self.value = build.buffer("key", "f32"), build.buffer("value", "f32")
        self.mask = None if sizes.mask is None else build.buffer("mask", "f32")
        self.output = build.buffer("output", "f32")
        self.logarithms = build.buffer("logarithms", "f32")
        self.of_query, self.of_key = build.buffer("of_query", "f32"), build.buffer("of_key", "f32")
        self.of_value = build.buffer("of_value", "f32")
        vectors = sizes.vectors
        self.tile_rows, _ = tile_shape(sizes.block_sources, vectors, "f32")
        self.tile_features, _ = tile_shape(sizes.features, vectors, "f32")
        # of a block: queries and what arrives, as rows and turned; weights and scores' gradients
        self.query_rows = self.local("query_rows", self.width, self.pitch(sizes.features))
        self.query_turned = self.local("query_turned", sizes.features)
        self.arriving_rows = self.local(
            "arriving_rows", self.width, self.pitch(sizes.value_features)
        )
        self.arriving_turned = self.local("arriving_turned", sizes.value_features)
        self.weights = self.local("weights", sizes.block_sources + self.tile_rows)
        self.scores = self.local("scores", sizes.block_sources + self.tile_rows)
        self.pulled = self.local("pulled", sizes.features + self.tile_features)
        # of each query: the logarithm of its weights' sum, and the part of the gradient that goes
        # to all its scores alike
        self.logs = build.local("logs", "f32", self.width)
        self.shared = build.local("shared", "f32", self.width)

    def kernel(self) -> Kernel:
        build, sizes, shares = self.build, self.sizes, self.backward.shares
        with build.share(sizes.matrices * shares, "unit") as unit:
            matrix, share = build.let(unit // shares), build.let(unit % shares)
            number = build.let(share * sizes.matrices + matrix)
            for buffer, features in (
                (self.of_key, sizes.features),
                (self.of_value, sizes.value_features),
            ):
                size = sizes.sources * features
                with build.loop((number + 1) * size, number * size, name="i") as i:
                    build.store(buffer, i, 0.0)
            with build.loop(sizes.blocks, share, step=shares, name="block") as block:
                first = build.let(self.block_number(block) * self.width, "query")
                self._block(matrix, number, first)
        return build.kernel

    def _block(self, matrix: Expression, number: Expression, first: Expression) -> None:
        build, sizes, lanes = self.build, self.sizes, self.lanes
        count = build.let(call("min", self.width, sizes.targets - first), "count")
        key, value = sizes.key, sizes.value
        key_origin, value_origin = self.origin(key, matrix), self.origin(value, matrix)
        mask = None
        if self.mask is not None:
            assert sizes.mask is not None
            mask = self.mask, self.origin(sizes.mask, matrix)
        self._read(matrix, first, count)
        with build.loop(sizes.features * self.width, step=lanes, name="i") as i:
            build.store(self.pulled, i, literal(0.0, Type("f32", lanes)))
        sources = self.sources_of(first)
        with build.loop(sources, step=sizes.block_sources, name="source") as source:
            end = build.let(call("min", source + sizes.block_sources, sources))
            found = build.let(end - source, "found")
            start = build.let(key_origin + source * key.row)
            keys = Numbers(self.key, start, key.row, key.column)
            turned = self.query_turned
            self.products(keys, turned, self.weights, found, sizes.features, self.tile_rows)
            values = Numbers(
                self.value, build.let(value_origin + source * value.row), value.row, value.column
            )
            turned = self.arriving_turned
            self.products(values, turned, self.scores, found, sizes.value_features, self.tile_rows)
            self.groups(lambda group: self._pull(group, mask, source, found, first))
            line = build.let(number * sizes.sources + source)
            for weights, rows, into, columns in (
                (self.weights, self.arriving_rows, self.of_value, sizes.value_features),
                (self.scores, self.query_rows, self.of_key, sizes.features),
            ):
                self._add(weights, rows, into, line, found, count, columns)
            # the rows of this product are the keys' columns
            keys = Numbers(self.key, start, key.column, key.row)
            features = literal(sizes.features, INDEX)
            tile_rows = self.tile_features
            self.products(keys, self.scores, self.pulled, features, found, tile_rows, True)
        origin = build.let((matrix * sizes.targets + first) * sizes.features)
        self.write(self.pulled, self.of_query, origin, sizes.features, count, sizes.features)

    def _read(self, matrix: Expression, first: Expression, count: Expression) -> None:
        """The block's queries, what arrives at its outputs, and what is known of its rows."""
        build, sizes, lanes = self.build, self.sizes, self.lanes
        query, arriving, output = sizes.query, self.backward.arriving, self.backward.output
        origin = build.let(self.origin(query, matrix) + first * query.row)
        steps = query.row, query.column
        self.read(
            self.query, origin, steps, count, sizes.features, self.query_turned,
            self.query_rows, sizes.scale,
        )  # fmt: skip
        origin = build.let(self.origin(arriving, matrix) + first * arriving.row)
        steps = arriving.row, arriving.column
        self.read(
            self.arriving, origin, steps, count, sizes.value_features, self.arriving_turned,
            self.arriving_rows,
        )  # fmt: skip
        origin = build.let(self.origin(output, matrix) + first * output.row)
        pitch = self.pitch(sizes.value_features)
        with build.loop(count, name="t") as t:
            place = build.let(matrix * sizes.targets + first + t)
            build.store(self.logs, t, build.load(self.logarithms, place))
            total = build.accumulator(0.0, Type("f32", lanes))

            def add(column: Expression, active: int) -> None:
                left = build.load(self.arriving_rows, t * pitch + column, lanes, active)
                right = build.load(self.output, origin + t * output.row + column, lanes, active)
                build.assign(total, total + left * right)

            over_vectors(build, sizes.value_features, lanes, add)
            build.store(self.shared, t, call("reduce_add", total, type=Type("f32")))

    def _pull(
        self, group: Expression, mask: Any, source: Expression, found: Expression, first: Expression
    ) -> None:
        """Makes weights, and gradients of the scaled scores, for one vector of queries."""
        build, lanes = self.build, self.lanes
        logs = build.let(build.load(self.logs, group, lanes))
        shared = build.let(build.load(self.shared, group, lanes))
        with build.loop(found, name="s") as s:
            place = build.let(s * self.width + group)
            score = build.let(build.load(self.weights, place, lanes))
            score = build.let(self.masked(score, mask, source + s, first, group) - logs)
            weight = self.power(score)
            build.store(self.weights, place, weight)
            inner = build.load(self.scores, place, lanes) - shared
            build.store(self.scores, place, weight * inner * self.sizes.scale)

    def _add(
        self,
        left: Buffer,
        right: Buffer,
        into: Buffer,
        line: Expression,
        found: Expression,
        count: Expression,
        columns: int,
    ) -> None:
        """Adds the products of a block's queries to the gradients of its sources, from ``line``
        on.
        """
        build, lanes = self.build, self.lanes
        vectors = -(-columns // lanes)
        tile_rows, wide = tile_shape(self.sizes.block_sources, vectors, "f32")
        pitch = self.pitch(columns)
        zero = literal(0.0, Type("f32", lanes))
        numbers = Numbers(left, 0, self.width, 1)

        def strip(column: Expression, active: int) -> None:
            offsets = range(0, active, lanes)
            starts = [column + offset for offset in offsets]

            def write(row: Expression, sums: list[list[Variable]]) -> None:
                for i, totals in enumerate(sums):
                    with build.when(binary("<", row + i, found)):
                        start = build.let((line + row + i) * columns + column)
                        for offset, total in zip(offsets, totals, strict=True):
                            rest = min(active - offset, lanes)
                            before = build.load(into, start + offset, lanes, rest)
                            build.store(into, start + offset, before + total, rest)

            rows = literal(0, INDEX), found
            parts = Vectors(right, starts, pitch, lanes)
            begin: Sequence[Expression] = [zero for _ in offsets]
            product(build, numbers, parts, rows, count, tile_rows, lambda row: begin, write)

        over_vectors(build, columns, wide * lanes, strip)
