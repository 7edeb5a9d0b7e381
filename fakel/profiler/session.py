"""`profile`: records a block, or some steps of a loop, and shows what it found."""

from __future__ import annotations

import json
import os
import socket
import time
import uuid
import warnings
from collections.abc import Callable, Iterable
from enum import Enum
from typing import Any, Self

from fakel.graph import flush
from fakel.profiler import chrome
from fakel.profiler.events import STEP, EventList, events_of
from fakel.profiler.schedules import ProfilerAction, always
from fakel.runtime import trace


class ProfilerActivity(Enum):
    """Kinds of devices that a profile can look at."""

    CPU = 0
    XPU = 1
    MTIA = 2
    CUDA = 3
    HPU = 4
    PrivateUse1 = 5


_RECORDING = (ProfilerAction.RECORD, ProfilerAction.RECORD_AND_SAVE)


def supported_activities() -> set[ProfilerActivity]:
    """The kinds of devices that there are."""
    return {ProfilerActivity.CPU}


def kineto_available() -> bool:
    """Whether PyTorch's own tracing library is there."""
    return False


class profile:
    """Records what runs in its block, or in the steps that a schedule chooses.

    Operators are recorded and computed at the next flush. A profile flushes when it starts, at each
    `step` and when it stops, so that what was asked for in between stands in it.

    Args:
        activities: kinds of devices; others than the CPU are warned of and left out.
        schedule: which steps are recorded.
        on_trace_ready: called with the profile at the end of each cycle of the schedule, or when it
            stops.
        record_shapes: whether events know shapes.
        profile_memory: not supported.
        with_stack: whether events know the lines that led to them.
        with_flops: whether events know floating-point operations.
        with_modules: as in PyTorch, without effect but for TorchScript.
        experimental_config: not supported.
        execution_trace_observer: not supported.
        acc_events: whether events of several cycles are kept together.
        use_cuda: an older way to choose activities.
        custom_trace_id_callback: makes the name of a cycle's trace.
        post_processing_timeout_s: not supported.

    Raises:
        AssertionError: no activity is left.
        NotImplementedError: for what is not supported.
    """

    def __init__(
        self,
        *,
        activities: Iterable[Any] | None = None,
        schedule: Callable[[int], ProfilerAction] | None = None,
        on_trace_ready: Callable[..., Any] | None = None,
        record_shapes: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = False,
        with_modules: bool = False,
        experimental_config: Any = None,
        execution_trace_observer: Any = None,
        acc_events: bool = False,
        use_cuda: bool | None = None,
        custom_trace_id_callback: Callable[[], str] | None = None,
        post_processing_timeout_s: float | None = None,
    ) -> None:
        _refuse(
            profile_memory=profile_memory,
            experimental_config=experimental_config,
            execution_trace_observer=execution_trace_observer,
            post_processing_timeout_s=post_processing_timeout_s,
        )
        self.activities = _chosen(activities, use_cuda)
        self.record_shapes = record_shapes
        self.with_stack = with_stack
        self.with_flops = with_flops
        self.with_modules = with_modules
        self.acc_events = acc_events
        self.on_trace_ready = on_trace_ready
        self.schedule = schedule or always
        self.record_steps = schedule is not None
        self.step_num = 0
        self.current_action = self.schedule(0)
        self._make_id = custom_trace_id_callback or (lambda: uuid.uuid4().hex)
        self._trace_id: str | None = None
        self._recording: trace.Recording | None = None
        self._step: Any = None
        self._metadata: dict[str, Any] = {}
        self._earlier: list[Any] = []
        self._events: EventList | None = None

    # ---------------------------------------------------------------- recording

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begins, with the action that the schedule has for the first step."""
        self._begin_recording()
        self._begin_step()

    def stop(self) -> None:
        """Ends; what was recorded up to now is ready."""
        self._end_step()
        if self._end_recording() and self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def step(self) -> None:
        """Says that the next step of the loop begins."""
        self._end_step()
        before = self.current_action
        self.step_num += 1
        self.current_action = self.schedule(self.step_num)
        cycle_ends = before is ProfilerAction.RECORD_AND_SAVE
        if cycle_ends or self.current_action not in _RECORDING:
            if self._end_recording() and self.on_trace_ready is not None:
                self.on_trace_ready(self)
        self._begin_recording()
        self._begin_step()

    def _begin_recording(self) -> None:
        if self.current_action in _RECORDING and trace.active is None:
            flush()
            self._trace_id = self._make_id()
            self._events = None
            self._recording = trace.Recording(keep=True, stacks=self.with_stack)
            trace.start(self._recording)
        elif self.current_action in _RECORDING and trace.active is not self._recording:
            raise RuntimeError("Profiler is already enabled on this thread")

    def _end_recording(self) -> bool:
        """Whether something was being recorded."""
        if self._recording is None or trace.active is not self._recording:
            return False
        flush()
        trace.stop()
        return True

    def _begin_step(self) -> None:
        if self.record_steps and trace.active is not None:
            self._step = trace.span("user", f"{STEP}{self.step_num}")
            self._step.__enter__()

    def _end_step(self) -> None:
        if trace.active is not None:
            flush()
        if self._step is not None:
            step, self._step = self._step, None
            step.__exit__(None, None, None)

    # ---------------------------------------------------------------- results

    def events(self) -> EventList:
        """What was recorded, call by call.

        Raises:
            AssertionError: nothing has been recorded.
        """
        if self._events is None:
            recording = self._recorded("accessing events")
            found = events_of(recording, self.record_shapes, self.with_flops)
            if self.acc_events:
                self._earlier += found
                found = EventList(self._earlier, self.with_flops)
            self._events = found
        return self._events

    def key_averages(
        self,
        group_by_input_shape: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """Sums by name; see `EventList.key_averages`."""
        self._recorded("getting key averages")
        return self.events().key_averages(
            group_by_input_shape, group_by_stack_n, group_by_overload_name
        )

    def export_chrome_trace(self, path: str, use_python_export: bool = False) -> None:
        """Writes the last cycle's trace, for Perfetto or chrome://tracing.

        Args:
            path: the file; compressed when it ends with ``.gz``.
            use_python_export: fakel has one way to write it, which is Python's.
        """
        recording = self._recorded("exporting chrome trace")
        chrome.export(recording, path, {**self._metadata, "trace_id": self._trace_id})

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Writes stacks and times for flame graphs; needs ``with_stack``."""
        self._recorded("exporting stacks")
        self.events().export_stacks(path, metric)

    def add_metadata(self, key: str, value: str) -> None:
        """Adds a text to traces."""
        self._metadata[key] = value

    def add_metadata_json(self, key: str, value: str) -> None:
        """Adds a value to traces.

        Args:
            key: its name.
            value: JSON.
        """
        self._metadata[key] = json.loads(value)

    preset_metadata_json = add_metadata_json

    def get_trace_id(self) -> str | None:
        """The name of the last cycle's trace."""
        return self._trace_id

    def _recorded(self, purpose: str) -> trace.Recording:
        if self._recording is None:
            raise AssertionError(f"Profiler must be initialized before {purpose}")
        return self._recording


def tensorboard_trace_handler(
    dir_name: str,
    worker_name: str | None = None,
    use_gzip: bool = False,
    use_python_export: bool = False,
) -> Callable[[profile], None]:
    """An ``on_trace_ready`` that writes a trace of each cycle into a folder.

    Args:
        dir_name: the folder, made if need be.
        worker_name: the beginning of the files' names, by default host and process.
        use_gzip: whether they are compressed.
        use_python_export: see `profile.export_chrome_trace`.
    """
    worker = worker_name or f"{socket.gethostname()}_{os.getpid()}"

    def handle(ended: profile) -> None:
        try:
            os.makedirs(dir_name, exist_ok=True)
        except OSError as error:
            raise RuntimeError("Can't create directory: " + dir_name) from error
        name = f"{worker}.{time.time_ns()}.pt.trace.json" + (".gz" if use_gzip else "")
        ended.export_chrome_trace(os.path.join(dir_name, name), use_python_export)

    return handle


def _chosen(activities: Iterable[Any] | None, use_cuda: bool | None) -> set[ProfilerActivity]:
    if activities is None:
        chosen = supported_activities()
    else:
        chosen = set()
        for item in activities:
            for each in item if isinstance(item, dict) else [item]:
                if not isinstance(each, ProfilerActivity):
                    raise TypeError(f"Expected ProfilerActivity or dict, got {type(item)}")
                if each in chosen:
                    raise ValueError(f"Activity {each} specified more than once")
                chosen.add(each)
    if use_cuda is not None:
        warnings.warn(
            "`use_cuda` is deprecated, use `activities` argument instead",
            FutureWarning,
            stacklevel=3,
        )
        chosen = chosen | {ProfilerActivity.CUDA} if use_cuda else chosen - {ProfilerActivity.CUDA}
    if not chosen:
        raise AssertionError("No valid profiler activities found")
    if ProfilerActivity.CUDA in chosen:
        warnings.warn("CUDA is not available, disabling CUDA profiling", stacklevel=3)
    return chosen & supported_activities()


def _refuse(**arguments: Any) -> None:
    for name, value in arguments.items():
        if value:
            raise NotImplementedError(f"profile(): fakel does not support {name}")
