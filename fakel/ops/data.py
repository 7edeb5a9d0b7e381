"""What Python data means as a tensor: the shape, the dtype and the values of nested sequences."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fakel.interpreter import narrow
from fakel.tensor import Tensor, dtypes, get_default_dtype, promote_types
from fakel.tensor.dtypes import dtype
from fakel.tensor.promotion import category, number_dtype

_NUMBERS = (bool, int, float, complex)
_MOST_DIMENSIONS = 128


def array_of(data: Any, kind: dtype | None) -> tuple[np.ndarray, dtype]:
    """Data as a fresh array in storage form, and its dtype.

    Args:
        data: a number, a NumPy array, or nested sequences of numbers, arrays and tensors of one
            element.
        kind: the dtype, or None to infer it: bool, int64 and the default floating-point dtype for
            Python's numbers, NumPy's own for arrays.

    Raises:
        ValueError: for sequences of different lengths, and integers beyond 64 bits.
        TypeError, RuntimeError: for what is no number.
    """
    if isinstance(data, (np.ndarray, np.generic)):
        check_strides(np.asarray(data))
        values, found = np.asarray(data), dtypes.from_numpy(data.dtype)
    else:
        values, found = _quickly(data) or _slowly(data, kind)
    kind = found if kind is None else kind
    if kind is found:
        with np.errstate(over="ignore"):
            return narrow(np.array(values, order="C"), kind), kind
    with np.errstate(over="ignore"):
        return narrow(_converted(values, kind), kind), kind


def check_strides(array: np.ndarray) -> None:
    """Refuses arrays that run backwards through memory, as PyTorch does."""
    if any(stride < 0 for stride in array.strides):
        raise ValueError(
            "At least one stride in the given numpy array is negative, and tensors with negative "
            "strides are not currently supported. (You can probably work around this by making a "
            "copy of your array  with array.copy().) "
        )


def _quickly(data: Any) -> tuple[np.ndarray, dtype] | None:
    """Numbers and regular nested sequences of Python numbers; None for everything else."""
    first = data
    while isinstance(first, (list, tuple, range)):
        if not len(first):
            return None
        first = first[0]
    if type(first) not in _NUMBERS:
        return None
    try:
        array = np.array(data)
    except (ValueError, TypeError, OverflowError, RuntimeError):
        return None
    found = {"b": dtypes.bool_, "i": dtypes.int64}.get(array.dtype.kind)
    if array.dtype.kind == "f":
        found = get_default_dtype()
    elif array.dtype.kind == "c":
        found = get_default_dtype().to_complex()
    return None if found is None or array.dtype.itemsize > 16 else (array, found)


def _slowly(data: Any, kind: dtype | None) -> tuple[np.ndarray, dtype]:
    shape = _shape(data)
    found = _inferred(data)
    flat: list[Any] = []
    _flatten(data, shape, 0, flat)
    wide = np.result_type(found.compute, np.int64) if category(found) == 1 else found.compute
    if category(found) >= 2:
        wide = np.dtype(np.complex128 if found.is_complex else np.float64)
    try:
        values = np.array(flat, wide)
    except OverflowError:
        raise ValueError("Overflow when unpacking long long") from None
    return values.reshape(shape), found if kind is None else dtypes.from_numpy(values.dtype)


def _is_sequence(data: Any) -> bool:
    if isinstance(data, np.ndarray):
        return data.ndim > 0
    return isinstance(data, Sequence) or (
        not isinstance(data, (Tensor, np.generic, dict, set, frozenset))
        and hasattr(data, "__len__")
        and hasattr(data, "__getitem__")
    )


def _shape(data: Any) -> tuple[int, ...]:
    """The shape as the first element of each level tells it."""
    shape: list[int] = []
    while _is_sequence(data) and not (isinstance(data, (str, bytes)) and not shape):
        if isinstance(data, (str, bytes)) or len(shape) > _MOST_DIMENSIONS:
            raise ValueError(f"too many dimensions '{type(data).__name__}'")
        shape.append(len(data))
        if not len(data):
            break
        data = data[0]
    return tuple(shape)


def _inferred(data: Any) -> dtype:
    # NumPy's scalars first: some are Python's numbers as well
    if isinstance(data, (np.ndarray, np.generic)):
        return dtypes.from_numpy(data.dtype)
    if isinstance(data, _NUMBERS):
        return number_dtype(data)
    if isinstance(data, Tensor):
        return data.dtype
    if isinstance(data, (str, bytes)):
        raise TypeError(f"new(): invalid data type '{type(data).__name__}'")
    if not _is_sequence(data):
        raise RuntimeError(f"Could not infer dtype of {type(data).__name__}")
    if not len(data):
        return get_default_dtype()
    found: dtype | None = None
    for each in data:
        mine = _inferred(each)
        found = mine if found is None else promote_types(found, mine)
    assert found is not None
    return found


def _flatten(data: Any, shape: tuple[int, ...], dim: int, flat: list[Any]) -> None:
    if dim == len(shape):
        flat.append(_number(data))
        return
    if not _is_sequence(data):
        raise TypeError("not a sequence")
    if len(data) != shape[dim]:
        raise ValueError(f"expected sequence of length {shape[dim]} at dim {dim} (got {len(data)})")
    for each in data:
        _flatten(each, shape, dim + 1, flat)


def _number(value: Any) -> Any:
    if isinstance(value, Tensor):
        if value.numel() != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return value.item()
    if isinstance(value, np.ndarray):
        return value.item()
    if _is_sequence(value):
        raise TypeError(f"'{type(value).__name__}' object cannot be interpreted as an integer")
    return value


def _converted(values: np.ndarray, kind: dtype) -> np.ndarray:
    """The values in a given dtype's compute form.

    Raises:
        TypeError: for complex numbers as real ones.
        RuntimeError: for numbers that an integer dtype cannot hold.
    """
    source = values.dtype.kind
    if kind.is_complex or kind is dtypes.bool_:
        return values.astype(kind.compute)
    if source == "c":
        raise TypeError("must be real number, not complex")
    if kind.is_floating_point:
        return values.astype(kind.compute)
    limits = np.iinfo(kind.storage)
    # as in C, unsigned integers take negative numbers
    lowest = limits.min if limits.min else -limits.max
    if source in "fiu" and values.size:
        with np.errstate(invalid="ignore"):
            fits = (values >= lowest) & (values <= limits.max)
        if not fits.all():
            raise RuntimeError(f"value cannot be converted to type {kind.name} without overflow")
    if source == "f":
        values = values.astype(np.int64 if kind.storage.itemsize < 8 else kind.storage)
    return values.astype(kind.storage)
