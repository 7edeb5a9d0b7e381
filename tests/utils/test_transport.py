"""Results travel between processes: large arrays through shared memory, the rest through pipes."""

import multiprocessing
import os
import threading

import numpy as np
import pytest

import fakel
from fakel.utils import data
from fakel.utils.data._utils import transport

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def sent(result):
    """What arrives, and how many bytes came through the connection itself."""
    ours, theirs = multiprocessing.Pipe(duplex=True)
    message = transport.pack(result)
    # In a thread: without shared memory, a long message waits for its receiver.
    sender = threading.Thread(target=message.send, args=(theirs,))
    sender.start()
    received = transport.receive(ours)
    sender.join()
    theirs.close()
    ours.close()
    return received, len(message.content)


LARGE = np.arange(100_001, dtype=np.float32)


@pytest.mark.parametrize("memory_files", [True, False])
def test_everything_arrives(memory_files, monkeypatch):
    monkeypatch.setattr(
        transport, "_HAS_MEMORY_FILES", memory_files and hasattr(os, "memfd_create")
    )
    result = {
        "large": fakel.from_numpy(LARGE),
        "odd": np.arange(131_073, dtype=np.uint8),
        "columns": np.asfortranarray(np.arange(80_000.0).reshape(200, 400)),
        "small": fakel.ones(3),
        "text": ["a", (1, None)],
    }
    received, _ = sent(result)
    np.testing.assert_array_equal(received["large"].numpy(), LARGE)
    np.testing.assert_array_equal(received["odd"], result["odd"])
    np.testing.assert_array_equal(received["columns"], result["columns"])
    assert received["small"].tolist() == [1, 1, 1]
    assert received["text"] == ["a", (1, None)]


@pytest.mark.skipif(not hasattr(os, "memfd_create"), reason="the system has no memory files")
def test_large_arrays_go_through_shared_memory():
    received, size = sent([fakel.from_numpy(LARGE), LARGE])
    assert size < 2000
    # They can be written, and belong to the receiver alone.
    received[0].add_(1)
    received[1][0] = 7
    np.testing.assert_array_equal(received[0].numpy(), LARGE + 1)
    assert received[1].flags.aligned
    assert received[1].ctypes.data % 64 == 0


def test_a_view_takes_only_its_own_part_along():
    whole = fakel.arange(30_000)
    received, size = sent([whole[5:8], whole[::15_000], whole.view(3, 10_000)[1]])
    assert [part.tolist() for part in received[:2]] == [[5, 6, 7], [0, 15_000]]
    assert received[2][-1].item() == 19_999
    assert size < 90_000
    shared, _ = sent([whole, whole[:20_000]])
    shared[0][0] = 9
    assert shared[1][0].item() == 9


def test_no_descriptor_is_left_behind():
    if not os.path.isdir("/proc/self/fd"):
        pytest.skip("the system does not list descriptors")

    class Images:
        def __len__(self):
            return 24

        def __getitem__(self, index):
            return np.full((64, 64, 3), index, np.float32), index

    loader = data.DataLoader(Images(), 6, num_workers=2)
    list(loader)  # makes what multiprocessing keeps for good
    before = len(os.listdir("/proc/self/fd"))
    batches = list(loader)
    next(iter(loader))
    assert len(os.listdir("/proc/self/fd")) == before
    for number, (images, labels) in enumerate(batches):
        assert labels.tolist() == list(range(6 * number, 6 * number + 6))
        assert (images[:, 0, 0, 0] == labels).all()
        assert (images == images[:, :1, :1, :1]).all()
