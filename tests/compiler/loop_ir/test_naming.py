"""Subexpressions that a statement uses more than once get a name; what a kernel computes stays."""

import numpy as np

from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import binary, call, select
from fakel.compiler.loop_ir.naming import name_shared
from tests.compiler.loop_ir.test_emit import run


def kernel():
    build = Builder("shared")
    x, out = build.buffer("x", "f64"), build.buffer("out", "f64")
    with build.loop(3) as i:
        root = call("sqrt", build.load(x, i))
        twice = root + root
        with build.when(binary("<", twice * twice, 20.0)):
            build.store(out, i, select(binary("<", root, 1.5), root, twice))
    return build.kernel


def test_what_is_used_twice_is_written_once():
    assert repr(name_shared(kernel())) == (
        "kernel shared(x: f64, out: f64)\n"
        "  for i0 in 0..3 step 1\n"
        "    let t0 = sqrt(x[i0])\n"
        "    let t1 = t0 + t0\n"
        "    if (t1 * t1) < 20.0\n"
        "      let t2 = sqrt(x[i0])\n"
        "      out[i0] = select(t2 < 1.5, t2, t2 + t2)\n"
    )


def test_the_kernel_computes_the_same():
    given = np.array([1.0, 4.0, 9.0])
    for made in (kernel(), name_shared(kernel())):
        found = np.zeros(3)
        assert run(made, given, found) == 0
        assert found.tolist() == [1.0, 4.0, 0.0]
