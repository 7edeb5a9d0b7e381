"""Samplers give PyTorch's indices for the same seed."""

import pytest

import fakel
from fakel.utils import data

torch = pytest.importorskip("torch")


def indices(make, seeded=False, epochs=2):
    """The indices of a few epochs, here and in PyTorch, and what is drawn after them."""
    results = []
    for library in (fakel, torch):
        library.manual_seed(7)
        options = {"generator": library.Generator().manual_seed(5)} if seeded else {}
        sampler = make(library.utils.data, **options)
        drawn = [list(sampler) for _ in range(epochs)]
        results.append((drawn, len(sampler), library.randint(0, 1000, (3,)).tolist()))
    return results


SAMPLERS = {
    "shuffled": lambda d, **o: d.RandomSampler(range(10), **o),
    "fewer": lambda d, **o: d.RandomSampler(range(10), num_samples=4, **o),
    "more": lambda d, **o: d.RandomSampler(range(10), num_samples=25, **o),
    "a multiple": lambda d, **o: d.RandomSampler(range(10), num_samples=20, **o),
    "replaced": lambda d, **o: d.RandomSampler(range(10), replacement=True, **o),
    "many replaced": lambda d, **o: d.RandomSampler(range(10), True, 70, **o),
    "rounds replaced": lambda d, **o: d.RandomSampler(range(10), True, 64, **o),
    "subset": lambda d, **o: d.SubsetRandomSampler([3, 1, 8, 5, 2], **o),
    "weighted": lambda d, **o: d.WeightedRandomSampler([0.1, 3.0, 0.0, 1.0], 12, **o),
    "weighted once": lambda d, **o: d.WeightedRandomSampler([0.1, 3.0, 1.0], 3, False, **o),
    "large": lambda d, **o: d.RandomSampler(range(3000), **o),
}


@pytest.mark.parametrize("seeded", [False, True])
@pytest.mark.parametrize("name", sorted(SAMPLERS))
def test_random(name, seeded):
    mine, theirs = indices(SAMPLERS[name], seeded)
    assert mine == theirs


def test_sequential():
    sampler = data.SequentialSampler("abcd")
    assert list(sampler) == [0, 1, 2, 3]
    assert len(sampler) == 4


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("size", [0, 1, 6, 7, 8])
def test_batches(size, drop_last):
    results = []
    for library in (fakel, torch):
        sampler = library.utils.data.BatchSampler(range(size), 3, drop_last)
        results.append((list(sampler), len(sampler)))
    assert results[0] == results[1]


@pytest.mark.parametrize("drop_last", [True, False])
@pytest.mark.parametrize("shuffle", [True, False])
@pytest.mark.parametrize("size", [2, 9, 10, 12])
def test_distributed(size, shuffle, drop_last):
    results = []
    for library in (fakel, torch):
        shares = []
        for rank in range(3):
            sampler = library.utils.data.DistributedSampler(
                range(size), 3, rank, shuffle, seed=4, drop_last=drop_last
            )
            sampler.set_epoch(2)
            shares.append((list(sampler), len(sampler)))
        results.append(shares)
    assert results[0] == results[1]


MISTAKES = {
    "replacement": lambda d: d.RandomSampler(range(3), replacement=1),
    "empty": lambda d: d.RandomSampler([]),
    "count": lambda d: d.RandomSampler(range(3), num_samples=0),
    "batch size": lambda d: d.BatchSampler(range(3), 0, False),
    "batch size as bool": lambda d: d.BatchSampler(range(3), True, False),
    "drop_last": lambda d: d.BatchSampler(range(3), 2, 1),
    "weights": lambda d: d.WeightedRandomSampler([[1.0]], 1),
    "weighted count": lambda d: d.WeightedRandomSampler([1.0], 0),
    "weighted replacement": lambda d: d.WeightedRandomSampler([1.0], 1, 1),
    "rank": lambda d: d.DistributedSampler(range(3), 2, 2),
    "no process group": lambda d: d.DistributedSampler(range(3)),
}


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_mistakes(name):
    errors = []
    for library in (fakel, torch):
        with pytest.raises(Exception) as caught:
            MISTAKES[name](library.utils.data)
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]
