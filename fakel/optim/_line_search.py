"""Line search for L-BFGS: a step length that meets the strong Wolfe conditions.

Nocedal and Wright, "Numerical Optimization", algorithms 3.5 (bracketing) and 3.6 (zoom), with cubic
interpolation (their equation 3.59).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from fakel.tensor import Tensor

SUFFICIENT_DECREASE = 1e-4
CURVATURE = 0.9
SMALLEST_CHANGE = 1e-9


@dataclass(frozen=True)
class _Point:
    """A step length with the loss, the gradient and the slope along the direction there."""

    length: float
    loss: float
    gradient: Tensor
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], tuple[float, Tensor]],
    length: float,
    direction_size: float,
    loss: float,
    gradient: Tensor,
    slope: float,
    direction: Tensor,
    max_evaluations: int,
) -> tuple[float, Tensor, float, int]:
    """Finds a step length along ``direction``.

    Args:
        evaluate: gives loss and gradient at a step length
        length: first trial
        direction_size: largest magnitude in ``direction``
        loss, gradient, slope: loss, gradient and slope at length zero
        direction: the direction
        max_evaluations: bound on the number of trials

    Returns loss, gradient and length of the best point, and the number of evaluations.
    """

    def trial(at: float) -> _Point:
        new_loss, new_gradient = evaluate(at)
        return _Point(at, new_loss, new_gradient, new_gradient.dot(direction).item())

    def decreases(point: _Point) -> bool:
        return point.loss <= loss + SUFFICIENT_DECREASE * point.length * slope

    def is_flat(point: _Point) -> bool:
        return abs(point.slope) <= -CURVATURE * slope

    origin = previous = _Point(0.0, loss, gradient, slope)
    current = trial(length)
    evaluations = 1
    trials = 0
    bracket = None
    while trials < max_evaluations:
        if not decreases(current) or (trials > 1 and current.loss >= previous.loss):
            bracket = [previous, current]
            break
        if is_flat(current):
            return current.loss, current.gradient, current.length, evaluations
        if current.slope >= 0:
            bracket = [previous, current]
            break
        nearest = current.length + 0.01 * (current.length - previous.length)
        farthest = current.length * 10
        next_length = _minimum_of_cubic(previous, current, nearest, farthest)
        previous, current = current, trial(next_length)
        evaluations += 1
        trials += 1
    if bracket is None:
        bracket = [origin, current]

    low, high = sorted(bracket, key=lambda point: point.loss)
    stuck = False
    while trials < max_evaluations:
        left, right = sorted((low.length, high.length))
        if (right - left) * direction_size < SMALLEST_CHANGE:
            break
        next_length = _minimum_of_cubic(low, high, left, right)
        # A minimum near an end of the bracket means little progress: a second one in a row, or one
        # at the very end, is moved inwards by a tenth of the bracket.
        margin = 0.1 * (right - left)
        near_end = min(right - next_length, next_length - left) < margin
        if near_end and (stuck or next_length >= right or next_length <= left):
            nearer_right = abs(next_length - right) < abs(next_length - left)
            next_length = right - margin if nearer_right else left + margin
            stuck = False
        else:
            stuck = near_end
        current = trial(next_length)
        evaluations += 1
        trials += 1
        if not decreases(current) or current.loss >= low.loss:
            low, high = sorted((low, current), key=lambda point: point.loss)
            continue
        if is_flat(current):
            low = current
            break
        if current.slope * (high.length - low.length) >= 0:
            high = low
        low = current
    return low.loss, low.gradient, low.length, evaluations


def _minimum_of_cubic(first: _Point, second: _Point, smallest: float, largest: float) -> float:
    """The minimum, within bounds, of the cubic through two points with their slopes."""
    left, right = (first, second) if first.length <= second.length else (second, first)
    secant = left.slope + right.slope
    secant -= 3 * (left.loss - right.loss) / (left.length - right.length)
    discriminant = secant**2 - left.slope * right.slope
    if not discriminant >= 0:
        return (smallest + largest) / 2
    root = discriminant**0.5
    share = (right.slope + root - secant) / (right.slope - left.slope + 2 * root)
    return min(max(right.length - (right.length - left.length) * share, smallest), largest)
