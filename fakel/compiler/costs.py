"""How many floating-point operations an operator takes, by its definition."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any


def operations(value: Any) -> int:
    """Floating-point operations of an operator: those of products and convolutions by their
    definition, about one for each element of other operators.

    Args:
        value: a node of the graph, or a value of the compiler's.
    """
    counted = _COUNTS.get(value.operator.name)
    return _largest(value) if counted is None else counted(value)


def _count(value: Any) -> int:
    shapes = value.shape if isinstance(value.dtype, tuple) else (value.shape,)
    return max((math.prod(shape) for shape in shapes), default=0)


def _largest(value: Any) -> int:
    return max([_count(value), *(_count(source) for source in value.inputs if source is not None)])


def _product(position: int) -> Callable[[Any], int]:
    """Each element of the result is a sum over the last dimension of an input."""
    return lambda value: 2 * math.prod(value.shape) * value.inputs[position].shape[-1]


def _convolution(pixels: int, weights: int | None) -> Callable[[Any], int]:
    """Each element of one tensor meets the weights of one output channel.

    Args:
        pixels: the input that is that tensor, -1 for the result.
        weights: the input that is the weights, None for the result.
    """

    def count(value: Any) -> int:
        elements = value.shape if pixels < 0 else value.inputs[pixels].shape
        window = value.shape if weights is None else value.inputs[weights].shape
        return 2 * math.prod(elements) * math.prod(window[1:])

    return count


def _attention(first: int, products: int) -> Callable[[Any], int]:
    """Products of as many operations as queries times keys.

    Args:
        first: the position of the query; key and value follow.
        products: how many of them.
    """

    def count(value: Any) -> int:
        query, key = value.inputs[first].shape, value.inputs[first + 1].shape
        whole = 2 * products * math.prod(query) * key[-2]
        return whole // 2 if value.parameters["causal"] else whole

    return count


def _recurrent(first: int, products: int) -> Callable[[Any], int]:
    """Every row of the input meets the weights of the input and of the hidden state."""

    def count(value: Any) -> int:
        rows = math.prod(value.inputs[first].shape[:-1])
        weights = value.inputs[first + 3 : first + 5]
        return 2 * products * rows * sum(math.prod(each.shape) for each in weights)

    return count


_COUNTS: dict[str, Callable[[Any], int]] = {
    "mm": _product(0),
    "bmm": _product(0),
    "addmm": _product(1),
    "linear": _product(0),
    "mv": _product(0),
    "dot": _product(0),
    "convolution": _convolution(-1, 1),
    "convolution_transposed": _convolution(0, 1),
    "convolution_weight_gradient": _convolution(1, None),
    "attention": _attention(0, 2),
    "attention_gradient": _attention(1, 5),
    "recurrent_layer": _recurrent(0, 1),
    "recurrent_layer_gradient": _recurrent(3, 2),
}
