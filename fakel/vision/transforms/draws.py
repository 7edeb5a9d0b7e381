"""Random numbers for transforms, drawn from fakel's default generator in PyTorch's order."""

from __future__ import annotations

from fakel import ops


def chance() -> float:
    """A number from [0, 1): what `torch.rand(1)` gives."""
    return ops.rand(1).item()


def uniform(low: float, high: float) -> float:
    """A number from [low, high): what `torch.empty(1).uniform_(low, high)` gives."""
    return ops.empty(1).uniform_(low, high).item()


def whole_number(low: int, high: int) -> int:
    """A whole number from low to high - 1: what `torch.randint(low, high, (1,))` gives."""
    return ops.randint(low, high, (1,)).item()
