"""Emitted code does what the loop IR says: every kind of statement and expression, run on arrays
that end where memory ends, so that a lane too many is a crash.
"""

import ctypes
import os

import numpy as np
import pytest

from fakel.compiler.emit import emit
from fakel.compiler.loop_ir import Builder, cast
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
