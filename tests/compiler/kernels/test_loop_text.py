"""The loop IR of one small kernel of each family, as text, for three kinds of vector registers.

The files under ``goldens`` are read by people before they are kept: ``FAKEL_UPDATE_GOLDENS=1``
writes them anew, and the difference shows what a change does to generated code.
"""

import os
from pathlib import Path

import pytest

import fakel
from fakel import nn
from fakel.compiler import kernels
from fakel.compiler.driver import optimized
from fakel.compiler.graph import Graph
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.naming import name_shared
from fakel.compiler.planning.plan import Plan
from fakel.compiler.structure import structure
from fakel.graph import flush, use_executor
from fakel.interpreter import Interpreter

GOLDENS = Path(__file__).with_name("goldens")
TARGETS = {"AVX2": target.AVX2, "AVX-512": target.AVX512, "NEON": target.NEON}
CASES = {
    "pointwise": ([(3, 20)], lambda x: (x * 2).relu()),
    "sum": ([(3, 20)], lambda x: x.sum(1)),
    "product": ([(2, 5), (5, 9)], lambda a, b: a.mm(b)),
    "softmax": ([(2, 6)], lambda x: x.softmax(1)),
    "max_pool": ([(1, 1, 4, 4)], lambda x: nn.functional.max_pool2d(x, 2)),
    "convolution_pooling": (
        [(16, 1, 2, 5), (1, 1, 2, 2)],
        lambda x, w: nn.functional.max_pool2d(nn.functional.conv2d(x, w).relu(), (1, 2)),
    ),
    "convolution": ([(1, 1, 4, 6), (2, 1, 3, 3)], nn.functional.conv2d),
}


class _Show(Interpreter):
    """Keeps the text of the kernels that a program would be compiled to."""

    def run(self, program):
        (_, donated), leaves = structure(program)
        plan = Plan(optimized(Graph.of(program, leaves, donated)))
        plan.lower()
        for step in plan.steps:
            name_shared(step.kernel)
        self.text = "\n".join(repr(step.kernel) for step in plan.steps)
        super().run(program)


def _text(shapes, compute):
    kernels.load()
    inputs = [fakel.ones(*shape) for shape in shapes]
    flush()
    show = _Show()
    before = use_executor(show)
    try:
        result = compute(*inputs)
        flush()
        del result
    finally:
        use_executor(before)
    return show.text


@pytest.mark.parametrize("name", CASES)
def test_the_text_of_kernels(name):
    threads = fakel.get_num_threads()
    fakel.set_num_threads(1)
    try:
        found = ""
        for title, each in TARGETS.items():
            with target.override(each):
                found += f"--- {title}\n{_text(*CASES[name])}"
    finally:
        fakel.set_num_threads(threads)
    golden = GOLDENS / f"{name}.txt"
    if os.environ.get("FAKEL_UPDATE_GOLDENS"):
        golden.write_text(found)
    assert found == golden.read_text()
