"""``DataLoader`` in one process."""

import inspect
import random
import warnings

import numpy as np
import pytest

import fakel
from fakel.utils import data

torch = pytest.importorskip("torch")


class Pairs:
    """Samples by index, for both libraries' loaders."""

    def __init__(self, size=10):
        self.size = size

    def __getitem__(self, index):
        return index, {"square": float(index * index)}

    def __len__(self):
        return self.size


def stream_of(library, size, length=None):
    """A stream of numbers; ``length`` is what it says its length is."""

    class Stream(library.utils.data.IterableDataset):
        def __iter__(self):
            return iter(range(size))

        def __len__(self):
            if length is None:
                raise TypeError("unknown")
            return length

        def __repr__(self):
            return "Stream"

    return Stream()


def plain(value):
    """Batches without tensors."""
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(entry) for entry in value]
    return (str(value.dtype), value.tolist()) if hasattr(value, "dtype") else value


def batches(make, epochs=2):
    """All batches of a few epochs and what is drawn after them, here and in PyTorch."""
    results = []
    for library in (fakel, torch):
        library.manual_seed(11)
        loader = make(library)
        epochs_seen = [[plain(batch) for batch in loader] for _ in range(epochs)]
        results.append((epochs_seen, library.randint(0, 1000, (3,)).tolist()))
    return results


def generator_of(library):
    return library.Generator().manual_seed(3)


LOADERS = {
    "single": lambda lib: lib.utils.data.DataLoader(Pairs()),
    "batches": lambda lib: lib.utils.data.DataLoader(Pairs(), 4),
    "drop last": lambda lib: lib.utils.data.DataLoader(Pairs(), 4, drop_last=True),
    "shuffled": lambda lib: lib.utils.data.DataLoader(Pairs(), 3, shuffle=True),
    "seeded": lambda lib: lib.utils.data.DataLoader(
        Pairs(), 3, shuffle=True, generator=generator_of(lib)
    ),
    "sampler": lambda lib: lib.utils.data.DataLoader(Pairs(), 2, sampler=[4, 2, 9]),
    "batch sampler": lambda lib: lib.utils.data.DataLoader(Pairs(), batch_sampler=[[1, 2], [5]]),
    "no batches": lambda lib: lib.utils.data.DataLoader(Pairs(3), batch_size=None),
    "no batches of arrays": lambda lib: lib.utils.data.DataLoader(
        [(np.ones(2), "a")], batch_size=None
    ),
    "own collate": lambda lib: lib.utils.data.DataLoader(Pairs(), 4, collate_fn=list),
    "list": lambda lib: lib.utils.data.DataLoader([1.0, 2.0, 3.0], 2),
    "tensors": lambda lib: lib.utils.data.DataLoader(
        lib.utils.data.TensorDataset(lib.arange(10).reshape(5, 2), lib.ones(5)), 2, shuffle=True
    ),
    "tensors, own collate": lambda lib: lib.utils.data.DataLoader(
        lib.utils.data.TensorDataset(lib.arange(10).reshape(5, 2), lib.ones(5)),
        2,
        collate_fn=lambda samples: [type(samples).__name__, [s[0].tolist() for s in samples]],
    ),
    "subset of tensors": lambda lib: lib.utils.data.DataLoader(
        lib.utils.data.Subset(lib.utils.data.TensorDataset(lib.arange(10)), [3, 7, 1, 0]),
        3,
        shuffle=True,
    ),
    "stream": lambda lib: lib.utils.data.DataLoader(stream_of(lib, 7), 3),
    "stream, drop last": lambda lib: lib.utils.data.DataLoader(
        stream_of(lib, 7), 3, drop_last=True
    ),
    "stream without batches": lambda lib: lib.utils.data.DataLoader(stream_of(lib, 3), None),
    "weighted": lambda lib: lib.utils.data.DataLoader(
        Pairs(),
        4,
        sampler=lib.utils.data.WeightedRandomSampler([1.0, 2, 3, 4, 5, 0, 0, 0, 1, 1], 10),
    ),
}


@pytest.mark.parametrize("name", sorted(LOADERS))
def test_same_batches(name):
    mine, theirs = batches(LOADERS[name])
    assert mine == theirs


def test_signature():
    mine = inspect.signature(data.DataLoader.__init__)
    theirs = inspect.signature(torch.utils.data.DataLoader.__init__)
    assert [(p.name, p.kind, p.default) for p in mine.parameters.values()] == [
        (p.name, p.kind, p.default) for p in theirs.parameters.values()
    ]


@pytest.mark.parametrize("size", [0, 1, 7, 8])
@pytest.mark.parametrize("drop_last", [True, False])
def test_length(size, drop_last):
    for library in (fakel, torch):
        loader = library.utils.data.DataLoader(Pairs(size), 4, drop_last=drop_last)
        assert len(loader) == (size // 4 if drop_last else (size + 3) // 4)
        stream = library.utils.data.DataLoader(
            stream_of(library, size, size), 4, drop_last=drop_last
        )
        assert len(stream) == len(loader)
        assert len(library.utils.data.DataLoader(Pairs(size), None)) == size


def test_the_first_batch_alone():
    loader = data.DataLoader(Pairs(), 4, shuffle=True)
    first = next(iter(loader))
    assert first[0].shape == (4,)
    assert len(iter(loader)) == 3


def test_a_stream_longer_than_it_says_warns():
    texts = []
    for library in (fakel, torch):
        loader = library.utils.data.DataLoader(stream_of(library, 3, 2), None)
        len(loader)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            assert len(list(loader)) == 3
        texts.append([str(warning.message) for warning in caught])
    assert texts[0] == texts[1]
    assert len(texts[0]) == 1


def test_pin_memory_warns():
    for library in (fakel, torch):
        loader = library.utils.data.DataLoader(Pairs(), pin_memory=True)
        with pytest.warns(UserWarning, match="no accelerator is found"):
            iter(loader)


MISTAKES = {
    "workers": lambda d, s: d.DataLoader(Pairs(), num_workers=-1),
    "timeout": lambda d, s: d.DataLoader(Pairs(), timeout=-1),
    "timeout without workers": lambda d, s: iter(d.DataLoader(Pairs(), timeout=1)),
    "prefetch": lambda d, s: d.DataLoader(Pairs(), prefetch_factor=2),
    "negative prefetch": lambda d, s: d.DataLoader(Pairs(), num_workers=1, prefetch_factor=-2),
    "persistent": lambda d, s: d.DataLoader(Pairs(), persistent_workers=True),
    "context": lambda d, s: d.DataLoader(Pairs(), multiprocessing_context="fork"),
    "unknown context": lambda d, s: d.DataLoader(
        Pairs(), num_workers=1, multiprocessing_context="no"
    ),
    "no context": lambda d, s: d.DataLoader(Pairs(), num_workers=1, multiprocessing_context=3),
    "shuffled stream": lambda d, s: d.DataLoader(s, shuffle=True),
    "stream with sampler": lambda d, s: d.DataLoader(s, sampler=[1]),
    "stream with batch sampler": lambda d, s: d.DataLoader(s, batch_sampler=[[1]]),
    "shuffle and sampler": lambda d, s: d.DataLoader(Pairs(), shuffle=True, sampler=[1]),
    "batch sampler": lambda d, s: d.DataLoader(Pairs(), 2, batch_sampler=[[1]]),
    "drop last": lambda d, s: d.DataLoader(Pairs(), None, drop_last=True),
    "batch size": lambda d, s: d.DataLoader(Pairs(), 0),
    "shuffled nothing": lambda d, s: d.DataLoader([], shuffle=True),
    "set later": lambda d, s: setattr(d.DataLoader(Pairs()), "batch_size", 3),
    "length of a stream": lambda d, s: len(d.DataLoader(s)),
    "out of range": lambda d, s: list(d.DataLoader([1, 2], sampler=[5])),
    "shapes": lambda d, s: list(d.DataLoader([[1, 2], [3]], 2)),
}


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_mistakes(name):
    errors = []
    for library in (fakel, torch):
        with pytest.raises(Exception) as caught:
            MISTAKES[name](library.utils.data, stream_of(library, 3))
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]


class Damaged(Pairs):
    def __getitem__(self, index):
        if index == 6:
            raise ValueError("cannot read the image")
        return index


def test_an_error_names_its_sample():
    with pytest.raises(ValueError, match="cannot read the image") as caught:
        list(data.DataLoader(Damaged(), 4))
    assert caught.value.__notes__ == ["while loading sample 6 of Damaged"]


def test_an_error_in_collating_names_the_samples():
    dataset = [fakel.ones(2), fakel.ones(2), fakel.ones(3)]
    with pytest.raises(RuntimeError, match="stack expects each tensor to be equal size") as caught:
        list(data.DataLoader(dataset, 3))
    assert caught.value.__notes__ == ["while collating samples [0, 1, 2] of list"]


def test_a_dataset_may_answer_whole_batches():
    class Table(Pairs):
        def __getitems__(self, indices):
            return data.Batch(self, indices, ["collated", list(indices)])

    assert list(data.DataLoader(Table(3), 2)) == [["collated", [0, 1]], ["collated", [2]]]
    samples = list(data.DataLoader(Table(3), 2, collate_fn=lambda samples: samples))[0]
    assert type(samples) is list
    assert samples == [(0, {"square": 0.0}), (1, {"square": 1.0})]


def test_lists_of_samples_from_a_dataset_are_collated():
    class Table(Pairs):
        def __getitems__(self, indices):
            return [float(index) for index in indices]

    assert next(iter(data.DataLoader(Table(3), 3))).tolist() == [0.0, 1.0, 2.0]


def test_python_generators_are_left_alone():
    random.seed(1)
    np.random.seed(1)
    expected = random.random(), np.random.random()
    random.seed(1)
    np.random.seed(1)
    list(data.DataLoader(Pairs(), shuffle=True))
    assert (random.random(), np.random.random()) == expected


def test_iterators_are_not_pickled():
    with pytest.raises(NotImplementedError):
        iter(data.DataLoader(Pairs())).__getstate__()


def test_no_worker_here():
    assert data.get_worker_info() is None
