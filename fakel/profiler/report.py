"""The report of `fakel profile`: where a program's time went, by operator and by kernel."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fakel.profiler.events import operator_names
from fakel.profiler.machine import Machine
from fakel.runtime.trace import Label, Recording, label_of

_NAME_WIDTH = 44
_HEADINGS = ("calls", "ms", "share", "mean µs", "GFLOP/s", "of peak", "GB/s", "of peak")


@dataclass
class _Sum:
    calls: int = 0
    time: int = 0
    operations: int = 0
    size: int = 0


def report(recording: Recording, machine: Machine, limit: int) -> str:
    """The report as text.

    Args:
        recording: that of the whole program.
        machine: what it could do at most.
        limit: rows of a table.
    """
    wall = recording.end - recording.begin
    parts = [
        f"{wall / 1e9:.3f} s on {machine.threads} threads, which do {machine.flops / 1e9:.0f} "
        f"GFLOP/s of float32 multiply-adds and {machine.bandwidth / 1e9:.1f} GB/s (measured)",
        _whole(recording, wall),
        _table("operator", _sums(recording, _by_operator), machine, wall, limit),
        _table("kernel", _sums(recording, _by_kernel), machine, wall, limit),
    ]
    return "\n\n".join(parts) + "\n"


def _whole(recording: Recording, wall: int) -> str:
    def spans(kind: str) -> int:
        return sum(t.time for (k, _), t in recording.span_totals.items() if k == kind)

    kernels = sum(total.time for total in recording.row_totals.values())
    native, interpreted, compiling = recording.native.time, spans("operator"), spans("compile")
    flushes = spans("flush")
    rows = {
        "kernels": kernels,
        "threads waiting for each other": native - kernels,
        "operators that have no kernel, or ran once": interpreted,
        "compiling": compiling,
        "flushing: finding and binding programs": flushes - native - interpreted - compiling,
        "Python: the program itself, and recording": wall - flushes,
    }
    lines = [f"{'where the time went':{_NAME_WIDTH}} {'ms':>10} {'share':>7}"]
    for name, time in rows.items():
        lines.append(f"{name:{_NAME_WIDTH}} {time / 1e6:10.1f} {time / wall:7.1%}")
    return "\n".join(lines)


def _by_operator(label: Label) -> str:
    return operator_names(label.operators) if label.operators else f"kernel {label.kernel}"


def _by_kernel(label: Label) -> str:
    shapes = " ".join("x".join(map(str, shape)) or "1" for shape in label.shapes)
    return f"{label.kernel} {shapes}"


def _sums(recording: Recording, name_of: Callable[[Label], str]) -> dict[str, _Sum]:
    sums: dict[str, _Sum] = {}
    # a call of an operator may take several kernels: the one with the operations counts it
    seen: dict[str, dict[str, int]] = {}
    for number, total in recording.row_totals.items():
        label = label_of(number)
        name = name_of(label)
        each = sums.setdefault(name, _Sum())
        kernels = seen.setdefault(name, {})
        kernels[label.kernel] = kernels.get(label.kernel, 0) + total.calls
        each.calls = max(kernels.values())
        each.time += total.time
        each.operations += label.operations * total.calls
        each.size += label.size * total.calls
    if name_of is _by_operator:
        for (kind, name), total in recording.span_totals.items():
            if kind == "operator":
                sums[f"{name} (interpreted)"] = _Sum(total.calls, total.time)
    return sums


def _table(what: str, sums: dict[str, _Sum], machine: Machine, wall: int, limit: int) -> str:
    widths = (8, 10, 7, 10, 9, 7, 7, 7)
    heads = "".join(f" {head:>{width}}" for head, width in zip(_HEADINGS, widths, strict=True))
    lines = [f"{'by ' + what:{_NAME_WIDTH}}{heads}"]
    ordered = sorted(sums.items(), key=lambda item: -item[1].time)
    for name, each in ordered[:limit]:
        shown = name if len(name) <= _NAME_WIDTH else name[: _NAME_WIDTH - 1] + "…"
        cells = (
            str(each.calls),
            f"{each.time / 1e6:.2f}",
            f"{each.time / wall:.1%}",
            f"{each.time / each.calls / 1e3:.1f}",
            *_speeds(each, machine),
        )
        aligned = "".join(f" {cell:>{width}}" for cell, width in zip(cells, widths, strict=True))
        lines.append(f"{shown:{_NAME_WIDTH}}{aligned}")
    rest = [each for _, each in ordered[limit:]]
    if rest:
        time = sum(each.time for each in rest)
        lines.append(f"and {len(rest)} more, {time / 1e6:.2f} ms")
    return "\n".join(lines)


def _speeds(each: _Sum, machine: Machine) -> tuple[str, str, str, str]:
    """Operations and bytes a second, and their shares of what the machine can do. What is faster
    than memory came out of caches.
    """
    if not each.size or not each.time:
        return "", "", "", ""
    flops, size = (amount / each.time * 1e9 for amount in (each.operations, each.size))
    memory = f"{size / machine.bandwidth:.0%}" if size <= machine.bandwidth else "cache"
    return f"{flops / 1e9:.1f}", f"{flops / machine.flops:.0%}", f"{size / 1e9:.1f}", memory
