"""The team of threads: every row of a program sees what it should, however threads interleave."""

from __future__ import annotations

import signal
import subprocess
import sys
import textwrap
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from fakel.runtime import run_table, team
from tests.runtime.kernels import (
    ORDERED,
    PARALLEL,
    Program,
    count_up,
    delay,
    fail,
    mix,
    shape,
    total,
)

ROOT = Path(__file__).parents[2]
BOTH = PARALLEL | ORDERED


class RandomProgram:
    """Rows that read and write a few buffers, ordered only where one needs what another did.

    Rows that only take time, on one thread or another, pull the threads apart.
    """

    def __init__(self, generator, threads, rows):
        self.buffers = generator.integers(0, 1000, (6, threads))
        self.meaning, table = [], []
        read, written = set(), set()  # since the last row that was ordered
        for kind in generator.choice([mix, total, delay], rows):
            if kind is delay:
                late, flags = generator.integers(threads), generator.choice([0, PARALLEL])
                table.append((delay, (late, generator.integers(20000)), flags))
                continue
            source, target = map(int, generator.choice(len(self.buffers), 2, replace=False))
            flags = PARALLEL if kind is mix else 0
            if target in read | written or source in written:
                flags |= ORDERED
                read, written = set(), set()
            read.add(source)
            written.add(target)
            x, y = self.buffers[source], self.buffers[target]
            table.append((kind, (x, y, threads)[: 2 if kind is mix else 3], flags))
            self.meaning.append((kind, source, target))
        self.program = Program(*table)

    def is_right(self):
        """Runs it, and says whether the buffers are what the rows mean one after another."""
        wanted = self.buffers.copy()
        for kind, source, target in self.meaning:
            if kind is mix:
                wanted[target] = 3 * wanted[source] + np.roll(wanted[source], -1)
            else:
                wanted[target, :1] += wanted[source].sum()  # an array wraps around as kernels do
        return self.program.run() == 0 and np.array_equal(self.buffers, wanted)


@pytest.mark.parametrize("count", [1, 2, 4])
def test_rows_see_what_earlier_rows_wrote(threads, count):
    threads(count)
    generator = np.random.default_rng(count)
    for rows in [1, 2, 3, 7, 20] * 20 + [300] * 5:
        program = RandomProgram(generator, count, rows)
        for _ in range(3):
            assert program.is_right()


@pytest.mark.parametrize("late", [0, 1])
def test_a_late_thread_is_waited_for(threads, late):
    threads(2)
    x, y = np.array([5, 7]), np.zeros(2, np.int64)
    wait = (delay, (late, 2_000_000), BOTH)  # longer than a thread watches before it sleeps
    program = Program(wait, (mix, (x, y), PARALLEL), wait, (mix, (y, x), BOTH), wait)
    for _ in range(3):
        wanted = 3 * x + x[::-1]
        assert program.run() == 0
        np.testing.assert_array_equal(y, wanted)
        np.testing.assert_array_equal(x, 3 * wanted + wanted[::-1])
        time.sleep(0.002)  # and the worker falls asleep between programs


def test_a_barrier_between_serial_rows_holds_for_later_rows(threads):
    threads(2)
    slots, x, y = np.zeros(2, np.int64), np.array([1, 2]), np.zeros(2, np.int64)
    program = Program(
        (delay, (0, 5_000_000), 0),
        (total, (np.array([10, 20]), x, 2), 0),
        (count_up, (slots,), ORDERED),  # needs no barrier itself, but the row after relies on it
        (mix, (x, y), PARALLEL),
    )
    for run in range(1, 4):
        assert program.run() == 0
        np.testing.assert_array_equal(x, [1 + 30 * run, 2])
        np.testing.assert_array_equal(y, 3 * x + x[::-1])
        np.testing.assert_array_equal(slots, [run, 0])


def test_a_serial_row_waits_for_parallel_rows_before_the_last(threads):
    threads(2)
    slots, x, y = np.zeros(2, np.int64), np.array([1, 2]), np.zeros(2, np.int64)
    program = Program(
        (delay, (1, 5_000_000), PARALLEL),
        (mix, (x, y), PARALLEL),
        (count_up, (slots,), 0),
        (total, (y, x, 2), ORDERED),
    )
    for _ in range(3):
        wanted = 3 * x + x[::-1]
        x_wanted = [x[0] + wanted.sum(), x[1]]
        assert program.run() == 0
        np.testing.assert_array_equal(y, wanted)
        np.testing.assert_array_equal(x, x_wanted)


@pytest.mark.parametrize("count", [1, 3])
def test_kernels_are_told_their_share(threads, count):
    threads(count)
    serial, parallel = np.zeros(count, np.int64), np.zeros(count, np.int64)
    assert Program((shape, (serial,), 0), (shape, (parallel,), PARALLEL)).run() == 0
    np.testing.assert_array_equal(serial, [100] + [0] * (count - 1))
    np.testing.assert_array_equal(parallel, [100 * count + i for i in range(count)])


@pytest.mark.parametrize("count", [1, 2, 4])
def test_the_first_row_that_fails_is_reported(threads, count):
    threads(count)
    before, after = np.zeros(count, np.int64), np.zeros(count, np.int64)
    statuses = [9, 7, 8, 0][:count]
    program = Program(
        (count_up, (before,), PARALLEL),
        (fail, [0] * count, BOTH),
        (fail, statuses, BOTH),
        (fail, [3] * count, PARALLEL),
        (count_up, (after,), BOTH),
        (fail, [1], ORDERED),
    )
    for run in range(1, 50):
        assert program.run() == 2 << 32 | min(status for status in statuses if status)
        np.testing.assert_array_equal(before, run)
    np.testing.assert_array_equal(after, 0)
    assert Program((count_up, (after,), BOTH)).run() == 0
    np.testing.assert_array_equal(after, 1)


def test_nothing_to_do():
    assert run_table(np.zeros((0, 4), np.int64), 0) == 0


@pytest.mark.parametrize(
    ("table", "rows"),
    [
        (np.zeros((2, 4), np.int32), 2),
        (np.zeros((2, 3), np.int64), 2),
        (np.zeros((4, 2), np.int64).T, 2),
        (np.zeros((2, 4), np.int64), 3),
        (np.zeros((2, 4), np.int64), -1),
    ],
)
def test_tables_of_another_kind_are_refused(table, rows):
    with pytest.raises(ValueError, match="contiguous int64 table"):
        run_table(table, rows)


def test_python_threads_take_turns(threads):
    threads(2)
    generator = np.random.default_rng(0)
    programs = [RandomProgram(generator, 2, 50) for _ in range(4)]
    right = []

    def run(program):
        right.extend(program.is_right() for _ in range(30))

    running = [threading.Thread(target=run, args=[program]) for program in programs]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    assert right == [True] * 120


def test_the_number_of_threads_may_change(threads):
    for count in (2, 1, 4, 2, 3):
        threads(count)
        told = np.zeros(count, np.int64)
        assert Program((shape, (told,), PARALLEL)).run() == 0
        np.testing.assert_array_equal(told, [100 * count + i for i in range(count)])


def test_serial_programs_run_after_the_workers_ended(threads):
    threads(2)
    slots = np.zeros(2, np.int64)
    assert Program((count_up, (slots,), PARALLEL)).run() == 0
    team._stop()
    assert Program((count_up, (slots,), 0)).run() == 0
    assert Program((count_up, (slots,), PARALLEL)).run() == 0
    np.testing.assert_array_equal(slots, [3, 2])


def test_an_idle_team_uses_no_time(threads):
    threads(2)
    slots = np.zeros(2, np.int64)
    assert Program((count_up, (slots,), PARALLEL)).run() == 0
    time.sleep(0.01)
    before = time.process_time()
    time.sleep(0.5)
    assert time.process_time() - before < 0.2


def test_an_interrupt_arrives_after_the_program(threads):
    threads(2)
    slots = np.zeros(2, np.int64)
    program = Program((delay, (0, 100_000_000), PARALLEL), (count_up, (slots,), BOTH))
    timer = threading.Timer(0.02, signal.raise_signal, [signal.SIGINT])
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        program.run()
        timer.join()
    timer.join()
    np.testing.assert_array_equal(slots, 1)
    assert Program((count_up, (slots,), PARALLEL)).run() == 0
    np.testing.assert_array_equal(slots, 2)


PRELUDE = """
    import os, sys, threading, time
    import numpy as np
    from fakel.runtime import set_num_threads
    from tests.runtime.kernels import *

    set_num_threads(2)
    slots = np.zeros(2, np.int64)
    program = Program((count_up, (slots,), 3), (count_up, (slots,), 3))

    def check(times):
        before = slots.copy()
        for _ in range(times):
            assert program.run() == 0
        assert (slots == before + 2 * times).all(), slots

    check(10)
"""


def in_a_process(source):
    whole = textwrap.dedent(PRELUDE) + textwrap.dedent(source)
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", whole],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )


@pytest.mark.parametrize(
    "source",
    [
        "",
        "sys.exit(0)",
        "threading.Thread(target=check, args=[100]).start()",
        # a thread that nobody waits for computes on while the interpreter goes
        "threading.Thread(target=check, args=[10**9], daemon=True).start(); time.sleep(0.05)",
        "time.sleep(0.05); check(1)",
    ],
)
def test_a_process_ends(source):
    done = in_a_process(source)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_parent_and_child_go_on_after_a_fork():
    done = in_a_process("""
        for generation in range(3):
            child = os.fork()
            check(10)
            if child == 0:
                continue  # and forks again
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
            break
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_a_fork_while_another_thread_computes():
    done = in_a_process("""
        import warnings

        warnings.simplefilter("ignore")  # Python 3.12 warns of every fork beside a thread
        enough = False

        def compute():
            while not enough:
                check(10)

        running = threading.Thread(target=compute)
        running.start()
        for _ in range(10):
            child = os.fork()
            if child == 0:
                slots[:] = 0
                assert program.run() == 0 and (slots == 2).all()
                os._exit(0)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert running.is_alive()
        enough = True
        running.join()
    """)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")
