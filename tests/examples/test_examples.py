"""The examples run under `fakel run`, learn, and leave their pictures."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

for package in ("PIL", "matplotlib", "tqdm"):
    pytest.importorskip(package)

EXAMPLES = Path(__file__).parents[2] / "examples"


def run(name, *arguments):
    command = [sys.executable, "-m", "fakel", "run", str(EXAMPLES / name), *map(str, arguments)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert result.returncode == 0, result.stderr
    return result.stdout


@pytest.mark.parametrize("name", ["mnist_mlp", "mnist_cnn"])
def test_digits(name, tmp_path):
    out = run(f"{name}.py", "--out", tmp_path)
    last = out.splitlines()[-1]
    assert last.startswith("accuracy ") and last.endswith(" %")
    assert float(last.split()[1]) >= 95
    pictures = sorted(path.name for path in tmp_path.iterdir())
    assert pictures == ["filters.png", "loss.png", "mistakes.png"]
    assert all(path.stat().st_size > 5000 for path in tmp_path.iterdir())


def test_sobel(tmp_path):
    from PIL import Image

    out = run("sobel.py", "--out", tmp_path)
    assert "(240, 320) -> (238, 318)" in out
    edges = Image.open(tmp_path / "edges.png")
    assert (edges.mode, edges.size) == ("L", (318, 238))
    # Nothing changes within the sky; the edge of the roof is bright.
    assert edges.getpixel((10, 10)) <= 1
    assert max(edges.crop((60, 95, 220, 115)).tobytes()) > 150
