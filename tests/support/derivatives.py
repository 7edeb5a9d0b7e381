"""Numerical check of gradients to any order, by random projections, in float64.

A function of several arrays is reduced to a number by random weights and moved along a random
direction: one pair of evaluations checks every entry of every gradient. The next order checks the
gradient as a function of the same inputs.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

STEP = 1e-5
TOLERANCE = 1e-5


def check_derivatives(
    package, function: Callable, points: Sequence[np.ndarray], order: int
) -> None:
    """Raises AssertionError where a derivative up to `order` disagrees with differences.

    function: takes tensors, gives a tensor or several
    points: where, one float64 array an input
    """
    random = np.random.default_rng(7)
    directions = [random.normal(size=point.shape) for point in points]

    def outputs(step: float):
        inputs = [
            package.tensor(point + step * direction, requires_grad=True)
            for point, direction in zip(points, directions)
        ]
        found = function(*inputs)
        found = found if isinstance(found, list | tuple) else (found,)
        return inputs, [part for part in found if part.is_floating_point()]

    inputs, found = outputs(0.0)
    weights = [random.normal(size=tuple(part.shape)) for part in found]

    def project(parts) -> float:
        arrays = [part.detach().numpy(force=True) for part in parts]
        return float(sum((weight * array).sum() for weight, array in zip(weights, arrays)))

    numeric = (project(outputs(STEP)[1]) - project(outputs(-STEP)[1])) / (2 * STEP)
    gradients = _gradients(package, inputs, found, weights, create_graph=False)
    exact = float(sum((g.numpy(force=True) * d).sum() for g, d in zip(gradients, directions)))
    np.testing.assert_allclose(exact, numeric, rtol=TOLERANCE, atol=TOLERANCE)
    if order > 1:
        check_derivatives(
            package,
            lambda *inputs: _gradients(
                package, inputs, function(*inputs), weights, create_graph=True
            ),
            points,
            order - 1,
        )


def _gradients(package, inputs, found, weights, *, create_graph: bool):
    """The gradient of every input (zeros where none arrives)."""
    found = found if isinstance(found, list | tuple) else (found,)
    found = [part for part in found if part.is_floating_point()]
    total = sum((part * package.tensor(weight)).sum() for part, weight in zip(found, weights))
    if not total.requires_grad:
        return [package.zeros_like(tensor) for tensor in inputs]
    gradients = package.autograd.grad(
        total, list(inputs), create_graph=create_graph, allow_unused=True
    )
    return [
        package.zeros_like(tensor) if gradient is None else gradient
        for tensor, gradient in zip(inputs, gradients)
    ]
