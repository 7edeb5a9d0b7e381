"""Putting samples together: tensors are stacked, containers are collated entry by entry."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from fakel import ops
from fakel.autograd import is_inference_mode_enabled
from fakel.tensor import Tensor, dtypes
from fakel.utils.data._utils.batch import Batch

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

CollateMap = dict[type | tuple[type, ...], Callable[..., Any]]

default_collate_err_msg_format = (
    "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; found {}"
)


def default_convert(data: Any) -> Any:
    """Turns NumPy arrays and scalars in ``data`` into tensors, inside containers as well.

    Tuples become lists; numbers, strings and everything else stay as they are.
    """
    if isinstance(data, Tensor):
        return data
    if isinstance(data, (np.ndarray, np.generic)):
        return data if _holds_text(data) else ops.as_tensor(data)
    if isinstance(data, Mapping):
        return _rebuilt_mapping(data, {key: default_convert(data[key]) for key in data})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(entry) for entry in data))
    if isinstance(data, tuple):
        return [default_convert(entry) for entry in data]
    if isinstance(data, Sequence) and not isinstance(data, (str, bytes)):
        return _rebuilt_sequence(data, [default_convert(entry) for entry in data])
    return data


def collate(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """Puts the samples in ``batch`` together, by the type of the first one.

    Args:
        batch: the samples, a list
        collate_fn_map: functions by type, or by tuple of types, called as
            ``function(batch, collate_fn_map=collate_fn_map)``; containers of other types are
            collated entry by entry

    Raises ``TypeError`` for a type that is neither.
    """
    first = batch[0]
    function = _function_for(first, collate_fn_map or {})
    if function is not None:
        return function(batch, collate_fn_map=collate_fn_map)
    if isinstance(first, Mapping):
        entries = {
            key: collate([sample[key] for sample in batch], collate_fn_map=collate_fn_map)
            for key in first
        }
        return _rebuilt_mapping(first, entries)
    if not isinstance(first, Sequence):
        raise TypeError(default_collate_err_msg_format.format(type(first)))
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*_collated_columns(batch, collate_fn_map))
    if any(len(sample) != len(first) for sample in batch):
        raise RuntimeError("each element in list of batch should be of equal size")
    columns = list(_collated_columns(batch, collate_fn_map))
    return columns if isinstance(first, tuple) else _rebuilt_sequence(first, columns)


def default_collate(batch: Any) -> Any:
    """Puts the samples in ``batch`` together, as a ``DataLoader`` does by default.

    Tensors, NumPy arrays and numbers become one tensor with a new first dimension; strings a list;
    mappings, sequences and named tuples keep their form, with every entry collated. A ``Batch`` is
    what its dataset collated already.
    """
    if isinstance(batch, Batch):
        return batch.collated
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate_tensor_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """Stacks tensors of equal shape."""
    if not _are_plain(batch):
        return ops.stack(list(batch), 0)
    # One copy of each into the batch, without a graph of as many nodes.
    kind = batch[0].dtype
    stacked = np.empty((len(batch), *batch[0].shape), kind.storage)
    for position, tensor in enumerate(batch):
        stacked[position] = tensor._array()
    return Tensor._from_array(stacked, kind)


def collate_numpy_array_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """Collates NumPy arrays as tensors; text is refused."""
    if _holds_text(batch[0]):
        raise TypeError(default_collate_err_msg_format.format(batch[0].dtype))
    first = batch[0]
    if all(_is_plain_array(array, first) for array in batch):
        return ops.from_numpy(np.stack(batch))
    return collate([ops.as_tensor(array) for array in batch], collate_fn_map=collate_fn_map)


def collate_numpy_scalar_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """Puts NumPy scalars into one tensor."""
    kind = type(batch[0])
    if all(type(scalar) is kind for scalar in batch):
        return ops.from_numpy(np.array(batch))
    return ops.as_tensor(batch)


def collate_float_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """Puts Python floats into one float64 tensor."""
    return ops.tensor(batch, dtype=dtypes.float64)


def collate_int_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Tensor:
    """Puts Python integers, or bools, into one tensor."""
    return ops.tensor(batch)


def collate_str_fn(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """Leaves strings as they are."""
    return batch


default_collate_fn_map: CollateMap = {
    Tensor: collate_tensor_fn,
    np.ndarray: collate_numpy_array_fn,
    (np.bool_, np.number, np.object_): collate_numpy_scalar_fn,
    float: collate_float_fn,
    int: collate_int_fn,
    str: collate_str_fn,
    bytes: collate_str_fn,
}


def _function_for(sample: Any, functions: CollateMap) -> Callable[..., Any] | None:
    if type(sample) in functions:
        return functions[type(sample)]
    for kind, function in functions.items():
        if isinstance(sample, kind):
            return function
    return None


def _are_plain(batch: Any) -> bool:
    """Whether the values of tensors alone, of one shape and dtype, say what their stack is."""
    shape, kind = batch[0].shape, batch[0].dtype
    for tensor in batch:
        if type(tensor) is not Tensor or tensor.shape != shape or tensor.dtype is not kind:
            return False
        if tensor.requires_grad:
            return False
    return not is_inference_mode_enabled()


def _is_plain_array(array: Any, first: np.ndarray) -> bool:
    """Whether nothing about an array needs an error or a warning in a batch that begins with
    ``first``.
    """
    return (
        type(array) is np.ndarray
        and array.shape == first.shape
        and array.dtype == first.dtype
        and array.dtype.isnative
        and array.flags.writeable
        and array.flags.c_contiguous
    )


def _collated_columns(batch: Any, collate_fn_map: CollateMap | None) -> Iterable[Any]:
    # zip ends with the shortest sample, which only named tuples get as far as.
    for column in zip(*batch, strict=False):
        yield collate(column, collate_fn_map=collate_fn_map)


def _holds_text(array: Any) -> bool:
    """Whether the dtype is one of strings, bytes or objects, which no tensor holds."""
    return array.dtype.kind in "SUO"


def _rebuilt_mapping(original: Mapping, entries: dict[Any, Any]) -> Any:
    """``entries`` in a mapping of the original's type, or else in a dictionary."""
    try:
        if isinstance(original, MutableMapping):
            clone = copy.copy(original)
            clone.update(entries)
            return clone
        return type(original)(entries)  # type: ignore[call-arg]
    except TypeError:
        return entries


def _rebuilt_sequence(original: Sequence, entries: list[Any]) -> Any:
    """``entries`` in a sequence of the original's type, or in a list where that cannot be made."""
    try:
        if isinstance(original, MutableSequence):
            clone = copy.copy(original)
            for position, entry in enumerate(entries):
                clone[position] = entry
            return clone
        return type(original)(entries)  # type: ignore[call-arg]
    except TypeError:
        return entries
