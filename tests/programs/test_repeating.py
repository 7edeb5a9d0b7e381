"""Training repeats bit by bit: with a cold and a warm cache, from run to run, beside other Python
threads, after another number of threads; and gives what the interpreter gives.
"""

import os
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import fakel
from fakel.compiler.executor import Compiler
from fakel.graph import flush, use_executor

SCRIPT = """
import fakel as torch
from fakel import nn
torch.manual_seed(0)
model = nn.Sequential(
    nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.MaxPool2d(2), nn.Dropout(0.25),
    nn.Conv2d(4, 6, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(54, 16), nn.ReLU(),
    nn.Dropout(0.5), nn.Linear(16, 4),
)
x, y = torch.randn(60, 1, 8, 8), torch.randint(0, 4, (60,))
optimizer = torch.optim.Adam(model.parameters(), lr=0.002)
for step in range({steps}):
    part = torch.randperm(60)[:20]
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(model(x[part]), y[part])
    loss.backward()
    optimizer.step()
    print(loss.item().hex())
"""
ROOT = Path(__file__).parents[2]


def losses(cache, executor="auto", steps=200, threads=1):
    """The losses of a training run in a process of its own."""
    settings = {
        "FAKEL_CACHE": str(cache),
        "FAKEL_EXECUTOR": executor,
        "OMP_NUM_THREADS": str(threads),
        "PYTHONPATH": str(ROOT),
    }
    run = subprocess.run(
        [sys.executable, "-c", SCRIPT.format(steps=steps)],
        env=os.environ | settings,
        capture_output=True,
        text=True,
        timeout=600,
    )
    assert run.returncode == 0, run.stderr
    return np.array([float.fromhex(line) for line in run.stdout.split()])


def test_training_with_a_cold_and_a_warm_cache_and_interpreted(tmp_path):
    cold = losses(tmp_path / "cache")
    warm = losses(tmp_path / "cache")
    assert len(cold) == 200
    np.testing.assert_array_equal(warm, cold)
    interpreted = losses(tmp_path / "cache", "interpreter")

    np.testing.assert_allclose(cold, interpreted, rtol=1e-4)


def test_training_after_entries_of_the_cache_were_damaged(tmp_path):
    expected = losses(tmp_path, steps=10)
    entries = sorted(tmp_path.rglob("*.entry"))
    assert entries
    for number, entry in enumerate(entries):
        content = bytearray(entry.read_bytes())
        if number % 3 == 0:
            content = content[: len(content) // 2]
        elif number % 3 == 1:
            content[len(content) // 2] ^= 1
        entry.write_bytes(bytes(content))
    np.testing.assert_array_equal(losses(tmp_path, steps=10), expected)


@pytest.fixture
def compiled():
    flush()
    before, threads = use_executor(Compiler(eager=True)), fakel.get_num_threads()
    yield
    flush()
    use_executor(before)
    fakel.set_num_threads(threads)


def work(seed):
    random = np.random.default_rng(seed)
    x = fakel.tensor(random.standard_normal((64, 300)).astype("f4"))
    w = fakel.tensor(random.standard_normal((300, 200)).astype("f4"), requires_grad=True)
    total = ((x @ w).relu().sum(1) * 0.01).exp().mean()
    total.backward()
    return total.item(), w.grad.numpy().tobytes()


def test_python_threads_compute_what_one_computes(compiled):
    expected = [work(seed) for seed in range(4)]
    found = [[] for _ in range(4)]

    def run(seed):
        for _ in range(5):
            found[seed].append(work(seed))

    threads = [threading.Thread(target=run, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for seed in range(4):
        assert found[seed] == [expected[seed]] * 5


def test_the_number_of_threads_may_change_between_programs(compiled):
    found = []
    for count in (1, 3, 2, 1, 3):
        fakel.set_num_threads(count)
        found.append(work(7))
    assert found[0] == found[3] and found[1] == found[4]
    np.testing.assert_allclose([each[0] for each in found], found[0][0], rtol=1e-5)
