"""The names of torch.nn: what is there, and what is known to be missing."""

import importlib
import inspect

import pytest

import fakel
from tests.nn.both import compare, scenarios

torch = pytest.importorskip("torch")

MISSING = {
    "nn": {
        "LinearCrossEntropyLoss",
        "LinearCrossEntropyOptions",
        "factory_kwargs",
        "intrinsic",
        "qat",
        "quantizable",
        "quantized",
    },
    "nn.utils": {
        "convert_conv2d_weight_memory_format",
        "convert_conv3d_weight_memory_format",
        "skip_init",
    },
    "nn.utils.rnn": set(),
    "nn.utils.prune": set(),
    "nn.utils.parametrize": {"transfer_parametrizations_and_params"},
    "nn.utils.parametrizations": set(),
    "nn.parameter": set(),
    "nn.common_types": set(),
    "nn.grad": set(),
}


@pytest.mark.parametrize("path", sorted(MISSING))
def test_names(path):
    ours = importlib.import_module(f"fakel.{path}")
    theirs = importlib.import_module(f"torch.{path}")
    wanted = getattr(theirs, "__all__", None) or [
        name
        for name, value in vars(theirs).items()
        if not name.startswith("__")
        and getattr(value, "__module__", theirs.__name__).startswith("torch.nn")
    ]
    wanted = [
        name for name in wanted if not inspect.ismodule(getattr(theirs, name)) or path == "nn"
    ]
    public = {name for name in wanted if not name.startswith("_") or path == "nn.common_types"}
    assert {name for name in public if not hasattr(ours, name)} == MISSING[path]


def choice_of_attention_kernels(library, report):
    attention = importlib.import_module(f"{library.__name__}.nn.attention")
    backend = attention.SDPBackend
    x = library.ones(1, 2, 3, 4)
    with attention.sdpa_kernel([backend.MATH, backend.FLASH_ATTENTION]):
        report(library.nn.functional.scaled_dot_product_attention(x, x, x))
    with attention.sdpa_kernel(backend.MATH):
        report(str(backend.MATH), int(backend.EFFICIENT_ATTENTION))
    report(lambda: attention.sdpa_kernel(3).__enter__())


@pytest.mark.parametrize("scenario", scenarios(globals()))
def test_same_as_pytorch(scenario):
    compare(scenario, fakel, torch)
