"""``Batch``: the samples of a batch together with their collated form.

Datasets whose samples lie in arrays can gather a whole batch in a few operations, where collating
single samples would take hundreds. Such a dataset returns a ``Batch`` from ``__getitems__``::

    def __getitems__(self, indices):
        return Batch(self, indices, [self.images[indices], self.labels[indices]])

``default_collate`` takes ``collated`` as it is. For everything else the batch is the sequence of
its samples, so that a collate function of the user's sees what it would have seen without it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ["Batch"]


class Batch(Sequence[Any]):
    """The samples of ``dataset`` at ``indices``, with their collated form at hand.

    Args:
        dataset: gives a single sample as ``dataset[index]``
        indices: the indices of the samples
        collated: what ``default_collate([dataset[index] for index in indices])`` would return
    """

    def __init__(self, dataset: Any, indices: Sequence[int], collated: Any) -> None:
        self.dataset = dataset
        self.indices = list(indices)
        self.collated = collated

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, position: Any) -> Any:
        if isinstance(position, slice):
            return [self.dataset[index] for index in self.indices[position]]
        return self.dataset[self.indices[position]]

    def samples(self) -> list[Any]:
        """The samples in a list."""
        return self[:]
