"""Datasets and their combinations."""

import warnings

import numpy as np
import pytest

import fakel
from fakel.utils import data

torch = pytest.importorskip("torch")


class Squares(data.Dataset):
    def __init__(self, size=5):
        self.size = size

    def __getitem__(self, index):
        if not 0 <= index < self.size:
            raise IndexError(index)
        return index * index

    def __len__(self):
        return self.size


class Stream(data.IterableDataset):
    def __init__(self, *values):
        self.values = values

    def __iter__(self):
        return iter(self.values)

    def __len__(self):
        return len(self.values)


def tensor_dataset(library=fakel):
    return library.utils.data.TensorDataset(
        library.arange(12).reshape(6, 2), library.arange(6.0) / 2
    )


def test_the_base_class_has_no_samples():
    with pytest.raises(NotImplementedError, match="Subclasses of Dataset should implement"):
        data.Dataset()[0]


def test_tensor_dataset():
    dataset = tensor_dataset()
    assert len(dataset) == 6
    row, value = dataset[-1]
    assert row.tolist() == [10, 11]
    assert value.item() == 2.5
    with pytest.raises(AssertionError, match="Size mismatch between tensors"):
        data.TensorDataset(fakel.ones(2), fakel.ones(3))


def test_tensor_dataset_answers_a_batch_at_once():
    dataset = tensor_dataset()
    batch = dataset.__getitems__([4, 1])
    assert isinstance(batch, data.Batch)
    assert [row.tolist() for row, _ in batch] == [[8, 9], [2, 3]]
    assert len(batch) == 2
    assert batch[1][1].item() == 0.5
    rows, values = data.default_collate(batch)
    assert rows.tolist() == [[8, 9], [2, 3]]
    assert values.tolist() == [2.0, 0.5]


def test_a_subclass_with_its_own_samples_is_asked_for_them():
    class Negated(data.TensorDataset):
        def __getitem__(self, index):
            return -self.tensors[1][index]

    dataset = Negated(*tensor_dataset().tensors)
    assert [value.item() for value in dataset.__getitems__([2, 4])] == [-1.0, -2.0]


def test_stack_dataset():
    pairs = data.StackDataset(Squares(6), tensor_dataset())
    assert len(pairs) == 6
    assert pairs[3][0] == 9
    assert [sample[0] for sample in pairs.__getitems__([1, 2])] == [1, 4]
    assert pairs.__getitems__([1, 2])[1][1][0].tolist() == [4, 5]
    named = data.StackDataset(image=Squares(), label=Squares())
    assert named[2] == {"image": 4, "label": 4}
    assert named.__getitems__([2, 3]) == [{"image": 4, "label": 4}, {"image": 9, "label": 9}]


def test_stack_dataset_checks_what_a_dataset_answers():
    class Short(Squares):
        def __getitems__(self, indices):
            return [0]

    with pytest.raises(ValueError, match="Nested dataset's output size mismatch. Expected 2, got"):
        data.StackDataset(Short()).__getitems__([0, 1])


def test_concat_dataset():
    dataset = Squares(3) + Squares(2)
    assert [dataset[index] for index in range(5)] == [0, 1, 4, 0, 1]
    assert dataset[-1] == 1
    assert dataset.cumulative_sizes == [3, 5]
    with pytest.raises(ValueError, match="absolute value of index"):
        dataset[-6]
    with pytest.warns(FutureWarning, match="renamed"):
        assert dataset.cummulative_sizes == [3, 5]


def test_chain_dataset():
    dataset = Stream(1, 2) + Stream(3)
    assert isinstance(dataset, data.ChainDataset)
    assert list(dataset) == [1, 2, 3]
    assert len(dataset) == 3
    with pytest.raises(AssertionError, match="ChainDataset only supports IterableDataset"):
        list(data.ChainDataset([Squares()]))


def test_subset():
    subset = data.Subset(Squares(), [4, 0, 2])
    assert len(subset) == 3
    assert [subset[index] for index in range(3)] == [16, 0, 4]
    assert subset.__getitems__([2, 0]) == [4, 16]
    of_tensors = data.Subset(tensor_dataset(), [4, 0, 2])
    assert of_tensors[[0, 2]][1].tolist() == [2.0, 1.0]
    assert data.default_collate(of_tensors.__getitems__([0, 2]))[1].tolist() == [2.0, 1.0]
    nested = data.Subset(of_tensors, [1, 2])
    assert [value.item() for _, value in nested] == [0.0, 1.0]


def test_a_subset_class_has_to_override_both():
    class Half(data.Subset):
        def __getitem__(self, idx):
            return super().__getitem__(idx) / 2

    with pytest.raises(NotImplementedError, match="Half overrides __getitem__ but not"):
        Half(Squares(), [0])


MISTAKES = {
    "nothing to stack": lambda d: d.StackDataset(),
    "tuples and dictionaries": lambda d: d.StackDataset([1], b=[1]),
    "lengths differ": lambda d: d.StackDataset([1], [1, 2]),
    "nothing to concatenate": lambda d: d.ConcatDataset([]),
    "sum": lambda d: d.random_split(range(5), [2, 2]),
    "fractions": lambda d: d.random_split(range(5), [1.5, -0.5]),
}


@pytest.mark.parametrize("name", sorted(MISTAKES))
def test_mistakes(name):
    errors = []
    for library in (fakel, torch):
        with pytest.raises(Exception) as caught:
            MISTAKES[name](library.utils.data)
        errors.append((caught.type, str(caught.value)))
    assert errors[0] == errors[1]


def test_concatenated_streams_are_refused():
    with pytest.raises(AssertionError, match="ConcatDataset does not support IterableDataset"):
        data.ConcatDataset([Stream(1)])


@pytest.mark.parametrize("lengths", [[7, 3], [0.7, 0.3], [0.35, 0.35, 0.3], [1 / 3] * 3, [10]])
@pytest.mark.parametrize("seeded", [True, False])
def test_random_split(lengths, seeded):
    splits = []
    for library in (fakel, torch):
        library.manual_seed(3)
        options = {"generator": library.Generator().manual_seed(42)} if seeded else {}
        parts = library.utils.data.random_split(range(10), lengths, **options)
        splits.append([list(part.indices) for part in parts])
    assert splits[0] == splits[1]


def test_an_empty_split_warns():
    with pytest.warns(UserWarning, match="Length of split at index 1 is 0") as caught:
        data.random_split(range(2), [0.9, 0.1])
    assert caught[0].filename == __file__


def test_random_split_of_a_large_dataset_is_pytorchs():
    splits = []
    for library in (fakel, torch):
        library.manual_seed(0)
        splits.append(library.utils.data.random_split(range(5000), [4000, 1000])[1].indices)
    assert splits[0] == splits[1]
    assert all(type(index) is int for index in splits[0][:10])


def test_datasets_are_generic():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert data.Dataset[int] is not None
    array = np.arange(3)
    assert data.Subset(array, [2])[0] == 2
