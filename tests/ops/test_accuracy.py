"""Reductions and products of float32 are as close to float64's results as PyTorch's, or closer."""

from __future__ import annotations

import pytest

import fakel
from fakel.compiler.executor import Compiler
from fakel.interpreter import Interpreter
from tests.compiler.native import running_on
from tests.goldens import cases, load

GOLDEN = load("accuracy")
CASES = cases("accuracy", fakel)
ROUNDING = 2.0**-24  # of one result, in units of the result

# errors of so few roundings are as good as none; which of two is smaller is chance
FEW = 5 * ROUNDING
# one sum of all taps and channels in a register, where PyTorch's convolution has several
LONGER_SUMS = {"conv2d": 3.0}


@pytest.mark.parametrize("executor", [Interpreter, lambda: Compiler(eager=True)], ids="ic")
@pytest.mark.parametrize("name", GOLDEN)
def test_no_further_from_the_truth_than_pytorch(name, executor):
    with running_on(executor()):
        error = CASES[name]()
    share = LONGER_SUMS.get(name.split(" of ")[0], 1.1)
    assert error <= max(share * GOLDEN[name], FEW)
