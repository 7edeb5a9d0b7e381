"""Layers draw in training what PyTorch's draw, from golden files."""

import pytest

import fakel
from tests.goldens import cases, load
from tests.goldens.values import assert_same

GOLDEN = load("dropout")
CASES = cases("dropout", fakel)


@pytest.mark.filterwarnings(
    "ignore:dropout[23]d. Received a", "ignore:enable_nested_tensor is True"
)
@pytest.mark.parametrize("case", GOLDEN)
def test_draws_are_those_of_pytorch(case):
    drawing_only = case.startswith(("F.dropout", "torch.dropout", "nn.Dropout"))
    tolerance = 0 if drawing_only else 2e-5
    assert_same(CASES[case](), GOLDEN[case], relative=tolerance, absolute=tolerance)
