"""Transforms print as those of torchvision: recorded texts."""

import pytest

import fakel
from tests.goldens import cases, load

GOLDEN = load("transform_printing")
CASES = cases("transform_printing", fakel)


@pytest.mark.parametrize("name", GOLDEN)
def test_recorded_text(name):
    assert CASES[name]() == GOLDEN[name]
