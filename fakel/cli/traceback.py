"""Tracebacks that show the program's own lines: fakel's and the runner's are folded away."""

from __future__ import annotations

import os
import re
import sys
import traceback
from pathlib import Path
from types import TracebackType

from fakel.compat import alias

PACKAGE = str(Path(__file__).resolve().parents[1]) + os.sep
_RUNNER_FOLDERS = (f"{PACKAGE}cli{os.sep}", f"{PACKAGE}compat{os.sep}")
_RUNNER_FILES = ("<frozen runpy>", "<frozen importlib._bootstrap>")
_RUNNER_ENDS = (f"{os.sep}runpy.py", f"importlib{os.sep}_bootstrap.py")


def report(error: BaseException, *, full: bool) -> None:
    """Print an uncaught exception, or hand it to the program's own `sys.excepthook`.

    Args:
        error: the exception.
        full: show every line, fakel's own too.
    """
    if sys.excepthook is not sys.__excepthook__:
        sys.excepthook(type(error), error, without_runner(error.__traceback__))
        return
    print(text(error, full=full), end="", file=sys.stderr)


def text(error: BaseException, *, full: bool) -> str:
    """The traceback of an exception as it is printed."""
    shown = traceback.TracebackException.from_exception(error, compact=True)
    hidden = 0 if full else _fold(shown)
    lines = "".join(shown.format())
    missing = _missing_name(error)
    if missing is not None:
        lines += f"{missing}{_place(shown)}\n"
    if hidden:
        what = "1 line inside fakel is" if hidden == 1 else f"{hidden} lines inside fakel are"
        lines += f"({what} hidden; fakel run --full-traceback shows more)\n"
    return lines


def without_runner(trace: TracebackType | None) -> TracebackType | None:
    """The traceback from the first line of the program on."""
    while trace is not None and _is_hidden(trace.tb_frame.f_code.co_filename):
        trace = trace.tb_next
    return trace


def _fold(shown: traceback.TracebackException) -> int:
    """Removes the frames that are not the program's; returns how many of fakel's own went."""
    hidden, pending = 0, [shown]
    while pending:
        part = pending.pop()
        frames = list(part.stack)
        kept = [frame for frame in frames if not _is_hidden(frame.filename)]
        if kept:
            first = frames.index(kept[0])
            hidden += sum(_is_of_interest(frame.filename) for frame in frames[first:])
            part.stack[:] = kept
        elif isinstance(part.exc_type, type) and issubclass(part.exc_type, SyntaxError):
            part.stack = None  # type: ignore[assignment]
        # otherwise no line of the program led here: the error is fakel's own, nothing is hidden
        for link in ("__cause__", "__context__"):
            other = getattr(part, link)
            if other is not None and all(_is_hidden(frame.filename) for frame in other.stack):
                hidden += sum(_is_of_interest(frame.filename) for frame in other.stack)
                setattr(part, link, None)
            elif other is not None:
                pending.append(other)
        pending += getattr(part, "exceptions", None) or []
    return hidden


def _is_fakel(filename: str) -> bool:
    return filename.startswith(PACKAGE)


def _is_of_interest(filename: str) -> bool:
    """Whether a hidden line may explain an error: those of the runner and the aliases do not."""
    return _is_fakel(filename) and not filename.startswith(_RUNNER_FOLDERS)


def _is_hidden(filename: str) -> bool:
    return _is_fakel(filename) or filename in _RUNNER_FILES or filename.endswith(_RUNNER_ENDS)


def _missing_name(error: BaseException) -> str | None:
    """What fakel lacks, where Python's own message does not say it."""
    found = re.match(r"cannot import name '([^']+)' from '(fakel[\w.]*)'", str(error))
    if not isinstance(error, ImportError) or found is None:
        return None
    module = alias.torch_name(found[2])
    return None if module is None else f"fakel has no {module}.{found[1]} yet"


def _place(shown: traceback.TracebackException) -> str:
    if not shown.stack:
        return ""
    frame = shown.stack[-1]
    return f" ({frame.filename}, line {frame.lineno})"
