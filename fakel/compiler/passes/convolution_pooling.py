"""Convolution, ReLU and max pooling as one kernel, and the weight's gradient through them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fakel.compiler.graph import Graph, Group, Value
from fakel.compiler.kernels.convolution.pooled import convolution_relu_pool
from fakel.compiler.kernels.convolution.pooled_gradient import sparse_weight_gradient
from fakel.compiler.passes.matching import Readers, grouped
from fakel.compiler.planning.lowering import pattern

FORWARD, BACKWARD = "convolution_pooling", "pooled_weight_gradient"


@dataclass(frozen=True)
class JoinConvolutionPooling:
    """Groups convolution (and ReLU) with the max pooling that alone reads it, and the gradients of
    ReLU and pooling with those of the weight and the bias that alone read them.
    """

    name: str = "join convolution and pooling"

    def __call__(self, graph: Graph) -> Graph:
        readers = Readers(graph)
        found = []
        for value in graph:
            if value.name == "max_pool":
                found.append(_forward(value, readers))
            elif value.name == "max_pool_gradient":
                found.append(_backward(value, readers))
        return grouped(graph, [group for group in found if group is not None])


def _forward(pool: Value, readers: Readers) -> Group | None:
    parts = [pool]
    (source,) = pool.sources
    if source.name == "relu":
        parts.append(source)
        (source,) = source.sources
    parts.append(source)
    if source.name != "convolution" or any(readers.only(part) is None for part in parts[1:]):
        return None
    return Group(FORWARD, parts[::-1])


@pattern(FORWARD)
def _lower_forward(plan: Any, group: Group) -> bool:
    convolution, *relu, pool = group.parts
    return convolution_relu_pool(plan, convolution, pool, relu=bool(relu))


def _backward(spread: Value, readers: Readers) -> Group | None:
    mask = spread.sources[0]
    if mask.name != "relu_gradient" or readers.only(mask) is None:
        return None
    weight = [r for r in readers.of(spread) if r.name == "convolution_weight_gradient"]
    bias = [r for r in readers.of(spread) if _is_bias_gradient(r, spread)]
    if len(weight) != 1 or weight[0].inputs[1] is not spread or len(bias) > 1:
        return None
    if not readers.inner(spread, *weight, *bias):
        return None
    return Group(BACKWARD, [mask, spread, *weight, *bias])


def _is_bias_gradient(value: Value, spread: Value) -> bool:
    kept = [dim for dim in range(len(spread.shape)) if dim not in value.parameters.get("dims", ())]
    return value.name == "sum" and kept == [1] and tuple(value.shape) == (spread.shape[1],)


@pattern(BACKWARD)
def _lower_backward(plan: Any, group: Group) -> bool:
    mask, spread, weight, *bias = group.parts
    gradient, pooled = mask.sources
    return sparse_weight_gradient(
        plan, weight, weight.sources[0], gradient, spread.sources[1], pooled, *bias
    )
