"""Kernel families, one a file; ``load`` declares their lowerings."""

import importlib
import pkgutil


def load() -> None:
    """Imports every family."""
    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
