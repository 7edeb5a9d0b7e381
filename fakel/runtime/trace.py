"""What is noted while a program is profiled: spans of Python's time and the rows that ran natively.

Nothing is noted, and next to nothing costs, while `active` is None.
"""

from __future__ import annotations

import contextlib
import os
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import numpy as np

from fakel.runtime.control import PARALLEL

MOST_EVENTS = 2_000_000
"""Spans and stamps of rows that a recording keeps one by one; sums go on after that."""


@dataclass(frozen=True)
class Label:
    """What a row of a program is.

    Args:
        kernel: the name of its kernel.
        operators: the names of the operators that it computes.
        shapes: those of its arguments.
        operations: floating-point operations of a call; those of an operator that takes several
            kernels are given with one of them.
        size: bytes that a call reads and writes.
    """

    kernel: str
    operators: tuple[str, ...] = ()
    shapes: tuple[tuple[int, ...], ...] = ()
    operations: int = 0
    size: int = 0


@dataclass(frozen=True)
class Span:
    """Something that took time on a thread of Python's; ``kind`` is "user", "flush", "compile" or
    "operator". Times are nanoseconds of `now`; the stack's lines go from the innermost outwards.
    """

    kind: str
    name: str
    begin: int
    end: int
    thread: int
    shapes: tuple[Any, ...] = ()
    stack: tuple[str, ...] = ()


@dataclass(frozen=True)
class Rows:
    """One native run of rows: their labels' numbers, which are parallel, and for each row and
    thread when it began and ended (zeros where a thread had no part).
    """

    labels: np.ndarray
    parallel: np.ndarray
    stamps: np.ndarray
    begin: int
    end: int
    thread: int


@dataclass
class Total:
    """How often something ran, and the nanoseconds that it took."""

    calls: int = 0
    time: int = 0

    def add(self, calls: int, time: int) -> None:
        """Counts more of it."""
        self.calls += calls
        self.time += time


@dataclass
class Recording:
    """What happened while it was active.

    Args:
        keep: whether single events are kept, for a trace, or only sums.
        stacks: whether spans know where they were opened.
    """

    keep: bool = False
    stacks: bool = False
    spans: list[Span] = field(default_factory=list)
    runs: list[Rows] = field(default_factory=list)
    # sums: kind and name of spans; label numbers; the native runs as a whole
    span_totals: dict[tuple[str, str], Total] = field(default_factory=dict)
    row_totals: dict[int, Total] = field(default_factory=dict)
    native: Total = field(default_factory=Total)
    left_out: int = 0
    begin: int = 0
    end: int = 0
    _events: int = 0

    def add_span(self, span: Span) -> None:
        """Notes a span."""
        with _lock:
            total = self.span_totals.setdefault((span.kind, span.name), Total())
            total.add(1, span.end - span.begin)
            if self._room(1):
                self.spans.append(span)

    def add_rows(self, table: np.ndarray, stamps: np.ndarray, begin: int, end: int) -> None:
        """Notes a native run of a table's rows. A row's time is the mean of the threads' that took
        part, so that waiting for each other is not in it.
        """
        self.native.add(1, end - begin)
        labels, parallel = table[:, 3].copy(), (table[:, 2] & PARALLEL).astype(bool)
        times = stamps[:, :, 1] - stamps[:, :, 0]
        parts = np.maximum((stamps[:, :, 0] > 0).sum(axis=1), 1)
        means = times.sum(axis=1) // parts
        numbers, places = np.unique(labels, return_inverse=True)
        sums = np.bincount(places, means)
        for number, calls, time_ in zip(numbers, np.bincount(places), sums, strict=True):
            self.row_totals.setdefault(int(number), Total()).add(int(calls), int(time_))
        if self._room(stamps.shape[0] * stamps.shape[1]):
            thread = threading.get_native_id()
            self.runs.append(Rows(labels, parallel, stamps, begin, end, thread))

    def _room(self, events: int) -> bool:
        if not self.keep:
            return False
        if self._events + events > MOST_EVENTS:
            self.left_out += events
            return False
        self._events += events
        return True


active: Recording | None = None
"""The recording that runs now."""

_PACKAGE = str(Path(__file__).parents[1]) + os.sep
_labels: list[Label] = [Label("kernel")]
_numbers: dict[Label, int] = {}
_lock = threading.Lock()


def number_of(label: Label) -> int:
    """The number that stands for a label in a program's rows; equal labels have one number."""
    with _lock:
        number = _numbers.get(label)
        if number is None:
            number = _numbers[label] = len(_labels)
            _labels.append(label)
        return number


def label_of(number: int) -> Label:
    """The label of a number; 0 says nothing more than that it is a kernel."""
    return _labels[number]


def now() -> int:
    """Nanoseconds, on the clock of the native driver."""
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC)


def start(recording: Recording) -> None:
    """Makes a recording the active one.

    Raises:
        RuntimeError: another is active.
    """
    global active
    if active is not None:
        raise RuntimeError("Profiler is already enabled on this thread")
    recording.begin = now()
    active = recording


def stop() -> Recording:
    """Ends the active recording and returns it.

    Raises:
        RuntimeError: none is active.
    """
    global active
    if active is None:
        raise RuntimeError("Can't disable Kineto profiler when it's not running")
    recording, active = active, None
    recording.end = now()
    return recording


def span(kind: str, name: str, shapes: tuple[Any, ...] = ()) -> Any:
    """A context manager that notes how long its block takes, while a recording is active."""
    return _NOTHING if active is None else _noting(kind, name, shapes)


_NOTHING = nullcontext()


@contextmanager
def _noting(kind: str, name: str, shapes: tuple[Any, ...]) -> Iterator[None]:
    recording = active
    stack = _stack() if recording is not None and recording.stacks else ()
    begin = now()
    try:
        yield
    finally:
        if active is not None:
            thread = threading.get_native_id()
            active.add_span(Span(kind, name, begin, now(), thread, shapes, stack))


def _stack() -> tuple[str, ...]:
    """The program's lines that led here, from the innermost outwards; fakel's own are left out."""
    lines = []
    frame: FrameType | None = sys._getframe(1)
    while frame is not None:
        code = frame.f_code
        if not code.co_filename.startswith((_PACKAGE, contextlib.__file__)):
            lines.append(f"{code.co_filename}({frame.f_lineno}): {code.co_name}")
        frame = frame.f_back
    return tuple(lines)


def _after_fork_in_child() -> None:
    global active, _lock
    active, _lock = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork_in_child)
