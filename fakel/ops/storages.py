"""The memory of tensors as programs see it: ``storage``, ``untyped_storage``, ``set_``."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakel.ops.data import array_of
from fakel.ops.declare import function, method
from fakel.ops.inplace import check_history
from fakel.tensor import Storage, Tensor
from fakel.tensor.dtypes import dtype, int64
from fakel.tensor.size import contiguous_strides, span_of
from fakel.tensor.typed_storage import LEGACY, TypedStorage, tensor_on, warn_of_removal
from fakel.tensor.untyped_storage import UntypedStorage


def _from_data(data: Any, kind: dtype) -> Tensor:
    return Tensor._from_array(array_of(data, kind)[0], kind)


# tensors lie below the operators, which know what data may be
TypedStorage._from_data = staticmethod(_from_data)  # type: ignore[method-assign]


def untyped_storage(self: Tensor) -> UntypedStorage:
    """The tensor's memory as bytes; views of one tensor have the same object."""
    return UntypedStorage.of(self._storage)


def storage(self: Tensor) -> TypedStorage:
    """The tensor's memory as elements of its dtype. Deprecated in PyTorch."""
    warn_of_removal()
    return _typed_storage(self)


def _typed_storage(self: Tensor) -> TypedStorage:
    """As ``storage``, without a warning."""
    return TypedStorage.of(UntypedStorage.of(self._storage), self.dtype)


def storage_type(self: Tensor) -> type[TypedStorage]:
    """The class of the tensor's storage, ``torch.FloatStorage``."""
    warn_of_removal()
    return LEGACY[f"{self.dtype.letter}Storage"]


# not declared as methods, which would have the warning point into fakel
for _method in (untyped_storage, storage, _typed_storage, storage_type):
    setattr(Tensor, _method.__name__, _method)


@function
def is_storage(obj: Any) -> bool:
    """Whether ``obj`` is a storage."""
    return isinstance(obj, (TypedStorage, UntypedStorage))


def storage_for(source: TypedStorage | UntypedStorage, kind: dtype, name: str) -> Storage:
    """What a tensor of a dtype shows of a storage.

    Args:
        name: what the message calls the dtype.

    Raises:
        RuntimeError: it is a storage of another dtype.
    """
    if isinstance(source, TypedStorage):
        if source.dtype is not kind:
            raise RuntimeError(
                f"Expected a Storage of type {name} or an UntypedStorage, but got type "
                f"{source.dtype.letter} for argument 1 'storage'"
            )
        source = source._untyped_storage
    return source.as_dtype(kind)


def tensor_of(source: TypedStorage | UntypedStorage, kind: dtype) -> Tensor:
    """A tensor of all elements of a storage, on its memory."""
    storage = storage_for(source, kind, kind.letter)
    return tensor_on(storage, 0, (storage.length,), (1,))


def as_tensor_of(source: TypedStorage | UntypedStorage, kind: dtype | None) -> Tensor:
    """As ``tensor_of``; without a dtype bytes are taken as those of int64."""
    if kind is None:
        kind = source.dtype if isinstance(source, TypedStorage) else int64
    elif isinstance(source, TypedStorage) and source.dtype is not kind:
        raise RuntimeError(
            f"Expected a Storage of type {kind.letter} or an UntypedStorage, but got "
            f"{source.dtype.letter}"
        )
    return tensor_of(source, kind)


@method
def set_(
    self: Tensor, source: Any = None, storage_offset: int = 0, size: Any = None, stride: Any = None
) -> Tensor:
    """Makes this tensor show another tensor's memory, or that of a storage.

    Args:
        source: a tensor of this one's dtype, or a storage; None for nothing.
        storage_offset: where in the memory the first element is.
        size: the shape; a storage that is too small for it becomes larger.
        stride: as ``Tensor.stride``; None for contiguous.
    """
    check_history(self)
    kind = self.dtype
    if source is None:
        self._take(Tensor._from_array(np.empty(0, kind.storage), kind))
        return self
    if isinstance(source, Tensor):
        if source.dtype is not kind:
            raise RuntimeError(
                f"Could not set tensor of type {source.dtype.c_name} to a tensor of type "
                f"{kind.c_name}"
            )
        if size is None:
            self._take(source)
            return self
        storage = source._storage
    else:
        storage = storage_for(source, kind, kind.c_name)
        if size is None:
            if storage_offset:
                raise TypeError("set_() needs a size where it is given an offset")
            size = (storage.length,)
    shape = tuple(size)
    strides = contiguous_strides(shape) if stride is None else tuple(stride)
    _check_geometry(shape, strides, storage_offset)
    span = span_of(shape, strides)
    if span and storage_offset + span > storage.length:
        UntypedStorage.of(storage).resize_((storage_offset + span) * kind.itemsize)
    self._take(tensor_on(storage, storage_offset, shape, strides))
    return self


def _check_geometry(shape: tuple[int, ...], strides: tuple[int, ...], offset: int) -> None:
    if len(shape) != len(strides):
        raise RuntimeError(f"unequal size length ({len(shape)}) and stride length ({len(strides)})")
    if offset < 0:
        raise RuntimeError(f"Tensor: invalid storage offset {offset}")
    if min(*shape, *strides, 0) < 0:
        raise RuntimeError(
            f"Storage size calculation overflowed with sizes={list(shape)} and "
            f"strides={list(strides)}"
        )
