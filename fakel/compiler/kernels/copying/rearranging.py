"""Copies in another order: flip, roll, repeat, constant padding, triangles."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fakel.compiler.kernels.copying.copies import copied
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import binary, literal, select
from fakel.compiler.loop_ir.nests import offset_of
from fakel.compiler.planning.lowering import Access, lowers
from fakel.graph import Node

# kernels over fewer elements stay on one thread
PARALLEL_ELEMENTS = 16384


def _part(access: Access, starts: Sequence[int], sizes: Sequence[int]) -> Access:
    """A block of a tensor."""
    offset = sum(start * step for start, step in zip(starts, access.strides, strict=True))
    return replace(access, offset=access.offset + offset, shape=tuple(sizes))


@lowers("flip")
def _flip(plan: Any, node: Node) -> bool:
    source, out = plan.read(node.inputs[0]), plan.result(node)
    dims = {dim % len(source.shape) for dim in node.parameters["dims"]} if source.shape else set()
    last = [size - 1 if dim in dims else 0 for dim, size in enumerate(source.shape)]
    steps = tuple(-s if dim in dims else s for dim, s in enumerate(source.strides))
    if source.count:
        copied(plan, replace(_part(source, last, source.shape), strides=steps), out)
    return True


@lowers("roll")
def _roll(plan: Any, node: Node) -> bool:
    source, out = plan.read(node.inputs[0]), plan.result(node)
    shape = source.shape
    by = [0] * len(shape)
    if shape and source.count:
        for shift, dim in zip(node.parameters["shifts"], node.parameters["dims"], strict=True):
            by[dim] = (by[dim] + shift) % shape[dim]
    # each dimension in two pieces: (start in the source, start in the result, size)
    pieces = [
        [(0, shift, size - shift), (size - shift, 0, shift)]
        for size, shift in zip(shape, by, strict=True)
    ]
    for block in itertools.product(*pieces):
        sizes = [size for _, _, size in block]
        copied(
            plan,
            _part(source, [start for start, _, _ in block], sizes),
            _part(out, [start for _, start, _ in block], sizes),
        )
    return True


@lowers("repeat")
def _repeat(plan: Any, node: Node) -> bool:
    source, out = plan.read(node.inputs[0]), plan.result(node)
    times = node.parameters["times"]
    lead = len(times) - len(source.shape)
    if lead < 0:
        return False
    sizes = (1,) * lead + source.shape
    steps = (0,) * lead + source.strides
    pairs = [each for pair in zip(times, sizes, strict=True) for each in pair]
    seen = [each for step in steps for each in (0, step)]
    places = [each for n, s in zip(sizes, out.strides, strict=True) for each in (n * s, s)]
    copied(
        plan,
        replace(source, shape=tuple(pairs), strides=tuple(seen)),
        replace(out, shape=tuple(pairs), strides=tuple(places)),
    )
    return True


@lowers("constant_pad_nd")
def _pad(plan: Any, node: Node) -> bool:
    source = plan.read(node.inputs[0])
    padding, value = node.parameters["padding"], node.parameters["value"]
    out = plan.result(node)
    if not out.count:
        return True
    build = Builder("fill")
    target = build.buffer("out", out.scalar)
    number = bool(value) if source.dtype.name == "bool" else value
    with build.loop(out.count) as index:
        build.store(target, index, literal(number, out.scalar))
    plan.call(build.kernel, [out], writes=[out], parallel=False)
    skipped = [max(-left, 0) for left, _ in padding]
    starts = [max(left, 0) for left, _ in padding]
    sizes = [
        size - max(-left, 0) - max(-right, 0)
        for size, (left, right) in zip(source.shape, padding, strict=True)
    ]
    if min(sizes, default=1) > 0:
        copied(plan, _part(source, skipped, sizes), _part(out, starts, sizes))
    return True


@lowers("one_hot")
def _one_hot(plan: Any, node: Node) -> bool:
    source, out = plan.read(node.inputs[0]), plan.result(node)
    classes = node.parameters["classes"]
    if not out.count:
        return False
    build = Builder("one_hot")
    index, target = build.buffer("index", source.scalar), build.buffer("out", out.scalar)
    with build.loop(source.count) as number:
        given = build.let(build.load(index, offset_of(number, source.shape, source.strides)))
        with build.when(binary("|", binary("<", given, 0), binary(">=", given, classes))):
            build.fail(1)
        with build.loop(classes) as column:
            hit = select(binary("==", column, given), literal(1, out.scalar), 0)
            build.store(target, number * classes + column, hit)
    plan.call(
        build.kernel,
        [source, out],
        writes=[out],
        parallel=False,
        errors=lambda status: RuntimeError("a class is negative or too large"),
    )
    return True


@lowers("tril", "triu")
def _triangle(plan: Any, node: Node) -> bool:
    source, out = plan.read(node.inputs[0]), plan.result(node)
    diagonal = node.parameters["diagonal"]
    if not out.count:
        return True
    *batch, rows, columns = source.shape
    build = Builder(node.operator.name)
    x, target = build.buffer("x", source.scalar), build.buffer("out", out.scalar)
    parallel = out.count >= PARALLEL_ELEMENTS
    lines = math.prod(batch) * rows
    with build.share(lines) if parallel else build.loop(lines) as line:
        row = build.let(line % rows)
        place = build.let(offset_of(line // rows, batch, source.strides[:-2]))
        place = build.let(place + row * source.strides[-2])
        with build.loop(columns) as column:
            gap = column - row
            kept = binary("<=" if node.operator.name == "tril" else ">=", gap, diagonal)
            value = build.load(x, place + column * source.strides[-1])
            build.store(target, line * columns + column, select(kept, value, 0))
    plan.call(build.kernel, [source, out], writes=[out], parallel=parallel)
    return True
