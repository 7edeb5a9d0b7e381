"""`fakel run`: a script or module as `python` runs it, with torch being fakel."""

from __future__ import annotations

import builtins
import importlib.machinery
import importlib.util
import io
import os
import runpy
import sys
from collections.abc import Sequence
from types import ModuleType

from fakel.cli.traceback import report
from fakel.compat import alias

INTERRUPTED = 130


def run(program: Sequence[str], module: Sequence[str] | None, *, full_traceback: bool) -> int:
    """Run a program to its end and return the exit status.

    Args:
        program: the script and its arguments (when `module` is None).
        module: the module and its arguments.
        full_traceback: whether tracebacks show fakel's own lines too.

    Raises:
        SystemExit: the program ended itself; the status is its own.
    """
    try:
        alias.install()
        if module is not None:
            if not module:
                raise SystemExit("fakel run: -m needs a module")
            run_module(module[0], module[1:])
        else:
            run_script(program[0], program[1:])
    except SystemExit:
        raise
    except BaseException as error:
        _flush_output()
        report(error, full=full_traceback)
        return INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
    finally:
        _flush_output()
    return 0


def run_script(path: str, arguments: Sequence[str]) -> None:
    """Execute a script as `__main__`, with its own folder first on the module path."""
    full_path = os.path.abspath(path)
    try:
        with io.open_code(full_path) as file:
            source = file.read()
    except OSError as error:
        raise SystemExit(
            _complain(f"fakel: can't open file {full_path!r}: {error.strerror}")
        ) from None
    sys.argv = [path, *arguments]
    _first_on_path(os.path.dirname(os.path.realpath(path)))
    main = ModuleType("__main__")
    loader = importlib.machinery.SourceFileLoader("__main__", full_path)
    vars(main).update(__file__=full_path, __builtins__=builtins, __cached__=None, __loader__=loader)
    sys.modules["__main__"] = main
    code = compile(source, full_path, "exec", dont_inherit=True)
    exec(code, vars(main))


def run_module(name: str, arguments: Sequence[str]) -> None:
    """Execute a module (or a package's `__main__`) as `__main__`, as `python -m` does."""
    _first_on_path(os.getcwd())
    try:
        found = importlib.util.find_spec(name)
    except ModuleNotFoundError as error:
        found, name = None, error.name or name
    if found is None:
        raise SystemExit(_complain(f"fakel: No module named {name}", status=1))
    sys.argv = ["-m", *arguments]
    runpy.run_module(name, run_name="__main__", alter_sys=True)


def _first_on_path(folder: str) -> None:
    """Puts the program's folder where `python` would: in place of the runner's own."""
    if sys.flags.safe_path:
        return
    sys.path[0] = folder


def _complain(message: str, status: int = 2) -> int:
    print(message, file=sys.stderr)
    return status


def _flush_output() -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (AttributeError, ValueError, OSError):
            continue
