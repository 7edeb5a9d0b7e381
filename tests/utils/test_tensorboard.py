"""Event files are those that PyTorch writes with TensorBoard, byte by byte."""

import struct

import numpy as np
import pytest

import fakel
from fakel.utils.tensorboard import FileWriter, SummaryWriter
from fakel.utils.tensorboard.wire import _checksum
from tests.utils.tensorboard import recording


def test_events_are_those_of_pytorch():
    pytest.importorskip("PIL")
    recorded = recording.RECORDED.read_text().splitlines()
    found = recording.events(fakel, SummaryWriter)
    assert len(found) == len(recorded)
    for ours, theirs in zip(found, recorded):
        assert ours == theirs


def test_checksums():
    # RFC 3720, appendix B.4: 32 zeros have the CRC-32C 8a9136aa
    value = 0x8A9136AA
    masked = ((value >> 15 | value << 17) + 0xA282EAD8) & 0xFFFFFFFF
    assert _checksum(bytes(32)) == struct.pack("<I", masked)


def test_events_wait_for_others_and_are_flushed(tmp_path):
    writer = SummaryWriter(tmp_path, max_queue=2)
    (file,) = tmp_path.iterdir()
    sizes = [file.stat().st_size]
    for step in range(3):
        writer.add_scalar("a", step, step)
        sizes.append(file.stat().st_size)
    assert sizes[0] == sizes[1] == sizes[2] < sizes[3]
    writer.add_scalar("a", 3, 3)
    writer.flush()
    assert file.stat().st_size > sizes[3]
    writer.close()
    writer.add_scalar("a", 4, 4)  # opens a new file
    writer.close()
    assert len(list(tmp_path.iterdir())) == 2
    closed = FileWriter(tmp_path / "other")
    closed.close()
    with pytest.raises(OSError, match="Writer is closed"):
        closed.add_summary(b"")


def test_figures(tmp_path):
    pyplot = pytest.importorskip("matplotlib.pyplot")
    with SummaryWriter(tmp_path) as writer:
        writer.add_figure("one", pyplot.figure(figsize=(1, 1), dpi=10))
        writer.add_figure("two", [pyplot.figure(figsize=(1, 1), dpi=10) for _ in range(2)])
    (file,) = tmp_path.iterdir()
    assert file.read_bytes().count(b"\x89PNG") == 2
    assert not pyplot.get_fignums()


def test_names_and_defaults(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with SummaryWriter(comment="_mine") as writer:
        assert writer.get_logdir().startswith("runs/")
        assert writer.get_logdir().endswith("_mine")
    with pytest.raises(AttributeError, match="fakel has no SummaryWriter.add_graph yet"):
        writer.add_graph(None)


MISTAKES = {
    "Tensor should contain one element": lambda w: w.add_scalar("a", fakel.ones(2)),
    "but numpy array or torch tensor are expected": lambda w: w.add_scalar("a", [1]),
    "The input has no element": lambda w: w.add_histogram("a", np.zeros(0)),
    "should be dictionary": lambda w: w.add_hparams([], {}),
    "value should be one of int": lambda w: w.add_hparams({"a": []}, {}),
    "should be a list of same type": lambda w: w.add_hparams({"a": 1}, {}, {"a": ["b"]}),
    "Expected 3 tags, got 1": lambda w: w.add_custom_scalars_marginchart(["a"]),
    "see the document": lambda w: w.add_histogram_raw("a", 0, 1, 1, 1, 1, [1], []),
    "different": lambda w: w.add_image("a", fakel.ones(2, 2)),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_wrong_calls(text, tmp_path):
    with SummaryWriter(tmp_path) as writer, pytest.raises(Exception, match=text):
        MISTAKES[text](writer)
