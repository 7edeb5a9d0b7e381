"""A compiled program: a table of kernel calls over one arena, run by the native driver."""

from __future__ import annotations

import sys

import numpy as np

from fakel.compiler.emit import emit
from fakel.compiler.labels import label
from fakel.compiler.loop_ir import Kernel
from fakel.compiler.plan import ALIGNMENT, Interpreted, Plan
from fakel.graph import Node, strided
from fakel.interpreter import evaluate
from fakel.runtime.native import compile_kernel
from fakel.runtime.team import run_table
from fakel.runtime.trace import number_of

# references to a pooled array that only its pool holds
_UNUSED = 2
PARALLEL, BARRIER = 1, 2


class Program:
    """Runs one structure of nodes. ``run`` takes nodes of that structure and their leaves."""

    def __init__(self, plan: Plan) -> None:
        plan.place_buffers()
        self.plan = plan
        self.arena = _aligned(plan.arena_size)
        self.pools: dict[int, list[np.ndarray]] = {}
        self._temporaries = {
            number: self.arena[b.place : b.place + b.count * b.dtype.itemsize].view(b.dtype.storage)
            for number, b in enumerate(plan.buffers)
            if b.kind == "temporary" and b.place >= 0
        }
        self._kernels = [
            None if isinstance(step, Interpreted) else _address(step.kernel) for step in plan.steps
        ]
        self._build_tables()

    def _build_tables(self) -> None:
        """The rows of the driver's table, and where in their argument blocks addresses must be put
        that are only known at run time.
        """
        barriers = self.plan.barriers()
        blocks: list[int] = []
        patches: list[tuple[int, int, int]] = []  # position, buffer, bytes
        rows: list[tuple[int, int, int, int]] = []  # kernel, first argument, flags, label
        self.segments: list[tuple[str, int, int]] = []
        start = 0
        for number, step in enumerate(self.plan.steps):
            if isinstance(step, Interpreted):
                if len(rows) > start:
                    self.segments.append(("table", start, len(rows)))
                start = len(rows)
                self.segments.append(("interpret", number, number))
                continue
            flags = (PARALLEL if step.parallel else 0) | (BARRIER if barriers[number] else 0)
            kernel = self._kernels[number]
            assert kernel is not None
            rows.append((kernel, len(blocks), flags, number_of(label(step))))
            for access in step.arguments:
                offset = access.offset * access.dtype.itemsize
                patches.append((len(blocks), access.buffer, offset))
                blocks.append(0)
        if len(rows) > start:
            self.segments.append(("table", start, len(rows)))
        self.row_steps = [
            number
            for number, step in enumerate(self.plan.steps)
            if not isinstance(step, Interpreted)
        ]
        self.arguments = np.zeros(max(len(blocks), 1), np.int64)
        self.table = np.zeros((max(len(rows), 1), 4), np.int64)
        base = _pointer(self.arguments)
        for row, (kernel, first, flags, number) in enumerate(rows):
            self.table[row] = (kernel, base + 8 * first, flags, number)
        self._patch_positions = np.array([p for p, _, _ in patches], np.intp)
        self._patch_buffers = np.array([b for _, b, _ in patches], np.intp)
        self._patch_offsets = np.array([o for _, _, o in patches], np.int64)
        self._addresses = np.zeros(len(self.plan.buffers), np.int64)
        for number, array in self._temporaries.items():
            self._addresses[number] = _pointer(array)
        viewed = {seen.buffer for _, seen in self.plan.held_views}
        self._bound = [
            (number, buffer)
            for number, buffer in enumerate(self.plan.buffers)
            # an output without elements may have no step that writes it
            if buffer.kind == "output"
            or (buffer.kind == "leaf" and (buffer.first >= 0 or number in viewed))
        ]

    # ---------------------------------------------------------------- running

    def run(self, nodes: list[Node], leaves: list[Node]) -> None:
        """Computes the held nodes from the leaves' values."""
        arrays: dict[int, np.ndarray] = dict(self._temporaries)
        addresses = self._addresses
        for number, buffer in self._bound:
            if buffer.kind == "leaf":
                array = leaves[buffer.node].value
            else:
                array = self._take(number, nodes[buffer.node])
            arrays[number] = array
            addresses[number] = _pointer(array)
        self.arguments[self._patch_positions] = addresses[self._patch_buffers] + self._patch_offsets
        for kind, start, stop in self.segments:
            if kind == "interpret":
                with np.errstate(all="ignore"):
                    self._interpret(start, nodes, arrays)
            else:
                status = run_table(self.table[start:stop], stop - start)
                if status:
                    self._fail(start, status)
        for number, buffer in self._bound:
            if buffer.kind == "output":
                nodes[buffer.node].value = arrays[number]
        for position, seen in self.plan.held_views:
            whole = arrays[seen.buffer]
            nodes[position].value = strided(whole, seen.shape, seen.strides, seen.offset)

    def _take(self, number: int, node: Node) -> np.ndarray:
        """An array for an output: one of an earlier run that nobody refers to any longer, or a new
        one.
        """
        pool = self.pools.setdefault(number, [])
        for position in range(len(pool)):
            if sys.getrefcount(pool[position]) == _UNUSED:
                return pool[position]
        array = np.empty(node.shape, node.dtype.storage)
        if len(pool) < 2:
            pool.append(array)
        return array

    def _interpret(self, number: int, nodes: list[Node], arrays: dict[int, np.ndarray]) -> None:
        step = self.plan.steps[number]
        assert isinstance(step, Interpreted)
        node = nodes[step.position]
        views = [
            None if a is None else strided(arrays[a.buffer], a.shape, a.strides, a.offset)
            for a in step.inputs
        ]
        name = node.operator.name
        if name == "view":
            values: tuple[np.ndarray | None, ...] = (views[0],)
        elif name == "write":
            assert views[0] is not None
            values = evaluate(node, [views[0].copy(), views[1]])
        else:
            values = evaluate(node, views)
        for access, value in zip(step.results, values, strict=True):
            np.copyto(arrays[access.buffer].reshape(access.shape), value)

    def _fail(self, start: int, status: int) -> None:
        row, code = status >> 32, status & 0xFFFFFFFF
        step = self.plan.steps[self.row_steps[start + row]]
        assert not isinstance(step, Interpreted) and step.errors is not None
        raise step.errors(code)


def _address(kernel: Kernel) -> int:
    return compile_kernel(kernel.name, lambda: emit(kernel), repr(kernel))


def _pointer(array: np.ndarray) -> int:
    address: int = array.__array_interface__["data"][0]
    return address


def _aligned(size: int) -> np.ndarray:
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -_pointer(memory) % ALIGNMENT
    return memory[start : start + size]
