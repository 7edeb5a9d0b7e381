"""The gradients of slices of one tensor are put side by side instead of added up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from fakel.compiler.graph import Graph, Value
from fakel.graph import COPY, VIEW, Operator
from fakel.tensor.size import contiguous_strides


def _join_slices(*parts, shape, dim, places):
    result = np.zeros(shape, parts[0].dtype)
    for part, (start, count) in zip(parts, places, strict=True):
        index = [slice(None)] * len(shape)
        index[dim] = slice(start, start + count)
        place = result[tuple(index)]
        place[...] = part.reshape(place.shape)
    return result


JOIN_SLICES = Operator("join_slices", _join_slices)


@dataclass(frozen=True)
class JoinSlices:
    """embed_slice(a) + embed_slice(b) is join_slices(a, b) where the slices do not overlap along
    their dimension. A part may have more dimensions than its place: it is copied from where it lies
    before it was made contiguous for being seen in fewer.
    """

    name: str = "join gradients of slices"

    def __call__(self, graph: Graph) -> Graph:
        return graph.rewritten(_joined)


def _joined(value: Value) -> Value:
    if value.name != "add":
        return value
    found = [_slices(source) for source in value.sources]
    if None in found or any(source.shape != value.shape for source in value.sources):
        return value
    (dim, first), (other_dim, second) = found  # type: ignore[misc]
    places = sorted([*first, *second], key=lambda each: each[0])
    ends = [start + count for start, count, _ in places]
    if dim != other_dim or any(
        end > start for end, (start, _, _) in zip(ends, places[1:], strict=False)
    ):
        return value
    parameters = {
        "shape": tuple(value.shape),
        "dim": dim,
        "places": tuple((start, count) for start, count, _ in places),
    }
    parts = tuple(part for _, _, part in places)
    return Value(JOIN_SLICES, parts, parameters, value.shape, value.dtype)


def _slices(value: Value) -> tuple[int, list[tuple[int, int, Value]]] | None:
    """The dimension, and for each slice its start, its size and what it holds."""
    parameters = value.parameters
    if value.name == "embed_slice" and parameters["step"] == 1:
        (source,) = value.sources
        dim = parameters["dim"]
        return dim, [(parameters["start"], source.shape[dim], _uncopied(source))]
    if value.operator is JOIN_SLICES:
        pairs = zip(parameters["places"], value.sources, strict=True)
        return parameters["dim"], [(start, count, part) for (start, count), part in pairs]
    return None


def _uncopied(value: Value) -> Value:
    """What a value was copied from in order to be seen in another shape."""
    whole = {"shape": tuple(value.shape), "strides": contiguous_strides(value.shape), "offset": 0}
    if value.operator is VIEW and dict(value.parameters) == whole:
        source = value.sources[0]
        if source.operator is COPY and source.dtype is value.dtype:
            return source.sources[0]
    return value
