"""Small kernels written in LLVM IR, and programs made of them."""

from __future__ import annotations

from functools import cache

import numpy as np
from llvmlite import ir

from fakel.runtime import compile_kernel, run_table

WORD = ir.IntType(64)
WORDS = ir.PointerType(WORD)

PARALLEL, ORDERED = 1, 2


def mix(build, arguments, thread, threads):
    """to[thread] = 3 from[thread] + from[(thread + 1) % threads], which another thread wrote."""
    source, target = (pointer(build, arguments, i) for i in (0, 1))
    neighbour = build.urem(build.add(thread, WORD(1)), threads)
    own, other = (build.load(build.gep(source, [i])) for i in (thread, neighbour))
    build.store(build.add(build.mul(own, WORD(3)), other), build.gep(target, [thread]))
    build.ret(WORD(0))


def total(build, arguments, thread, threads):
    """to[0] += the sum of from[0 ... count - 1]."""
    source, target = (pointer(build, arguments, i) for i in (0, 1))
    with counting(build, word(build, arguments, 2)) as index:
        item = build.load(build.gep(source, [index]))
        build.store(build.add(build.load(target), item), target)
    build.ret(WORD(0))


def count_up(build, arguments, thread, threads):
    """slots[thread] += 1."""
    slot = build.gep(pointer(build, arguments, 0), [thread])
    build.store(build.add(build.load(slot), WORD(1)), slot)
    build.ret(WORD(0))


def delay(build, arguments, thread, threads):
    """Thread number arguments[0] looks arguments[1] times at a word before it goes on."""
    with build.if_then(build.icmp_signed("==", thread, word(build, arguments, 0))):
        with counting(build, word(build, arguments, 1)):
            build.load_atomic(arguments, "seq_cst", 8)
    build.ret(WORD(0))


def fail(build, arguments, thread, threads):
    """Thread t returns arguments[t]."""
    build.ret(build.load(build.gep(arguments, [thread])))


def shape(build, arguments, thread, threads):
    """to[thread] = 100 threads + thread."""
    slot = build.gep(pointer(build, arguments, 0), [thread])
    build.store(build.add(build.mul(threads, WORD(100)), thread), slot)
    build.ret(WORD(0))


def word(build, arguments, index):
    return build.load(build.gep(arguments, [WORD(index)]))


def pointer(build, arguments, index):
    return build.inttoptr(word(build, arguments, index), WORDS)


class counting:
    """A loop over 0 ... count - 1."""

    def __init__(self, build, count):
        self.build, self.count = build, count

    def __enter__(self):
        build, before = self.build, self.build.block
        self.head = build.append_basic_block("head")
        body = build.append_basic_block("body")
        self.after = build.append_basic_block("after")
        build.branch(self.head)
        build.position_at_end(self.head)
        self.index = build.phi(WORD)
        self.index.add_incoming(WORD(0), before)
        build.cbranch(build.icmp_unsigned("<", self.index, self.count), body, self.after)
        build.position_at_end(body)
        return self.index

    def __exit__(self, *error):
        build = self.build
        self.index.add_incoming(build.add(self.index, WORD(1)), build.block)
        build.branch(self.head)
        build.position_at_end(self.after)


def text(emit) -> str:
    """The module of one kernel."""
    module = ir.Module(emit.__name__)
    kernel = ir.FunctionType(WORD, [WORDS, WORD, WORD])
    function = ir.Function(module, kernel, emit.__name__)
    emit(ir.IRBuilder(function.append_basic_block("entry")), *function.args)
    return str(module)


@cache
def address(emit) -> int:
    """Where the native code of a kernel is."""
    source = text(emit)
    return compile_kernel(emit.__name__, source, f"test {source}")


class Program:
    """Rows of (kernel, arguments, flags); arrays among the arguments become their addresses."""

    def __init__(self, *rows):
        self.table = np.zeros((len(rows), 4), np.int64)
        self.kept = [arguments for _, arguments, _ in rows]
        for row, (emit, arguments, flags) in zip(self.table, rows, strict=True):
            block = np.array(
                [item.ctypes.data if isinstance(item, np.ndarray) else item for item in arguments],
                np.int64,
            )
            self.kept.append(block)
            row[:3] = address(emit), block.ctypes.data, flags

    def run(self) -> int:
        return run_table(self.table, len(self.table))
