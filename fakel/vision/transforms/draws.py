"""Random numbers for transforms, from the default generator: PyTorch's, in PyTorch's order.

They come straight from the generator, without a tensor around each: augmenting draws them one by
one.
"""

from __future__ import annotations

from fakel.tensor import dtypes, sampling
from fakel.tensor.generator import default_generator


def chance() -> float:
    """A number from [0, 1): what `torch.rand(1)` gives."""
    return uniform(0.0, 1.0)


def uniform(low: float, high: float) -> float:
    """A number from [low, high): what `torch.empty(1).uniform_(low, high)` gives."""
    return float(sampling.uniform(default_generator, 1, low, high, dtypes.float32)[0])


def whole_number(low: int, high: int) -> int:
    """A whole number from low to high - 1: what `torch.randint(low, high, (1,))` gives."""
    return int(sampling.integers(default_generator, 1, low, high, dtypes.int64)[0])
