"""What is computed twice from the same inputs is computed once."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fakel.compiler.graph import Graph, Value
from fakel.graph import COPY


@dataclass(frozen=True)
class ShareCommon:
    """Equal operators, inputs and parameters give equal values. Copies stay: each is asked for so
    that memory of its own can be written.
    """

    name: str = "share common subexpressions"

    def __call__(self, graph: Graph) -> Graph:
        known: dict[Any, Value] = {}

        def shared(value: Value) -> Value:
            if value.operator is COPY:
                return value
            inputs = tuple(id(source) for source in value.inputs)
            parameters = tuple(value.parameters.items())
            shape = _plain(value.shape)
            return known.setdefault((value.operator, inputs, parameters, shape, value.dtype), value)

        return graph.rewritten(shared)


def _plain(shape: Any) -> Any:
    return tuple(_plain(each) if isinstance(each, tuple) else each for each in shape)
