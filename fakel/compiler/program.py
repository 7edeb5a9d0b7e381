"""A compiled program: a table of kernel calls over one arena, run by the native driver."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fakel.compiler.emit import emit
from fakel.compiler.labels import label
from fakel.compiler.loop_ir import Builder, Kernel
from fakel.compiler.lowering import Access, Call, Interpreted
from fakel.compiler.memory import ALIGNMENT, lay_out
from fakel.compiler.naming import name_shared
from fakel.compiler.plan import Plan
from fakel.compiler.pool import Pool, address_of
from fakel.compiler.schedule import schedule
from fakel.compiler.sharing import share_memory
from fakel.graph import Node, strided
from fakel.interpreter import evaluate
from fakel.runtime.control import ROW
from fakel.runtime.native import compile_kernel
from fakel.runtime.team import run_rows
from fakel.runtime.trace import Label, number_of
from fakel.tensor.size import contiguous_strides

PARALLEL, BARRIER = 1, 2


class Program:
    """Runs one structure of nodes. ``run`` takes nodes of that structure and their leaves.

    Of each buffer ``root`` says in whose memory it lies; ``groups`` are the steps in order, with a
    barrier between one group and the next.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        results = [(number, plan.read(value)) for number, value in plan.graph.results]
        self.root = share_memory(plan, (access.buffer for _, access in results))
        self.groups = schedule(plan, self.root)
        self.steps = [step for group in self.groups for step in group]
        places, size = lay_out(plan, self.groups, self.root)
        self.arena = _aligned(size)
        # the arrays of buffers that lie in their own memory, but for those of leaves and outputs
        self._arrays: dict[int, np.ndarray] = {
            number: self._temporary(place, plan.buffers[number]) for number, place in places.items()
        }
        self._bind(results)
        self._build_table()

    def _temporary(self, place: int, buffer: Any) -> np.ndarray:
        return self.arena[place : place + buffer.size].view(buffer.dtype.storage)

    def _bind(self, results: list[tuple[int, Access]]) -> None:
        """What each run must find arrays for, and where its results are.

        ``leaves``: buffers and the numbers of leaves. ``outputs``: buffers and pools of arrays.
        ``wholes``: nodes whose value is a buffer's array, by number; ``views``: those whose value
        is a view of one.
        """
        buffers, root = self.plan.buffers, self.root
        self.wholes: list[tuple[int, int]] = []
        self.views: list[tuple[int, int, tuple[int, ...], tuple[int, ...], int]] = []
        shapes: dict[int, tuple[int, ...]] = {}
        for number, seen in results:
            home = root[seen.buffer]
            ordered = seen.strides == contiguous_strides(seen.shape)
            if buffers[home].kind == "output" and ordered and seen.count == buffers[home].count:
                if shapes.setdefault(home, seen.shape) == seen.shape:
                    self.wholes.append((number, home))
                    continue
            if buffers[home].kind == "leaf" and ordered and seen.shape == buffers[home].shape:
                self.wholes.append((number, home))
                continue
            self.views.append((number, home, seen.shape, seen.strides, seen.offset))
        used = {root[buffer] for step in self.steps for buffer in step.uses}
        used.update(root[seen.buffer] for _, seen in results)
        self.leaves: list[tuple[int, int]] = []
        self.outputs: list[tuple[int, Pool]] = []
        for number in sorted(used):
            buffer = buffers[number]
            if buffer.kind == "leaf":
                self.leaves.append((number, buffer.number))
            elif buffer.kind == "output":
                shape = shapes.get(number, buffer.shape)
                self.outputs.append((number, Pool(shape, buffer.dtype.storage)))

    def _build_table(self) -> None:
        """The rows of the driver's table, and where in their argument blocks addresses must be put
        that are only known at run time.
        """
        self._finished = np.zeros(1, np.int64)
        blocks: list[int] = []
        patches: list[tuple[int, int, int]] = []  # position, buffer, bytes
        rows: list[tuple[int, int, int, int]] = []  # kernel, first argument, flags, label
        self.segments: list[tuple[str, int, int]] = []
        self.row_steps: list[Call] = []
        known: dict[int, int] = {}  # equal calls often have the same kernel
        start = 0
        for group in self.groups:
            for place, step in enumerate(group):
                if isinstance(step, Interpreted):
                    if len(rows) > start:
                        self.segments.append(("table", start, len(rows)))
                    start = len(rows)
                    self.segments.append(("interpret", self.steps.index(step), 0))
                    continue
                flags = (PARALLEL if step.parallel else 0) | (0 if place else BARRIER)
                address = known.get(id(step.kernel)) or _address(step.kernel)
                known[id(step.kernel)] = address
                rows.append((address, len(blocks), flags, number_of(label(step))))
                self.row_steps.append(step)
                for access in step.arguments:
                    offset = access.offset * access.dtype.itemsize
                    patches.append((len(blocks), self.root[access.buffer], offset))
                    blocks.append(0)
        updated = {self.root[buffer] for step in self.steps for buffer in step.writes}
        if any(self.plan.buffers[buffer].kind == "leaf" for buffer in updated):
            # says that the leaves were updated, in case that an interruption hides it
            flags = BARRIER if any(step.may_fail for step in self.steps) else 0
            rows.append((_address(_mark()), len(blocks), flags, number_of(Label("mark"))))
            blocks.append(address_of(self._finished))
        if len(rows) > start:
            self.segments.append(("table", start, len(rows)))
        self.arguments = np.array(blocks or [0], np.int64)
        self.table = np.zeros((max(len(rows), 1), 4), np.int64)
        base = address_of(self.arguments)
        for row, (kernel, first, flags, number) in enumerate(rows):
            self.table[row] = (kernel, base + 8 * first, flags, number)
        self._base = address_of(self.table)
        self._patch_positions = np.array([p for p, _, _ in patches], np.intp)
        self._patch_buffers = np.array([b for _, b, _ in patches], np.intp)
        self._patch_offsets = np.array([o for _, _, o in patches], np.int64)
        self._addresses = np.zeros(len(self.plan.buffers), np.int64)
        for number, array in self._arrays.items():
            self._addresses[number] = address_of(array)

    # ---------------------------------------------------------------- running

    def run(self, nodes: Mapping[int, Node], leaves: list[Node]) -> None:
        """Computes the held nodes from the leaves' values. Leaves that the plan calls donated may
        have lost theirs afterwards.

        Args:
            nodes: by position; those that are held are enough.
            leaves: in the order of the key.
        """
        arrays, addresses = self._arrays.copy(), self._addresses
        where: dict[int, int] = {}
        for number, leaf in self.leaves:
            node = leaves[leaf]
            arrays[number] = node.value
            if not node.address:
                node.address = address_of(node.value)
            addresses[number] = where[number] = node.address
        for number, pool in self.outputs:
            arrays[number], where[number] = pool.take()
            addresses[number] = where[number]
        self.arguments[self._patch_positions] = addresses[self._patch_buffers] + self._patch_offsets
        self._finished[0] = 0
        try:
            for kind, start, stop in self.segments:
                if kind == "interpret":
                    with np.errstate(all="ignore"):
                        self._interpret(self.steps[start], arrays)
                    continue
                status = run_rows(self._base + ROW * 8 * start, stop - start)
                if status:
                    self._fail(start, status)
        except BaseException:
            if self._finished[0]:
                self._hand_over(nodes, arrays, where)
            raise
        self._hand_over(nodes, arrays, where)

    def _hand_over(
        self, nodes: Mapping[int, Node], arrays: dict[int, np.ndarray], where: dict[int, int]
    ) -> None:
        for number, buffer in self.wholes:
            node = nodes[number]
            node.value = arrays[buffer]
            node.address = where[buffer]
        for number, buffer, shape, strides, offset in self.views:
            nodes[number].value = strided(arrays[buffer], shape, strides, offset)

    def _interpret(self, step: Interpreted, arrays: dict[int, np.ndarray]) -> None:
        views = [
            None if a is None else strided(self._home(a, arrays), a.shape, a.strides, a.offset)
            for a in step.inputs
        ]
        if step.value.name == "write":
            # its meaning writes into what it is given
            views[0] = views[0].copy()
        values = evaluate(step.value, views)
        for access, value in zip(step.results, values, strict=True):
            np.copyto(self._home(access, arrays).reshape(access.shape), value)

    def _home(self, access: Access, arrays: dict[int, np.ndarray]) -> np.ndarray:
        return arrays[self.root[access.buffer]]

    def _fail(self, start: int, status: int) -> None:
        row, code = status >> 32, status & 0xFFFFFFFF
        step = self.row_steps[start + row]
        assert step.errors is not None
        raise step.errors(code)


def _mark() -> Kernel:
    build = Builder("mark")
    build.store(build.buffer("finished", "i64"), 0, 1)
    return build.kernel


def _address(kernel: Kernel) -> int:
    name_shared(kernel)
    return compile_kernel(kernel.name, lambda: emit(kernel), repr(kernel))


def _aligned(size: int) -> np.ndarray:
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -address_of(memory) % ALIGNMENT
    return memory[start : start + size]
