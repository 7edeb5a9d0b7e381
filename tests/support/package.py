"""The package under test: fakel, or PyTorch itself, to check that tests ask for what it does.

FAKEL_UNDER_TEST=torch python -m pytest tests/ops tests/autograd
"""

from __future__ import annotations

import importlib
import os

NAME = os.environ.get("FAKEL_UNDER_TEST", "fakel")
package = importlib.import_module(NAME)


def resolve(module, name: str):
    """The callable `name` of a module like torch, by its path: nn.functional.relu, Tensor.view."""
    target = module
    for part in name.split("."):
        target = getattr(target, part)
    return target
