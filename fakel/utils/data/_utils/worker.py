"""The worker processes of a loader: their loop, seeds and what they know about themselves."""

from __future__ import annotations

import os
import queue
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any

import numpy as np

from fakel.runtime import set_num_threads
from fakel.tensor.generator import default_generator
from fakel.utils.data._utils.exceptions import ExceptionWrapper
from fakel.utils.data._utils.fetch import DatasetKind
from fakel.utils.data._utils.transport import Message, pack

__all__ = ["WorkerInfo", "get_worker_info"]

# Seconds between looks at whether the main process is still there.
STATUS_CHECK_INTERVAL = 5.0


@dataclass(frozen=True, slots=True)
class WorkerInfo:
    """What a worker process knows about itself.

    ``id`` counts from zero to ``num_workers - 1``; ``seed`` seeds its generators; ``dataset`` is
    its copy.
    """

    id: int
    num_workers: int
    seed: int
    dataset: Any


_worker_info: WorkerInfo | None = None


def get_worker_info() -> WorkerInfo | None:
    """The ``WorkerInfo`` of the worker process that this is called in, None in the main process."""
    return _worker_info


@dataclass(frozen=True)
class Resume:
    """Asks a worker to begin another epoch; the worker sends it back."""


@dataclass(frozen=True)
class StreamEnded:
    """Answers a task when the worker's stream has no more samples."""

    worker_id: int


@dataclass(frozen=True)
class WorkerTask:
    """What all workers of a loader have in common."""

    dataset_kind: int
    dataset: Any
    auto_collation: bool
    collate_fn: Callable[[Any], Any]
    drop_last: bool
    base_seed: int
    num_workers: int
    init_fn: Callable[[int], None] | None

    def create_fetcher(self) -> Any:
        return DatasetKind.create_fetcher(
            self.dataset_kind, self.dataset, self.auto_collation, self.collate_fn, self.drop_last
        )


def numpy_seed(base_seed: int, worker_id: int) -> list[int]:
    """The words that PyTorch seeds NumPy's global generator with in a worker."""
    entropy = [worker_id, base_seed & 0xFFFFFFFF, base_seed >> 32, 0]
    return np.random.SeedSequence(entropy).generate_state(4).tolist()


def worker_loop(
    task: WorkerTask, worker_id: int, tasks: Connection, results: Connection, current: Any
) -> None:
    """What a worker process does until ``tasks`` says None or the main process is gone.

    Args:
        task: what to do
        worker_id: number of this worker
        tasks: gives ``(number, indices)``, ``Resume`` or None
        results: takes ``(number, batch)``, where the batch may be an ``ExceptionWrapper`` or
            ``StreamEnded``
        current: shared memory for the number of the batch being loaded
    """
    set_num_threads(1)
    seed = task.base_seed + worker_id
    random.seed(seed)
    default_generator.manual_seed(seed)
    np.random.seed(numpy_seed(task.base_seed, worker_id))
    global _worker_info
    _worker_info = WorkerInfo(worker_id, task.num_workers, seed, task.dataset)
    where = f"in DataLoader worker process {worker_id}"
    sender = _Sender(results, where)
    failure = fetcher = None
    ended = False
    try:
        if task.init_fn is not None:
            task.init_fn(worker_id)
        fetcher = task.create_fetcher()
    except Exception:
        failure = ExceptionWrapper(where=where)
    try:
        while (request := _next_request(tasks)) is not None:
            if isinstance(request, Resume):
                fetcher = task.create_fetcher()
                ended = False
                sender.send((request, None))
                continue
            if ended:
                continue
            number, index = request
            current.value = number
            if failure is not None:
                sender.send((number, failure))
                continue
            try:
                data = fetcher.fetch(index)  # type: ignore[union-attr]
            except StopIteration:
                if task.dataset_kind != DatasetKind.Iterable:
                    data = ExceptionWrapper(where=where)
                else:
                    data = StreamEnded(worker_id)
                    ended = True
            except Exception:
                data = ExceptionWrapper(where=where)
            sender.send((number, data))
            del data
    except KeyboardInterrupt:
        # The main process gets the interrupt as well and ends the workers.
        return


def _next_request(tasks: Connection) -> Any:
    parent = os.getppid()
    try:
        while not tasks.poll(STATUS_CHECK_INTERVAL):
            if os.getppid() != parent:
                return None
        return tasks.recv()
    except (EOFError, OSError):
        return None


class _Sender:
    """Sends results from a thread, so that the worker does not wait until they are taken."""

    def __init__(self, results: Connection, where: str) -> None:
        self.results = results
        self.where = where
        self.queue: queue.SimpleQueue[Message] = queue.SimpleQueue()
        # A daemon: when the worker is told to end, nobody waits for what it still holds.
        threading.Thread(target=self._run, daemon=True).start()

    def send(self, result: tuple[Any, Any]) -> None:
        """Takes a result. One that cannot be pickled becomes the error that says so."""
        try:
            message = pack(result)
        except Exception:
            message = pack((result[0], ExceptionWrapper(where=self.where)))
        self.queue.put(message)

    def _run(self) -> None:
        try:
            while True:
                self.queue.get().send(self.results)
        except OSError:
            # The main process closed its end.
            return
