"""Poisson, gamma and binomial numbers, drawn one at a time until a draw is accepted.

How many draws a number takes depends on the draws, so these cannot be made in bulk.
"""

from __future__ import annotations

import math

import numpy as np

from fakel.tensor.dtypes import dtype, float64
from fakel.tensor.generator import Generator

# log(k!) minus Stirling's formula without its correction, for small k
_STIRLING_TAIL = (
    0.0810614667953272,
    0.0413406959554092,
    0.0276779256849983,
    0.02079067210376509,
    0.0166446911898211,
    0.0138761288230707,
    0.0118967099458917,
    0.0104112652619720,
    0.00925546218271273,
    0.00833056343336287,
)


def poisson(generator: Generator, rates: np.ndarray) -> np.ndarray:
    """Poisson numbers for a flat array of rates, as float64.

    Raises:
        RuntimeError: for a negative rate.
    """
    return np.array([_poisson(generator, rate) for rate in rates.tolist()], np.float64)


def _poisson(generator: Generator, rate: float) -> float:
    if not rate >= 0:
        raise RuntimeError("invalid Poisson rate, expected rate to be non-negative")
    if rate >= 10:
        return _poisson_large(generator, rate)
    if rate == 0:
        return 0
    limit = math.exp(-rate)
    product = generator.uniform()
    count = 0
    while product > limit:
        count += 1
        product *= generator.uniform()
    return count


def _poisson_large(generator: Generator, rate: float) -> float:
    # W. Hörmann, "The transformed rejection method for generating Poisson random variables", 1993
    log_rate = math.log(rate)
    b = 0.931 + 2.53 * math.sqrt(rate)
    a = -0.059 + 0.02483 * b
    inverse_alpha = 1.1239 + 1.1328 / (b - 3.4)
    v_r = 0.9277 - 3.6224 / (b - 2)
    while True:
        u = generator.uniform() - 0.5
        v = generator.uniform()
        us = 0.5 - abs(u)
        if us == 0:
            continue
        k = math.floor((2 * a / us + b) * u + rate + 0.43)
        if us >= 0.07 and v <= v_r:
            return k
        if k < 0 or (us < 0.013 and v > us):
            continue
        bound = -rate + k * log_rate - math.lgamma(k + 1)
        if _log(v) + math.log(inverse_alpha) - math.log(a / (us * us) + b) <= bound:
            return k


def _log(x: float) -> float:
    return math.log(x) if x > 0 else -math.inf


def standard_gamma(generator: Generator, shapes: np.ndarray) -> np.ndarray:
    """Gamma numbers of scale 1 for a flat array of shape parameters, in the array's dtype."""
    smallest = np.finfo(shapes.dtype).smallest_normal
    kind = shapes.dtype.type
    values = [_standard_gamma(generator, shape, kind) for shape in shapes]
    result: np.ndarray = np.maximum(smallest, np.array(values, shapes.dtype))
    return result


def _standard_gamma(generator: Generator, shape: np.floating, kind: type) -> float:
    # G. Marsaglia and W. W. Tsang, "A simple method for generating gamma variables", 2000. PyTorch
    # computes some constants and the boosted shape in float32, as here.
    one, third = np.float32(1), np.float32(1) / np.float32(3)
    scale = 1.0
    if shape < 1:
        if shape == 0:
            return 0.0
        scale *= (1 - generator.uniform()) ** float(one / shape)
        shape = kind(shape + one)
    d = float(shape - third)
    c = 1.0 / math.sqrt(9.0 * d)
    while True:
        y = 0.0
        while y <= 0:
            x = _normal(generator)
            y = 1.0 + c * x
        v = y * y * y
        u = 1 - generator.uniform()
        xx = x * x
        if u < 1.0 - _SQUEEZE * xx * xx:
            return scale * d * v
        if math.log(u) < 0.5 * xx + d * (1.0 - v + math.log(v)):
            return scale * d * v


_SQUEEZE = float(np.float32(0.0331))


def _normal(generator: Generator) -> float:
    kept = generator.take_next_normal()
    if kept is not None:
        return kept
    angle = 2.0 * math.pi * generator.uniform()
    radius = math.sqrt(-2.0 * math.log1p(-generator.uniform()))
    generator.keep_next_normal(radius * math.sin(angle))
    return radius * math.cos(angle)


def binomial(generator: Generator, counts: np.ndarray, probabilities: np.ndarray) -> np.ndarray:
    """Binomial numbers for flat arrays of numbers of trials and probabilities of the same dtype."""
    kind = counts.dtype.type
    values = [_binomial(generator, n, p, kind) for n, p in zip(counts, probabilities, strict=True)]
    return np.array(values, counts.dtype)


def _binomial(
    generator: Generator, count: np.floating, probability: np.floating, kind: type
) -> float:
    if count <= 0 or probability <= 0:
        return 0.0
    if probability >= 1:
        return float(count)
    if probability <= 0.5:
        return _binomial_below_half(generator, count, probability)
    if probability > 0.5:
        rest = kind(1.0 - float(probability))
        return float(count) - _binomial_below_half(generator, count, rest)
    return math.nan


def _binomial_below_half(
    generator: Generator, count: np.floating, probability: np.floating
) -> float:
    if count * probability >= 10:
        return _binomial_rejection(generator, float(count), probability)
    # waiting times until successes, until they exceed the trials
    logarithm = float(np.log1p(-probability))
    elapsed = 0.0
    successes = 0
    while True:
        u = generator.uniform()
        elapsed += math.ceil(math.log(u) / logarithm) if u > 0 else math.inf
        if elapsed > count:
            return successes
        successes += 1


def _binomial_rejection(generator: Generator, count: float, probability: np.floating) -> float:
    # W. Hörmann, "The generation of binomial random variates", 1993
    kind = type(probability)
    p = float(probability)
    n = kind(count)
    deviation = float(np.sqrt(n * probability * (kind(1) - probability)))
    b = 1.15 + 2.53 * deviation
    a = -0.0873 + 0.0248 * b + 0.01 * p
    c = float(n * probability) + 0.5
    v_r = 0.92 - 4.2 / b
    r = float(probability / (kind(1) - probability))
    alpha = (2.83 + 5.1 / b) * deviation
    m = math.floor((n + kind(1)) * probability)
    while True:
        u = generator.uniform() - 0.5
        v = generator.uniform()
        us = 0.5 - abs(u)
        if us == 0:
            continue
        k = math.floor((2 * a / us + b) * u + c)
        if k < 0 or k > count:
            continue
        if us >= 0.07 and v <= v_r:
            return k
        v = _log(v * alpha / (a / (us * us) + b))
        bound = (
            (m + 0.5) * math.log((m + 1) / (r * (count - m + 1)))
            + (count + 1) * math.log((count - m + 1) / (count - k + 1))
            + (k + 0.5) * math.log(r * (count - k + 1) / (k + 1))
            + _stirling_tail(m)
            + _stirling_tail(count - m)
            - _stirling_tail(k)
            - _stirling_tail(count - k)
        )
        if v <= bound:
            return k


def _stirling_tail(k: float) -> float:
    if k < len(_STIRLING_TAIL):
        return _STIRLING_TAIL[int(k)]
    square = (k + 1) * (k + 1)
    return (1.0 / 12 - (1.0 / 360 - 1.0 / 1260 / square) / square) / (k + 1)


def dirichlet(generator: Generator, concentrations: np.ndarray, dtype: dtype) -> np.ndarray:
    """Points of a simplex, one for each row of concentrations: gamma numbers over their sum."""
    shapes = concentrations.astype(np.float64)
    gamma = standard_gamma(generator, shapes.reshape(-1)).reshape(shapes.shape)
    values = (gamma / gamma.sum(axis=-1, keepdims=True)).astype(concentrations.dtype)
    kind = np.float64 if dtype is float64 else np.float32
    smallest = np.finfo(kind).smallest_normal
    result: np.ndarray = np.clip(values, smallest, np.nextafter(kind(1), kind(0)))
    return result
