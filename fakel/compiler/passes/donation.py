"""Finds what is updated: parameters, momentum, statistics whose new value takes the old one's
memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from fakel.compiler.graph import Graph, Value
from fakel.graph import VIEW

# values between a leaf and what replaces it
_LONGEST = 12


@dataclass(frozen=True)
class UpdateInPlace:
    """A held value replaces a donated leaf of its shape and dtype that it is computed from through
    values of this shape. Whether it takes the leaf's memory is decided when steps are known: every
    reader of the old value must come before.
    """

    name: str = "update in place"

    def __call__(self, graph: Graph) -> Graph:
        free = {id(leaf) for leaf in graph.leaves if leaf.donated}
        # the last one first: whoever replaces a leaf comes after all that reads it
        for value in reversed(list(graph)):
            if value.held and value.operator is not VIEW:
                leaf = _replaced(value, free)
                if leaf is not None:
                    value.replaces = leaf
                    free.remove(id(leaf))
        return graph


def _replaced(value: Value, free: set[int]) -> Value | None:
    """The nearest such leaf."""
    row = [value]
    for _ in range(_LONGEST):
        following: list[Value] = []
        for each in row:
            for source in each.sources:
                if tuple(source.shape) == tuple(value.shape) and source.dtype is value.dtype:
                    if id(source) in free:
                        return source
                    if not source.held:
                        following.append(source)
        row = list({id(each): each for each in following}.values())
    return None
