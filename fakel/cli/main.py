"""The `fakel` command: its arguments, and which function each subcommand calls."""

from __future__ import annotations

import argparse
import importlib.metadata
from collections.abc import Sequence

from fakel.cli import cache, doctor, profile, run

DESCRIPTION = "Runs PyTorch programs on a CPU, without PyTorch."
RUN_DESCRIPTION = (
    "Runs a script or module as `python` does, with torch and torchvision being fakel. "
    "Everything after the script belongs to it."
)
PROFILE_DESCRIPTION = (
    "Runs a script or module as `fakel run` does, and prints at its end where the time went: by "
    "operator and by kernel, beside what this machine can do. Everything after the script belongs "
    "to it."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit status.

    Args:
        arguments: the words after `fakel`; those of this process when left out.
    """
    parser = make_parser()
    chosen = parser.parse_args(arguments)
    if chosen.command == "run":
        if chosen.module is None and not chosen.program:
            parser.error("run needs a script, or -m and a module")
        return run.run(chosen.program, chosen.module, full_traceback=chosen.full_traceback)
    if chosen.command == "profile":
        if chosen.module is None and not chosen.program:
            parser.error("profile needs a script, or -m and a module")
        return profile.profile(
            chosen.program,
            chosen.module,
            full_traceback=chosen.full_traceback,
            trace_file=chosen.trace,
            limit=chosen.limit,
        )
    if chosen.command == "doctor":
        print(doctor.report())
        return 0
    if chosen.command == "cache":
        print(cache.clear() if chosen.action == "clear" else cache.report())
        return 0
    parser.print_help()
    return 2


def make_parser() -> argparse.ArgumentParser:
    """The parser of the whole command line."""
    parser = argparse.ArgumentParser(prog="fakel", description=DESCRIPTION)
    parser.add_argument("--version", action="version", version=f"fakel {version()}")
    commands = parser.add_subparsers(dest="command", metavar="command")
    running = commands.add_parser(
        "run",
        help="run a script with torch being fakel",
        description=RUN_DESCRIPTION,
        usage="fakel run [--full-traceback] (script.py | -m module) [arguments ...]",
    )
    _add_program(running)
    profiling = commands.add_parser(
        "profile",
        help="run a script and show where its time went",
        description=PROFILE_DESCRIPTION,
        usage="fakel profile [--trace FILE] [--limit N] (script.py | -m module) [arguments ...]",
    )
    profiling.add_argument(
        "--trace", metavar="FILE", help="write a trace that ui.perfetto.dev opens"
    )
    profiling.add_argument(
        "--limit", type=int, default=25, metavar="N", help="rows of a table (default: 25)"
    )
    _add_program(profiling)
    commands.add_parser("doctor", help="show what fakel found on this machine")
    keeping = commands.add_parser("cache", help="show or clear the compiled kernels that are kept")
    keeping.add_argument("action", nargs="?", choices=("show", "clear"), default="show")
    return parser


def _add_program(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--full-traceback", action="store_true", help="show fakel's own lines in tracebacks too"
    )
    parser.add_argument(
        "-m", dest="module", nargs=argparse.REMAINDER, metavar="module", help="run a module"
    )
    parser.add_argument("program", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)


def version() -> str:
    """The version of fakel itself (`torch.__version__` is that of the PyTorch it follows)."""
    try:
        return importlib.metadata.version("fakel")
    except importlib.metadata.PackageNotFoundError:
        return "unknown (not installed)"
