"""Runs a function of nn.functional under both packages: values, first and second gradients."""

from __future__ import annotations

import numpy as np

from tests.support.package import package

TOLERANCE = {"rtol": 1e-6, "atol": 1e-8}


def numbers(*shape: int, seed: int = 0) -> np.ndarray:
    """Normal float64 numbers of a shape."""
    return np.random.default_rng((seed, *shape)).normal(size=shape)


def assert_agree(torch, call, *arrays, order: int = 2) -> None:
    """`call(F, *tensors)` gives the same outputs and gradients under both packages.

    torch: the oracle
    call: takes the module nn.functional and the arrays as tensors; gives a tensor or several
    arrays: floating-point ones get gradients; None stays None
    order: up to which derivative the two are compared
    """
    found, expected = (_run(module, call, arrays, order) for module in (package, torch))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, **TOLERANCE)


def _run(module, call, arrays, order):
    module.manual_seed(0)
    tensors = [None if array is None else module.from_numpy(np.array(array)) for array in arrays]
    leaves = [t.requires_grad_() for t in tensors if t is not None and t.is_floating_point()]
    outputs = _flat(call(module.nn.functional, *tensors))
    results = list(outputs)
    for step in range(order):
        outputs = [each for each in outputs if each.requires_grad]
        total = sum((each * _weights(module, each)).sum() for each in outputs)
        found = [None] * len(leaves)
        if outputs:
            found = module.autograd.grad(
                total, leaves, create_graph=step + 1 < order, allow_unused=True
            )
        outputs = [
            module.zeros_like(leaf) if gradient is None else gradient
            for gradient, leaf in zip(found, leaves, strict=True)
        ]
        results += outputs
    return [each.detach().numpy(force=True) for each in results]


def _flat(outputs):
    if isinstance(outputs, tuple | list):
        return [leaf for part in outputs for leaf in _flat(part)]
    return [] if outputs is None else [outputs]


def _weights(module, tensor):
    weights = np.cos(np.arange(tensor.numel(), dtype=np.float64)).reshape(tuple(tensor.shape))
    return module.from_numpy(np.asarray(weights)).to(tensor.dtype)
