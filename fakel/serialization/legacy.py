"""The format of PyTorch before 1.6: several pickles in a row, then the storages' bytes."""

from __future__ import annotations

import pickle
import struct
import sys
from typing import IO, Any

import numpy as np

from fakel.serialization.allowed import Allowed
from fakel.serialization.locations import Location
from fakel.serialization.names import StorageType
from fakel.serialization.unpickler import Unpickler, storage_identifier
from fakel.tensor import dtypes
from fakel.tensor.pickling import storage_array
from fakel.tensor.typed_storage import TypedStorage
from fakel.tensor.untyped_storage import UntypedStorage

MAGIC_NUMBER = 0x1950A86A20F9469CFC6C
PROTOCOL_VERSION = 1001


def load(file: IO[bytes], locate: Location, allowed: Allowed, encoding: str) -> Any:
    """The object in a file of the old format; see `fakel.load` for the rest.

    Raises:
        EOFError: the file ends too early.
        UnpicklingError, RuntimeError: it is no checkpoint, or a damaged one.
    """

    def plain() -> Any:
        return Unpickler(file, allowed, encoding=encoding).load()

    magic = plain()
    if magic != MAGIC_NUMBER:
        raise RuntimeError("Invalid magic number; corrupt file?")
    version = plain()
    if version != PROTOCOL_VERSION:
        raise RuntimeError(f"Invalid protocol version: {version}")
    system = plain()
    swapped = system.get("little_endian", True) != (sys.byteorder == "little")
    storages = _Storages(file, locate)
    result = Unpickler(file, allowed, encoding=encoding, persistent_load=storages.load).load()
    storages.fill(plain(), swapped)
    return result


class _Storages:
    """Storages that the pickle mentions, made empty and filled when their bytes come."""

    def __init__(self, file: IO[bytes], locate: Location) -> None:
        self._file = file
        self._locate = locate
        self._made: dict[str, UntypedStorage] = {}
        self._room = _bytes_left(file)

    def load(self, identifier: Any) -> Any:
        """The storage that a pickle's persistent id names."""
        if isinstance(identifier, tuple) and identifier and identifier[0] in ("module", b"module"):
            return identifier[1]  # the class of a saved network, with its source, which is not used
        kind, key, location, numel, view = storage_identifier(identifier, 5)
        if view is not None:
            raise pickle.UnpicklingError("storages that are views of others cannot be loaded")
        if key not in self._made:
            self._made[key] = self._locate(self._empty(kind, numel), location)
        return TypedStorage.of(self._made[key], kind.dtype or dtypes.uint8)

    def _empty(self, kind: StorageType, numel: int) -> UntypedStorage:
        itemsize = 1 if kind.dtype is None else kind.dtype.itemsize
        self._room -= numel * itemsize
        if self._room < 0:
            raise RuntimeError("the checkpoint is truncated: its storages are larger than the file")
        if kind.dtype is None:
            return UntypedStorage(numel)
        return UntypedStorage.on(np.zeros(numel, kind.dtype.storage), kind.dtype)

    def fill(self, keys: Any, swapped: bool) -> None:
        """Read the bytes of the storages, which follow in this order."""
        for key in keys:
            storage = self._made.get(str(key))
            if storage is None:
                raise RuntimeError(f"storage key {key!r} not found in deserialized_objects")
            array = storage_array(storage._storage)
            count = self._file.read(8)
            content = self._file.read(array.nbytes)
            if len(count) != 8 or len(content) != array.nbytes:
                raise EOFError("the checkpoint is truncated: the bytes of a storage are missing")
            if struct.unpack(">q" if swapped else "<q", count)[0] != array.size:
                raise RuntimeError("storage has wrong byte size: the checkpoint is damaged")
            values = np.frombuffer(content, array.dtype)
            array[...] = values.byteswap() if swapped else values


def _bytes_left(file: IO[bytes]) -> int:
    here = file.tell()
    end = file.seek(0, 2)
    file.seek(here)
    return end - here
