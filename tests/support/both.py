"""Runs one script under PyTorch and under fakel and compares what it prints, warns and raises.

In the script `torch` is the package, `nn` and `F` are what they usually are, `np` is NumPy.
"""

from __future__ import annotations

import contextlib
import io
import textwrap
import warnings

import numpy as np
import pytest

from tests.support.package import package


def run_both(script: str) -> str:
    """Asserts that both packages give the same output; returns it."""
    torch = pytest.importorskip("torch")
    for each in (torch, package):
        each.set_warn_always(True)  # some warnings are given once a process
    expected = execute(script, torch)
    assert execute(script, package) == expected
    return expected


def execute(script: str, module) -> str:
    """What the script prints under `module`, followed by its exception's type and first line."""
    names = {"torch": module, "nn": module.nn, "F": module.nn.functional, "np": np}
    output = io.StringIO()
    with contextlib.redirect_stdout(output), warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            exec(compile(textwrap.dedent(script), "<script>", "exec"), names)
        except Exception as error:
            print(f"{type(error).__name__}: {str(error).splitlines()[0] if str(error) else ''}")
    seen = {f"{w.category.__name__}: {str(w.message).splitlines()[0][:60]}\n" for w in caught}
    output.writelines(sorted(seen))
    return output.getvalue()


def scripts(**table: str):
    """Parametrises a test with named scripts."""
    return pytest.mark.parametrize("script", table.values(), ids=table.keys())
