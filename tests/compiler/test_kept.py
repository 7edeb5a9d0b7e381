"""Programs kept on disk: a process that finds one runs it without planning or compiling, with the
same results to the last bit.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from fakel.compiler.kept import _text

ROOT = Path(__file__).parents[2]
TRAINING = """
import json, sys, warnings
warnings.simplefilter("error")
import fakel as torch
from fakel import nn
torch.manual_seed(0)
network = nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
                        nn.Linear(144, 10))
optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
x, y = torch.randn(16, 1, 14, 14), torch.randint(0, 10, (16,))
losses = []
for _ in range(6):
    optimizer.zero_grad()
    loss = nn.functional.cross_entropy(network(x), y)
    loss.backward()
    optimizer.step()
    losses.append(loss.item())
sums = [p.double().sum().item() for p in network.parameters()]
planned = "fakel.compiler.planning.assemble" in sys.modules
print(json.dumps({"losses": losses, "sums": sums, "planned": planned}))
"""


@pytest.fixture
def run(tmp_path):
    def run(program=TRAINING, **environment):
        environment = {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "FAKEL_CACHE": str(tmp_path / "cache"),
            "FAKEL_EXECUTOR": "auto",
            "OMP_NUM_THREADS": "2",
            **environment,
        }
        command = [sys.executable, "-c", program]
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return run


def entries(tmp_path):
    return sorted((tmp_path / "cache" / "kernels").iterdir())


def test_a_kept_program_gives_the_same(run):
    first, second = run(), run()
    assert first["planned"] and not second["planned"]
    assert first["losses"] == second["losses"] and first["sums"] == second["sums"]


def test_another_number_of_threads_is_another_program(run):
    run()
    assert run(OMP_NUM_THREADS="1")["planned"]
    assert not run(OMP_NUM_THREADS="1")["planned"]


def test_another_structure_is_another_program(run):
    run()
    assert run(TRAINING.replace("(16, 1, 14, 14)", "(18, 1, 14, 14)").replace("(16,)", "(18,)"))[
        "planned"
    ]


def test_damaged_files_are_made_anew(run, tmp_path):
    first = run()
    for path in entries(tmp_path):
        content = bytearray(path.read_bytes())
        content[len(content) // 2] ^= 1
        path.write_bytes(content)
    second = run()
    assert second["planned"] and second["losses"] == first["losses"]
    assert not run()["planned"]


def test_everything_is_compiled_when_that_is_asked_for(run):
    run()
    assert run(FAKEL_EXECUTOR="compiler")["planned"]


def test_an_error_in_a_kept_program_is_the_operators_own(run):
    program = """
import json, sys
import fakel as torch
torch.manual_seed(0)
table = torch.randn(10, 4, requires_grad=True)
def step(rows):
    out = torch.nn.functional.embedding(rows, table)
    for _ in range(12):
        out = (out * 1.5).sin()
    return out.sum().item()
values = [step(torch.tensor([1, 2, 3])) for _ in range(3)]
try:
    step(torch.tensor([1, 2, 30]))
except IndexError as error:
    values.append(str(error))
values.append(step(torch.tensor([4, 2, 3])))
print(json.dumps({"values": values, "planned": "fakel.compiler.planning.assemble" in sys.modules}))
"""
    first, second = run(program), run(program)
    assert first["values"] == second["values"] and "out of range" in first["values"][3]
    assert first["planned"] and not second["planned"]


def test_objects_that_do_not_say_what_they_are_are_not_kept():
    assert _text(((1, "add"), ())) is not None
    assert _text(((1, object()), ())) is None
