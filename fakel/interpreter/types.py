"""What the interpreter needs to know of a dtype and of a node."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np


class ElementType(Protocol):
    """An element type: ``storage`` is how it lies in memory, ``compute`` what meanings work in."""

    storage: np.dtype[Any]
    compute: np.dtype[Any]
    name: str
