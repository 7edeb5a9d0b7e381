"""Fetchers: from the indices that a sampler gave to a collated batch."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fakel import graph
from fakel.utils.data._utils.batch import Batch
from fakel.utils.data._utils.collate import default_collate

__all__ = ["DatasetKind", "IterableDatasetFetcher", "MapDatasetFetcher"]


class MapDatasetFetcher:
    """Fetches from a dataset with samples by index.

    Args:
        dataset: the dataset
        auto_collation: whether an index is the list of a batch's indices
        collate_fn: puts a batch together, or converts a single sample
        drop_last: unused here, the sampler has done it
    """

    def __init__(
        self, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        self.dataset = dataset
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self.drop_last = drop_last

    def fetch(self, index: Any) -> Any:
        """The batch, or the single sample, at ``index``; errors of the dataset's name it."""
        with graph.AtOnce():
            data = self._samples(index)
            if isinstance(data, Batch) and self.collate_fn is not default_collate:
                data = data.samples()
            try:
                return self.collate_fn(data)
            except Exception as error:
                self._name(error, "collating", index, self.auto_collation)
                raise

    def _samples(self, index: Any) -> Any:
        batched = self.auto_collation
        current = index
        try:
            if not batched:
                return self.dataset[index]
            if getattr(self.dataset, "__getitems__", None):
                return self.dataset.__getitems__(index)
            samples = []
            batched = False
            for current in index:
                samples.append(self.dataset[current])
            return samples
        except Exception as error:
            self._name(error, "loading", current, batched)
            raise

    def _name(self, error: Exception, action: str, index: Any, batch: bool) -> None:
        """Adds to an exception what was being loaded."""
        name = type(self.dataset).__name__
        error.add_note(f"while {action} {describe(index, batch)} of {name}")


class IterableDatasetFetcher:
    """Fetches from a stream; ``StopIteration`` ends it.

    Args:
        dataset: the stream
        auto_collation: whether to put samples together in batches
        collate_fn: puts a batch together, or converts a single sample
        drop_last: leaves out a last batch that would be smaller
    """

    def __init__(
        self, dataset: Any, auto_collation: bool, collate_fn: Callable[[Any], Any], drop_last: bool
    ) -> None:
        self.auto_collation = auto_collation
        self.collate_fn = collate_fn
        self.drop_last = drop_last
        self.dataset_iter = iter(dataset)
        self.ended = False

    def fetch(self, index: Any) -> Any:
        """The next batch, as long as ``index``, or the next single sample."""
        if self.ended:
            raise StopIteration
        with graph.AtOnce():
            if not self.auto_collation:
                return self.collate_fn(next(self.dataset_iter))
            data = []
            for _ in index:
                try:
                    data.append(next(self.dataset_iter))
                except StopIteration:
                    self.ended = True
                    break
            if not data or (self.drop_last and len(data) < len(index)):
                raise StopIteration
            return self.collate_fn(data)


class DatasetKind:
    """Whether a dataset gives samples by index or as a stream."""

    Map = 0
    Iterable = 1

    @staticmethod
    def create_fetcher(
        kind: int,
        dataset: Any,
        auto_collation: bool,
        collate_fn: Callable[[Any], Any],
        drop_last: bool,
    ) -> MapDatasetFetcher | IterableDatasetFetcher:
        """The fetcher for a dataset of ``kind``; the arguments are those of the fetchers."""
        fetcher = MapDatasetFetcher if kind == DatasetKind.Map else IterableDatasetFetcher
        return fetcher(dataset, auto_collation, collate_fn, drop_last)


def describe(index: Any, batch: bool) -> str:
    """``sample 7``, or ``samples [3, 1, 4, ...]``, for messages."""
    if not batch or not isinstance(index, Sequence):
        return f"sample {index!r}"
    shown = ", ".join(repr(entry) for entry in index[:10])
    return f"samples [{shown}{', ...' if len(index) > 10 else ''}]"
