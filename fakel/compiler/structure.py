"""What identifies a program: its nodes, their parameters, shapes, dtypes, and which values are
wanted.
"""

from __future__ import annotations

from typing import Any

from fakel.graph import Node


def structure(program: list[Node]) -> tuple[Any, list[Node]] | None:
    """The key of a program and its leaves in the order of their first use.

    Two programs with the same key compute the same thing from their leaves' values. None when a
    parameter cannot be compared.
    """
    numbers: dict[int, int] = {}
    leaves: list[Node] = []
    key: list[Any] = []
    for position, node in enumerate(program):
        sources = []
        for source in node.inputs:
            if source is None:
                sources.append(None)
                continue
            number = numbers.get(id(source))
            if number is None:
                # computed before: a leaf, numbered from -1 down
                leaves.append(source)
                number = numbers[id(source)] = -len(leaves)
                key.append((source.shape, source.dtype))
            sources.append(number)
        numbers[id(node)] = position
        key.append(
            (
                node.operator,
                tuple(sources),
                tuple(node.parameters.items()),
                tuple(node.shape),
                node.dtype,
                node.held,
            )
        )
    result = tuple(key)
    try:
        hash(result)
    except TypeError:
        return None
    return result, leaves
