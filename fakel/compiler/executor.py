"""The executor that compiles what a process keeps meeting and interprets the rest."""

from __future__ import annotations

import math
import os
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
        self.programs: OrderedDict[Any, Any] = OrderedDict()

    def run(self, program: list[Node]) -> None:
        """Computes the nodes that somebody holds."""
        found = structure(program)
        if found is None:
            self.interpreter.run(program)
            return
        key, leaves = found
        native = self.programs.get(key)
        if native is None and self._pays(key[0], program):
            native = self.programs[key] = self._compile(program, leaves, key[1])
            if len(self.programs) > _PROGRAMS:
                self.programs.popitem(last=False)
        if native is None:
            # the interpreter writes in place what only the program refers to
            del found, leaves
            self.interpreter.run(program)
            return
        self.programs.move_to_end(key)
        try:
            native.run(dict(enumerate(program)), leaves)
        except Exception:
            # nothing that anybody sees was written: the interpreter raises at the node itself
            del found, leaves
            self.interpreter.run(program)
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
        if found is None or native is None or isinstance(native, _Interpreted):
            return None
        (_, donated), leaves = found
        return Replay(native, program, leaves, donated)

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

    @staticmethod
    def _compile(program: list[Node], leaves: list[Node], donated: tuple[int, ...]) -> Any:
        # importing LLVM takes a while, which programs that are never compiled need not pay
        from fakel.compiler.driver import compile_program

        try:
            with trace.span("compile", f"program of {len(program)} nodes"):
                return compile_program(program, leaves, donated)
        except Exception as error:
            warnings.warn(
                f"fakel could not compile a program of {len(program)} nodes, which the "
                "interpreter runs "
                f"instead: {type(error).__name__}: {error}",
                RuntimeWarning,
                stacklevel=2,
            )
            return _Interpreted()


def _finish(program: list[Node]) -> None:
    for node in program:
        node.inputs = ()
    program.clear()


class _Interpreted:
    """Stands for a program that could not be compiled."""

    def run(self, program: list[Node], leaves: list[Node]) -> None:
        """Leaves it to the interpreter."""
        Interpreter().run(program)


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
