"""Views of views become views of what lies beneath; views that show all in its own shape go."""

from __future__ import annotations

from dataclasses import dataclass

from fakel.compiler.graph import Graph, Value
from fakel.graph import VIEW
from fakel.tensor.size import contiguous_strides


@dataclass(frozen=True)
class ComposeViews:
    """view(view(x)) is view(x), since a view shows a buffer: it is of a contiguous view only."""

    name: str = "compose views"

    def __call__(self, graph: Graph) -> Graph:
        return graph.rewritten(_composed)


def _composed(value: Value) -> Value:
    if value.operator is not VIEW:
        return value
    base = value.sources[0]
    if base.operator is VIEW:
        offset = value.parameters["offset"] + base.parameters["offset"]
        parameters = {**value.parameters, "offset": offset}
        return Value(VIEW, base.inputs, parameters, value.shape, value.dtype)
    whole = {"shape": tuple(base.shape), "strides": contiguous_strides(base.shape), "offset": 0}
    return base if {**value.parameters} == whole else value
