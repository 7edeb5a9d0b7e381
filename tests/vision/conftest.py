"""The oracle of the vision tests: torchvision beside the CPU build of PyTorch."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="session")
def torchvision(torch):
    """Its published build is for CUDA: two operators must be declared before the import."""
    library = torch.library.Library("torchvision", "DEF")
    for name in ("nms", "qnms"):
        library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    yield pytest.importorskip("torchvision")
    del library
