"""The native code that walks a program on every thread of a team, written as LLVM IR.

A program is a table of rows (function, arguments, flags, label), all 64-bit integers; a function
is called as `i64 kernel(i64* arguments, i64 thread, i64 threads)`. Threads meet at barriers between
rows, and wait at gates: words that count up, watched for a moment and then slept on. The label is
for `trace.py`. A timed driver, which only profiling uses, notes when each row begins and ends.

What the threads share is laid out in `control.py`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir

from fakel.runtime.control import (
    ARRIVED,
    BARRIER,
    CONDITION,
    CONTROL,
    FAILURE,
    HANDLE,
    MUTEX,
    NO_FAILURE,
    NOT_STARTED,
    NUMBER,
    PROGRAM,
    ROW,
    ROWS,
    SLEEPERS,
    SPINS,
    STAMPS,
    STARTED,
    TABLE,
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


def driver_text(machine: str, timed: bool = False) -> str:
    """The driver as LLVM IR.

    Its functions for the outside: `prepare(gate)` makes a gate; `watch(gate, value, spins)` looks
    `spins` times whether the gate still has this value; `start(control, attributes)` makes the
    workers; `run(control, table, rows)` runs a program and returns 0, NOT_STARTED or the failure;
    `finish(control)` ends the workers and waits for them.

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
            )
        }
        self.library = library
        self.pause = self._pause(machine)
        self._prepare()
        self.watch = self._watch()
        self.wait = self._wait()
        self.open = self._open()
        self.arrive = self._arrive()
        self.failed = self._failed()
        self.clock = self._clock() if timed else None
        self.walk = self._walk()
        self.work = self._work()
        self._start()
        self.needs_team = self._needs_team()
        self.publish = self._publish()
        self._run()
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

    def _arrive(self) -> ir.Function:
        """arrive(control, threads, wait): comes to the barrier; the last thread opens it.

        Who need not wait has nothing left to do in this program.
        """
        build, (control, threads, wait) = self._function("arrive", _void, _words, _word, _bit)
        gate, arrived = _at(build, control, BARRIER), _at(build, control, ARRIVED)
        # monotonic: the value cannot change before this thread has arrived
        value = build.load_atomic(_at(build, gate, VALUE), "monotonic", 8)
        # acq_rel: the last one to arrive has seen all that the others wrote, and hands it on
        before = build.atomic_rmw("add", arrived, _word(1), "acq_rel")
        last = build.icmp_signed("==", before, build.sub(threads, _word(1)))
        with build.if_then(last):
            # monotonic: opening the gate releases it
            build.store_atomic(_word(0), arrived, "monotonic", 8)
            build.call(self.open, [gate])
            build.ret_void()
        with build.if_then(wait):
            build.call(self.wait, [gate, value])
        build.ret_void()
        return build.function

    def _failed(self) -> ir.Function:
        """failed(control, row) -> whether an earlier row has failed.

        All rows up to the first that fails are always run, by all threads, so that the same
        failure is reported however threads interleave.
        """
        build, (control, row) = self._function("failed", _bit, _words, _word)
        # monotonic: only a hint; after a barrier, the barrier has made it visible
        failure = build.load_atomic(_at(build, control, FAILURE), "monotonic", 8)
        build.ret(build.icmp_unsigned("<", failure, build.shl(row, _word(32))))
        return build.function

    def _walk(self) -> ir.Function:
        """walk(control, table, rows, thread, threads): one thread's way through a program.

        A barrier is put off until a row comes that could notice: thread 0 may run serial rows one
        after another without the others. Every thread decides this alike. After a failure
        threads go on to meet at the barriers, so that none waits for one that left.
        """
        parameters = [_words, _words, _word, _word, _word]
        build, (control, table, rows, thread, threads) = self._function("walk", _void, *parameters)
        owed = build.alloca(_bit)  # a row since the last barrier asked for one
        spread = build.alloca(_bit)  # a row since the last barrier was run by all threads
        build.store(_bit(0), owed)
        build.store(_bit(0), spread)
        team = build.icmp_signed(">", threads, _word(1))
        first = build.icmp_signed("==", thread, _word(0))
        with _counting(build, rows) as row:
            entry = build.gep(table, [build.mul(row, _word(ROW))])
            flags = build.load(_at(build, entry, 2))
            parallel = build.trunc(flags, _bit)
            ordered = build.trunc(build.lshr(flags, _word(1)), _bit)
            ordered = build.and_(ordered, build.icmp_signed("!=", row, _word(0)))
            build.store(build.or_(build.load(owed), ordered), owed)
            noticed = build.or_(parallel, build.load(spread))
            meet = build.and_(build.load(owed), noticed)
            with build.if_then(build.and_(meet, team)):
                build.call(self.arrive, [control, threads, _bit(1)])
                build.store(_bit(0), owed)
                build.store(_bit(0), spread)
            build.store(build.or_(build.load(spread), parallel), spread)
            mine = build.or_(parallel, first)
            skipped = build.call(self.failed, [control, row])
            with build.if_then(build.and_(mine, build.not_(skipped))):
                self._call_kernel(build, control, entry, row, parallel, thread, threads)
        build.ret_void()
        return build.function

    def _call_kernel(
        self,
        build: ir.IRBuilder,
        control: ir.Value,
        entry: ir.Value,
        row: ir.Value,
        parallel: ir.Value,
        thread: ir.Value,
        threads: ir.Value,
    ) -> None:
        """One thread's call of one row's function, and the note of a failure."""
        kernel = build.inttoptr(build.load(entry), ir.PointerType(_kernel))
        arguments = build.inttoptr(build.load(_at(build, entry, 1)), _words)
        threads = build.select(parallel, threads, _word(1))
        self._stamp(build, control, row, thread, 0)
        status = build.call(kernel, [arguments, thread, threads])
        self._stamp(build, control, row, thread, 1)
        with build.if_then(build.icmp_signed("!=", status, _word(0)), likely=False):
            failure = build.or_(build.shl(row, _word(32)), status)
            # monotonic: the barrier at the program's end hands it to the caller
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
        self, build: ir.IRBuilder, control: ir.Value, row: ir.Value, thread: ir.Value, which: int
    ) -> None:
        """Notes the time of a row's beginning (0) or end (1) on one thread."""
        if self.clock is None:
            return
        stamps = build.inttoptr(build.load(_at(build, control, STAMPS)), _words)
        size = build.load(_at(build, control, THREADS))
        place = build.mul(build.add(build.mul(row, size), thread), _word(2))
        build.store(build.call(self.clock, []), build.gep(stamps, [build.add(place, _word(which))]))

    def _work(self) -> ir.Function:
        """work(record): a worker's life."""
        build, (record,) = self._function("work", _bytes, _bytes)
        record = build.bitcast(record, _words)
        control = build.inttoptr(build.load(_at(build, record, CONTROL)), _words)
        thread = build.load(_at(build, record, NUMBER))
        gate = _at(build, control, PROGRAM)
        with _counting(build, _word(-1)) as seen:
            build.call(self.wait, [gate, seen])
            # plain loads from here on: waiting has acquired what was published
            rows = build.load(_at(build, control, ROWS))
            with build.if_then(build.icmp_signed("<", rows, _word(0))):
                build.ret(_bytes(None))
            table = build.inttoptr(build.load(_at(build, control, TABLE)), _words)
            threads = build.load(_at(build, control, THREADS))
            build.call(self.walk, [control, table, rows, thread, threads])
            build.call(self.arrive, [control, threads, _bit(0)])
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

    def _needs_team(self) -> ir.Function:
        """needs_team(table, rows) -> whether any row is parallel."""
        build, (table, rows) = self._function("needs_team", _bit, _words, _word)
        with _counting(build, rows) as row:
            flags = build.load(build.gep(table, [build.add(build.mul(row, _word(ROW)), _word(2))]))
            with build.if_then(build.trunc(flags, _bit)):
                build.ret(_bit(1))
        build.ret(_bit(0))
        return build.function

    def _publish(self) -> ir.Function:
        """publish(control, table, rows): hands the workers a program."""
        build, (control, table, rows) = self._function("publish", _void, _words, _words, _word)
        build.store(build.ptrtoint(table, _word), _at(build, control, TABLE))
        build.store(rows, _at(build, control, ROWS))
        build.call(self.open, [_at(build, control, PROGRAM)])
        build.ret_void()
        return build.function

    def _run(self) -> None:
        """run(control, table, rows) -> 0, NOT_STARTED, or row << 32 | status."""
        build, (control, table, rows) = self._function("run", _word, _words, _words, _word)
        threads = build.load(_at(build, control, THREADS))
        alone = build.icmp_signed("==", threads, _word(1))
        together = build.and_(build.not_(alone), build.call(self.needs_team, [table, rows]))
        started = build.load(_at(build, control, STARTED))
        missing = build.icmp_signed("==", started, _word(0))
        with build.if_then(build.and_(together, missing), likely=False):
            build.ret(_word(NOT_STARTED))
        failure = _at(build, control, FAILURE)
        build.store_atomic(_word(NO_FAILURE), failure, "monotonic", 8)
        with build.if_else(together) as (then, otherwise):
            with then:
                build.call(self.publish, [control, table, rows])
                build.call(self.walk, [control, table, rows, _word(0), threads])
                build.call(self.arrive, [control, threads, _bit(1)])
            with otherwise:
                build.call(self.walk, [control, table, rows, _word(0), _word(1)])
        found = build.load_atomic(failure, "monotonic", 8)
        well = build.icmp_signed("==", found, _word(NO_FAILURE))
        build.ret(build.select(well, _word(0), found))

    def _finish(self) -> None:
        """finish(control): ends the workers, which may be started again."""
        build, (control,) = self._function("finish", _void, _words)
        started = _at(build, control, STARTED)
        with build.if_then(build.icmp_signed("==", build.load(started), _word(0))):
            build.ret_void()
        build.store(_word(0), started)
        build.call(self.publish, [control, _words(None), _word(-1)])
        records = build.inttoptr(build.load(_at(build, control, WORKERS)), _words)
        workers = build.sub(build.load(_at(build, control, THREADS)), _word(1))
        with _counting(build, workers) as index:
            record = build.gep(records, [build.mul(index, _word(WORKER))])
            handle = build.inttoptr(build.load(_at(build, record, HANDLE)), _bytes)
            self._call(build, "pthread_join", handle, None)
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
