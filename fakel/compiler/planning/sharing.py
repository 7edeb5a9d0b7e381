"""Which buffers lie in the memory of others: what is updated in place.

A buffer that replaces another one's contents (a parameter after its update, a tensor of which a
part was written) takes its memory when every step that needs the old contents comes before, or is
the writing step itself and goes element by element. Results of elementwise kernels take the memory
of an argument that nobody reads later.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from fakel.compiler.kernels.copying.copies import copy_kernel
from fakel.compiler.planning.lowering import Access, Call, Step
from fakel.compiler.planning.plan import Plan
from fakel.tensor.size import contiguous_strides


def share_memory(plan: Plan, wanted: Iterable[int]) -> list[int]:
    """Decides it, and changes the plan's steps accordingly.

    Args:
        plan: after lowering.
        wanted: the buffers whose contents are wanted after the run.

    Returns:
        for each buffer, the one in whose memory it lies: mostly itself.
    """
    return _Sharing(plan, set(wanted)).run()


@dataclass
class _Sharing:
    plan: Plan
    wanted: set[int]

    def run(self) -> list[int]:
        plan = self.plan
        self.root = list(range(len(plan.buffers)))
        self.taken: set[int] = set()
        self.touched: list[list[int]] = [[] for _ in plan.buffers]
        self.written: list[list[int]] = [[] for _ in plan.buffers]
        self.last_failure = -1
        for number, step in enumerate(plan.steps):
            for buffer in step.uses:
                self.touched[buffer].append(number)
            for buffer in step.writes:
                self.written[buffer].append(number)
            if step.may_fail:
                self.last_failure = number
        for number, buffer in enumerate(plan.buffers):
            if buffer.partly and self.written[number]:
                # needs the old contents when its own first part is written
                self.touched[buffer.replaces].append(self.written[number][0])
        inserted: dict[int, list[Step]] = {}
        for number in self._in_order_of_writing():
            first = self.written[number][0]
            buffer = plan.buffers[number]
            old = buffer.replaces if buffer.replaces >= 0 else self._dying_argument(number, first)
            if old >= 0 and self._may_take(number, old, first):
                self._take(number, old, first)
            elif buffer.partly:
                inserted.setdefault(first, []).append(self._whole_copy(old, number))
        for number in sorted(inserted, reverse=True):
            plan.steps[number:number] = inserted[number]
        return self.root

    def _in_order_of_writing(self) -> list[int]:
        """The buffers that steps write."""
        written = [number for number, steps in enumerate(self.written) if steps]
        return sorted(written, key=lambda number: (self.written[number][0], number))

    def _may_take(self, number: int, old: int, first: int) -> bool:
        buffer, source = self.plan.buffers[number], self.plan.buffers[old]
        base = self.plan.buffers[self.root[old]]
        if old in self.wanted or old in self.taken:
            return False
        if base.kind == "leaf" and not (
            self.plan.graph.leaves[base.number].donated and self.last_failure < first
        ):
            # after an exception, the interpreter starts again from the leaves
            return False
        if (source.dtype, source.count) != (buffer.dtype, buffer.count):
            return False
        return all(
            step < first or (step == first and self._elementwise(number, old, first))
            for step in self.touched[old]
        )

    def _elementwise(self, number: int, old: int, first: int) -> bool:
        """Whether the step reads the old contents only where it writes the new ones."""
        step = self.plan.steps[first]
        if self.plan.buffers[number].partly:
            # the part itself must come from elsewhere
            return old not in step.uses
        if not isinstance(step, Call) or not step.elementwise:
            return False
        places = [
            (a, part)
            for a, part in zip(step.arguments, step.elementwise, strict=True)
            if a.buffer in (number, old)
        ]
        alike = {(a.offset, a.shape, a.strides, part) for a, part in places}
        return len(places) == 2 and len(alike) == 1

    def _dying_argument(self, number: int, first: int) -> int:
        """A temporary that an elementwise step reads for the last time, or -1."""
        step, plan = self.plan.steps[first], self.plan
        if not isinstance(step, Call) or not step.elementwise or len(self.written[number]) > 1:
            return -1
        for access in step.arguments:
            old = access.buffer
            if (
                old not in step.writes
                and plan.buffers[old].kind == "temporary"
                and plan.buffers[self.root[old]].kind == "temporary"
                and self._may_take(number, old, first)
            ):
                return old
        return -1

    def _take(self, number: int, old: int, first: int) -> None:
        plan = self.plan
        root = self.root[number] = self.root[old]
        self.taken.add(old)
        if plan.buffers[root].kind == "temporary" and plan.buffers[number].kind == "output":
            buffer = plan.buffers[number]
            plan.buffers[root] = replace(plan.buffers[root], kind="output", shape=buffer.shape)
        step = plan.steps[first]
        if isinstance(step, Call) and old in step.uses:
            place = {access.buffer: i for i, access in enumerate(step.arguments)}
            kernel = step.kernel.with_shared(place[old], place[number])
            plan.steps[first] = replace(step, kernel=kernel)

    def _whole_copy(self, old: int, number: int) -> Call:
        source, target = self._whole(old), self._whole(number)
        kernel, parallel = copy_kernel(source, target)
        writes = frozenset({number})
        return Call(kernel, (source, target), writes, parallel, elementwise=(0, 0))

    def _whole(self, number: int) -> Access:
        buffer: Any = self.plan.buffers[number]
        shape = (buffer.count,)
        return Access(number, 0, shape, contiguous_strides(shape), buffer.dtype)
