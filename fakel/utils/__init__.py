"""Utilities beside the library proper, as in ``torch.utils``."""

import importlib
from typing import Any

from fakel.utils import hooks

__all__ = ["data", "hooks"]


def __getattr__(name: str) -> Any:
    # loaded at its first use: multiprocessing takes a while
    if name == "data":
        return importlib.import_module("fakel.utils.data")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
