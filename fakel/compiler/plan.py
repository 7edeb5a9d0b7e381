"""Plans a program: which kernels run in which order on which buffers, and where the buffers lie.

Every node ends up in one of four ways: as a view of another node's buffer, inside a fused pointwise
kernel, as the kernel calls that its lowering makes, or as a call of the interpreter.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from fakel.compiler.labels import Origins
from fakel.compiler.loop_ir import Kernel
from fakel.compiler.lowering import LOWERINGS, SCALARS, Access, Call
from fakel.graph import Node
from fakel.tensor.size import contiguous_strides

ALIGNMENT = 64


@dataclass
class Buffer:
    """Memory of a program. ``kind``: "leaf" (a leaf's array), "output" (an array made for each
    run), "temporary" (a place in the arena).
    """

    kind: str
    count: int
    dtype: Any
    node: int = -1  # the leaf's number, or the program position of the output's node
    first: int = -1  # the first and last step that uses it
    last: int = -1
    place: int = -1  # of a temporary: bytes from the start of the arena


@dataclass
class Interpreted:
    """A node that the interpreter runs: reads accesses, writes its results into others."""

    position: int
    inputs: tuple[Access | None, ...]
    results: tuple[Access, ...]

    @property
    def uses(self) -> set[int]:
        """The buffers that it touches."""
        return {a.buffer for a in (*self.inputs, *self.results) if a is not None}


@dataclass
class Plan:
    """A program while it is planned. Lowerings use ``read``, ``result``, ``results``, ``scratch``
    and ``call``.
    """

    program: list[Node]
    leaves: list[Node]
    buffers: list[Buffer] = field(default_factory=list)
    steps: list[Call | Interpreted] = field(default_factory=list)
    arena_size: int = 0
    # positions of views of leaves and outputs that somebody keeps, which need no computing
    held_views: list[tuple[int, Access]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.accesses: dict[int, Access | tuple[Access, ...]] = {}
        self.positions = {id(node): i for i, node in enumerate(self.program)}
        self.consumers: dict[int, list[Node]] = {}
        for node in self.program:
            for source in node.inputs:
                if source is not None:
                    self.consumers.setdefault(id(source), []).append(node)
        self.outputs_of: dict[int, dict[int, Node]] = {}
        for node in self.program:
            if node.operator.name == "output":
                inputs = self.outputs_of.setdefault(id(node.inputs[0]), {})
                inputs[node.parameters["index"]] = node
        for number, leaf in enumerate(self.leaves):
            self.accesses[id(leaf)] = self._new("leaf", leaf.shape, leaf.dtype, number)

    # ---------------------------------------------------------------- what lowerings use

    def read(self, node: Node) -> Access:
        """Where a node's value lies."""
        found = self.accesses[id(node)]
        assert isinstance(found, Access)
        return found

    def result(self, node: Node) -> Access:
        """A contiguous place for a node's value."""
        made = self._place(node, node.shape, node.dtype)
        self.accesses[id(node)] = made
        return made

    def results(self, node: Node) -> tuple[Access, ...]:
        """Contiguous places for the values of a node with several outputs."""
        picked = self.outputs_of.get(id(node), {})
        made = tuple(
            self._place(picked[i], shape, dtype)
            if i in picked
            else self._new("temporary", shape, dtype)
            for i, (shape, dtype) in enumerate(zip(node.shape, node.dtype, strict=True))
        )
        self.accesses[id(node)] = made
        return made

    def scratch(self, count: int, dtype: Any) -> Access:
        """Memory with undefined contents, for the calls of one node."""
        return self._new("temporary", (count,), dtype)

    def call(
        self,
        kernel: Kernel,
        arguments: list[Access] | tuple[Access, ...],
        writes: list[Access] | tuple[Access, ...],
        parallel: bool = True,
        errors: Callable[[int], Exception] | None = None,
    ) -> None:
        """Adds a kernel call; ``writes`` says which of its arguments it changes."""
        written = frozenset(access.buffer for access in writes)
        read = frozenset(access.buffer for access in arguments)
        self.steps.append(Call(kernel, tuple(arguments), read, written, parallel, errors))

    # ---------------------------------------------------------------- placing

    def _place(self, node: Node, shape: Any, dtype: Any) -> Access:
        kind = "output" if node.held else "temporary"
        return self._new(kind, shape, dtype, self.positions[id(node)])

    def _new(self, kind: str, shape: Any, dtype: Any, node: int = -1) -> Access:
        shape = tuple(shape)
        self.buffers.append(Buffer(kind, math.prod(shape), dtype, node))
        return Access(len(self.buffers) - 1, 0, shape, contiguous_strides(shape), dtype)

    def lower(self, fused: Callable[[Plan, Node], bool]) -> None:
        """Plans every node in order. ``fused`` takes the nodes that pointwise kernels are made
        of.
        """
        origins = Origins()
        for position, node in enumerate(self.program):
            before = len(self.steps)
            name = node.operator.name
            if name == "view":
                self._view(node)
            elif name == "output":
                self._output(node)
            elif not fused(self, node):
                lowering = LOWERINGS.get(name)
                if lowering is None or not self._known(node) or not lowering(self, node):
                    self._interpret(position, node)
            origins.note(node, self.steps[before:])

    @staticmethod
    def _known(node: Node) -> bool:
        kinds = node.dtype if isinstance(node.dtype, tuple) else (node.dtype,)
        sources = [source.dtype for source in node.inputs if source is not None]
        return all(kind.name in SCALARS for kind in (*kinds, *sources))

    def _view(self, node: Node) -> None:
        base = self.read(node.inputs[0])  # type: ignore[arg-type]
        offset = base.offset + node.parameters["offset"]
        strides = tuple(node.parameters["strides"])
        seen = Access(base.buffer, offset, tuple(node.shape), strides, base.dtype)
        self.accesses[id(node)] = seen
        if node.held and self.buffers[base.buffer].kind != "temporary":
            self.held_views.append((self.positions[id(node)], seen))
        elif node.held:
            # the arena does not outlive the run: the view gets memory of its own
            self.steps.append(Interpreted(self.positions[id(node)], (seen,), (self.result(node),)))

    def _output(self, node: Node) -> None:
        made = self.accesses[id(node.inputs[0])]
        assert isinstance(made, tuple)
        self.accesses[id(node)] = made[node.parameters["index"]]

    def _interpret(self, position: int, node: Node) -> None:
        inputs = tuple(None if source is None else self.read(source) for source in node.inputs)
        if isinstance(node.dtype, tuple):
            results = self.results(node)
        else:
            results = (self.result(node),)
        self.steps.append(Interpreted(position, inputs, results))

    # ---------------------------------------------------------------- memory

    def place_buffers(self) -> None:
        """Lays temporaries out in one arena: two that are alive at the same time never overlap."""
        for number, step in enumerate(self.steps):
            used = step.reads | step.writes if isinstance(step, Call) else step.uses
            for buffer in (self.buffers[b] for b in used):
                if buffer.first < 0:
                    buffer.first = number
                buffer.last = number
        self._extend_to_barriers()
        waiting = [b for b in self.buffers if b.kind == "temporary" and b.first >= 0]
        placed: list[Buffer] = []
        for buffer in sorted(waiting, key=lambda b: (-_size(b), b.first)):
            start = 0
            neighbours = [o for o in placed if o.first <= buffer.last and buffer.first <= o.last]
            for other in sorted(neighbours, key=lambda b: b.place):
                if other.place - start >= _size(buffer):
                    break
                start = max(start, other.place + _size(other))
            buffer.place = start
            placed.append(buffer)
            self.arena_size = max(self.arena_size, start + _size(buffer))

    def _extend_to_barriers(self) -> None:
        """Steps between two barriers run at the same time, so their buffers are alive together."""
        groups = self.groups()
        for buffer in self.buffers:
            if buffer.first >= 0:
                buffer.first = groups[buffer.first][0]
                buffer.last = groups[buffer.last][1]

    def barriers(self) -> list[bool]:
        """For each step, whether it must wait for those before it: it touches what they write, or
        writes what they read. Interpreted steps always wait.
        """
        result = []
        reads: set[int] = set()
        writes: set[int] = set()
        for step in self.steps:
            if isinstance(step, Interpreted):
                result.append(True)
                reads, writes = set(), set()
                continue
            wait = bool(step.reads & writes or step.writes & writes or step.writes & reads)
            if wait:
                reads, writes = set(), set()
            reads |= step.reads
            writes |= step.writes
            result.append(wait)
        return result

    def groups(self) -> list[tuple[int, int]]:
        """For each step, the first and last step that may run at the same time as it."""
        starts = [i for i, wait in enumerate(self.barriers()) if wait or not i]
        result: list[tuple[int, int]] = []
        if not starts:
            return result
        for start, stop in zip(starts, [*starts[1:], len(self.steps)], strict=True):
            result += [(start, stop - 1)] * (stop - start)
        return result


def _size(buffer: Buffer) -> int:
    """Bytes, with room so that neighbours do not share a cache line."""
    size = buffer.count * buffer.dtype.storage.itemsize
    return (size + ALIGNMENT - 1) // ALIGNMENT * ALIGNMENT
