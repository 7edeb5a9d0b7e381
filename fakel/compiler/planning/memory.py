"""Lays a program's temporaries out in one arena: two that are alive at the same time never
overlap.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from fakel.compiler.planning.lowering import Step
from fakel.compiler.planning.plan import Plan
from fakel.compiler.program import ALIGNMENT


@dataclass
class _Lifetime:
    """The first and last group of steps that use a buffer, its bytes, its place."""

    first: int
    last: int
    size: int
    place: int = 0


def lay_out(
    plan: Plan, groups: Sequence[Sequence[Step]], root: Sequence[int]
) -> tuple[dict[int, int], int]:
    """Where in the arena each temporary lies, in bytes, and the arena's size."""
    lives: dict[int, _Lifetime] = {}
    for number, group in enumerate(groups):
        for step in group:
            for buffer in {root[each] for each in step.uses}:
                if plan.buffers[buffer].kind == "temporary":
                    # room so that neighbours do not share a cache line
                    size = -(-plan.buffers[buffer].size // ALIGNMENT) * ALIGNMENT
                    lives.setdefault(buffer, _Lifetime(number, number, size)).last = number
    placed: list[_Lifetime] = []
    for life in sorted(lives.values(), key=lambda each: (-each.size, each.first)):
        start = 0
        neighbours = [o for o in placed if o.first <= life.last and life.first <= o.last]
        for other in sorted(neighbours, key=lambda each: each.place):
            if other.place - start >= life.size:
                break
            start = max(start, other.place + other.size)
        life.place = start
        placed.append(life)
    total = max((life.place + life.size for life in placed), default=0)
    return {buffer: life.place for buffer, life in lives.items()}, total
