"""What passes that look for patterns share: who reads a value, and putting groups into a graph."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import replace

from fakel.compiler.graph import Graph, Group, Value
from fakel.graph import VIEW
from fakel.tensor.size import contiguous_strides


class Readers:
    """Who reads each value of a graph."""

    def __init__(self, graph: Graph) -> None:
        self._readers = graph.readers()
        self._grouped = {
            id(part) for value in graph.values if isinstance(value, Group) for part in value.parts
        }

    def of(self, value: Value) -> list[Value]:
        """All readers."""
        return self._readers.get(id(value), [])

    def only(self, value: Value) -> Value | None:
        """The only reader of a value that nobody else wants."""
        readers = self.of(value)
        return readers[0] if len(readers) == 1 and not value.held else None

    def inner(self, value: Value, *readers: Value) -> bool:
        """Whether these are all readers of a value, which nobody else wants."""
        known = {id(reader) for reader in readers}
        return not value.held and all(id(reader) in known for reader in self.of(value))

    def free(self, *values: Value) -> bool:
        """Whether none of these is in a group."""
        return not any(id(value) in self._grouped for value in values)


def same_elements(value: Value) -> bool:
    """Whether a value is a view of all elements of another one, in their order."""
    return (
        value.operator is VIEW
        and not value.parameters["offset"]
        and tuple(value.parameters["strides"]) == contiguous_strides(tuple(value.shape))
        and math.prod(value.shape) == math.prod(value.sources[0].shape)
    )


def grouped(graph: Graph, groups: Iterable[Group]) -> Graph:
    """The graph with groups in the places of their last parts; without those groups of which a part
    depends, through a value outside, on another part.
    """
    every: dict[int, Group] = {}  # by the parts' ids
    apart = []
    for group in groups:
        if not any(id(part) in every for part in group.parts):
            every.update((id(part), group) for part in group.parts)
            apart.append(group)
    values = _in_order(graph.values, every)
    if values is None:
        chosen: dict[int, Group] = {}
        values = graph.values
        for group in apart:
            attempt = {**chosen, **{id(part): group for part in group.parts}}
            ordered = _in_order(graph.values, attempt)
            if ordered is not None:
                chosen, values = attempt, ordered
    return replace(graph, values=values)


def _in_order(values: list[Value], group_of: dict[int, Group]) -> list[Value] | None:
    """Values and groups with what they read before them, else in the order given; None where that
    is impossible.
    """
    home: dict[int, Value] = {}
    for value in values:
        unit = group_of.get(id(value), value)
        for part in value.parts if isinstance(value, Group) else (value,):
            home[id(part)] = unit
    result: list[Value] = []
    done: set[int] = set()
    open_now: set[int] = set()
    for value in values:
        unit = home[id(_last(value))]
        if _last(unit) is not _last(value):
            continue  # a group comes where its last part was, or where it is needed
        stack: list[tuple[Value, bool]] = [(unit, False)]
        while stack:
            unit, left = stack.pop()
            if left:
                open_now.discard(id(unit))
                done.add(id(unit))
                result.append(unit)
                continue
            if id(unit) in done:
                continue
            if id(unit) in open_now:
                return None
            open_now.add(id(unit))
            stack.append((unit, True))
            for source in unit.sources:
                before = home.get(id(source))
                if before is None or id(before) in done:
                    continue
                if id(before) in open_now:
                    return None
                stack.append((before, False))
    return result


def _last(value: Value) -> Value:
    return value.parts[-1] if isinstance(value, Group) else value
