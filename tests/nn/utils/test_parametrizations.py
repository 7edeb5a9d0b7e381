"""Parametrizations, weight and spectral norm, fusion. Same scenario, both libraries."""

import copy
import pickle

import pytest

import fakel
from tests.nn.both import compare, scenarios

torch = pytest.importorskip("torch")


def symmetric(library):
    class Symmetric(library.nn.Module):
        def forward(self, x):
            return x.triu() + x.triu(1).transpose(-1, -2)

        def right_inverse(self, x):
            return x.triu()

    return Symmetric()


def registering(library, report):
    parametrize = library.nn.utils.parametrize
    layer = library.nn.Linear(3, 3)
    report(parametrize.register_parametrization(layer, "weight", symmetric(library)) is layer)
    report(layer, layer.weight, list(layer.state_dict()), layer(library.ones(1, 3)))
    report([name for name, _ in layer.named_parameters()], parametrize.is_parametrized(layer))
    layer(library.ones(1, 3)).sum().backward()
    report(layer.parametrizations.weight.original.grad)
    layer.weight = library.arange(9.0).reshape(3, 3)
    report(layer.weight, layer.parametrizations.weight.original)
    parametrize.register_parametrization(layer, "weight", symmetric(library))
    report(layer, parametrize.type_before_parametrizations(layer).__name__)
    with parametrize.cached():
        report(layer.weight is layer.weight)
    report(layer.weight is layer.weight, lambda: pickle.dumps(layer) and None)
    duplicate = copy.deepcopy(layer)
    report(duplicate, duplicate.weight)
    parametrize.remove_parametrizations(layer, "weight")
    report(layer, layer.weight, type(layer.weight).__name__, type(layer).__name__)


def wrong_parametrizations(library, report):
    parametrize = library.nn.utils.parametrize

    class Bad(library.nn.Module):
        def __init__(self, function):
            super().__init__()
            self.function = function

        def forward(self, x):
            return self.function(x)

    def register(function, name="weight"):
        return lambda: parametrize.register_parametrization(
            library.nn.Linear(2, 3), name, Bad(function)
        )

    report(register(lambda x: x.double()), register(lambda x: x[:1]), register(lambda x: 3))
    report(register(lambda x: x, "nothing"))
    layer = parametrize.register_parametrization(
        library.nn.Linear(2, 2), "bias", Bad(lambda x: x * 2)
    )
    report(layer.bias, lambda: setattr(layer, "bias", library.ones(2)))
    report(lambda: parametrize.remove_parametrizations(layer, "weight"))
    report(lambda: parametrize.register_parametrization(layer, "bias", Bad(lambda x: x.double())))
    parametrize.remove_parametrizations(layer, "bias", leave_parametrized=False)
    report(layer.bias)


def weight_norm(library, report):
    layer = library.nn.utils.parametrizations.weight_norm(library.nn.Conv2d(2, 3, 2))
    x = library.randn(1, 2, 4, 4)
    layer(x).square().sum().backward()
    report(layer, layer.state_dict().items(), [p.grad for p in layer.parameters()])
    old = library.nn.utils.weight_norm(library.nn.Linear(4, 3), dim=1)
    report(old, list(old.state_dict().items()), old(x))
    old(x).square().sum().backward()
    report([p.grad for p in old.parameters()])
    report(lambda: library.nn.utils.weight_norm(old))
    new = library.nn.utils.parametrizations.weight_norm(library.nn.Linear(4, 3), dim=1)
    report(repr(new.load_state_dict(old.state_dict())), new(x))
    library.nn.utils.remove_weight_norm(old)
    report(old(x), list(old.state_dict()), lambda: library.nn.utils.remove_weight_norm(old))
    whole = library.nn.utils.weight_norm(library.nn.Linear(4, 3), dim=None)
    report(whole.weight_g, whole(x))


def spectral_norm(library, report):
    x = library.randn(1, 2, 4, 4)
    for function in (
        library.nn.utils.spectral_norm,
        library.nn.utils.parametrizations.spectral_norm,
    ):
        for layer in (library.nn.Conv2d(2, 3, 2), library.nn.ConvTranspose2d(2, 3, 2)):
            function(layer, n_power_iterations=2)
            report(layer(x), layer(x), layer, list(layer.state_dict().items()))
            layer(x).square().sum().backward()
            report([p.grad for p in layer.parameters()], layer.eval()(x), layer(x))
    layer = library.nn.utils.spectral_norm(library.nn.Linear(3, 2))
    library.nn.utils.remove_spectral_norm(layer)
    report(layer.state_dict().items(), lambda: library.nn.utils.remove_spectral_norm(layer))
    report(lambda: library.nn.utils.spectral_norm(library.nn.Linear(3, 2), n_power_iterations=0))


def orthogonal(library, report):
    nn, make = library.nn, library.nn.utils.parametrizations.orthogonal
    for kind in (None, "matrix_exp", "cayley", "householder"):
        for shape in ((3, 3), (5, 3), (3, 5)):
            layer = make(nn.Linear(*shape), orthogonal_map=kind)
            report(layer, layer.weight, list(layer.state_dict()))
            layer(library.ones(2, shape[0])).square().sum().backward()
            library.optim.SGD(layer.parameters(), lr=0.1).step()
            report(layer.weight, layer.parametrizations.weight.original.grad)
            layer.weight = library.eye(shape[1], shape[0])
            report(layer.weight)
    plain = make(nn.Linear(4, 3), "weight", "householder", use_trivialization=False)
    report(plain.weight, plain.parametrizations.weight.original)
    plain = make(nn.Linear(3, 3), use_trivialization=False)
    report(plain.weight, lambda: setattr(plain, "weight", library.eye(3)))
    report(lambda: make(nn.Linear(3, 2), "bias"), lambda: make(nn.Linear(3, 2), "weights"))
    report(lambda: make(nn.Linear(3, 2), orthogonal_map="other"))


def fusion(library, report):
    nn = library.nn
    conv, norm = nn.Conv2d(2, 3, 2, bias=False), nn.BatchNorm2d(3)
    x = library.randn(2, 2, 4, 4)
    norm(conv(x))
    report(lambda: nn.utils.fuse_conv_bn_eval(conv, norm))
    fused = nn.utils.fuse_conv_bn_eval(conv.eval(), norm.eval())
    report(fused, fused(x), norm(conv(x)))
    linear, norm = nn.Linear(3, 4), nn.BatchNorm1d(4)
    fused = nn.utils.fuse_linear_bn_eval(linear.eval(), norm.eval())
    report(fused, fused(library.ones(2, 3)))


@pytest.mark.parametrize("scenario", scenarios(globals()))
def test_same_as_pytorch(scenario):
    compare(scenario, fakel, torch, tolerance=1e-4)
