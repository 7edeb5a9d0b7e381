"""The gradient of ReLU goes before that of max pooling, where there are fewer elements."""

from __future__ import annotations

from dataclasses import dataclass

from fakel.compiler.graph import Graph, Value
from fakel.graph import OUTPUT


@dataclass(frozen=True)
class MaskPooled:
    """relu_gradient(max_pool_gradient(g, indices), relu(x)) is
    max_pool_gradient(relu_gradient(g, pooled), indices).

    Here (pooled, indices) = max_pool(relu(x)). What pooling passes back arrives where the maxima
    are, and there ReLU gave just the maximum. So nobody needs what ReLU gave elsewhere.
    """

    name: str = "mask pooled"

    def __call__(self, graph: Graph) -> Graph:
        first: dict[int, Value] = {}  # the pooled maxima, by the id of the pooling

        def masked(value: Value) -> Value:
            if value.operator is OUTPUT and value.parameters["index"] == 0:
                first[id(value.inputs[0])] = value
            if value.name != "relu_gradient":
                return value
            spread, relu = value.sources
            if spread.name != "max_pool_gradient":
                return value
            gradient, indices = spread.sources
            pooling = indices.inputs[0] if indices.operator is OUTPUT else None
            pooled = first.get(id(pooling))
            if pooling is None or pooling.inputs[0] is not relu or pooled is None:
                return value
            if gradient.dtype is not value.dtype or pooled.shape != gradient.shape:
                return value
            mask = Value(value.operator, (gradient, pooled), {}, gradient.shape, gradient.dtype)
            return spread.reading((mask, indices))

        return graph.rewritten(masked)
