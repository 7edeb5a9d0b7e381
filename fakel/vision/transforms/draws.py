"""Random numbers for transforms, from the default generator: PyTorch's, in PyTorch's order.

They come straight from the generator, without a tensor around each. For a whole batch the
generator's words of 32 bits are drawn at once, and `chances` and `whole_numbers` read them.
"""

from __future__ import annotations

import numpy as np

from fakel.tensor import dtypes, sampling
from fakel.tensor.generator import default_generator

# Ranges of whole numbers from here on take more than one word.
_WIDE = 1 << 28


def chance() -> float:
    """A number from [0, 1): what `torch.rand(1)` gives."""
    return (int(default_generator.draw32(1)[0]) & 0xFFFFFF) * 2.0**-24


def uniform(low: float, high: float) -> float:
    """A number from [low, high): what `torch.empty(1).uniform_(low, high)` gives."""
    value = np.float32(chance())
    start, end = np.float32(low), np.float32(high)
    extent = end - start
    if start == 0 or extent == 1:
        result = value * extent + start
    else:
        # a fused multiplication and addition: rounded once
        result = np.float32(float(value) * float(extent) + float(start))
    return float(start if result == end else result)


def whole_number(low: int, high: int) -> int:
    """A whole number from low to high - 1: what `torch.randint(low, high, (1,))` gives."""
    if 0 < high - low < _WIDE:
        return low + int(default_generator.draw32(1)[0]) % (high - low)
    return int(sampling.integers(default_generator, 1, low, high, dtypes.int64)[0])


def words(count: int, each: int) -> np.ndarray:
    """The next words of 32 bits, (count, each)."""
    return default_generator.draw32(count * each).reshape(count, each)


def chances(words: np.ndarray) -> np.ndarray:
    """What `chance` makes of each word."""
    return (words & 0xFFFFFF) * 2.0**-24


def whole_numbers(words: np.ndarray, low: int, high: int) -> np.ndarray:
    """What `whole_number` makes of each word."""
    return low + (words % (high - low)).astype(np.int64)
