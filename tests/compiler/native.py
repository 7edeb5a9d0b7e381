"""An executor for tests: compiles every program and tells which nodes the interpreter still ran."""

import contextlib

from fakel.compiler.driver import compile_program
from fakel.compiler.planning.lowering import Interpreted
from fakel.compiler.structure import structure
from fakel.graph import flush, use_executor
from fakel.interpreter import Interpreter


class Native:
    """Raises what compiling or running raises, where the compiler would fall back."""

    def __init__(self):
        self.interpreted = set()

    def run(self, program):
        _, leaves = structure(program)
        native = compile_program(program, leaves)
        self.interpreted |= {
            step.value.name for step in native.plan.steps if isinstance(step, Interpreted)
        }
        native.run(program, leaves)
        for node in program:
            node.inputs = ()
        program.clear()


@contextlib.contextmanager
def running_on(executor):
    flush()
    before = use_executor(executor)
    try:
        yield executor
        flush()
    finally:
        use_executor(before)


def both(compute):
    """What `compute` returns, arrays, from the interpreter and from native code, and the names of
    the nodes that were not native.
    """
    with running_on(Interpreter()):
        expected = compute()
    with running_on(Native()) as native:
        found = compute()
    return expected, found, native.interpreted
