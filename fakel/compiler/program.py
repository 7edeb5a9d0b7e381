"""A compiled program: a table of kernel calls over one arena, run by the native driver."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fakel.compiler.pool import Pool, address_of
from fakel.compiler.structure import sole
from fakel.graph import Node, strided
from fakel.runtime.control import ARGUMENTS, PARALLEL, ROW
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
        certain: the row before which all must be done until none can fail, and the next group is
            for several threads.
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


# nodes with the place of their array among those of leaves and outputs, and nodes with the buffer
# of which they are views, shape, strides, offset
Results = tuple[list[tuple[int, int]], list[Any]]

# references to a leaf's array in `Program.run`, beside the node's
_LENT = 1

_runs = itertools.count(1)


class Table:
    """The driver's table, with argument blocks of its own.

    Args:
        rows: the table, where each row has the place of its arguments in place of their address.
        arguments: the words of all argument blocks.
    """

    def __init__(self, rows: np.ndarray, arguments: np.ndarray) -> None:
        self.rows = rows.copy()
        self.arguments = arguments.copy()
        self.rows[:, ARGUMENTS] = 8 * rows[:, ARGUMENTS] + address_of(self.arguments)
        self.address = address_of(self.rows)
        self.addresses: list[int] = []  # those that the argument blocks have


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
        self.segments = image.segments
        self.leaves = [leaf for _, leaf in image.leaves]
        self.arena = _aligned(image.size)
        # the arrays of buffers that lie in their own memory, but for those of leaves and outputs
        self._arrays: dict[int, np.ndarray] = {
            number: self._temporary(place, size, kind)
            for number, place, size, kind in image.temporaries
        }
        self.outputs = Pool([(shape, np.dtype(kind)) for _, shape, kind in image.outputs])
        # leaves, then outputs: their arrays are those that differ from run to run
        self._varying = [number for number, *_ in (*image.leaves, *image.outputs)]
        places = {number: place for place, number in enumerate(self._varying)}
        self.due = [(places[number], row) for number, row in image.due]
        wholes = [(node, places[number]) for node, number in image.wholes]
        self.results: Results = wholes, list(image.views)
        # whether it pays to leave it to the workers at some row
        self.flies = [kind for kind, _, _ in image.segments] == ["table"] and any(
            row.flags & PARALLEL for row in image.rows[image.certain :]
        )
        self._finished = np.zeros(1, np.int64)
        self._lay_out(places)

    def _lay_out(self, places: dict[int, int]) -> None:
        """The driver's table, and where in the rows' argument blocks addresses must be put that are
        only known at run time.
        """
        image = self.image
        names = zip(self.libraries, image.kernels, strict=True)
        functions = [library.address(name) for library, name in names]
        given = [argument for row in image.rows for argument in row.arguments]
        rows = np.zeros((max(len(image.rows), 1), ROW), np.int64)
        place = 0
        for number, row in enumerate(image.rows):
            rows[number] = functions[row.kernel], place, row.flags, number_of(row.label)
            place += len(row.arguments)
        buffers = np.array([buffer for buffer, _ in given], np.int64)
        offsets = np.array([offset for _, offset in given], np.int64)
        values = np.zeros(image.buffers, np.int64)
        for number, array in self._arrays.items():
            values[number] = address_of(array)
        values = values[buffers] + offsets
        values[buffers == FINISHED] = address_of(self._finished)
        self._patched = np.flatnonzero([buffer in places for buffer, _ in given])
        self._places = np.array([places[int(buffers[each])] for each in self._patched], np.intp)
        self._offsets = offsets[self._patched]
        self._rows, self._arguments = rows, values if given else np.zeros(1, np.int64)
        self.tables: list[Table] = []  # those of the last two runs

    def _temporary(self, place: int, size: int, kind: str) -> np.ndarray:
        return self.arena[place : place + size].view(kind)

    def _take_table(self, addresses: list[int]) -> Table:
        """A table with these addresses of leaves and outputs, which is put back after the run."""
        tables = self.tables
        if tables and tables[-1].addresses == addresses:
            return tables.pop()
        # the last run may still go on with its own
        table = tables.pop(0) if len(tables) > 1 else Table(self._rows, self._arguments)
        words = np.array(addresses, np.int64)[self._places]
        table.arguments[self._patched] = np.add(words, self._offsets, words)
        table.addresses = addresses
        return table

    def run(
        self,
        nodes: Mapping[int, Node] | Sequence[Node],
        leaves: list[Node],
        results: Results | None = None,
        donated: Sequence[int] = (),
    ) -> tuple[list[Any], list[int]] | None:
        """Computes the held nodes from the leaves' values. Leaves that the plan calls donated may
        have lost theirs afterwards. Workers may still be at it: see ``runtime/team.py``.

        Args:
            nodes: by position; those that are held are enough.
            leaves: in the order of the key.
            results: ``self.results`` with other positions of nodes.
            donated: the numbers of leaves that may not have been lent to anybody meanwhile.

        Returns:
            the arrays of leaves and outputs, and their addresses. None, with nothing done, where
            somebody else refers to the array of a donated leaf.
        """
        self.used = next(_runs)
        read = [leaves[number] for number in self.leaves]
        arrays = [leaf.value for leaf in read]
        addresses = [leaf.address or _address(leaf) for leaf in read]
        kept, outputs, more = self.outputs.take()
        addresses += more
        table = self._take_table(addresses)
        flight = None
        if self.flies:
            rows, certain = len(self.image.rows), self.image.certain
            flight = Flight(rows, certain, arrays, kept, self.due, (self, table))
        settle()
        for number in donated:
            if not sole(leaves[number].value, _LENT):
                return None
        self._finished[0] = 0
        try:
            for kind, start, stop in self.segments:
                if kind == "interpret":
                    with np.errstate(all="ignore"):
                        self.interpret(start, self._buffers(arrays + outputs))
                    continue
                status = run_rows(table.address + ROW * 8 * start, stop - start, flight)
                if status:
                    raise self.failure(start + (status >> 32), status & 0xFFFFFFFF)
        except BaseException:
            settle()
            if self._finished[0]:
                self.hand_over(nodes, results, arrays + outputs, addresses)
            raise
        self.tables.append(table)
        arrays = arrays + outputs
        self.hand_over(nodes, results, arrays, addresses)
        return arrays, addresses

    def _buffers(self, arrays: list[Any]) -> dict[int, np.ndarray]:
        """The arrays by buffer."""
        return {**self._arrays, **dict(zip(self._varying, arrays, strict=True))}

    def hand_over(
        self, nodes: Any, results: Results | None, arrays: list[Any], addresses: list[int]
    ) -> None:
        """Gives nodes their values, which are among these arrays."""
        wholes, views = self.results if results is None else results
        for number, place in wholes:
            node = nodes[number]
            node.value = arrays[place]
            node.address = addresses[place]
        if views:
            buffers = self._buffers(arrays)
            for number, buffer, shape, strides, offset in views:
                nodes[number].value = strided(buffers[buffer], shape, strides, offset)

    def interpret(self, number: int, arrays: dict[int, np.ndarray]) -> None:
        """Computes a step that has no kernel, for programs that have such steps."""
        raise NotImplementedError

    def failure(self, row: int, status: int) -> Exception:
        """The exception of a row that returned a status; the interpreter finds the very one."""
        return RuntimeError(f"kernel {self.image.rows[row].label.kernel} failed: {status}")


def _address(leaf: Node) -> int:
    if not leaf.value.flags.c_contiguous:
        raise ValueError("a leaf's elements are not in order")
    leaf.address = address_of(leaf.value)
    return leaf.address


def _aligned(size: int) -> np.ndarray:
    memory = np.empty(size + ALIGNMENT, np.uint8)
    start = -address_of(memory) % ALIGNMENT
    return memory[start : start + size]
