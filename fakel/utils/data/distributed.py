"""A sampler that gives each of several processes its share of a dataset."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from fakel import ops
from fakel.tensor.generator import Generator
from fakel.utils.data.sampler import Sampler

__all__ = ["DistributedSampler"]


class DistributedSampler(Sampler[int]):
    """Every ``num_replicas``-th index of a dataset, beginning with ``rank``.

    Args:
        dataset: the dataset
        num_replicas: number of processes
        rank: number of this process
        shuffle: permutes the indices, in the same way in every process
        seed: gives the permutation, with the epoch that ``set_epoch`` set
        drop_last: leaves out the indices that would make the shares uneven, instead of repeating
            some

    There is no process group to take ``num_replicas`` and ``rank`` from: both have to be given.
    """

    def __init__(
        self,
        dataset: Any,
        num_replicas: int | None = None,
        rank: int | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_last: bool = False,
    ) -> None:
        if num_replicas is None or rank is None:
            raise ValueError(
                "Default process group has not been initialized, please make sure to call "
                "init_process_group."
            )
        if rank >= num_replicas or rank < 0:
            raise ValueError(
                f"Invalid rank {rank}, rank should be in the interval [0, {num_replicas - 1}]"
            )
        self.dataset = dataset
        self.num_replicas = num_replicas
        self.rank = rank
        self.epoch = 0
        self.drop_last = drop_last
        size = len(dataset)
        self.num_samples = size // num_replicas if drop_last else math.ceil(size / num_replicas)
        self.total_size = self.num_samples * num_replicas
        self.shuffle = shuffle
        self.seed = seed

    def __iter__(self) -> Iterator[int]:
        size = len(self.dataset)
        if self.shuffle:
            generator = Generator()
            generator.manual_seed(self.seed + self.epoch)
            indices = ops.randperm(size, generator=generator).tolist()
        else:
            indices = list(range(size))
        repeats = math.ceil(self.total_size / size) if size else 1
        indices = (indices * max(repeats, 1))[: self.total_size]
        return iter(indices[self.rank : self.total_size : self.num_replicas])

    def __len__(self) -> int:
        return self.num_samples

    def set_epoch(self, epoch: int) -> None:
        """Sets the epoch, for another permutation in each."""
        self.epoch = epoch
