"""Every layer behaves like PyTorch's: printing, state, attributes, values, gradients, copies."""

import copy
import inspect
import pickle
import warnings

import numpy as np
import pytest

import fakel
from fakel import nn
from tests.nn.modules.cases import CASES, Values

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.filterwarnings("ignore:LSTM with projections is not supported")

CONTAINERS = {
    "Container",
    "Module",
    "ModuleDict",
    "ModuleList",
    "ParameterDict",
    "ParameterList",
    "RNNBase",
    "RNNCellBase",
    "Sequential",
}
# PyTorch's recurrent layers keep a second list of their weights, and weak references to them.
ONLY_IN_PYTORCH = {"_flat_weights", "_flat_weight_refs"}
PARAMETERS = [
    pytest.param(name, each, id=f"{name}-{position}")
    for name, cases in CASES.items()
    for position, each in enumerate(cases)
]


def build(library, name, each):
    library.manual_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return getattr(library.nn, name)(*each.arguments, **each.options)


def build_both(name, each):
    return build(fakel, name, each), build(torch, name, each)


def arrays(each):
    random = np.random.default_rng(7)
    return [
        spec.draw(random) if isinstance(spec, Values) else random.normal(size=spec).astype("f4")
        for spec in each.inputs
    ]


def call(library, module, each, requires_grad=False):
    """Call a module; returns its inputs and the flat list of output tensors."""
    inputs = [library.tensor(array) for array in arrays(each)]
    if requires_grad:
        for tensor in inputs:
            tensor.requires_grad_(tensor.is_floating_point())
    library.manual_seed(11)
    return inputs, flatten(module(*inputs, **each.call_options))


def flatten(value):
    if isinstance(value, (tuple, list)):
        return [tensor for each in value for tensor in flatten(each)]
    return [] if value is None else [value]


def assert_close(ours, theirs, tolerance=2e-5):
    assert tuple(ours.shape) == tuple(theirs.shape)
    assert str(ours.dtype) == str(theirs.dtype)
    expected = theirs.detach().numpy()
    scale = max(1.0, float(np.abs(expected).max())) if expected.size else 1.0
    np.testing.assert_allclose(
        ours.detach().numpy(), expected, rtol=tolerance, atol=tolerance * scale
    )


def test_every_layer_has_cases():
    layers = {
        name
        for name, value in vars(nn).items()
        if inspect.isclass(value) and issubclass(value, nn.Module)
    }
    assert layers - CONTAINERS == set(CASES)


def test_every_layer_of_pytorch_is_there():
    names = set(torch.nn.modules.__all__) - set(vars(nn))
    assert names == {"LinearCrossEntropyLoss", "LinearCrossEntropyOptions"}


@pytest.mark.parametrize("name", sorted(set(CASES) | CONTAINERS))
def test_pickled_name(name):
    ours, theirs = getattr(nn, name), getattr(torch.nn, name)
    assert ours.__module__.replace("fakel", "torch", 1) == theirs.__module__
    assert ours.__qualname__ == theirs.__qualname__


@pytest.mark.parametrize("name", sorted(CASES))
def test_signature(name):
    ours = inspect.signature(getattr(nn, name).__init__).parameters.values()
    theirs = inspect.signature(getattr(torch.nn, name).__init__).parameters.values()

    def described(parameters):
        return [
            (each.name, each.kind, None if callable(each.default) else each.default)
            for each in parameters
        ]

    if name != "NLLLoss2d":
        assert described(ours) == described(theirs)


@pytest.mark.parametrize("name, each", PARAMETERS)
def test_printing_state_and_attributes(name, each):
    ours, theirs = build_both(name, each)
    assert repr(ours) == repr(theirs)
    assert set(vars(ours)) == set(vars(theirs)) - ONLY_IN_PYTORCH
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    assert [n for n, _ in ours.named_modules()] == [n for n, _ in theirs.named_modules()]
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert dict(ours.state_dict()._metadata) == dict(theirs.state_dict()._metadata)
    if not name.startswith("Lazy"):
        for key, value in ours.state_dict().items():
            assert_close(value, theirs.state_dict()[key], 1e-6)


@pytest.mark.parametrize("name, each", [each for each in PARAMETERS if each.values[1].inputs])
def test_values_and_gradients(name, each):
    ours, theirs = build_both(name, each)
    our_inputs, our_outputs = call(fakel, ours, each, each.differentiable)
    their_inputs, their_outputs = call(torch, theirs, each, each.differentiable)
    assert len(our_outputs) == len(their_outputs)
    for our_output, their_output in zip(our_outputs, their_outputs, strict=True):
        assert_close(our_output, their_output)
        assert our_output.requires_grad == their_output.requires_grad
    for key, value in ours.state_dict().items():
        assert_close(value, theirs.state_dict()[key])
    assert repr(ours) == repr(theirs)
    sum_of_squares(our_outputs)
    sum_of_squares(their_outputs)
    pairs = [
        *zip(our_inputs, their_inputs, strict=True),
        *zip(ours.parameters(), theirs.parameters(), strict=True),
    ]
    for our_leaf, their_leaf in pairs:
        assert (our_leaf.grad is None) == (their_leaf.grad is None)
        if our_leaf.grad is not None:
            assert_close(our_leaf.grad, their_leaf.grad, 1e-4)


def sum_of_squares(outputs):
    """Backpropagate from all outputs that have a gradient."""
    total = sum((output * output).sum() for output in outputs if output.requires_grad)
    if not isinstance(total, int):
        total.backward()


@pytest.mark.parametrize("name, each", [each for each in PARAMETERS if each.values[1].inputs])
def test_evaluation_mode(name, each):
    ours, theirs = (module.eval() for module in build_both(name, each))
    _, our_outputs = call(fakel, ours, each)
    _, their_outputs = call(torch, theirs, each)
    for our_output, their_output in zip(our_outputs, their_outputs, strict=True):
        assert_close(our_output, their_output)


@pytest.mark.parametrize("name, each", PARAMETERS)
@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copies(name, each, duplicate):
    module = build(fakel, name, each)
    if name.startswith("Lazy"):
        call(fakel, module, each)
    copied = duplicate(module)
    assert type(copied) is type(module)
    assert repr(copied) == repr(module)
    assert set(vars(copied)) == set(vars(module))
    for (key, value), (_, original) in zip(
        copied.state_dict(keep_vars=True).items(),
        module.state_dict(keep_vars=True).items(),
        strict=True,
    ):
        assert type(value) is type(original), key
        assert value is not original
        assert value.requires_grad == original.requires_grad
        assert np.array_equal(value.detach().numpy(), original.detach().numpy())
