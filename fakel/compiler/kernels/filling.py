"""Memory filled with zeros."""

from __future__ import annotations

from typing import Any

from fakel.compiler.loop_ir import INDEX, Builder, Expression, literal
from fakel.compiler.lowering import Access
from fakel.compiler.nests import merged

# fewer elements than this are not worth waking other threads
_PARALLEL_ELEMENTS = 32768


def zeros(plan: Any, target: Access) -> None:
    """Adds the kernel call that writes zeros, with any strides."""
    if not target.count:
        return
    sizes, (steps,), _ = merged(target.shape, [target.strides])
    build = Builder("zeros")
    out = build.buffer("out", target.scalar)
    parallel = target.count >= _PARALLEL_ELEMENTS

    def inner(dim: int, place: Expression) -> None:
        if dim == len(sizes):
            build.store(out, place, 0)
        elif parallel and not dim:
            with build.share(sizes[0], grain=64 if len(sizes) == 1 else 1) as index:
                inner(1, index * steps[0])
        else:
            with build.loop(sizes[dim]) as index:
                inner(dim + 1, place + index * steps[dim])

    inner(0, literal(0, INDEX))
    plan.call(build.kernel, [target], writes=[target], parallel=parallel)
