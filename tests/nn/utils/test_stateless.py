"""functional_call. Same scenario, both libraries."""

import pytest

import fakel
from fakel.nn.utils.stateless import functional_call
from tests.nn.both import compare, scenarios

torch = pytest.importorskip("torch")


def call_of(library):
    return functional_call if library is fakel else torch.func.functional_call


def calling(library, report):
    nn, call = library.nn, call_of(library)
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    x = library.ones(4, 2)
    weight = library.zeros(3, 2, requires_grad=True)
    before = model(x)
    output = call(model, {"0.weight": weight, "1.running_mean": library.ones(3)}, x)
    report(output, before, model[0].weight is not weight, model[1].running_mean)
    output.square().sum().backward()
    report(weight.grad, model[0].weight.grad, model[0].bias.grad)
    report(call(model, [{"0.weight": weight}, {"0.bias": library.ones(3)}], (x,)))
    report(lambda: call(model, [{"0.weight": weight}, {"0.weight": weight}], x))
    report(lambda: call(model, {"0.weight": weight, "9": weight}, x, strict=True))


def tied(library, report):
    nn, call = library.nn, call_of(library)
    model = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2))
    model[1].weight = model[0].weight
    x = library.ones(1, 2)
    one, two = library.ones(2, 2), library.zeros(2, 2)
    report(call(model, {"0.weight": one}, x), call(model, {"0.weight": one}, x, tie_weights=False))
    report(lambda: call(model, {"0.weight": one, "1.weight": two}, x))


@pytest.mark.parametrize("scenario", scenarios(globals()))
def test_same_as_pytorch(scenario):
    compare(scenario, fakel, torch)
