"""Pointwise values are computed in the shape of the product that they read through a view."""

from __future__ import annotations

from dataclasses import dataclass

from fakel.compiler.graph import Graph, Value
from fakel.compiler.kernels.pointwise.meanings import is_pointwise
from fakel.compiler.passes.matching import same_elements
from fakel.compiler.passes.product_epilogue import PRODUCTS
from fakel.graph import VIEW
from fakel.tensor.size import contiguous_strides


@dataclass(frozen=True)
class KeepProductShape:
    """f(view(mm(a, b)), y) is view(f(mm(a, b), view(y))), where views show all elements in order.

    What follows a product then has its shape and can become part of its kernel.
    """

    name: str = "keep product shape"

    def __call__(self, graph: Graph) -> Graph:
        following: dict[int, Value] = {}  # what was moved behind a product, by id

        def product_of(value: Value) -> Value | None:
            """The product that a value shows, or what follows one."""
            beneath = value.sources[0] if same_elements(value) else None
            if beneath is not None and (beneath.name in PRODUCTS or id(beneath) in following):
                return beneath
            return None

        def moved(value: Value) -> Value:
            if not is_pointwise(value) or value.name in ("full", "copy"):
                return value
            product = next(filter(None, map(product_of, value.sources)), None)
            if product is None or not all(_in_order(source, value) for source in value.sources):
                return value
            inputs = tuple(_seen_as(source, product.shape) for source in value.sources)
            inner = Value(value.operator, inputs, value.parameters, product.shape, value.dtype)
            following[id(inner)] = inner
            return _seen_as(inner, value.shape)

        return graph.rewritten(moved)


def _in_order(source: Value, value: Value) -> bool:
    """Whether a source has the shape of the value and lies in order, or is one number."""
    if not source.shape:
        return True
    return source.shape == value.shape and (source.operator is not VIEW or same_elements(source))


def _seen_as(value: Value, shape: tuple[int, ...]) -> Value:
    if not value.shape or tuple(value.shape) == tuple(shape):
        return value
    if same_elements(value):
        return _seen_as(value.sources[0], shape)
    shape = tuple(shape)
    parameters = {"shape": shape, "strides": contiguous_strides(shape), "offset": 0}
    return Value(VIEW, (value,), parameters, shape, value.dtype)
