"""Plain data of Python and NumPy, which `load(..., weights_only=False)` takes besides tensors.

NumPy's own unpickling trusts its input (a crafted dtype reaches memory that is not the array's), so
arrays and scalars are put together here from checked parts.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import decimal
import fractions
import math
import pathlib
import pickle
import types
import uuid
from typing import Any

import numpy as np


def numpy_dtype(code: str, align: bool = False, copy: bool = False) -> np.dtype[Any]:
    """A NumPy dtype of plain elements, from its code ("f8").

    Raises:
        UnpicklingError: dtypes of Python objects, records and others that are not plain.
    """
    if isinstance(code, bytes):
        code = code.decode("ascii")
    found = np.dtype(code) if isinstance(code, str) and "," not in code else None
    if found is None or found.kind not in "biufcSUmM" or found.hasobject:
        raise pickle.UnpicklingError(f"NumPy data of dtype {code!r} cannot be loaded")
    return found


def restored_dtype(found: np.dtype[Any], state: Any) -> np.dtype[Any]:
    """The dtype with the byte order of a pickled state; nothing else of the state is used."""
    order = state[1]
    order = order.decode("ascii") if isinstance(order, bytes) else order
    return found.newbyteorder(order) if order in ("<", ">") else found


def numpy_scalar(element_type: np.dtype[Any], content: Any) -> Any:
    """A NumPy scalar from its dtype and bytes."""
    content = content.encode("latin1") if isinstance(content, str) else content
    if not isinstance(element_type, np.dtype) or len(content) != element_type.itemsize:
        raise pickle.UnpicklingError("malformed NumPy scalar")
    return np.frombuffer(content, element_type)[0]


def numpy_empty(kind: Any, shape: Any, code: Any) -> np.ndarray:
    """The array that `fill_array` is about to fill."""
    if kind is not np.ndarray:
        raise pickle.UnpicklingError(f"NumPy data of type {kind!r} cannot be loaded")
    return np.ndarray.__new__(np.ndarray, (0,), np.int8)


def fill_array(array: np.ndarray, state: Any) -> None:
    """Give an array of `numpy_empty` its content, in place.

    Raises:
        UnpicklingError: the bytes do not make an array of that shape and dtype.
    """
    _version, shape, element_type, _is_fortran, content = state
    content = content.encode("latin1") if isinstance(content, str) else content
    fits = (
        isinstance(element_type, np.dtype)
        and element_type.kind in "biufcSUmM"
        and isinstance(content, bytes)
        and all(type(size) is int and size >= 0 for size in shape)
        and math.prod(shape) * element_type.itemsize == len(content)
    )
    if not fits:
        raise pickle.UnpicklingError("malformed NumPy array")
    array.__setstate__(state)


def numpy_from_buffer(content: Any, element_type: Any, shape: Any, order: Any) -> np.ndarray:
    """An array as protocol 5 writes it."""
    if not isinstance(element_type, np.dtype) or element_type.hasobject:
        raise pickle.UnpicklingError("malformed NumPy array")
    return np.frombuffer(bytearray(content), element_type).reshape(shape, order=order)


def plain_bytes(content: bytes = b"") -> bytes:
    """Bytes as protocol 2 writes empty ones."""
    return bytes(content) if isinstance(content, (bytes, bytearray)) else b""


# types that a file may refer to, as a defaultdict does to its factory, but not call
REFERENCES: dict[str, Any] = {
    f"builtins.{kind.__name__}": kind for kind in (int, float, bool, str, list, dict, tuple, object)
}
REFERENCES["numpy.ndarray"] = np.ndarray

TABLE: dict[str, Any] = {
    "collections.defaultdict": collections.defaultdict,
    "collections.deque": collections.deque,
    "builtins.frozenset": frozenset,
    "builtins.range": range,
    "builtins.slice": slice,
    "builtins.bytes": plain_bytes,
    "datetime.date": datetime.date,
    "datetime.datetime": datetime.datetime,
    "datetime.time": datetime.time,
    "datetime.timedelta": datetime.timedelta,
    "datetime.timezone": datetime.timezone,
    "decimal.Decimal": decimal.Decimal,
    "fractions.Fraction": fractions.Fraction,
    "uuid.UUID": uuid.UUID,
    "pathlib.PurePosixPath": pathlib.PurePosixPath,
    "pathlib.PureWindowsPath": pathlib.PureWindowsPath,
    "pathlib.PosixPath": pathlib.Path,
    "pathlib.WindowsPath": pathlib.PureWindowsPath,
    "pathlib._local.PosixPath": pathlib.Path,
    "types.SimpleNamespace": types.SimpleNamespace,
    "argparse.Namespace": argparse.Namespace,
    "numpy.dtype": numpy_dtype,
}
for _module in ("numpy.core", "numpy._core"):
    TABLE[f"{_module}.multiarray.scalar"] = numpy_scalar
    TABLE[f"{_module}.multiarray._reconstruct"] = numpy_empty
    TABLE[f"{_module}.numeric._frombuffer"] = numpy_from_buffer
for (
    _name
) in "bool_ int8 int16 int32 int64 uint8 uint16 uint32 uint64 float16 float32 float64".split():
    REFERENCES[f"numpy.{_name}"] = getattr(np, _name)
