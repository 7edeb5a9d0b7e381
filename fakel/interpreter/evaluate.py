"""Runs recorded nodes with NumPy, one after the other: the definition of what a graph means."""

from __future__ import annotations

import sys
from typing import Any

import numpy as np

from fakel.interpreter.types import ElementType
from fakel.runtime import trace


def widen(array: np.ndarray, dtype: ElementType) -> np.ndarray:
    """An array as stored, in the dtype that meanings work in (float16 and bfloat16 become
    float32).
    """
    if dtype.storage == dtype.compute:
        return array
    if dtype.name == "bfloat16":
        return (array.astype(np.uint32) << 16).view(np.float32)
    return array.astype(dtype.compute)


def narrow(result: Any, dtype: ElementType) -> np.ndarray:
    """A meaning's result as stored: an array of the dtype's own, contiguous, rounded to nearest
    even.
    """
    array: np.ndarray = np.asarray(result)
    if dtype.name == "bfloat16":
        return _round_to_bfloat16(np.ascontiguousarray(array, np.float32).reshape(array.shape))
    if array.dtype != dtype.storage:
        array = array.astype(dtype.storage)
    if not array.flags.c_contiguous:
        array = array.copy(order="C")
    return array


def _round_to_bfloat16(array: np.ndarray) -> np.ndarray:
    bits = array.view(np.uint32)
    rounded = (bits + (0x7FFF + ((bits >> 16) & 1))) >> 16
    return np.where(np.isnan(array), np.uint16(0x7FC0), rounded.astype(np.uint16))


# How many references a node and its array have when only the node that is being run reads them.
_SOLE_NODE = 3
_SOLE_ARRAY = 2


def evaluate(node: Any, arrays: list[np.ndarray | None]) -> tuple[np.ndarray, ...]:
    """The outputs of one node, given its inputs as stored: its meaning, and what the meaning takes
    for granted.
    """
    if trace.active is None:
        return _evaluate(node, arrays)
    shapes = tuple(None if array is None else array.shape for array in arrays)
    with trace.span("operator", node.operator.name, shapes):
        return _evaluate(node, arrays)


def _evaluate(node: Any, arrays: list[np.ndarray | None]) -> tuple[np.ndarray, ...]:
    widened = [
        None if array is None else widen(array, source.dtype)
        for array, source in zip(arrays, node.inputs, strict=True)
    ]
    result = node.operator.meaning(*widened, **node.parameters)
    if type(node.dtype) is tuple:
        return tuple(
            checked(narrow(r, d), s, node)
            for r, d, s in zip(result, node.dtype, node.shape, strict=True)
        )
    return (checked(narrow(result, node.dtype), node.shape, node),)


class Interpreter:
    """The executor that calls each operator's NumPy meaning."""

    def run(self, program: list[Any]) -> None:
        """Computes every node, in order. Computed nodes leave the program, so that a value that
        nobody holds any longer is freed as soon as its last reader has run.
        """
        program.reverse()
        try:
            with np.errstate(all="ignore"):
                while program:
                    node = program[-1]
                    self._compute(node)
                    node.inputs = ()
                    program.pop()
        finally:
            program.reverse()

    def _compute(self, node: Any) -> None:
        name = node.operator.name
        if name == "view":
            node.value = node.operator.meaning(node.inputs[0].value, **node.parameters)
        elif name == "output":
            node.value = node.inputs[0].value[node.parameters["index"]]
        elif name == "write":
            node.value = self._write(node)
        else:
            values = evaluate(node, [None if n is None else n.value for n in node.inputs])
            node.value = values if type(node.dtype) is tuple else values[0]

    def _write(self, node: Any) -> np.ndarray:
        """Writes into the old buffer where nobody else can see it, else into a copy."""
        base = node.inputs[0]
        replacement = node.inputs[1].value
        buffer = base.value
        base.value = None
        only_reader = sys.getrefcount(base) == _SOLE_NODE and sys.getrefcount(buffer) == _SOLE_ARRAY
        if only_reader and buffer.flags.owndata:
            target = buffer
        else:
            base.value = buffer
            target = buffer.copy(order="C")
        result: np.ndarray = node.operator.meaning(target, replacement, **node.parameters)
        return result


def checked(array: np.ndarray, shape: tuple[int, ...], node: Any) -> np.ndarray:
    """The array, after making sure that the meaning kept to the shape that was announced."""
    if array.shape != tuple(shape):
        raise AssertionError(
            f"{node.operator.name} gave shape {array.shape}, announced {tuple(shape)}; "
            f"parameters {node.parameters}"
        )
    return array
