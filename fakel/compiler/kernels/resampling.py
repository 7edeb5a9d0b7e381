"""Resampling to another size and its gradient: sums over a few taps, a dimension at a time."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.nests import loops, merged, offset, offset_of
from fakel.compiler.planning.lowering import Access, lowers
from fakel.graph import Node
from fakel.tensor.size import contiguous_strides

# kernels over fewer elements stay on one thread
PARALLEL_ELEMENTS = 16384
_MOST_TAPS = 16


def _sums(plan: Any, source: Access, out: Access, axis: int, taps: Any) -> None:
    """Adds the kernel that sums over the taps of each element along an axis."""
    build = Builder("resample")
    x, target = build.buffer("x", source.scalar), build.buffer("out", out.scalar)
    length, count = taps.indices.shape
    numbers = build.constant("taps", taps.indices.ravel().tolist())
    plain = count == 1 and bool((taps.weights == 1).all())
    weights = build.constant("weights", taps.weights.ravel().tolist(), source.scalar)
    before, after = source.shape[:axis], source.shape[axis + 1 :]
    inner, (read, written), _ = merged(after, [source.strides[axis + 1 :], out.strides[axis + 1 :]])
    parallel = out.count >= PARALLEL_ELEMENTS
    outer = math.prod(before)
    with build.share(outer) if parallel else build.loop(outer) as line:
        start = build.let(offset_of(line, before, source.strides[:axis]))
        place = build.let(offset_of(line, before, out.strides[:axis]))
        with build.loop(length) as element:
            places = [
                build.let(start + build.load(numbers, element * count + t) * source.strides[axis])
                for t in range(count)
            ]
            shares = [build.let(build.load(weights, element * count + t)) for t in range(count)]
            there = build.let(place + element * out.strides[axis])

            with loops(build, inner) as indices:
                terms = []
                for at, share in zip(places, shares, strict=True):
                    value = build.load(x, at + offset(indices, read))
                    terms.append(value if plain else value * share)
                build.store(target, there + offset(indices, written), sum(terms[1:], terms[0]))
    plan.call(build.kernel, [source, out], writes=[out], parallel=parallel)


def _resample(plan: Any, node: Node, source: Access, axes: list[tuple[int, Any]]) -> bool:
    if any(taps.indices.shape[1] > _MOST_TAPS for _, taps in axes) or not axes:
        return False
    out = plan.result(node)
    for position, (axis, taps) in enumerate(axes):
        shape = (*source.shape[:axis], len(taps.indices), *source.shape[axis + 1 :])
        if position == len(axes) - 1:
            target = out
        else:
            made = plan.scratch(math.prod(shape), source.dtype)
            target = Access(made.buffer, 0, shape, contiguous_strides(shape), source.dtype)
        _sums(plan, source, target, axis, taps)
        source = target
    return True


def _known(node: Node) -> bool:
    given = node.inputs[0]
    assert given is not None
    return given.dtype.name in ("float32", "float64") and 0 not in (*given.shape, *node.shape)


@lowers("upsample")
def _upsample(plan: Any, node: Node) -> bool:
    if not _known(node):
        return False
    source = plan.read(node.inputs[0])
    kind = np.dtype(source.dtype.name)
    found = node.parameters["plan"].axes(source.shape[2:], kind)
    return _resample(plan, node, source, [(axis, taps) for axis, _, taps in found])


@lowers("upsample_gradient")
def _upsample_gradient(plan: Any, node: Node) -> bool:
    if not _known(node):
        return False
    source = plan.read(node.inputs[0])
    kind = np.dtype(source.dtype.name)
    found = node.parameters["plan"].axes(node.parameters["size"], kind)
    axes = [(axis, taps.transposed(length)) for axis, length, taps in found]
    return _resample(plan, node, source, axes)
