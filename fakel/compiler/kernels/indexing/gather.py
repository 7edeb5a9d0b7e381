"""Picking elements by index tensors: embedding and its gradient, index, index_select, gather."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from fakel.compiler.kernels.indexing.indices import (
    INTEGERS,
    PARALLEL_ELEMENTS,
    Indexed,
    Indices,
    dot,
    out_of_bounds,
    out_of_dimension,
    out_of_range,
    unravel,
)
from fakel.compiler.kernels.reductions.rows import pieces_of
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import INDEX, Buffer, Expression, binary, cast, literal
from fakel.compiler.loop_ir.nests import broadcast_strides, merged
from fakel.compiler.planning.lowering import lowers
from fakel.graph import Node


def _copy(
    build: Builder,
    source: tuple[Buffer, Expression, Sequence[int]],
    out: tuple[Buffer, Expression, Sequence[int]],
    sizes: Sequence[int],
) -> None:
    """Copies a block, given where it starts and its strides on both sides."""
    (x, x_base, x_steps), (y, y_base, y_steps) = source, out
    if len(sizes) > 1:
        with build.loop(sizes[0]) as i:
            build_source = (x, x_base + i * x_steps[0], x_steps[1:])
            _copy(build, build_source, (y, y_base + i * y_steps[0], y_steps[1:]), sizes[1:])
        return
    if not sizes:
        build.store(y, y_base, build.load(x, x_base))
        return
    width = target.lanes(x.scalar) if x_steps[0] == y_steps[0] == 1 else 1
    for piece in pieces_of(sizes[0], width, 4):
        with piece.over(build) as i:
            place = literal(i, INDEX)
            value = build.load(x, x_base + place * x_steps[0], piece.lanes)
            build.store(y, y_base + place * y_steps[0], value)


def _take(
    plan: Any,
    node: Node,
    dims: Sequence[int],
    negative: bool,
    errors: Callable[[int], Exception],
) -> bool:
    """Picks from the first input at the other inputs' positions of ``dims``, which broadcast."""
    source, *indices = (plan.read(each) for each in node.inputs if each is not None)
    if any(index.dtype.name not in INTEGERS for index in indices) or 0 in node.shape:
        return False
    picked = Indexed.of(len(source.shape), dims, indices)
    common, before, behind = picked.common, picked.before, picked.behind
    ndim = len(common)
    out = plan.result(node)
    outer_sizes, (outer_in, outer_out), _ = merged(
        [source.shape[d] for d in before],
        [[source.strides[d] for d in before], out.strides[: len(before)]],
    )
    inner_sizes, (inner_in, inner_out), _ = merged(
        [source.shape[d] for d in behind],
        [[source.strides[d] for d in behind], out.strides[len(before) + ndim :]],
    )
    build = Builder(node.operator.name)
    x = build.buffer("x", source.scalar)
    lists = [
        Indices(build, index, source.shape[dim], negative)
        for dim, index in zip(dims, indices, strict=True)
    ]
    target_buffer = build.buffer("out", out.scalar)
    sizes = [*outer_sizes, *common]
    middle_out = out.strides[len(before) : len(before) + ndim]
    parallel = out.count >= PARALLEL_ELEMENTS
    count = math.prod(sizes)
    with build.share(count) if parallel else build.loop(count) as number:
        places = unravel(number, sizes)
        outer, middle = places[: len(outer_sizes)], places[len(outer_sizes) :]
        base = dot(outer, outer_in)
        for each, dim, access in zip(lists, dims, indices, strict=True):
            steps = broadcast_strides(access.shape, access.strides, common)
            base = base + each.at(dot(middle, steps)) * source.strides[dim]
        start = build.let(base)
        place = build.let(dot(outer, outer_out) + dot(middle, middle_out))
        _copy(build, (x, start, inner_in), (target_buffer, place, inner_out), inner_sizes)
    arguments = [source, *indices, out]
    checked = [] if negative else [(i, source.shape[d]) for i, d in zip(indices, dims, strict=True)]
    plan.call(
        build.kernel, arguments, writes=[out], parallel=parallel, errors=errors, indices=checked
    )
    return True


@lowers("embedding")
def _embedding(plan: Any, node: Node) -> bool:
    return _take(plan, node, (0,), False, out_of_range)


@lowers("index_select")
def _index_select(plan: Any, node: Node) -> bool:
    source, index = node.inputs
    assert source is not None and index is not None
    # a single number picked from a tensor without dimensions, or by an index without
    if not source.shape or len(index.shape) != 1:
        return False
    return _take(plan, node, (node.parameters["dim"],), False, out_of_range)


@lowers("index")
def _index(plan: Any, node: Node) -> bool:
    dims = node.parameters["dims"]
    source = node.inputs[0]
    assert source is not None
    return _take(plan, node, dims, True, out_of_bounds([source.shape[dim] for dim in dims]))


@lowers("gather")
def _gather(plan: Any, node: Node) -> bool:
    source, index = (plan.read(each) for each in node.inputs)
    dim = node.parameters["dim"]
    if index.dtype.name not in INTEGERS or 0 in node.shape or not (source.shape and index.shape):
        return False
    out = plan.result(node)
    steps = list(source.strides)
    along = steps[dim]
    steps[dim] = 0
    sizes, (x_steps, index_steps, out_steps), _ = merged(
        index.shape, [steps, index.strides, out.strides]
    )
    build = Builder("gather")
    x = build.buffer("x", source.scalar)
    indices = Indices(build, index, source.shape[dim], False)
    target_buffer = build.buffer("out", out.scalar)
    parallel = out.count >= PARALLEL_ELEMENTS

    def inner(places: list[Any]) -> None:
        if len(places) < len(sizes):
            with build.loop(sizes[len(places)]) as i:
                inner([*places, i])
            return
        picked = indices.at(dot(places, index_steps))
        value = build.load(x, dot(places, x_steps) + picked * along)
        build.store(target_buffer, dot(places, out_steps), value)

    if parallel and sizes:
        with build.share(sizes[0]) as i:
            inner([i])
    else:
        parallel = False
        inner([])
    errors = out_of_dimension(dim, source.shape[dim])
    arguments = [source, index, out]
    checked = [(index, source.shape[dim])]
    plan.call(
        build.kernel, arguments, writes=[out], parallel=parallel, errors=errors, indices=checked
    )
    return True


@lowers("embedding_gradient")
def _embedding_gradient(plan: Any, node: Node) -> bool:
    grad, index = (plan.read(each) for each in node.inputs)
    if (
        node.parameters["scale_grad_by_freq"]
        or index.dtype.name not in INTEGERS
        or grad.dtype.name not in ("float32", "float64")
        or 0 in node.shape
    ):
        return False
    out = plan.result(node)
    rows, columns = node.shape
    lines, (index_steps, grad_steps), _ = merged(index.shape, [index.strides, grad.strides[:-1]])
    build = Builder("embedding_gradient")
    lines_buffer, indices = build.buffer("grad", grad.scalar), build.buffer("index", index.scalar)
    result = build.buffer("out", out.scalar)
    parallel = max(out.count, grad.count) >= PARALLEL_ELEMENTS
    thread, threads = build.kernel.thread, build.kernel.threads
    # each thread owns some rows of the result and adds to them in the order of the indices
    first = build.let(thread * rows // threads) if parallel else literal(0, INDEX)
    last = build.let((thread + 1) * rows // threads) if parallel else literal(rows, INDEX)
    with build.loop(last * columns, first * columns) as place:
        build.store(result, place, 0)
    padding = node.parameters["padding_idx"]
    width = target.lanes(grad.scalar) if grad.strides[-1] == 1 else 1
    with build.loop(math.prod(lines)) as number:
        places = unravel(number, lines)
        row = build.let(cast(build.load(indices, dot(places, index_steps)), INDEX))
        own = binary("&", binary(">=", row, first), binary("<", row, last))
        with build.when(binary("&", own, binary("!=", row, padding))):
            start = build.let(dot(places, grad_steps))
            for piece in pieces_of(columns, width, 4):
                with piece.over(build) as i:
                    column = literal(i, INDEX)
                    place = row * columns + column
                    line = build.load(lines_buffer, start + column * grad.strides[-1], piece.lanes)
                    build.store(result, place, build.load(result, place, piece.lanes) + line)
    plan.call(build.kernel, [grad, index, out], writes=[out], parallel=parallel)
    return True
