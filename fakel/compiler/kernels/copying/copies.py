"""Copies of elements from one place to another, and of a number to a place, with any strides."""

from __future__ import annotations

from typing import Any

from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import Kernel
from fakel.compiler.loop_ir.nests import broadcast_strides, loops, merged, offset
from fakel.compiler.planning.lowering import Access

# fewer elements copied, or written, than this are not worth waking other threads
_PARALLEL_ELEMENTS = 16384
_PARALLEL_STORES = 32768
# elements of a row of which two threads write no line of the cache together
_GRAIN = 64


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

    with loops(build, sizes, parallel, grain=_GRAIN if len(sizes) == 1 else 1) as indices:
        build.store(out, offset(indices, writing), build.load(x, offset(indices, reading)))
    return build.kernel, parallel


def copied(plan: Any, source: Access, target: Access) -> None:
    """Adds the kernel call that copies elements; the source broadcasts to the target's shape."""
    if target.count:
        kernel, parallel = copy_kernel(source, target)
        plan.call(kernel, [source, target], writes=[target], parallel=parallel)


def filled(plan: Any, target: Access, value: Any = 0) -> None:
    """Adds the kernel call that writes a number everywhere, with any strides."""
    if not target.count:
        return
    sizes, (steps,), _ = merged(target.shape, [target.strides])
    build = Builder("fill")
    out = build.buffer("out", target.scalar)
    parallel = target.count >= _PARALLEL_STORES
    with loops(build, sizes, parallel, grain=_GRAIN if len(sizes) == 1 else 1) as indices:
        build.store(out, offset(indices, steps), value)
    plan.call(build.kernel, [target], writes=[target], parallel=parallel)
