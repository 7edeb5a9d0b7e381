"""``torch.TypedStorage``: a tensor's memory as elements of a dtype; deprecated in PyTorch.

The classes ``torch.FloatStorage`` and so on make such storages.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any, cast

import numpy as np

from fakel.tensor import dtypes
from fakel.tensor.device import check_device, device
from fakel.tensor.dtypes import get_default_dtype
from fakel.tensor.size import span_of
from fakel.tensor.storage import Storage
from fakel.tensor.tensor import Tensor
from fakel.tensor.untyped_storage import UntypedStorage, check_no_type

_CLASS = "<class 'torch.storage.TypedStorage'>"
_MAKING = (
    "TypedStorage.__init__ received an invalid combination of arguments. Expected one of:\n"
    " * (*, torch.device device, torch.dtype dtype)\n"
    " * (int size, *, torch.device device, torch.dtype dtype)\n"
    " * (Sequence data, *, torch.device device, torch.dtype dtype)\n"
    " * (*, UntypedStorage wrap_storage, torch.dtype dtype)"
)
_MAKING_LEGACY = (
    "{}.__new__ received an invalid combination of arguments. Expected one of:\n"
    " * no arguments\n"
    " * (int size)\n"
    " * (Sequence data)\n"
    " * (*, UntypedStorage wrap_storage)"
)


# PyTorch has no typed storage for these, so that it writes raw bytes and names the dtype apart
UNTYPED = (dtypes.uint16, dtypes.uint32, dtypes.uint64)


class TypedStorage:
    """Memory of tensors as elements of a dtype. It is theirs: what is written through it, they
    show.

    Args:
        args: nothing, the number of elements, or a sequence of their values.
        device: the CPU.
        dtype: the dtype of the elements, else the default one.
        wrap_storage: the memory, instead of new one.
    """

    _untyped_storage: UntypedStorage
    dtype: dtypes.dtype

    is_sparse = False
    filename = None

    def __init__(
        self, *args: Any, device: Any = None, dtype: Any = None, wrap_storage: Any = None
    ) -> None:
        warn_of_removal()
        if wrap_storage is not None:
            _check_wrapping(args, device, dtype, wrap_storage)
            self._untyped_storage, self.dtype = wrap_storage, dtype
            return
        check_device(device)
        self.dtype = get_default_dtype() if dtype is None else dtype
        if len(args) > 1:
            raise RuntimeError(f"{_MAKING}\nToo many positional arguments")
        first = args[0] if args else 0
        if isinstance(first, (int, np.integer)):
            if first < 0:
                raise RuntimeError(f"a storage cannot have a size of {first} elements")
            flat = np.zeros(int(first), self.dtype.storage)
            self._untyped_storage = UntypedStorage.on(flat, self.dtype)
        elif isinstance(first, Sequence):
            self._untyped_storage = UntypedStorage.of(self._from_data(first, self.dtype)._storage)
        else:
            raise TypeError(f"{_MAKING}\nArgument type not recognized: {type(first)}")

    @staticmethod
    def of(untyped: UntypedStorage, kind: dtypes.dtype) -> TypedStorage:
        """Bytes as elements of a dtype, without a warning."""
        typed: TypedStorage = object.__new__(TypedStorage)
        typed._untyped_storage, typed.dtype = untyped, kind
        return typed

    @classmethod
    def from_buffer(cls, *args: Any, dtype: Any = None, **keywords: Any) -> TypedStorage:
        """A storage with a copy of what lies in a bytes-like object, as
        `UntypedStorage.from_buffer` makes it; the classes of one dtype take no ``dtype``.
        """
        warn_of_removal()
        if cls is not TypedStorage:
            if dtype is not None:
                raise RuntimeError(
                    "from_buffer: 'dtype' can only be specified in UntypedStorage.from_buffer and "
                    "TypedStorage.from_buffer"
                )
            kind = cls.dtype
        else:
            kind = get_default_dtype() if dtype is None else dtype
        return TypedStorage.of(UntypedStorage.from_buffer(*args, dtype=kind, **keywords), kind)

    @staticmethod
    def _from_data(data: Any, kind: dtypes.dtype) -> Tensor:
        raise TypeError("fakel.ops provides what makes tensors of data")

    def _storage(self) -> Storage:
        """The storage of elements of this dtype."""
        return self._untyped_storage.as_dtype(self.dtype)

    def _tensor(self) -> Tensor:
        """A tensor that shows all elements; writing to it is not tracked."""
        storage = self._storage()
        return tensor_on(storage, 0, (storage.length,), (1,)).data

    # ---------------------------------------------------------------- elements

    def _length(self) -> int:
        return self._untyped_storage.nbytes() // self.dtype.itemsize

    def __len__(self) -> int:
        warn_of_removal()
        return self._length()

    def size(self) -> int:
        """The number of elements."""
        warn_of_removal()
        return self._length()

    def nbytes(self) -> int:
        """The number of bytes."""
        warn_of_removal()
        return self._untyped_storage.nbytes()

    def element_size(self) -> int:
        """The size of an element in bytes."""
        warn_of_removal()
        return self.dtype.itemsize

    def __getitem__(self, index: Any) -> Any:
        """An element as a Python number."""
        warn_of_removal()
        if isinstance(index, slice):
            raise RuntimeError("slices are only supported in UntypedStorage.__getitem__")
        if not isinstance(index, int):
            raise RuntimeError(f"can't index a {_CLASS} with {type(index)}")
        if type(index) is not int:
            raise TypeError(f"can't index a {_CLASS} with {type(index)}")
        size = self._length()
        if not -size <= index < size:
            raise IndexError(f"index {index} out of range for storage of size {size}")
        return self._tensor()._values()[index].item()

    def __setitem__(self, index: Any, value: Any) -> None:
        warn_of_removal()
        self._set(index, value)

    def _set(self, index: Any, value: Any) -> None:
        if not isinstance(index, (int, slice)):
            raise RuntimeError(f"can't index a {_CLASS} with {type(index)}")
        if isinstance(value, (TypedStorage, UntypedStorage)):
            raise RuntimeError(f"cannot set item with value type {_shown_type(value)}")
        whole: Any = self._tensor()
        whole[index] = value

    def __iter__(self) -> Iterator[Any]:
        warn_of_removal()
        return (self[position] for position in range(self._length()))

    def tolist(self) -> list[Any]:
        """The elements as Python numbers."""
        warn_of_removal()
        return self._list()

    def _list(self) -> list[Any]:
        found: list[Any] = self._tensor().tolist()
        return found

    def fill_(self, value: Any) -> TypedStorage:
        """Sets every element."""
        warn_of_removal()
        self._set(slice(0, self._length()), value)
        return self

    def copy_(self, source: Any, non_blocking: bool | None = None) -> TypedStorage:
        """Takes over the bytes of a storage that has as many."""
        warn_of_removal()
        self._untyped_storage.copy_(source, non_blocking)
        return self

    # ---------------------------------------------------------------- copies

    def _on(self, untyped: UntypedStorage) -> TypedStorage:
        return TypedStorage.of(untyped, self.dtype)

    def clone(self) -> TypedStorage:
        """A copy in memory of its own."""
        warn_of_removal()
        return self._on(self._untyped_storage.clone())

    __copy__ = clone

    def __deepcopy__(self, memo: dict[int, Any]) -> TypedStorage:
        warn_of_removal()
        return self._on(self._untyped_storage.__deepcopy__(memo))

    def __reduce__(self) -> tuple[Any, ...]:
        return TypedStorage.of, (self._untyped_storage, self.dtype)

    def untyped(self) -> UntypedStorage:
        """The memory as bytes."""
        warn_of_removal()
        return self._untyped_storage

    def cpu(self) -> TypedStorage:
        """The same memory: it is on the CPU."""
        warn_of_removal()
        return self._on(self._untyped_storage)

    def to(self, *, device: Any, non_blocking: bool = False) -> TypedStorage:
        """The same memory; other devices than the CPU are refused."""
        warn_of_removal()
        return self._on(self._untyped_storage.to(device=device))

    def cuda(self, device: Any = None, non_blocking: bool = False) -> TypedStorage:
        """Refused: there is no CUDA device."""
        warn_of_removal()
        return self._on(self._untyped_storage.cuda())

    def type(self, dtype: Any = None, non_blocking: bool = False) -> str:
        """The name of the class for this dtype, "torch.FloatStorage".

        Raises:
            NotImplementedError: another type is asked for; ``float()`` and so on convert.
        """
        warn_of_removal()
        check_no_type(dtype)
        name = _NAMES.get(self.dtype)
        return "torch.storage.TypedStorage" if name is None else f"torch.{name}"

    def pickle_storage_type(self) -> str:
        """The name of the class that stands for this dtype in files, "FloatStorage"."""
        warn_of_removal()
        if self.dtype not in _NAMES:
            raise KeyError(f"dtype {self.dtype} is not recognized")
        return _NAMES[self.dtype]

    # ---------------------------------------------------------------- memory

    @property
    def is_cuda(self) -> bool:
        """False: the memory is on the CPU."""
        warn_of_removal()
        return False

    @property
    def device(self) -> device:
        """Where the memory is: always on the CPU."""
        warn_of_removal()
        return self._untyped_storage.device

    @property
    def _cdata(self) -> int:
        return self._untyped_storage._cdata

    def get_device(self) -> None:
        """None: the CPU has no number."""
        warn_of_removal()
        return None

    def data_ptr(self) -> int:
        """The address of the memory, 0 where there is none."""
        warn_of_removal()
        return self._untyped_storage.data_ptr()

    def resizable(self) -> bool:
        """Whether the memory is fakel's own: that of a NumPy array cannot become larger."""
        warn_of_removal()
        return self._untyped_storage.resizable()

    def resize_(self, size: int) -> None:
        """Gives the storage another number of elements, as `UntypedStorage.resize_` does."""
        warn_of_removal()
        self._untyped_storage.resize_(size * self.dtype.itemsize)

    def is_shared(self) -> bool:
        """Whether the memory is shared between processes."""
        warn_of_removal()
        return False

    def share_memory_(self) -> TypedStorage:
        """The storage itself: worker processes get copies by pickling."""
        warn_of_removal()
        return self

    def is_pinned(self, device: Any = None) -> bool:
        """False: there is no accelerator to pin memory for."""
        warn_of_removal()
        return False

    def pin_memory(self, device: Any = None) -> TypedStorage:
        """Refused: there is no accelerator to pin memory for."""
        warn_of_removal()
        return self._on(self._untyped_storage.pin_memory())

    def __sizeof__(self) -> int:
        warn_of_removal()
        return object.__sizeof__(self) + self._untyped_storage.nbytes()

    def __repr__(self) -> str:
        warn_of_removal()
        shown = "\n ".join(map(str, self._list()))
        return (
            f" {shown}\n[torch.storage.TypedStorage(dtype={self.dtype}, device=cpu) of size "
            f"{self._length()}]"
        )


def _check_wrapping(args: tuple[Any, ...], device: Any, dtype: Any, wrapped: Any) -> None:
    """Refuses what does not go with ``wrap_storage``."""
    if args:
        raise RuntimeError(
            f"{_MAKING}\nNo positional arguments should be given when using 'wrap_storage'"
        )
    if dtype is None:
        raise RuntimeError(f"{_MAKING}\nArgument 'dtype' must be specified")
    if not isinstance(dtype, dtypes.dtype):
        raise TypeError(f"{_MAKING}\nArgument 'dtype' must be torch.dtype, not {type(dtype)}")
    if device is not None:
        raise RuntimeError(
            f"{_MAKING}\nArgument 'device' should not be specified when 'wrap_storage' is given"
        )
    if not isinstance(wrapped, UntypedStorage):
        raise TypeError(
            f"{_MAKING}\nArgument 'wrap_storage' must be UntypedStorage, but got {type(wrapped)}"
        )


def _shown_type(value: Any) -> str:
    return f"<class 'torch.storage.{type(value).__name__}'>"


@cache
def warn_of_removal() -> None:
    """Once, as PyTorch does: its own flag decides, not that of ``set_warn_always``."""
    warnings.warn(
        "TypedStorage is deprecated. It will be removed in the future and UntypedStorage will be "
        "the only storage class. This should only matter to you if you are using storages "
        "directly.  To access UntypedStorage directly, use tensor.untyped_storage() instead of "
        "tensor.storage()",
        UserWarning,
        stacklevel=3,
    )


def tensor_on(
    storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> Tensor:
    """A tensor that shows the storage with this geometry.

    Raises:
        RuntimeError: the geometry is malformed or reaches beyond the storage.
    """
    shape, strides = tuple(shape), tuple(strides)
    numbers = (offset, *shape, *strides)
    if len(shape) != len(strides) or any(type(n) is not int or n < 0 for n in numbers):
        raise RuntimeError(
            f"cannot show a storage with sizes {shape}, strides {strides}, offset {offset}"
        )
    span = span_of(shape, strides)
    if span and offset + span > storage.length:
        itemsize = storage.dtype.itemsize
        needed = (offset + span) * itemsize
        raise RuntimeError(
            f"setStorage: sizes {list(shape)}, strides {list(strides)}, storage offset {offset}, "
            f"and itemsize {itemsize} requiring a storage size of {needed} are out of "
            f"bounds for storage of size {storage.length * itemsize}"
        )
    whole = Tensor._from_node(storage.node)
    whole._storage = storage
    return whole._strided_alias(shape, strides, offset)


# ---------------------------------------------------------------- conversions


def converted(storage: TypedStorage | UntypedStorage, kind: dtypes.dtype) -> TypedStorage:
    """A copy in another dtype; of bytes, each becomes an element."""
    if isinstance(storage, UntypedStorage):
        storage = TypedStorage.of(storage, dtypes.uint8)
    whole: Any = storage._tensor()
    tensor: Tensor = whole.to(kind, copy=True)
    return TypedStorage.of(UntypedStorage.of(tensor._storage), kind)


def _converter(name: str, kind: dtypes.dtype) -> None:
    def convert(self: UntypedStorage) -> TypedStorage:
        return converted(self, kind)

    def convert_typed(self: TypedStorage) -> TypedStorage:
        warn_of_removal()
        return converted(self, kind)

    for owner, method in ((UntypedStorage, convert), (TypedStorage, convert_typed)):
        method.__name__ = name
        method.__doc__ = f"A copy in ``torch.{kind.name}``."
        setattr(owner, name, method)


for _name, _kind in (
    ("double", dtypes.float64),
    ("float", dtypes.float32),
    ("half", dtypes.float16),
    ("bfloat16", dtypes.bfloat16),
    ("long", dtypes.int64),
    ("int", dtypes.int32),
    ("short", dtypes.int16),
    ("char", dtypes.int8),
    ("byte", dtypes.uint8),
    ("bool", dtypes.bool_),
    ("complex_double", dtypes.complex128),
    ("complex_float", dtypes.complex64),
):
    _converter(_name, _kind)


# ---------------------------------------------------------------- torch.FloatStorage and so on


class _LegacyStorageMeta(type):
    dtype: dtypes.dtype

    def __instancecheck__(cls, instance: Any) -> bool:
        return type(instance) is TypedStorage and instance.dtype is cls.dtype

    def __call__(cls, *args: Any, wrap_storage: Any = None, **keywords: Any) -> TypedStorage:
        warn_of_removal()
        message = _MAKING_LEGACY.format(cls)
        for name in keywords:
            raise RuntimeError(f"{message}\nKeyword argument '{name}' cannot be specified")
        if wrap_storage is None:
            if len(args) > 1:
                raise RuntimeError(f"{message}\nToo many positional arguments")
            if args and not isinstance(args[0], (int, np.integer, Sequence)):
                raise TypeError(f"{message}\nArgument type not recognized: {type(args[0])}")
            return TypedStorage(*args, dtype=cls.dtype)
        if args:
            raise RuntimeError(
                f"{message}\nNo positional arguments should be given when using 'wrap_storage'"
            )
        if not isinstance(wrap_storage, UntypedStorage):
            raise TypeError(
                f"{message}\nArgument 'wrap_storage' must be UntypedStorage, but got "
                f"{type(wrap_storage)}"
            )
        return TypedStorage.of(wrap_storage, cls.dtype)


def _legacy_class(kind: dtypes.dtype, name: str) -> type[TypedStorage]:
    body = {
        "__module__": "torch",
        "__doc__": f"Makes storages of {kind.name}.",
        "dtype": kind,
    }
    return cast(type[TypedStorage], _LegacyStorageMeta(name, (TypedStorage,), body))


# what the dtypes' storages are called, in files too, and the classes
_NAMES: dict[dtypes.dtype, str] = {}
LEGACY: dict[str, type[TypedStorage]] = {}

for _each in dtypes.ALL:
    if _each not in UNTYPED:
        _NAMES[_each] = f"{_each.letter}Storage"
        LEGACY[_NAMES[_each]] = _legacy_class(_each, _NAMES[_each])
