"""Whole programs: compiled ones give what the interpreter gives, for random graphs and for
training.
"""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import fakel
from fakel import nn
from fakel.compiler.executor import Compiler
from fakel.graph import flush, use_executor
from fakel.interpreter import Interpreter
from fakel.runtime.control import ORDERED, PARALLEL


@contextlib.contextmanager
def executor(chosen):
    flush()
    before = use_executor(chosen)
    try:
        yield chosen
    finally:
        flush()
        use_executor(before)


SHAPES = [(), (1,), (5,), (3, 4), (4, 3), (1, 7), (2, 3, 5), (33, 17), (2, 1, 3), (0, 3), (70, 40)]
DTYPES = ["float32", "float64", "int64", "int32", "uint8", "bool"]
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1e30, -1e-30]
UNARY = ["neg", "abs", "exp", "log", "sqrt", "relu", "sigmoid", "tanh", "square", "floor", "erf"]
BINARY = ["add", "sub", "mul", "div", "maximum", "minimum", "lt", "ge", "eq"]
VIEWS = ["t", "slice", "select", "unsqueeze", "expand", "flatten", "step"]
REDUCTIONS = ["sum", "mean", "amax", "argmax", "sum_first", "softmax", "log_softmax", "cumsum"]
WRITES = ["add_", "fill_part", "copy_part", "zero_"]


def source(rng, shape, dtype):
    if dtype == "bool":
        return rng.random(shape) < 0.5
    if dtype.startswith("float"):
        values = np.asarray(rng.standard_normal(shape) * 3, dtype)
        if values.size > 4 and rng.random() < 0.3:
            values.reshape(-1)[:2] = rng.choice(SPECIAL, 2)
        return values
    return np.asarray(rng.integers(0 if dtype == "uint8" else -9, 9, shape), dtype)


def floating(x):
    return x if x.is_floating_point() else x.float()


def step(rng, tensors, kind):
    """One more tensor, made from those there are."""
    x = tensors[rng.integers(len(tensors))]
    choice = {
        "unary": UNARY,
        "binary": BINARY,
        "view": VIEWS,
        "reduce": REDUCTIONS,
        "write": WRITES,
        "other": ["where", "to", "mm", "cat", "index", "number"],
    }[kind]
    name = str(rng.choice(choice))
    if kind == "unary":
        return (
            getattr(fakel, name)(floating(x))
            if name not in ("neg", "square")
            else floating(x).neg()
        )
    if kind == "binary":
        y = tensors[rng.integers(len(tensors))]
        with contextlib.suppress(RuntimeError):
            return getattr(fakel, name)(floating(x), floating(y))
        return floating(x) * 2
    if kind == "view":
        dim = int(rng.integers(max(x.ndim, 1)))
        if name == "t" and x.ndim >= 2:
            return x.transpose(0, -1)
        if name == "slice" and x.ndim and x.shape[dim] > 1:
            return x.narrow(dim, 1, x.shape[dim] - 1)
        if name == "step" and x.ndim:
            return x[::2]
        if name == "select" and x.ndim and x.shape[dim]:
            return x.select(dim, -1)
        if name == "expand" and x.ndim < 3:
            return x.unsqueeze(0).expand(3, *x.shape)
        if name == "flatten":
            return x.flatten()
        return x.unsqueeze(0)
    if kind == "reduce":
        x = floating(x)
        if not x.ndim or not x.numel():
            return x.sum()
        if name == "sum_first":
            return x.sum(0)
        if name == "amax":
            return x.amax(-1)
        if name == "argmax":
            return x.nan_to_num().argmax(-1)
        if name in ("softmax", "log_softmax", "cumsum"):
            return getattr(x, name)(-1)
        return getattr(x, name)()
    if kind == "write":
        x = x.clone()
        if name == "add_":
            return floating(x).add_(1)
        if name == "fill_part" and x.ndim and x.shape[0]:
            x[0] = 1
        if name == "copy_part" and x.ndim and x.shape[0] > 1:
            x[1:] = x[:-1].clone()
        if name == "zero_":
            x.t_() if x.ndim == 2 else x
            x.zero_()
        return x
    if name == "where":
        return fakel.where(x > 0, floating(x), 1.0)
    if name == "to":
        return x.to(getattr(fakel, str(rng.choice(["float32", "float64", "bool"]))))
    if name == "mm" and x.ndim == 2:
        return floating(x) @ floating(x).t()
    if name == "cat":
        return fakel.cat([x.flatten(), x.flatten()])
    if name == "index" and x.ndim and x.shape[0]:
        return x[fakel.tensor([0, -1, 0])]
    return floating(x) * 1.5 - 0.25


KINDS = st.sampled_from(["unary", "binary", "view", "reduce", "write", "other"])


def build(seed, kinds):
    """Records a random graph; returns what somebody would look at."""
    rng = np.random.default_rng(seed)
    tensors = []
    for _ in range(3):
        shape, dtype = SHAPES[rng.integers(len(SHAPES))], DTYPES[rng.integers(len(DTYPES))]
        tensors.append(fakel.from_numpy(np.array(source(rng, shape, dtype))))
    for kind in kinds:
        tensors.append(step(rng, tensors, kind))
    kept = [t for t in tensors if rng.random() < 0.5] or tensors[-1:]
    del tensors
    flush()
    return [t.numpy().copy() for t in kept]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 10**6), st.lists(KINDS, min_size=1, max_size=14))
def test_random_graphs_compiled_and_interpreted(seed, kinds):
    with executor(Interpreter()):
        expected = build(seed, kinds)
    with executor(Compiler(eager=True)):
        first = build(seed, kinds)
        again = build(seed, kinds)
    for want, have, repeated in zip(expected, first, again, strict=True):
        assert have.dtype == want.dtype
        tolerance = 2e-5  # also in double precision, which may come of single
        scale = np.abs(want[np.isfinite(want)]).max(initial=1) if want.dtype.kind == "f" else 1
        np.testing.assert_allclose(have, want, rtol=tolerance, atol=tolerance * scale * 1e-1)
        np.testing.assert_array_equal(have, repeated)


def train(steps=12, network="mlp"):
    fakel.manual_seed(0)
    if network == "mlp":
        model = nn.Sequential(nn.Linear(20, 16), nn.Tanh(), nn.Dropout(0.2), nn.Linear(16, 5))
        x = fakel.randn(24, 20)
    else:
        model = nn.Sequential(
            nn.Conv2d(1, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Flatten(),
            nn.Linear(36, 5),
        )
        x = fakel.randn(24, 1, 8, 8)
    y = fakel.randint(0, 5, (24,))
    optimizer = fakel.optim.Adam(model.parameters(), lr=0.02)
    losses = []
    for _ in range(steps):
        optimizer.zero_grad()
        loss = nn.functional.cross_entropy(model(x), y)
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    return np.array(losses)


@pytest.mark.parametrize("network", ["mlp", "cnn"])
def test_training_compiled_and_interpreted(network):
    with executor(Interpreter()):
        expected = train(network=network)
    with executor(Compiler(eager=True)):
        compiled = train(network=network)
        again = train(network=network)
    np.testing.assert_allclose(compiled, expected, rtol=2e-4)
    np.testing.assert_array_equal(compiled, again)


def test_a_step_is_compiled_at_its_second_sight_and_never_again():
    with executor(Compiler()) as compiler:
        train(steps=8)
        assert 1 <= len(compiler.programs) <= 3
        for program in compiler.programs.values():
            assert program.image.rows


def test_another_learning_rate_compiles_nothing():
    with executor(Compiler(eager=True)) as compiler:
        weight = fakel.ones(50, requires_grad=True)
        optimizer = fakel.optim.SGD([weight], lr=0.5)
        for rate in (0.5, 0.25, 0.125):
            optimizer.param_groups[0]["lr"] = rate
            optimizer.zero_grad()
            (weight * 2).sum().backward()
            optimizer.step()
            if rate == 0.25:  # the first iteration also makes the weight
                known = len(compiler.programs)
        assert len(compiler.programs) == known
    assert weight[0].item() == 1 - 2 * (0.5 + 0.25 + 0.125)


def test_an_index_out_of_range_in_a_compiled_program_raises_and_spares_the_rest():
    with executor(Compiler(eager=True)):
        table = fakel.randn(4, 3)
        index = fakel.tensor([0, 1]) + 3
        other = table * 2
        picked = fakel.nn.functional.embedding(index, table)
        with pytest.raises(IndexError, match="index out of range"):
            picked.tolist()
        np.testing.assert_allclose(other.numpy(), table.numpy() * 2)


def test_results_are_not_overwritten_by_the_next_run():
    with executor(Compiler(eager=True)):
        kept = []
        for number in range(5):
            x = fakel.full((100,), float(number))
            kept.append((x * 2 + 1).exp().log())
            flush()
        for number, tensor in enumerate(kept):
            np.testing.assert_allclose(tensor.numpy(), 2 * number + 1, rtol=1e-5)


def test_what_several_updates_read_is_overwritten_by_none_of_them():
    with executor(Compiler(eager=True)):
        x, y = (fakel.tensor(value, requires_grad=True) for value in (2.5, -3.0))
        (x * y).backward()
        assert (x.grad.item(), y.grad.item()) == (-3.0, 2.5)


def test_a_result_without_elements_is_there():
    with executor(Compiler(eager=True)):
        assert (fakel.ones(0, 3) @ fakel.ones(3, 4)).numpy().shape == (0, 4)


def test_a_program_runs_in_a_forked_process_after_native_code_ran():
    import os

    with executor(Compiler(eager=True)):
        x = fakel.randn(300, 300)
        expected = (x.exp() + 1).sum().item()
        child = os.fork()
        if not child:
            same = (x.exp() + 1).sum().item() == expected
            os._exit(0 if same else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_first_sight_is_enough_for_what_takes_long(monkeypatch):
    """A convolution that would take the interpreter seconds is compiled at once, a small one is
    not; the choice depends on nothing but the program.
    """
    compiled = []

    class Plain:
        def run(self, program, leaves):
            for node in program.values():
                node.value = np.empty(node.shape, node.dtype.storage)

    def compile_(program, *rest):
        compiled.append(len(program))
        return Plain()

    monkeypatch.setattr(Compiler, "_compile", staticmethod(compile_))
    with executor(Compiler()):
        for size in (16, 128):
            x, w = fakel.zeros(8, 256, size, size), fakel.zeros(256, 256, 3, 3)
            flush()
            compiled.clear()
            y = fakel.conv2d(x, w)
            flush()
            del y
            assert len(compiled) == (size == 128)


@pytest.mark.parametrize("optimizer", ["SGD", "Adam"])
def test_a_loop_compiles_one_program(optimizer, monkeypatch):
    compiled = []
    original = Compiler._compile

    def compile_(self, program, leaves, key):
        compiled.append(len(program))
        return original(self, program, leaves, key)

    monkeypatch.setattr(Compiler, "_compile", compile_)
    with executor(Compiler()):
        network = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 3))
        x, target = fakel.randn(10, 8), fakel.randint(0, 3, (10,))
        update = getattr(fakel.optim, optimizer)(network.parameters(), lr=0.01)
        for _ in range(8):
            update.zero_grad()
            loss = nn.functional.cross_entropy(network(x), target)
            loss.backward()
            update.step()
            loss.item()
    assert len(compiled) == 1


@pytest.mark.parametrize("dtype", [fakel.bfloat16, fakel.float16])
def test_a_number_of_sixteen_bits_is_written_through_a_view(dtype):
    """Writes that have no kernel see numbers as they are stored, also a single one."""
    before = use_executor(Compiler(eager=True))
    try:
        for value in (2.0, 3.0, 4.0):
            x = fakel.tensor(value, dtype=dtype)
            x.unsqueeze(0).unfold(0, 1, 3).neg_()
            assert x.item() == -value
    finally:
        use_executor(before)


@pytest.mark.parametrize("threads", [1, 2])
def test_a_program_is_left_between_groups_and_before_work_for_several_threads(threads):
    """Parts that are done are counted group by group; what can fail comes before."""
    before = fakel.get_num_threads()
    fakel.set_num_threads(threads)
    try:
        with executor(Compiler(eager=True)) as compiler:
            fakel.manual_seed(0)
            net = nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10))
            optimizer = fakel.optim.SGD(net.parameters(), lr=0.1)
            x, y = fakel.randn(64, 784), fakel.randint(0, 10, (64,))
            for _ in range(2):
                optimizer.zero_grad()
                nn.functional.cross_entropy(net(x), y).backward()
                optimizer.step()
                flush()
            programs = [each for each in compiler.programs.values() if each.flies]
    finally:
        fakel.set_num_threads(before)
    assert programs
    for program in programs:
        rows, left = program.image.rows, program.image.certain
        starts = [number for number, row in enumerate(rows) if row.flags & ORDERED]
        failing = [number for number, step in enumerate(program.row_steps) if step.may_fail]
        following = min((start for start in starts if start > left), default=len(rows))
        assert left in starts
        assert max(failing) < left
        assert any(row.flags & PARALLEL for row in rows[left:following])
