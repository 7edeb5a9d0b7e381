"""Generators: seeds, states and copies are PyTorch's, from golden files."""

import base64

import numpy as np
import pytest

import fakel
from tests.goldens import cases, load
from tests.goldens.values import assert_same

GOLDEN = load("generators")
CASES = cases("generators", fakel)


@pytest.mark.parametrize("case", GOLDEN)
def test_generators_do_what_pytorchs_do(case):
    assert_same(CASES[case](), GOLDEN[case])


@pytest.mark.parametrize("case", [case for case in GOLDEN if case.startswith("bytes after")])
def test_a_state_saved_by_pytorch_goes_on_with_its_numbers(case):
    content = np.frombuffer(base64.b64decode(GOLDEN[case]), np.uint8)
    fakel.set_rng_state(fakel.from_numpy(content.copy()))
    drawn = [*fakel.randn(3).tolist(), *fakel.rand(700)[-3:].tolist()]
    assert drawn == GOLDEN[case.replace("bytes", "state")]["numbers"]
