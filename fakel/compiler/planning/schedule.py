"""Puts a plan's steps in order: groups of steps that may run at the same time, with a barrier
between one group and the next.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from fakel.compiler.planning.lowering import Call, Step
from fakel.compiler.planning.plan import Plan


def schedule(plan: Plan, root: Sequence[int]) -> list[list[Step]]:
    """As few groups as there can be: a step is in the first group in which it may be.

    What depends on nothing that the program computes (such as packing weights) waits until it is
    needed, when its result stays in the caches.

    Args:
        plan: its steps, in an order in which they can run.
        root: for each buffer, the one in whose memory it lies.
    """
    before = _dependencies(plan, root)
    level = [0] * len(before)
    for number, earlier in enumerate(before):
        level[number] = 1 + max((level[each] for each in earlier), default=-1)
    needed = [len(before)] * len(before)
    for number, earlier in enumerate(before):
        for each in earlier:
            needed[each] = min(needed[each], level[number])
    for number, earlier in enumerate(before):
        if not earlier and needed[number] < len(before):
            level[number] = needed[number] - 1
    groups: list[list[Step]] = [[] for _ in range(max(level, default=-1) + 1)]
    for number, step in enumerate(plan.steps):
        groups[level[number]].append(step)
    return [part for group in groups for part in _apart(group)]


def _dependencies(plan: Plan, root: Sequence[int]) -> list[set[int]]:
    """For each step, the earlier ones that must be done before it starts."""
    result: list[set[int]] = []
    known: dict[int, _Uses] = {}
    may_fail: list[int] = []
    for number, step in enumerate(plan.steps):
        uses = {root[buffer] for buffer in step.uses}
        writes = {root[buffer] for buffer in step.writes}
        before: set[int] = set()
        for buffer in writes:
            before |= known.setdefault(buffer, _Uses()).written(number, step.apart)
            if plan.buffers[buffer].kind == "leaf":
                # after an exception, the leaves must be what they were
                before.update(may_fail)
        for buffer in uses - writes:
            before |= known.setdefault(buffer, _Uses()).read(number)
        if step.may_fail:
            may_fail.append(number)
        result.append(before)
    return result


@dataclass
class _Uses:
    """The steps that used a buffer last: those that wrote it, apart from each other or one alone,
    what had to be done before them, and those that have read it since.
    """

    writers: list[int] = field(default_factory=list)
    readers: list[int] = field(default_factory=list)
    before: set[int] = field(default_factory=set)
    apart: bool = False

    def read(self, number: int) -> set[int]:
        """Notes a reader; returns what must be done before it."""
        self.readers.append(number)
        return set(self.writers)

    def written(self, number: int, apart: bool) -> set[int]:
        """Notes a writer; returns what must be done before it."""
        if apart and self.apart and not self.readers:
            self.writers.append(number)
        else:
            self.before = {*self.writers, *self.readers}
            self.writers, self.readers, self.apart = [number], [], apart
        return self.before


def _apart(group: list[Step]) -> list[list[Step]]:
    """The kernel calls of a group together, and each call of the interpreter alone."""
    calls: list[Step] = [step for step in group if isinstance(step, Call)]
    others: list[list[Step]] = [[step] for step in group if not isinstance(step, Call)]
    return [calls, *others] if calls else others
