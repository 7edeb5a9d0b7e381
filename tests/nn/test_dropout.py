"""Layers draw in training what PyTorch's draw, from golden files."""

import pytest

import fakel
from tests.goldens import cases, load, tolerances
from tests.goldens.values import assert_same

GOLDEN = load("dropout")
CASES = cases("dropout", fakel)


@pytest.mark.filterwarnings(
    "ignore:dropout[23]d. Received a", "ignore:enable_nested_tensor is True"
)
@pytest.mark.parametrize("case", GOLDEN)
def test_draws_are_those_of_pytorch(case):
    assert_same(CASES[case](), GOLDEN[case], **tolerances("dropout", case))
