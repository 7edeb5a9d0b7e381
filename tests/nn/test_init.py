"""Initialisation: PyTorch's numbers from golden files, its errors and warnings, and properties."""

import math

import numpy as np
import pytest

import fakel
from fakel.nn import init
from tests.goldens import cases, load, tolerances
from tests.goldens.values import assert_same

GOLDEN = load("init")
CASES = cases("init", fakel)


@pytest.mark.parametrize("expression", GOLDEN)
def test_numbers_are_those_of_pytorch(expression):
    assert_same(CASES[expression](), GOLDEN[expression], **tolerances("init", expression))


CALLS = {
    "uniform_": "init.uniform_(t, -1, 2)",
    "normal_": "init.normal_(t, 1, 2)",
    "trunc_normal_": "init.trunc_normal_(t, std=0.5)",
    "narrow trunc_normal_": "init.trunc_normal_(t, 0, 1, 1.0, 1.5)",
    "far trunc_normal_": "init.trunc_normal_(t, 0, 0.1, 0.15, 9.0)",
    "xavier_uniform_": "init.xavier_uniform_(t)",
    "xavier_normal_": "init.xavier_normal_(t, 3)",
    "kaiming_uniform_": "init.kaiming_uniform_(t, math.sqrt(5))",
    "kaiming_normal_": "init.kaiming_normal_(t, mode='fan_out', nonlinearity='relu')",
}


@pytest.mark.parametrize("shape", [(3, 4), (40, 30), (5, 4, 3, 3)])
@pytest.mark.parametrize("name", CALLS)
def test_every_value_is_pytorchs(torch, name, shape):
    results = []
    for library in (fakel, torch):
        library.manual_seed(7)
        names = {"init": library.nn.init, "t": library.empty(*shape), "math": math}
        results.append(eval(CALLS[name], names).numpy())
        results.append(library.get_rng_state().numpy())
    np.testing.assert_array_equal(results[0], results[2])
    np.testing.assert_array_equal(results[1], results[3])


@pytest.mark.parametrize("shape", [(3, 4), (40, 30), (5, 4, 3, 3)])
def test_transposed_weights_get_the_numbers_of_their_memory(torch, shape):
    results = []
    for library in (fakel, torch):
        library.manual_seed(7)
        weight = library.empty(*shape)
        library.nn.init.kaiming_uniform_(weight.transpose(0, 1))
        library.nn.init.normal_(weight.transpose(0, 1), 0, 0.1)
        results.append(weight.numpy())
    np.testing.assert_array_equal(*results)


LAYERS = load("layers")
LAYER_CASES = cases("layers", fakel)


@pytest.mark.filterwarnings("ignore")  # old functions and options without effect
@pytest.mark.parametrize("layer", LAYERS)
def test_layers_start_with_pytorchs_weights(layer):
    assert_same(LAYER_CASES[layer](), LAYERS[layer], **tolerances("layers", layer))


@pytest.mark.parametrize("shape", [(3, 7), (7, 3), (6, 2, 5)])
def test_orthogonal_matrices(torch, shape):
    fakel.manual_seed(7)
    ours = init.orthogonal_(fakel.empty(*shape)).numpy()
    torch.manual_seed(7)
    theirs = torch.nn.init.orthogonal_(torch.empty(*shape)).numpy()
    np.testing.assert_allclose(ours, theirs, atol=2e-6)
    matrix = ours.reshape(shape[0], -1)
    small = matrix @ matrix.T if matrix.shape[0] < matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(small, np.eye(len(small)), atol=1e-5)


def test_sparse_draws_its_zeros_from_the_default_generator(torch):
    results = []
    for library in (fakel, torch):
        library.manual_seed(7)
        source = library.Generator().manual_seed(3)
        weight = library.nn.init.sparse_(library.empty(10, 6), 0.35, generator=source)
        results.append(weight.numpy())
    np.testing.assert_array_equal(*results)
    assert ((results[0] == 0).sum(axis=0) == 4).all()


def test_values_without_chance():
    assert init.ones_(fakel.empty(2)).tolist() == [1.0, 1.0]
    assert init.zeros_(fakel.empty(2)).tolist() == [0.0, 0.0]
    assert init.constant_(fakel.empty(2), 3).tolist() == [3.0, 3.0]
    assert init.eye_(fakel.empty(2, 3)).tolist() == [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]
    weight = init.dirac_(fakel.empty(4, 2, 3), groups=2)
    image = fakel.arange(12.0).reshape(1, 4, 3)
    passed_on = fakel.nn.functional.conv1d(image, weight, padding=1, groups=2)
    assert passed_on.tolist() == image.tolist()


def test_parameters_stay_leaves_and_keep_their_identity():
    weight = fakel.empty(3, 4, requires_grad=True)
    for function in (init.xavier_uniform_, init.kaiming_normal_, init.orthogonal_, init.zeros_):
        assert function(weight) is weight
        assert weight.is_leaf and weight.requires_grad and weight.grad_fn is None


def test_generators_are_used():
    state = fakel.get_rng_state().tolist()
    first = init.trunc_normal_(fakel.empty(30), generator=fakel.Generator().manual_seed(1))
    second = init.trunc_normal_(fakel.empty(30), generator=fakel.Generator().manual_seed(1))
    assert first.tolist() == second.tolist()
    assert fakel.get_rng_state().tolist() == state


@pytest.mark.parametrize(
    "name",
    ["linear", "conv2d", "conv_transpose3d", "sigmoid", "tanh", "relu", "leaky_relu", "selu"],
)
def test_gains_are_those_of_pytorch(torch, name):
    assert init.calculate_gain(name) == torch.nn.init.calculate_gain(name)
    assert init.calculate_gain(name, 0.3) == torch.nn.init.calculate_gain(name, 0.3)


ERRORS = {
    "init.calculate_gain('gelu')": "Unsupported nonlinearity gelu",
    "init.calculate_gain('leaky_relu', True)": "negative_slope True not a valid number",
    "init.eye_(torch.empty(3))": "Only tensors with 2 dimensions are supported",
    "init.dirac_(torch.empty(3, 3))": "Only tensors with 3, 4, or 5 dimensions are supported",
    "init.dirac_(torch.empty(3, 3, 3), 2)": "dim 0 must be divisible by groups",
    "init.orthogonal_(torch.empty(3))": "Only tensors with 2 or more dimensions are supported",
    "init.sparse_(torch.empty(3), 0.1)": "Only tensors with 2 dimensions are supported",
    "init.xavier_normal_(torch.empty(3))": (
        "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
    ),
    "init.kaiming_normal_(torch.empty(3, 3), mode='fan')": (
        "Mode fan not supported, please use one of ['fan_in', 'fan_out']"
    ),
}


@pytest.mark.parametrize("expression", ERRORS)
def test_errors_are_those_of_pytorch(torch, expression):
    for library in (fakel, torch):
        with pytest.raises(ValueError) as caught:
            eval(expression, {"torch": library, "init": library.nn.init})
        assert str(caught.value) == ERRORS[expression]


def test_warnings():
    with pytest.warns(UserWarning, match="Initializing zero-element tensors is a no-op"):
        init.kaiming_uniform_(fakel.empty(0, 3))
    with pytest.warns(UserWarning, match="mean is more than 2 std from"):
        init.trunc_normal_(fakel.empty(3), 5.0, 0.5, -1.0, 1.0)
    with pytest.warns(FutureWarning, match="`nn.init.uniform` is now deprecated in favor of"):
        init.uniform(fakel.empty(3))


def test_all_names_of_pytorch_are_there(torch):
    assert sorted(init.__all__) == sorted(torch.nn.init.__all__)
