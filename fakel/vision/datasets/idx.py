"""IDX, the format of the MNIST files: a magic number, the lengths of the axes, the values."""

from __future__ import annotations

import gzip
import os
import zlib

import numpy as np

from fakel.tensor import Tensor

_TYPES = {8: ">u1", 9: ">i1", 11: ">i2", 12: ">i4", 13: ">f4", 14: ">f8"}


def idx_file(path: str | os.PathLike) -> str | None:
    """`path`, or `path` with .gz, whichever exists; None where neither does."""
    return next((p for p in (os.fspath(path), f"{path}.gz") if os.path.isfile(p)), None)


def read_idx(path: str | os.PathLike) -> np.ndarray:
    """The array in an IDX file, plain or compressed with gzip.

    Raises:
        RuntimeError: the file is damaged; the message names it.
    """
    try:
        with (gzip.open if os.fspath(path).endswith(".gz") else open)(path, "rb") as file:
            content = file.read()
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise RuntimeError(f"{path} is damaged: {error}") from error
    kind, axes = (content[2], content[3]) if len(content) >= 4 else (0, 0)
    if content[:2] != b"\0\0" or kind not in _TYPES or not 1 <= axes <= 3:
        raise RuntimeError(f"{path} is damaged: it does not begin like an IDX file")
    start = 4 + 4 * axes
    if len(content) < start:
        raise RuntimeError(f"{path} is damaged: it ends within its first {start} bytes")
    shape = [int(n) for n in np.frombuffer(content, ">u4", axes, offset=4)]
    stored = np.dtype(_TYPES[kind])
    expected = start + int(np.prod(shape)) * stored.itemsize
    if len(content) != expected:
        raise RuntimeError(f"{path} is damaged: it has {len(content)} bytes instead of {expected}")
    values = np.frombuffer(content, stored, offset=start).reshape(shape)
    return values.astype(stored.newbyteorder("="))


def read_image_file(path: str | os.PathLike) -> Tensor:
    """The images of an IDX file: bytes (n, height, width)."""
    return Tensor._from_array(_bytes(path, 3))


def read_label_file(path: str | os.PathLike) -> Tensor:
    """The labels of an IDX file: int64 (n,)."""
    return Tensor._from_array(_bytes(path, 1).astype(np.int64))


def _bytes(path: str | os.PathLike, axes: int) -> np.ndarray:
    array = read_idx(path)
    if array.dtype != np.uint8:
        raise TypeError(f"{path} should hold torch.uint8 instead of torch.{array.dtype}")
    if array.ndim != axes:
        raise ValueError(f"{path} should have {axes} dimensions instead of {array.ndim}")
    return array
