"""Single random numbers for transforms are PyTorch's, and leave its generator's state."""

from __future__ import annotations

import pytest

import fakel
from fakel.vision.transforms import draws

RANGES = [(0, 1), (0.0, 0.3), (-0.1, 0.9), (0.7, 1.4), (-30.0, 30.0), (3, 3), (1e-3, 1e4), (-5, 0)]


@pytest.mark.parametrize("limits", RANGES)
def test_uniform(torch, limits):
    for library in (fakel, torch):
        library.manual_seed(17)
    expected = [torch.empty(1).uniform_(*limits).item() for _ in range(3000)]
    assert [draws.uniform(*limits) for _ in range(3000)] == expected
    assert fakel.rand(1).item() == torch.rand(1).item()


WHOLE = [(0, 1), (0, 9), (-4, 5), (0, 1 << 27), (0, 1 << 28), (5, 1 << 40)]


@pytest.mark.parametrize("limits", WHOLE)
def test_whole_numbers(torch, limits):
    for library in (fakel, torch):
        library.manual_seed(18)
    expected = [torch.randint(*limits, (1,)).item() for _ in range(300)]
    assert [draws.whole_number(*limits) for _ in range(300)] == expected
    assert draws.chance() == torch.rand(1).item()
