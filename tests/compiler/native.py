"""What tests of kernels share: an executor that compiles every program and tells which nodes the
interpreter still ran, and comparisons with the interpreter.
"""

import contextlib

import numpy as np

import fakel
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


def drawn(*shape, seed=0):
    """Numbers from a normal distribution, the same for the same seed."""
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def compare_gradients(function, *values):
    """Compares the result of a function of tensors, and all gradients, with the interpreter's."""

    def pulled():
        inputs = [fakel.tensor(value, requires_grad=True) for value in values]
        result = function(*inputs)
        result.backward(fakel.tensor(drawn(*result.shape, seed=99)))
        return tuple(t.detach().numpy() for t in (result, *(each.grad for each in inputs)))

    expected, found, interpreted = both(pulled)
    assert not interpreted
    for want, have in zip(expected, found, strict=True):
        np.testing.assert_allclose(have, want, rtol=2e-5, atol=2e-5)
