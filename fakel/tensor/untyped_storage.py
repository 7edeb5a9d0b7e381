"""``torch.UntypedStorage``: the bytes of a tensor's memory, as programs see them."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any
from weakref import WeakValueDictionary

import numpy as np

from fakel.graph import computed, leaf, watching
from fakel.tensor.device import CPU, check_device, device
from fakel.tensor.dtypes import dtype, uint8
from fakel.tensor.storage import Storage

# the one that programs hold, by the id of its storage: a tensor has the same one as its views
_known: WeakValueDictionary[int, UntypedStorage] = WeakValueDictionary()


class UntypedStorage:
    """The memory of tensors as bytes. It is theirs: what is written through it, they show.

    Args:
        size: the number of bytes, or a sequence of their values.
        device: the CPU.
    """

    __slots__ = ("__weakref__", "_storage")
    _storage: Storage

    is_cuda = is_hpu = is_sparse = is_sparse_csr = False
    filename = None

    def __init__(self, size: int | Sequence[int] = 0, *, device: Any = None) -> None:
        check_device(device)
        self._storage = Storage(leaf(_bytes_of(size), uint8), uint8, 0)
        self._storage.length = self._storage.node.shape[0]
        _known[id(self._storage)] = self

    @staticmethod
    def of(storage: Storage) -> UntypedStorage:
        """The bytes of a storage; the same object as long as somebody holds it."""
        if watching.capture is not None:
            watching.capture.spoil("a storage was looked at")
        found = _known.get(id(storage))
        if found is None:
            found = _known[id(storage)] = object.__new__(UntypedStorage)
            found._storage = storage
        return found

    @staticmethod
    def on(flat: np.ndarray, kind: dtype) -> UntypedStorage:
        """The bytes of a flat array in storage dtype, which belongs to nobody else."""
        return UntypedStorage.of(Storage(leaf(flat, kind), kind, flat.size))

    @staticmethod
    def from_buffer(
        buffer: Any,
        byte_order: str | None = None,
        count: int = -1,
        offset: int = 0,
        *,
        dtype: dtype,
    ) -> UntypedStorage:
        """A storage with a copy of what lies in a bytes-like object.

        Args:
            buffer: the object.
            byte_order: that of its elements, "big", "little" or "native"; not needed for single
                bytes.
            count: how many elements, -1 for all.
            offset: where they begin, in bytes.
            dtype: that of the elements.
        """
        flat = _elements(np.frombuffer(buffer, np.uint8), count, offset, dtype.itemsize)
        if byte_order not in (None, "big", "little", "native"):
            raise ValueError(
                f"invalid byte_order '{byte_order}' (expected 'big', 'little', or 'native')"
            )
        if byte_order is None and dtype.itemsize > 1:
            raise RuntimeError("function missing required argument 'byte_order' (pos 2)")
        made = UntypedStorage.on(flat.copy().view(dtype.storage), dtype)
        if byte_order in ("big", "little") and byte_order != sys.byteorder:
            made.byteswap(dtype)
        return made

    def as_dtype(self, kind: dtype) -> Storage:
        """The storage of elements of a dtype on these bytes; what does not make one is left out.

        A storage has one dtype. So it changes its own while no tensor shows it; else the result
        shares its memory, which makes both slower: they exchange their values through it.
        """
        if watching.capture is not None:
            watching.capture.spoil("a storage was looked at")
        shown, storage = self._is_shown(), self._storage
        if storage.dtype is kind:
            return storage
        whole = self.nbytes() // kind.itemsize * kind.itemsize
        if not shown and whole == self.nbytes():
            flat = np.asarray(computed(storage.node)).reshape(-1).view(kind.storage)
            storage.node, storage.dtype, storage.length = leaf(flat, kind), kind, flat.size
            return storage
        flat = self._bytes()[:whole].view(kind.storage)
        return Storage.on_memory(flat, kind, storage.pinned)

    def _is_shown(self) -> bool:
        """Whether a tensor may show the memory."""
        return sys.getrefcount(self._storage) > _UNSHOWN

    def _bytes(self) -> np.ndarray:
        """The memory itself."""
        return self._storage.expose().reshape(-1).view(np.uint8)

    # ---------------------------------------------------------------- elements

    def __len__(self) -> int:
        return self.nbytes()

    def nbytes(self) -> int:
        """The number of bytes."""
        return self._storage.length * self._storage.dtype.itemsize

    size = nbytes

    def element_size(self) -> int:
        """1: an element is a byte."""
        return 1

    def __getitem__(self, index: Any) -> Any:
        """A byte as an int, or for a slice the storage on that part of the memory."""
        if isinstance(index, slice):
            part = self._bytes()[_range(index, self.nbytes())]
            return UntypedStorage.of(Storage.on_memory(part, uint8, self._storage.pinned))
        if not _is_int(index):
            raise TypeError(f"can't index a torch.UntypedStorage with {type(index).__name__}")
        size = self.nbytes()
        position = index + size if index < 0 else index
        if not 0 <= position < size:
            raise IndexError(f"index {position} out of range for storage of size {size}")
        return int(self._bytes()[position])

    def __setitem__(self, index: Any, value: int) -> None:
        if not isinstance(value, (int, np.integer)):
            raise RuntimeError(
                f"can only set storage content with a int types, but got {type(value).__name__} "
                "instead"
            )
        if isinstance(index, slice):
            self._bytes()[_range(index, self.nbytes())] = int(value) & 0xFF
            return
        if not _is_int(index):
            raise RuntimeError(f"can't index a torch.UntypedStorage with {type(index).__name__}")
        if not 0 <= index < self.nbytes():
            raise RuntimeError("out of bounds")
        self._bytes()[index] = int(value) & 0xFF

    def __iter__(self) -> Iterator[int]:
        return (self[position] for position in range(self.nbytes()))

    def tolist(self) -> list[int]:
        """The bytes as ints."""
        found: list[int] = self._bytes().tolist()
        return found

    def fill_(self, value: int) -> UntypedStorage:
        """Sets every byte."""
        if not isinstance(value, (int, np.integer)):
            raise RuntimeError(f"fill_ expects int, but got {type(value).__name__}")
        self._bytes()[...] = int(value) & 0xFF
        return self

    def copy_(self, source: Any, non_blocking: bool | None = None) -> UntypedStorage:
        """Takes over the bytes of a storage of the same size."""
        if non_blocking is not None and not isinstance(non_blocking, bool):
            raise TypeError(
                "copy_(): argument 'non_blocking' (position 2) must be bool, not "
                f"{type(non_blocking).__name__}"
            )
        other = getattr(source, "_untyped_storage", source)
        if not isinstance(other, UntypedStorage):
            raise TypeError(
                "copy_(): argument 'src' (position 1) must be torch.Storage, not "
                f"{type(source).__name__}"
            )
        if other.nbytes() != self.nbytes():
            raise RuntimeError(
                f"size does not match, self was {self.nbytes()} bytes but src was "
                f"{other.nbytes()} bytes"
            )
        self._bytes()[...] = other._bytes()
        return self

    def byteswap(self, dtype: dtype) -> None:
        """Turns round the bytes of each element of this dtype, of each part of complex ones."""
        itemsize = dtype.itemsize // (2 if dtype.is_complex else 1)
        elements = self._bytes().reshape(-1, itemsize)
        elements[...] = elements[:, ::-1].copy()

    # ---------------------------------------------------------------- copies

    def clone(self) -> UntypedStorage:
        """A copy in memory of its own."""
        return UntypedStorage.of(self._storage.copy())

    __copy__ = clone

    def __deepcopy__(self, memo: dict[int, Any]) -> UntypedStorage:
        storage = self._storage
        if id(storage) not in memo:
            memo[id(storage)] = storage.copy()
        return UntypedStorage.of(memo[id(storage)])

    def __reduce__(self) -> tuple[Any, ...]:
        return UntypedStorage.of, (self._storage,)

    def type(self, dtype: Any = None, non_blocking: bool = False) -> Any:
        """The name of the class, "torch.storage.UntypedStorage".

        Raises:
            NotImplementedError: another type is asked for; ``float()`` and so on convert.
        """
        if dtype in (UntypedStorage, "torch.UntypedStorage", "torch.storage.UntypedStorage"):
            return self
        check_no_type(dtype)
        return "torch.storage.UntypedStorage"

    def new(self) -> UntypedStorage:
        """An empty storage."""
        return UntypedStorage()

    def untyped(self) -> UntypedStorage:
        """The storage itself."""
        return self

    def cpu(self) -> UntypedStorage:
        """The storage itself: it is on the CPU."""
        return self

    def to(self, *, device: Any, non_blocking: bool = False) -> UntypedStorage:
        """The storage itself; other devices than the CPU are refused."""
        check_device(device)
        return self

    def cuda(self, device: Any = None, non_blocking: bool = False) -> UntypedStorage:
        """Refused: there is no CUDA device."""
        return self.to(device="cuda")

    # ---------------------------------------------------------------- memory

    @property
    def device(self) -> device:
        """Where the memory is: always on the CPU."""
        return CPU

    def get_device(self) -> None:
        """None: the CPU has no number."""
        return None

    def data_ptr(self) -> int:
        """The address of the memory, 0 where there is none."""
        address: int = self._storage.own().ctypes.data
        return address if self._storage.length else 0

    @property
    def _cdata(self) -> int:
        return id(self._storage)

    def resizable(self) -> bool:
        """Whether the memory is fakel's own: that of a NumPy array cannot become larger."""
        return bool(self._storage.own().flags.owndata)

    def resize_(self, size: int) -> UntypedStorage:
        """Gives the storage another size; what is new at its end is undefined.

        Raises:
            RuntimeError: the memory belongs to a NumPy array; or it would become smaller while
                tensors show it.
        """
        if not isinstance(size, int):
            raise RuntimeError(f"resize_ expects an int, but got {type(size).__name__}")
        if not self.resizable():
            raise RuntimeError("Trying to resize storage that is not resizable")
        if size < 0:
            raise RuntimeError(f"a storage cannot have a size of {size} bytes")
        itemsize = self._storage.dtype.itemsize
        if self._is_shown() and (size < self.nbytes() or size % itemsize):
            raise RuntimeError(
                f"fakel cannot resize this storage from {self.nbytes()} to {size} bytes: tensors "
                f"may show it, which need the memory that it has, and whole elements of {itemsize} "
                "bytes"
            )
        self.as_dtype(self._storage.dtype if not size % itemsize else uint8)
        self._storage.resize(size // self._storage.dtype.itemsize)
        return self

    def is_shared(self) -> bool:
        """Whether the memory is shared between processes."""
        return False

    def share_memory_(self) -> UntypedStorage:
        """The storage itself: worker processes get copies by pickling."""
        return self

    def is_pinned(self, device: Any = None) -> bool:
        """False: there is no accelerator to pin memory for."""
        return False

    def pin_memory(self, device: Any = None) -> UntypedStorage:
        """Refused: there is no accelerator to pin memory for."""
        raise RuntimeError("Cannot access accelerator device when none is available.")

    def __sizeof__(self) -> int:
        return object.__sizeof__(self) + self.nbytes()

    def __repr__(self) -> str:
        shown = "\n ".join(map(str, self.tolist()))
        return f" {shown}\n[torch.storage.UntypedStorage(device=cpu) of size {self.nbytes()}]"


def _bytes_of(size: Any) -> np.ndarray:
    """A number of bytes, or those of a sequence."""
    if _is_int(size):
        if size < 0:
            raise RuntimeError(f"a storage cannot have a size of {size} bytes")
        return np.zeros(size, np.uint8)
    if not isinstance(size, Sequence):
        raise RuntimeError(
            f"torch.UntypedStorage(): Expected a sequence type, but got {type(size).__name__}"
        )
    for item in size:
        if not isinstance(item, int):
            raise RuntimeError(
                "torch.UntypedStorage(): tried to construct a storage from a sequence "
                f"({type(size).__name__}), but one of the items was of type {type(item).__name__} "
                "instead of int"
            )
    return np.array([item & 0xFF for item in size], np.uint8)


def _elements(flat: np.ndarray, count: int, offset: int, itemsize: int) -> np.ndarray:
    """The bytes of so many elements after an offset."""
    size = len(flat)
    if not 0 <= offset <= size:
        raise ValueError(
            f"offset must be non-negative and no greater than buffer length ({offset}) , but got "
            f"{size}"
        )
    if count < 0:
        if (size - offset) % itemsize:
            raise ValueError(
                f"buffer size ({size}) must be a multiple of element size ({itemsize})"
            )
        return flat[offset:]
    if offset + count * itemsize > size:
        raise ValueError(
            f"buffer has only {size - offset} elements after offset {offset}, but "
            f"specified a size of {count}"
        )
    return flat[offset : offset + count * itemsize]


def _is_int(index: Any) -> bool:
    return isinstance(index, (int, np.integer)) and not isinstance(index, bool)


def _range(index: slice, size: int) -> slice:
    start, stop, step = index.indices(size)
    if step != 1:
        raise RuntimeError(
            f"Trying to slice with a step of {step}, but only a step of 1 is supported"
        )
    return slice(start, max(start, stop))


# the references to a storage that `_is_shown` counts where only the bytes hold it
_UNSHOWN = 2


def check_no_type(dtype: Any) -> None:
    """Refuses to convert a storage by the name of another type."""
    if dtype is not None:
        raise NotImplementedError("fakel's storages are converted by float(), long() and so on")
