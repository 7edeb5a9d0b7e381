"""Attention: softmax of scaled and masked products, times values, block by block of the queries."""

from __future__ import annotations

import functools
import math
from dataclasses import replace
from typing import Any

from fakel.compiler.kernels.attention.blocks import (
    Attention,
    Blocks,
    additive_mask,
    attention,
    lies,
)
from fakel.compiler.kernels.products.tiles import Numbers, tile_shape
from fakel.compiler.loop_ir import math as functions
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.language import Expression, Kernel, Type, binary, call, literal, select
from fakel.compiler.planning.lowering import lowers
from fakel.graph import Node


@lowers("attention")
def _attention(plan: Any, node: Node) -> bool:
    query, key, value, mask = (
        None if source is None else plan.read(source) for source in node.inputs
    )
    sizes = attention(node, query, key, value, mask)
    if sizes is None:
        return False
    output, logarithms = plan.results(node)
    if mask is not None:
        mask = additive_mask(plan, mask, sizes.width)
        sizes = replace(sizes, mask=lies(mask, sizes.batch))
    arguments = [query, key, value, *([] if mask is None else [mask]), output, logarithms]
    plan.call(
        _kernel(sizes, target.current()),
        arguments,
        writes=[output, logarithms],
        parallel=sizes.parallel,
    )
    return True


@functools.lru_cache(maxsize=64)
def _kernel(sizes: Attention, processor: target.Target) -> Kernel:
    return _Forward(sizes).kernel()


class _Forward(Blocks):
    """Goes through the sources of a block of queries, part by part; what was summed up is scaled
    down when a greater score appears.
    """

    def __init__(self, sizes: Attention) -> None:
        super().__init__(sizes, "attention")
        build = self.build
        self.query, self.key = build.buffer("query", "f32"), build.buffer("key", "f32")
        self.value = build.buffer("value", "f32")
        self.mask = None if sizes.mask is None else build.buffer("mask", "f32")
        self.output = build.buffer("output", "f32")
        self.logarithms = build.buffer("logarithms", "f32")
        self.rows, _ = tile_shape(sizes.block_sources, sizes.vectors, "f32")
        self.columns, _ = tile_shape(sizes.value_features, sizes.vectors, "f32")
        self.turned = self.local("turned", sizes.features)
        self.scores = self.local("scores", sizes.block_sources + self.rows)
        self.sums = self.local("sums", sizes.value_features + self.columns)
        # of each query: the greatest score so far, and the sum of the others' powers
        self.most = build.local("most", "f32", self.width)
        self.total = build.local("total", "f32", self.width)

    def kernel(self) -> Kernel:
        build, sizes = self.build, self.sizes
        with build.share(sizes.matrices * sizes.blocks, "unit") as unit:
            matrix = build.let(unit // sizes.blocks, "matrix")
            block = self.block_number(build.let(unit % sizes.blocks))
            first = build.let(block * self.width, "query")
            self._block(matrix, first)
        return build.kernel

    def _block(self, matrix: Expression, first: Expression) -> None:
        build, sizes = self.build, self.sizes
        count = build.let(call("min", self.width, sizes.targets - first), "count")
        query, key, value = sizes.query, sizes.key, sizes.value
        key_origin, value_origin = self.origin(key, matrix), self.origin(value, matrix)
        mask = None
        if self.mask is not None:
            assert sizes.mask is not None
            mask = self.mask, self.origin(sizes.mask, matrix)
        origin = build.let(self.origin(query, matrix) + first * query.row)
        steps = query.row, query.column
        self.read(self.query, origin, steps, count, sizes.features, self.turned, scale=sizes.scale)
        self._begin()
        sources = self.sources_of(first)
        with build.loop(sources, step=sizes.block_sources, name="source") as source:
            end = build.let(call("min", source + sizes.block_sources, sources))
            found = build.let(end - source, "found")
            start = build.let(key_origin + source * key.row)
            keys = Numbers(self.key, start, key.row, key.column)
            self.products(keys, self.turned, self.scores, found, sizes.features, self.rows)
            self.groups(lambda group: self._soften(group, mask, source, found, first))
            start = build.let(value_origin + source * value.row)
            # the rows of this product are the values' columns
            values = Numbers(self.value, start, value.column, value.row)
            features = literal(sizes.value_features, "i64")
            self.products(values, self.scores, self.sums, features, found, self.columns, True)
        self.groups(lambda group: self._finish(group, matrix, first, count))
        row_step = sizes.value_features
        origin = build.let((matrix * sizes.targets + first) * row_step)
        self.write(self.sums, self.output, origin, row_step, count, row_step)

    def _begin(self) -> None:
        build, lanes = self.build, self.lanes
        zero = literal(0.0, Type("f32", lanes))
        with build.loop(self.sizes.value_features * self.width, step=lanes, name="i") as i:
            build.store(self.sums, i, zero)

        def group(first: Expression) -> None:
            build.store(self.most, first, literal(-math.inf, Type("f32", lanes)))
            build.store(self.total, first, zero)

        self.groups(group)

    def _soften(
        self, group: Expression, mask: Any, source: Expression, found: Expression, first: Expression
    ) -> None:
        """Makes weights of scores, for one vector of queries, and scales down earlier sums."""
        build, lanes = self.build, self.lanes
        before = build.let(build.load(self.most, group, lanes))
        most = build.accumulator(before, name="most")
        with build.loop(found, name="s") as s:
            place = build.let(s * self.width + group)
            score = build.load(self.scores, place, lanes)
            score = build.let(self.masked(score, mask, source + s, first, group))
            build.store(self.scores, place, score)
            build.assign(most, select(binary(">", score, most), score, most))
        highest = build.let(most * 1.0)
        build.store(self.most, group, highest)
        # minus infinity only while all scores are
        finite = build.let(select(binary("==", highest, -math.inf), 0.0, highest))
        total = build.accumulator(0.0, Type("f32", lanes))
        with build.loop(found, name="s") as s:
            place = build.let(s * self.width + group)
            score = build.let(build.load(self.scores, place, lanes) - finite)
            weight = self.power(score)
            build.store(self.scores, place, weight)
            build.assign(total, total + weight)
        factor = self.power(build.let(before - finite))
        build.store(self.total, group, build.load(self.total, group, lanes) * factor + total)
        with build.when(binary(">", source, 0)):
            with build.loop(self.sizes.value_features, name="e") as e:
                place = build.let(e * self.width + group)
                build.store(self.sums, place, build.load(self.sums, place, lanes) * factor)

    def _finish(
        self, group: Expression, matrix: Expression, first: Expression, count: Expression
    ) -> None:
        """Divides by the sums of weights and writes their logarithms."""
        build, lanes, sizes = self.build, self.lanes, self.sizes
        total = build.let(build.load(self.total, group, lanes))
        total = build.let(select(binary("==", total, 0.0), 1.0, total))
        most = build.let(build.load(self.most, group, lanes))
        most = select(binary("==", most, -math.inf), 0.0, most)
        build.store(self.total, group, functions.log(total) + most)
        factor = build.let(1.0 / total)
        with build.loop(sizes.value_features, name="e") as e:
            place = build.let(e * self.width + group)
            build.store(self.sums, place, build.load(self.sums, place, lanes) * factor)
        end = build.let(call("min", count, group + lanes))
        with build.loop(end, group, name="t") as t:
            place = matrix * sizes.targets + first + t
            build.store(self.logarithms, place, build.load(self.total, t))
