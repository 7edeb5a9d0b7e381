"""PyTorch's random numbers, as flat NumPy arrays in the storage type of their dtype.

Every function takes the generator first and draws exactly what PyTorch's CPU kernels draw, in the
same order, so that the numbers and the generator's state afterwards are the same. float32 and
narrower results agree in every bit, float64 ones too where the C library is the same.

No CPU differs. (Releases before 2.7 had MKL draw ``bernoulli_`` and ``exponential_`` on Intel's,
from a stream that repeated itself: pytorch/pytorch#132395.)
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Concatenate, ParamSpec

import numpy as np

from fakel.interpreter import narrow
from fakel.tensor.arithmetic import by_c_library, fused_multiply_add
from fakel.tensor.box_muller import normal_blocks
from fakel.tensor.dtypes import bool_, dtype, float64
from fakel.tensor.generator import Generator

# bits of the mantissa, the leading one included
DIGITS = {"float16": 11, "bfloat16": 8, "float32": 24, "float64": 53}
_BLOCK = 16  # from this many elements on, normal numbers are made in blocks
_WIDE = 1 << 28  # ranges of integers from here on take 64-bit draws, so that remainders are fair
_WIDE_PERMUTATION = ((1 << 32) - 1) // 20  # likewise
_FEW_PLACES = 64  # up to here swapping one after the other is faster
_PIECE = 1 << 16  # drawn at a time, so that intermediate arrays stay small

_P = ParamSpec("_P")


def _piecewise(
    draw: Callable[Concatenate[Generator, int, _P], np.ndarray],
) -> Callable[Concatenate[Generator, int, _P], np.ndarray]:
    """Lets a function that draws ``count`` numbers, each for itself, draw them piece by piece."""

    @functools.wraps(draw)
    def pieces(
        generator: Generator, count: int, /, *args: _P.args, **kwargs: _P.kwargs
    ) -> np.ndarray:
        if count <= _PIECE:
            return draw(generator, count, *args, **kwargs)
        first = draw(generator, _PIECE, *args, **kwargs)
        result = np.empty(count, first.dtype)
        result[:_PIECE] = first
        for start in range(_PIECE, count, _PIECE):
            piece = draw(generator, min(_PIECE, count - start), *args, **kwargs)
            result[start : start + _PIECE] = piece
        return result

    return pieces


# --- uniform ---


@_piecewise
def uniform32(generator: Generator, count: int) -> np.ndarray:
    """float32 numbers from [0, 1) with 24 random bits: the low ones of a 32-bit draw."""
    values = (generator.draw32(count) & 0xFFFFFF).astype(np.float32)
    values *= np.float32(2.0**-24)
    return values


@_piecewise
def uniform64(generator: Generator, count: int) -> np.ndarray:
    """float64 numbers from [0, 1) with 53 random bits: the low ones of a 64-bit draw."""
    values = (generator.draw64(count) & np.uint64((1 << 53) - 1)).astype(np.float64)
    values *= 2.0**-53
    return values


@_piecewise
def uniform(generator: Generator, count: int, low: float, high: float, dtype: dtype) -> np.ndarray:
    """Numbers from [low, high)."""
    values = uniform64(generator, count) if dtype is float64 else uniform32(generator, count)
    if (low, high) != (0, 1):
        kind = values.dtype.type
        values = fused_multiply_add(values, kind(high) - kind(low), low)
    elif dtype.itemsize >= 4:
        return values
    # rounding can lead up to the upper bound, which does not belong to the range
    stored = narrow(values, dtype)
    low_end, high_end = narrow(np.array([low, high]), dtype)
    stored[stored == high_end] = low_end
    return stored


# --- normal ---


def normal(
    generator: Generator, count: int, mean: float, std: float, dtype: dtype, blocks: bool = True
) -> np.ndarray:
    """Normal numbers.

    Args:
        generator: what they are drawn from.
        count: how many.
        mean: their mean.
        std: their standard deviation.
        dtype: a floating-point dtype.
        blocks: whether 16 and more are made in blocks, as PyTorch does in contiguous memory.
    """
    if count < _BLOCK or not blocks:
        return _cast(_serial_normal(generator, count, mean, std), dtype)
    draw = uniform64 if dtype is float64 else uniform32
    whole = count - count % _BLOCK
    values = np.empty(count, np.float64 if dtype is float64 else np.float32)
    if dtype.itemsize >= 4:
        values[:whole] = normal_blocks(draw(generator, count)[:whole], mean, std)
    else:
        values[:whole] = normal_blocks(draw(generator, whole), mean, std)
    if whole != count:  # the last 16 are drawn anew
        values[-_BLOCK:] = normal_blocks(draw(generator, _BLOCK), mean, std)
    return narrow(values, dtype)


def _serial_normal(generator: Generator, count: int, mean: float, std: float) -> np.ndarray:
    """Box-Muller pairs in float64. The second number of a pair that is not needed is kept."""
    values = np.empty(count)
    kept = generator.take_next_normal() if count else None
    start = 0
    if kept is not None:
        values[0] = kept
        start = 1
    pairs = (count - start + 1) // 2
    if pairs:
        drawn = uniform64(generator, 2 * pairs).reshape(pairs, 2)
        radius = np.sqrt(-2.0 * by_c_library(math.log1p, -drawn[:, 1]))
        angle = (2.0 * math.pi) * drawn[:, 0]
        both = np.empty((pairs, 2))
        both[:, 0] = radius * by_c_library(math.cos, angle)
        both[:, 1] = radius * by_c_library(math.sin, angle)
        values[start:] = both.reshape(-1)[: count - start]
        if (count - start) % 2:
            generator.keep_next_normal(float(both[-1, 1]))
    return fused_multiply_add(values, std, mean)


def log_normal(
    generator: Generator, count: int, mean: float, std: float, dtype: dtype
) -> np.ndarray:
    """Exponentials of normal numbers."""
    return _cast(by_c_library(_exp, _serial_normal(generator, count, mean, std)), dtype)


def _exp(x: float) -> float:
    try:
        return math.exp(x)
    except OverflowError:
        return math.inf


# --- integers ---


@_piecewise
def integers(generator: Generator, count: int, low: int, high: int, dtype: dtype) -> np.ndarray:
    """Integers from [low, high), in any dtype.

    The range decides between draws of 32 and 64 bits.
    """
    width = high - low
    if width >= _WIDE:
        drawn = generator.draw64(count)
    else:
        drawn = generator.draw32(count).astype(np.uint64)
    offset = np.uint64(low % (1 << 64))
    return _cast((drawn % np.uint64(width) + offset).view(np.int64), dtype)


@_piecewise
def any_int64(generator: Generator, count: int, dtype: dtype) -> np.ndarray:
    """Integers from the whole range of int64, in any dtype that takes 64-bit draws."""
    return _cast(generator.draw64(count).view(np.int64), dtype)


@_piecewise
def any_integers(generator: Generator, count: int, dtype: dtype) -> np.ndarray:
    """Integers from 0 to the largest of the dtype; up to ``2**digits`` for floating point."""
    if dtype is bool_:
        return (generator.draw32(count) & 1).astype(np.bool_)
    wide = dtype.name in ("int64", "float64")
    drawn = generator.draw64(count) if wide else generator.draw32(count).astype(np.uint64)
    if dtype.is_floating_point:
        ways = (1 << DIGITS[dtype.name]) + 1
    else:
        ways = int(np.iinfo(dtype.storage).max) + 1
    return _cast((drawn % np.uint64(ways)).view(np.int64), dtype)


def _cast(values: np.ndarray, dtype: dtype) -> np.ndarray:
    """Rounds as C++ does: to the two narrow floating-point types by way of float32."""
    if dtype.name in ("float16", "bfloat16"):
        with np.errstate(over="ignore"):
            return narrow(values.astype(np.float32), dtype)
    return narrow(values, dtype)


def permutation(generator: Generator, count: int) -> np.ndarray:
    """The numbers below ``count`` in random order, int64: Fisher and Yates' shuffle."""
    draw = generator.draw32 if count < _WIDE_PERMUTATION else generator.draw64
    places = np.arange(count, dtype=np.int64)
    drawn = draw(max(count - 1, 0)).astype(np.uint64)
    partners = places.copy()
    partners[:-1] += (drawn % (count - places[:-1]).astype(np.uint64)).astype(np.int64)
    return _swapped(partners)


def _swapped(partners: np.ndarray) -> np.ndarray:
    """What swapping place i with ``partners[i] >= i``, for every i in turn, makes of 0, 1, 2, …

    All at once: the number that a swap takes away from its own place i was put there by the last
    earlier swap that had i as its partner, and so on back to a swap whose place nobody touched.
    What ends up at i comes from its partner's place, where the last earlier swap with that partner
    has put what it took away from its own.
    """
    count = len(partners)
    if count <= _FEW_PLACES:
        numbers = list(range(count))
        for here, there in enumerate(partners.tolist()):
            numbers[here], numbers[there] = numbers[there], numbers[here]
        return np.array(numbers, np.int64)
    places = np.arange(count, dtype=np.int64)
    taken = places.copy()
    elsewhere = partners != places
    taken[partners[elsewhere]] = places[elsewhere]  # of repeated partners the last one counts
    while True:
        earlier = taken[taken]
        if (earlier == taken).all():
            break
        taken = earlier
    by_partner = np.sort(partners * count + places)
    partner, place = np.divmod(by_partner, max(count, 1))
    result = partners.copy()
    again = np.flatnonzero(partner[1:] == partner[:-1])
    result[place[again + 1]] = taken[place[again]]
    return result


# --- others ---


@_piecewise
def bernoulli(generator: Generator, count: int, probability: float) -> np.ndarray:
    """Truth values that are true with one probability."""
    return uniform64(generator, count) < probability


def bernoulli_each(generator: Generator, probabilities: np.ndarray) -> np.ndarray:
    """Truth values that are true with a probability each: a flat array, float32 or float64."""
    draw = uniform64 if probabilities.dtype == np.float64 else uniform32
    return draw(generator, probabilities.size) < probabilities


@_piecewise
def exponential(generator: Generator, count: int, rate: float, dtype: dtype) -> np.ndarray:
    """Exponentially distributed numbers."""
    uniform = uniform64(generator, count)
    logarithm = by_c_library(math.log1p, -uniform) if dtype is float64 else np.log1p(-uniform)
    return _cast((-1.0 / rate) * logarithm, dtype)


@_piecewise
def geometric(generator: Generator, count: int, probability: float, dtype: dtype) -> np.ndarray:
    """How many trials it takes until one succeeds."""
    uniform = uniform64(generator, count)
    with np.errstate(divide="ignore"):
        trials = np.ceil(np.log(uniform) / math.log1p(-probability))
    return _cast(trials, dtype)


@_piecewise
def cauchy(
    generator: Generator, count: int, median: float, sigma: float, dtype: dtype
) -> np.ndarray:
    """Numbers of the Cauchy distribution."""
    angles = math.pi * (uniform64(generator, count) - 0.5)
    return _cast(fused_multiply_add(by_c_library(math.tan, angles), sigma, median), dtype)


# --- multinomial ---


def multinomial_with_replacement(
    generator: Generator, weights: np.ndarray, count: int
) -> np.ndarray:
    """Indices drawn by weight, again and again.

    Args:
        generator: what they are drawn from.
        weights: shape (rows, categories), float32 or float64.
        count: draws a row.

    Returns:
        Indices of shape (rows, count).

    Raises:
        RuntimeError: for weights that are negative, not finite or all zero.
    """
    result = np.empty((len(weights), count), np.int64)
    for row, weight in enumerate(weights):
        if not (weight >= 0).all():
            raise RuntimeError(
                "invalid multinomial distribution (encountering probability entry < 0)"
            )
        if not np.isfinite(weight).all():
            raise RuntimeError(
                "invalid multinomial distribution (encountering probability entry = infinity or "
                "NaN)"
            )
        cumulated = np.cumsum(weight)
        if not cumulated[-1] > 0:
            raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
        cumulated /= cumulated[-1]
        cumulated[-1] = 1
        result[row] = np.searchsorted(cumulated.astype(np.float64), uniform64(generator, count))
    return result
