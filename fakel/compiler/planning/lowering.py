"""From nodes to kernel calls: what a lowering gets, and the table of lowerings.

A lowering is a function ``(plan, node) -> bool`` for one kind of node. It reads its inputs with
``plan.read``, makes room with ``plan.result`` and ``plan.scratch`` and adds kernel calls with
``plan.call``. It returns False, before adding anything, for what it has no kernel for (a dtype, a
geometry); the node then runs through the interpreter in the middle of the program. A lowering gets
a value of the compiler's graph, which has all that a node has.

A pattern is such a function for a group of values that a pass has found. When it returns False, the
values are lowered one by one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fakel.compiler.loop_ir.language import Kernel
from fakel.compiler.loop_ir.nests import broadcast_strides
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

    def broadcast(self, shape: Sequence[int]) -> Access:
        """The access as one of a larger shape, in which it repeats."""
        strides = broadcast_strides(self.shape, self.strides, shape)
        return replace(self, shape=tuple(shape), strides=strides)


@dataclass
class Call:
    """One kernel call of a program. ``Plan.call`` says what its marks mean.

    ``operators`` are the names of what it computes, ``operations`` their floating-point operations
    (see `labels.py`).
    """

    kernel: Kernel
    arguments: tuple[Access, ...]
    writes: frozenset[int]
    parallel: bool
    errors: Callable[[int], Exception] | None = None
    elementwise: tuple[int, ...] = ()
    operators: tuple[str, ...] = ()
    operations: int = 0
    apart: bool = False
    fine: bool = False
    trusted: bool = False

    @property
    def uses(self) -> set[int]:
        """The buffers that it touches."""
        return {access.buffer for access in self.arguments}

    @property
    def may_fail(self) -> bool:
        """Whether it can raise: it checks what nothing before it has checked."""
        return self.errors is not None and not self.trusted


@dataclass
class Interpreted:
    """A value that the interpreter computes: reads accesses, writes its results into others."""

    value: Any
    inputs: tuple[Access | None, ...]
    results: tuple[Access, ...]
    may_fail = True
    apart = False

    @property
    def uses(self) -> set[int]:
        """The buffers that it touches."""
        return {a.buffer for a in (*self.inputs, *self.results) if a is not None}

    @property
    def writes(self) -> frozenset[int]:
        """The buffers that it writes."""
        return frozenset(access.buffer for access in self.results)


Step = Call | Interpreted

Lowering = Callable[[Any, Node], bool]
LOWERINGS: dict[str, Lowering] = {}
PATTERNS: dict[str, Lowering] = {}


def lowers(*names: str) -> Callable[[Lowering], Lowering]:
    """Declares the lowering of the nodes with these operator names."""

    def declare(lowering: Lowering) -> Lowering:
        for name in names:
            LOWERINGS[name] = lowering
        return lowering

    return declare


def pattern(name: str) -> Callable[[Lowering], Lowering]:
    """Declares the lowering of the groups of this name."""

    def declare(lowering: Lowering) -> Lowering:
        PATTERNS[name] = lowering
        return lowering

    return declare
