"""The graph's building blocks: what an operator is, and one recorded use of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fakel.interpreter.types import ElementType


class Operator:
    """A kind of node: a name and its meaning as a NumPy function.

    The meaning takes the inputs as positional arrays and the static parameters by keyword, and
    returns one array, or a tuple of arrays where the node has several outputs.
    """

    __slots__ = ("meaning", "name")

    def __init__(self, name: str, meaning: Callable[..., Any]) -> None:
        self.name = name
        self.meaning = meaning

    def __repr__(self) -> str:
        return f"Operator({self.name})"


class Node:
    """One value of the graph: computed (``value`` is an array) or pending (``value`` is None).

    ``shape`` and ``dtype`` are tuples of shapes and dtypes for a node with several outputs; its
    outputs are picked by ``OUTPUT`` nodes. ``uses`` and ``held`` are filled in by a flush: how many
    nodes of the program read this one, and whether somebody outside the program still refers to it.
    ``run`` and ``number`` say where a run of recalled calls (see ``run.py``) lists this node;
    ``address`` is that of the value, 0 while no program has asked for it.
    """

    __slots__ = (
        "__weakref__",
        "address",
        "dtype",
        "held",
        "inputs",
        "number",
        "operator",
        "parameters",
        "run",
        "shape",
        "uses",
        "value",
    )

    def __init__(
        self,
        operator: Operator,
        inputs: tuple[Node | None, ...],
        parameters: dict[str, Any],
        shape: Any,
        dtype: Any,
        value: Any = None,
    ) -> None:
        self.operator = operator
        self.inputs = inputs
        self.parameters = parameters
        self.shape = shape
        self.dtype = dtype
        self.value = value
        self.uses = 0
        self.held = True
        self.address = 0
        self.run: Any = None
        self.number: int

    def __repr__(self) -> str:
        state = "pending" if self.value is None else "computed"
        return f"Node({self.operator.name}, {self.shape}, {self.dtype}, {state})"


def strided(
    buffer: np.ndarray, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> np.ndarray:
    """The view of a contiguous buffer with the given shape, strides and offset (in elements).

    NumPy checks that the view lies within the buffer.
    """
    itemsize = buffer.itemsize
    if 0 in shape:
        return np.empty(shape, buffer.dtype)
    return np.ndarray(
        shape, buffer.dtype, buffer, offset * itemsize, [step * itemsize for step in strides]
    )


def _view(
    buffer: np.ndarray, *, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
) -> np.ndarray:
    return strided(buffer, shape, strides, offset)


def _write(
    buffer: np.ndarray,
    value: np.ndarray,
    *,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    offset: int,
) -> np.ndarray:
    # the interpreter hands over a buffer that may be overwritten
    strided(buffer, shape, strides, offset)[...] = value
    return buffer


def _no_meaning(**parameters: Any) -> None:
    raise AssertionError("a leaf has a value from the start")


VALUE = Operator("value", _no_meaning)
VIEW = Operator("view", _view)
WRITE = Operator("write", _write)
COPY = Operator("copy", lambda input: input.copy(order="C"))
OUTPUT = Operator("output", lambda outputs, *, index: outputs[index])
FAILED = Operator("failed", _no_meaning)


def leaf(array: np.ndarray, dtype: ElementType) -> Node:
    """A node that is computed from the start."""
    return Node(VALUE, (), {}, array.shape, dtype, array)
