"""Models: torchvision's names, printed form, initial weights and outputs."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import fakel
from fakel.vision import models

# One of each family; their siblings differ in numbers only, which the structure test covers.
FAMILIES = ["resnet18", "resnext50_32x4d", "squeezenet1_0", "squeezenet1_1", "mobilenet_v2"]
# Without those that have hundreds of megabytes of weights.
LIGHT = [
    name
    for name in models.list_models()
    if not name.startswith(("lenet", "alexnet", "vgg", "wide", "resnext101", "resnet152"))
]


def build(framework, module, name, **arguments):
    framework.manual_seed(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        return getattr(module, name)(num_classes=7, **arguments)


@pytest.mark.parametrize("name", [*FAMILIES, "googlenet", "densenet121"])
def test_same_weights_and_outputs_as_torchvision(name, torch, torchvision):
    theirs = build(torch, torchvision.models, name).eval()
    mine = build(fakel, models, name).eval()
    assert str(mine) == str(theirs)
    expected = theirs.state_dict()
    actual = mine.state_dict()
    assert list(actual) == list(expected)
    for key in expected:
        np.testing.assert_allclose(
            actual[key].numpy(), expected[key].numpy(), rtol=1e-6, atol=1e-7, err_msg=key
        )
    images = np.random.default_rng(0).standard_normal((2, 3, 64, 64)).astype(np.float32)
    with torch.no_grad(), fakel.no_grad():
        reference = theirs(torch.from_numpy(images)).numpy()
        output = mine(fakel.from_numpy(images)).numpy()
    np.testing.assert_allclose(output, reference, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", LIGHT)
def test_same_structure_as_torchvision(name, torch, torchvision):
    with torch.device("meta"):
        theirs = build(torch, torchvision.models, name)
    mine = build(fakel, models, name)
    shapes = {key: tuple(value.shape) for key, value in mine.state_dict().items()}
    assert shapes == {key: tuple(value.shape) for key, value in theirs.state_dict().items()}
    assert str(mine) == str(theirs)


@pytest.mark.parametrize("name", models.list_models("vgg*"))
def test_convolutions_of_vgg(name, torch, torchvision, monkeypatch):
    monkeypatch.setattr(models.vgg, "VGG", lambda features, num_classes: features)
    with torch.device("meta"):
        theirs = build(torch, torchvision.models, name).features
    assert str(build(fakel, models, name)) == str(theirs)


def test_lenet():
    output = models.lenet(num_classes=3)(fakel.rand(2, 1, 28, 28))
    assert output.shape == (2, 3)


def test_training_outputs_of_googlenet():
    network = models.googlenet(num_classes=4, init_weights=False)
    outputs = network(fakel.rand(2, 3, 64, 64))
    assert isinstance(outputs, models.GoogLeNetOutputs)
    assert [output.shape for output in outputs] == [(2, 4)] * 3


def test_gradients_reach_every_parameter():
    network = models.resnet18(num_classes=3)
    network(fakel.rand(2, 3, 32, 32)).sum().backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_trained_weights_are_refused():
    with pytest.raises(RuntimeError, match="cannot download trained weights for resnet18"):
        models.resnet18(weights="DEFAULT")
    with (
        pytest.warns(UserWarning, match="parameter 'pretrained' is deprecated"),
        pytest.raises(RuntimeError, match="weights=None"),
    ):
        models.resnet18(pretrained=True)
    assert models.squeezenet1_1(weights=None, progress=False) is not None


@pytest.mark.parametrize("how", [lambda f: f(pretrained=False), lambda f: f(False)])
def test_old_ways_warn_as_in_torchvision(how, torchvision):
    def texts(function):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            how(function)
        return [str(warning.message) for warning in caught]

    assert texts(models.squeezenet1_1) == texts(torchvision.models.squeezenet1_1)


def test_wrong_arguments(torchvision):
    calls = [
        lambda m: m.resnet18(norm_layer=None, replace_stride_with_dilation=[True]),
        lambda m: m.resnet18(groups=2),
        lambda m: m.resnext50_32x4d(groups=3),
        lambda m: m.SqueezeNet("2_0"),
        lambda m: m.mobilenet_v2(inverted_residual_setting=[]),
        lambda m: m.get_model("resnet19"),
    ]
    for call in calls:
        with pytest.raises(ValueError) as expected:
            call(torchvision.models)
        with pytest.raises(ValueError) as actual:
            call(models)
        assert str(actual.value) == str(expected.value)


def test_registry():
    assert "resnet18" in models.list_models("resnet*")
    assert models.list_models(exclude=["*"]) == []
    assert models.get_model_builder("ResNet18") is models.resnet18
    assert isinstance(models.get_model("lenet"), models.LeNet)
