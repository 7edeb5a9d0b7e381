"""Random programs of the public API: compiled ones give what the interpreter gives, and functions
that `torch.compile` replays what they give when they run.

A run of all tests draws a few, the same every time. FAKEL_GRAPHS=10000 draws that many for each
family, other ones every time; FAKEL_SEED chooses them.
"""

import os
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st

from fakel.compiler import driver
from fakel.compiler.passes.product_updates import JoinUpdates
from tests.support.execution import Planning, StrictCompiler, check, expectations, written_for
from tests.support.guarded import touches_nothing_else
from tests.support.random_layers import LAYERS
from tests.support.random_programs import drawn, smallest
from tests.support.random_statements import STATEMENTS

DEEP = int(os.environ.get("FAKEL_GRAPHS", "0"))
SEED = int(os.environ.get("FAKEL_SEED", "0")) or (
    int.from_bytes(os.urandom(4), "little") if DEEP else 1
)


def only(*names):
    return {name: STATEMENTS[name] for name in names}


FAMILIES = {
    "elementwise": only(
        *("unary", "activation", "binary", "whole_numbers", "operator", "of_three", "clamp"),
        *("cast", "view", "reduce"),
    ),
    "reductions": only("reduce", "along", "softmax", "binary", "view", "unary", "cast"),
    "views": only("view", "order", "write", "write_self", "join", "binary", "make", "leaf"),
    "indices": only("index", "join", "view", "binary", "write"),
    "layers": LAYERS,
    "everything": STATEMENTS | LAYERS,
    "replayed": STATEMENTS | LAYERS,
}
FEW = 15  # of each family: about ten seconds on one core
MOST = 20  # failures that are shrunk and shown


@pytest.fixture(autouse=True)
def updates_of_any_size(monkeypatch):
    """The tensors are small: here too the kernels of gradients update what is updated."""
    passes = [
        replace(each, smallest=1) if isinstance(each, JoinUpdates) else each
        for each in driver.PASSES
    ]
    monkeypatch.setattr(driver, "PASSES", passes)


@pytest.mark.parametrize("family", FAMILIES)
def test_random_graphs(family, record_property):
    compiler = StrictCompiler()
    found = []

    @seed(SEED)
    @settings(
        max_examples=DEEP or FEW,
        derandomize=not DEEP,
        database=None,
        phases=[Phase.generate],  # `smallest` shrinks: it knows lines
        suppress_health_check=list(HealthCheck),
    )
    @given(st.randoms(use_true_random=True))
    def run(random):
        program = drawn(random, FAMILIES[family], replayed=family == "replayed")
        if len(found) < MOST and wrong(program, compiler):
            shrunk = smallest(program, lambda other: bool(wrong(other, StrictCompiler())))
            found.append(f"{wrong(shrunk, StrictCompiler())}\n{shrunk}")

    run()
    counted = ", ".join(f"{count} {kind}" for kind, count in compiler.counts.items())
    record_property("summary", f"random graphs, {family}: {counted}")
    assert not found, "\n\n".join(found)


def wrong(program, compiler):
    """What is wrong with a compiled program; nothing when the interpreter cannot run it.

    It is compiled once, and run in memory that ends at its buffers' ends, that begins where they
    begin, and as it is.
    """
    text, threads, planning = program.text, program.threads, Planning()
    with written_for(program.processor):
        try:
            expected = expectations(text, planning, threads)
        except Exception:
            compiler.counts["graphs that do not run"] += 1
            return None
        compiler.counts["graphs"] += 1
        compiler.start(planning.compiled)
        try:
            touches_nothing_else(text, program.processor, threads, expected, planning.compiled)
            check(text, expected, compiler, threads)
        except AssertionError as error:
            return str(error)
    return None
