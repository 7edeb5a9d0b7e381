"""Loading never runs code from a file, names what it refuses, and survives damage."""

from __future__ import annotations

import collections
import datetime
import io
import os
import pickle
import re
import struct
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

import fakel
from tests.serialization.test_exchange import saved


class Evil:
    def __init__(self, function, *arguments):
        self.parts = function, arguments

    def __reduce__(self):
        return self.parts


class Plain:
    def __init__(self):
        self.value = 3


class Network(fakel.nn.Module):
    def __init__(self):
        super().__init__()
        self.layer = fakel.nn.Linear(2, 3)

    def forward(self, x):
        return self.layer(x)


def archive_of(pickled: bytes) -> io.BytesIO:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as target:
        target.writestr("archive/data.pkl", pickled)
        target.writestr("archive/version", "3\n")
    buffer.seek(0)
    return buffer


EVIL = {
    "os.system": Evil(os.system, "touch /tmp/fakel-was-here"),
    "eval": Evil(eval, "1 + 1"),
    "exec": Evil(exec, "x = 1"),
    "getattr": Evil(getattr, "text", "upper"),
    "subprocess": Evil(subprocess.check_output, ["true"]),
    "open": Evil(open, "/tmp/fakel-was-here", "w"),
    "import": Evil(__import__, "antigravity"),
    "set_default_dtype": Evil(fakel.set_default_dtype, fakel.float64),
    "save": Evil(fakel.save, [], "/tmp/fakel-was-here"),
    "class": Plain(),
    "pickle.loads": Evil(pickle.loads, b"N."),
}


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("name", EVIL)
@pytest.mark.parametrize("protocol", [2, 4])
def test_code_in_files_is_refused(name, weights_only, protocol):
    content = archive_of(pickle.dumps(EVIL[name], protocol))
    with pytest.raises(pickle.UnpicklingError) as caught:
        fakel.load(content, weights_only=weights_only)
    assert re.search("GLOBAL|call reduce for|Can only", str(caught.value))
    assert not Path("/tmp/fakel-was-here").exists()
    assert fakel.get_default_dtype() is fakel.float32


RAW = {
    # state for a class, which would change what its instances do
    "state of a class": b"\x80\x02ctorch\nTensor\nN}X\x08\x00\x00\x00__len__K\x01s\x86b.",
    "state of a function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n}U\x01aK\x01sb.",
    "an instance of a function": b"\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)\x81.",
    "a call of an instance": b"\x80\x02ccollections\nOrderedDict\n)R)R.",
    "a call of a dtype": b"\x80\x02ctorch\nfloat32\n)R.",
    "items of a tensor": b"\x80\x02ctorch\nSize\n)RK\x01a.",
    "old style instance": b"(ios\nsystem\n.",
    "extension registry": b"\x80\x02\x82\x01.",
    "wrong persistent id": b"\x80\x02K\x01Q.",
    "text as persistent id": b"\x80\x02X\x01\x00\x00\x00aQ.",
    "empty stack": b"\x80\x02.",
    "no mark": b"\x80\x02t.",
    "unknown memo": b"\x80\x02h\x07.",
    "unhashable key": b"\x80\x02}](K\x01u.",
    "not utf-8": b"\x80\x02X\x02\x00\x00\x00\xff\xfe.",
    "huge text": b"\x80\x02\x8d" + b"\xff" * 8 + b".",
    "bytes by another codec": b"\x80\x02c_codecs\nencode\nU\x01aU\x03hex\x86R.",
    "blocked module": b"\x80\x02csys\nexit\n)R.",
    "a long bytearray": b"\x80\x02cbuiltins\nbytearray\nJ\xff\xff\xff\x7f\x85R.",
    "numpy object dtype": b"\x80\x02cnumpy\ndtype\nX\x02\x00\x00\x00O8\x89\x88\x87R.",
}


@pytest.mark.parametrize("weights_only", [True, False])
@pytest.mark.parametrize("name", RAW)
def test_malformed_pickles_are_refused(name, weights_only):
    length = fakel.Tensor.__len__
    with pytest.raises((pickle.UnpicklingError, RuntimeError)):
        fakel.load(archive_of(RAW[name]), weights_only=weights_only)
    assert fakel.Tensor.__len__ is length


def test_functions_of_fakel_are_not_called(tmp_path):
    """A function that makes tensors of a type must not make anything else."""
    target = str(tmp_path / "written")
    for function in (b"cfakel.serialization\nsave", b"ctorch\nsave", b"ctorch\nmul"):
        call = b"ctorch._tensor\n_rebuild_from_type_v2\n(" + function + b"\nctorch\nTensor\n"
        path = b"(K\x01X" + struct.pack("<I", len(target)) + target.encode() + b"t}tR."
        for weights_only in (True, False):
            with pytest.raises((pickle.UnpicklingError, RuntimeError)):
                fakel.load(archive_of(b"\x80\x02" + call + path), weights_only=weights_only)
    assert not os.path.exists(target)


def test_refusals_are_worded_as_in_pytorch(torch):
    for thing in (print, range(3), os.getcwd, datetime.date(2020, 1, 1), frozenset([1])):
        content = saved(thing, torch)
        with pytest.raises(pickle.UnpicklingError) as theirs:
            torch.load(content, weights_only=True)
        content.seek(0)
        with pytest.raises(pickle.UnpicklingError) as ours:
            fakel.load(content)
        assert str(ours.value) == str(theirs.value)
    with pytest.raises(
        pickle.UnpicklingError, match=r"GLOBAL torch\.nn\.modules\.linear\.Linear was"
    ):
        fakel.load(saved(torch.nn.Linear(1, 1), torch))


def test_allowing_a_class():
    content = saved(Plain(), fakel).getvalue()
    for weights_only in (True, False):
        with pytest.raises(pickle.UnpicklingError, match=r"Plain"):
            fakel.load(io.BytesIO(content), weights_only=weights_only)
        with fakel.serialization.safe_globals([Plain]):
            assert fakel.load(io.BytesIO(content), weights_only=weights_only).value == 3
        with pytest.raises(pickle.UnpicklingError):
            fakel.load(io.BytesIO(content), weights_only=weights_only)
    fakel.serialization.add_safe_globals([Plain])
    try:
        assert fakel.serialization.get_safe_globals() == [Plain]
        assert fakel.load(io.BytesIO(content)).value == 3
    finally:
        fakel.serialization.clear_safe_globals()
    unsafe = fakel.serialization.get_unsafe_globals_in_checkpoint(io.BytesIO(content))
    assert unsafe == [f"{Plain.__module__}.Plain"]


def test_whole_networks(torch):
    network = Network()
    content = saved(network, fakel)
    with pytest.raises(pickle.UnpicklingError, match="Network"):
        fakel.load(content)
    content.seek(0)
    loaded = fakel.load(content, weights_only=False)
    x = fakel.ones(1, 2)
    assert type(loaded) is Network
    assert loaded(x).tolist() == network(x).tolist()

    theirs = torch.nn.Sequential(
        torch.nn.Linear(2, 3), torch.nn.ReLU(), torch.nn.Dropout(0.5)
    ).eval()
    loaded = fakel.load(saved(theirs, torch), weights_only=False)
    assert not loaded.training and repr(loaded) == repr(theirs)
    np.testing.assert_allclose(
        loaded(x).detach().numpy(), theirs(torch.ones(1, 2)).detach(), rtol=1e-6
    )

    ours = fakel.nn.Sequential(fakel.nn.Linear(2, 3), fakel.nn.Tanh())
    loaded = torch.load(saved(ours, fakel), weights_only=False)
    assert repr(loaded) == repr(ours)
    np.testing.assert_allclose(
        loaded(torch.ones(1, 2)).detach(), ours(x).detach().numpy(), rtol=1e-6
    )


def test_plain_data(torch):
    data = {
        "default": collections.defaultdict(list, {"a": [1]}),
        "queue": collections.deque([1, 2]),
        "date": datetime.datetime(2024, 5, 1, 12, 30),
        "path": Path("a/b"),
        "sets": (frozenset([1]), range(3), slice(1, 2)),
        "scalar": np.float64(0.5),
        "array": np.arange(6, dtype=np.int16).reshape(2, 3),
        "fortran": np.asfortranarray(np.arange(6.0).reshape(2, 3)),
        "big endian": np.arange(3, dtype=">i4"),
        "empty bytes": b"",
    }
    loaded = fakel.load(saved(data, torch), weights_only=False)
    assert repr(loaded) == repr(pickle.loads(pickle.dumps(data, 2)))
    loaded["default"]["b"].append(1)


NUMPY_FORGERIES = {
    "object array": np.array([print, 1], dtype=object),
    "record": np.zeros(2, dtype=[("a", "i4")]),
}


@pytest.mark.parametrize("name", NUMPY_FORGERIES)
def test_numpy_data_that_is_not_plain_is_refused(name, torch):
    with pytest.raises(pickle.UnpicklingError):
        fakel.load(saved(NUMPY_FORGERIES[name], torch), weights_only=False)


def test_numpy_bytes_that_do_not_fit_are_refused():
    content = pickle.dumps(np.arange(4, dtype=np.int64), 2)
    forged = content.replace(b"K\x04\x85", b"M\xff\x7f\x85")
    assert forged != content
    with pytest.raises(pickle.UnpicklingError, match="malformed NumPy array"):
        fakel.load(archive_of(forged), weights_only=False)


def test_tensors_beyond_their_storage_are_refused():
    content = saved(fakel.arange(4.0), fakel).getvalue()
    source = zipfile.ZipFile(io.BytesIO(content))
    pickled = source.read("archive/data.pkl")
    forgeries = {
        "size": pickled.replace(b"K\x00K\x04\x85", b"K\x00K\x05\x85"),
        "offset": pickled.replace(b"K\x00K\x04\x85", b"K\x01K\x04\x85"),
        "stride": pickled.replace(b"K\x04\x85q\x06K\x01\x85", b"K\x04\x85q\x06K\x07\x85"),
        "negative": pickled.replace(
            b"K\x04\x85q\x06K\x01\x85", b"K\x04\x85q\x06J\xff\xff\xff\xff\x85"
        ),
        "numel": pickled.replace(b"K\x04t", b"K\x40t"),
    }
    for name, forged in forgeries.items():
        assert forged != pickled, name
        buffer = io.BytesIO()
        with zipfile.ZipFile(buffer, "w") as target:
            for entry in source.namelist():
                plain = source.read(entry)
                target.writestr(entry, forged if entry.endswith("data.pkl") else plain)
        buffer.seek(0)
        with pytest.raises(RuntimeError):
            fakel.load(buffer)


def test_truncated_files():
    content = saved({"w": fakel.arange(40.0), "n": [1, 2, 3]}, fakel).getvalue()
    for end in range(0, len(content), 11):
        with pytest.raises((RuntimeError, EOFError, pickle.UnpicklingError)) as caught:
            fakel.load(io.BytesIO(content[:end]))
        assert str(caught.value)


def test_damaged_files_give_an_error_or_the_right_values():
    content = saved({"w": fakel.arange(40.0), "n": [1, 2, 3]}, fakel).getvalue()
    expected = fakel.arange(40.0).tolist()
    for position in range(0, len(content), 3):
        damaged = bytearray(content)
        damaged[position] ^= 0x21
        try:
            loaded = fakel.load(io.BytesIO(damaged))
        except (RuntimeError, EOFError, pickle.UnpicklingError):
            continue
        assert loaded["w"].tolist() == expected and loaded["n"] == [1, 2, 3], position


def test_files_that_are_no_checkpoints(tmp_path):
    with pytest.raises(EOFError, match="Ran out of input"):
        fakel.load(io.BytesIO())
    with pytest.raises(pickle.UnpicklingError, match="Weights only load failed"):
        fakel.load(io.BytesIO(b"hello world, this is text"))
    with pytest.raises(FileNotFoundError):
        fakel.load(tmp_path / "missing.pt")
    with pytest.raises(
        AttributeError, match="You can only torch.load from a file that is seekable"
    ):
        fakel.load(3)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as target:
        target.writestr("picture.txt", "no checkpoint")
    archive.seek(0)
    with pytest.raises(RuntimeError, match="PytorchStreamReader failed"):
        fakel.load(archive)


def test_a_file_too_large_for_its_archive_does_not_exhaust_memory(torch):
    content = bytearray(saved(fakel.ones(4), fakel).getvalue())
    at = content.index(struct.pack("<I", 16), content.index(b"PK\x01\x02"))
    content[at : at + 4] = struct.pack("<I", 0xFFFFFFF0)
    with pytest.raises(RuntimeError):
        fakel.load(io.BytesIO(content))


def test_nothing_is_imported_by_a_file():
    pickled = b"\x80\x02cantigravity\nfly\n."
    for weights_only in (True, False):
        with pytest.raises(pickle.UnpicklingError):
            fakel.load(archive_of(pickled), weights_only=weights_only)
    assert "antigravity" not in sys.modules
