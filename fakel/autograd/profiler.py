"""Profiles in the older form, as in ``torch.autograd.profiler``."""

from __future__ import annotations

from typing import Any, Self

from fakel.profiler import session
from fakel.profiler.annotate import record_function
from fakel.profiler.events import EventList, FunctionEventAvg
from fakel.profiler.session import ProfilerActivity, kineto_available

__all__ = ["ProfilerActivity", "kineto_available", "profile", "record_function"]


class profile:
    """Records what runs in its block.

    Args:
        enabled: whether it does anything.
        use_cuda: an older name of ``use_device="cuda"``.
        use_device: not supported, but for None.
        record_shapes: whether events know shapes.
        with_flops: whether events know floating-point operations.
        profile_memory: not supported.
        with_stack: whether events know the lines that led to them.
        with_modules: as in PyTorch, without effect but for TorchScript.
        use_kineto: not supported.
        use_cpu: not supported, but for True.
    """

    def __init__(
        self,
        enabled: bool = True,
        *,
        use_cuda: bool = False,
        use_device: str | None = None,
        record_shapes: bool = False,
        with_flops: bool = False,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_modules: bool = False,
        use_kineto: bool = False,
        use_cpu: bool = True,
    ) -> None:
        for name, value in (
            ("use_device", use_device),
            ("use_kineto", use_kineto),
            ("use_cpu=False", not use_cpu),
        ):
            if value:
                raise NotImplementedError(f"profile(): fakel does not support {name}")
        self.enabled = enabled
        self._inner = session.profile(
            activities=[ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if use_cuda else [])],
            record_shapes=record_shapes,
            with_flops=with_flops,
            profile_memory=profile_memory,
            with_stack=with_stack,
            with_modules=with_modules,
        )

    def __enter__(self) -> Self:
        if self.enabled:
            self._inner.start()
        return self

    def __exit__(self, *exception: object) -> None:
        if self.enabled:
            self._inner.stop()

    @property
    def function_events(self) -> EventList:
        """What was recorded, call by call.

        Raises:
            RuntimeError: nothing has been recorded.
        """
        try:
            return self._inner.events()
        except AssertionError:
            raise RuntimeError("Profiler didn't finish running") from None

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all events, each without what it called."""
        return self.function_events.self_cpu_time_total

    def key_averages(self, *arguments: Any, **options: Any) -> EventList:
        """Sums by name; see `EventList.key_averages`."""
        return self.function_events.key_averages(*arguments, **options)

    def total_average(self) -> FunctionEventAvg:
        """One sum over all events."""
        return self.function_events.total_average()

    def table(self, *arguments: Any, **options: Any) -> str:
        """The events as a table; see `EventList.table`."""
        return self.function_events.table(*arguments, **options)

    def export_chrome_trace(self, path: str) -> None:
        """Writes a trace for Perfetto or chrome://tracing."""
        self._inner.export_chrome_trace(path)

    def export_stacks(self, path: str, metric: str = "self_cpu_time_total") -> None:
        """Writes stacks and times for flame graphs."""
        self._inner.export_stacks(path, metric)

    def __str__(self) -> str:
        return str(self.function_events) if self.enabled else "<unfinished torch.autograd.profile>"
