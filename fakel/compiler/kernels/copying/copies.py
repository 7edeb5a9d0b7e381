"""The kernel that copies elements from one place to another, with any strides."""

from __future__ import annotations

from typing import Any

from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import Expression, Kernel, literal
from fakel.compiler.loop_ir.nests import broadcast_strides, merged
from fakel.compiler.planning.lowering import Access

# fewer elements than this are not worth waking other threads
_PARALLEL_ELEMENTS = 16384


def copy_kernel(source: Access, target: Access) -> tuple[Kernel, bool]:
    """The kernel (source, target) that fills the target; the source broadcasts to its shape.

    Returns:
        the kernel, and whether all threads take part.
    """
    steps = broadcast_strides(source.shape, source.strides, target.shape)
    sizes, (reading, writing), _ = merged(target.shape, [steps, target.strides])
    build = Builder("copy")
    x, out = build.buffer("x", source.scalar), build.buffer("out", target.scalar)
    parallel = target.count >= _PARALLEL_ELEMENTS

    def inner(indices: list[Expression]) -> None:
        dim = len(indices)
        if dim == len(sizes):
            build.store(out, _dot(indices, writing), build.load(x, _dot(indices, reading)))
        elif parallel and not dim:
            with build.share(sizes[0], grain=64 if len(sizes) == 1 else 1) as index:
                inner([index])
        else:
            with build.loop(sizes[dim]) as index:
                inner([*indices, index])

    inner([])
    return build.kernel, parallel


def _dot(indices: list[Expression], steps: list[int]) -> Expression:
    total: Any = literal(0, "i64")
    for index, step in zip(indices, steps, strict=True):
        total = total + index * step
    return total
