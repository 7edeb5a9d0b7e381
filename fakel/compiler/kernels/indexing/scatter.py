"""Placing elements by index tensors: index_put, index_add, index_copy, scatter, scatter_add.

The result starts as a copy. Where several elements are placed at, or added to, the same position,
one thread does it in their order: threads own parts of the result, and each looks at all indices.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from fakel.compiler.kernels.copying.copies import copied
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
from fakel.compiler.loop_ir.language import INDEX, Buffer, Expression, binary, literal
from fakel.compiler.loop_ir.nests import broadcast_strides, merged
from fakel.compiler.planning.lowering import Access, lowers
from fakel.graph import Node


def _fitting(node: Node, values: Access, indices: Sequence[Access], accumulate: bool) -> bool:
    """Whether there is a kernel: nothing to convert, to broadcast to nothing, or to add up
    logically.
    """
    empty = 0 in node.shape or not node.shape or any(not index.count for index in indices)
    integers = all(index.dtype.name in INTEGERS for index in indices)
    logical = accumulate and node.dtype.name == "bool"
    return values.dtype is node.dtype and integers and not empty and not logical


def _start(plan: Any, node: Node) -> Access:
    """The result, a copy of the first input so far."""
    out: Access = plan.result(node)
    source = plan.read(node.inputs[0])
    copied(plan, source, out)
    return out


def _place(
    build: Builder,
    values: tuple[Buffer, Expression, Sequence[int]],
    out: tuple[Buffer, Expression, Sequence[int]],
    sizes: Sequence[int],
    accumulate: bool,
) -> None:
    """Places a block, given where it starts and its strides on both sides."""
    (x, x_base, x_steps), (y, y_base, y_steps) = values, out
    if len(sizes) > 1:
        with build.loop(sizes[0]) as i:
            start = x, x_base + i * x_steps[0], x_steps[1:]
            place = y, y_base + i * y_steps[0], y_steps[1:]
            _place(build, start, place, sizes[1:], accumulate)
        return

    def put(index: Expression, lanes: int) -> None:
        x_step, y_step = (x_steps[0], y_steps[0]) if sizes else (0, 0)
        place = build.let(y_base + index * y_step)
        value = build.load(x, x_base + index * x_step, lanes)
        if accumulate:
            value = build.load(y, place, lanes) + value
        build.store(y, place, value)

    if not sizes:
        put(literal(0, INDEX), 1)
        return
    width = target.lanes(x.scalar) if x_steps[0] == y_steps[0] == 1 else 1
    for piece in pieces_of(sizes[0], width, 4):
        with piece.over(build) as i:
            put(literal(i, INDEX), piece.lanes)


def _put(
    plan: Any,
    node: Node,
    values: Access,
    indices: Sequence[Access],
    dims: Sequence[int],
    negative: bool,
    accumulate: bool,
    errors: Callable[[int], Exception],
) -> bool:
    """Places values at the indices' positions of ``dims``, which broadcast."""
    if not _fitting(node, values, indices, accumulate):
        return False
    ndim = len(node.shape)
    picked = Indexed.of(ndim, dims, indices)
    common, before, behind = picked.common, picked.before, picked.behind
    shape = [node.shape[d] for d in before] + [*common] + [node.shape[d] for d in behind]
    if len(values.shape) > len(shape):
        return False
    steps = broadcast_strides(values.shape, values.strides, shape)
    out = _start(plan, node)
    outer_sizes, (outer_in, outer_out), _ = merged(
        [node.shape[d] for d in before],
        [steps[: len(before)], [out.strides[d] for d in before]],
    )
    inner_sizes, (inner_in, inner_out), _ = merged(
        [node.shape[d] for d in behind],
        [steps[len(before) + len(common) :], [out.strides[d] for d in behind]],
    )
    middle_in = steps[len(before) : len(before) + len(common)]
    build = Builder(node.operator.name)
    x = build.buffer("values", values.scalar)
    lists = [
        Indices(build, index, node.shape[dim], negative)
        for dim, index in zip(dims, indices, strict=True)
    ]
    result = build.buffer("out", out.scalar)
    rows = node.shape[dims[0]]
    parallel = math.prod(shape) >= PARALLEL_ELEMENTS
    thread, threads = build.kernel.thread, build.kernel.threads
    first = build.let(thread * rows // threads) if parallel else literal(0, INDEX)
    last = build.let((thread + 1) * rows // threads) if parallel else literal(rows, INDEX)
    sizes = [*outer_sizes, *common]
    with build.loop(math.prod(sizes)) as number:
        places = unravel(number, sizes)
        outer, middle = places[: len(outer_sizes)], places[len(outer_sizes) :]
        found = [
            each.at(dot(middle, broadcast_strides(index.shape, index.strides, common)))
            for each, index in zip(lists, indices, strict=True)
        ]
        own = binary("&", binary(">=", found[0], first), binary("<", found[0], last))
        with build.when(own):
            base = dot(outer, outer_out) + dot(found, [out.strides[dim] for dim in dims])
            start = build.let(dot(outer, outer_in) + dot(middle, middle_in))
            place = build.let(base)
            source = x, start, inner_in
            _place(build, source, (result, place, inner_out), inner_sizes, accumulate)
    arguments = [values, *indices, out]
    checked = [] if negative else [(i, node.shape[d]) for i, d in zip(indices, dims, strict=True)]
    plan.call(
        build.kernel, arguments, writes=[out], parallel=parallel, errors=errors, indices=checked
    )
    return True


@lowers("index_put")
def _index_put(plan: Any, node: Node) -> bool:
    values, *indices = (plan.read(each) for each in node.inputs[1:])
    dims = node.parameters["dims"]
    errors = out_of_bounds([node.shape[dim] for dim in dims])
    return _put(plan, node, values, indices, dims, True, node.parameters["accumulate"], errors)


@lowers("index_add", "index_copy")
def _index_add(plan: Any, node: Node) -> bool:
    index, values = (plan.read(each) for each in node.inputs[1:])
    dim = node.parameters["dim"]
    if len(index.shape) != 1 or len(values.shape) != len(node.shape):
        return False
    accumulate = node.operator.name == "index_add"
    return _put(plan, node, values, [index], [dim], False, accumulate, out_of_range)


@lowers("scatter", "scatter_add")
def _scatter(plan: Any, node: Node) -> bool:
    index, values = (plan.read(each) for each in node.inputs[1:])
    dim, accumulate = node.parameters["dim"], node.operator.name == "scatter_add"
    fitting = _fitting(node, values, [index], accumulate)
    if not fitting or len(index.shape) != len(node.shape):
        return False
    out = _start(plan, node)
    value_steps = values.strides or (0,) * len(index.shape)
    build = Builder(node.operator.name)
    x = build.buffer("values", values.scalar)
    found = Indices(build, index, node.shape[dim], False)
    result = build.buffer("out", out.scalar)
    # positions that meet differ along the dimension only: threads share another one
    others = [d for d in range(len(index.shape)) if d != dim]
    shared = max(others, key=lambda d: index.shape[d], default=-1)
    order = [d for d in (shared, *others) if d >= 0]
    order = [*dict.fromkeys(order), dim]
    parallel = shared >= 0 and index.count >= PARALLEL_ELEMENTS

    def inner(places: dict[int, Expression]) -> None:
        if len(places) < len(order):
            d = order[len(places)]
            first = parallel and not places
            loop = build.share(index.shape[d]) if first else build.loop(index.shape[d])
            with loop as i:
                inner({**places, d: i})
            return
        at = [places[d] for d in range(len(order))]
        row = found.at(dot(at, index.strides))
        start = build.let(dot(at, value_steps))
        place = build.let(dot([*at[:dim], row, *at[dim + 1 :]], out.strides))
        _place(build, (x, start, ()), (result, place, ()), (), accumulate)

    inner({})
    errors = out_of_dimension(dim, node.shape[dim])
    arguments = [values, index, out]
    checked = [(index, node.shape[dim])]
    plan.call(
        build.kernel, arguments, writes=[out], parallel=parallel, errors=errors, indices=checked
    )
    return True
