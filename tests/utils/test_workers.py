"""``DataLoader`` with worker processes."""

import os
import random
import re
import signal
import time

import numpy as np
import pytest

import fakel
from fakel.utils import data

torch = pytest.importorskip("torch")

# More workers than processors warn, here as in PyTorch.
pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


class Numbers:
    def __init__(self, size=12):
        self.size = size

    def __getitem__(self, index):
        return index

    def __len__(self):
        return self.size


class Slow(Numbers):
    """Samples that come later the smaller their index is."""

    def __getitem__(self, index):
        time.sleep(0.02 * (self.size - index))
        return index


def values(loader):
    return [batch.tolist() for batch in loader]


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_batches_come_in_order(workers):
    loader = data.DataLoader(Slow(6), 1, num_workers=workers)
    assert values(loader) == [[0], [1], [2], [3], [4], [5]]


@pytest.mark.parametrize("workers", [0, 2])
def test_shuffles_are_pytorchs(workers):
    results = []
    for library in (fakel, torch):
        library.manual_seed(5)
        loader = library.utils.data.DataLoader(Numbers(), 5, shuffle=True, num_workers=workers)
        results.append([values(loader), values(loader), library.randint(0, 99, (3,)).tolist()])
    assert results[0] == results[1]


def test_out_of_order():
    loader = data.DataLoader(Slow(6), 1, num_workers=2, in_order=False, prefetch_factor=3)
    assert sorted(values(loader)) == [[0], [1], [2], [3], [4], [5]]


def test_persistent_workers_stay():
    class Pids(Numbers):
        def __getitem__(self, index):
            return os.getpid()

    loader = data.DataLoader(Pids(), 2, num_workers=2, persistent_workers=True)
    first, second = ({pid for batch in values(loader) for pid in batch} for _ in range(2))
    assert first == second
    assert os.getpid() not in first
    # An epoch that was not finished leaves nothing behind.
    iterator = iter(loader)
    next(iterator)
    assert len(values(loader)) == 6
    pids = [worker.process for worker in loader._iterator._workers]
    del iterator
    loader._iterator._shutdown_workers()
    assert not any(process.is_alive() for process in pids)


def test_workers_end_with_the_epoch():
    loader = data.DataLoader(Numbers(), 2, num_workers=2)
    iterator = iter(loader)
    processes = [worker.process for worker in iterator._workers]
    assert len(list(iterator)) == 6
    assert not any(process.is_alive() for process in processes)
    with pytest.raises(StopIteration):
        next(iterator)


def test_workers_end_with_the_iterator():
    iterator = iter(data.DataLoader(Numbers(), 2, num_workers=2))
    next(iterator)
    processes = [worker.process for worker in iterator._workers]
    del iterator
    assert not any(process.is_alive() for process in processes)


def test_a_forked_copy_does_not_end_the_workers():
    iterator = iter(data.DataLoader(Numbers(), 2, num_workers=2))
    child = os.fork()
    if child == 0:
        iterator._shutdown_workers()
        os._exit(0)
    os.waitpid(child, 0)
    assert len(list(iterator)) == 6


class Draws:
    """Samples that tell a worker's number, seed and random numbers."""

    def __init__(self, library):
        self.library = library

    def __getitem__(self, index):
        info = self.library.utils.data.get_worker_info()
        return [
            info.id,
            info.num_workers,
            info.seed,
            random.randrange(10**6),
            int(np.random.randint(10**6)),
            self.library.randint(0, 10**6, ()).item(),
        ]

    def __len__(self):
        return 4


def test_seeds_are_pytorchs():
    results = []
    for library in (fakel, torch):
        library.manual_seed(9)
        loader = library.utils.data.DataLoader(Draws(library), None, num_workers=2)
        results.append([list(sample) for sample in loader])
    assert results[0] == results[1]


def test_worker_init_fn():
    class Renamed(Numbers):
        number = None

        def __getitem__(self, index):
            return self.number

    def number_dataset(worker_id):
        info = data.get_worker_info()
        assert info.id == worker_id
        info.dataset.number = worker_id + 10

    loader = data.DataLoader(Renamed(4), 2, num_workers=2, worker_init_fn=number_dataset)
    assert values(loader) == [[10, 10], [11, 11]]


class Stream(data.IterableDataset):
    """Every worker gives its share of the numbers."""

    def __init__(self, size):
        self.size = size

    def __iter__(self):
        info = data.get_worker_info()
        return iter(range(info.id, self.size, info.num_workers))


@pytest.mark.parametrize("persistent", [True, False])
def test_streams(persistent):
    loader = data.DataLoader(Stream(7), 2, num_workers=2, persistent_workers=persistent)
    for _ in range(2):
        assert values(loader) == [[0, 2], [1, 3], [4, 6], [5]]


def test_streams_of_different_lengths():
    class Uneven(data.IterableDataset):
        def __iter__(self):
            return iter([data.get_worker_info().id] * (1, 5)[data.get_worker_info().id])

    loader = data.DataLoader(Uneven(), None, num_workers=2)
    assert sorted(loader) == [0, 1, 1, 1, 1, 1]


class Damaged(Numbers):
    def __init__(self, error):
        super().__init__()
        self.error = error

    def __getitem__(self, index):
        if index == 6:
            raise self.error
        return index


class Picky(Exception):
    def __init__(self, one, two):
        super().__init__(one, two)


@pytest.mark.parametrize("error", [ValueError("bad image"), KeyError("key"), Picky(1, 2)])
def test_errors_are_raised_again(error):
    iterator = iter(data.DataLoader(Damaged(error), 4, num_workers=2))
    assert next(iterator).tolist() == [0, 1, 2, 3]
    kind = RuntimeError if isinstance(error, Picky) else type(error)
    with pytest.raises(kind) as caught:
        next(iterator)
    text = str(caught.value)
    assert text.startswith(
        f"Caught {type(error).__name__} in DataLoader worker process 1.\nOriginal Traceback (most"
    )
    assert "while loading sample 6 of Damaged" in text
    assert "raise self.error" in text
    # The loader goes on with the next batch.
    assert next(iterator).tolist() == [8, 9, 10, 11]


def test_errors_while_beginning():
    def fail(worker_id):
        raise ValueError("no")

    with pytest.raises(ValueError, match="Caught ValueError in DataLoader worker process 0"):
        next(iter(data.DataLoader(Numbers(), num_workers=1, worker_init_fn=fail)))


def test_what_cannot_be_pickled_is_an_error():
    loader = data.DataLoader(Numbers(), num_workers=1, collate_fn=lambda _: lambda: None)
    with pytest.raises(Exception, match="in DataLoader worker process 0"):
        next(iter(loader))


class Deadly(Numbers):
    def __init__(self, action):
        super().__init__()
        self.action = action

    def __getitem__(self, index):
        if index == 6:
            self.action()
        return index


@pytest.mark.parametrize(
    ("action", "cause"),
    [
        (lambda: os.kill(os.getpid(), signal.SIGKILL), "killed by signal SIGKILL"),
        (lambda: os._exit(3), "exit code 3"),
    ],
)
def test_a_dead_worker_is_reported_at_once(action, cause):
    iterator = iter(data.DataLoader(Deadly(action), 2, num_workers=2))
    start = time.monotonic()
    with pytest.raises(RuntimeError) as caught:
        list(iterator)
    assert time.monotonic() - start < 4
    pattern = (
        rf"DataLoader worker \(pid\(s\) \d+\) exited unexpectedly \({cause}\) "
        r"while loading samples \[6, 7\] of Deadly"
    )
    assert re.fullmatch(pattern, str(caught.value))
    assert not any(worker.process.is_alive() for worker in iterator._workers)


def test_timeout():
    class Stuck(Numbers):
        def __getitem__(self, index):
            time.sleep(30)

    iterator = iter(data.DataLoader(Stuck(), num_workers=1, timeout=0.2))
    with pytest.raises(RuntimeError, match=r"DataLoader timed out after 0\.2 seconds"):
        next(iterator)
    iterator._workers[0].process.kill()


def test_tensors_come_through():
    pairs = data.TensorDataset(fakel.arange(8).reshape(4, 2), fakel.ones(4, dtype=fakel.bfloat16))
    loader = data.DataLoader(pairs, 2, num_workers=2)
    for number, (rows, ones) in enumerate(loader):
        assert rows.tolist() == [[4 * number, 4 * number + 1], [4 * number + 2, 4 * number + 3]]
        assert ones.dtype == fakel.bfloat16


def test_large_batches_and_many_of_them():
    class Images(Numbers):
        def __getitem__(self, index):
            return np.full(100_000, index, dtype=np.float32)

    loader = data.DataLoader(Images(24), 2, num_workers=2, prefetch_factor=4)
    assert [batch[:, -1].tolist() for batch in loader] == [[i, i + 1] for i in range(0, 24, 2)]
    # Ending early does not wait for what is on its way.
    start = time.monotonic()
    next(iter(loader))
    assert time.monotonic() - start < 4


def test_too_many_workers_warn():
    count = len(os.sched_getaffinity(0)) + 1
    texts = []
    for library in (fakel, torch):
        with pytest.warns(UserWarning, match="excessive worker creation") as caught:
            library.utils.data.DataLoader(Numbers(), num_workers=count)
        texts.append(str(caught[0].message))
    assert texts[0] == texts[1]


def test_spawned_workers():
    loader = data.DataLoader(Numbers(4), 2, num_workers=1, multiprocessing_context="spawn")
    assert values(loader) == [[0, 1], [2, 3]]
