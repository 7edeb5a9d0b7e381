"""The compiler's graph of what a function records, and programs compared with the interpreter."""

import contextlib

import numpy as np

from fakel.compiler.executor import Compiler
from fakel.compiler.graph import Graph
from fakel.compiler.structure import structure
from fakel.graph import flush, use_executor
from fakel.interpreter import Interpreter


class _Capture:
    def __init__(self):
        self.graphs = []

    def run(self, program):
        (_, donated), leaves = structure(program)
        self.graphs.append(Graph.of(program, leaves, donated))
        Interpreter().run(program)


@contextlib.contextmanager
def executor(chosen):
    """Runs what is recorded meanwhile with another executor."""
    flush()
    before = use_executor(chosen)
    try:
        yield chosen
    finally:
        flush()
        use_executor(before)


def graph_of(function):
    """The graph of what a function records; its result is what is held."""
    with executor(_Capture()) as capture:
        kept = function()
        flush()
        del kept
    (graph,) = capture.graphs
    return graph


def text_of(graph, *passes):
    """A graph's text after passes, without the indentation of its first line."""
    for each in passes:
        graph = each(graph)
    graph.check()
    return repr(graph)


def compiled(function):
    """What a function returns when all that it records is compiled, and the largest program."""
    with executor(Compiler(eager=True)) as compiler:
        result = [each.numpy().copy() for each in function()]
        return result, max(compiler.programs.values(), key=lambda program: len(program.steps))


def check(function, tolerance=2e-5):
    """Compares the compiled result of a function with the interpreter's; returns the program."""
    with executor(Interpreter()):
        expected = [each.numpy().copy() for each in function()]
    found, program = compiled(function)
    for have, want in zip(found, expected, strict=True):
        np.testing.assert_allclose(have, want, rtol=tolerance, atol=tolerance)
    return program
