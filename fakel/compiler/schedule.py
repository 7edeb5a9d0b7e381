"""Puts a plan's steps in order: groups of steps that may run at the same time, with a barrier
between one group and the next.
"""

from __future__ import annotations

from collections.abc import Sequence

from fakel.compiler.lowering import Call, Interpreted
from fakel.compiler.plan import Plan

Step = Call | Interpreted


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
    writer: dict[int, int] = {}
    readers: dict[int, list[int]] = {}
    may_fail: list[int] = []
    for number, step in enumerate(plan.steps):
        uses = {root[buffer] for buffer in step.uses}
        writes = {root[buffer] for buffer in step.writes}
        before = {writer[buffer] for buffer in uses if buffer in writer}
        for buffer in writes:
            before.update(readers.pop(buffer, ()))
            writer[buffer] = number
            if plan.buffers[buffer].kind == "leaf":
                # after an exception, the leaves must be what they were
                before.update(may_fail)
        for buffer in uses - writes:
            readers.setdefault(buffer, []).append(number)
        if step.may_fail:
            may_fail.append(number)
        result.append(before)
    return result


def _apart(group: list[Step]) -> list[list[Step]]:
    """The kernel calls of a group together, and each call of the interpreter alone."""
    calls: list[Step] = [step for step in group if isinstance(step, Call)]
    others: list[list[Step]] = [[step] for step in group if not isinstance(step, Call)]
    return [calls, *others] if calls else others
