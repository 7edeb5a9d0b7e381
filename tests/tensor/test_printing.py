"""Tensors print as PyTorch prints them: recorded examples, and scripts run under both."""

from __future__ import annotations

import numpy as np
import pytest

import fakel
from fakel.tensor import Tensor, get_default_dtype, printing, set_default_dtype
from tests.goldens import cases, load
from tests.support.both import run_both, scripts

GOLDEN = load("printing")
CASES = cases("printing", fakel)
GROUP = 50


@pytest.fixture(autouse=True)
def usual_options():
    before = get_default_dtype()
    yield
    set_default_dtype(before)
    printing.set_printoptions(profile="default")


@pytest.mark.parametrize("start", range(0, len(GOLDEN), GROUP))
def test_recorded_texts(start):
    for name in list(GOLDEN)[start : start + GROUP]:
        assert CASES[name]() == GOLDEN[name], name


EXPRESSIONS = load("expression_printing")


@pytest.mark.filterwarnings("ignore")  # what operators warn of is tested with them
@pytest.mark.parametrize("start", range(0, len(EXPRESSIONS), GROUP))
def test_recorded_expressions(start):
    texts = cases("expression_printing", fakel)
    for name in list(EXPRESSIONS)[start : start + GROUP]:
        # from the third time on, calls are recalled
        assert [texts[name]() for _ in range(3)] == [EXPRESSIONS[name]] * 3, name


def test_options_come_back():
    before = printing.get_printoptions()
    with printing.printoptions(precision=1, sci_mode=True):
        assert printing.get_printoptions()["precision"] == 1
        assert printing.array_text(np.array([1.26, 1.0])) == "[1.3e+00, 1.0e+00]"
    assert printing.get_printoptions() == before


def test_subclasses_print_their_own_name():
    class Named(Tensor):
        pass

    assert repr(Tensor._from_array(np.ones(2, np.float32))._alias(Named)) == "Named([1., 1.])"


def test_indent_moves_later_lines():
    text = printing.array_text(np.eye(2), indent=3)
    assert text == "[[1., 0.],\n    [0., 1.]]"


@scripts(
    grad_fn="""
        x = torch.ones(3, requires_grad=True)
        print(x * 2, (x * 2).sum(), x.exp(), x.view(3, 1), x.detach())
        y = torch.ones(2, 2, requires_grad=True) @ torch.ones(2, 2)
        print(y)
        print(torch.randn(20).fill_(0.25).requires_grad_() + x.sum())
    """,
    parameter="""
        p = nn.Parameter(torch.ones(2, 3))
        print(p)
        print([p], {"w": p})
        print(nn.Parameter(torch.tensor(1.5), requires_grad=False))
        print(nn.Parameter(torch.zeros(2, 30)))
    """,
    subclass="""
        class Weight(nn.Parameter):
            pass
        print(Weight(torch.ones(2)))
        print([Weight(torch.ones(2, 30))])
    """,
    formats="""
        x = torch.tensor(3.14159)
        print(f"{x:.2f} {x} {x:>10.3f}", format(torch.tensor(7), "03d"), "%.1f" % x)
        print(f"{torch.tensor([1.0])}", f"{torch.tensor(True)}")
        print("{:.1f}".format(torch.tensor(2.55, requires_grad=True)))
        print(f"{torch.tensor([1.0]):.2f}")
    """,
    parameter_format="""
        print(f"{nn.Parameter(torch.tensor(1.0))}")
        print(f"{nn.Parameter(torch.tensor(1.0)):.2f}")
    """,
    options="""
        x = torch.tensor([1.23456, 1e-5, 1000.0])
        torch.set_printoptions(precision=2)
        print(x)
        torch.set_printoptions(sci_mode=False)
        print(x)
        torch.set_printoptions(profile="full")
        print(torch.arange(1200).sum(), len(str(torch.arange(1200))))
        torch.set_printoptions(profile="default")
        print(torch.arange(1200), x)
    """,
    views="""
        x = torch.arange(24.0).view(2, 3, 4)
        print(x.transpose(0, 2), x[..., 1], x[:, ::2], x.t() if x.dim() == 2 else x[0].t())
        print(torch.arange(3).expand(2, 3), torch.empty(0), torch.empty(2, 0, dtype=torch.int32))
    """,
)
def test_as_under_pytorch(script):
    run_both(script)
