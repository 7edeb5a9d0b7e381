"""The iterator that loads in worker processes.

Batches are numbered. The next number goes to the next worker in turn; each worker has at most
``prefetch_factor`` of them on average. Every worker has a connection of its own for the tasks and
another for the results, so that one that dies, at whatever moment, cannot block the others, and its
death shows at once: the main process waits for results and for the ends of processes together.
"""

from __future__ import annotations

import itertools
import multiprocessing
import os
import pickle
import signal
import sys
import warnings
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from typing import Any, NoReturn

from fakel import graph
from fakel.utils.data._utils.exceptions import ExceptionWrapper
from fakel.utils.data._utils.fetch import DatasetKind, describe
from fakel.utils.data._utils.iterators import _BaseDataLoaderIter
from fakel.utils.data._utils.transport import receive
from fakel.utils.data._utils.worker import (
    STATUS_CHECK_INTERVAL,
    Resume,
    StreamEnded,
    WorkerTask,
    worker_loop,
)

_PICKLE_WARNING = (
    "Got pickle error when attempting to start a worker Process. This might be because the "
    "worker Process arguments are not picklable. Python 3.14+ changed the multiprocessing start "
    "method in non-Mac POSIX platforms to 'forkserver', which requires the worker Process "
    "arguments to be picklable. You can also try multiprocessing.set_start_method('fork')."
)


@dataclass
class _Worker:
    """A worker process and its two connections."""

    process: Any
    tasks: Connection
    results: Connection
    # In shared memory: the number of the batch that it works on, which outlives it.
    current: Any
    # Whether it has samples left in this epoch.
    active: bool = True
    # Whether it was told to end.
    ended: bool = False
    outstanding: int = 0


@dataclass
class _Request:
    """A batch that was asked for: which worker has it, and its data once that arrived."""

    worker_id: int
    index: Any
    arrived: bool = False
    data: Any = None


class _MultiProcessingDataLoaderIter(_BaseDataLoaderIter):
    """Loads batches in worker processes, ahead of their use."""

    # Whether there is nothing to end, or not any more.
    _shutdown = True

    def __init__(self, loader: Any) -> None:
        super().__init__(loader)
        self._prefetch_factor = loader.prefetch_factor
        self._in_order = loader.in_order
        if self._prefetch_factor <= 0:
            raise AssertionError(
                "prefetch_factor must be greater than 0 for MultiProcessingDataLoaderIter"
            )
        context = loader.multiprocessing_context or multiprocessing
        task = WorkerTask(
            dataset_kind=self._dataset_kind,
            dataset=self._dataset,
            auto_collation=self._auto_collation,
            collate_fn=self._collate_fn,
            drop_last=self._drop_last,
            base_seed=self._base_seed,
            num_workers=self._num_workers,
            init_fn=loader.worker_init_fn,
        )
        self._requests: dict[int, _Request] = {}
        self._workers: list[_Worker] = []
        self._shutdown = False
        # A process that is forked later has a copy of this, which must not end the workers.
        self._owner = os.getpid()
        # Otherwise every worker would compute what is pending here.
        graph.flush()
        for worker_id in range(self._num_workers):
            self._workers.append(_start_worker(context, task, worker_id))
        self._reset(loader, first_iter=True)

    def _reset(self, loader: Any, first_iter: bool = False) -> None:
        super()._reset(loader, first_iter)
        if not first_iter:
            self._resume_workers()
        self._requests = {}
        self._next_number = 0
        self._turns = itertools.cycle(range(self._num_workers))
        for _ in range(self._prefetch_factor * self._num_workers):
            self._request_next()

    def _resume_workers(self) -> None:
        """Begins another epoch; results of an epoch that was not finished are dropped."""
        for worker in self._workers:
            worker.tasks.send(Resume())
        for worker in self._workers:
            worker.active, worker.outstanding = True, 0
        waiting = set(range(self._num_workers))
        while waiting:
            for worker_id, (answer, _) in self._receive():
                if isinstance(answer, Resume):
                    waiting.discard(worker_id)

    def _request_next(self) -> None:
        """Asks the worker whose turn it is for the next batch, if there is one of each."""
        try:
            index = self._next_index()
        except StopIteration:
            return
        worker_id = self._choose_worker()
        if worker_id is None:
            return
        worker = self._workers[worker_id]
        self._requests[self._next_number] = _Request(worker_id, index)
        worker.outstanding += 1
        try:
            worker.tasks.send((self._next_number, index))
        except OSError:
            self._raise_dead([worker_id])
        self._next_number += 1

    def _choose_worker(self) -> int | None:
        active = sum(worker.active for worker in self._workers)
        for _ in range(self._num_workers):
            worker_id = next(self._turns)
            worker = self._workers[worker_id]
            if not worker.active:
                continue
            # Out of order, a slow worker must not collect the tasks of all.
            share = self._prefetch_factor * self._num_workers // active
            if self._in_order or worker.outstanding < share:
                return worker_id
        return None

    def _next_data(self) -> Any:
        while True:
            request = self._take_ready()
            if request is not None:
                return self._hand_out(request)
            if not self._requests:
                if not self._persistent_workers:
                    self._shutdown_workers()
                raise StopIteration
            for _, (number, data) in self._receive():
                if isinstance(data, StreamEnded):
                    self._end_stream(data.worker_id)
                    self._request_next()
                else:
                    self._requests[number].arrived = True
                    self._requests[number].data = data

    def _take_ready(self) -> _Request | None:
        """The request whose batch is handed out next, if it arrived."""
        for number, request in self._requests.items():
            if request.arrived:
                return self._requests.pop(number)
            if self._in_order:
                return None
        return None

    def _hand_out(self, request: _Request) -> Any:
        self._workers[request.worker_id].outstanding -= 1
        self._request_next()
        if isinstance(request.data, ExceptionWrapper):
            request.data.reraise()
        return request.data

    def _end_stream(self, worker_id: int) -> None:
        """Drops what a worker without more samples will not answer, and lets it end."""
        worker = self._workers[worker_id]
        worker.active = False
        self._requests = {
            number: request
            for number, request in self._requests.items()
            if request.arrived or request.worker_id != worker_id
        }
        if not self._persistent_workers:
            _tell_to_end(worker)

    def _receive(self) -> list[tuple[int, Any]]:
        """Waits for results and gives those that are there, as (number of the worker, result)."""
        waiting = {i: worker for i, worker in enumerate(self._workers) if not worker.ended}
        sources = [worker.results for worker in waiting.values()]
        sources += [worker.process.sentinel for worker in waiting.values()]
        ready = wait(sources, self._timeout or None)
        if not ready:
            raise RuntimeError(f"DataLoader timed out after {self._timeout} seconds")
        results = []
        dead = []
        for worker_id, worker in waiting.items():
            try:
                if worker.results in ready:
                    results.append((worker_id, receive(worker.results)))
                elif worker.process.sentinel in ready:
                    dead.append(worker_id)
            except (EOFError, OSError):
                dead.append(worker_id)
        if dead:
            self._raise_dead(dead)
        return results

    def _raise_dead(self, worker_ids: list[int]) -> NoReturn:
        """Ends the other workers and raises the error that says which ones died over what."""
        processes = [self._workers[worker_id].process for worker_id in worker_ids]
        for process in processes:
            process.join(STATUS_CHECK_INTERVAL)
        pids = ", ".join(str(process.pid) for process in processes)
        causes = ", ".join(_cause_of_death(process.exitcode) for process in processes)
        work = [self._work_of(worker_id) for worker_id in worker_ids]
        self._shutdown_workers()
        raise RuntimeError(
            f"DataLoader worker (pid(s) {pids}) exited unexpectedly ({causes}) "
            f"while {', '.join(work)}"
        )

    def _work_of(self, worker_id: int) -> str:
        request = self._requests.get(self._workers[worker_id].current.value)
        if request is None:
            return "waiting for work"
        if self._dataset_kind == DatasetKind.Iterable:
            return f"loading a batch of {type(self._dataset).__name__}"
        samples = describe(request.index, self._auto_collation)
        return f"loading {samples} of {type(self._dataset).__name__}"

    def _shutdown_workers(self) -> None:
        """Ends all workers, by force those that do not end by themselves."""
        if self._shutdown or self._owner != os.getpid():
            return
        self._shutdown = True
        self._requests = {}
        for worker in self._workers:
            _tell_to_end(worker)
        for worker in self._workers:
            worker.process.join(STATUS_CHECK_INTERVAL)
            if worker.process.is_alive():
                worker.process.terminate()
                worker.process.join(STATUS_CHECK_INTERVAL)
            worker.tasks.close()
            worker.results.close()

    def __del__(self) -> None:
        # At interpreter exit multiprocessing has ended the workers, and its functions may be gone.
        if not sys.is_finalizing():
            self._shutdown_workers()


def _start_worker(context: Any, task: WorkerTask, worker_id: int) -> _Worker:
    tasks_out, tasks_in = context.Pipe(duplex=False)
    # A socket: descriptors of shared memory come through it.
    results_out, results_in = context.Pipe(duplex=True)
    current = context.RawValue("q", -1)
    process = context.Process(
        target=worker_loop, args=(task, worker_id, tasks_out, results_in, current), daemon=True
    )
    try:
        process.start()
    except (TypeError, AttributeError, pickle.PicklingError):
        warnings.warn(_PICKLE_WARNING, stacklevel=6)
        raise
    # The worker has the only other ends, so that its end shows here.
    tasks_out.close()
    results_in.close()
    return _Worker(process, tasks_in, results_out, current)


def _tell_to_end(worker: _Worker) -> None:
    if not worker.ended:
        worker.ended = True
        try:
            worker.tasks.send(None)
        except OSError:
            # It is gone already.
            return


def _cause_of_death(exit_code: int | None) -> str:
    if exit_code is None:
        return "its pipe was closed"
    if exit_code < 0:
        return f"killed by signal {signal.Signals(-exit_code).name}"
    return f"exit code {exit_code}"
