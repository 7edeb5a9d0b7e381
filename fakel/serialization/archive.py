"""The zip container of checkpoints: stored (never compressed) records, 64-byte aligned.

The writer lays records out as PyTorch's does, byte for byte, so that both find storages by
calculation and can map the file into memory. The reader takes any zip archive of records.
"""

from __future__ import annotations

import hashlib
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import IO, Any

import numpy as np

ALIGNMENT = 64
FORMAT_VERSION = b"3\n"
ZIP64_LIMIT = 0xFFFFFFFF

_DESCRIPTOR_AND_UTF8 = 0x0808
_UTF8 = 0x0800
_MADE_BY = 0x031E
_ZIP64_VERSION = 45

_CORRUPT = (
    "PytorchStreamReader failed {what}. This is an internal miniz error. If you are seeing this "
    "error, there is a high likelihood that your checkpoint file is corrupted. This can happen "
    "if the checkpoint was not saved properly, was transferred incorrectly, or the file was "
    "modified after saving."
)


def corrupt(what: str) -> RuntimeError:
    """The error for a damaged archive, in PyTorch's words."""
    return RuntimeError(_CORRUPT.format(what=what))


class ArchiveWriter:
    """Writes records one after the other to anything with a `write` method.

    Args:
        write: takes bytes-like objects.
        name: the folder that all records lie in.
    """

    def __init__(self, write: Callable[[Any], Any], name: str) -> None:
        self._write = write
        self._folder = name
        self._position = 0
        # name, checksum, size, header position
        self._entries: list[tuple[bytes, int, int, int]] = []

    def add(self, name: str, content: Any) -> None:
        """Append one record; `content` is bytes or a contiguous buffer."""
        content = memoryview(content).cast("B") if len(content) else memoryview(b"")
        encoded = f"{self._folder}/{name}".encode()
        checksum = zlib.crc32(content)
        header_at, size = self._position, len(content)
        extra = _zip64_fields(size, header_at, size >= ZIP64_LIMIT)
        data_at = header_at + 30 + len(encoded) + len(extra) + 4
        padding = -data_at % ALIGNMENT
        extra += b"FB" + struct.pack("<H", padding) + b"Z" * padding
        large = size >= ZIP64_LIMIT
        flags = _DESCRIPTOR_AND_UTF8 if size else _UTF8
        kind = (0x04034B50, _ZIP64_VERSION if large else 0, flags, 0, 0, 0, 0)
        lengths = (ZIP64_LIMIT if large else 0,) * 2 + (len(encoded), len(extra))
        self._put(struct.pack("<IHHHHHIIIHH", *kind, *lengths))
        self._put(encoded + extra)
        if size:
            self._put(content)
            form = "<IIQQ" if max(size, header_at) >= ZIP64_LIMIT else "<IIII"
            self._put(struct.pack(form, 0x08074B50, checksum, size, size))
        self._entries.append((encoded, checksum, size, header_at))

    def close(self) -> None:
        """Append the closing records and the directory."""
        self.add("version", FORMAT_VERSION)
        self.add(".data/serialization_id", self._fingerprint())
        directory_at = self._position
        for entry in self._entries:
            self._put(_directory_entry(*entry))
        count, directory_size = len(self._entries), self._position - directory_at
        self._put(_directory_end(count, directory_size, directory_at))

    def _put(self, content: Any) -> None:
        self._write(content)
        self._position += len(content)

    def _fingerprint(self) -> bytes:
        """Forty digits that tell files of different content apart."""
        digest = hashlib.sha256(repr([entry[:3] for entry in self._entries]).encode()).digest()
        return str(int.from_bytes(digest, "big") % 10**40).rjust(40, "0").encode()


def _directory_entry(name: bytes, checksum: int, size: int, header_at: int) -> bytes:
    extra = _zip64_fields(size, header_at, size >= ZIP64_LIMIT)
    version = _ZIP64_VERSION if extra else 0
    flags = _DESCRIPTOR_AND_UTF8 if size else _UTF8
    shown = min(size, ZIP64_LIMIT)
    kind = (0x02014B50, 0, version, flags, 0, 0, 0)
    lengths = (checksum, shown, shown, len(name), len(extra), 0)
    place = (0, 0, 0, min(header_at, ZIP64_LIMIT))
    return struct.pack("<IHHHHHHIIIHHHHHII", *kind, *lengths, *place) + name + extra


def _directory_end(count: int, size: int, at: int) -> bytes:
    """The end of the archive in its 64-bit form, and in the old one that readers look for."""
    versions = (_MADE_BY, _ZIP64_VERSION)
    large = struct.pack("<IQHHIIQQQQ", 0x06064B50, 44, *versions, 0, 0, count, count, size, at)
    locator = struct.pack("<IIQI", 0x07064B50, 0, at + size, 1)
    shown = (min(count, 0xFFFF), min(count, 0xFFFF), min(size, ZIP64_LIMIT), min(at, ZIP64_LIMIT))
    return large + locator + struct.pack("<IHHHHIIH", 0x06054B50, 0, 0, *shown, 0)


def _zip64_fields(size: int, header_at: int, large: bool) -> bytes:
    fields = b""
    if large:
        fields += struct.pack("<QQ", size, size)
    if header_at >= ZIP64_LIMIT:
        fields += struct.pack("<Q", header_at)
    return struct.pack("<HH", 1, len(fields)) + fields if fields else b""


class ArchiveReader:
    """Reads records of an archive that begins where the file stands.

    Args:
        file: a seekable binary file.

    Raises:
        RuntimeError: the file is truncated or no zip archive.
    """

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        try:
            self._zip = zipfile.ZipFile(file)
        except (
            zipfile.BadZipFile,
            OSError,
            struct.error,
            ValueError,
            NotImplementedError,
        ) as error:
            raise corrupt("reading zip archive: failed finding central directory") from error
        entries = self._zip.infolist()
        if not entries or "/" not in entries[0].filename:
            raise corrupt("reading zip archive: archive does not contain any files")
        self._folder = entries[0].filename.split("/", 1)[0]

    def names(self) -> list[str]:
        """The names of all records."""
        prefix = self._folder + "/"
        names = (entry.filename for entry in self._zip.infolist())
        return [name[len(prefix) :] for name in names if name.startswith(prefix)]

    def has(self, name: str) -> bool:
        """Whether there is a record of that name."""
        return f"{self._folder}/{name}" in self._zip.NameToInfo

    def read(self, name: str) -> bytes:
        """The content of a small record."""
        return self.read_array(name, None).tobytes()

    def read_array(self, name: str, size: int | None) -> np.ndarray:
        """The content of a record as a fresh array of bytes.

        Args:
            name: the record.
            size: how many bytes it must have (None: any number).

        Raises:
            RuntimeError: the record is missing, has another size, is cut off or damaged.
        """
        entry = self._entry(name)
        if size is not None and entry.file_size != size:
            raise corrupt(
                f"reading file {entry.filename}: it has {entry.file_size} bytes, {size} were "
                "expected"
            )
        if entry.compress_type != zipfile.ZIP_STORED:
            return self._decompressed(entry)
        content = np.empty(entry.file_size if self._fits(entry) else 0, np.uint8)
        self._file.seek(self.position(name))
        if len(content) != entry.file_size or _read_into(self._file, content) != entry.file_size:
            raise corrupt(f"reading file {entry.filename}: file read failed")
        # a checksum of 0 is what PyTorch writes when told not to compute them
        if entry.CRC and zlib.crc32(content) != entry.CRC:
            raise corrupt(f"reading file {entry.filename}: checksum mismatch")
        return content

    def position(self, name: str) -> int:
        """Where in the file the content of a stored record begins."""
        entry = self._entry(name)
        if entry.header_offset < 0:
            raise corrupt(f"reading file {entry.filename}: invalid header")
        self._file.seek(entry.header_offset)
        header = self._file.read(30)
        if len(header) != 30 or not header.startswith(b"PK\x03\x04"):
            raise corrupt(f"reading file {entry.filename}: invalid header")
        name_length, extra_length = struct.unpack("<HH", header[26:30])
        return int(entry.header_offset) + 30 + int(name_length) + int(extra_length)

    def is_stored(self, name: str, size: int) -> bool:
        """Whether the record lies in the file uncompressed, with that many bytes."""
        entry = self._entry(name)
        return (
            entry.compress_type == zipfile.ZIP_STORED
            and entry.file_size == size
            and self._fits(entry)
        )

    def _fits(self, entry: zipfile.ZipInfo) -> bool:
        return entry.header_offset + entry.file_size <= self._file.seek(0, 2)

    def _decompressed(self, entry: zipfile.ZipInfo) -> np.ndarray:
        try:
            return np.frombuffer(bytearray(self._zip.read(entry)), np.uint8)
        except (zipfile.BadZipFile, zlib.error, EOFError, OSError, NotImplementedError) as error:
            raise corrupt(f"reading file {entry.filename}: file read failed") from error

    def _entry(self, name: str) -> zipfile.ZipInfo:
        try:
            return self._zip.getinfo(f"{self._folder}/{name}")
        except KeyError:
            raise corrupt(f"locating file {name}: file not found") from None


def _read_into(file: IO[bytes], content: np.ndarray) -> int:
    """Fills `content` from the file; returns how many bytes there were."""
    view, done = memoryview(content), 0
    readinto = getattr(file, "readinto", None)
    while done < len(view):
        if readinto is not None:
            count = readinto(view[done:])
        else:
            piece = file.read(len(view) - done)
            count = len(piece)
            view[done : done + count] = piece
        if not count:
            break
        done += count
    return done
