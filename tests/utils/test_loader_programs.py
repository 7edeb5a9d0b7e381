"""Random loaders over random datasets give what PyTorch's give, and leave its random state."""

import random

import numpy as np
import pytest

import fakel

torch = pytest.importorskip("torch")

pytestmark = [
    pytest.mark.filterwarnings("ignore:This DataLoader will create"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]


def make_dataset(library, kind, size):
    data = library.utils.data
    numbers = library.arange(float(2 * size)).reshape(size, 2)

    class Mapped(data.Dataset):
        def __len__(self):
            return size

        def __getitem__(self, index):
            if index >= size:
                raise IndexError(index)
            noise = library.rand(2)
            return {"x": numbers[index] * 2 + noise, "i": index, "name": str(index)}

    class Stream(data.IterableDataset):
        def __iter__(self):
            info = data.get_worker_info()
            start, step = (0, 1) if info is None else (info.id, info.num_workers)
            for index in range(start, size, step):
                yield numbers[index], np.float32(index), library.rand(()).item()

    if kind == "mapped":
        return Mapped()
    if kind == "stream":
        return Stream()
    if kind == "chain":
        return Stream() + Stream()
    if kind == "tensors":
        return data.TensorDataset(numbers, library.arange(size))
    if kind == "subset":
        return data.Subset(data.TensorDataset(numbers), list(range(size))[::-1])
    if kind == "split":
        return data.random_split(Mapped(), [0.5, 0.5])[1]
    if kind == "concat":
        return Mapped() + Mapped()
    if kind == "stack":
        return data.StackDataset(a=data.TensorDataset(numbers), b=Mapped())
    return list(range(size))


STREAMS = ("stream", "chain")
KINDS = ("mapped", "tensors", "subset", "split", "concat", "stack", "list", *STREAMS)


def make_loader(library, choices, workers):
    kind, size = choices.choice(KINDS), choices.randint(3, 20)
    dataset = make_dataset(library, kind, size)
    data = library.utils.data
    options = {"num_workers": workers}
    if choices.random() < 0.3:
        options["generator"] = library.Generator().manual_seed(choices.randint(0, 99))
    if workers:
        options["prefetch_factor"] = choices.choice([None, 1, 3])
        options["persistent_workers"] = choices.random() < 0.5
    form = choices.choice(["batches", "batches", "batches", "single", "batch sampler"])
    if form == "single":
        options["batch_size"] = None
    elif form == "batches" or kind in STREAMS:
        options["batch_size"] = choices.randint(1, 6)
        options["drop_last"] = choices.random() < 0.3
    order = choices.choice(["shuffle", "shuffle", "sampler", "replacement", "weights", "none"])
    if kind in STREAMS:
        return data.DataLoader(dataset, **options)
    sampler = None
    if order == "sampler":
        sampler = data.SubsetRandomSampler(range(0, len(dataset), 2))
    elif order == "replacement":
        sampler = data.RandomSampler(dataset, replacement=True, num_samples=choices.randint(1, 70))
    elif order == "weights":
        weights = [choices.random() for _ in range(len(dataset))]
        sampler = data.WeightedRandomSampler(weights, choices.randint(1, 40))
    if form == "batch sampler":
        sampler = sampler or data.RandomSampler(dataset)
        options["batch_sampler"] = data.BatchSampler(sampler, 3, choices.random() < 0.5)
    elif sampler is not None:
        options["sampler"] = sampler
    else:
        options["shuffle"] = order == "shuffle"
    return data.DataLoader(dataset, **options)


def plain(value):
    """A batch without the library's own types."""
    if hasattr(value, "requires_grad"):
        return str(value.dtype), tuple(value.shape), value.tolist()
    if isinstance(value, dict):
        return {key: plain(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value).__name__, [plain(entry) for entry in value]
    return type(value).__name__, value


def outcome(library, seed, workers):
    library.manual_seed(seed)
    loader = make_loader(library, random.Random(seed), workers)
    sized = loader._dataset_kind == 0
    epochs = [[plain(batch) for batch in loader] for _ in range(2)]
    return len(loader) if sized else None, epochs, library.rand(2).tolist()


@pytest.mark.parametrize("seed", range(60))
def test_in_this_process(seed):
    assert outcome(fakel, seed, 0) == outcome(torch, seed, 0)


@pytest.mark.parametrize("seed", range(100, 112))
def test_in_workers(seed):
    assert outcome(fakel, seed, 2) == outcome(torch, seed, 2)
