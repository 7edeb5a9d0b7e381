"""Downloads, checksums and archives.

A download goes to a `.part` file beside its place and is moved there only when it is whole and its
checksum is right: whatever interrupts it, no half file is ever taken for the real one, and the
next attempt goes on where this one stopped.
"""

from __future__ import annotations

import bz2
import gzip
import hashlib
import importlib
import lzma
import os
import shutil
import tarfile
import zipfile
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

_CHUNK = 1 << 16
_TIMEOUT_SECONDS = 30
_OPENERS: dict[str, Callable] = {".bz2": bz2.open, ".gz": gzip.open, ".xz": lzma.open}
_TAR_SUFFIXES = (".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tbz", ".tbz2", ".tar.xz")


def calculate_md5(fpath: str | Path, chunk_size: int = 1 << 20) -> str:
    """The MD5 checksum of a file in hexadecimal."""
    digest = hashlib.md5(usedforsecurity=False)
    with open(fpath, "rb") as file:
        while chunk := file.read(chunk_size):
            digest.update(chunk)
    return digest.hexdigest()


def check_integrity(fpath: str | Path, md5: str | None = None) -> bool:
    """Whether the file exists and, if `md5` is given, has this checksum."""
    return os.path.isfile(fpath) and (md5 is None or calculate_md5(fpath) == md5)


def download_url(
    url: str,
    root: str | Path,
    filename: str | Path | None = None,
    md5: str | None = None,
    max_redirect_hops: int = 3,
) -> None:
    """Download `url` to root/filename, unless it is already there with the right checksum.

    Args:
        url: what to download.
        root: the folder, which is made if needed.
        filename: the name of the file; by default the last part of the URL.
        md5: its checksum.
        max_redirect_hops: how many redirections to follow; at least 3 are always followed.

    Raises:
        URLError: the server cannot be reached or refuses.
        RuntimeError: the file has the wrong checksum.
    """
    if max_redirect_hops < 3:
        raise ValueError(f"max_redirect_hops below 3 is not supported, got {max_redirect_hops}")
    root = os.path.expanduser(root)
    target = os.path.join(root, filename or os.path.basename(url))
    if check_integrity(target, md5):
        return
    os.makedirs(root, exist_ok=True)
    part = target + ".part"
    try:
        _fetch(url, part)
    except OSError as error:
        reason = getattr(error, "reason", None) or error
        raise URLError(
            f"cannot download {url}: {reason}. Without a network, put the file at {target} yourself"
        ) from error
    if not check_integrity(part, md5):
        os.remove(part)
        raise RuntimeError(f"File not found or corrupted. {url} does not have the checksum {md5}")
    os.replace(part, target)


def _fetch(url: str, part: str) -> None:
    """Download into `part`, going on from what it already holds where the server can do that."""
    have = os.path.getsize(part) if os.path.exists(part) else 0
    headers = {"User-Agent": "fakel"}
    if have:
        headers["Range"] = f"bytes={have}-"
    try:
        response = urlopen(Request(url, headers=headers), timeout=_TIMEOUT_SECONDS)
    except HTTPError as error:
        if have and error.code == 416:  # nothing after what is there: it may be whole
            return
        raise
    with response:
        resumed = response.status == 206
        length = response.length
        with open(part, "ab" if resumed else "wb") as file:
            for chunk in _progress(response, length):
                file.write(chunk)
                if length is not None:
                    length -= len(chunk)
    if length:
        raise OSError(f"the connection ended {length} bytes too early")


def _progress(response: Any, length: int | None) -> Iterable[bytes]:
    """The chunks of a response, under a progress bar where tqdm is installed."""
    try:
        tqdm = importlib.import_module("tqdm").tqdm
    except ModuleNotFoundError:
        yield from iter(lambda: response.read(_CHUNK), b"")
        return
    with tqdm(total=length, unit="B", unit_scale=True) as bar:
        while chunk := response.read(_CHUNK):
            bar.update(len(chunk))
            yield chunk


def extract_archive(
    from_path: str | Path, to_path: str | Path | None = None, remove_finished: bool = False
) -> str | Path:
    """Unpack a tar or zip archive, or uncompress a single file, into the folder `to_path`.

    Args:
        from_path: the archive, recognised by its suffix.
        to_path: the folder; by default the one that holds the archive.
        remove_finished: delete the archive afterwards.

    Returns:
        The folder, or the uncompressed file; a string if `from_path` is one.
    """
    source = Path(from_path)
    folder = source.parent if to_path is None else Path(to_path)
    name = source.name.lower()
    if name.endswith(_TAR_SUFFIXES):
        with tarfile.open(source) as archive:
            archive.extractall(folder, filter="data")
        result = folder
    elif name.endswith(".zip"):
        with zipfile.ZipFile(source) as archive:
            archive.extractall(folder)
        result = folder
    elif source.suffix in _OPENERS:
        result = folder / source.stem
        part = folder / (source.stem + ".part")
        with _OPENERS[source.suffix](source, "rb") as packed, open(part, "wb") as plain:
            shutil.copyfileobj(packed, plain)
        os.replace(part, result)
    else:
        raise RuntimeError(
            f"Unknown compression or archive type: '{source.suffix}'.\n"
            f"Known suffixes are: '{sorted({*_TAR_SUFFIXES, '.zip', *_OPENERS})}'."
        )
    if remove_finished:
        os.remove(source)
    return os.fspath(result) if isinstance(from_path, str) else result


def download_and_extract_archive(
    url: str,
    download_root: str | Path,
    extract_root: str | Path | None = None,
    filename: str | Path | None = None,
    md5: str | None = None,
    remove_finished: bool = False,
) -> None:
    """`download_url`, then `extract_archive` into `extract_root` (by default `download_root`)."""
    download_root = os.path.expanduser(download_root)
    filename = filename or os.path.basename(url)
    download_url(url, download_root, filename, md5)
    archive = os.path.join(download_root, filename)
    extract_archive(archive, extract_root or download_root, remove_finished)


def verify_str_arg(
    value: Any,
    arg: str | None = None,
    valid_values: Iterable[str] | None = None,
    custom_msg: str | None = None,
) -> str:
    """`value` if it is one of the valid strings, ValueError otherwise."""
    if not isinstance(value, str):
        place = "" if arg is None else f" for argument {arg}"
        raise ValueError(f"Expected type str{place}, but got type {type(value)}.")
    if valid_values is not None and value not in valid_values:
        raise ValueError(
            custom_msg
            or f"Unknown value '{value}' for argument {arg}. "
            f"Valid values are {{{', '.join(repr(valid) for valid in valid_values)}}}."
        )
    return value


def list_dir(root: str | Path, prefix: bool = False) -> list[str]:
    """The folders in `root`, with the path of `root` before them if `prefix`."""
    return _entries(root, prefix, lambda entry: entry.is_dir())


def list_files(root: str | Path, suffix: str, prefix: bool = False) -> list[str]:
    """The files in `root` that end in `suffix`, with the path of `root` before them if `prefix`."""
    return _entries(root, prefix, lambda entry: entry.is_file() and entry.name.endswith(suffix))


def _entries(root: str | Path, prefix: bool, wanted: Callable[[os.DirEntry], bool]) -> list[str]:
    root = os.path.expanduser(root)
    names = [entry.name for entry in os.scandir(root) if wanted(entry)]
    return [os.path.join(root, name) for name in names] if prefix else names
