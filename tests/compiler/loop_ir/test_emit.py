"""Emitted code does what the loop IR says: every kind of statement and expression, run on arrays
that end where memory ends, so that a lane too many is a crash.
"""

import ctypes
import os

import numpy as np
import pytest

from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.emit import emit
from fakel.compiler.loop_ir.language import (
    Type,
    binary,
    call,
    cast,
    fma,
    literal,
    select,
    shuffle,
)
from fakel.runtime.native import compile_kernel
from tests.support.guarded import room

FUNCTION = ctypes.CFUNCTYPE(ctypes.c_int64, ctypes.c_void_p, ctypes.c_int64, ctypes.c_int64)
KINDS = {"u8": "u1", "i16": "i2", "i32": "i4", "i64": "i8", "f32": "f4", "f64": "f8"}


def run(kernel, *arrays, thread=0, threads=1):
    """The status of a kernel."""
    function = FUNCTION(compile_kernel(kernel.name, emit(kernel), repr(kernel)))
    block = np.array([array.ctypes.data for array in arrays], np.int64)
    return function(block.ctypes.data, thread, threads)


def survives(body):
    """Whether `body` answers true, in a process that may be ended by the system."""
    child = os.fork()
    if not child:
        status = 2
        try:
            status = 0 if body() else 1
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1] == 0


@pytest.mark.parametrize("source", ["i64", "f64", "i32", "f32"])
@pytest.mark.parametrize("target", ["u8", "i16", "i32", "f32"])
def test_masked_access_touches_the_active_lanes_only(source, target):
    def body():
        good = True
        for active in (1, 3, 7):
            build = Builder("masked")
            x, out = build.buffer("x", source), build.buffer("out", target)
            build.store(out, 0, cast(build.load(x, 0, 8, active), target), active=active)
            for at_end in (True, False):
                given, found = (
                    room(active, KINDS[source], at_end),
                    room(active, KINDS[target], at_end),
                )
                given[:] = np.arange(1, active + 1)
                good &= run(build.kernel, given, found) == 0 and bool((found == given).all())
        return good

    assert survives(body)


def test_a_page_that_may_not_be_touched_ends_a_kernel():
    build = Builder("beyond")
    x, out = build.buffer("x", "f32"), build.buffer("out", "f32")
    build.store(out, 0, build.load(x, 0, 4))
    assert not survives(lambda: run(build.kernel, room(3, "f4", True), room(4, "f4", True)) == 0)


@pytest.mark.parametrize("lanes", [1, 4])
def test_a_kernel_knows_whether_it_reads_or_writes_vectors(lanes):
    read, written = Builder("read"), Builder("written")
    read.let(read.load(read.buffer("x", "f32"), 0, lanes))
    written.store(written.buffer("out", "f32"), 0, literal(1.0, Type("f32", lanes)))
    assert read.kernel.in_vectors == written.kernel.in_vectors == (lanes > 1)


X = np.array([1.5, -2.0, 3.25, -0.0, 7.0, 5.5, -1.25, 2.0], "f4")
Y = np.array([2.0, -4.0, 0.5, 1.0, -7.0, 5.5, 3.0, np.nan], "f4")


def of_two(make, result="f32", kind="f32", x=X, y=Y):
    """What an expression of two vectors gives."""
    lanes = len(x)
    build = Builder("expression")
    a, b, out = build.buffer("a", kind), build.buffer("b", kind), build.buffer("out", result)
    build.store(out, 0, make(build.load(a, 0, lanes), build.load(b, 0, lanes)))
    found = np.zeros(lanes, KINDS[result])
    assert run(build.kernel, x, y, found) == 0
    return found


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda a, b: a + b, X + Y),
        (lambda a, b: a - b, X - Y),
        (lambda a, b: a * b, X * Y),
        (lambda a, b: a / b, X / Y),
        (lambda a, b: 1.0 - a, 1 - X),
        (lambda a, b: -a, 0 - X),
        (lambda a, b: fma(a, b, 2.0), X.astype("f8") * Y + 2),
        (lambda a, b: call("sqrt", call("fabs", a)), np.sqrt(np.abs(X))),
        (lambda a, b: call("floor", a), np.floor(X)),
        (lambda a, b: call("ceil", a), np.ceil(X)),
        (lambda a, b: call("trunc", a), np.trunc(X)),
        (lambda a, b: call("rint", a), np.rint(X)),
        (lambda a, b: call("copysign", a, b), np.copysign(X, Y)),
        (lambda a, b: call("maximum", a, b), np.maximum(X, Y)),
        (lambda a, b: call("minimum", a, b), np.minimum(X, Y)),
        (lambda a, b: call("maxnum", a, b), np.fmax(X, Y)),
        (lambda a, b: select(binary("<", a, b), a, 0.5), np.where(X < Y, X, 0.5)),
        (lambda a, b: select(binary("!=", b, b), 9.0, b), np.where(np.isnan(Y), 9, Y)),
        (
            lambda a, b: shuffle(a, b, [0, 8, 1, 9, 7, 6, 15, 14]),
            [X[0], Y[0], X[1], Y[1], X[7], X[6], Y[7], Y[6]],
        ),
        (lambda a, b: cast(cast(a, "i32"), "f32"), np.trunc(X)),
        (lambda a, b: cast(cast(a, "f64") * 2.0, "f32"), X * 2),
    ],
)
def test_expressions_of_floats(make, expected):
    np.testing.assert_array_equal(of_two(make), np.asarray(expected, "f4"))


@pytest.mark.parametrize(
    "make, expected",
    [
        (lambda a, b: a // b, lambda a, b: np.trunc(a / b)),
        (lambda a, b: a % b, np.fmod),
        (lambda a, b: binary("&", a, b), np.bitwise_and),
        (lambda a, b: binary("|", a, b), np.bitwise_or),
        (lambda a, b: binary("^", a, b), np.bitwise_xor),
        (lambda a, b: binary("<<", a, 3), lambda a, b: a << 3),
        (lambda a, b: binary(">>", a, 1), lambda a, b: a >> 1),
        (lambda a, b: call("min", a, b), np.minimum),
        (lambda a, b: call("max", a, b), np.maximum),
    ],
)
@pytest.mark.parametrize("kind", ["i32", "i64"])
def test_expressions_of_integers(make, expected, kind):
    x = np.array([7, -7, 100, 0, -1, 5, 12, -13], KINDS[kind])
    y = np.array([2, 3, -7, 5, -1, 5, -4, 4], KINDS[kind])
    np.testing.assert_array_equal(of_two(make, kind, kind, x, y), expected(x, y))


@pytest.mark.parametrize("operation", ["<", "<=", ">", ">=", "==", "!="])
@pytest.mark.parametrize("kind", ["f32", "i64", "u8"])
def test_comparisons(operation, kind):
    x = np.array([1, 2, 3, 200, 5, 0, 7, 8], KINDS[kind])
    y = np.array([2, 2, 1, 100, 5, 255, 0, 9], KINDS[kind])
    if kind == "f32":
        x[6] = np.nan
    expected = eval(f"x {operation} y")
    found = of_two(lambda a, b: binary(operation, a, b), "u8", kind, x, y)
    np.testing.assert_array_equal(found, expected)


def test_statements():
    """Loops, conditions, accumulators, local arrays, several threads and a failure."""
    build = Builder("statements")
    x, out = build.buffer("x", "i64"), build.buffer("out", "i64")
    room_of_own = build.local("own", "i64", 4)
    total = build.accumulator(0, "i64")
    with build.loop(10, 1, step=3) as i:  # 1, 4, 7
        build.store(room_of_own, i // 3, build.load(x, i))
        with build.when(binary(">", build.load(x, i), 4)):
            build.assign(total, total + build.load(x, i) * 10)
        with build.otherwise():
            build.assign(total, total + 1)
    build.store(out, 0, total)
    build.store(out, 1, build.load(room_of_own, 2))
    with build.share(9) as i:
        build.store(out, 2 + i, i * i)
    with build.when(binary("==", total, 3)):
        build.fail(7)
    values, found = np.arange(10), np.zeros(11, "i8")
    for thread in range(4):
        assert run(build.kernel, values, found, thread=thread, threads=4) == 0
    assert found.tolist() == [72, 7, *(i * i for i in range(9))]
    assert run(build.kernel, np.zeros(10, "i8"), found) == 7


@pytest.mark.parametrize("write", [False, True])
def test_prefetching_changes_nothing_and_may_miss(write):
    """Even where memory ends: it is a hint."""

    def body():
        build = Builder("hint")
        x, out = build.buffer("x", "f32"), build.buffer("out", "f32")
        with build.loop(1 << 16, step=16) as i:
            build.prefetch(x, i, write)
        build.store(out, 0, build.load(x, 3))
        values, found = room(4, "f4", True), room(1, "f4", True)
        values[:] = [1, 2, 3, 4]
        return run(build.kernel, values, found) == 0 and found[0] == 4

    assert survives(body)


@pytest.mark.parametrize("count, grain", [(0, 1), (1, 1), (7, 2), (64, 64), (1000, 16)])
@pytest.mark.parametrize("threads", [1, 2, 3, 8])
def test_shares_are_disjoint_and_complete(count, grain, threads):
    build = Builder("shares")
    out = build.buffer("out", "i64")
    with build.share(count, grain=grain) as i:
        build.store(out, i, build.load(out, i) + 1)
    found = np.zeros(max(count, 1), "i8")
    for thread in range(threads):
        run(build.kernel, found, thread=thread, threads=threads)
    assert found[:count].tolist() == [1] * count


@pytest.mark.parametrize(
    "name, expected", [("reduce_add", X[:4].sum()), ("reduce_max", 3.25), ("reduce_min", -2.0)]
)
def test_reductions_of_lanes(name, expected):
    build = Builder("lanes")
    x, out = build.buffer("x", "f32"), build.buffer("out", "f32")
    build.store(out, 0, call(name, build.load(x, 0, 4), type=Type("f32")))
    found = np.zeros(1, "f4")
    assert run(build.kernel, X, found) == 0
    assert found[0] == expected


def test_a_failed_kernel_tells_its_status():
    build = Builder("failing")
    with build.when(binary("==", build.kernel.thread, 2)):
        build.fail(41)
    assert [run(build.kernel, thread=thread, threads=4) for thread in range(4)] == [0, 0, 41, 0]
