"""Pillow, an extra (`pip install 'fakel[vision]'`), imported only when an image is needed."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any


def pillow(name: str = "Image") -> ModuleType:
    """The module `PIL.<name>`, or a clear error when Pillow is not installed."""
    module = sys.modules.get(f"PIL.{name}")
    if module is not None:
        return module
    try:
        return importlib.import_module(f"PIL.{name}")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            "images need Pillow, which is not installed: pip install 'fakel[vision]'"
        ) from error


def is_pillow_image(value: Any) -> bool:
    """Whether `value` is a PIL image. Never imports Pillow: without it there are no PIL images."""
    module = sys.modules.get("PIL.Image")
    return module is not None and isinstance(value, module.Image)


def image_from_array(array: Any, mode: str) -> Any:
    """A PIL image of `mode` from an array of shape (height, width) or (height, width, channels).

    `Image.fromarray` with an explicit mode is deprecated in Pillow; this does the same.
    """
    height, width = array.shape[:2]
    return pillow().frombuffer(mode, (width, height), array.tobytes(), "raw", mode, 0, 1)
