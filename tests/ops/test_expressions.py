"""Expressions that must give the same under fakel and PyTorch: the printed result, or the error's
type and text, and the warnings.

Each file in `expressions` is a piece of setup, a line of dashes, and one expression a line.
"""

from __future__ import annotations

import pathlib
import re
import warnings

import numpy as np
import pytest

from tests.support.package import package

FILES = sorted(pathlib.Path(__file__).with_name("expressions").glob("*.txt"))


def cases():
    for file in FILES:
        setup, _, lines = file.read_text().partition("---\n")
        for line in lines.splitlines():
            yield pytest.param(setup, line, id=f"{file.stem}: {line[:60]}")


def outcome(module, setup: str, expression: str):
    """What an expression shows under a module called torch, and the warnings that it gave."""
    names = {"torch": module, "np": np}
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        exec(setup, names)
        try:
            shown = repr(eval(expression, names))
        except Exception as error:
            shown = f"{type(error).__name__}: {error}"
    # PyTorch says where in its sources a warning comes from
    given = [re.sub(r" \(Triggered internally.*\)", "", str(each.message)) for each in caught]
    return shown, given


@pytest.fixture(autouse=True)
def every_warning(torch):
    """PyTorch gives some warnings once only, unless told otherwise."""
    before = torch.is_warn_always_enabled()
    torch.set_warn_always(True)
    yield
    torch.set_warn_always(before)


@pytest.mark.parametrize(("setup", "expression"), list(cases()))
def test_an_expression_gives_what_pytorch_gives(torch, setup, expression):
    assert outcome(package, setup, expression) == outcome(torch, setup, expression)
