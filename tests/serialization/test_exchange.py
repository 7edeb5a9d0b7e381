"""Checkpoints travel between fakel and PyTorch, both ways."""

from __future__ import annotations

import importlib
import io
import zipfile
from collections import Counter, OrderedDict

import numpy as np
import pytest

import fakel

DTYPES = (
    "float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool "
    "complex64 complex128"
).split()


def saved(obj, module, **options) -> io.BytesIO:
    buffer = io.BytesIO()
    module.save(obj, buffer, **options)
    buffer.seek(0)
    return buffer


def make_objects(module):
    """The same objects in either package."""
    base = module.arange(12.0)
    return OrderedDict(
        base=base,
        part=base[2:8:2],
        grid=base.view(3, 4).t(),
        expanded=module.tensor([1.5]).expand(3),
        empty=module.zeros(0, 3),
        scalar=module.tensor(7),
        leaf=module.ones(2, requires_grad=True),
        parameter=module.nn.Parameter(module.ones(2)),
        frozen=module.nn.Parameter(module.ones(2), requires_grad=False),
        size=module.Size([2, 3]),
        dtype=module.bfloat16,
        device=module.device("cpu"),
        nested={"list": [1, 2.5, "text", None, True, (1, 2)], "big": 2**70, 3: -1, "bytes": b"ab"},
        sets=[{1, 2}, Counter("aab"), 1 + 2j, bytearray(b"xy")],
    )


def assert_same_tensor(ours, theirs):
    assert str(ours.dtype) == str(theirs.dtype)
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert tuple(ours.stride()) == tuple(theirs.stride())
    assert ours.storage_offset() == theirs.storage_offset()
    assert ours.requires_grad == theirs.requires_grad
    assert type(ours).__name__ == type(theirs).__name__
    assert ours.tolist() == theirs.tolist()


def assert_same_objects(ours, theirs):
    assert list(ours) == list(theirs)
    for name in ours:
        if hasattr(ours[name], "stride"):
            assert_same_tensor(ours[name], theirs[name])
        else:
            assert repr(ours[name]) == repr(theirs[name])


def shares_memory(one, other) -> bool:
    first = one.flatten()[0].item()
    other.view(-1)[0] = first + 100
    return one.flatten()[0].item() == first + 100


def test_pytorch_reads_ours(torch):
    loaded = torch.load(saved(make_objects(fakel), fakel), weights_only=True)
    assert_same_objects(make_objects(fakel), loaded)
    assert loaded["part"].data_ptr() == loaded["base"].data_ptr() + 8
    assert loaded["grid"].data_ptr() == loaded["base"].data_ptr()


@pytest.mark.parametrize("weights_only", [True, False])
def test_ours_reads_pytorch(torch, weights_only):
    loaded = fakel.load(saved(make_objects(torch), torch), weights_only=weights_only)
    assert_same_objects(loaded, make_objects(torch))
    loaded["base"][2] = 50.0
    assert loaded["part"][0].item() == 50.0
    assert loaded["grid"][2, 0].item() == 50.0


def test_round_trip():
    loaded = fakel.load(saved(make_objects(fakel), fakel))
    assert_same_objects(loaded, make_objects(fakel))


@pytest.mark.parametrize("dtype", DTYPES)
def test_dtypes(torch, dtype):
    values = [0, 1, 1, 0, 1]
    theirs = torch.tensor(values).to(getattr(torch, dtype))
    ours = fakel.tensor(values).to(getattr(fakel, dtype))
    assert_same_tensor(fakel.load(saved(theirs, torch)), theirs)
    assert_same_tensor(ours, torch.load(saved(ours, fakel), weights_only=True))


def test_files_are_laid_out_as_pytorch_does(torch, tmp_path):
    fakel.save(make_objects(fakel), tmp_path / "ours.pt")
    torch.save(make_objects(torch), tmp_path / "theirs.pt")
    ours, theirs = zipfile.ZipFile(tmp_path / "ours.pt"), zipfile.ZipFile(tmp_path / "theirs.pt")
    assert ours.testzip() is None
    names = [name.split("/", 1)[1] for name in ours.namelist()]
    assert names == [name.split("/", 1)[1] for name in theirs.namelist()]
    assert {name.split("/")[0] for name in ours.namelist()} == {"ours"}
    for name in names:
        if name.startswith("data/") or name in ("version", "byteorder", ".format_version"):
            assert ours.read(f"ours/{name}") == theirs.read(f"theirs/{name}")
        here, there = ours.getinfo(f"ours/{name}"), theirs.getinfo(f"theirs/{name}")
        assert (here.flag_bits, here.compress_type) == (there.flag_bits, there.compress_type)
    for entry in ours.infolist():
        entry_at = entry.header_offset
        header = (tmp_path / "ours.pt").read_bytes()[entry_at : entry_at + 30]
        lengths = int.from_bytes(header[26:28], "little") + int.from_bytes(header[28:30], "little")
        assert (entry_at + 30 + lengths) % 64 == 0
    assert ours.read("ours/.storage_alignment") == b"64"


def test_memory_mapped_both_ways(torch, tmp_path):
    path = str(tmp_path / "file.pt")
    fakel.save(make_objects(fakel), path)
    before = (tmp_path / "file.pt").read_bytes()
    assert_same_objects(make_objects(fakel), torch.load(path, mmap=True))
    mapped = fakel.load(path, mmap=True)
    assert_same_objects(mapped, make_objects(fakel))
    mapped["base"].add_(1)
    assert mapped["part"].tolist() == [3.0, 5.0, 7.0]
    assert (tmp_path / "file.pt").read_bytes() == before
    with pytest.raises(ValueError, match="f must be a file path in order to use the mmap argument"):
        fakel.load(io.BytesIO(before), mmap=True)


def test_storage_offsets_can_be_calculated(torch, tmp_path):
    """PyTorch finds the storages of a file without reading it only if the layout is its own."""
    path = tmp_path / "file.pt"
    fakel.save([fakel.ones(3), fakel.zeros(0), fakel.ones(5)], path)
    loaded = torch.load(path, map_location="meta")
    content = path.read_bytes()
    at = loaded[2].untyped_storage()._checkpoint_offset
    assert np.frombuffer(content, np.float32, 5, at).tolist() == [1.0] * 5


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickle_protocols(protocol, torch):
    content = saved(
        {"w": fakel.ones(2), "b": b"ab", "t": ("é", 1)}, fakel, pickle_protocol=protocol
    )
    loaded = fakel.load(content)
    assert loaded["w"].tolist() == [1.0, 1.0] and loaded["t"] == ("é", 1) and loaded["b"] == b"ab"
    content = saved({"w": torch.ones(2), "s": {1}}, torch, pickle_protocol=protocol)
    assert fakel.load(content)["w"].tolist() == [1.0, 1.0]


def test_the_format_before_pytorch_1_6(torch, tmp_path):
    objects = {"base": torch.arange(6.0), "n": 3, "parameter": torch.nn.Parameter(torch.ones(2))}
    objects["part"] = objects["base"][1:3]
    objects["half"] = torch.ones(2, dtype=torch.bfloat16)
    torch.save(objects, tmp_path / "old.pt", _use_new_zipfile_serialization=False)
    loaded = fakel.load(tmp_path / "old.pt")
    assert_same_objects(loaded, objects)
    loaded["base"][1] = 9.0
    assert loaded["part"][0].item() == 9.0
    content = (tmp_path / "old.pt").read_bytes()
    for end in range(0, len(content), 7):
        with pytest.raises((EOFError, RuntimeError, Exception)) as caught:
            fakel.load(io.BytesIO(content[:end]))
        assert str(caught.value)


def test_big_endian_files(torch, tmp_path):
    """What PyTorch on a big-endian machine writes: swapped bytes and another byte order record."""
    torch.save(torch.tensor([1.0, 2.0]), tmp_path / "little.pt")
    source = zipfile.ZipFile(tmp_path / "little.pt")
    with zipfile.ZipFile(tmp_path / "big.pt", "w") as target:
        for name in source.namelist():
            content = source.read(name)
            if name.endswith("byteorder"):
                content = b"big"
            if name.endswith("data/0"):
                content = np.frombuffer(content, "<f4").astype(">f4").tobytes()
            target.writestr(name, content)
    assert fakel.load(tmp_path / "big.pt").tolist() == [1.0, 2.0]


def test_compressed_archives_are_read(torch, tmp_path):
    fakel.save(fakel.ones(100), tmp_path / "plain.pt")
    source = zipfile.ZipFile(tmp_path / "plain.pt")
    with zipfile.ZipFile(tmp_path / "small.pt", "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    assert fakel.load(tmp_path / "small.pt").tolist() == [1.0] * 100


def test_conjugated_views(torch):
    values = torch.tensor([1 + 2j, 3 - 1j]).conj()
    assert fakel.load(saved(values, torch)).tolist() == values.tolist()


def test_attributes_of_tensors(torch):
    theirs = torch.ones(2)
    theirs.note = "kept"
    assert fakel.load(saved(theirs, torch)).note == "kept"
    ours = fakel.ones(2)
    ours.note = "kept"
    assert torch.load(saved(ours, fakel)).note == "kept"
    for module, other in ((torch, fakel), (fakel, torch)):
        parameter = module.nn.Parameter(module.ones(2))
        parameter.note = "kept"
        loaded = other.load(saved(parameter, module))
        assert loaded.note == "kept" and type(loaded) is other.nn.Parameter


def test_training_state_crosses(torch):
    def network(module):
        module.manual_seed(0)
        return module.nn.Sequential(module.nn.Linear(3, 4), module.nn.BatchNorm1d(4))

    ours, theirs = network(fakel), network(torch)
    state = torch.load(saved(ours.state_dict(), fakel), weights_only=True)
    theirs.load_state_dict(state)
    ours.load_state_dict(fakel.load(saved(theirs.state_dict(), torch)))
    assert ours.state_dict()._metadata == theirs.state_dict()._metadata
    optimizer = fakel.optim.Adam(ours.parameters(), lr=0.1)
    ours(fakel.ones(2, 3)).sum().backward()
    optimizer.step()
    loaded = torch.load(saved(optimizer.state_dict(), fakel), weights_only=True)
    other = torch.optim.Adam(theirs.parameters())
    other.load_state_dict(loaded)
    optimizer.load_state_dict(fakel.load(saved(other.state_dict(), torch)))
    assert optimizer.param_groups[0]["lr"] == 0.1


def test_archives_of_more_than_four_gibibytes(monkeypatch, torch):
    """The 64-bit fields, written as soon as an entry passes a limit that is made small here."""
    from fakel.serialization import archive

    monkeypatch.setattr(archive, "ZIP64_LIMIT", 3000)
    content = saved([fakel.ones(1000), fakel.zeros(2), fakel.full((900,), 2.0)], fakel)
    monkeypatch.undo()
    assert zipfile.ZipFile(content).namelist()[-1].endswith("serialization_id")


LAYERS = (
    lambda m: m.nn.TransformerEncoderLayer(8, 2, 16),
    lambda m: m.nn.TransformerEncoderLayer(8, 2, 16, activation=m.nn.functional.gelu),
    lambda m: m.nn.LSTM(3, 4),
    lambda m: m.nn.Conv2d(1, 2, 3),
    lambda m: m.nn.MultiheadAttention(4, 2),
    lambda m: m.nn.TripletMarginLoss(),
    lambda m: m.nn.ParameterList([m.nn.Parameter(m.ones(2))]),
    lambda m: m.optim.AdamW([m.nn.Parameter(m.ones(2))], lr=0.5),
    lambda m: m.optim.lr_scheduler.StepLR(m.optim.SGD([m.nn.Parameter(m.ones(2))], lr=0.5), 2),
)


@pytest.mark.parametrize("make", LAYERS)
def test_whole_objects_cross(make, torch):
    for module, other in ((fakel, torch), (torch, fakel), (fakel, fakel)):
        loaded = other.load(saved(make(module), module), weights_only=False)
        expected = make(other)
        assert type(loaded) is type(expected)
        if not type(loaded).__name__.endswith("LR"):
            assert repr(loaded) == repr(expected)


def test_classes_have_the_names_of_pytorch(torch):
    """What fakel writes into files is what PyTorch finds there."""
    from fakel.serialization.names import resolve, torch_path

    for place in ("nn", "optim", "optim.lr_scheduler"):
        ours, theirs = fakel, torch
        for part in place.split("."):
            ours, theirs = getattr(ours, part), getattr(theirs, part)
        for name, kind in vars(ours).items():
            if isinstance(kind, type) and isinstance(getattr(theirs, name, None), type):
                module, attribute = torch_path(kind)
                found = importlib.import_module(module)
                assert getattr(found, attribute) is getattr(theirs, name), name
                there = getattr(theirs, name)
                assert resolve(there.__module__, there.__qualname__) is kind, name
