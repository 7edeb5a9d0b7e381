"""What is updated with a product becomes part of its kernel: a weight with its gradient."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from fakel.compiler.graph import Graph, Group, Value
from fakel.compiler.kernels.pointwise.meanings import MEANINGS, is_pointwise
from fakel.compiler.kernels.products.lowerings import product_with_epilogue
from fakel.compiler.passes.matching import Readers, grouped
from fakel.compiler.planning.lowering import pattern

NAME = "product_with_updates"


@dataclass(frozen=True)
class JoinUpdates:
    """Groups a product with the pointwise values that are computed from it, where some of them
    replace leaves: the kernel that has an element of the gradient in a register updates the
    parameter, and the optimizer's state, with it.

    Args:
        smallest: elements of a product; updates of smaller ones become one kernel.
        longest: pointwise values in one group.
    """

    smallest: int = 16384
    longest: int = 24
    name: str = "join updates"

    def __call__(self, graph: Graph) -> Graph:
        readers = Readers(graph)
        order = {id(value): number for number, value in enumerate(graph.values)}
        found = []
        for value in graph.values:
            if value.name == "mm" and math.prod(value.shape) >= self.smallest:
                updates = self._updates(value, readers)
                if any(update.replaces is not None for update in updates):
                    updates.sort(key=lambda update: order[id(update)])
                    found.append(Group(NAME, [value, *updates]))
        return grouped(graph, found)

    def _updates(self, product: Value, readers: Readers) -> list[Value]:
        """The pointwise values that read the product, or each other, and what they alone read; none
        where somebody else reads one of them that is not wanted.
        """
        found = {id(product): product}

        def add(values: Iterable[Value]) -> list[Value]:
            new = {
                id(each): each
                for each in values
                if id(each) not in found and readers.free(each) and _fits(each, product)
            }
            found.update(new)
            return list(new.values())

        waiting = [product]
        while waiting:
            waiting += add(readers.of(waiting.pop()))
        waiting = list(found.values())[1:]
        while waiting:
            sources = waiting.pop().sources
            waiting += add(each for each in sources if readers.inner(each, *found.values()))
        updates = list(found.values())[1:]
        closed = all(each.held or readers.inner(each, *updates) for each in updates)
        return updates if closed and len(updates) <= self.longest else []


def _fits(value: Value, product: Value) -> bool:
    """Whether a value can be computed in registers that hold elements of the product."""
    return (
        is_pointwise(value)
        and MEANINGS[value.name].wrong is None
        and tuple(value.shape) == tuple(product.shape)
        and value.dtype is product.dtype
    )


@pattern(NAME)
def _lower(plan: Any, group: Group) -> bool:
    product, *updates = group.parts
    return product_with_epilogue(plan, product, (), updates)
