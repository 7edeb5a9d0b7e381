"""Memory filled with a number, or with what lies elsewhere."""

from __future__ import annotations

from typing import Any

from fakel.compiler.kernels.copying.copies import copy_kernel
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import INDEX, Expression, literal
from fakel.compiler.loop_ir.nests import merged
from fakel.compiler.planning.lowering import Access

# fewer elements than this are not worth waking other threads
_PARALLEL_ELEMENTS = 32768


def filled(plan: Any, target: Access, value: Any = 0) -> None:
    """Adds the kernel call that writes a number everywhere, with any strides."""
    if not target.count:
        return
    sizes, (steps,), _ = merged(target.shape, [target.strides])
    build = Builder("fill")
    out = build.buffer("out", target.scalar)
    parallel = target.count >= _PARALLEL_ELEMENTS

    def inner(dim: int, place: Expression) -> None:
        if dim == len(sizes):
            build.store(out, place, value)
        elif parallel and not dim:
            with build.share(sizes[0], grain=64 if len(sizes) == 1 else 1) as index:
                inner(1, index * steps[0])
        else:
            with build.loop(sizes[dim]) as index:
                inner(dim + 1, place + index * steps[dim])

    inner(0, literal(0, INDEX))
    plan.call(build.kernel, [target], writes=[target], parallel=parallel)


def copied(plan: Any, source: Access, target: Access) -> None:
    """Adds the kernel call that copies elements; the source broadcasts to the target's shape."""
    if target.count:
        kernel, parallel = copy_kernel(source, target)
        plan.call(kernel, [source, target], writes=[target], parallel=parallel)
