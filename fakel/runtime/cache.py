"""Files that may vanish: what compiling made, kept in the user's cache folder from run to run."""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

LIMIT = 256 * 2**20
"""Bytes that a cache may hold; the least recently used entries go first."""

MOST = 20_000
"""Entries that a cache may hold, so that listing the folder stays quick."""

_MAGIC = b"fakel cache 1\n"
_SUFFIX = ".entry"
_TEMPORARY = ".writing"
_ABANDONED = 3600.0  # seconds after which a temporary file belongs to nobody any more


def cache_folder() -> Path:
    """Where compiled programs are kept: FAKEL_CACHE, or `fakel` in the user's cache folder."""
    chosen = os.environ.get("FAKEL_CACHE")
    if chosen:
        return Path(chosen).expanduser()
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return Path(base).expanduser() / "fakel"


@dataclass(frozen=True)
class Usage:
    """How many entries a cache has, and their bytes."""

    entries: int
    size: int


class DiskCache:
    """A folder of checksummed files, each the payload of one key.

    Nothing here raises for the folder's sake: an entry that is missing, damaged, or that others
    could have written reads as None, and what cannot be written is not kept. Processes may share
    the folder, since files appear whole or not at all.

    Args:
        folder: made when something is first written.
        limit: bytes above which the least recently used entries are removed.
        most: entries above which they are removed as well.
    """

    def __init__(self, folder: Path, limit: int = LIMIT, most: int = MOST):
        self.folder = folder
        self.limit = limit
        self.most = most
        self._unwatched = limit  # bytes written since the folder was last measured

    def read(self, key: str) -> bytes | None:
        """The payload that was written under this key, or None."""
        path = self._path(key)
        try:
            with open(path, "rb") as file:
                if not _trusted(os.fstat(file.fileno())):
                    return None
                content = file.read()
        except OSError:
            return None
        start = len(_MAGIC) + hashlib.sha256().digest_size
        payload = content[start:]
        if content[:start] != _header(key, payload):
            return None
        with contextlib.suppress(OSError):
            os.utime(path)
        return payload

    def write(self, key: str, payload: bytes) -> None:
        """Keeps the payload, in place of an earlier one of the same key."""
        import tempfile  # slow to load, and only needed here

        path = self._path(key)
        temporary = None
        try:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(_TEMPORARY, path.name[:8], self.folder)
            with open(handle, "wb") as file:
                file.write(_header(key, payload))
                file.write(payload)
            os.replace(temporary, path)
        except OSError:
            if temporary is not None:
                with contextlib.suppress(OSError):
                    os.unlink(temporary)
            return
        self._unwatched += len(payload)
        if self._unwatched > self.limit // 16:
            self._unwatched = 0
            self._shrink()

    def usage(self) -> Usage:
        """What the folder holds now."""
        sizes = [status.st_size for path, status in self._files() if path.endswith(_SUFFIX)]
        return Usage(len(sizes), sum(sizes))

    def clear(self) -> Usage:
        """Removes every entry (and what writers that died left); returns what was removed."""
        removed = self.usage()
        for path, _ in self._files():
            with contextlib.suppress(OSError):
                os.unlink(path)
        return removed

    def _path(self, key: str) -> Path:
        return self.folder / (hashlib.sha256(key.encode()).hexdigest()[:40] + _SUFFIX)

    def _files(self) -> list[tuple[str, os.stat_result]]:
        """Entries and temporary files; other files in the folder are none of ours."""
        found = []
        try:
            with os.scandir(self.folder) as listing:
                for item in listing:
                    if item.name.endswith((_SUFFIX, _TEMPORARY)):
                        with contextlib.suppress(OSError):
                            found.append((item.path, item.stat(follow_symlinks=False)))
        except OSError:
            return []
        return found

    def _shrink(self) -> None:
        files = self._files()
        count, size = len(files), sum(status.st_size for _, status in files)
        most, limit = self.most, self.limit
        if count > most or size > limit:
            # a quarter below the limits, so that they hold for some time
            most, limit = most * 3 // 4, limit * 3 // 4
        now = time.time()
        for path, status in sorted(files, key=lambda item: item[1].st_mtime):
            abandoned = path.endswith(_TEMPORARY) and now - status.st_mtime > _ABANDONED
            if count > most or size > limit or abandoned:
                with contextlib.suppress(OSError):
                    os.unlink(path)
                count -= 1
                size -= status.st_size


def _header(key: str, payload: bytes) -> bytes:
    checksum = hashlib.sha256(key.encode())
    checksum.update(payload)
    return _MAGIC + checksum.digest()


def _trusted(status: os.stat_result) -> bool:
    """Whether nobody else could have written a file: native code will be run from it."""
    return status.st_uid in (0, os.getuid()) and not status.st_mode & 0o022
