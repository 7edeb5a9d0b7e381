"""The executor that compiles what a process keeps meeting and interprets the rest."""

from __future__ import annotations

import math
import os
import sys
import warnings
from collections import OrderedDict
from typing import Any

from fakel.compiler.costs import operations
from fakel.compiler.replay import Replay
from fakel.compiler.structure import structure
from fakel.graph import Node
from fakel.interpreter import Interpreter
from fakel.runtime import trace

# programs and structures that are remembered
_PROGRAMS = 128
_STRUCTURES = 4096
# what compiling one kind of node costs, in the interpreter's work units (about a nanosecond each)
_COMPILING = 20_000_000
_NODE, _ELEMENT = 5_000, 1
# convolutions and recurrent layers take the interpreter longer than their elements tell
_OPERATION, _SLOW = 0.2, ("convolution", "recurrent", "attention")
# work that is compiled at first sight
_LONG = 1_000_000_000
# a program with so many nodes is a step of some loop and compiled at its second sight, unless it
# has so many kinds of nodes that compiling takes long
_STEP_NODES, _STEP_KINDS = 12, 300
# programs of one line of the user's from which on something seems wrong
_COMPILATIONS = 64
_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__))) + os.sep
# stands for a program that cannot be compiled
INTERPRETED = object()

EXECUTORS = ("auto", "compiler", "interpreter")


class Compiler:
    """Runs a program natively once it was met often enough that compiling pays.

    The decision depends on the program and on how often it was met, never on timing or on what a
    cache holds, so that a run repeats bit by bit.

    Args:
        eager: compile at first sight.
    """

    def __init__(self, eager: bool = False) -> None:
        self.eager = eager
        self.interpreter = Interpreter()
        self.sightings: OrderedDict[Any, int] = OrderedDict()
        self.programs: dict[Any, Any] = {}
        self.compilations: dict[tuple[str, int], int] = {}

    def run(self, program: list[Node]) -> None:
        """Computes the nodes that somebody holds."""
        found = structure(program)
        if found is None:
            self.interpreter.run(program)
            return
        key, leaves = found
        native = self.programs.get(key)
        if native is None and self._pays(key[0], program):
            if len(self.programs) >= _PROGRAMS:
                del self.programs[min(self.programs, key=self._last_use)]
            native = self.programs[key] = self._compile(program, leaves, key)
        if native is None or native is INTERPRETED:
            # the interpreter writes in place what only the program refers to
            del found, leaves
            self.interpreter.run(program)
            return
        try:
            native.run(dict(enumerate(program)), leaves)
        except Exception as error:
            # nothing that anybody sees was written: the interpreter raises at the node itself
            del found, leaves
            self.interpreter.run(program)
            _warn(f"A compiled program failed where the interpreter does not: {_said(error)}")
            self.programs[key] = INTERPRETED
            return
        except BaseException:
            if all(node.value is not None for node in program if node.held):
                _finish(program)
            raise
        _finish(program)

    def native(self, program: list[Node]) -> Replay | None:
        """How to run these nodes again without looking at them; None where that is not known."""
        found = structure(program)
        native = None if found is None else self.programs.get(found[0])
        if found is None or native is None or native is INTERPRETED:
            return None
        (_, donated), leaves = found
        return Replay(native, program, leaves, donated)

    def _last_use(self, key: Any) -> int:
        """Orders programs by their last run, also by those that `Replay` made."""
        native = self.programs[key]
        return 0 if native is INTERPRETED else int(native.used)

    def _pays(self, key: Any, program: list[Node]) -> bool:
        count = self.sightings.pop(key, 0) + 1
        self.sightings[key] = count
        if len(self.sightings) > _STRUCTURES:
            self.sightings.popitem(last=False)
        if self.eager:
            return True
        kinds = len({(node.operator, tuple(node.shape), node.dtype) for node in program})
        if count == 1:
            return sum(map(_work, program)) > max(_LONG, kinds * _COMPILING)
        if len(program) >= _STEP_NODES and kinds <= _STEP_KINDS:
            return True
        return count * sum(map(_work, program)) > kinds * _COMPILING

    def _compile(self, program: list[Node], leaves: list[Node], key: Any) -> Any:
        # importing LLVM takes a while, which programs that are never compiled need not pay
        from fakel.compiler import kept

        if not self.eager:
            self._count_compilation()
        try:
            with trace.span("compile", f"program of {len(program)} nodes"):
                # eager means that everything is compiled
                known = None if self.eager else kept.load(key)
                return self._compiled(program, leaves, key) if known is None else known
        except Exception as error:
            _warn(
                f"fakel could not compile a program of {len(program)} nodes, which the "
                f"interpreter runs instead: {_said(error)}"
            )
            return INTERPRETED

    def _count_compilation(self) -> None:
        line = _users_line()
        self.compilations[line] = self.compilations.get(line, 0) + 1
        if self.compilations[line] == _COMPILATIONS:
            _warn(
                f"fakel has compiled {_COMPILATIONS} programs for this line, which takes a while "
                "each. Shapes or numbers that differ from one iteration to the next make a new "
                "program each time: pad what varies, or pass numbers as tensors."
            )

    def _compiled(self, program: list[Node], leaves: list[Node], key: Any) -> Any:
        from fakel.compiler import kept
        from fakel.compiler.driver import compile_program

        made = compile_program(program, leaves, key[1])
        if made.is_native and not self.eager:
            kept.keep(key, made)
        return made


def _finish(program: list[Node]) -> None:
    for node in program:
        node.inputs = ()
    program.clear()


def _users_line() -> tuple[str, int]:
    """The file and line outside of this package that made the program run."""
    frame: Any = sys._getframe(1)
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_PACKAGE):
        frame = frame.f_back
    return frame.f_code.co_filename, frame.f_lineno


def _warn(message: str) -> None:
    warnings.warn_explicit(message, RuntimeWarning, *_users_line())


def _said(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"


def _work(node: Node) -> float:
    """About how many nanoseconds the interpreter takes."""
    shapes = node.shape if isinstance(node.dtype, tuple) else (node.shape,)
    work = _NODE + _ELEMENT * sum(math.prod(shape) for shape in shapes)
    if node.operator.name.startswith(_SLOW):
        work += _OPERATION * operations(node)
    return work


def chosen_executor() -> Any:
    """The executor that the environment variable FAKEL_EXECUTOR names: auto (the default), compiler
    (everything is compiled at first sight) or interpreter.

    Raises:
        ValueError: for another name.
    """
    name = os.environ.get("FAKEL_EXECUTOR", "auto")
    if name not in EXECUTORS:
        raise ValueError(f"FAKEL_EXECUTOR must be one of {', '.join(EXECUTORS)}, not {name!r}")
    return Interpreter() if name == "interpreter" else Compiler(eager=name == "compiler")
