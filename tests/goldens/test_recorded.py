"""Where PyTorch is installed: golden files hold what it gives, and all cases are recorded."""

import pytest

from tests.goldens import cases, load, tolerances
from tests.goldens.record import families, recorded
from tests.goldens.values import assert_same

SAMPLES = 60  # so many cases of a family are recorded again


@pytest.mark.parametrize("family", families())
def test_golden_files_are_what_pytorch_gives(family, torch):
    golden = load(family)
    assert list(golden) == list(cases(family, torch))
    again = recorded(family, torch, every=max(1, len(golden) // SAMPLES))
    for case, result in again.items():
        assert_same(result, golden[case], **tolerances(family, case))
