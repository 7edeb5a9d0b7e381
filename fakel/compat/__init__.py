"""What lets programs that say `import torch` run on fakel: scripts, their workers, notebooks."""

import importlib
from typing import Any

from fakel.compat.notebook import load_ipython_extension, unload_ipython_extension
from fakel.compat.version import TorchVersion

__all__ = [
    "TorchVersion",
    "install",
    "load_ipython_extension",
    "uninstall",
    "unload_ipython_extension",
]


def __getattr__(name: str) -> Any:
    # loaded at its first use: multiprocessing takes a while
    if name in ("install", "uninstall"):
        return getattr(importlib.import_module("fakel.compat.alias"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
