"""Golden files: what PyTorch gave, recorded by `record.py`, read where PyTorch isn't installed.

A *family* is a module beside this one with a function `cases(torch)`: names, and callables that
give something JSON can hold. They are written against torch's names alone, so that the same
callables run under PyTorch, when recording, and under fakel, in the tests.
"""

from __future__ import annotations

import gzip
import importlib
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

VERSION = "2.13"
FOLDER = Path(__file__).parent / f"torch-{VERSION}"


def cases(family: str, torch: Any) -> dict[str, Callable[[], Any]]:
    """The cases of a family, for PyTorch or for fakel."""
    table: dict[str, Callable[[], Any]] = importlib.import_module(f"{__name__}.{family}").cases(
        torch
    )
    return table


def tolerances(family: str, case: str) -> dict[str, float]:
    """How far apart a case's numbers may be from one processor to another.

    As keywords of `values.assert_same`; none, unless the family has a function of its own that
    says so for its cases.
    """
    module = importlib.import_module(f"{__name__}.{family}")
    return module.tolerances(case) if hasattr(module, "tolerances") else {}


def path(family: str) -> Path:
    """The file of a family."""
    return FOLDER / f"{family}.json.gz"


def load(family: str) -> dict[str, Any]:
    """What PyTorch gave: a value for each case of the family."""
    recorded: dict[str, Any] = json.loads(gzip.decompress(path(family).read_bytes()))
    return recorded
