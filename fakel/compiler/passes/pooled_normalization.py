"""Batch normalisation before max pooling becomes statistics and a pointwise value, which pooling
computes on the way: what is normalised is never stored.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from fakel.compiler.graph import Graph, Value
from fakel.compiler.kernels.pointwise.meanings import is_pointwise
from fakel.compiler.passes.matching import Readers
from fakel.graph import OUTPUT, Operator

# a result of normalisation goes to pooling through at most so many pointwise values
_LONGEST = 3


def _scale_shift(input: np.ndarray, factor: np.ndarray, shift: np.ndarray) -> np.ndarray:
    return input * factor + shift


def _statistics(
    normalise: Callable[..., Any], input: Any, weight: Any, bias: Any, *rest: Any, eps: float
) -> Any:
    found = normalise(input, weight, bias, *rest, eps=eps)
    mean, variance = found[1], found[2]
    factor = 1 / np.sqrt(variance + eps) * (1 if weight is None else weight)
    shift = (0 if bias is None else bias) - mean * factor
    shape = (1, -1, *(1,) * (input.ndim - 2))
    return (*found[1:], factor.reshape(shape), shift.reshape(shape))


SCALE_SHIFT = Operator("scale_shift", _scale_shift)


@dataclass(frozen=True)
class SplitPooledNormalization:
    """batch_norm(x) is x * factor + shift with a factor and a shift for each channel."""

    name: str = "split pooled normalization"

    def __call__(self, graph: Graph) -> Graph:
        readers = Readers(graph)
        chosen = {
            id(value)
            for value in graph.values
            if value.name == "batch_norm" and _is_pooled(value, readers)
        }
        if not chosen:
            return graph
        became: dict[int, Value] = {id(leaf): leaf for leaf in graph.leaves}
        result = Graph(graph.leaves)
        for value in graph.values:
            inputs = tuple(None if each is None else became[id(each)] for each in value.inputs)
            source = value.inputs[0] if value.operator is OUTPUT else None
            if id(value) in chosen:
                new = _split(value.reading(inputs))
            elif source is not None and id(source) in chosen:
                new = _output(inputs[0], value)
            else:
                new = value.reading(inputs)
            became[id(value)] = new
            result.values.extend([new] if new.name != "scale_shift" else [*new.inputs[1:], new])
        result.results = [(number, became[id(value)]) for number, value in graph.results]
        held = {id(value) for _, value in result.results}
        for value in result.values:
            value.held = id(value) in held
        return result


def _is_pooled(value: Value, readers: Readers) -> bool:
    """Whether max pooling alone reads the normalised tensor, through pointwise values."""
    last = next((each for each in readers.of(value) if each.parameters["index"] == 0), None)
    for _ in range(_LONGEST):
        following = None if last is None else readers.only(last)
        if following is None:
            return False
        if following.name == "max_pool":
            return len(value.inputs[0].shape) == 4  # type: ignore[union-attr]
        alone = len(following.sources) == 1 and following.shape == last.shape  # type: ignore[union-attr]
        if not is_pointwise(following) or not alone:
            return False
        last = following
    return False


def _split(value: Value) -> Value:
    source = value.inputs[0]
    assert source is not None
    shape = (1, source.shape[1], *(1,) * (len(source.shape) - 2))
    operator = Operator(
        "batch_norm_statistics", functools.partial(_statistics, value.operator.meaning)
    )
    return Value(
        operator,
        value.inputs,
        value.parameters,
        (*value.shape[1:], shape, shape),
        (*value.dtype[1:], source.dtype, source.dtype),
    )


def _output(statistics: Value | None, value: Value) -> Value:
    """What takes the place of an output of batch_norm."""
    assert statistics is not None
    index = value.parameters["index"]
    if index:
        return Value(OUTPUT, (statistics,), {"index": index - 1}, value.shape, value.dtype)
    last = len(statistics.shape)
    factor, shift = (
        Value(OUTPUT, (statistics,), {"index": i}, statistics.shape[i], value.dtype)
        for i in (last - 2, last - 1)
    )
    source = statistics.inputs[0]
    return Value(SCALE_SHIFT, (source, factor, shift), {}, value.shape, value.dtype)
