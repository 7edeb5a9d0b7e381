"""Modules print as PyTorch prints them: the recorded texts of every module of torch.nn."""

from __future__ import annotations

import re

import pytest

import fakel
from tests.goldens import cases, load

GOLDEN = load("module_printing")
CASES = cases("module_printing", fakel)


@pytest.mark.filterwarnings("ignore")  # some modules are deprecated
@pytest.mark.parametrize("name", GOLDEN)
def test_recorded_text(name):
    assert CASES[name]() == GOLDEN[name]


def test_every_module_is_recorded():
    used = set(re.findall(r"[A-Z]\w+", " ".join(GOLDEN)))
    assert set(fakel.nn.modules.__all__) - used == set()
