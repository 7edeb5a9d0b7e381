"""What the executor says when something is wrong."""

import numpy as np
import pytest

import fakel
from fakel.compiler import driver, executor, program
from fakel.compiler.executor import Compiler
from fakel.compiler.program import Program
from fakel.graph import flush
from tests.support.graphs import executor as running


def test_a_program_that_fails_without_reason_is_interpreted_from_then_on(monkeypatch):
    runs = []

    def failing(self, nodes, leaves):
        runs.append(1)
        raise RuntimeError("no such kernel")

    monkeypatch.setattr(Program, "run", failing)
    with running(Compiler(eager=True)):
        x = fakel.arange(3.0)
        y = x * 2
        with pytest.warns(RuntimeWarning, match="failed where the interpreter does not: Runtime"):
            flush()
        np.testing.assert_array_equal(y.numpy(), [0, 2, 4])
        np.testing.assert_array_equal((x * 2).numpy(), [0, 2, 4])
    assert len(runs) == 1


def test_a_program_that_cannot_be_compiled_is_interpreted(monkeypatch):
    def failing(*arguments):
        raise ValueError("too hard")

    monkeypatch.setattr(driver, "compile_program", failing)
    with running(Compiler(eager=True)):
        x = fakel.arange(3.0)
        y = x.exp()
        with pytest.warns(RuntimeWarning, match="ValueError: too hard") as caught:
            flush()
        assert caught[0].filename == __file__
        np.testing.assert_allclose(y.numpy(), np.exp([0, 1, 2]), rtol=1e-6)
        np.testing.assert_allclose(x.exp().numpy(), np.exp([0, 1, 2]), rtol=1e-6)


def test_a_line_that_keeps_making_new_programs_is_named(monkeypatch):
    monkeypatch.setattr(executor, "_COMPILATIONS", 4)
    with running(Compiler()), pytest.warns(RuntimeWarning, match="4 programs") as caught:
        for size in range(4, 40):
            x = fakel.arange(float(size // 4))
            for _ in range(12):
                x = x.cos() + 1
            x.sum().item()
    assert len(caught) == 1 and caught[0].filename == __file__
    with open(__file__) as source:
        assert "x.sum().item()" in source.readlines()[caught[0].lineno - 1]


def test_a_user_error_is_raised_without_a_warning():
    with running(Compiler(eager=True)):
        table, index = fakel.ones(4, 3), fakel.tensor([1, 6])
        flush()
        picked = fakel.nn.functional.embedding(index + 3, table)
        with pytest.raises(IndexError):
            picked.tolist()


def test_a_signals_handler_runs_the_program_that_is_about_to_run(monkeypatch):
    """Each run has its arguments and results."""
    results = []

    def interrupted(settle=program.settle):
        monkeypatch.setattr(program, "settle", settle)
        results.append(second * 2)
        flush()
        settle()

    with running(Compiler(eager=True)):
        first, second, third = (fakel.arange(5.0) + number for number in range(3))
        for x in (first, second, third):
            (x * 2).numpy()
        for x in (first, third):
            monkeypatch.setattr(program, "settle", interrupted)
            results.append(x * 2)
            flush()
    for result, number in zip(results, (0, 1, 2, 1), strict=True):
        np.testing.assert_array_equal(result.numpy(), 2 * (np.arange(5) + number))
