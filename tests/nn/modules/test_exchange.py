"""Whole layers, pickled by one library, work in the other: their attributes mean the same."""

import io
import warnings

import pytest

import fakel
from tests.nn.modules.cases import CASES
from tests.nn.modules.test_contract import assert_close, build, call

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported")
PARAMETERS = [
    pytest.param(name, each, id=f"{name}-{position}")
    for name, cases in CASES.items()
    for position, each in enumerate(cases)
    if each.inputs and not name.startswith("Lazy")
]


def transfer(module, source, target):
    file = io.BytesIO()
    source.save(module, file)
    file.seek(0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return target.load(file, weights_only=False)


@pytest.mark.parametrize("name, each", PARAMETERS)
def test_from_pytorch(name, each):
    theirs = build(torch, name, each)
    ours = transfer(theirs, torch, fakel)
    assert type(ours) is getattr(fakel.nn, name)
    assert repr(ours) == repr(theirs)
    check_outputs(ours, theirs, each)


@pytest.mark.parametrize("name, each", PARAMETERS)
def test_to_pytorch(name, each):
    ours = build(fakel, name, each)
    theirs = transfer(ours, fakel, torch)
    assert type(theirs) is getattr(torch.nn, name)
    assert repr(ours) == repr(theirs)
    check_outputs(ours, theirs, each)


def check_outputs(ours, theirs, each):
    _, our_outputs = call(fakel, ours, each)
    _, their_outputs = call(torch, theirs, each)
    for our_output, their_output in zip(our_outputs, their_outputs, strict=True):
        assert_close(our_output, their_output)
