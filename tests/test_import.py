"""`import fakel` stays quick: what is slow to load and rarely used is loaded at its first use."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def python(program: str) -> str:
    command = [sys.executable, "-c", program]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT).stdout


def test_slow_modules_are_left_out():
    slow = ("llvmlite", "multiprocessing", "zipfile", "decimal", "subprocess", "socket", "PIL")
    program = f"import sys, fakel; print([name for name in {slow} if name in sys.modules])"
    assert python(program) == "[]\n"


@pytest.mark.parametrize(
    "name",
    [
        "utils.data.DataLoader",
        "serialization.load",
        "save",
        "load",
        "compat.install",
        "optim.lr_scheduler.StepLR",
    ],
)
def test_they_are_there_when_asked_for(name):
    assert python(f"import fakel; print(callable(fakel.{name}))") == "True\n"


def test_missing_names_are_errors():
    program = "import fakel, fakel.utils, fakel.compat\n"
    for module in ("fakel", "fakel.utils", "fakel.compat"):
        program += f"print(hasattr({module}, 'no_such_name'))\n"
    assert python(program) == "False\n" * 3
