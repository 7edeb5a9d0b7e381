"""Datasets: samples by index or as a stream, and datasets made from others."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from fakel import ops
from fakel.tensor import Tensor
from fakel.tensor.generator import Generator, default_generator
from fakel.utils.data._utils.batch import Batch

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

SampleT = TypeVar("SampleT", covariant=True)


class Dataset(Generic[SampleT]):
    """A collection of samples by index.

    A subclass implements ``__getitem__``, and ``__len__`` for the samplers. It may implement
    ``__getitems__(indices)``, which gives the samples of a whole batch: a list of them, or a
    ``Batch`` that knows its collated form.
    """

    def __getitem__(self, index: Any) -> SampleT:
        raise NotImplementedError("Subclasses of Dataset should implement __getitem__.")

    def __add__(self, other: Dataset) -> ConcatDataset:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[SampleT], Iterable[SampleT]):
    """A stream of samples: a subclass implements ``__iter__``.

    With worker processes each one iterates over its own copy; ``get_worker_info`` tells them apart.
    """

    def __add__(self, other: Dataset) -> ChainDataset:  # type: ignore[override]
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Samples are the rows of tensors, as tuples.

    Args:
        tensors: tensors of the same size in their first dimension
    """

    tensors: tuple[Tensor, ...]

    def __init__(self, *tensors: Tensor) -> None:
        if any(tensors[0].size(0) != tensor.size(0) for tensor in tensors):
            raise AssertionError("Size mismatch between tensors")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __getitems__(self, indices: Sequence[int]) -> Sequence[Any]:
        """The samples of a batch: one indexing operation for each tensor."""
        plain = all(type(index) is int for index in indices)
        if type(self).__getitem__ is not TensorDataset.__getitem__ or not plain:
            return [self[index] for index in indices]
        return Batch(self, indices, [_rows(tensor, list(indices)) for tensor in self.tensors])

    def __len__(self) -> int:
        return self.tensors[0].size(0)


def _rows(tensor: Tensor, indices: list[int]) -> Tensor:
    """``tensor[indices]``, copied at once where nothing has to be recorded."""
    plain = type(tensor) is Tensor and not tensor.requires_grad
    size = len(tensor)
    if plain and all(-size <= index < size for index in indices):
        return Tensor._from_array(tensor._array()[indices], tensor.dtype)
    return tensor[indices]


class StackDataset(Dataset[Any]):
    """Samples are tuples, or dictionaries, of the samples of several datasets at the same index.

    Args:
        args: datasets of equal length, for tuples
        kwargs: the same by name, for dictionaries
    """

    datasets: tuple | dict

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if args and kwargs:
            raise ValueError(
                "Supported either ``tuple``- (via ``args``) or``dict``- (via ``kwargs``) like "
                "input/output, but both types are given."
            )
        parts = list(args or kwargs.values())
        if not parts:
            raise ValueError("At least one dataset should be passed")
        self._length = len(parts[0])
        if any(len(part) != self._length for part in parts):
            raise ValueError("Size mismatch between datasets")
        self.datasets = args or kwargs

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __getitems__(self, indices: Sequence[int]) -> list[Any]:
        """The samples of a batch, from the datasets' own ``__getitems__`` where they have one."""
        named = isinstance(self.datasets, dict)
        parts = self.datasets.values() if named else self.datasets
        rows = zip(*(self._samples(part, indices) for part in parts), strict=True)
        return [dict(zip(self.datasets, row, strict=True)) if named else row for row in rows]

    @staticmethod
    def _samples(dataset: Any, indices: Sequence[int]) -> Sequence[Any]:
        if not callable(getattr(dataset, "__getitems__", None)):
            return [dataset[index] for index in indices]
        samples = dataset.__getitems__(indices)
        if len(samples) != len(indices):
            raise ValueError(
                f"Nested dataset's output size mismatch. Expected {len(indices)}, got "
                f"{len(samples)}"
            )
        return samples

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[SampleT]):
    """Datasets one after the other.

    Args:
        datasets: the datasets; streams are refused
    """

    datasets: list[Dataset]
    cumulative_sizes: list[int]

    @staticmethod
    def cumsum(sequence: Iterable[Any]) -> list[int]:
        """The running sum of the lengths in ``sequence``."""
        return list(itertools.accumulate(len(entry) for entry in sequence))

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        super().__init__()
        self.datasets = list(datasets)
        if not self.datasets:
            raise AssertionError("datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise AssertionError("ConcatDataset does not support IterableDataset")
        self.cumulative_sizes = self.cumsum(self.datasets)

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]

    def __getitem__(self, idx: int) -> SampleT:
        if idx < 0:
            if -idx > len(self):
                raise ValueError("absolute value of index should not exceed dataset length")
            idx += len(self)
        number = bisect.bisect_right(self.cumulative_sizes, idx)
        start = self.cumulative_sizes[number - 1] if number > 0 else 0
        return self.datasets[number][idx - start]

    @property
    def cummulative_sizes(self) -> list[int]:
        """The old, misspelt name of ``cumulative_sizes``."""
        warnings.warn(
            "`cummulative_sizes` attribute is renamed to `cumulative_sizes`",
            FutureWarning,
            stacklevel=2,
        )
        return self.cumulative_sizes


class ChainDataset(IterableDataset):
    """Streams one after the other.

    Args:
        datasets: streams
    """

    def __init__(self, datasets: Iterable[Dataset]) -> None:
        super().__init__()
        self.datasets = datasets

    def __iter__(self) -> Iterator[Any]:
        for dataset in self.datasets:
            yield from self._checked(dataset)

    def __len__(self) -> int:
        return sum(len(self._checked(dataset)) for dataset in self.datasets)

    @staticmethod
    def _checked(dataset: Any) -> Any:
        if not isinstance(dataset, IterableDataset):
            raise AssertionError("ChainDataset only supports IterableDataset")
        return dataset


class Subset(Dataset[SampleT]):
    """The samples of a dataset at given indices.

    Args:
        dataset: the whole dataset
        indices: the indices in the whole dataset, in the subset's order
    """

    dataset: Dataset[SampleT]
    indices: Sequence[int]

    def __init__(self, dataset: Dataset[SampleT], indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices
        kind = type(self)
        if kind.__getitem__ is not Subset.__getitem__ and kind.__getitems__ is Subset.__getitems__:
            raise NotImplementedError(
                f"{kind.__name__} overrides __getitem__ but not __getitems__. When subclassing "
                "Subset and overriding __getitem__, you must also override __getitems__ to "
                "ensure DataLoader works correctly with your custom logic. A simple "
                "implementation:\n\ndef __getitems__(self, indices):\n    return "
                "[self.__getitem__(idx) for idx in indices]"
            )

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, list):
            return self.dataset[[self.indices[index] for index in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices: Sequence[int]) -> Sequence[SampleT]:
        """The samples of a batch, from the dataset's own ``__getitems__`` if it has one."""
        chosen = [self.indices[index] for index in indices]
        if callable(getattr(self.dataset, "__getitems__", None)):
            return self.dataset.__getitems__(chosen)  # type: ignore[attr-defined]
        return [self.dataset[index] for index in chosen]

    def __len__(self) -> int:
        return len(self.indices)


def random_split(
    dataset: Dataset[SampleT],
    lengths: Sequence[int | float],
    generator: Generator | None = default_generator,
) -> list[Subset[SampleT]]:
    """Splits a dataset at random into subsets that do not overlap.

    Args:
        dataset: the dataset
        lengths: the subsets' lengths, or fractions that add up to one; what rounding leaves over
            goes to the first subsets, one each
        generator: draws the permutation
    """
    size = len(dataset)  # type: ignore[arg-type]
    if math.isclose(sum(lengths), 1) and sum(lengths) <= 1:
        lengths = _lengths_from_fractions(size, lengths)
    if sum(lengths) != size:
        raise ValueError("Sum of input lengths does not equal the length of the input dataset!")
    order = iter(ops.randperm(size, generator=generator).tolist())
    return [Subset(dataset, list(itertools.islice(order, int(length)))) for length in lengths]


def _lengths_from_fractions(size: int, fractions: Sequence[float]) -> list[int]:
    for index, fraction in enumerate(fractions):
        if fraction < 0 or fraction > 1:
            raise ValueError(f"Fraction at index {index} is not between 0 and 1")
    lengths = [math.floor(size * fraction) for fraction in fractions]
    for index in range(size - sum(lengths)):
        lengths[index % len(lengths)] += 1
    for index, length in enumerate(lengths):
        if length == 0:
            warnings.warn(
                f"Length of split at index {index} is 0. This might result in an empty dataset.",
                stacklevel=3,
            )
    return lengths
