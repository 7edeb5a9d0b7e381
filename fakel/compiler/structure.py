"""What identifies a program: its nodes, their parameters, shapes, dtypes, which values are wanted,
and which leaves may be overwritten.
"""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from fakel.compiler.pool import Pool
from fakel.graph import VIEW, Node, leaf


def structure(program: list[Node]) -> tuple[tuple[Any, tuple[int, ...]], list[Node]] | None:
    """The key of a program and its leaves in the order of their first use.

    Two programs with the same key compute the same thing from their leaves' values. The key's
    second part are the numbers of the leaves that are donated: nobody else refers to them or to
    their arrays, so that a new value of the same shape and dtype may take their place. None when a
    parameter cannot be compared.
    """
    numbers: dict[int, int] = {}
    leaves: list[Node] = []
    uses: list[int] = []
    key: list[Any] = []
    wanted = set()
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
                uses.append(0)
                number = numbers[id(source)] = -len(leaves)
                key.append((source.shape, source.dtype))
            if number < 0:
                uses[-1 - number] += 1
            sources.append(number)
        shape = tuple(node.shape)
        held = node.held
        numbers[id(node)] = position
        key.append(
            (
                node.operator,
                tuple(sources),
                tuple(node.parameters.items()),
                shape,
                node.dtype,
                held,
            )
        )
        if held:
            wanted.add((shape, node.dtype))
    # the loops' last values would count as references
    source = node = None
    donated = tuple(_donated(leaves, uses, wanted))
    result = (tuple(key), donated)
    try:
        hash(result)
    except TypeError:
        return None
    if not _in_order(program, leaves):
        return None
    return result, leaves


def _donated(leaves: list[Node], uses: list[int], wanted: set[Any]) -> list[int]:
    found = []
    for number in range(len(leaves)):
        if not leaves[number].shape:
            # who else refers to a number differs from run to run, and its memory is worth nothing
            continue
        references = sys.getrefcount(leaves[number]) - _UNHELD - uses[number]
        if references or (tuple(leaves[number].shape), leaves[number].dtype) not in wanted:
            continue
        if sole(leaves[number].value):
            found.append(number)
    return found


def sole(array: np.ndarray, lent: int = 0) -> bool:
    """Whether only one node, so many others, and perhaps the pool that it came from refer to an
    array.
    """
    if not (array.flags.owndata and array.flags.writeable):
        return False
    return sys.getrefcount(array) - lent - (id(array) in Pool.pooled) == _SOLE


def _in_order(program: list[Node], leaves: list[Node]) -> bool:
    """Brings what leaves show into order; False where something that goes in or comes out is not
    one array.
    """
    for each in leaves:
        if isinstance(each.dtype, tuple):
            return False
        if each.operator is VIEW and not each.value.flags.c_contiguous:
            each.value = np.ascontiguousarray(each.value)
            each.address = 0
    return not any(each.held and isinstance(each.dtype, tuple) for each in program)


def _measure() -> tuple[int, int]:
    """The references that `_donated` sees on a leaf that nobody holds, and `sole` on its array."""
    leaves = [leaf(np.zeros(1), None)]  # type: ignore[arg-type]
    references = [sys.getrefcount(leaves[number]) for number in range(1)]
    counts: list[int] = []

    def count(array: np.ndarray) -> None:
        counts.append(sys.getrefcount(array))

    count(leaves[0].value)
    return references[0], counts[0]


_UNHELD, _SOLE = _measure()
