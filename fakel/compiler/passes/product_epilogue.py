"""Pointwise values that alone read a product, or each other, become part of its kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fakel.compiler.graph import Graph, Group, Value
from fakel.compiler.kernels.pointwise.meanings import is_pointwise
from fakel.compiler.kernels.products.lowerings import product_with_epilogue
from fakel.compiler.passes.matching import Readers, grouped
from fakel.compiler.planning.lowering import pattern

PRODUCTS = ("mm", "bmm", "addmm", "linear")
NAME = "product_with_epilogue"


@dataclass(frozen=True)
class JoinEpilogues:
    """Groups a product with what follows it: linear and ReLU, mm and the gradient of ReLU.

    Args:
        longest: pointwise values in one group.
    """

    longest: int = 4
    name: str = "join epilogues"

    def __call__(self, graph: Graph) -> Graph:
        readers = Readers(graph)
        found = []
        for value in graph.values:
            if value.name in PRODUCTS and not isinstance(value, Group):
                chain = self._chain(value, readers)
                if chain:
                    found.append(Group(NAME, [value, *chain]))
        return grouped(graph, found)

    def _chain(self, product: Value, readers: Readers) -> list[Value]:
        chain: list[Value] = []
        last = product
        while len(chain) < self.longest:
            following = readers.only(last)
            if following is None or not readers.free(following) or not is_pointwise(following):
                break
            if following.shape != product.shape or following.dtype is not product.dtype:
                break
            chain.append(following)
            last = following
        return chain


@pattern(NAME)
def _lower(plan: Any, group: Group) -> bool:
    product, *chain = group.parts
    return product_with_epilogue(plan, product, chain)
