"""The disk cache: what was written comes back, and nothing else does."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fakel.runtime.cache import DiskCache, cache_folder

ROOT = Path(__file__).parents[2]


@pytest.fixture
def kept(tmp_path):
    return DiskCache(tmp_path / "kernels")


def only_file(kept: DiskCache) -> Path:
    (path,) = kept.folder.iterdir()
    return path


def test_what_was_written_comes_back(kept):
    assert kept.read("a") is None
    kept.write("a", b"first")
    kept.write("b", b"")
    kept.write("a", b"second")
    assert kept.read("a") == b"second"
    assert kept.read("b") == b""
    assert DiskCache(kept.folder).read("a") == b"second"
    assert kept.usage().entries == 2


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: b"",
        lambda content: content[:10],
        lambda content: content[:-1],
        lambda content: content + b"x",
        lambda content: content[:-3] + b"abc",
        lambda content: b"x" + content[1:],
        lambda content: bytes(len(content)),
    ],
)
def test_a_damaged_entry_does_not_come_back(kept, damage):
    kept.write("a", b"payload")
    path = only_file(kept)
    path.write_bytes(damage(path.read_bytes()))
    assert kept.read("a") is None
    kept.write("a", b"again")
    assert kept.read("a") == b"again"


def test_an_entry_of_another_key_does_not_come_back(kept):
    kept.write("a", b"payload")
    content = only_file(kept).read_bytes()
    kept.clear()
    kept.write("b", b"payload")
    only_file(kept).write_bytes(content)
    assert kept.read("b") is None


def test_what_others_could_have_written_does_not_come_back(kept):
    kept.write("a", b"payload")
    only_file(kept).chmod(0o666)
    assert kept.read("a") is None


def test_a_folder_in_place_of_an_entry(kept):
    kept.write("a", b"payload")
    path = only_file(kept)
    path.unlink()
    path.mkdir()
    assert kept.read("a") is None
    kept.write("a", b"payload")
    assert kept.read("a") is None


def test_the_least_recently_used_go_first(tmp_path):
    kept = DiskCache(tmp_path, limit=100_000)
    for number in range(9):
        kept.write(str(number), bytes(10_000))
    now = time.time()
    for number, path in enumerate(kept._path(str(number)) for number in range(9)):
        os.utime(path, (now - 100 + number,) * 2)
    assert kept.read("0") == bytes(10_000)  # used just now
    kept.write("9", bytes(10_000))
    assert kept.usage().size <= 100_000
    here = [number for number in range(10) if kept.read(str(number)) is not None]
    assert here == [0, *range(10 - len(here) + 1, 10)]
    assert len(here) >= 5


def test_the_limit_holds(tmp_path):
    kept = DiskCache(tmp_path, limit=50_000)
    for number in range(100):
        kept.write(str(number), bytes(3000))
        assert kept.usage().size <= 50_000 + 50_000 // 16 + 3100
    assert kept.read("99") is not None


def test_the_number_of_entries_is_limited(tmp_path):
    for number in range(30):  # every process looks at the folder when it first writes
        DiskCache(tmp_path, most=20).write(str(number), b"payload")
        assert DiskCache(tmp_path).usage().entries <= 20
    assert DiskCache(tmp_path).read("29") == b"payload"


def test_what_dead_writers_left_goes(tmp_path):
    kept = DiskCache(tmp_path, limit=1000)
    dead, alive, foreign = (tmp_path / name for name in ("a.writing", "b.writing", "notes.txt"))
    for path in (dead, alive, foreign):
        path.write_bytes(b"x")
    os.utime(dead, (0, 0))
    os.utime(foreign, (0, 0))
    kept.write("a", bytes(500))
    assert not dead.exists()
    assert alive.exists() and foreign.exists()
    kept.clear()
    assert not alive.exists() and foreign.exists()


def test_without_a_writable_folder_nothing_is_kept(tmp_path):
    obstacle = tmp_path / "file"
    obstacle.write_text("no folder")
    kept = DiskCache(obstacle / "kernels")
    kept.write("a", b"payload")
    assert kept.read("a") is None
    assert kept.usage().entries == kept.clear().entries == 0


@pytest.mark.skipif(os.getuid() == 0, reason="root may write everywhere")
def test_a_folder_that_is_read_only(kept):
    kept.write("a", b"payload")
    kept.folder.chmod(0o500)
    try:
        kept.write("b", b"payload")
        assert kept.read("a") == b"payload"
        assert kept.read("b") is None
    finally:
        kept.folder.chmod(0o700)


def test_processes_share_a_folder(tmp_path):
    source = f"""
import random, sys
from pathlib import Path
from fakel.runtime.cache import DiskCache
kept = DiskCache(Path({str(tmp_path)!r}), limit=200_000)
random.seed(int(sys.argv[1]))
hits = 0
for _ in range(500):
    number = random.randrange(40)
    payload = bytes([number]) * (4000 + 100 * number)
    found = kept.read(str(number))
    assert found is None or found == payload
    hits += found is not None
    if found is None or random.random() < 0.3:
        kept.write(str(number), payload)
    if random.random() < 0.01:
        kept.clear()
assert hits > 30, hits
"""
    running = [
        subprocess.Popen([sys.executable, "-c", source, str(seed)], cwd=ROOT) for seed in range(3)
    ]
    assert [process.wait(60) for process in running] == [0, 0, 0]
    assert all(path.suffix == ".entry" for path in tmp_path.iterdir())


def test_the_folder_is_the_users_choice(monkeypatch):
    monkeypatch.setenv("HOME", "/home/somebody")
    monkeypatch.delenv("FAKEL_CACHE")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert cache_folder() == Path("/home/somebody/.cache/fakel")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert cache_folder() == Path("/caches/fakel")
    monkeypatch.setenv("FAKEL_CACHE", "~/elsewhere")
    assert cache_folder() == Path("/home/somebody/elsewhere")
