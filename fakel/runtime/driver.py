"""The native code that walks a program on every thread of a team, written as LLVM IR.

A program is a table of rows (function, arguments, flags, label), all 64-bit integers; a function
is called as `i64 kernel(i64* arguments, i64 part, i64 parts)`. Threads go through the rows and take
parts that nobody has taken yet, their own ones first; before a row that needs earlier ones they
wait until all parts of those are done. So a program goes on whoever takes part: the thread that
started it may leave, and come back to help. Threads wait at gates: words that count up, watched for
a moment and then slept on. The label is for `trace.py`. A timed driver, which only profiling uses,
notes when each part begins and ends.

What the threads share is laid out in `control.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from fakel.runtime.control import (
    ACTIVE,
    BEFORE,
    CONDITION,
    CONTROL,
    DONE,
    ENDING,
    FAILURE,
    FINENESS,
    HANDLE,
    MUTEX,
    NO_FAILURE,
    NOT_STARTED,
    NUMBER,
    PRESENT,
    PROGRAM,
    ROW,
    ROWS,
    RUNNING,
    SLEEPERS,
    SPINS,
    STAMPS,
    STARTED,
    TABLE,
    TAKEN,
    TALLIES,
    TALLY,
    THREADS,
    VALUE,
    WORKER,
    WORKERS,
)

_word = ir.IntType(64)
_words = ir.PointerType(_word)
_bytes = ir.PointerType(ir.IntType(8))
_status = ir.IntType(32)
_bit = ir.IntType(1)
_void = ir.VoidType()
_kernel = ir.FunctionType(_word, [_words, _word, _word])

# of the time for which workers watch for a program, they leave this share to the first thread to
# take a serial row: what serial rows read and write then mostly stays in one processor's cache
_HESITATION = 9  # a power of two: four microseconds


def driver_text(machine: str, timed: bool = False) -> str:
    """The driver as LLVM IR.

    Its functions for the outside: `prepare(gate)` makes a gate; `watch(gate, value, spins)` looks
    `spins` times whether the gate still has this value; `start(control, attributes)` makes the
    workers; `run(control, table, rows, until)` starts a program and takes part in its rows up to
    some row; `join(control, until)` takes part again. Both return when all of these rows are done:
    0, NOT_STARTED or the failure. The program ends with all its rows. `finish(control)` ends the
    workers and waits for them.

    Args:
        machine: the processor's family as `platform.machine()` names it.
        timed: whether rows are timed.
    """
    return str(_Driver(machine, timed).module)


class _Driver:
    """One method a function, in the order in which they build on each other."""

    def __init__(self, machine: str, timed: bool):
        self.module = ir.Module("fakel.driver")
        library = {
            name: ir.Function(self.module, ir.FunctionType(_status, [_bytes] * arity), name)
            for name, arity in (
                ("pthread_mutex_init", 2),
                ("pthread_cond_init", 2),
                ("pthread_mutex_lock", 1),
                ("pthread_mutex_unlock", 1),
                ("pthread_cond_wait", 2),
                ("pthread_cond_broadcast", 1),
                ("pthread_create", 4),
                ("pthread_join", 2),
                ("sched_yield", 0),
            )
        }
        self.library = library
        self.pause = self._pause(machine)
        self._prepare()
        self.watch = self._watch()
        self.wait = self._wait()
        self.open = self._open()
        self.reach = self._reach()
        self.failed = self._failed()
        self.clock = self._clock() if timed else None
        self.take = self._take()
        self.walk = self._walk()
        self.work = self._work()
        self._start()
        self.count = self._count()
        self.take_part = self._take_part()
        self._run()
        self._join()
        self._finish()

    def _pause(self, machine: str) -> ir.Function | None:
        """The instruction that tells the processor that a thread is only waiting."""
        if machine.lower() in ("x86_64", "amd64"):
            name, parameters = "llvm.x86.sse2.pause", []
        elif machine.lower() in ("aarch64", "arm64"):
            name, parameters = "llvm.aarch64.hint", [_status]
        else:
            return None
        return ir.Function(self.module, ir.FunctionType(_void, parameters), name)

    def _prepare(self) -> None:
        """prepare(gate): the gate's mutex and condition variable."""
        build, (gate,) = self._function("prepare", _void, _words)
        for member, maker in ((MUTEX, "pthread_mutex_init"), (CONDITION, "pthread_cond_init")):
            self._call(build, maker, _at(build, gate, member), None)
        build.ret_void()

    def _watch(self) -> ir.Function:
        """watch(gate, value, spins) -> whether the gate has opened."""
        build, (gate, value, spins) = self._function("watch", _bit, _words, _word, _word)
        with _counting(build, spins):
            if self.pause is not None:
                build.call(self.pause, [_status(1)] * len(self.pause.args))
            # acquire: what was written before the gate opened is seen after it
            now = build.load_atomic(_at(build, gate, VALUE), "acquire", 8)
            with build.if_then(build.icmp_signed("!=", now, value)):
                build.ret(_bit(1))
        build.ret(_bit(0))
        return build.function

    def _wait(self) -> ir.Function:
        """wait(gate, value): returns when the gate no longer has this value."""
        build, (gate, value) = self._function("wait", _void, _words, _word)
        spins = build.load(_at(build, gate, SPINS))
        with build.if_then(build.call(self.watch, [gate, value, spins])):
            build.ret_void()
        mutex, sleepers = _at(build, gate, MUTEX), _at(build, gate, SLEEPERS)
        self._call(build, "pthread_mutex_lock", mutex)
        # seq_cst here and in open(): either this thread sees the gate's new value, or the one that
        # opens it sees a sleeper and must take the mutex to wake it
        build.atomic_rmw("add", sleepers, _word(1), "seq_cst")
        with _loop(build) as leave:
            now = build.load_atomic(_at(build, gate, VALUE), "seq_cst", 8)
            leave(build.icmp_signed("!=", now, value))
            self._call(build, "pthread_cond_wait", _at(build, gate, CONDITION), mutex)
        build.atomic_rmw("sub", sleepers, _word(1), "monotonic")  # under the mutex
        self._call(build, "pthread_mutex_unlock", mutex)
        build.ret_void()
        return build.function

    def _open(self) -> ir.Function:
        """open(gate): lets everybody through who waits for the value that the gate has now."""
        build, (gate,) = self._function("open", _void, _words)
        # seq_cst: see wait(); it also releases what this thread wrote before
        build.atomic_rmw("add", _at(build, gate, VALUE), _word(1), "seq_cst")
        sleepers = build.load_atomic(_at(build, gate, SLEEPERS), "seq_cst", 8)
        with build.if_then(build.icmp_signed("!=", sleepers, _word(0)), likely=False):
            # once through the mutex: the sleeper really sleeps, or will see the new value; the call
            # that wakes it comes after, since it would find the mutex taken
            mutex = _at(build, gate, MUTEX)
            self._call(build, "pthread_mutex_lock", mutex)
            self._call(build, "pthread_mutex_unlock", mutex)
            self._call(build, "pthread_cond_broadcast", _at(build, gate, CONDITION))
        build.ret_void()
        return build.function

    def _reach(self) -> ir.Function:
        """reach(control, count): returns when so many parts are done."""
        build, (control, count) = self._function("reach", _void, _words, _word)
        gate = _at(build, control, DONE)
        with _loop(build) as leave:
            # acquire: what other threads wrote in these parts is seen after it
            done = build.load_atomic(_at(build, gate, VALUE), "acquire", 8)
            leave(build.icmp_signed(">=", done, count))
            build.call(self.wait, [gate, done])
        build.ret_void()
        return build.function

    def _failed(self) -> ir.Function:
        """failed(control, row) -> whether an earlier row has failed.

        All parts of rows up to the first that fails are always run, so that the same failure is
        reported however threads interleave.
        """
        build, (control, row) = self._function("failed", _bit, _words, _word)
        # monotonic: only a hint; where a row needs earlier ones, waiting has made it visible
        failure = build.load_atomic(_at(build, control, FAILURE), "monotonic", 8)
        build.ret(build.icmp_unsigned("<", failure, build.shl(row, _word(32))))
        return build.function

    def _take(self) -> ir.Function:
        """take(control, row, thread): runs parts of a row until all of them are taken."""
        build, (control, row, thread) = self._function("take", _void, _words, _word, _word)
        entry, tally = self._row(build, control, row)
        taken = _at(build, tally, TAKEN)
        parallel, parts, fineness = self._parts(build, control, entry)
        every = build.lshr(_word(-1), build.sub(_word(64), parts))
        own = build.sub(build.shl(_word(1), build.shl(_word(1), fineness)), _word(1))
        own = build.shl(own, build.shl(thread, fineness))
        present = build.load_atomic(_at(build, control, PRESENT), "monotonic", 8)
        present = build.icmp_signed("!=", present, _word(0))
        first = build.icmp_signed("==", thread, _word(0))
        yields = build.and_(build.not_(build.or_(parallel, first)), present)
        with build.if_then(yields):
            spins = build.load(_at(build, control, PROGRAM + SPINS))
            build.call(self.watch, [taken, _word(0), build.lshr(spins, _word(_HESITATION))])
        with _loop(build) as leave:
            before = build.load_atomic(taken, "monotonic", 8)
            free = build.and_(build.not_(before), every)
            leave(build.icmp_signed("==", free, _word(0)))
            mine = build.and_(free, own)
            first_own = build.and_(mine, build.neg(mine))  # the lowest bit
            # of others' parts the last one, which they come to last: so the same thread mostly
            # has it in every run, and what it writes stays in one processor's cache
            last = build.lshr(_word(-(1 << 63)), build.ctlz(free, _bit(1)))
            bit = build.select(build.icmp_signed("!=", mine, _word(0)), first_own, last)
            # monotonic: `reach` orders what parts do
            before = build.atomic_rmw("or", taken, bit, "monotonic")
            with build.if_then(build.icmp_signed("==", build.and_(before, bit), _word(0))):
                part = build.cttz(bit, _bit(1))
                skipped = build.call(self.failed, [control, row])
                with build.if_then(build.not_(skipped)):
                    self._call_kernel(build, control, entry, row, part, parts)
                build.call(self.open, [_at(build, control, DONE)])
        build.ret_void()
        return build.function

    def _walk(self) -> ir.Function:
        """walk(control, thread, until): one thread's way through a program, up to some row."""
        build, (control, thread, until) = self._function("walk", _void, _words, _word, _word)
        with _counting(build, until) as row:
            entry, tally = self._row(build, control, row)
            flags = build.load(_at(build, entry, 2))
            ordered = build.trunc(build.lshr(flags, _word(1)), _bit)
            with build.if_then(ordered):
                build.call(self.reach, [control, build.load(_at(build, tally, BEFORE))])
            build.call(self.take, [control, row, thread])
        build.ret_void()
        return build.function

    def _row(
        self, build: ir.IRBuilder, control: ir.Value, row: ir.Value
    ) -> tuple[ir.Value, ir.Value]:
        """A row of the program that runs, and its tally."""
        table = build.inttoptr(build.load(_at(build, control, TABLE)), _words)
        tallies = build.inttoptr(build.load(_at(build, control, TALLIES)), _words)
        entry = build.gep(table, [build.mul(row, _word(ROW))])
        return entry, build.gep(tallies, [build.mul(row, _word(TALLY))])

    def _parts(
        self, build: ir.IRBuilder, control: ir.Value, entry: ir.Value
    ) -> tuple[ir.Value, ir.Value, ir.Value]:
        """Whether a row is parallel, its number of parts, and how fine these are."""
        flags = build.load(_at(build, entry, 2))
        parallel, fine = build.trunc(flags, _bit), build.trunc(build.lshr(flags, _word(2)), _bit)
        fineness = build.select(fine, build.load(_at(build, control, FINENESS)), _word(0))
        threads = build.load(_at(build, control, THREADS))
        return parallel, build.select(parallel, build.shl(threads, fineness), _word(1)), fineness

    def _call_kernel(
        self,
        build: ir.IRBuilder,
        control: ir.Value,
        entry: ir.Value,
        row: ir.Value,
        part: ir.Value,
        parts: ir.Value,
    ) -> None:
        """The call of a row's function for a part, and the note of a failure."""
        kernel = build.inttoptr(build.load(entry), ir.PointerType(_kernel))
        arguments = build.inttoptr(build.load(_at(build, entry, 1)), _words)
        self._stamp(build, control, row, part, 0)
        status = build.call(kernel, [arguments, part, parts])
        self._stamp(build, control, row, part, 1)
        with build.if_then(build.icmp_signed("!=", status, _word(0)), likely=False):
            failure = build.or_(build.shl(row, _word(32)), status)
            # monotonic: counting the part as done hands it to who waits for that
            build.atomic_rmw("umin", _at(build, control, FAILURE), failure, "monotonic")

    def _clock(self) -> ir.Function:
        """clock() -> nanoseconds of the system's monotonic clock."""
        build, _ = self._function("clock", _word)
        kind = ir.FunctionType(_status, [_status, _bytes])
        read = ir.Function(self.module, kind, "clock_gettime")
        moment = build.alloca(_word, 2)  # seconds, nanoseconds
        build.call(read, [_status(time.CLOCK_MONOTONIC), build.bitcast(moment, _bytes)])
        seconds = build.mul(build.load(moment), _word(10**9))
        build.ret(build.add(seconds, build.load(_at(build, moment, 1))))
        return build.function

    def _stamp(
        self, build: ir.IRBuilder, control: ir.Value, row: ir.Value, part: ir.Value, which: int
    ) -> None:
        """Notes the time of a part's beginning (0) or end (1)."""
        if self.clock is None:
            return
        stamps = build.inttoptr(build.load(_at(build, control, STAMPS)), _words)
        size = build.load(_at(build, control, THREADS))
        place = build.mul(build.add(build.mul(row, size), part), _word(2))
        build.store(build.call(self.clock, []), build.gep(stamps, [build.add(place, _word(which))]))

    def _work(self) -> ir.Function:
        """work(record): a worker's life."""
        build, (record,) = self._function("work", _bytes, _bytes)
        record = build.bitcast(record, _words)
        control = build.inttoptr(build.load(_at(build, record, CONTROL)), _words)
        thread = build.load(_at(build, record, NUMBER))
        gate, active = _at(build, control, PROGRAM), _at(build, control, ACTIVE)
        with _counting(build, _word(-1)) as seen:
            build.call(self.wait, [gate, seen])
            # seq_cst: either this worker sees that the program has ended, or the one that ends it
            # sees that a worker is active
            build.atomic_rmw("add", active, _word(1), "seq_cst")
            ending = build.load_atomic(_at(build, control, ENDING), "seq_cst", 8)
            with build.if_then(build.icmp_signed("!=", ending, _word(0))):
                build.ret(_bytes(None))
            running = build.load_atomic(_at(build, control, RUNNING), "seq_cst", 8)
            with build.if_then(build.icmp_signed("!=", running, _word(0))):
                # plain loads from here on: `running` has acquired what was published
                rows = build.load(_at(build, control, ROWS))
                build.call(self.walk, [control, thread, rows])
            build.atomic_rmw("sub", active, _word(1), "release")
        build.ret(_bytes(None))
        return build.function

    def _start(self) -> None:
        """start(control, attributes): makes the workers, fewer if the system allows no more."""
        build, (control, attributes) = self._function("start", _void, _words, _bytes)
        records = build.inttoptr(build.load(_at(build, control, WORKERS)), _words)
        threads = _at(build, control, THREADS)
        wanted = build.sub(build.load(threads), _word(1))
        # workers count programs from 0; plain stores: making a thread hands them to it
        build.store(_word(0), _at(build, control, PROGRAM + VALUE))
        build.store(_word(1), _at(build, control, STARTED))
        with _counting(build, wanted) as index:
            record = build.gep(records, [build.mul(index, _word(WORKER))])
            arguments = [_at(build, record, HANDLE), attributes, self.work, record]
            error = self._call(build, "pthread_create", *arguments)
            with build.if_then(build.icmp_signed("!=", error, _status(0)), likely=False):
                build.store(build.add(index, _word(1)), threads)
                build.ret_void()
        build.ret_void()

    def _count(self) -> ir.Function:
        """count(control, table, rows) -> whether any row is parallel. Fills in the tallies."""
        build, (control, table, rows) = self._function("count", _bit, _words, _words, _word)
        build.store(build.ptrtoint(table, _word), _at(build, control, TABLE))
        build.store(rows, _at(build, control, ROWS))
        total, any_parallel = build.alloca(_word), build.alloca(_bit)
        build.store(_word(0), total)
        build.store(_bit(0), any_parallel)
        with _counting(build, rows) as row:
            entry, tally = self._row(build, control, row)
            parallel, parts, _ = self._parts(build, control, entry)
            before = build.load(total)
            build.store(before, _at(build, tally, BEFORE))
            build.store(_word(0), _at(build, tally, TAKEN))
            build.store(build.add(before, parts), total)
            build.store(build.or_(build.load(any_parallel), parallel), any_parallel)
        _, tally = self._row(build, control, rows)
        build.store(build.load(total), _at(build, tally, BEFORE))
        build.ret(build.load(any_parallel))
        return build.function

    def _take_part(self) -> ir.Function:
        """take_part(control, until) -> 0 or row << 32 | status: the first thread's way through the
        program, until all rows up to some row are done. With all rows the program ends.
        """
        build, (control, until) = self._function("take_part", _word, _words, _word)
        present = _at(build, control, PRESENT)
        build.store_atomic(_word(1), present, "monotonic", 8)
        build.call(self.walk, [control, _word(0), until])
        _, tally = self._row(build, control, until)
        build.call(self.reach, [control, build.load(_at(build, tally, BEFORE))])
        build.store_atomic(_word(0), present, "monotonic", 8)
        last = build.icmp_signed("==", until, build.load(_at(build, control, ROWS)))
        with build.if_then(last):
            # seq_cst: see work()
            build.store_atomic(_word(0), _at(build, control, RUNNING), "seq_cst", 8)
            with _loop(build) as leave:
                active = build.load_atomic(_at(build, control, ACTIVE), "seq_cst", 8)
                leave(build.icmp_signed("==", active, _word(0)))
                self._call(build, "sched_yield")
        found = build.load_atomic(_at(build, control, FAILURE), "monotonic", 8)
        well = build.icmp_signed("==", found, _word(NO_FAILURE))
        build.ret(build.select(well, _word(0), found))
        return build.function

    def _run(self) -> None:
        """run(control, table, rows, until) -> 0, NOT_STARTED, or row << 32 | status.

        Without other threads that could go on, it is all rows.
        """
        parameters = [_words, _words, _word, _word]
        build, (control, table, rows, until) = self._function("run", _word, *parameters)
        threads = build.load(_at(build, control, THREADS))
        any_parallel = build.call(self.count, [control, table, rows])
        together = build.and_(any_parallel, build.icmp_signed("!=", threads, _word(1)))
        started = build.load(_at(build, control, STARTED))
        missing = build.icmp_signed("==", started, _word(0))
        with build.if_then(build.and_(together, missing), likely=False):
            build.ret(_word(NOT_STARTED))
        for place, value in ((FAILURE, NO_FAILURE), (DONE + VALUE, 0)):
            build.store_atomic(_word(value), _at(build, control, place), "monotonic", 8)
        # seq_cst: see work(); it also releases what was stored before
        build.store_atomic(_word(1), _at(build, control, RUNNING), "seq_cst", 8)
        with build.if_then(together):
            build.call(self.open, [_at(build, control, PROGRAM)])
        until = build.select(together, until, rows)
        build.ret(build.call(self.take_part, [control, until]))

    def _join(self) -> None:
        """join(control, until) -> 0 or row << 32 | status; 0 where no program runs."""
        build, (control, until) = self._function("join", _word, _words, _word)
        running = build.load_atomic(_at(build, control, RUNNING), "monotonic", 8)
        with build.if_then(build.icmp_signed("==", running, _word(0))):
            build.ret(_word(0))
        build.ret(build.call(self.take_part, [control, until]))

    def _finish(self) -> None:
        """finish(control): ends the workers, which may be started again; no program runs."""
        build, (control,) = self._function("finish", _void, _words)
        started = _at(build, control, STARTED)
        with build.if_then(build.icmp_signed("==", build.load(started), _word(0))):
            build.ret_void()
        build.store(_word(0), started)
        build.store_atomic(_word(1), _at(build, control, ENDING), "seq_cst", 8)
        build.call(self.open, [_at(build, control, PROGRAM)])
        records = build.inttoptr(build.load(_at(build, control, WORKERS)), _words)
        workers = build.sub(build.load(_at(build, control, THREADS)), _word(1))
        with _counting(build, workers) as index:
            record = build.gep(records, [build.mul(index, _word(WORKER))])
            handle = build.inttoptr(build.load(_at(build, record, HANDLE)), _bytes)
            self._call(build, "pthread_join", handle, None)
        # they ended as active ones
        build.store(_word(0), _at(build, control, ACTIVE))
        build.store(_word(0), _at(build, control, ENDING))
        build.ret_void()

    def _function(self, name: str, result: ir.Type, *parameters: ir.Type) -> tuple[Any, Any]:
        """A builder at the beginning of a new function, and the function's arguments."""
        function = ir.Function(self.module, ir.FunctionType(result, parameters), name)
        return ir.IRBuilder(function.append_basic_block("entry")), function.args

    def _call(self, build: ir.IRBuilder, name: str, *addresses: ir.Value | None) -> ir.Value:
        arguments = [
            _bytes(None) if address is None else build.bitcast(address, _bytes)
            for address in addresses
        ]
        return build.call(self.library[name], arguments)


def _at(build: ir.IRBuilder, base: ir.Value, word: int) -> ir.Value:
    return build.gep(base, [_word(word)])


@contextmanager
def _counting(build: ir.IRBuilder, count: ir.Value) -> Iterator[ir.Value]:
    """A loop over 0 ... count - 1, unsigned."""
    before = build.block
    head = build.append_basic_block("head")
    body = build.append_basic_block("body")
    after = build.append_basic_block("after")
    build.branch(head)
    build.position_at_end(head)
    index = build.phi(_word)
    index.add_incoming(_word(0), before)
    build.cbranch(build.icmp_unsigned("<", index, count), body, after)
    build.position_at_end(body)
    yield index
    index.add_incoming(build.add(index, _word(1)), build.block)
    build.branch(head)
    build.position_at_end(after)


@contextmanager
def _loop(build: ir.IRBuilder) -> Iterator[Callable[[ir.Value], None]]:
    """A loop without end; what it yields leaves it under a condition."""
    body = build.append_basic_block("loop")
    after = build.append_basic_block("left")

    def leave(condition: ir.Value) -> None:
        following = build.append_basic_block("stay")
        build.cbranch(condition, after, following)
        build.position_at_end(following)

    build.branch(body)
    build.position_at_end(body)
    yield leave
    build.branch(body)
    build.position_at_end(after)
