"""torch.nn.grad: gradients of convolutions by size, against PyTorch's."""

import importlib
import itertools

import numpy as np
import pytest

import fakel
from tests.nn.both import compare, scenarios

torch = pytest.importorskip("torch")
GEOMETRIES = list(itertools.product((1, 2, 3), (1, 2), (0, 1), (1, 2), (1, 2)))


@pytest.mark.parametrize(("dims", "stride", "padding", "dilation", "groups"), GEOMETRIES)
def test_gradients(dims, stride, padding, dilation, groups):
    size, kernel = (9, 6, 7)[:dims], (3, 2, 2)[:dims]
    rng = np.random.default_rng(0)
    x = rng.standard_normal((2, 4, *size)).astype("f4")
    w = rng.standard_normal((6, 4 // groups, *kernel)).astype("f4")
    forward = getattr(torch.nn.functional, f"conv{dims}d")
    geometry = (stride, padding, dilation, groups)
    y = forward(torch.tensor(x), torch.tensor(w), None, *geometry)
    gradient = rng.standard_normal(y.shape).astype("f4")

    def results(library):
        grad = importlib.import_module(f"{library.__name__}.nn.grad")
        data, weight, of_output = (library.tensor(each) for each in (x, w, gradient))
        input_gradient = getattr(grad, f"conv{dims}d_input")
        weight_gradient = getattr(grad, f"conv{dims}d_weight")
        return (
            input_gradient(x.shape, weight, of_output, *geometry).numpy(),
            weight_gradient(data, w.shape, of_output, *geometry).numpy(),
        )

    for ours, theirs in zip(results(fakel), results(torch), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-5)


def sizes_that_do_not_fit(library, report):
    grad = importlib.import_module(f"{library.__name__}.nn.grad")
    x, w, y = (library.ones(s) for s in [(2, 4, 8, 8), (6, 2, 3, 3), (2, 6, 6, 6)])
    report(lambda: grad.conv2d_input(x.shape, w, y))
    report(lambda: grad.conv2d_input(x.shape[1:], w, y, groups=2))
    report(lambda: grad.conv2d_input(x.shape, w, y.double(), groups=2))
    report(lambda: grad.conv2d_weight(x, w.shape, y, groups=3))
    report(lambda: grad.conv2d_weight(x, w.shape, y, stride=0, groups=2))
    report(lambda: grad.conv2d_weight(x, w.shape, y, stride=(1, 1, 1), groups=2))
    report(lambda: grad.conv2d_weight(x[0], w.shape, y, groups=2))


@pytest.mark.parametrize("scenario", scenarios(globals()))
def test_same_as_pytorch(scenario):
    compare(scenario, fakel, torch)


def test_an_output_gradient_of_another_size():
    x, w, y = (fakel.ones(s) for s in [(2, 4, 8, 8), (6, 4, 3, 3), (2, 6, 6, 5)])
    with pytest.raises(RuntimeError, match=r"grad_output of size \[2, 6, 6, 6\]"):
        fakel.nn.grad.conv2d_input(x.shape, w, y)
    with pytest.raises(RuntimeError, match=r"grad_output of size \[2, 6, 6, 6\]"):
        fakel.nn.grad.conv2d_weight(x, w.shape, y)
