"""Programs that are left to the workers: what still runs is never seen half done."""

from __future__ import annotations

import signal
import threading

import numpy as np
import pytest

from fakel.runtime import settle, team
from tests.runtime.kernels import ORDERED, PARALLEL, Program, count_up, delay, mix, total

BOTH = PARALLEL | ORDERED
LONG = 3_000_000  # looks of a kernel that takes milliseconds


@pytest.fixture(autouse=True)
def two_threads(threads):
    threads(2)
    yield
    settle()


# ------------------------------------------------------------------------ rows and threads


def started(program, reached, due=None):
    """Runs rows of a program up to one, and leaves the rest to the workers."""
    due = list((due or {}).items())
    flight = team.Flight(len(program.table), reached, program.arrays, [], due, program)
    assert team.run_rows(program.table.ctypes.data, len(program.table), flight) == 0
    return flight


class Chain:
    """Rows that each need the one before: x goes to y and back, late on some thread."""

    def __init__(self, rows, late=None):
        self.x, self.y = np.array([5, 7]), np.zeros(2, np.int64)
        self.arrays = [self.x, self.y]
        self.states = [(self.x.copy(), self.y.copy())]
        table = []
        for row in range(rows):
            source, target = (self.x, self.y) if row % 2 == 0 else (self.y, self.x)
            table.append((mix, (source, target), BOTH))
            if late is not None:
                table.append((delay, (late, LONG), BOTH))
            x, y = (each.copy() for each in self.states[-1])
            if row % 2 == 0:
                y = 3 * x + x[::-1]
            else:
                x = 3 * y + y[::-1]
            self.states.append((x, y))
        self.program = Program(*table)
        self.table = self.program.table

    def is_at(self, state):
        x, y = self.states[state]
        return np.array_equal(self.x, x) and np.array_equal(self.y, y)


def test_the_rows_asked_for_are_done_and_the_rest_is_done_later():
    for reached in range(5):
        chain = Chain(5)
        started(chain, reached)
        settle()
        assert chain.is_at(5)


def test_the_caller_does_not_wait_for_the_rest():
    chain = Chain(2, late=1)
    started(chain, 1)
    assert np.array_equal(chain.y, chain.states[1][1])
    assert team._flight is not None
    settle()
    assert team._flight is None
    assert chain.is_at(2)


def test_workers_finish_alone():
    chain = Chain(4, late=0)
    started(chain, 1)
    deadline = threading.Event()
    for _ in range(400):
        if chain.is_at(4):
            break
        deadline.wait(0.01)
    assert chain.is_at(4)


def test_who_needs_a_part_waits_for_that_part():
    chain = Chain(4, late=1)
    started(chain, 1, due={1: 5, 0: 8})
    team.settle_contents(chain.y)  # rows 0 ... 4: y is final
    assert np.array_equal(chain.y, chain.states[3][1])
    assert team._flight is not None
    team.settle_contents(np.zeros(3))
    assert team._flight is not None
    team.settle_contents(chain.x[1:])  # a view of the memory
    assert team._flight is None
    assert chain.is_at(4)


def test_who_writes_waits_for_readers():
    chain = Chain(2, late=1)
    started(chain, 1, due={0: 4})
    team.settle_memory(np.zeros(3))
    assert team._flight is not None
    team.settle_memory(chain.y)  # is read by later rows only
    assert team._flight is None


def test_the_next_program_waits():
    chain = Chain(3, late=1)
    started(chain, 1)
    slots = np.zeros(2, np.int64)
    assert Program((count_up, (slots,), PARALLEL)).run() == 0
    assert chain.is_at(3)


def test_many_random_programs_left_at_random_rows():
    generator = np.random.default_rng(0)
    for _ in range(300):
        chain = Chain(int(generator.integers(1, 12)))
        reached = int(generator.integers(0, len(chain.table)))
        flight = started(chain, reached, due={0: len(chain.table), 1: len(chain.table)})
        for _ in range(generator.integers(0, 3)):
            row = int(generator.integers(reached, len(chain.table)))
            with team._lock:
                if team._flight is flight:
                    team._team.join(row)
        if generator.integers(2):
            team.settle_contents(chain.x)
        else:
            settle()
        assert chain.is_at(len(chain.states) - 1)


def test_serial_rows_go_on_without_the_first_thread():
    x, sums = np.array([1, 2]), np.zeros(1, np.int64)
    program = Program(
        (delay, (0, LONG), BOTH), (total, (x, sums, 2), ORDERED), (total, (x, sums, 2), ORDERED)
    )
    program.arrays = [x, sums]
    started(program, 0)
    settle()
    assert sums[0] == 6


def test_the_number_of_threads_changes_meanwhile(threads):
    chain = Chain(3, late=1)
    started(chain, 1)
    threads(3)
    slots = np.zeros(3, np.int64)
    assert Program((count_up, (slots,), PARALLEL)).run() == 0
    assert chain.is_at(3)
    np.testing.assert_array_equal(slots, 1)


def test_an_interrupt_loses_nothing(monkeypatch):
    chain = Chain(3, late=1)
    started(chain, 1)
    timer = threading.Timer(0.001, signal.raise_signal, [signal.SIGINT])
    with pytest.raises(KeyboardInterrupt):
        timer.start()
        settle()
        timer.join()
        threading.Event().wait(1)
    settle()
    assert chain.is_at(3)
