"""From a plan to a program: which steps run in which order on which memory, as plain data."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Any

import numpy as np

from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.emit import emit
from fakel.compiler.loop_ir.language import Kernel
from fakel.compiler.loop_ir.naming import name_shared
from fakel.compiler.planning.labels import label
from fakel.compiler.planning.lowering import Access, Call, Interpreted
from fakel.compiler.planning.memory import lay_out
from fakel.compiler.planning.plan import Plan
from fakel.compiler.planning.schedule import schedule
from fakel.compiler.planning.sharing import share_memory
from fakel.compiler.program import FINISHED, Image, Program, Row
from fakel.graph import strided
from fakel.interpreter import evaluate
from fakel.runtime.control import FINE, ORDERED, PARALLEL
from fakel.runtime.native import Library, load_library
from fakel.runtime.trace import Label
from fakel.tensor.size import contiguous_strides


class Planned(Program):
    """A program with the plan that it was made of.

    Of each buffer ``root`` says in whose memory it lies; ``groups`` are the steps in order, with a
    barrier between one group and the next.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        results = [(number, plan.read(value)) for number, value in plan.graph.results]
        self.root = share_memory(plan, (access.buffer for _, access in results))
        self.groups = schedule(plan, self.root)
        self.steps = [step for group in self.groups for step in group]
        self.row_steps = [step for step in self.steps if isinstance(step, Call)]
        self._kernels: dict[Any, int] = {}
        self._libraries: list[Library] = []
        self._names: list[str] = []
        rows, segments = self._table()
        places, size = lay_out(plan, self.groups, self.root)
        temporaries = [(n, place, *_kind(plan.buffers[n])) for n, place in places.items()]
        image = Image(
            len(plan.buffers),
            size,
            tuple(temporaries),
            *self._ends(results),
            tuple(rows),
            tuple(segments),
            tuple(self._names),
            *self._times(rows),
        )
        super().__init__(image, self._libraries)

    @property
    def is_native(self) -> bool:
        """Whether nothing is left to the interpreter: the image says all."""
        return len(self.row_steps) == len(self.steps)

    def _ends(self, results: list[tuple[int, Access]]) -> tuple[Any, Any, Any, Any]:
        """What each run must find arrays for, and where its results are; see `Image`."""
        buffers, root = self.plan.buffers, self.root
        wholes: list[tuple[int, int]] = []
        views: list[tuple[int, int, tuple[int, ...], tuple[int, ...], int]] = []
        shapes: dict[int, tuple[int, ...]] = {}
        for number, seen in results:
            home = root[seen.buffer]
            ordered = seen.strides == contiguous_strides(seen.shape)
            if buffers[home].kind == "output" and ordered and seen.count == buffers[home].count:
                if shapes.setdefault(home, seen.shape) == seen.shape:
                    wholes.append((number, home))
                    continue
            if buffers[home].kind == "leaf" and ordered and seen.shape == buffers[home].shape:
                wholes.append((number, home))
                continue
            views.append((number, home, tuple(seen.shape), tuple(seen.strides), seen.offset))
        used = {root[buffer] for step in self.steps for buffer in step.uses}
        used.update(root[seen.buffer] for _, seen in results)
        leaves: list[tuple[int, int]] = []
        outputs: list[tuple[int, tuple[int, ...], str]] = []
        for number in sorted(used):
            buffer = buffers[number]
            if buffer.kind == "leaf":
                leaves.append((number, buffer.number))
            elif buffer.kind == "output":
                shape = shapes.get(number, buffer.shape)
                outputs.append((number, tuple(shape), buffer.dtype.storage.str))
        return tuple(leaves), tuple(outputs), tuple(wholes), tuple(views)

    def _table(self) -> tuple[list[Row], list[tuple[str, int, int]]]:
        """The rows, and which of them run between which interpreted steps."""
        rows: list[Row] = []
        segments: list[tuple[str, int, int]] = []
        start = 0
        for group in self.groups:
            for place, step in enumerate(group):
                if isinstance(step, Interpreted):
                    if len(rows) > start:
                        segments.append(("table", start, len(rows)))
                    start = len(rows)
                    segments.append(("interpret", self.steps.index(step), 0))
                    continue
                flags = (PARALLEL if step.parallel else 0) | (0 if place else ORDERED)
                flags |= FINE if step.parallel and step.fine else 0
                arguments = tuple(self._arguments(step))
                rows.append(Row(self._kernel(step.kernel), flags, arguments, label(step)))
        updated = {self.root[buffer] for step in self.steps for buffer in step.writes}
        if any(self.plan.buffers[buffer].kind == "leaf" for buffer in updated):
            # says that the leaves were updated, in case that an interruption hides it
            flags = ORDERED if any(step.may_fail for step in self.steps) else 0
            rows.append(Row(self._kernel(_mark()), flags, ((FINISHED, 0),), Label("mark")))
        if len(rows) > start:
            segments.append(("table", start, len(rows)))
        return rows, segments

    def _times(self, rows: list[Row]) -> tuple[int, tuple[tuple[int, int], ...]]:
        """Up to which row nobody leaves, and from which ones on results are final; see `Image`."""
        starts = [n for n, row in enumerate(rows) if row.flags & ORDERED]
        starts.append(len(rows))
        certain = 0
        due: dict[int, int] = {}
        for number, step in enumerate(self.row_steps):
            after = next(start for start in starts if start > number)
            if step.may_fail:
                certain = after
            for buffer in {self.root[each] for each in step.writes}:
                if self.plan.buffers[buffer].kind in ("output", "leaf"):
                    due[buffer] = after
        # whole groups that follow on one thread stay with the one that has their operands in its
        # cache
        for start, stop in itertools.pairwise(starts):
            if start == certain and not any(row.flags & PARALLEL for row in rows[start:stop]):
                certain = stop
        return certain, tuple(sorted(due.items(), key=lambda each: each[1]))

    def _arguments(self, step: Call) -> Iterator[tuple[int, int]]:
        for access in step.arguments:
            yield self.root[access.buffer], access.offset * access.dtype.itemsize

    def _kernel(self, kernel: Kernel) -> int:
        """The number of a kernel among the program's; equal ones have one."""
        number = self._kernels.get(id(kernel))
        if number is None:
            key = repr(name_shared(kernel))
            number = self._kernels.get(key)
            if number is None:
                number = len(self._names)
                self._names.append(kernel.name)
                self._libraries.append(
                    load_library(lambda: emit(kernel), key, vectorize=not kernel.in_vectors)
                )
            # the plan keeps its kernels, so that identities stay theirs
            self._kernels[key] = self._kernels[id(kernel)] = number
        return number

    def interpret(self, number: int, arrays: dict[int, np.ndarray]) -> None:
        """Computes a step that has no kernel."""
        step = self.steps[number]
        assert isinstance(step, Interpreted)
        views = [
            None if a is None else strided(self._home(a, arrays), a.shape, a.strides, a.offset)
            for a in step.inputs
        ]
        if step.value.name == "write":
            # its meaning writes into what it is given, as it is stored
            written = step.value.operator.meaning(
                views[0].copy(), views[1], **step.value.parameters
            )
            values = (written,)
        else:
            values = evaluate(step.value, views)
        for access, value in zip(step.results, values, strict=True):
            np.copyto(self._home(access, arrays).reshape(access.shape), value)

    def _home(self, access: Access, arrays: dict[int, np.ndarray]) -> np.ndarray:
        return arrays[self.root[access.buffer]]

    def failure(self, row: int, status: int) -> Exception:
        """The exception of a row that returned a status."""
        errors = self.row_steps[row].errors
        assert errors is not None
        return errors(status)


def _kind(buffer: Any) -> tuple[int, str]:
    return buffer.size, buffer.dtype.storage.str


def _mark() -> Kernel:
    build = Builder("mark")
    build.store(build.buffer("finished", "i64"), 0, 1)
    return build.kernel
