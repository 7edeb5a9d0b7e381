"""A team of native threads that runs programs: tables of kernel calls (see `driver.py`).

The workers are plain system threads that never touch Python. They watch for the next program for
two milliseconds and then sleep; they end before a fork and at exit, and are made anew when needed.

A program may be left to the workers before it is done. It is then a *flight*: Python goes on, and
whoever needs what the program still reads or writes waits for it, and helps.
"""

from __future__ import annotations

import atexit
import ctypes
import os
import platform
import signal
import threading
import time
from functools import cache
from typing import Any

import numpy as np

from fakel.runtime import trace
from fakel.runtime.control import (
    CONTROL,
    DONE,
    FINENESS,
    GATE,
    MOST_PARTS,
    NOT_STARTED,
    NUMBER,
    PROGRAM,
    ROW,
    SPINS,
    STAMPS,
    TALLIES,
    TALLY,
    THREADS,
    WORDS,
    WORKER,
    WORKERS,
)
from fakel.runtime.native import load_library
from fakel.runtime.threads import available_processors, get_num_threads

BETWEEN_PROGRAMS = 2e-3
"""Seconds for which a worker watches for the next program before it sleeps."""

WITHIN_PROGRAM = 2e-3
"""Seconds for which a thread watches others' parts before it sleeps."""

_STACK = 4 * 2**20  # bytes; some systems give threads too little for a kernel's panels
_ATTRIBUTES = 256  # bytes, more than any system's pthread_attr_t
# a thread must take these itself, for faulthandler and for the system to see where it went wrong
_SYNCHRONOUS = ("SIGSEGV", "SIGBUS", "SIGFPE", "SIGILL", "SIGTRAP", "SIGABRT", "SIGSYS")

_lock = threading.RLock()  # a signal's handler may compute between two lines that hold it
_team: Team | None = None
_flight: Flight | None = None
_closing = False


def run_table(table: np.ndarray, rows: int) -> int:
    """Runs a program on the team and returns when all of it is done.

    Python's other threads go on meanwhile; programs that they start wait for this one.

    Args:
        table: int64, C-contiguous, (rows or more, 4): address of the function, address of its
            arguments, flags (1: cut into a part for each thread, 2: needs what earlier rows did),
            number of its label (0 for none).
        rows: how many rows to run.

    Returns:
        0, or `row << 32 | status` of the first row that failed. All rows before it have been
        run, those after it partly or not at all.

    Raises:
        ValueError: the table is of another kind.
    """
    if (
        table.dtype != np.int64
        or table.ndim != 2
        or table.shape[1] != ROW
        or not table.flags.c_contiguous
        or not 0 <= rows <= len(table)
    ):
        raise ValueError("a program is a contiguous int64 table of shape (rows, 4)")
    return run_rows(table.ctypes.data, rows)


def run_rows(address: int, rows: int, flight: Flight | None = None) -> int:
    """`run_table` of the table at an address, unchecked: for callers that kept the address.

    Args:
        address: of the first row.
        rows: how many rows to run.
        flight: for a program that may be left to the workers before it is done.
    """
    global _team, _flight
    recording = trace.active
    with _lock:
        settle()
        size = 1 if _closing else min(get_num_threads(), MOST_PARTS)
        team = _team
        if team is None or team.size != size or team.timed != (recording is not None):
            if team is not None:
                team.stop()
            team = _team = Team(size, timed=recording is not None)
        if recording is not None:
            return _run_timed(team, address, rows, recording)
        if flight is None or size == 1:
            return team.run(address, rows, rows)
        # beforehand, so that no interruption hides that a program runs
        _flight = flight
        status = team.run(address, rows, flight.reached)
        if _flight is not flight:
            # a signal's handler has computed before the program began
            team.join(rows)
        elif status or _closing:
            settle()
        return status


class Flight:
    """A program that still runs.

    Args:
        rows: how many it has.
        reached: the row up to which all is done.
        leaves, outputs: the arrays that it reads and writes; nothing of it may go meanwhile.
        due: the numbers of arrays that are written after that row, and the row up to which all must
            be done before their contents are final.
        owner: whose native code it is.
    """

    __slots__ = ("certain", "due", "leaves", "outputs", "owner", "reached", "roots", "rows")

    def __init__(
        self,
        rows: int,
        reached: int,
        leaves: list[Any],
        outputs: list[Any],
        due: list[tuple[int, int]],
        owner: Any,
    ) -> None:
        self.rows = rows
        self.certain = self.reached = reached
        self.leaves = leaves
        self.outputs = outputs
        self.due = due
        self.owner = owner
        self.roots: dict[int, int] | None = None

    def needs(self, array: Any) -> int | None:
        """The row up to which all must be done before the array's memory is final; None for memory
        that it does not use.
        """
        arrays = self.leaves + self.outputs
        for number, row in self.due:
            if arrays[number] is array:
                return row
        if not isinstance(array, np.ndarray):
            return None  # outputs of a node that the interpreter has computed
        if self.roots is None:
            self.roots = {id(_root(each)): 0 for each in arrays}
            for number, row in self.due:
                self.roots[id(_root(arrays[number]))] = row
        return self.roots.get(id(_root(array)))


def _root(array: Any) -> Any:
    """The array that owns the memory."""
    while isinstance(array.base, np.ndarray):
        array = array.base
    return array


def settle() -> None:
    """Waits for the program that still runs, and helps it."""
    global _flight
    if _flight is None:
        return
    with _lock:
        flight = _flight
        status = 0
        if flight is not None and _team is not None:
            status = _team.join(flight.rows)
        _flight = None
        if status and flight is not None and status >> 32 >= flight.certain:
            raise RuntimeError(f"row {status >> 32} failed, which cannot: {status & 0xFFFFFFFF}")


def settle_contents(array: Any) -> None:
    """Waits until an array has its final contents, for who only reads them."""
    flight = _flight
    if flight is None:
        return
    row = flight.needs(array)
    if row is None or row <= flight.reached:
        return
    with _lock:
        if flight is not _flight:
            return
        if row == flight.rows or _team is None:
            settle()
        else:
            _team.join(row)
            flight.reached = row


def settle_memory(array: Any) -> None:
    """Waits until no program uses an array's memory, for who may write there."""
    flight = _flight
    if flight is not None and flight.needs(array) is not None:
        settle()


def _run_timed(team: Team, address: int, rows: int, recording: trace.Recording) -> int:
    stamps = np.zeros((rows, team.size, 2), np.int64)
    team.control[STAMPS] = stamps.ctypes.data
    begin = trace.now()
    status = team.run(address, rows, rows)
    # the system may have allowed fewer threads than were wanted
    size = int(team.control[THREADS])
    stamps = stamps.reshape(-1)[: rows * size * 2].reshape(rows, size, 2)
    words = np.ctypeslib.as_array((ctypes.c_int64 * (rows * ROW)).from_address(address))
    recording.add_rows(words.reshape(rows, ROW), stamps, begin, trace.now())
    return status


def fineness(threads: int) -> int:
    """Fine rows are cut into 2**fineness parts for each thread."""
    return max(min(2, (MOST_PARTS // threads).bit_length() - 1), 0)


class Team:
    """The calling thread and `size - 1` workers, started by the first program that needs them.

    Args:
        size: the number of threads.
        timed: whether rows are timed (which the control block's stamps must have room for).
    """

    def __init__(self, size: int, timed: bool = False):
        self.size = size
        self.timed = timed
        self._driver = _driver(timed)
        self._run, self._join = self._driver["run"], self._driver["join"]
        self._tallies = np.zeros(0, np.int64)
        self._most = -1  # rows for which there are tallies
        self._memory = np.zeros(WORDS + GATE, np.int64)
        beginning = -self._memory.ctypes.data // 8 % GATE
        control = self._memory[beginning : beginning + WORDS]
        self._address = control.ctypes.data
        self._workers = np.zeros((size - 1, WORKER), np.int64)
        self._workers[:, CONTROL] = self._address
        self._workers[:, NUMBER] = range(1, size)
        control[WORKERS] = self._workers.ctypes.data
        control[THREADS] = size
        # stamps have room for one part of a thread
        control[FINENESS] = 0 if timed else fineness(size)
        self.control = control
        # with fewer processors than threads, who watches keeps the one away that is waited for
        patient = size <= available_processors()
        for gate, seconds in ((PROGRAM, BETWEEN_PROGRAMS), (DONE, WITHIN_PROGRAM)):
            self._driver["prepare"](self._address + 8 * gate)
            control[gate + SPINS] = max(1, int(seconds * _looks_a_second())) if patient else 1

    def run(self, address: int, rows: int, until: int) -> int:
        """Starts the program at an address, and returns when all rows up to some row are done; see
        `run_table`.
        """
        if rows > self._most:
            self._tallies = np.zeros((rows + 1) * TALLY, np.int64)
            self.control[TALLIES] = self._tallies.ctypes.data
            self._most = rows
        result: int = self._run(self._address, address, rows, until)
        if result == NOT_STARTED:
            self._start()
            result = self._run(self._address, address, rows, until)
        return result

    def join(self, until: int) -> int:
        """Helps the program that runs, until all rows up to some row are done."""
        return int(self._join(self._address, until))

    def stop(self) -> None:
        """Ends the workers and waits for them; a program that needs them starts them again."""
        self._driver["finish"](self._address)

    def _start(self) -> None:
        system = ctypes.CDLL(None)
        attributes = ctypes.create_string_buffer(_ATTRIBUTES)
        system.pthread_attr_init(attributes)
        system.pthread_attr_setstacksize(attributes, ctypes.c_size_t(_STACK))
        # workers inherit the mask: signals are for Python's threads, which can act on them
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, ())
        try:
            signal.pthread_sigmask(signal.SIG_BLOCK, _asynchronous_signals())
            self._driver["start"](self._address, ctypes.addressof(attributes))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
            system.pthread_attr_destroy(attributes)


@cache
def _driver(timed: bool) -> dict[str, Any]:
    """The driver's functions."""
    machine = platform.machine()
    key = "timed driver" if timed else "driver"
    library = load_library(lambda: _driver_text(machine, timed), key, vectorize=False)
    word = ctypes.c_int64
    kinds = {
        "prepare": ctypes.CFUNCTYPE(None, word),
        "watch": ctypes.CFUNCTYPE(ctypes.c_bool, word, word, word),
        "start": ctypes.CFUNCTYPE(None, word, word),
        "run": ctypes.CFUNCTYPE(word, word, word, word, word),
        "join": ctypes.CFUNCTYPE(word, word, word),
        "finish": ctypes.CFUNCTYPE(None, word),
    }
    return {name: kind(library.address(name)) for name, kind in kinds.items()}


def _driver_text(machine: str, timed: bool) -> str:
    from fakel.runtime.driver import driver_text

    return driver_text(machine, timed)


@cache
def _looks_a_second() -> float:
    """How often a waiting thread looks at its gate."""
    gate = np.zeros(GATE, np.int64)
    watch, looks = _driver(False)["watch"], 200
    rates = []
    for _ in range(5):
        begin = time.perf_counter()
        watch(gate.ctypes.data, 0, looks)
        rates.append(looks / (time.perf_counter() - begin))
    return max(rates)  # the least disturbed


@cache
def _asynchronous_signals() -> frozenset[int]:
    own = {int(getattr(signal, name)) for name in _SYNCHRONOUS if hasattr(signal, name)}
    return frozenset(int(number) for number in signal.valid_signals()) - own


def _stop() -> None:
    settle()
    if _team is not None:
        _team.stop()


def _before_fork() -> None:
    """Threads do not survive in a child: none may hold anything then, and Python need not warn."""
    _lock.acquire()
    _stop()


def _after_fork_in_child() -> None:
    global _lock, _team
    _lock = threading.RLock()
    _team = None


def _at_exit() -> None:
    """No worker runs while the interpreter takes itself apart; who still computes does it alone."""
    global _closing
    with _lock:
        _closing = True
        _stop()


atexit.register(_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(
        before=_before_fork,
        after_in_parent=lambda: _lock.release(),
        after_in_child=_after_fork_in_child,
    )
