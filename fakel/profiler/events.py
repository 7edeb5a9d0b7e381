"""What a profile found, as events: single ones, and their sums by name."""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum
from pathlib import Path
from typing import Any

from fakel.profiler.table import format_time, make_table
from fakel.runtime.trace import Recording, Span, label_of

STEP = "ProfilerStep#"
_PREFIX = "fakel::"


class DeviceType(Enum):
    """Where something ran."""

    CPU = 0


class Interval:
    """Begin and end, in microseconds."""

    def __init__(self, start: float, end: float) -> None:
        self.start = start
        self.end = end

    def elapsed_us(self) -> float:
        """Its length."""
        return self.end - self.start


class _Times:
    """Times of an event as text, and the mean of its calls."""

    count: int
    cpu_time_total: float
    self_cpu_time_total: float
    device_type = DeviceType.CPU
    use_device = None
    node_id = -1
    is_async = False
    device_time_total = self_device_time_total = device_time = 0

    @property
    def cpu_time(self) -> float:
        """Microseconds of a call, with what it called."""
        return self.cpu_time_total / self.count if self.count else 0.0

    @property
    def cpu_time_str(self) -> str:
        """The mean time as text."""
        return format_time(self.cpu_time)

    @property
    def cpu_time_total_str(self) -> str:
        """The time of all calls as text."""
        return format_time(self.cpu_time_total)

    @property
    def self_cpu_time_total_str(self) -> str:
        """The time of all calls without what they called, as text."""
        return format_time(self.self_cpu_time_total)


class FunctionEvent(_Times):
    """One call. Times are microseconds from the profile's beginning.

    Args:
        id: its number.
        name: an operator's name, or that of `record_function`.
        thread: the number of its thread, from 1 on.
        start_us: its beginning.
        end_us: its end.
        input_shapes: of its tensors.
        stack: the lines that led to it, from the innermost outwards.
        flops: floating-point operations.
        is_user_annotation: whether `record_function` made it.
    """

    def __init__(
        self,
        id: int,
        name: str,
        thread: int,
        start_us: float,
        end_us: float,
        input_shapes: Any = None,
        stack: Any = None,
        flops: int = 0,
        is_user_annotation: bool = False,
    ) -> None:
        self.id = id
        self.trace_name = name
        self.name = "ProfilerStep*" if name.startswith(STEP) else name
        self.thread = thread
        self.time_range = Interval(start_us, end_us)
        self.input_shapes = input_shapes or []
        self.stack = list(stack or [])
        self.flops = flops
        self.is_user_annotation = is_user_annotation
        self.count = 1
        self.cpu_children: list[FunctionEvent] = []
        self.cpu_parent: FunctionEvent | None = None

    @property
    def key(self) -> str:
        """What calls are summed by."""
        return self.name

    @property
    def cpu_time_total(self) -> float:  # type: ignore[override]
        """Its time, with what it called."""
        return self.time_range.elapsed_us()

    @property
    def self_cpu_time_total(self) -> float:  # type: ignore[override]
        """Its time without what it called."""
        return self.cpu_time_total - sum(child.cpu_time_total for child in self.cpu_children)

    def __repr__(self) -> str:
        return (
            f"<FunctionEvent id={self.id} name={self.name} device_type={self.device_type} "
            f"cpu_time={self.cpu_time_str} start_us={self.time_range.start} "
            f"end_us={self.time_range.end} "
            f"cpu_children={[child.id for child in self.cpu_children]} thread={self.thread} "
            f"input_shapes={self.input_shapes}>"
        )


class FunctionEventAvg(_Times):
    """Sums over calls of one name."""

    def __init__(self) -> None:
        self.key = ""
        self.count = 0
        self.cpu_time_total = 0.0
        self.self_cpu_time_total = 0.0
        self.flops = 0
        self.input_shapes: Any = None
        self.stack: list[str] = []
        self.cpu_parent: FunctionEvent | None = None
        self.is_user_annotation = False

    def add(self, event: Any) -> FunctionEventAvg:
        """Adds a call, or another sum."""
        if not self.count:
            self.key, self.input_shapes, self.stack = event.key, event.input_shapes, event.stack
            self.cpu_parent = event.cpu_parent
            self.is_user_annotation = event.is_user_annotation
        self.count += event.count
        self.cpu_time_total += event.cpu_time_total
        self.self_cpu_time_total += event.self_cpu_time_total
        self.flops += event.flops
        return self

    __iadd__ = add

    def __repr__(self) -> str:
        return (
            f"<FunctionEventAvg key={self.key} self_cpu_time={self.self_cpu_time_total_str} "
            f"cpu_time={self.cpu_time_str} input_shapes={self.input_shapes}>"
        )


class EventList(list[Any]):
    """Events, or sums of them.

    Args:
        events: them.
        with_flops: whether the table shows floating-point operations.
    """

    def __init__(self, events: Iterable[Any] = (), with_flops: bool = False) -> None:
        super().__init__(events)
        self._with_flops = with_flops

    @property
    def self_cpu_time_total(self) -> float:
        """Microseconds of all events, each without what it called."""
        return sum(event.self_cpu_time_total for event in self)

    def key_averages(
        self,
        group_by_input_shapes: bool = False,
        group_by_stack_n: int = 0,
        group_by_overload_name: bool = False,
    ) -> EventList:
        """Sums by name, in the order in which names appeared.

        Args:
            group_by_input_shapes: and by shapes.
            group_by_stack_n: and by so many of the lines that led to the call.
            group_by_overload_name: and by overload; operators have none here.
        """
        sums: dict[Any, FunctionEventAvg] = {}
        for event in self:
            key = [event.key, event.is_user_annotation]
            if group_by_input_shapes:
                key.append(str(event.input_shapes))
            key += event.stack[:group_by_stack_n]
            sums.setdefault(tuple(key), FunctionEventAvg()).add(event)
        for each in sums.values():
            each.stack = each.stack[:group_by_stack_n]
            if not group_by_input_shapes:
                each.input_shapes = ""
        return EventList(sums.values(), self._with_flops)

    def total_average(self) -> FunctionEventAvg:
        """One sum over all."""
        total = FunctionEventAvg()
        for event in self:
            total.add(event)
        total.key = "Total"
        return total

    def table(
        self,
        sort_by: str | None = None,
        row_limit: int = 100,
        max_src_column_width: int | None = 75,
        max_name_column_width: int | None = 55,
        max_shapes_column_width: int | None = 80,
        header: str | None = None,
        top_level_events_only: bool = False,
        time_unit: str | None = None,
    ) -> str:
        """The events as a table of text.

        Args:
            sort_by: an attribute, greatest first: "cpu_time_total", "self_cpu_time_total", "count".
            row_limit: rows that are shown, -1 for all.
            max_src_column_width: characters of the column of stacks, None for no limit.
            max_name_column_width: of that of names.
            max_shapes_column_width: of that of shapes.
            header: a line above it.
            top_level_events_only: leave out what others called.
            time_unit: "s", "ms" or "us" for all times.
        """
        return make_table(
            self,
            sort_by,
            row_limit,
            (max_src_column_width, max_name_column_width, max_shapes_column_width),
            header,
            top_level_events_only,
            time_unit,
            self._with_flops,
        )

    def __str__(self) -> str:
        return self.table()

    def export_stacks(self, path: str, metric: str) -> None:
        """Writes stacks and times for flame graphs.

        Args:
            path: the file.
            metric: "self_cpu_time_total".

        Raises:
            ValueError: another metric.
        """
        if metric != "self_cpu_time_total":
            raise ValueError("metric should be one of: ['self_cpu_time_total']")
        spaces = str.maketrans(" ;\t\n", "____")
        lines = []
        for event in self:
            if event.stack and int(event.self_cpu_time_total) > 0:
                stack = ";".join(line.translate(spaces) for line in reversed(event.stack))
                lines.append(f"{stack} {int(event.self_cpu_time_total)}\n")
        Path(path).write_text("".join(lines))


def events_of(recording: Recording, shapes: bool, with_flops: bool) -> EventList:
    """The events of a recording: spans, and the native rows as the calling thread ran them.

    Args:
        recording: it.
        shapes: whether events know shapes.
        with_flops: whether they know floating-point operations.
    """
    threads: dict[int, int] = {}
    found: list[FunctionEvent] = []

    def add(name: str, thread: int, begin: int, end: int, **more: Any) -> None:
        start, stop = (max(0.0, (at - recording.begin) / 1e3) for at in (begin, end))
        number = threads.setdefault(thread, len(threads) + 1)
        found.append(FunctionEvent(0, name, number, start, stop, **more))

    for span in recording.spans:
        user = span.kind == "user"
        known = [list(shape or ()) for shape in span.shapes] if shapes else []
        name = span.name if user else _PREFIX + _span_name(span)
        more = {"input_shapes": known, "stack": span.stack, "is_user_annotation": user}
        add(name, span.thread, span.begin, span.end, **more)
    for run in recording.runs:
        for row, number in enumerate(run.labels):
            begin, end = run.stamps[row, 0]
            if begin:
                label = label_of(number)
                known = [list(shape) for shape in label.shapes] if shapes else []
                flops = label.operations if with_flops else 0
                name = _PREFIX + operator_names(label.operators or (label.kernel,))
                add(name, run.thread, begin, end, input_shapes=known, flops=flops)
    found.sort(key=lambda event: (event.time_range.start, -event.time_range.end))
    for number, event in enumerate(found):
        event.id = number
    _build_tree(found)
    return EventList(found, with_flops)


def _span_name(span: Span) -> str:
    return span.name if span.kind == "operator" else span.kind


def operator_names(operators: tuple[str, ...]) -> str:
    """The operators of a kernel in one name; repeated ones are counted."""
    counts: dict[str, int] = {}
    for name in operators:
        counts[name] = counts.get(name, 0) + 1
    return "+".join(name if n == 1 else f"{n}*{name}" for name, n in counts.items())


def _build_tree(events: list[FunctionEvent]) -> None:
    """Says which event called which, on each thread; they are in order of their beginnings."""
    open_on: dict[int, list[FunctionEvent]] = {}
    for event in events:
        outer = open_on.setdefault(event.thread, [])
        while outer and outer[-1].time_range.end < event.time_range.end:
            outer.pop()
        if outer and event.time_range.start < outer[-1].time_range.end:
            event.cpu_parent = outer[-1]
            outer[-1].cpu_children.append(event)
            event.stack = event.stack or outer[-1].stack
        outer.append(event)


__all__ = [
    "DeviceType",
    "EventList",
    "FunctionEvent",
    "FunctionEventAvg",
    "Interval",
    "events_of",
]
