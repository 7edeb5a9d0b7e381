"""`save`: writes an object to PyTorch's zip format; PyTorch reads it with `weights_only=True`."""

from __future__ import annotations

import io
import os
import pickle
import stat
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FunctionType
from typing import IO, Any

import numpy as np

from fakel.serialization.archive import ALIGNMENT, ArchiveWriter
from fakel.serialization.names import (
    STORAGE_TYPE_OF,
    UNTYPED_STORAGE,
    StorageType,
    torch_path,
)
from fakel.tensor import Storage, device
from fakel.tensor.dtypes import dtype
from fakel.tensor.pickling import storage_array
from fakel.tensor.typed_storage import TypedStorage
from fakel.tensor.untyped_storage import UntypedStorage

PROTOCOL = 2


def save(
    obj: object,
    f: Any,
    pickle_module: Any = pickle,
    pickle_protocol: int = PROTOCOL,
    _use_new_zipfile_serialization: bool = True,
    _disable_byteorder_record: bool = False,
) -> None:
    """Save an object to a file that `load` and PyTorch's `torch.load` read.

    A file given by its path is complete or not changed at all: it is written beside its place and
    moved there at the end.

    Args:
        obj: tensors, `state_dict`s, modules, containers and plain data; tensors that share memory
            share it again when they are loaded.
        f: a path, or a file-like object with `write` and `flush`.
        pickle_module: the module `pickle`; others are refused.
        pickle_protocol: the pickle protocol; PyTorch's weights-only loading reads 2.

    Raises:
        AttributeError: `f` is no path and has no `write`.
        RuntimeError: the folder does not exist or cannot be written.
        PicklingError: something in `obj` cannot be saved.
    """
    if pickle_module is not pickle:
        raise ValueError("fakel.save writes with Python's pickle module; no other can be given")
    if not _use_new_zipfile_serialization:
        raise NotImplementedError(
            "fakel.save writes the zip format only, not the one of PyTorch 1.5"
        )
    if not isinstance(f, (str, os.PathLike)):
        if not hasattr(f, "write"):
            raise AttributeError(
                "expected 'f' to be string, path, or a file-like object with a 'write' attribute"
            )
        pickled, storages = _pickled(obj, pickle_protocol)
        _write(f.write, "archive", pickled, storages, _disable_byteorder_record)
        if hasattr(f, "flush"):
            f.flush()
        return
    path = Path(os.fspath(f))
    if not path.parent.is_dir():
        raise RuntimeError(f"Parent directory {path.parent} does not exist.")
    pickled, storages = _pickled(obj, pickle_protocol)
    with _replaced_when_complete(path) as file:
        _write(file.write, path.stem or "archive", pickled, storages, _disable_byteorder_record)


def _pickled(obj: object, protocol: int) -> tuple[bytes, list[np.ndarray]]:
    content = io.BytesIO()
    pickler = Pickler(content, protocol)
    pickler.dump(obj)
    return content.getvalue(), [storage_array(storage) for storage in pickler.storages]


def _write(
    write: Callable[[Any], Any],
    name: str,
    pickled: bytes,
    storages: list[np.ndarray],
    without_byteorder: bool,
) -> None:
    archive = ArchiveWriter(write, name)
    archive.add("data.pkl", pickled)
    archive.add(".format_version", b"1")
    archive.add(".storage_alignment", str(ALIGNMENT).encode())
    if not without_byteorder:
        archive.add("byteorder", sys.byteorder.encode())
    for key, array in enumerate(storages):
        archive.add(f"data/{key}", np.ascontiguousarray(array).view(np.uint8))
    archive.close()


@contextmanager
def _replaced_when_complete(path: Path) -> Iterator[IO[bytes]]:
    """A file to write to, which takes the place of `path` when the block ends without an error.

    Pipes and devices are written directly; a symbolic link stays one.
    """
    existing = _status(path)
    try:
        if existing is not None and not stat.S_ISREG(existing.st_mode):
            descriptor, temporary = os.open(path, os.O_WRONLY), None
        else:
            path = Path(os.path.realpath(path))
            descriptor, temporary = tempfile.mkstemp(
                dir=path.parent, prefix=f".{path.name}.", suffix=".tmp"
            )
    except OSError as error:
        raise RuntimeError(f"open file failed with strerror: {error.strerror}: {path}") from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            if temporary is not None:
                file.flush()
                os.fsync(file.fileno())
        if temporary is not None:
            os.chmod(temporary, _permissions(existing))
            os.replace(temporary, path)
    except BaseException:
        if temporary is not None:
            os.unlink(temporary)
        raise


def _status(path: Path) -> os.stat_result | None:
    try:
        return path.stat()
    except FileNotFoundError:
        return None


def _permissions(existing: os.stat_result | None) -> int:
    if existing is not None:
        return stat.S_IMODE(existing.st_mode)
    mask = os.umask(0)
    os.umask(mask)
    return 0o666 & ~mask


class Pickler(pickle._Pickler):  # type: ignore[name-defined, misc]
    """Python's own pickler; it notes storages instead of pickling them and uses PyTorch's names."""

    dispatch = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def __init__(self, file: IO[bytes], protocol: int) -> None:
        super().__init__(file, protocol)
        self.storages: list[Storage] = []
        self._keys: dict[int, tuple[str, dtype | None]] = {}

    def persistent_id(self, obj: Any) -> Any:
        """The identifier of a storage; None for everything else."""
        if isinstance(obj, Storage):
            storage, element_type = obj, obj.dtype
        elif isinstance(obj, TypedStorage):
            storage, element_type = obj._untyped_storage._storage, obj.dtype
        elif isinstance(obj, UntypedStorage):
            storage, element_type = obj._storage, None
        else:
            return None
        if id(storage) not in self._keys:
            self._keys[id(storage)] = str(len(self.storages)), element_type
            self.storages.append(storage)
        key, known = self._keys[id(storage)]
        if known is not element_type:
            raise RuntimeError(
                "Cannot save multiple tensors or storages that view the same data as different "
                "types"
            )
        kind = STORAGE_TYPE_OF.get(element_type, UNTYPED_STORAGE)
        itemsize = 1 if kind is UNTYPED_STORAGE else element_type.itemsize
        return ("storage", kind, key, "cpu", storage.length * storage.dtype.itemsize // itemsize)

    def reducer_override(self, obj: Any) -> Any:
        """How fakel's small objects are written in PyTorch's way."""
        if isinstance(obj, (dtype, StorageType)):
            return torch_path(obj)[1]
        if isinstance(obj, device):
            return device, (obj.type,) if obj.index is None else (obj.type, obj.index)
        return NotImplemented

    def save_global(self, obj: Any, name: str | None = None) -> None:
        """A class or function by PyTorch's name for it."""
        path = torch_path(obj, name)
        if path[0].split(".")[0] not in ("torch", "torchvision"):
            super().save_global(obj, name)
        elif "<locals>" in path[1] or "<lambda>" in path[1]:
            raise pickle.PicklingError(
                f"Can't pickle {obj!r}: attribute lookup {path[1]} on {path[0]} failed"
            )
        elif self.proto >= 4:
            self.save(path[0])
            self.save(path[1])
            self.write(pickle.STACK_GLOBAL)
            self.memoize(obj)
        else:
            self.write(pickle.GLOBAL + f"{path[0]}\n{path[1]}\n".encode())
            self.memoize(obj)

    def save_class(self, obj: type) -> None:
        """A class; those of None, NotImplemented and Ellipsis have no name."""
        if obj in (type(None), type(NotImplemented), type(...)):
            self.save_type(obj)
        else:
            self.save_global(obj)

    dispatch[FunctionType] = save_global
    dispatch[type] = save_class
