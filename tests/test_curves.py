"""Training follows PyTorch's curves, recorded in golden files, whatever runs the programs."""

import pytest

import fakel
from fakel.graph import flush, use_executor
from fakel.interpreter import Interpreter
from tests.goldens import curves, load, tolerances
from tests.goldens.values import assert_same
from tests.support.execution import StrictCompiler

GOLDEN = load("curves")
RUNS = {run.__name__: run for run in curves.RUNS}
EXECUTORS = {"interpreter": Interpreter, "compiler": StrictCompiler}


def assert_on_the_curve(name, losses):
    """Losses are PyTorch's in each of the steps, but for what rounding does."""
    assert len(losses) == curves.STEPS
    assert_same(losses, GOLDEN[name], **tolerances("curves", name))


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("name", GOLDEN)
def test_losses_under_one_executor(name, executor):
    flush()
    before = use_executor(EXECUTORS[executor]())
    try:
        losses = RUNS[name](fakel)
        flush()
    finally:
        use_executor(before)
    assert_on_the_curve(name, losses)


@pytest.mark.parametrize("name", GOLDEN)
def test_losses_of_recalled_calls(name):
    assert_on_the_curve(name, RUNS[name](fakel))


@pytest.mark.parametrize("name", GOLDEN)
def test_losses_of_compiled_functions(name):
    assert_on_the_curve(name, RUNS[name](fakel, fakel.compile))
