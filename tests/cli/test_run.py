"""`fakel run`: programs run as under `python`, with torch being fakel."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def fakel(*arguments, cwd=None, **options) -> subprocess.CompletedProcess:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, "-m", "fakel", *map(str, arguments)]
    return subprocess.run(
        command, capture_output=True, text=True, cwd=cwd, env=environment, timeout=120, **options
    )


@pytest.fixture
def script(tmp_path):
    def write(source, name="script.py"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(source))
        return path

    return write


def test_a_program_sees_what_python_gives_it(script, tmp_path):
    script("def greet(): return 'from a module beside the script'", "helper.py")
    source = """
        import os, sys
        import helper
        print(sys.argv[1:], os.path.basename(sys.argv[0]), __name__, os.path.isabs(__file__))
        print(os.path.samefile(sys.path[0], os.path.dirname(__file__)), helper.greet())
        print(sys.modules["__main__"].__dict__ is globals(), __spec__, __doc__)
    """
    path = script(source)
    done = fakel("run", path.name, "--flag", "-m", "x", cwd=tmp_path)
    plain = subprocess.run(
        [sys.executable, path.name, "--flag", "-m", "x"],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stderr == "" and done.returncode == 0
    assert done.stdout == plain.stdout


def test_torch_is_fakel(script):
    path = script("""
        import fakel, torch, torchvision
        import torch.nn as nn
        import torch.nn.functional as F
        from torch.utils.data import DataLoader
        assert torch is fakel and nn is fakel.nn and F is fakel.nn.functional
        assert torchvision is fakel.vision and DataLoader is fakel.utils.data.DataLoader
        print(torch.ones(2) + 1)
    """)
    done = fakel("run", path)
    assert (done.stdout, done.stderr) == ("tensor([2., 2.])\n", "")


def test_modules(script, tmp_path):
    script("import sys, torch; print(sys.argv[1:], __name__, __package__, __spec__.name)", "a/b.py")
    script("import sys; print(sys.argv[1:], __name__)", "a/__main__.py")
    done = fakel("run", "-m", "a.b", "--flag", cwd=tmp_path)
    assert done.stdout == "['--flag'] __main__ a a.b\n"
    assert fakel("run", "-m", "a", "1", cwd=tmp_path).stdout == "['1'] __main__\n"
    done = fakel("run", "-m", "missing.module", cwd=tmp_path)
    assert (done.returncode, done.stderr) == (1, "fakel: No module named missing\n")


@pytest.mark.parametrize(
    ("statement", "status", "message"),
    [
        ("sys.exit()", 0, ""),
        ("sys.exit(7)", 7, ""),
        ("sys.exit('stopped')", 1, "stopped\n"),
        ("raise KeyboardInterrupt", 130, "KeyboardInterrupt\n"),
        ("1 / 0", 1, "ZeroDivisionError: division by zero\n"),
        ("exit(3)", 3, ""),
    ],
)
def test_exit_status(script, statement, status, message):
    done = fakel("run", script(f"import sys\n{statement}\n"))
    assert done.returncode == status
    assert done.stderr.endswith(message)


def test_interruption(script):
    path = script("import time\nprint('ready', flush=True)\ntime.sleep(60)\n")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-m", "fakel", "run", str(path)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment,
    ) as process:
        process.stdout.readline()
        time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"time.sleep(60)" in errors and b"fakel/cli" not in errors


def test_tracebacks_show_the_program(script):
    path = script("""
        import torch

        def train():
            return torch.ones(2, 3) @ torch.ones(2, 3)

        train()
    """)
    done = fakel("run", path)
    assert done.returncode == 1
    lines = done.stderr.splitlines()
    assert [line for line in lines if line.startswith("  File")] == [
        f'  File "{path}", line 7, in <module>',
        f'  File "{path}", line 5, in train',
    ]
    assert any(line.startswith("RuntimeError: mat1 and mat2 shapes cannot be") for line in lines)
    assert "hidden; fakel run --full-traceback shows more" in lines[-1]
    full = fakel("run", "--full-traceback", path)
    assert f'File "{ROOT}/fakel/ops/' in full.stderr and "hidden" not in full.stderr


def test_causes_in_the_program_stay(script):
    path = script("""
        try:
            {}["key"]
        except KeyError as error:
            raise ValueError("wrong") from error
    """)
    done = fakel("run", path)
    assert "KeyError: 'key'" in done.stderr and "direct cause" in done.stderr
    assert done.stderr.endswith("ValueError: wrong\n")


def test_missing_names_are_reported_with_their_line(script):
    table = {
        "torch.no_such_name": "AttributeError: fakel has no torch.no_such_name yet",
        "torch.nn.NoSuchLayer()": "AttributeError: fakel has no torch.nn.NoSuchLayer yet",
        "import torch.no_such": "ModuleNotFoundError: fakel has no torch.no_such yet",
        "import torchvision.no_such": "ModuleNotFoundError: fakel has no torchvision.no_such yet",
        "from torch.nn import NoSuch": "fakel has no torch.nn.NoSuch yet",
    }
    scripts = [script(f"import torch\n{line}\n", f"{n}.py") for n, line in enumerate(table)]
    driver = script("""
        import sys
        from fakel.cli.main import main
        for path in sys.argv[1:]:
            print(main(["run", path]), "---", file=sys.stderr)
    """)
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "ignore"}
    command = [sys.executable, driver, *scripts]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=60)
    reports = done.stderr.split("---\n")
    for path, message, report in zip(scripts, table.values(), reports, strict=False):
        assert f'File "{path}", line 2' in report
        assert message in report
        assert "fakel/compat" not in report and report.endswith("1 ")


def test_syntax_errors(script):
    path = script("x = (\n")
    done = fakel("run", path)
    assert done.returncode == 1
    assert done.stderr.startswith(f'  File "{path}", line 1\n')
    assert "Traceback" not in done.stderr and "SyntaxError" in done.stderr


def test_the_hook_of_a_program_is_called(script):
    path = script("""
        import sys, traceback
        def hook(kind, error, trace):
            print("hook", kind.__name__, traceback.extract_tb(trace)[0].name)
        sys.excepthook = hook
        1 / 0
    """)
    done = fakel("run", path)
    assert (done.returncode, done.stdout) == (1, "hook ZeroDivisionError <module>\n")


def test_scripts_that_cannot_be_read(tmp_path):
    done = fakel("run", tmp_path / "missing.py")
    assert done.returncode == 2 and "can't open file" in done.stderr
    assert fakel("run").returncode == 2
    assert fakel().returncode == 2


@pytest.mark.parametrize("method", ["fork", "spawn", "forkserver"])
def test_worker_processes(script, method):
    path = script("""
        import multiprocessing, sys
        import torch

        def double(x):
            import torchvision
            return x * 2, torch.__name__

        if __name__ == "__main__":
            with multiprocessing.get_context(sys.argv[1]).Pool(1) as pool:
                value, name = pool.map(double, [torch.ones(2)])[0]
            print(value, name)
    """)
    done = fakel("run", path, method)
    assert (done.stdout, done.stderr) == ("tensor([2., 2.]) fakel\n", "")


def test_classes_of_the_script_can_be_pickled(script, tmp_path):
    path = script("""
        import pickle, torch
        class Net(torch.nn.Module):
            def __init__(self):
                super().__init__()
                self.layer = torch.nn.Linear(2, 1)
        net = Net()
        assert pickle.loads(pickle.dumps(net)).layer.weight.equal(net.layer.weight)
        torch.save(net, "net.pt")
        print(type(torch.load("net.pt", weights_only=False)) is Net)
    """)
    done = fakel("run", path, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("True\n", "")


def test_version_and_doctor():
    done = fakel("--version")
    assert done.returncode == 0 and done.stdout.startswith("fakel ")
    done = fakel("doctor")
    assert done.returncode == 0
    for word in ("Python", "NumPy", "llvmlite", "processor", "features", "threads", "cache"):
        assert f"\n{word}" in done.stdout
