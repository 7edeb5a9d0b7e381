"""What samplers, `random_split` and data loaders draw: orders of elements, seeds of workers."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tests.goldens.values import checksum

SEED = 11
SEEDED = "generator=torch.Generator().manual_seed(5)"

# two epochs of each
SAMPLERS = (
    *(f"data.RandomSampler(range({n}))" for n in (1, 10, 100)),
    f"data.RandomSampler(range(10), {SEEDED})",
    "data.RandomSampler(range(10), num_samples=4)",
    "data.RandomSampler(range(10), num_samples=25)",
    "data.RandomSampler(range(10), replacement=True)",
    "data.RandomSampler(range(10), True, 64)",
    "data.RandomSampler(range(10), True, 70)",
    f"data.RandomSampler(range(10), True, 40, {SEEDED})",
    "data.SubsetRandomSampler([3, 1, 8, 5, 2])",
    f"data.SubsetRandomSampler([3, 1, 8, 5, 2], {SEEDED})",
    "data.WeightedRandomSampler([0.1, 3.0, 0.0, 1.0], 12)",
    "data.WeightedRandomSampler([0.1, 3.0, 1.0], 3, replacement=False)",
    "data.WeightedRandomSampler([0.1, 3.0, 1.0], 1)",
    f"data.WeightedRandomSampler([0.1, 3.0, 1.0], 9, {SEEDED})",
    "data.BatchSampler(data.RandomSampler(range(10)), 3, False)",
    "data.DistributedSampler(range(11), 2, 1)",
    "data.DistributedSampler(range(11), 2, 0, seed=4, drop_last=True)",
)

SPLITS = (
    "data.random_split(range(10), [7, 3])",
    "data.random_split(range(10), [0.5, 0.3, 0.2])",
    "data.random_split(range(11), [0.5, 0.5])",
    f"data.random_split(range(10), [7, 3], {SEEDED})",
)

# three epochs of each; workers add what they know of themselves
LOADERS = (
    "shuffle=True",
    "shuffle=True, batch_size=4",
    "shuffle=True, batch_size=4, drop_last=True",
    "batch_size=4",
    f"shuffle=True, batch_size=4, {SEEDED}",
    f"batch_size=4, {SEEDED}",
    "batch_size=4, sampler=data.WeightedRandomSampler([0.1] * 9, 9)",
    "shuffle=True, batch_size=None",
)
WORKERS = (
    "shuffle=True, batch_size=2, num_workers=2",
    f"shuffle=True, batch_size=2, num_workers=2, {SEEDED}",
    "shuffle=True, batch_size=2, num_workers=2, persistent_workers=True",
    "batch_size=3, num_workers=1, worker_init_fn=draw_once",
)


class Draws:
    """A dataset whose elements are drawn where they are loaded, with the loader's information."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch

    def __len__(self) -> int:
        return 9

    def __getitem__(self, index: int) -> Any:
        worker = self.torch.utils.data.get_worker_info()
        number = self.torch.randint(1000, ()).item()
        known = [-1]
        if worker is not None:  # which seeds all generators that Python programs use
            known = [worker.id, worker.seed, random.randrange(1000), np.random.randint(1000)]
        return self.torch.tensor([index, number, *known])


class DrawOnce:
    """A `worker_init_fn` that draws a number."""

    def __init__(self, torch: Any) -> None:
        self.torch = torch

    def __call__(self, worker: int) -> None:
        self.torch.rand(worker + 1)


def names(torch: Any) -> dict[str, Any]:
    """What the expressions may use."""
    return {"torch": torch, "data": torch.utils.data, "draw_once": DrawOnce(torch)}


def epochs(torch: Any, made: str, count: int) -> dict[str, Any]:
    """What a sampler gives in several epochs, and the generator's state."""
    torch.manual_seed(SEED)
    sampler = eval(made, names(torch))
    orders = [list(sampler) for _ in range(count)]
    return {"epochs": orders, "state": checksum(torch, torch.get_rng_state())}


def loaded(torch: Any, options: str, dataset: Any) -> dict[str, Any]:
    """What a loader gives in three epochs, and the generator's state."""
    torch.manual_seed(SEED)
    loader = eval(f"data.DataLoader(dataset, {options})", {**names(torch), "dataset": dataset})
    given = [[batch.tolist() for batch in loader] for _ in range(3)]
    return {"epochs": given, "state": checksum(torch, torch.get_rng_state())}


def split(torch: Any, expression: str) -> dict[str, Any]:
    """The indices of each part, and the generator's state."""
    torch.manual_seed(SEED)
    parts: Iterable[Any] = eval(expression, names(torch))
    return {
        "parts": [list(part.indices) for part in parts],
        "state": checksum(torch, torch.get_rng_state()),
    }


def cases(torch: Any) -> dict[str, Callable[[], Any]]:
    """All of them."""
    table: dict[str, Callable[[], Any]] = {}
    for each in SAMPLERS:
        table[each] = lambda each=each: epochs(torch, each, 2)
    for each in SPLITS:
        table[each] = lambda each=each: split(torch, each)
    for each in LOADERS:
        table[each] = lambda each=each: loaded(torch, each, torch.arange(9.0))
        table[f"{each}, drawing"] = lambda each=each: loaded(torch, each, Draws(torch))
    for each in WORKERS:
        table[each] = lambda each=each: loaded(torch, each, Draws(torch))
    return table
