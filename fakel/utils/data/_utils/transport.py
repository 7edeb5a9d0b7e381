"""How results travel from a worker to the main process: as pickles through a connection, large
arrays through shared memory where the system has memory files.

A memory file has no name: the main process gets its descriptor through the connection, and nothing
is left behind whichever process dies.
"""

from __future__ import annotations

import ctypes
import io
import mmap
import os
import pickle
import weakref
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any

from fakel.tensor import Tensor
from fakel.tensor.pickling import user_state

__all__ = ["Message", "pack", "receive"]

# From so many bytes on, an array goes through shared memory.
_LARGE = 1 << 17
# Arrays begin at multiples of it.
_ALIGNMENT = 64

_HAS_MEMORY_FILES = hasattr(os, "memfd_create")


class Message:
    """A result that is ready to be sent: its pickle, and the descriptor of its large arrays."""

    def __init__(self, content: bytes, memory: int | None) -> None:
        self.content = content
        self.memory = memory

    def send(self, connection: Connection) -> None:
        """Sends it, once."""
        connection.send_bytes(self.content)
        if self.memory is not None:
            reduction.send_handle(connection, self.memory, 0)
            os.close(self.memory)


def pack(result: Any) -> Message:
    """Pickles a result. Its large arrays are copied to shared memory."""
    large: list[memoryview] = []

    def goes_along(buffer: pickle.PickleBuffer) -> bool:
        raw = buffer.raw()
        if raw.nbytes < _LARGE:
            return True
        large.append(raw)
        return False

    stream = io.BytesIO()
    _Pickler(
        stream, pickle.HIGHEST_PROTOCOL, buffer_callback=goes_along if _HAS_MEMORY_FILES else None
    ).dump(result)
    sizes = pickle.dumps([raw.nbytes for raw in large])
    return Message(sizes + stream.getvalue(), _copied(large) if large else None)


def receive(connection: Connection) -> Any:
    """The next result from a connection.

    Raises:
        EOFError, OSError: the other end is gone.
    """
    message = memoryview(connection.recv_bytes())
    stream = io.BytesIO(message)
    sizes = pickle.load(stream)
    buffers = []
    if sizes:
        descriptor = reduction.recv_handle(connection)
        try:
            memory = _mapped(descriptor, sum(map(_aligned, sizes)))
        finally:
            os.close(descriptor)
        start = 0
        for size in sizes:
            buffers.append(memory[start : start + size])
            start += _aligned(size)
    return pickle.loads(message[stream.tell() :], buffers=buffers)


class _Pickler(pickle.Pickler):
    """Leaves out what the tensors do not show of their storages."""

    def reducer_override(self, value: Any) -> Any:
        if type(value) is not Tensor or value.requires_grad or user_state(value):
            return NotImplemented
        if 2 * value.numel() <= value._storage.length:
            return value.clone().__reduce_ex__(pickle.HIGHEST_PROTOCOL)
        return NotImplemented


def _copied(arrays: list[memoryview]) -> int:
    """The descriptor of a memory file that holds the arrays, each aligned."""
    descriptor = os.memfd_create("fakel-batch")
    try:
        os.ftruncate(descriptor, sum(_aligned(array.nbytes) for array in arrays))
        start = 0
        for array in arrays:
            written = 0
            while written < array.nbytes:
                written += os.pwrite(descriptor, array[written:], start + written)
            start += _aligned(array.nbytes)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _mapped(descriptor: int, size: int) -> memoryview:
    """The shared memory, mapped until nothing refers to it any more.

    Python's own `mmap` would hold a descriptor all that time, and a program that keeps its batches
    would run out of them.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.mmap.restype = ctypes.c_void_p
    libc.mmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t, *[ctypes.c_int] * 3, ctypes.c_long]
    libc.munmap.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    protection = mmap.PROT_READ | mmap.PROT_WRITE
    address = libc.mmap(None, size, protection, mmap.MAP_SHARED, descriptor, 0)
    if address == ctypes.c_void_p(-1).value:
        error = ctypes.get_errno()
        raise OSError(error, f"cannot map a batch: {os.strerror(error)}")
    memory = (ctypes.c_char * size).from_address(address)
    # Not when the interpreter exits: somebody may look at the memory later than that.
    weakref.finalize(memory, libc.munmap, address, size).atexit = False
    return memoryview(memory).cast("B")


def _aligned(size: int) -> int:
    return -(-size // _ALIGNMENT) * _ALIGNMENT
