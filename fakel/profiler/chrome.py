"""Recordings as traces that Perfetto and chrome://tracing open: threads are tracks, kernels
slices.
"""

from __future__ import annotations

import gzip
import json
import os
import tempfile
from pathlib import Path
from typing import Any

from fakel.profiler.events import operator_names
from fakel.runtime.trace import Recording, Rows, label_of


def export(recording: Recording, path: str | Path, metadata: dict[str, Any]) -> None:
    """Writes a trace, compressed when the name ends with ``.gz``. The file appears whole or not at
    all.

    Args:
        recording: made with ``keep``.
        path: the file.
        metadata: more entries at the top level.
    """
    content = json.dumps({**metadata, **trace_of(recording)}, default=str).encode()
    if str(path).endswith(".gz"):
        content = gzip.compress(content)
    path = Path(path)
    handle, temporary = tempfile.mkstemp(".writing", path.name[:8], path.parent)
    try:
        with open(handle, "wb") as file:
            file.write(content)
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(temporary, 0o666 & ~mask)
        os.replace(temporary, path)
    except BaseException:
        os.unlink(temporary)
        raise


def trace_of(recording: Recording) -> dict[str, Any]:
    """The trace as JSON has it. Times are microseconds from the recording's beginning."""
    process = os.getpid()
    names: dict[int, str] = {}
    slices: list[dict[str, Any]] = []

    def add(kind: str, name: str, thread: int, begin: int, end: int, about: Any) -> None:
        slices.append(
            {
                "ph": "X",
                "cat": kind,
                "name": name,
                "pid": process,
                "tid": thread,
                "ts": (begin - recording.begin) / 1e3,
                "dur": (end - begin) / 1e3,
                "args": about,
            }
        )

    for span in recording.spans:
        names.setdefault(span.thread, "main thread" if span.thread == process else "Python thread")
        about: dict[str, Any] = {"shapes": str(span.shapes)} if span.shapes else {}
        if span.stack:
            about["stack"] = list(span.stack)
        kind = "user_annotation" if span.kind == "user" else span.kind
        add(kind, span.name, span.thread, span.begin, span.end, about)
    for run in recording.runs:
        names.setdefault(run.thread, "main thread" if run.thread == process else "Python thread")
        _add_rows(run, names, add)
    slices.sort(key=lambda each: (each["ts"], -each["dur"]))
    tracks = [
        {"ph": "M", "name": "process_name", "pid": process, "tid": 0, "args": {"name": "fakel"}}
    ]
    for thread, name in names.items():
        about = {"name": name}
        tracks.append(
            {"ph": "M", "name": "thread_name", "pid": process, "tid": thread, "args": about}
        )
    return {
        "schemaVersion": 1,
        "displayTimeUnit": "ms",
        "baseTimeNanoseconds": recording.begin,
        "leftOut": recording.left_out,
        "traceEvents": tracks + slices,
    }


def _add_rows(run: Rows, names: dict[int, str], add: Any) -> None:
    for row, number in enumerate(run.labels):
        label = label_of(number)
        operators = operator_names(label.operators or (label.kernel,))
        about = {
            "kernel": label.kernel,
            "shapes": str([list(shape) for shape in label.shapes]),
            "operations": label.operations,
            "bytes": label.size,
        }
        for worker, (begin, end) in enumerate(run.stamps[row].tolist()):
            if begin:
                # workers have no number of Python's: small ones, which no process has as its own
                thread = worker or run.thread
                if worker:
                    names[worker] = f"worker {worker}"
                add("kernel", operators, thread, begin, end, about)
