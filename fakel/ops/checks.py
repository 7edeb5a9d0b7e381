"""Which kinds of numbers an operator takes: the refusals, in PyTorch's words."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakel.tensor import Tensor
from fakel.tensor.promotion import category

BOOL, INTEGER, FLOATING, COMPLEX = range(4)


def refuse(kernel: str, dtype: Any, *categories: int) -> None:
    """Raises NotImplementedError when the dtype belongs to one of the categories.

    Args:
        kernel: the name that the message gives the operation.
    """
    if category(dtype) in categories:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{dtype.letter}'")


def known(tensor: Tensor) -> np.ndarray | None:
    """The values where they are known without computing anything, so that a wrong index raises at
    the user's own line; None where they are pending, and the meaning has to check."""
    return None if tensor._storage.node.value is None else tensor._array()


def check_tensor(name: str, argument: str, position: int, value: Any) -> Tensor:
    """The value, which must be a tensor.

    Raises:
        TypeError: when it is none.
    """
    if not isinstance(value, Tensor):
        raise TypeError(
            f"{name}(): argument '{argument}' (position {position}) must be Tensor, not "
            f"{type(value).__name__}"
        )
    return value
