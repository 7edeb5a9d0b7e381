"""`fakel profile`: the program runs as ever, then come tables, and a trace where one is wanted."""

from __future__ import annotations

import json
import re

import pytest

from tests.cli.test_run import fakel

STEPS = 12
PROGRAM = f"""
import sys, torch
torch.manual_seed(0)
layer, x = torch.nn.Linear(48, 32), torch.randn(64, 48)
optimizer = torch.optim.SGD(layer.parameters(), lr=0.1)
for step in range({STEPS}):
    optimizer.zero_grad()
    loss = layer(x).relu().square().mean()
    loss.backward()
    optimizer.step()
print(sys.argv[1:], f"{{loss.item():.6f}}")
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    path = tmp_path_factory.mktemp("profile") / "train.py"
    path.write_text(PROGRAM)
    return path


@pytest.fixture(scope="module")
def done(script):
    return fakel("profile", "--trace", script.parent / "trace.json", script, "--flag", "1")


def rows(text, heading):
    """The cells of the table under this heading, by the name in the first column."""
    lines = text[text.index(f"\n{heading} ") + 1 :].split("\n\n")[0].splitlines()[1:]
    return {cells[0]: cells[1:] for cells in (re.split(r"\s{2,}", line) for line in lines)}


def test_the_program_runs_as_under_fakel_run(done, script):
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0] == fakel("run", script, "--flag", "1").stdout.strip()


def test_times_add_up(done):
    wall = float(re.search(r"^([\d.]+) s on \d+ threads", done.stdout, re.M)[1])
    parts = {name: float(cells[0]) for name, cells in rows(done.stdout, "where the time").items()}
    assert list(parts)[0] == "kernels" and len(parts) == 6
    assert all(part >= 0 for part in parts.values())
    # each line is rounded to a tenth of a millisecond
    assert sum(parts.values()) == pytest.approx(wall * 1e3, abs=1.5)


def test_operators_and_kernels_are_counted(done):
    operators = rows(done.stdout, "by operator")
    # a step is compiled at its second sight; the first step may still differ from the others
    interpreted = int(operators.pop("linear (interpreted)")[0])
    compiled = STEPS - interpreted
    assert 1 <= interpreted <= 2
    linear = next(cells for name, cells in operators.items() if name.startswith("linear"))
    assert int(linear[0]) == compiled
    # 2 x 64 x 48 x 32 operations a call, plus what was fused with it
    mean, gflops = float(linear[3]) * 1e-6, float(linear[4])
    assert gflops == pytest.approx(2 * 64 * 48 * 32 / mean / 1e9, rel=0.15)
    kernels = rows(done.stdout, "by kernel")
    assert all(int(cells[0]) % compiled == 0 for cells in kernels.values()) and kernels


def test_the_trace_is_what_perfetto_reads(done, script):
    trace = json.loads((script.parent / "trace.json").read_text())
    assert "trace.json" in done.stderr
    events = trace["traceEvents"]
    names = {e["tid"]: e["args"]["name"] for e in events if e["name"] == "thread_name"}
    slices = [e for e in events if e["ph"] == "X"]
    assert "main thread" in names.values() and {e["tid"] for e in slices} <= set(names)
    flushes = [e for e in slices if e["cat"] == "flush"]
    kernels = [e for e in slices if e["cat"] == "kernel" and names[e["tid"]] == "main thread"]
    assert len(flushes) >= STEPS and kernels
    assert all(e["dur"] >= 0 and e["ts"] >= 0 for e in slices)
    for kernel in kernels:  # each lies within a flush
        assert any(
            f["ts"] <= kernel["ts"] and kernel["ts"] + kernel["dur"] <= f["ts"] + f["dur"] + 1e-3
            for f in flushes
        )
    linear = [e for e in kernels if "linear" in e["name"]]
    assert {"kernel", "shapes", "operations", "bytes"} <= set(linear[0]["args"])
    assert "64, 48]" in " ".join(e["args"]["shapes"] for e in linear)


@pytest.mark.parametrize(
    ("ending", "status"), [("sys.exit(7)", 7), ("1 / 0", 1), ("raise KeyboardInterrupt", 130)]
)
def test_the_report_comes_however_the_program_ends(tmp_path, ending, status):
    path = tmp_path / "ends.py"
    path.write_text(f"import sys, torch\nprint(torch.ones(2).sum())\n{ending}\n")
    done = fakel("profile", path)
    assert done.returncode == status
    assert "where the time went" in done.stdout


def test_wrong_arguments(tmp_path):
    assert fakel("profile").returncode == 2
    done = fakel("profile", tmp_path / "missing.py")
    assert done.returncode == 2 and "can't open file" in done.stderr


def test_modules(tmp_path):
    (tmp_path / "part.py").write_text("import sys, torch; print(sys.argv[1:], __name__)")
    done = fakel("profile", "--limit", "3", "-m", "part", "x", cwd=tmp_path)
    assert done.stdout.splitlines()[0] == "['x'] __main__"
