"""Events as a table of text, in PyTorch's form."""

from __future__ import annotations

import math
from typing import Any

_WIDTH = 12
_UNITS = {"s": 1e6, "ms": 1e3, "us": 1.0}


def format_time(microseconds: float) -> str:
    """A time in the unit that suits it."""
    for unit, size in _UNITS.items():
        if microseconds >= size or unit == "us":
            return f"{microseconds / size:.3f}{unit}"
    raise AssertionError


def make_table(
    events: Any,
    sort_by: str | None,
    row_limit: int,
    widths: tuple[int | None, int | None, int | None],
    header: str | None,
    top_level_only: bool,
    time_unit: str | None,
    with_flops: bool,
) -> str:
    """The table; see `EventList.table`."""
    if not events:
        return ""
    source_limit, name_limit, shapes_limit = widths
    if sort_by is not None:
        attribute = sort_by.replace("cuda", "device").replace("xpu", "device")
        events = sorted(events, key=lambda event: getattr(event, attribute), reverse=True)
    total = sum(event.self_cpu_time_total for event in events)
    shown = [e for e in events if not (top_level_only and e.cpu_parent is not None)]
    shown = shown if row_limit < 0 else shown[:row_limit]

    def time(value: float) -> str:
        if time_unit in _UNITS:
            return f"{value / _UNITS[time_unit]:.3f}{time_unit}"
        return format_time(value)

    def share(value: float) -> str:
        return f"{value * 100.0 / total:.2f}%" if total else "NaN"

    columns: list[tuple[str, str, int, list[str]]] = [
        (
            "Name",
            ">",
            _limited(events, lambda e: e.key, name_limit),
            [_cut(e.key, name_limit) for e in shown],
        ),
        ("Self CPU %", ">", _WIDTH, [share(e.self_cpu_time_total) for e in shown]),
        ("Self CPU", ">", _WIDTH, [time(e.self_cpu_time_total) for e in shown]),
        ("CPU total %", ">", _WIDTH, [share(e.cpu_time_total) for e in shown]),
        ("CPU total", ">", _WIDTH, [time(e.cpu_time_total) for e in shown]),
        ("CPU time avg", ">", _WIDTH, [time(e.cpu_time) for e in shown]),
        ("# of Calls", ">", _WIDTH, [str(e.count) for e in shown]),
    ]
    if any(e.input_shapes for e in events):
        width = _limited(events, lambda e: str(e.input_shapes), shapes_limit)
        columns.append(("Input Shapes", ">", width, [str(e.input_shapes)[:width] for e in shown]))
    stacks = [line for e in events for line in e.stack]
    if stacks:
        width = max(map(len, stacks)) + 4
        width = width if source_limit is None else min(width, source_limit)
        columns.append(("Source Location", "<", width, []))
    if with_flops and any(e.flops for e in events):
        name, scale = _flops_unit(min(e.flops for e in events if e.flops))
        cells = [f"{e.flops * scale:8.3f}" if e.flops else "--" for e in shown]
        columns.insert(len(columns) - bool(stacks), (f"Total {name}", ">", _WIDTH, cells))
    return _lay_out(columns, shown, header, top_level_only, f"Self CPU time total: {time(total)}")


def _lay_out(
    columns: list[tuple[str, str, int, list[str]]],
    shown: list[Any],
    header: str | None,
    top_level_only: bool,
    last: str,
) -> str:
    def line(cells: list[str]) -> str:
        padded = zip(cells, columns, strict=True)
        return "".join(f"{cell:{side}{width}}  " for cell, (_, side, width, _) in padded)

    ruler = "".join("-" * width + "  " for _, _, width, _ in columns)
    heavy = "=" * (len(ruler) - 2)
    result = [] if header is None else [heavy, header]
    if top_level_only:
        result += [heavy, "This report only display top-level ops statistics"]
    result += [ruler, line([name for name, _, _, _ in columns]), ruler]
    sources = columns[-1][0] == "Source Location"
    for row, event in enumerate(shown):
        cells = [each[row] for _, _, _, each in columns if each]
        if not sources:
            result.append(line(cells))
            continue
        width = columns[-1][2]
        places = [_end_of(place, width) for place in event.stack] or [""]
        result.append(line([*cells, places[0]]))
        empty = [""] * len(cells)
        result += [line([*empty, place]) for place in places[1:]]
        result.append(line([*empty, ""]))
    return "\n".join([*result, ruler, last]) + "\n"


def _limited(events: Any, text: Any, limit: int | None) -> int:
    width: int = max(len(text(event)) for event in events) + 4
    return width if limit is None else min(width, limit)


def _cut(name: str, limit: int | None) -> str:
    return name if limit is None or len(name) < limit - 3 else name[: limit - 3] + "..."


def _end_of(place: str, width: int) -> str:
    return place if len(place) <= width else "..." + place[len(place) - width + 3 :]


def _flops_unit(least: int) -> tuple[str, float]:
    names = ("FLOPs", "KFLOPs", "MFLOPs", "GFLOPs", "TFLOPs", "PFLOPs")
    step = int(max(0, min(math.log10(least) // 3, len(names) - 1)))
    return names[step], 10.0 ** (-3 * step)
