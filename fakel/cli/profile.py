"""`fakel profile`: runs a program as `fakel run` does and shows where its time went."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from fakel.cli import run as running


def profile(
    program: Sequence[str],
    module: Sequence[str] | None,
    *,
    full_traceback: bool,
    trace_file: str | None,
    limit: int,
) -> int:
    """Run a program to its end, print the report and return the exit status.

    Args:
        program: the script and its arguments (when `module` is None).
        module: the module and its arguments.
        full_traceback: whether tracebacks show fakel's own lines too.
        trace_file: where to write a trace for Perfetto, None for nowhere.
        limit: rows of a table.

    Raises:
        SystemExit: the program ended itself; the status is its own.
    """
    from fakel.graph import flush
    from fakel.profiler import chrome, machine
    from fakel.profiler.report import report
    from fakel.runtime import trace

    limits = machine.measure()
    process = os.getpid()
    # the program may change its folder
    trace_file = None if trace_file is None else os.path.abspath(trace_file)
    trace.start(trace.Recording(keep=trace_file is not None))
    try:
        return running.run(program, module, full_traceback=full_traceback)
    finally:
        # a worker that the program forked may come here too
        if os.getpid() == process and trace.active is not None:
            flush()
            recording = trace.stop()
            print(f"\n{report(recording, limits, limit)}", end="", flush=True)
            if trace_file is not None:
                chrome.export(recording, trace_file, {})
                print(f"trace written to {trace_file}", file=sys.stderr)
