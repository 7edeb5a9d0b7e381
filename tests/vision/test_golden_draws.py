"""Random transforms draw what torchvision's draw, from golden files."""

import pytest

import fakel
from tests.goldens import cases, load, tolerances
from tests.goldens.values import assert_same

pytest.importorskip("PIL")
GOLDEN = load("transforms")
CASES = cases("transforms", fakel)


@pytest.mark.parametrize("case", GOLDEN)
def test_draws_are_those_of_torchvision(case):
    assert_same(CASES[case](), GOLDEN[case], **tolerances("transforms", case))
