"""Models of torchvision as they start, and its dataset of random images."""

from __future__ import annotations

import importlib
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.goldens.transforms import vision
from tests.goldens.values import checksum

SEED = 4

MODELS = ("resnet18", "squeezenet1_1", "mobilenet_v2", "densenet121")
IMAGES = ("FakeData(5, (3, 8, 8), 4)", "FakeData(5, (1, 6, 9), 10, random_offset=1000)")


def package(torch: Any, name: str) -> Any:
    """A module of torchvision, or of fakel."""
    root = vision(torch).__name__.rpartition(".")[0]
    return importlib.import_module(f"{root}.{name}")


def started(torch: Any, name: str) -> dict[str, Any]:
    """Checksums of all weights of a new model together, and of the generator's state."""
    torch.manual_seed(SEED)
    model = getattr(package(torch, "models"), name)(num_classes=10)
    total = 0
    for value in model.state_dict().values():
        total = zlib.crc32(value.numpy().tobytes(), total)
    return {"weights": total, "state": checksum(torch, torch.get_rng_state())}


def images(torch: Any, expression: str) -> dict[str, Any]:
    """A checksum of each image with its label, and the generator's state."""
    torch.manual_seed(SEED)
    dataset = eval(expression, vars(package(torch, "datasets")).copy())
    pairs = [dataset[number] for number in range(len(dataset))]
    return {
        "images": [[zlib.crc32(np.asarray(image).tobytes()), int(label)] for image, label in pairs],
        "state": checksum(torch, torch.get_rng_state()),
    }


def cases(torch: Any) -> dict[str, Callable[[], Any]]:
    """All of them."""
    table: dict[str, Callable[[], Any]] = {}
    for name in MODELS:
        table[name] = lambda name=name: started(torch, name)
    for each in IMAGES:
        table[each] = lambda each=each: images(torch, each)
    return table
