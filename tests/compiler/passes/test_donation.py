"""Updates in place: parameters, optimizer state, parts; never what somebody still sees."""

import numpy as np
import pytest

import fakel
from fakel import nn
from fakel.compiler.executor import Compiler
from fakel.compiler.passes.donation import UpdateInPlace
from fakel.graph import flush
from fakel.interpreter import Interpreter
from tests.support.graphs import check, executor, graph_of, text_of


def address(tensor):
    return tensor._storage.node.value.__array_interface__["data"][0]


def test_a_new_value_replaces_the_leaf_it_is_made_from():
    x, m, g = (fakel.arange(3.0) * 1 for _ in range(3))
    flush()

    def record():
        m.mul_(0.5).add_(g)
        x.add_(m, alpha=-2)

    assert text_of(graph_of(record), UpdateInPlace()) == (
        "graph($0: float32[3] donated, $1: float32[], $2: float32[3], $3: float32[3] donated, "
        "$4: float32[])\n"
        "  %0 = mul($0, $1) : float32[3]\n"
        "  %1 = add(%0, $2) : float32[3] replaces $0\n"
        "  %2 = add_scaled($3, %1, $4) : float32[3] replaces $3\n"
        "  return %1, %2\n"
    )


@pytest.mark.parametrize("make", ["SGD", "momentum", "Adam"])
def test_an_optimizer_updates_parameters_and_state_in_their_own_memory(make):
    with executor(Compiler(eager=True)):
        weight = nn.Parameter(fakel.randn(40, 7))
        optimizer = {
            "SGD": lambda: fakel.optim.SGD([weight], lr=0.1),
            "momentum": lambda: fakel.optim.SGD([weight], lr=0.1, momentum=0.9),
            "Adam": lambda: fakel.optim.Adam([weight], lr=0.1),
        }[make]()
        places = []
        for _ in range(8):
            optimizer.zero_grad()
            (weight * weight).sum().backward()
            optimizer.step()
            flush()
            state = [v for v in optimizer.state[weight].values() if v.ndim]
            places.append([address(each) for each in (weight, *state)])
    assert places[3:] == places[3:4] * 5


def test_what_somebody_still_sees_is_not_overwritten():
    with executor(Compiler(eager=True)):
        x = fakel.arange(4.0) * 1
        flush()
        before = x.clone()
        shared = x.numpy()
        view = x[1:]
        x.add_(1)
        flush()
        np.testing.assert_array_equal(before.numpy(), [0, 1, 2, 3])
        np.testing.assert_array_equal(shared, [1, 2, 3, 4])
        np.testing.assert_array_equal(view.numpy(), [2, 3, 4])
        old = x.detach().exp()
        kept = x._storage.copy()
        x.mul_(2)
        flush()
        np.testing.assert_array_equal(kept.node.value, [1, 2, 3, 4])
        np.testing.assert_allclose(old.numpy(), np.exp([1, 2, 3, 4]), rtol=1e-6)


def test_readers_of_the_old_value_after_the_update_still_get_it():
    def record():
        x = fakel.arange(6.0).reshape(2, 3) * 1
        y = fakel.arange(6.0).reshape(3, 2) * 1
        flush()
        old = x.t() * 1
        product = x @ y
        x.mul_(3)
        return x, old, product + x.sum(), y.add_(old)

    check(record)


def test_a_transposed_reader_does_not_see_half_of_the_update():
    def record():
        x = fakel.arange(9.0).reshape(3, 3) * 1
        flush()
        x.add_(x.t() * 2)
        return [x]

    check(record)


def test_a_part_is_written_in_place_where_nobody_reads_the_rest_later():
    def record():
        x = fakel.zeros(50, 8)
        flush()
        for row in range(5):
            x[row] = row + 1.0
        return [x]

    program = check(record)
    copies = [step for step in program.steps if step.kernel.name == "copy"]
    assert len(copies) == 5
    assert len({program.root[step.arguments[-1].buffer] for step in copies}) == 1


def test_a_part_is_written_into_a_copy_where_somebody_does():
    def record():
        x = fakel.zeros(5, 8)
        flush()
        before = x * 1
        x[1:] = x[:-1] + 1
        later = x.exp()
        x[0] = 7
        x[2:4] = x[0:2]
        return x, before, later

    check(record)


def test_an_error_in_a_program_leaves_what_was_there_when_it_arose():
    """PyTorch raises it at the line of the embedding: what comes after has not happened."""
    for chosen in (Compiler(eager=True), Interpreter()):
        with executor(chosen):
            table, index = fakel.ones(4, 3), fakel.tensor([1, 6])
            other = fakel.ones(3) * 1
            flush()
            other.mul_(2)
            picked = nn.functional.embedding(index + 3, table)
            other.add_(1)
            with pytest.raises(IndexError):
                picked.tolist()
            np.testing.assert_array_equal(other.numpy(), [2, 2, 2])


def test_an_interrupted_program_runs_once_or_not_at_all(monkeypatch):
    from fakel.compiler import program

    genuine = program.run_rows

    def interrupted(table, rows, flight):
        status = genuine(table, rows, flight)
        if status == 0:
            raise KeyboardInterrupt
        return status

    with executor(Compiler(eager=True)):
        x = fakel.ones(3) * 1
        flush()
        for _ in range(3):
            x.add_(1)
            flush()
        monkeypatch.setattr(program, "run_rows", interrupted)
        x.add_(1)
        with pytest.raises(KeyboardInterrupt):
            flush()
        monkeypatch.undo()
        np.testing.assert_array_equal(x.numpy(), [5, 5, 5])
