"""How far a result may differ: the interpreter with random rounding errors tells.

A tolerance that holds for every program does not exist: a difference of nearly equal numbers, a
logarithm near one, ten iterations of a recurrence make rounding errors arbitrarily larger. So a
program is run several times by an interpreter that changes the inputs and outputs of every
operator that rounds by a random few units in the last place ("Monte Carlo arithmetic"). Where its
results spread, the program does not determine them any better, and where a comparison, a maximum
or a floor goes either way, nothing can be said at all.
"""

from __future__ import annotations

import numpy as np

from fakel.interpreter import Interpreter, evaluate, narrow

RUNS = 5
# relative errors: four units in the last place, twice what a compiled function may be wrong by
_NOISE = {"float32": 2.0**-21, "float64": 2.0**-50, "complex64": 2.0**-21, "complex128": 2.0**-50}
# a compiled result may lie further out than five samples: six times their largest distance
_FACTOR = 6
# below the normal numbers there are only absolute errors
_SMALLEST = {"float16": 1e-7, "bfloat16": 1e-37, "float32": 1e-37, "float64": 1e-307}
_EPSILON = {"float16": 2.0**-10, "bfloat16": 2.0**-7, "float32": 2.0**-22, "float64": 2.0**-51}
# operators that give some of their inputs' values, or decide by them, without any rounding
EXACT = set(
    """
    abs all amax amin any argmax argmin argsort cat ceil clamp constant_pad_nd copy count_nonzero
    cummax cummin embedding eq failed flip floor frac full gather ge gt index index_copy index_put
    index_select isfinite isinf isnan isneginf isposinf kthvalue le logical_and logical_not
    logical_or logical_xor lt masked_fill max max_pool max_pool_gradient maximum median
    median_of_all min minimum mode ne neg one_hot output pad_from_elements relu relu_gradient
    repeat roll round scatter searchsorted sign signbit sort stack threshold topk tril triu trunc
    unstride value view where write
    """.split()
)


# parts of the names of operators that square float32 in float64
_DEVIATIONS = "norm", "var", "std"


def _overflowed(array: np.ndarray | None) -> np.ndarray | None:
    if array is None or array.dtype != np.float32:
        return array
    return np.where(np.abs(array) > 1e18, np.copysign(np.float32(np.inf), array), array)


class Noisy(Interpreter):
    """The interpreter, with random rounding errors. Seed 0 computes float32 in float64: it tells
    where sums overflow in one order and not in another. Seed 1 takes numbers whose squares overflow
    for infinite where deviations are computed, which the interpreter does in float64.
    """

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.random = np.random.default_rng(seed)
        self.wide, self.overflows = seed == 0, seed == 1

    def _compute(self, node) -> None:
        if node.operator.name in EXACT:
            super()._compute(node)
            return
        inputs = [
            None if source is None else self._noisy(source.value, source.dtype)
            for source in node.inputs
        ]
        if self.overflows and any(part in node.operator.name for part in _DEVIATIONS):
            inputs = list(map(_overflowed, inputs))
        values = self._values(node, inputs)
        if type(node.dtype) is tuple:
            node.value = tuple(map(self._noisy, values, node.dtype))
        else:
            node.value = self._noisy(values[0], node.dtype)

    def _values(self, node, inputs: list) -> tuple[np.ndarray, ...]:
        kinds = {source.dtype.name for source in node.inputs if source is not None}
        if not self.wide or "float32" not in kinds or kinds & {"float16", "bfloat16"}:
            return evaluate(node, inputs)
        wider = [
            each.astype(np.float64) if each is not None and each.dtype == np.float32 else each
            for each in inputs
        ]
        result = node.operator.meaning(*wider, **node.parameters)
        if type(node.dtype) is tuple:
            return tuple(map(narrow, result, node.dtype))
        return (narrow(result, node.dtype),)

    def _noisy(self, array: np.ndarray, dtype) -> np.ndarray:
        if dtype.name == "bfloat16":  # stored as bits: a step up or down
            steps = self.random.integers(-1, 2, array.shape)
            normal = (array & 0x7FFF) - 1 < 0x7F7E
            return np.where(normal, array + steps, array).astype(array.dtype)
        if dtype.name == "float16":
            towards = self.random.choice(np.array([-np.inf, np.inf], np.float16), array.shape)
            moved = np.nextafter(array, towards)
            keep = ~np.isfinite(moved) | (array == 0) | (self.random.random(array.shape) < 0.5)
            return np.where(keep, array, moved)
        size = _NOISE.get(dtype.name)
        if size is None:
            return array
        noise = self.random.uniform(1 - size, 1 + size, array.shape)
        return np.asarray(array * noise).astype(array.dtype)


def disagreement(
    found: np.ndarray, expected: np.ndarray, noisy: list[np.ndarray], dtype: str
) -> str | None:
    """What is wrong with a result, or None.

    Args:
        found: the result under test.
        expected: the interpreter's.
        noisy: those of interpreters with rounding errors; of other shapes where the values decide.
        dtype: its element type (bfloat16 comes as float32).
    """
    if any(each.shape != expected.shape for each in noisy):
        return None
    if found.dtype != expected.dtype or found.shape != expected.shape:
        return f"{found.dtype} {found.shape}, expected {expected.dtype} {expected.shape}"
    if expected.dtype.kind not in "fc":
        wrong = found != expected
        for each in noisy:
            wrong &= each == expected
        return _report(wrong, found, expected, np.zeros(expected.shape))
    with np.errstate(all="ignore"):
        undecided = np.zeros(expected.shape, bool)
        spread = np.zeros(expected.shape)
        for each in noisy:
            undecided |= _class_of(each) != _class_of(expected)
            spread = np.fmax(spread, np.abs(each.astype("f8") - expected))
        finite = np.isfinite(expected) & ~undecided
        spread = np.where(finite, spread, 0)
        # an element's own samples may happen to lie close together
        typical = np.median(spread[finite]) if finite.any() else 0.0
        allowed = _FACTOR * np.fmax(spread, typical)
        allowed += 4 * _EPSILON[dtype] * np.abs(expected) + _SMALLEST[dtype]
        same = _class_of(found) == _class_of(expected)
        near = np.abs(found.astype("f8") - expected) <= allowed
        wrong = ~undecided & ~(same & (near | ~finite))
    return _report(wrong, found, expected, allowed)


def _class_of(values: np.ndarray) -> np.ndarray:
    """0 for finite numbers, 1 for NaN, 2 and 3 for the infinities."""
    signs = np.where(values > 0, 2, 3)
    return np.where(np.isnan(values), 1, np.where(np.isinf(values), signs, 0))


def _report(wrong, found, expected, allowed) -> str | None:
    if not wrong.any():
        return None
    place = tuple(int(i) for i in np.argwhere(wrong)[0])
    return (
        f"{int(wrong.sum())} of {wrong.size} elements; the first at {place}: "
        f"{found[place]!r}, expected {expected[place]!r} within {allowed[place]:.3g}"
    )
