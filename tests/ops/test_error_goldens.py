"""Wrong calls raise, warn and leave behind what they do under PyTorch, from the golden file."""

import pytest

import fakel
from tests.goldens import cases, load

GOLDEN = load("errors")
CASES = cases("errors", fakel)


@pytest.mark.parametrize("name", GOLDEN)
def test_a_wrong_call_is_refused_in_pytorchs_words(name):
    assert CASES[name]() == GOLDEN[name]


def test_every_call_is_in_the_golden_file():
    assert list(CASES) == list(GOLDEN)
