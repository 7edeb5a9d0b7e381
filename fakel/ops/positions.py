"""Positions of elements: from flat indices, and of so many that are not zero."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fakel.ops.declare import function, operator
from fakel.tensor import Tensor


@function
def unravel_index(indices: Tensor, shape: Any) -> tuple[Tensor, ...]:
    """Indices into the flattened array as an index of each dimension.

    Args:
        shape: that of the array, an int or several.
    """
    if indices.is_complex() or indices.is_floating_point() or indices.dtype.name == "bool":
        raise TypeError(f"expected 'indices' to be integer dtype, but got {indices.dtype}")
    if not isinstance(shape, (int, Sequence)):
        raise TypeError(f"expected 'shape' to be int or sequence of ints, but got {type(shape)}")
    if isinstance(shape, int):
        shape = (shape,)
    for size in shape:
        if not isinstance(size, int):
            raise TypeError(f"expected 'shape' sequence to only contain ints, but got {type(size)}")
    if any(size < 0 for size in shape):
        raise ValueError(f"'shape' cannot have negative values, but got {tuple(shape)}")
    indices = indices.long()
    found, distance = [], 1
    for size in reversed(shape):
        found.append(indices.div(distance, rounding_mode="floor") % size)
        distance *= size
    return tuple(reversed(found))


@operator()
def nonzero_static(input: Tensor, *, size: int, fill_value: int = -1) -> Tensor:
    """The positions of the first ``size`` elements that are not zero, a row each; rows of
    ``fill_value`` where there are fewer."""
    if size < 0:
        raise RuntimeError("nonzero_static: 'size' must be an non-negative integer")
    array = input._values()
    found = np.argwhere(array)[:size]
    result = np.full((size, array.ndim), fill_value, np.int64)
    result[: len(found)] = found
    return Tensor._from_array(result)
