"""Kernel families, one a folder or file; ``load`` declares their lowerings."""

import importlib
import pkgutil


def load() -> None:
    """Imports every family."""
    for module in pkgutil.walk_packages(__path__, f"{__name__}."):
        importlib.import_module(module.name)
