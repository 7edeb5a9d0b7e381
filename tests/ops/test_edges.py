"""Numbers at the edges come out as PyTorch's, interpreted and compiled."""

from __future__ import annotations

import numpy as np
import pytest

import fakel
from fakel.compiler.executor import Compiler
from fakel.interpreter import Interpreter
from tests.compiler.native import running_on
from tests.goldens import cases, load

GOLDEN = load("edges")
CASES = cases("edges", fakel)


@pytest.mark.filterwarnings("ignore")  # of the operators, which other tests are about
@pytest.mark.parametrize("executor", [Interpreter, lambda: Compiler(eager=True)], ids="ic")
@pytest.mark.parametrize("name", GOLDEN)
def test_edges(name, executor):
    with running_on(executor()):
        found = np.asarray(CASES[name]())
    recorded = np.asarray(GOLDEN[name])
    if found.dtype.kind == "f":
        np.testing.assert_allclose(found, recorded, rtol=2e-5, atol=1e-30)
    else:
        assert found.tolist() == recorded.tolist()
