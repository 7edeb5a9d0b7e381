"""Tensors survive pickle and copy.deepcopy: values, strides, sharing, flags, attributes."""

from __future__ import annotations

import copy
import multiprocessing
import pickle

import pytest

import fakel
from tests.support.both import run_both, scripts


def make():
    base = fakel.arange(6.0)
    return [
        base,
        base[1:4],
        base.view(2, 3).t(),
        fakel.ones(2, dtype=fakel.bfloat16),
        fakel.tensor(3),
    ]


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_pickle(protocol):
    before = make()
    after = pickle.loads(pickle.dumps(before, protocol))
    for old, new in zip(before, after, strict=True):
        assert new.tolist() == old.tolist() and new.dtype is old.dtype
        assert (new.shape, new.stride(), new.storage_offset()) == (
            old.shape,
            old.stride(),
            old.storage_offset(),
        )
    after[0][1] = 50.0
    assert after[1][0].item() == 50.0 and before[1][0].item() == 1.0


def test_other_objects():
    things = [fakel.float32, fakel.Size([1, 2]), fakel.device("cpu"), fakel.device("cuda:1")]
    again = pickle.loads(pickle.dumps(things))
    assert again == things and again[0] is fakel.float32
    assert copy.deepcopy(things) == things


def test_flags_and_attributes():
    x = fakel.ones(2, requires_grad=True)
    x.note = ["kept"]
    for again in (pickle.loads(pickle.dumps(x)), copy.deepcopy(x)):
        assert again.requires_grad and again.is_leaf and again.note == ["kept"]
    assert copy.deepcopy(x).note is not x.note


def _double(x):
    return x * 2


def test_tensors_go_through_processes():
    with multiprocessing.get_context("fork").Pool(1) as pool:
        assert pool.map(_double, [fakel.ones(2)])[0].tolist() == [2.0, 2.0]


@scripts(
    deepcopy="""
        import copy
        x = torch.ones(2, requires_grad=True)
        (x * 3).sum().backward()
        y = copy.deepcopy(x)
        print(y, y.grad, y.is_leaf)
        with torch.no_grad():
            y.add_(1)
            y.grad.zero_()
        print(x, x.grad, y, y.grad)
    """,
    non_leaf="""
        import copy
        x = torch.ones(2, requires_grad=True)
        copy.deepcopy(x * 2)
    """,
    shared="""
        import copy
        base = torch.arange(4.0)
        a, b, c = copy.deepcopy([base, base[1:], base])
        a[1] = 7
        print(b, base, a is c)
    """,
    modules="""
        import copy
        layer = nn.Linear(2, 2)
        other = copy.deepcopy(layer)
        with torch.no_grad():
            other.weight.zero_()
        print(bool((layer.weight != 0).all()), other.weight, type(other.weight) is nn.Parameter)
    """,
    parameter="""
        import copy, pickle
        p = nn.Parameter(torch.ones(2))
        for again in (copy.deepcopy(p), pickle.loads(pickle.dumps(p)), copy.copy(p)):
            print(again, type(again) is nn.Parameter, again.requires_grad)
    """,
)
def test_as_under_pytorch(script):
    run_both(script)
