"""Times single kernels and prints GFLOP/s and the share of the processor's measured peak.

    python benchmarks/kernels.py [--seconds 0.3] [words of the names]

The peak is that of one core's fused multiply-adds, measured before and after; with several threads
the share is of so many cores. Times are the least of many runs of the compiled program alone, which
a short one makes several times in a row, as a part of a larger program.
"""

import argparse
import time

import numpy as np

import fakel
from fakel import nn
from fakel.compiler.driver import compile_program
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.emit import emit
from fakel.compiler.loop_ir.language import Type, fma, literal
from fakel.compiler.structure import structure
from fakel.graph import flush, use_executor
from fakel.runtime.control import ORDERED
from fakel.runtime.native import compile_kernel
from fakel.runtime.team import run_table

PRODUCTS = [
    (64, 784, 128),
    (64, 128, 10),
    (512, 512, 512),
    (1024, 1024, 1024),
    (1000, 1000, 1000),
]


def cases():
    """Name, floating-point operations, and a function that records the operator."""
    for m, k, n in PRODUCTS:
        operations = 2 * m * k * n
        x, w, bias = fakel.randn(m, k), fakel.randn(n, k), fakel.randn(n)
        grad = fakel.randn(m, n)
        size = f"{m}x{k}x{n}"
        forward = nn.functional.linear
        yield f"linear {size}", operations, lambda x=x, w=w, b=bias, f=forward: f(x, w, b)
        yield f"linear {size} input gradient", operations, lambda g=grad, w=w: g.mm(w)
        yield f"linear {size} weight gradient", operations, lambda g=grad, x=x: g.t().mm(x)
    for batch, m, k, n in [(64, 64, 32, 64), (16, 128, 64, 128)]:
        a, b = fakel.randn(batch, m, k), fakel.randn(batch, n, k).transpose(1, 2)
        yield f"bmm {batch} of {m}x{k}x{n}", 2 * batch * m * k * n, lambda a=a, b=b: a.bmm(b)
    matrix, vector = fakel.randn(1024, 1024), fakel.randn(1024)
    yield "mv 1024x1024", 2 * 1024**2, lambda: matrix.mv(vector)
    yield "mv 1024x1024 transposed", 2 * 1024**2, lambda: matrix.t().mv(vector)
    for shape, outputs, size, padding, groups in [
        ((64, 32, 28, 28), 64, 3, 1, 1),
        ((64, 64, 32, 32), 128, 3, 1, 1),
        ((16, 64, 27, 27), 192, 5, 2, 1),
        ((64, 1, 28, 28), 10, 5, 0, 1),
        ((32, 64, 28, 28), 128, 1, 0, 1),
        ((32, 64, 56, 56), 64, 3, 1, 64),
    ]:
        x, w = fakel.randn(*shape), fakel.randn(outputs, shape[1] // groups, size, size)
        how = {"padding": padding, "groups": groups}
        y = nn.functional.conv2d(x, w, **how)
        grad = fakel.randn(*y.shape)
        operations = 2 * y.numel() * w[0].numel()
        name = f"conv {shape}→{outputs} {size}x{size}" + (f" of {groups}" if groups > 1 else "")
        yield name, operations, lambda x=x, w=w, h=how: nn.functional.conv2d(x, w, **h)
        yield (
            f"{name} input gradient",
            operations,
            lambda s=x.shape, w=w, g=grad, h=how: nn.grad.conv2d_input(s, w, g, **h),
        )
        yield (
            f"{name} weight gradient",
            operations,
            lambda x=x, s=w.shape, g=grad, h=how: nn.grad.conv2d_weight(x, s, g, **h),
        )


class Capture:
    """An executor that compiles at once and keeps the program that it ran last."""

    def run(self, program):
        found = structure(program)
        begin = time.perf_counter()
        self.program = compile_program(program, found[1])
        self.compile_seconds = time.perf_counter() - begin
        self.program.run(program, found[1])


def compiled(record):
    """The compiled program of what a function records."""
    flush()
    capture = Capture()
    before = use_executor(capture)
    try:
        result = record()
        flush()
        del result
    finally:
        use_executor(before)
    return capture


def peak():
    """GFLOP/s of one core that does nothing but multiply-adds of float32 in registers."""
    lanes, sums, rounds = target.lanes("f32"), 10, 1_000_000
    build = Builder("peak")
    out = build.buffer("out", "f32")
    one = build.let(literal(build.load(out, 0), Type("f32", lanes)))
    totals = [build.accumulator(build.load(out, lanes * i, lanes)) for i in range(sums)]
    with build.loop(rounds):
        for total in totals:
            build.assign(total, fma(total, one, one))
    for i, total in enumerate(totals):
        build.store(out, lanes * i, total)
    address = compile_kernel("peak", lambda: emit(build.kernel), repr(build.kernel))
    memory = np.ones(lanes * sums, np.float32)
    block = np.array([memory.ctypes.data], np.int64)
    table = np.array([[address, block.ctypes.data, 0, 0]], np.int64)
    return 2e-9 * lanes * sums * rounds / least(lambda: run_table(table, 1), 0.2)


def least(run, seconds):
    """The shortest time of one run, among as many as fit."""
    best, stop = np.inf, time.perf_counter() + seconds
    while time.perf_counter() < stop:
        begin = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - begin)
    return best


def time_of(table, rows, seconds):
    """Seconds that a program of so many rows takes."""
    once = least(lambda: run_table(table, rows), seconds / 10)
    repeats = max(1, min(1000, int(200e-6 / once)))
    many = np.tile(table[:rows], (repeats, 1))
    many[::rows, 2] |= ORDERED
    return least(lambda: run_table(many, rows * repeats), seconds) / repeats


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("words", nargs="*", help="only kernels whose names contain one of these")
    parser.add_argument("--seconds", type=float, default=0.3, help="for each kernel")
    options = parser.parse_args()
    top, threads = max(peak(), peak()), fakel.get_num_threads()
    print(f"peak of one core {top:.0f} GFLOP/s, {threads} threads")
    print(f"{'kernel':48} {'µs':>10} {'GFLOP/s':>9} {'of peak':>8} {'calls':>5} {'compile ms':>10}")
    for name, operations, record in cases():
        if options.words and not any(word in name for word in options.words):
            continue
        made = compiled(record)
        table, rows = made.program.tables[0].rows, len(made.program.row_steps)
        if len(made.program.segments) != 1 or not rows:
            print(f"{name:48} {'interpreted':>10}")
            continue
        seconds = time_of(table, rows, options.seconds)
        speed = operations / seconds / 1e9
        print(
            f"{name:48} {seconds * 1e6:10.1f} {speed:9.1f} {speed / top / threads:8.0%} {rows:5}"
            f" {made.compile_seconds * 1e3:10.0f}",
            flush=True,
        )
    print(f"peak of one core {peak():.0f} GFLOP/s")


if __name__ == "__main__":
    main()
