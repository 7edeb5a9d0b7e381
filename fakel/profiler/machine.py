"""What this machine can do at most, measured for a moment: multiply-adds and memory."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

import numpy as np

from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.emit import emit
from fakel.compiler.loop_ir.language import Kernel, Type, fma, literal
from fakel.runtime.control import PARALLEL
from fakel.runtime.native import compile_kernel
from fakel.runtime.team import run_table
from fakel.runtime.threads import get_num_threads

_SUMS = 10  # independent chains, more than the latency of a multiply-add takes
_ROUNDS = 200_000
_ELEMENTS = 8 * 2**20  # float32, more than caches hold
_SECONDS = 0.1


@dataclass(frozen=True)
class Machine:
    """Limits of all threads together.

    Args:
        threads: how many.
        flops: float32 operations a second that multiply-adds in registers reach.
        bandwidth: bytes a second between memory and processor, in the sum of two long arrays.
    """

    threads: int
    flops: float
    bandwidth: float


def measure() -> Machine:
    """Measures with as many threads as computations use."""
    return _measured(get_num_threads())


@cache
def _measured(threads: int) -> Machine:
    lanes = target.lanes("f32")
    registers = np.ones(threads * lanes * _SUMS, np.float32)
    seconds = _least(_multiply_adds(lanes), [registers])
    flops = 2 * lanes * _SUMS * _ROUNDS * threads / seconds
    arrays = [np.ones(_ELEMENTS, np.float32) for _ in range(3)]
    bandwidth = sum(array.nbytes for array in arrays) / _least(_long_sum(lanes), arrays)
    return Machine(threads, flops, bandwidth)


def _multiply_adds(lanes: int) -> Kernel:
    build = Builder("peak")
    out = build.buffer("out", "f32")
    own = build.let(build.kernel.thread * (lanes * _SUMS))
    one = build.let(literal(build.load(out, own), Type("f32", lanes)))
    totals = [build.accumulator(build.load(out, own + lanes * i, lanes)) for i in range(_SUMS)]
    with build.loop(_ROUNDS):
        for total in totals:
            build.assign(total, fma(total, one, one))
    for i, total in enumerate(totals):
        build.store(out, own + lanes * i, total)
    return build.kernel


def _long_sum(lanes: int) -> Kernel:
    build = Builder("long_sum")
    x, y, out = (build.buffer(name, "f32") for name in ("x", "y", "out"))
    with build.share(_ELEMENTS // lanes) as block:
        at = block * lanes
        build.store(out, at, build.load(x, at, lanes) + build.load(y, at, lanes))
    return build.kernel


def _least(kernel: Kernel, arrays: list[np.ndarray]) -> float:
    """The shortest time of a run on all threads."""
    address = compile_kernel(kernel.name, lambda: emit(kernel), repr(kernel))
    block = np.array([array.ctypes.data for array in arrays], np.int64)
    table = np.array([[address, block.ctypes.data, PARALLEL, 0]], np.int64)
    return least(lambda: run_table(table, 1), _SECONDS)


def least(run: Callable[[], object], seconds: float) -> float:
    """The shortest time of one call, among as many as fit in so many seconds, at least three."""
    times: list[float] = []
    stop = time.perf_counter() + seconds
    while len(times) < 3 or time.perf_counter() < stop:
        begin = time.perf_counter()
        run()
        times.append(time.perf_counter() - begin)
    return min(times)
