"""`load`: reads what `save` and PyTorch's `torch.save` write, and never runs code from it."""

from __future__ import annotations

import io
import mmap as memory_map
import os
import pickle
import re
import sys
import warnings
from contextlib import AbstractContextManager, nullcontext
from typing import IO, Any

import numpy as np

from fakel.serialization import legacy
from fakel.serialization.allowed import Allowed
from fakel.serialization.archive import ArchiveReader, corrupt
from fakel.serialization.locations import Location, restore_location
from fakel.serialization.names import StorageType
from fakel.serialization.unpickler import Unpickler, storage_identifier
from fakel.tensor import dtypes
from fakel.tensor.typed_storage import TypedStorage
from fakel.tensor.untyped_storage import UntypedStorage

_UNSAFE = (
    "In PyTorch 2.6, we changed the default value of the `weights_only` argument in `torch.load` "
    "from `False` to `True`. Re-running `torch.load` with `weights_only` set to `False` will "
    "likely succeed, but it can result in arbitrary code execution. Do it only if you got the "
    "file from a trusted source."
)
_DOCUMENTATION = (
    "\n\nCheck the documentation of torch.load to learn more about types accepted by default with "
    "weights_only https://pytorch.org/docs/stable/generated/torch.load.html."
)


def load(
    f: Any,
    map_location: Any = None,
    pickle_module: Any = None,
    *,
    weights_only: bool | None = None,
    mmap: bool | None = None,
    **pickle_load_args: Any,
) -> Any:
    """Load an object that `save` or PyTorch's `torch.save` wrote. Code from the file is never run.

    Args:
        f: a path, or a seekable file-like object opened in binary mode.
        map_location: where storages go: a device, its name, a dictionary of names, or a function
            of a storage and the name of its place. The CPU is the only device.
        pickle_module: not used; given together with weights-only loading it is refused.
        weights_only: True (the default): tensors, containers and plain numbers only, as PyTorch
            does. False: also plain data of Python and NumPy, and whole networks made of fakel's
            classes and of the program's own modules; PyTorch would load everything, and run code
            from the file for it. The environment's TORCH_FORCE_WEIGHTS_ONLY_LOAD=1 makes it True,
            TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD=1 the default False.
        mmap: read storages from the file when they are used, instead of now; `f` is a path then.
        **pickle_load_args: `encoding` says how texts of Python 2 are decoded ("utf-8").

    Raises:
        UnpicklingError: the file names something that is not allowed; the message says what.
        RuntimeError: the file is truncated or damaged, or its tensors lie on another device.
        FileNotFoundError: there is no such file.
    """
    weights_only = _weights_only(weights_only, pickle_module)
    if weights_only and pickle_module is not None:
        raise RuntimeError("Can not safely load weights when explicit pickle_module is specified")
    encoding = pickle_load_args.pop("encoding", "utf-8")
    if pickle_load_args:
        raise TypeError(f"load() got arguments it cannot honour: {sorted(pickle_load_args)}")
    locate = restore_location(map_location)
    allowed = Allowed(weights_only)
    with _opened(f) as file:
        try:
            if _is_zip(file):
                return _load_zip(file, f, locate, allowed, encoding, bool(mmap))
            if mmap:
                shown = f"{f}, " if isinstance(f, str) else ""
                raise RuntimeError(
                    "mmap can only be used with files saved with "
                    f"`torch.save({shown}_use_new_zipfile_serialization=True), please torch.save "
                    "your checkpoint with this option in order to use mmap."
                )
            return legacy.load(file, locate, allowed, encoding)
        except pickle.UnpicklingError as error:
            if not weights_only:
                raise
            raise pickle.UnpicklingError(_weights_only_message(str(error))) from None


def _weights_only(asked: bool | None, pickle_module: Any) -> bool:
    """What the caller asked for, unless the environment says otherwise."""
    forced, lifted = (
        os.getenv(f"TORCH_FORCE_{name}WEIGHTS_ONLY_LOAD", "0").lower() in ("1", "y", "yes", "true")
        for name in ("", "NO_")
    )
    if forced and lifted:
        raise RuntimeError(
            "Only one of `TORCH_FORCE_WEIGHTS_ONLY_LOAD` or `TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD` "
            "should be set, but both were set."
        )
    if lifted and asked is None:
        warnings.warn(
            "Environment variable TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD detected, since the"
            "`weights_only` argument was not explicitly passed to `torch.load`, forcing "
            "weights_only=False.",
            UserWarning,
            stacklevel=3,
        )
        return False
    if forced:
        return True
    return pickle_module is None if asked is None else asked


def get_unsafe_globals_in_checkpoint(f: Any) -> list[str]:
    """The names in a checkpoint that weights-only loading refuses."""
    import pickletools

    allowed = Allowed(weights_only=True)
    unsafe = []
    with _opened(f) as file:
        if not _is_zip(file):
            raise ValueError("Expected input to be a checkpoint returned by torch.save")
        content = ArchiveReader(file).read("data.pkl")
    for opcode, argument, _ in pickletools.genops(content):
        if opcode.name == "GLOBAL":
            module, name = argument.split(" ", 1)
            try:
                allowed.find(module, name)
            except pickle.UnpicklingError:
                unsafe.append(f"{module}.{name}")
    return sorted(set(unsafe))


def _opened(f: Any) -> AbstractContextManager[IO[bytes]]:
    if isinstance(f, (str, os.PathLike)):
        return open(f, "rb")
    try:
        f.seek(f.tell())
    except (io.UnsupportedOperation, AttributeError) as error:
        raise type(error)(
            f"{error}. You can only torch.load from a file that is seekable. Please pre-load the "
            "data into a buffer like io.BytesIO and try to load from it instead."
        ) from None
    return nullcontext(f)


def _is_zip(file: IO[bytes]) -> bool:
    start = file.tell()
    magic = file.read(4)
    file.seek(start)
    return magic == b"PK\x03\x04"


def _load_zip(
    file: IO[bytes], f: Any, locate: Location, allowed: Allowed, encoding: str, mapped: bool
) -> Any:
    archive = ArchiveReader(file)
    if archive.has("constants.pkl"):
        raise RuntimeError(
            "this is a TorchScript archive (torch.jit.save): fakel does not run code from files, "
            "save the state_dict with torch.save instead"
        )
    if mapped and not isinstance(f, (str, os.PathLike)):
        raise ValueError("f must be a file path in order to use the mmap argument")
    storages = _Storages(archive, locate, f if mapped else None)
    pickled = io.BytesIO(archive.read("data.pkl"))
    unpickler = Unpickler(pickled, allowed, encoding=encoding, persistent_load=storages.load)
    try:
        return unpickler.load()
    except EOFError as error:
        raise corrupt("reading file data.pkl: it ends too early") from error


class _Storages:
    """The storages of one archive, each read once, when the pickle first mentions it."""

    def __init__(self, archive: ArchiveReader, locate: Location, mapped: Any) -> None:
        self._archive = archive
        self._locate = locate
        self._mapped = None if mapped is None else _map_file(mapped)
        self._loaded: dict[str, UntypedStorage] = {}
        order = archive.read("byteorder") if archive.has("byteorder") else b"little"
        if order not in (b"little", b"big"):
            raise ValueError(f"Unknown endianness type: {order.decode(errors='replace')}")
        self._swapped = order.decode() != sys.byteorder

    def load(self, identifier: Any) -> Any:
        """The storage that a pickle's persistent id names."""
        kind, key, location, numel = storage_identifier(identifier, 4)
        if key not in self._loaded:
            itemsize = 1 if kind.dtype is None else kind.dtype.itemsize
            content = self._content(f"data/{key}", numel * itemsize)
            self._loaded[key] = self._locate(self._storage(content, kind), location)
        return TypedStorage.of(self._loaded[key], kind.dtype or dtypes.uint8)

    def _content(self, name: str, size: int) -> np.ndarray:
        archive = self._archive
        if self._mapped is not None and size and archive.is_stored(name, size):
            return np.frombuffer(self._mapped, np.uint8, size, archive.position(name))
        return archive.read_array(name, size)

    def _storage(self, content: np.ndarray, kind: StorageType) -> UntypedStorage:
        if kind.dtype is None:
            return UntypedStorage.on(content, dtypes.uint8)
        array = content.view(kind.dtype.storage)
        return UntypedStorage.on(array.byteswap() if self._swapped else array, kind.dtype)


def _map_file(path: Any) -> memory_map.mmap:
    """The file in memory; what is written there stays private to this process."""
    with open(path, "rb") as file:
        return memory_map.mmap(file.fileno(), 0, access=memory_map.ACCESS_COPY)


def _weights_only_message(message: str) -> str:
    if re.search(r"GLOBAL (\S+) was not an allowed global by default.", message):
        message = (
            "Weights only load failed. This file can still be loaded, to do so you have two "
            "options, \033[1mdo those steps only if you trust the source of the "
            f"checkpoint\033[0m. \n\t(1) {_UNSAFE}\n\t(2) Alternatively, to load with "
            "`weights_only=True` please check the recommended steps in the following error "
            f"message.\n\tWeightsUnpickler error: {message}"
        )
    elif re.search(r"whose module (\S+) is blocked", message):
        message = f"Weights only load failed. {_UNSAFE}\n\n\n{message}"
    else:
        message = (
            f"Weights only load failed. {_UNSAFE}\nPlease file an issue with the following so "
            "that we can make `weights_only=True` compatible with your use case: "
            f"WeightsUnpickler error: \n\n{message}"
        )
    return message + _DOCUMENTATION
