"""Clipping gradients, parameters as vectors. Same scenario, both libraries."""

import pytest

import fakel
from tests.nn.both import compare, scenarios

torch = pytest.importorskip("torch")


def model_with_gradients(library):
    model = library.nn.Linear(3, 2)
    (model(library.ones(4, 3)) * 5).square().sum().backward()
    return model


def clipping_norms(library, report):
    utils = library.nn.utils
    for norm in (2.0, 1, float("inf")):
        for limit in (1.0, 1e6):
            model = model_with_gradients(library)
            report(utils.clip_grad_norm_(model.parameters(), limit, norm_type=norm))
            report([p.grad for p in model.parameters()])
    model = model_with_gradients(library)
    report(utils.clip_grad_norm_(model.weight, 0.5), utils.clip_grad_norm(model.bias, 0.5))
    report(utils.get_total_norm([library.ones(3), library.ones(2)]), utils.get_total_norm([]))
    utils.clip_grads_with_norm_(model.parameters(), 1.0, library.tensor(4.0))
    report([p.grad for p in model.parameters()])
    report(utils.clip_grad_norm_((p for p in []), 1.0))
    report(utils.clip_grad_norm_([library.ones(2)], 1.0))
    model.bias.grad[0] = float("nan")
    report(lambda: utils.clip_grad_norm_(model.parameters(), 1.0, error_if_nonfinite=True))


def clipping_values(library, report):
    model = model_with_gradients(library)
    report(library.nn.utils.clip_grad_value_(model.parameters(), 2.5))
    library.nn.utils.clip_grad_value_(model.bias, 1)
    report([p.grad for p in model.parameters()])


def vectors(library, report):
    utils = library.nn.utils
    model = library.nn.Linear(3, 2)
    vector = utils.parameters_to_vector(model.parameters())
    report(vector)
    utils.vector_to_parameters(library.arange(8.0), model.parameters())
    report(list(model.parameters()), model.weight.is_leaf)
    report(lambda: utils.vector_to_parameters([1.0], model.parameters()))


@pytest.mark.parametrize("scenario", scenarios(globals()))
def test_same_as_pytorch(scenario):
    compare(scenario, fakel, torch)
