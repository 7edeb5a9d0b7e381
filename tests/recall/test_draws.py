"""Whatever runs a program, and however often: draws are PyTorch's, from golden files."""

import pytest

import fakel
from fakel.graph import flush, use_executor
from fakel.interpreter import Interpreter
from tests.goldens import load, repeated, tolerances
from tests.goldens.values import assert_same
from tests.support.execution import StrictCompiler

GOLDEN = load("repeated")
EXECUTORS = {"interpreter": Interpreter, "compiler": StrictCompiler}


@pytest.mark.parametrize("executor", EXECUTORS)
@pytest.mark.parametrize("step", GOLDEN)
def test_under_one_executor(step, executor):
    flush()
    before = use_executor(EXECUTORS[executor]())
    try:
        found = repeated.repeat(fakel, step)
        flush()
    finally:
        use_executor(before)
    assert_same(found, GOLDEN[step], **tolerances("repeated", step))


@pytest.mark.parametrize("step", GOLDEN)
def test_recalled_calls(step):
    assert_same(repeated.repeat(fakel, step), GOLDEN[step], **tolerances("repeated", step))


@pytest.mark.parametrize("step", GOLDEN)
def test_compiled_functions(step):
    found = repeated.repeat(fakel, step, fakel.compile)
    assert_same(found, GOLDEN[step], **tolerances("repeated", step))
