"""Compiled programs whose buffers all end, or begin, at memory that may not be touched.

A kernel that reads or writes out of bounds is ended by the system at once, so programs run in a
forked process; before each kernel call that process notes its text where its parent finds it.
"""

from __future__ import annotations

import ctypes
import math
import mmap
import os
import signal
import traceback
from typing import Any

import numpy as np

from fakel.compiler.planning.assemble import Planned
from fakel.compiler.program import Program
from fakel.graph import Node
from tests.support.execution import Planning, StrictCompiler, check, expectations, written_for

PAGE = mmap.PAGESIZE
_NOTE = 1 << 16
_system = ctypes.CDLL(None)


def room(count: int, dtype: Any, at_end: bool) -> np.ndarray:
    """Memory for so many elements between two pages that may not be touched."""
    size = count * np.dtype(dtype).itemsize
    pages = max(-(-size // PAGE), 1)
    area = mmap.mmap(-1, (pages + 2) * PAGE)
    start = ctypes.addressof(ctypes.c_char.from_buffer(area))
    for forbidden in (start, start + (pages + 1) * PAGE):
        assert _system.mprotect(ctypes.c_void_p(forbidden), PAGE, 0) == 0
    first = (pages + 1) * PAGE - size if at_end else PAGE
    return np.frombuffer(area, dtype, count, first)


class GuardedProgram(Program):
    """A compiled program in guarded memory, which notes its kernel calls."""

    def __init__(self, compiled: Planned, at_end: bool, note: mmap.mmap) -> None:
        self.compiled, self.at_end, self.note = compiled, at_end, note
        self.steps, self.failure = compiled.steps, compiled.failure
        super().__init__(compiled.image, compiled.libraries)
        self.flies = False
        self.outputs = _Rooms(self.outputs.kinds, at_end)
        segments = []
        for kind, start, stop in self.segments:
            if kind == "interpret":
                segments.append((kind, start, stop))
            else:
                for row in range(start, stop):
                    # a note is an interpreted step that computes nothing
                    segments += [("interpret", -1 - row, 0), (kind, row, row + 1)]
        self.segments = tuple(segments)

    def _temporary(self, place: int, size: int, kind: str) -> np.ndarray:
        return room(size // np.dtype(kind).itemsize, kind, self.at_end)

    def run(self, nodes: Any, leaves: list[Node], *results: Any) -> None:
        """Runs on copies of the leaves."""
        copies = []
        for leaf in leaves:
            array = leaf.value
            copy = room(array.size, array.dtype, self.at_end).reshape(array.shape)
            copy[...] = array
            copies.append(Node(leaf.operator, (), {}, leaf.shape, leaf.dtype, copy))
        super().run(nodes, copies, *results)

    def interpret(self, number: int, arrays: Any) -> None:
        """A step without a kernel; with a number below 0, a note of the row that comes."""
        if number >= 0:
            self.compiled.interpret(number, arrays)
            return
        row, steps = -1 - number, self.compiled.row_steps
        name = repr(steps[row].kernel) if row < len(steps) else "mark"
        text = name.encode()[: _NOTE - 1]
        self.note[: len(text) + 1] = text + b"\0"


class _Rooms:
    """Makes a program's outputs."""

    def __init__(self, kinds: Any, at_end: bool) -> None:
        self.kinds, self.at_end = kinds, at_end

    def take(self) -> tuple[list[np.ndarray], list[np.ndarray], list[int]]:
        """An array for each output, twice, and their addresses."""
        made = [room(math.prod(s), kind, self.at_end).reshape(s) for s, kind in self.kinds]
        return made, made, [each.ctypes.data for each in made]


def touches_nothing_else(
    source: str,
    processor: str = "host",
    threads: int = 1,
    expected: Any = None,
    compiled: dict[Any, Any] | None = None,
) -> None:
    """Runs a program in guarded memory and compares it with the interpreter.

    Args:
        source: the program's text.
        processor: the one that its kernels are written for.
        threads: how many run it.
        expected: what `expectations` says, if it was asked already.
        compiled: what `Planning` has compiled for this.

    Raises:
        AssertionError: with the text of the kernel that read or wrote out of bounds, or as `check`.
    """
    if expected is None:
        planning = Planning()
        with written_for(processor):
            expected = expectations(source, planning, threads)
        compiled = planning.compiled
    note = mmap.mmap(-1, _NOTE)
    child = os.fork()
    if not child:
        status = 1
        try:
            os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
            for at_end in (True, False):
                compiler = StrictCompiler(lambda made, at=at_end: GuardedProgram(made, at, note))
                compiler.start(compiled or {})
                with written_for(processor):
                    check(source, expected, compiler, threads)
            status = 0
        except BaseException:
            text = traceback.format_exc().encode()[-_NOTE + 1 :]
            note[: len(text) + 1] = text + b"\0"
        finally:
            os._exit(status)
    _, status = os.waitpid(child, 0)
    if status:
        text = bytes(note[:]).split(b"\0")[0].decode(errors="replace")
        if os.WIFSIGNALED(status):
            name = signal.Signals(os.WTERMSIG(status)).name
            raise AssertionError(f"{name}: out of bounds in\n{text}")
        raise AssertionError(text)
