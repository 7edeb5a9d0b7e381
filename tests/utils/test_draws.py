"""Samplers, loaders and their workers draw what PyTorch's draw, from golden files."""

import pytest

import fakel
from tests.goldens import cases, load

GOLDEN = load("loading")
CASES = cases("loading", fakel)


@pytest.mark.parametrize("case", GOLDEN)
def test_epochs_and_states_are_those_of_pytorch(case):
    assert CASES[case]() == GOLDEN[case]
