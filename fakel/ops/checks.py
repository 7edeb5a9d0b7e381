"""Which kinds of numbers an operator takes: the refusals, in PyTorch's words."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from fakel.graph import may_fail, watching
from fakel.tensor import Tensor, dtypes
from fakel.tensor.promotion import category

BOOL, INTEGER, FLOATING, COMPLEX, HALF = range(5)
NOT_FLOATING = BOOL, INTEGER, COMPLEX


def refuse(kernel: str, dtype: Any, *categories: int) -> None:
    """Raises NotImplementedError when the dtype belongs to one of the categories.

    Args:
        kernel: the name that the message gives the operation.
        categories: HALF means float16 and bfloat16.
    """
    half = HALF in categories and dtype.is_floating_point and dtype.itemsize == 2
    if half or category(dtype) in categories:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{dtype.letter}'")


def floating_only(kernel: str, tensor: Tensor) -> None:
    """Raises NotImplementedError for a tensor of integers, truth values or complex numbers.

    Args:
        kernel: the name that the message gives the operation.
    """
    if not tensor._storage.dtype.is_floating_point:
        refuse(kernel, tensor._storage.dtype, *NOT_FLOATING)


def check_fits(value: Any, dtype: Any) -> None:
    """Refuses a number to be written that an integer dtype does not hold; of negative integers in
    unsigned dtypes the size counts.

    Raises:
        RuntimeError: when it is too large.
    """
    if category(dtype) != INTEGER or isinstance(value, Tensor):
        return
    limits = np.iinfo(dtype.storage)
    lowest = limits.min if limits.min or isinstance(value, float) else -limits.max
    if not (math.isfinite(value) and lowest <= value <= limits.max):
        suffix = "" if dtype is dtypes.int64 else "_t"
        raise RuntimeError(
            f"value cannot be converted to type {dtype.name}{suffix} without overflow"
        )


def check_known(tensor: Tensor, check: Callable[[np.ndarray], None]) -> None:
    """Checks values where they are known without computing anything, so that a wrong index raises
    at the user's own line. Where they are pending, the meaning has to check.

    Args:
        check: raises for wrong values; all else that it depends on are shapes and numbers.
    """
    if tensor._storage.node.value is None:
        may_fail()
        if watching.capture is not None:
            watching.capture.may_fail(tensor, check)
        return
    capture, watching.capture = watching.capture, None
    try:
        check(tensor._array())
    finally:
        watching.capture = capture
    if capture is not None:
        capture.check(tensor, check)


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
