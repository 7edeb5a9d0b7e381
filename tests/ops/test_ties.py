"""Which of several equal elements is picked: the same one as by PyTorch."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.package import package


def lanes(seed: int):
    """Integers with many equal ones, of many lengths; and numbers with some nan."""
    random = np.random.default_rng(seed)
    for _ in range(40):
        length = int(random.integers(1, 200))
        yield random.integers(0, max(2, length // 3), length), random
        numbers = random.integers(0, max(2, length // 3), length).astype(np.float32)
        numbers[random.random(length) < 0.1] = np.nan
        yield numbers, random


@pytest.mark.parametrize("largest", [True, False])
def test_topk(torch, largest):
    for values, random in lanes(1):
        for k in {1, int(random.integers(1, len(values) + 1)), len(values)}:
            ours = package.tensor(values).topk(k, largest=largest).indices.tolist()
            assert ours == torch.tensor(values).topk(k, largest=largest).indices.tolist()


def test_kthvalue(torch):
    for values, random in lanes(2):
        k = int(random.integers(1, len(values) + 1))
        ours = package.tensor(values).kthvalue(k).indices.item()
        assert ours == torch.tensor(values).kthvalue(k).indices.item()


def test_mode_and_median(torch):
    for values, _ in lanes(3):
        if np.isnan(values).any():
            continue
        for name in ("mode", "median"):
            ours = getattr(package.tensor(values), name)(0).indices.item()
            assert ours == getattr(torch.tensor(values), name)(0).indices.item(), name


def test_equal_elements_along_a_middle_dimension(torch):
    values = np.random.default_rng(4).integers(0, 4, (3, 7, 5))
    for call in (
        lambda x: x.topk(4, 1).indices,
        lambda x: x.kthvalue(4, 1).indices,
        lambda x: x.mode(1).indices,
        lambda x: x.kthvalue(4, 1, keepdim=True).values,
    ):
        assert call(package.tensor(values)).tolist() == call(torch.tensor(values)).tolist()


def test_sorting_keeps_the_order_of_equal_elements():
    values = np.random.default_rng(5).integers(0, 9, 500)
    ours = package.tensor(values).sort(stable=True).indices.tolist()
    assert ours == np.argsort(values, kind="stable").tolist()
    falling = package.tensor(values).sort(descending=True, stable=True).indices.tolist()
    assert falling == np.argsort(-values, kind="stable").tolist()
