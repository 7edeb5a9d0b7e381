"""The arguments of save and load, and saving atomically."""

from __future__ import annotations

import io
import os
import stat
import subprocess
import sys
import warnings
import zipfile

import numpy as np
import pytest

import fakel
from tests.serialization.test_exchange import saved


def test_map_location(torch):
    content = saved({"w": fakel.ones(2)}, fakel)
    places = []

    def remember(storage, place):
        places.append(place)

    for location in (None, "cpu", fakel.device("cpu"), {"cpu": "cpu"}, {}, remember, b"cpu"):
        content.seek(0)
        assert fakel.load(content, map_location=location)["w"].tolist() == [1.0, 1.0]
    content.seek(0)
    assert fakel.load(content, lambda storage, place: storage)["w"].tolist() == [1.0, 1.0]
    assert places == ["cpu"]
    for location in ("cuda", "cuda:1", {"cpu": "cuda:0"}, "xyz", lambda s, place: "cpu", 3):
        messages = []
        for module in (torch, fakel):
            content.seek(0)
            with pytest.raises((RuntimeError, TypeError, AttributeError)) as caught:
                module.load(content, map_location=location)
            messages.append(str(caught.value))
        if not callable(location):
            assert messages[0] == messages[1].replace("fakel", "torch")


@pytest.mark.parametrize("asked", [None, True, False])
@pytest.mark.parametrize("forced", ["0", "1"])
@pytest.mark.parametrize("lifted", ["0", "YES"])
def test_the_environment_decides_on_weights_only(asked, forced, lifted, torch, monkeypatch):
    """A file with a NumPy array is loaded, refused or warned of as PyTorch does."""
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", forced)
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", lifted)
    seen = []
    for module in (torch, fakel):
        content = saved(np.arange(3.0), module)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            try:
                result = module.load(content, weights_only=asked).tolist()
            except Exception as error:
                result = type(error), str(error).splitlines()[0]
        seen.append((result, [(str(each.message), each.filename) for each in caught]))
    assert seen[0] == seen[1]


def test_files_from_other_devices(torch):
    source, buffer = (
        zipfile.ZipFile(io.BytesIO(saved(torch.ones(2), torch).getvalue())),
        io.BytesIO(),
    )
    with zipfile.ZipFile(buffer, "w") as target:
        for name in source.namelist():
            plain = source.read(name)
            moved = plain.replace(b"X\x03\x00\x00\x00cpu", b"X\x06\x00\x00\x00cuda:0")
            target.writestr(name, moved if name.endswith(".pkl") else plain)
    buffer.seek(0)
    with pytest.raises(RuntimeError, match="Attempting to deserialize object on a CUDA device but"):
        fakel.load(buffer)
    buffer.seek(0)
    assert fakel.load(buffer, map_location="cpu").tolist() == [1.0, 1.0]
    buffer.seek(0)
    assert fakel.load(buffer, map_location={"cuda:0": "cpu"}).tolist() == [1.0, 1.0]


def test_where_to_save(tmp_path, torch):
    for place in (
        tmp_path / "a.pt",
        str(tmp_path / "b.pt"),
        tmp_path / "ünï.pt",
        tmp_path / "noend",
    ):
        fakel.save(fakel.ones(1), place)
        assert fakel.load(place).item() == 1
        assert torch.load(place).item() == 1
    with open(tmp_path / "c.pt", "wb") as file:
        fakel.save(fakel.ones(1), file)
    with open(tmp_path / "c.pt", "rb") as file:
        assert fakel.load(file).item() == 1
    with pytest.raises(RuntimeError, match=r"Parent directory .*missing does not exist\."):
        fakel.save(fakel.ones(1), tmp_path / "missing" / "a.pt")
    with pytest.raises(
        AttributeError, match="expected 'f' to be string, path, or a file-like object"
    ):
        fakel.save(fakel.ones(1), 3)
    with pytest.raises(RuntimeError, match="open file failed with strerror: Is a directory"):
        fakel.save(fakel.ones(1), tmp_path)


def test_an_archive_in_the_middle_of_a_file():
    buffer = io.BytesIO(b"12345" + saved(fakel.ones(2), fakel).getvalue())
    buffer.seek(5)
    assert fakel.load(buffer).tolist() == [1.0, 1.0]


def test_objects_that_cannot_be_saved_leave_the_old_file(tmp_path):
    path = tmp_path / "file.pt"
    fakel.save(fakel.ones(1), path)
    before = path.read_bytes()
    with pytest.raises(Exception, match="pickle"):
        fakel.save({"w": fakel.ones(1000), "f": lambda: 1}, path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["file.pt"]


def test_saving_is_atomic(tmp_path, monkeypatch):
    path = tmp_path / "file.pt"
    fakel.save(fakel.ones(1), path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="disk full"):
        fakel.save(fakel.zeros(1), path)
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["file.pt"]


def test_permissions_and_links_stay(tmp_path):
    path, link = tmp_path / "file.pt", tmp_path / "latest.pt"
    fakel.save(fakel.ones(1), path)
    mask = os.umask(0)
    os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o666 & ~mask
    path.chmod(0o640)
    link.symlink_to(path)
    fakel.save(fakel.zeros(1), link)
    assert link.is_symlink() and fakel.load(path).item() == 0
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_saving_to_a_pipe():
    script = (
        "import fakel; from fakel.serialization import save; save(fakel.ones(3), '/dev/stdout')"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, check=True
    )
    assert fakel.load(io.BytesIO(done.stdout)).tolist() == [1.0, 1.0, 1.0]


def test_arguments_that_cannot_be_honoured(tmp_path):
    import marshal
    import pickle

    with pytest.raises(RuntimeError, match="explicit pickle_module"):
        fakel.load(saved(1, fakel), weights_only=True, pickle_module=pickle)
    with pytest.raises(TypeError, match="cannot honour"):
        fakel.load(saved(1, fakel), fix_imports=False)
    with pytest.raises(ValueError, match="pickle module"):
        fakel.save(1, io.BytesIO(), pickle_module=marshal)
    with pytest.raises(NotImplementedError):
        fakel.save(1, io.BytesIO(), _use_new_zipfile_serialization=False)


def test_the_same_object_gives_the_same_file():
    assert saved(fakel.ones(3), fakel).getvalue() == saved(fakel.ones(3), fakel).getvalue()
