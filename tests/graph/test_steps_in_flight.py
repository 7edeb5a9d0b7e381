"""Training steps that are left to the workers: what follows sees them whole."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import numpy as np
import pytest

import fakel as torch
from fakel.compiler.executor import Compiler
from fakel.graph import AtOnce
from fakel.interpreter import Interpreter
from fakel.runtime import get_num_threads, set_num_threads, settle, team
from fakel.utils.data import DataLoader, TensorDataset
from tests.support.graphs import executor

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def two_threads():
    before = get_num_threads()
    set_num_threads(2)
    yield
    settle()
    set_num_threads(before)


class Training:
    """A small training whose steps are left to the workers; its twin's are waited for."""

    def __init__(self, waits, compiled=False):
        self.waits = waits
        torch.manual_seed(0)
        nn = torch.nn
        self.model = nn.Sequential(
            nn.Flatten(), nn.Linear(256, 256), nn.ReLU(), nn.Linear(256, 256), nn.Tanh(),
            nn.Linear(256, 10),
        )  # fmt: skip
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=0.1, momentum=0.9)
        self.numbers = np.random.default_rng(0)
        self.flights = 0
        self.losses = []
        self.run = torch.compile(self.step) if compiled else self.step

    def step(self, x, y):
        self.optimizer.zero_grad()
        loss = torch.nn.functional.cross_entropy(self.model(x), y)
        loss.backward()
        self.optimizer.step()
        return loss

    def batch(self):
        x = torch.tensor(self.numbers.standard_normal((64, 256)).astype("f4"))
        return x, torch.tensor(self.numbers.integers(0, 10, 64))

    def steps(self, count=6):
        for _ in range(count):
            loss = self.run(*self.batch())
            self.flights += team._flight is not None
            if self.waits:
                settle()
            self.losses.append(loss.item())
        return self

    def state(self):
        state = self.optimizer.state
        return [
            each.detach().clone().numpy()
            for p in self.model.parameters()
            for each in (p, p.grad, state[p]["momentum_buffer"])
            if each is not None
        ]


def same(action=None, **settings):
    """Trains, does something right after a step, trains on: with and without waiting."""
    with executor(Compiler(eager=True)):
        Training(True, **settings).steps()  # what was never met before is recorded in other ways
        found = []
        for waits in (True, False):
            side = Training(waits, **settings)
            side.steps()
            side.run(*side.batch())
            if waits:
                settle()
            else:
                assert team._flight is not None
            extra = None if action is None else action(side)
            side.steps(3)
            found.append((side.losses, extra, side.state()))
            assert (side.flights > 0) is True
    (losses, extra, state), (other_losses, other_extra, other_state) = found
    assert losses == other_losses
    if extra is not None:
        np.testing.assert_array_equal(extra, other_extra)
    for mine, theirs in zip(state, other_state, strict=True):
        np.testing.assert_array_equal(mine, theirs)


@pytest.mark.parametrize("compiled", [False, True], ids=["as it is", "compiled"])
def test_steps_are_the_same(compiled):
    same(compiled=compiled)


def seen(side):
    return side.model[1].weight.detach().numpy().copy()


def gradient_seen(side):
    return side.model[1].weight.grad.numpy().copy()


def view_seen(side):
    return side.model[1].weight.detach().t()[3:5].numpy().copy()


def computed(side):
    return (side.model[3].weight * 2).sum(1).detach().numpy()


def written(side):
    with torch.no_grad():
        side.model[1].weight.mul_(0.5)
        side.model[3].bias[2:4] = 1.0


def written_through_numpy(side):
    side.model[1].weight.detach().numpy()[:] *= 0.5


def gradients_dropped(side):
    side.optimizer.zero_grad()
    gc.collect()
    return np.concatenate([np.full(100_000, 7.0), np.random.default_rng(1).random(300_000)])


def copied(side):
    state = {name: value.clone() for name, value in side.model.state_dict().items()}
    side.steps(2)
    side.model.load_state_dict(state)


def saved(side):
    import io

    file = io.BytesIO()
    torch.save(side.model.state_dict(), file)
    side.steps(2)
    file.seek(0)
    side.model.load_state_dict(torch.load(file))


def printed(side):
    return np.frombuffer(repr(side.model[1].bias).encode(), np.uint8)


def another_program(side):
    return (torch.arange(1000.0).reshape(10, 100) @ torch.ones(100, 3)).sum().numpy()


def loaded(side):
    data = TensorDataset(torch.arange(64.0).reshape(16, 4), torch.arange(16))
    return np.concatenate([x.numpy() for x, _ in DataLoader(data, batch_size=4)])


def sorted_at_once(side):
    with AtOnce():
        values, places = torch.tensor([3.0, 1.0, 2.0]).sort()
        return np.stack([values.numpy(), places.numpy()])


def in_another_thread(side):
    found = []
    thread = threading.Thread(
        target=lambda: found.append(side.model[1].weight.detach().numpy().copy())
    )
    thread.start()
    thread.join()
    return found[0]


def forked(side):
    child = os.fork()
    if child == 0:
        os._exit(0)
    os.waitpid(child, 0)


def executor_changed(side):
    with executor(Interpreter()):
        return side.model[1].weight.detach().sum().numpy()


ACTIONS = [
    seen, gradient_seen, view_seen, computed, written, written_through_numpy, gradients_dropped,
    copied, saved, printed, another_program, loaded, sorted_at_once, in_another_thread, forked,
    executor_changed,
]  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*fork.*:DeprecationWarning")
@pytest.mark.parametrize("action", ACTIONS, ids=lambda action: action.__name__)
def test_what_follows_a_step_sees_it_whole(action):
    same(action)


def test_an_input_may_be_overwritten_after_the_step():
    """The memory of a batch that NumPy shares is the program's own copy."""
    with executor(Compiler(eager=True)):
        found = []
        for waits in (True, False):
            side = Training(waits)
            memory = np.zeros((64, 256), np.float32)
            for number in range(8):
                memory[:] = side.numbers.standard_normal(memory.shape)
                y = torch.tensor(side.numbers.integers(0, 10, 64))
                side.step(torch.from_numpy(memory), y)
                if waits:
                    settle()
                memory[:] = number
            found.append(side.state())
    for mine, theirs in zip(*found, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_a_wrong_class_raises_at_the_step():
    """What can fail is waited for, also where the program ran well many times."""
    with executor(Compiler(eager=True)):
        side = Training(False)
        for _ in range(6):
            x, y = side.batch()
            side.optimizer.zero_grad()
            logits = side.model(x)
            torch.nn.functional.cross_entropy(logits, y + 0).backward()
            side.optimizer.step()
        assert team._flight is not None
        side.optimizer.zero_grad()
        wrong = torch.nn.functional.cross_entropy(side.model(x), y + 10)
        wrong.backward()
        with pytest.raises(IndexError, match="out of bounds"):
            side.optimizer.step()


@pytest.mark.parametrize("source", ["", "sys.exit(0)", "os.kill(os.getpid(), signal.SIGINT)"])
def test_a_process_ends_while_a_program_runs(source):
    text = """
        import os, signal, sys
        import fakel as torch
        torch.set_num_threads(2)
        x = torch.randn(512, 512)
        for _ in range(6):
            y = (x @ x).tanh() @ x
            z = (y @ x).exp() @ y
            torch.graph.flush()
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(text) + textwrap.dedent(source)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        env={**os.environ, "FAKEL_EXECUTOR": "compiler"},
    )
    expected = -signal.SIGINT if "SIGINT" in source else 0
    assert done.returncode == expected, done.stderr
