"""Negative log likelihood and its gradient, against the interpreter and PyTorch."""

import numpy as np
import pytest

import fakel
from tests.support.graphs import check


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize(
    ("shape", "order"),
    [
        ((5,), (0,)),
        ((4, 5), (0, 1)),
        ((5, 4), (1, 0)),
        ((2, 5, 3), (0, 1, 2)),
        ((2, 5, 3, 4), (0, 1, 2, 3)),
        ((2, 3, 4, 5), (0, 3, 1, 2)),  # channels last
        ((4, 5, 2, 3), (2, 1, 3, 0)),
        ((2, 5, 3, 1, 2), (0, 1, 2, 3, 4)),
    ],
    ids=str,
)
def test_likelihood_of_any_shape(torch, shape, order, reduction):
    rng = np.random.default_rng(0)
    values = rng.standard_normal(shape).astype("f4")
    size = tuple(shape[dim] for dim in order)
    target = rng.integers(0, 5, (size[0], *size[2:]) if len(size) > 1 else ())
    if len(size) > 1:
        target[..., :1] = -100
    weight = rng.random(5).astype("f4") + 0.5

    def results(torch):
        x = torch.tensor(values, requires_grad=True)
        options = {"weight": torch.tensor(weight), "reduction": reduction}
        turned = x.permute(order)
        if torch is not fakel:
            turned = turned.contiguous()  # PyTorch's backward pass refuses others
        loss = torch.nn.functional.nll_loss(turned, torch.tensor(target), **options)
        (loss * loss.cos()).sum().backward()
        return loss.detach(), x.grad

    check(lambda: results(fakel))
    for found, expected in zip(results(fakel), results(torch), strict=True):
        np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)
