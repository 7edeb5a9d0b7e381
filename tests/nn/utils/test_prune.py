"""Pruning. Same scenario, both libraries."""

import importlib

import pytest

import fakel
from tests.nn.both import compare, scenarios

torch = pytest.importorskip("torch")


def module_of(library):
    return importlib.import_module(f"{library.__name__}.nn.utils.prune")


def methods(library, report):
    prune = module_of(library)

    def layer():
        return library.nn.Conv2d(2, 3, 2)

    for pruned in (
        prune.l1_unstructured(layer(), "weight", 0.3),
        prune.l1_unstructured(layer(), "bias", 2),
        prune.random_unstructured(layer(), "weight", 5),
        prune.ln_structured(layer(), "weight", 1, n=2, dim=0),
        prune.ln_structured(layer(), "weight", 0.5, n=1, dim=-1),
        prune.random_structured(layer(), "weight", 0.5, dim=1),
        prune.identity(layer(), "weight"),
        prune.custom_from_mask(layer(), "bias", library.tensor([1.0, 0.0, 1.0])),
    ):
        report(list(pruned.state_dict().items()), [n for n, _ in pruned.named_parameters()])
        report(pruned(library.ones(1, 2, 3, 3)), prune.is_pruned(pruned))


def repeated(library, report):
    prune = module_of(library)
    layer = library.nn.Linear(4, 4)
    prune.l1_unstructured(layer, "weight", 4)
    prune.ln_structured(layer, "weight", 1, n=2, dim=0)
    prune.l1_unstructured(layer, "weight", 3, importance_scores=layer.weight.detach() * -1)
    report(layer.weight_mask, layer.weight, len(list(layer._forward_pre_hooks.values())[0]))
    layer(library.ones(1, 4)).sum().backward()
    report(layer.weight_orig.grad)
    prune.remove(layer, "weight")
    report(list(layer.state_dict().items()), prune.is_pruned(layer), type(layer.weight).__name__)
    report(lambda: prune.remove(layer, "weight"))


def several_parameters(library, report):
    prune = module_of(library)
    one, two = library.nn.Linear(3, 2), library.nn.Linear(2, 3)
    pairs = [(one, "weight"), (two, "weight"), (two, "bias")]
    prune.global_unstructured(pairs, pruning_method=prune.L1Unstructured, amount=0.4)
    report(one.weight, two.weight, two.bias)
    report(lambda: prune.global_unstructured(3, prune.L1Unstructured))
    report(lambda: prune.global_unstructured(pairs, prune.L1Unstructured, 3))
    report(lambda: prune.global_unstructured(pairs, prune.LnStructured, amount=1, n=1))


def tensors(library, report):
    prune = module_of(library)
    x = library.arange(6.0).reshape(2, 3) - 2
    report(prune.L1Unstructured(3).prune(x), prune.LnStructured(1, 2, 0).prune(x))
    report(
        lambda: prune.L1Unstructured("a"),
        lambda: prune.L1Unstructured(-1),
        lambda: prune.L1Unstructured(1.5),
        lambda: prune.L1Unstructured(9).prune(x),
        lambda: prune.LnStructured(1, 2, 5).prune(x),
        lambda: prune.LnStructured(1, 2, 0).prune(x[0]),
        lambda: prune.L1Unstructured(1).prune(x, importance_scores=x[0]),
        lambda: prune.PruningContainer(prune.Identity(), 3),
    )


@pytest.mark.parametrize("scenario", scenarios(globals()))
def test_same_as_pytorch(scenario):
    compare(scenario, fakel, torch)
