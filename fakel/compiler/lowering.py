"""From nodes to kernel calls: what a lowering gets, and the table of lowerings.

A lowering is a function ``(plan, node) -> bool`` for one kind of node. It reads its inputs with
``plan.read``, makes room with ``plan.result`` and ``plan.scratch`` and adds kernel calls with
``plan.call``. It returns False, before adding anything, for what it has no kernel for (a dtype, a
geometry); the node then runs through the interpreter in the middle of the program.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fakel.compiler.loop_ir import Kernel
from fakel.graph import Node

# element types that kernels know; others (float16, bfloat16, complex) run through the interpreter
SCALARS = {
    "float32": "f32",
    "float64": "f64",
    "int64": "i64",
    "int32": "i32",
    "int16": "i16",
    "int8": "i8",
    "uint8": "u8",
    "bool": "u8",
}


@dataclass(frozen=True)
class Access:
    """A tensor as a kernel finds it: a buffer of the program seen with an offset, shape and
    strides, all in elements. The address that the kernel gets includes the offset.
    """

    buffer: int
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]
    dtype: Any

    @property
    def scalar(self) -> str:
        """The loop IR's name of the element type."""
        return SCALARS[self.dtype.name]

    @property
    def count(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)


@dataclass
class Call:
    """One kernel call of a program.

    ``errors`` makes the exception for a non-zero status. ``operators`` are the names of what it
    computes, ``operations`` their floating-point operations (see `labels.py`).
    """

    kernel: Kernel
    arguments: tuple[Access, ...]
    reads: frozenset[int]
    writes: frozenset[int]
    parallel: bool
    errors: Callable[[int], Exception] | None = None
    operators: tuple[str, ...] = ()
    operations: int = 0


Lowering = Callable[[Any, Node], bool]
LOWERINGS: dict[str, Lowering] = {}


def lowers(*names: str) -> Callable[[Lowering], Lowering]:
    """Declares the lowering of the nodes with these operator names."""

    def declare(lowering: Lowering) -> Lowering:
        for name in names:
            LOWERINGS[name] = lowering
        return lowering

    return declare
