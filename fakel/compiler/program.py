"""A compiled program: a table of kernel calls over one arena, run by the native driver."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fakel.compiler.pool import Pool, address_of
from fakel.graph import Node, strided
from fakel.runtime.control import PARALLEL, ROW
from fakel.runtime.native import Library
from fakel.runtime.team import Flight, run_rows, settle
from fakel.runtime.trace import Label, number_of

ALIGNMENT = 64
FINISHED = -1
"""In place of a buffer: the word that says that leaves were updated."""


@dataclass(frozen=True)
class Row:
    """A kernel call: the kernel's number, the driver's flags, and for each argument the buffer and
    the bytes from its beginning.
    """

    kernel: int
    flags: int
    arguments: tuple[tuple[int, int], ...]
    label: Label


@dataclass(frozen=True)
class Image:
    """A program as plain data. Numbers stand for buffers, leaves, nodes and kernels.

    Args:
        buffers: how many there are.
        size: bytes of the arena.
        temporaries: buffer, place in the arena, bytes, dtype.
        leaves: buffer and leaf.
        outputs: buffer, shape, dtype of the array that each run makes.
        wholes: node and the buffer whose array is its value.
        views: node, the buffer of which its value is a view, shape, strides, offset.
        rows: kernel calls, in order.
        segments: ("table", first row, row after the last) or ("interpret", step, 0), in order.
        kernels: their names.
        certain: the row before which all must be done until none can fail.
        due: for each buffer of results, the row before which all must be done until it is final.
    """

    buffers: int
    size: int
    temporaries: tuple[tuple[int, int, int, str], ...]
    leaves: tuple[tuple[int, int], ...]
    outputs: tuple[tuple[int, tuple[int, ...], str], ...]
    wholes: tuple[tuple[int, int], ...]
    views: tuple[tuple[int, int, tuple[int, ...], tuple[int, ...], int], ...]
    rows: tuple[Row, ...]
    segments: tuple[tuple[str, int, int], ...]
    kernels: tuple[str, ...]
    certain: int
    due: tuple[tuple[int, int], ...]


_runs = itertools.count(1)


class Program:
    """Runs one structure of nodes. ``run`` takes nodes of that structure and their leaves.

    Args:
        image: what it does.
        libraries: the native code of its kernels.
    """

    used = 0  # the number of the last run among those of all programs

    def __init__(self, image: Image, libraries: Sequence[Library]) -> None:
        self.image = image
        self.libraries = libraries
        self.segments, self.leaves = image.segments, image.leaves
        self.views = image.views
        self.arena = _aligned(image.size)
        # the arrays of buffers that lie in their own memory, but for those of leaves and outputs
        self._arrays: dict[int, np.ndarray] = {
            number: self._temporary(place, size, kind)
            for number, place, size, kind in image.temporaries
        }
        self.outputs = [(n, Pool(shape, np.dtype(kind))) for n, shape, kind in image.outputs]
        self.due = dict(image.due)
        # whether runs need the arrays in the arena: for the interpreter, or as results
        used = {buffer for _, buffer in image.wholes} | {view[1] for view in image.views}
        self._shows_arena = bool(used & self._arrays.keys()) or any(
            kind == "interpret" for kind, _, _ in image.segments
        )
        # whether it pays to leave it to the workers at some row
        self.flies = [kind for kind, _, _ in image.segments] == ["table"] and any(
            row.flags & PARALLEL for row in image.rows[image.certain :]
        )
        self._finished = np.zeros(1, np.int64)
        self._build_table()

    def _build_table(self) -> None:
        """The driver's table, and where in the rows' argument blocks addresses must be put that are
        only known at run time.
        """
        image = self.image
        names = zip(self.libraries, image.kernels, strict=True)
        functions = [library.address(name) for library, name in names]
        given = [argument for row in image.rows for argument in row.arguments]
        self.arguments = np.zeros(max(len(given), 1), np.int64)
        self.table = np.zeros((max(len(image.rows), 1), ROW), np.int64)
        self._base = address_of(self.table)
        place = address_of(self.arguments)
        for number, row in enumerate(image.rows):
            self.table[number] = functions[row.kernel], place, row.flags, number_of(row.label)
            place += 8 * len(row.arguments)
        buffers = np.array([buffer for buffer, _ in given], np.int64)
        offsets = np.array([offset for _, offset in given], np.int64)
        values = np.zeros(image.buffers, np.int64)
        for number, array in self._arrays.items():
            values[number] = address_of(array)
        values = values[buffers] + offsets
        values[buffers == FINISHED] = address_of(self._finished)
        self.arguments[: len(given)] = values
        # what each run must put there: addresses of leaves and outputs, in this order
        order = {number: place for place, (number, *_) in enumerate((*self.leaves, *self.outputs))}
        self._patched = np.flatnonzero([buffer in order for buffer, _ in given])
        self._places = np.array([order[int(buffers[each])] for each in self._patched], np.intp)
        self._offsets = offsets[self._patched]
        # results by node: the buffer, and where its address is among these
        self._handed = [(node, buffer, order[buffer]) for node, buffer in image.wholes]

    def _temporary(self, place: int, size: int, kind: str) -> np.ndarray:
        return self.arena[place : place + size].view(kind)

    def run(self, nodes: Mapping[int, Node], leaves: list[Node]) -> None:
        """Computes the held nodes from the leaves' values. Leaves that the plan calls donated may
        have lost theirs afterwards. Workers may still be at it: see ``runtime/team.py``.

        Args:
            nodes: by position; those that are held are enough.
            leaves: in the order of the key.
        """
        settle()
        self.used = next(_runs)
        arrays = self._arrays.copy() if self._shows_arena else {}
        addresses = []
        for number, leaf in self.leaves:
            node = leaves[leaf]
            arrays[number] = node.value
            if not node.address:
                node.address = address_of(node.value)
            addresses.append(node.address)
        for number, pool in self.outputs:
            arrays[number], address = pool.take()
            addresses.append(address)
        if addresses:
            places = np.array(addresses, np.int64)[self._places]
            self.arguments[self._patched] = np.add(places, self._offsets, places)
        self._finished[0] = 0
        try:
            for kind, start, stop in self.segments:
                if kind == "interpret":
                    with np.errstate(all="ignore"):
                        self.interpret(start, arrays)
                    continue
                flight = None
                if self.flies:
                    flight = Flight(stop, self.image.certain, arrays, self.due, self)
                status = run_rows(self._base + ROW * 8 * start, stop - start, flight)
                if status:
                    raise self.failure(start + (status >> 32), status & 0xFFFFFFFF)
        except BaseException:
            settle()
            if self._finished[0]:
                self._hand_over(nodes, arrays, addresses)
            raise
        self._hand_over(nodes, arrays, addresses)

    def _hand_over(
        self, nodes: Mapping[int, Node], arrays: dict[int, np.ndarray], addresses: list[int]
    ) -> None:
        for number, buffer, place in self._handed:
            node = nodes[number]
            node.value = arrays[buffer]
            node.address = addresses[place]
        for number, buffer, shape, strides, offset in self.views:
            nodes[number].value = strided(arrays[buffer], shape, strides, offset)

    def interpret(self, number: int, arrays: dict[int, np.ndarray]) -> None:
        """Computes a step that has no kernel, for programs that have such steps."""
        raise NotImplementedError

    def failure(self, row: int, status: int) -> Exception:
        """The exception of a row that returned a status; the interpreter finds the very one."""
        return RuntimeError(f"kernel {self.image.rows[row].label.kernel} failed: {status}")


def _aligned(size: int) -> np.ndarray:
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -address_of(memory) % ALIGNMENT
    return memory[start : start + size]
