"""What wrong calls raise and warn of, and what they leave behind.

The calls stand in `wrong_calls/*.txt`, one a line; the names that they use are made anew for each.
"""

from __future__ import annotations

import copy
import fractions
import io
import math
import pickle
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

FOLDER = Path(__file__).parent / "wrong_calls"
# PyTorch tells where in its C++ code a warning arose, and how the C++ stack stood
PLACES = re.compile(r" ?\(Triggered internally at .*?\)$|\nException raised from .*", re.DOTALL)
ADDRESS = re.compile(r"\bat 0x[0-9a-f]+")


def names(torch: Any) -> dict[str, Any]:
    """What the lines call by name."""
    leaf = torch.ones(2, 3, requires_grad=True)
    return {
        "torch": torch,
        "nn": torch.nn,
        "F": torch.nn.functional,
        "np": np,
        "copy": copy,
        "fractions": fractions,
        "io": io,
        "math": math,
        "pickle": pickle,
        "x": torch.arange(1.0, 7.0).reshape(2, 3),
        "i": torch.arange(6).reshape(2, 3),
        "b": torch.tensor([[True, False, True], [False, True, True]]),
        "c": torch.complex(torch.ones(2), torch.ones(2)),
        "w": leaf,
        "o": torch.optim.SGD([leaf], lr=0.1),
    }


def outcome(torch: Any, line: str) -> dict[str, Any]:
    """Type and text of what a line raises; its warnings; which of the tensors `x`, `i`, `b`, `c`
    and `w` it changed; whether it drew random numbers.
    """
    if hasattr(torch, "set_warn_always"):
        torch.set_warn_always(True)  # PyTorch gives some warnings once a process
    torch.manual_seed(0)
    known = names(torch)
    before = torch.get_rng_state().tolist()
    tensors = {name: known[name] for name in "xibcw"}
    values = {name: (each.tolist(), each._version) for name, each in tensors.items()}
    found: dict[str, Any] = {"raises": None}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(compile(line, "<wrong>", "exec"), known)
        except Exception as error:
            found["raises"] = [type(error).__name__, told(error)]
    found["warns"] = [[each.category.__name__, told(each.message)] for each in caught]
    found["changes"] = [
        name
        for name, each in tensors.items()
        if repr((each.tolist(), each._version)) != repr(values[name])
    ]
    found["draws"] = torch.get_rng_state().tolist() != before
    return {name: value for name, value in found.items() if value}


def told(message: Any) -> str:
    """The text without places in C++ code and addresses; fakel goes by torch's name."""
    text = re.sub(r"\bfakel\b", "torch", str(message))
    return ADDRESS.sub("at ...", PLACES.sub("", text))


def cases(torch: Any) -> dict[str, Callable[[], Any]]:
    """A case for each line."""
    return {
        f"{file.stem}: {line}": lambda line=line: outcome(torch, line)
        for file in sorted(FOLDER.glob("*.txt"))
        for line in file.read_text(encoding="utf-8").splitlines()
        if line and not line.startswith("#")
    }
