"""Tensors put together from parts: cat, stack, and the gradients of slices."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fakel.compiler.kernels.copying.copies import copied, filled
from fakel.compiler.planning.lowering import Access, lowers
from fakel.graph import Node
from fakel.tensor.size import contiguous_strides


def _part(whole: Access, dim: int, start: int, count: int, step: int = 1) -> Access:
    """Some positions of a dimension."""
    shape = (*whole.shape[:dim], count, *whole.shape[dim + 1 :])
    strides = (*whole.strides[:dim], whole.strides[dim] * step, *whole.strides[dim + 1 :])
    return replace(
        whole, offset=whole.offset + start * whole.strides[dim], shape=shape, strides=strides
    )


def _split(access: Access, shape: Sequence[int]) -> Access | None:
    """The access with dimensions cut so that it has another shape; None where they would have to
    be merged.
    """
    strides: list[int] = []
    left = [(n, s) for n, s in zip(access.shape, access.strides, strict=True) if n != 1]
    size, step = left.pop() if left else (1, 1)
    for each in reversed(shape):
        if size % each:
            return None
        strides.append(step)
        size, step = size // each, step * each
        if size == 1 and left:
            size, step = left.pop()
    if size != 1 or left:
        return None
    return replace(access, shape=tuple(shape), strides=tuple(reversed(strides)))


def _alike(plan: Any, node: Node) -> list[Access] | None:
    """The inputs, unless there is something to convert, or nothing to do."""
    sources = [plan.read(source) for source in node.inputs if source is not None]
    fitting = all(source.dtype is node.dtype and source.count for source in sources)
    return sources if fitting and 0 not in node.shape else None


@lowers("cat", "stack")
def _cat(plan: Any, node: Node) -> bool:
    sources = _alike(plan, node)
    if sources is None:
        return False
    stacked = node.operator.name == "stack"
    ndim = len(node.shape) - stacked
    if any(len(source.shape) != ndim for source in sources):
        return False
    dim, start = node.parameters["dim"] % len(node.shape), 0
    out = plan.result(node)
    for source in sources:
        count = 1 if stacked else source.shape[dim]
        part = _part(out, dim, start, count)
        if stacked:
            part = replace(
                part,
                shape=source.shape,
                strides=part.strides[:dim] + part.strides[dim + 1 :],
            )
        copied(plan, source, part)
        start += count
    return True


@lowers("embed_slice")
def _embed_slice(plan: Any, node: Node) -> bool:
    sources = _alike(plan, node)
    if sources is None:
        return False
    dim, start, step = (node.parameters[name] for name in ("dim", "start", "step"))
    out, source = plan.result(node), sources[0]
    if step == 1:
        _between(plan, out, dim, [(start, source.shape[dim])])
    else:
        filled(plan, out)
    copied(plan, source, _part(out, dim, start, source.shape[dim], step))
    return True


@lowers("join_slices")
def _join_slices(plan: Any, node: Node) -> bool:
    sources = _alike(plan, node)
    if sources is None:
        return False
    dim, places = node.parameters["dim"], node.parameters["places"]
    whole = Access(0, 0, tuple(node.shape), contiguous_strides(node.shape), node.dtype)
    parts = [
        _split(_part(whole, dim, start, count), source.shape)
        for (start, count), source in zip(places, sources, strict=True)
    ]
    if None in parts:
        return False
    out = plan.result(node)
    _between(plan, out, dim, places)
    for part, source in zip(parts, sources, strict=True):
        assert part is not None
        copied(plan, source, replace(part, buffer=out.buffer, offset=out.offset + part.offset))
    return True


def _between(plan: Any, out: Access, dim: int, places: Sequence[tuple[int, int]]) -> None:
    """Zeros wherever no part comes."""
    end = 0
    for start, count in sorted(places):
        filled(plan, _part(out, dim, end, start - end))
        end = start + count
    filled(plan, _part(out, dim, end, out.shape[dim] - end))
