"""Operator cases as data: `case("add", floats(3, 4), floats(4), alpha=2)` is a line of a table."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

REAL = ("float32", "float64", "float16", "bfloat16", "int64", "int32", "uint8", "bool")
EVERY = (*REAL, "complex64")
FLOATS = ("float32", "float64", "float16", "bfloat16")
NUMBERS = ("float32", "float64", "int64", "int32", "uint8")


@dataclass(frozen=True)
class Input:
    """A tensor argument. Its dtype is the one under test unless it is given.

    domain: what values it has; constant: no gradient is asked for
    """

    shape: tuple[int, ...]
    domain: str = "normal"
    dtype: str | None = None
    high: int = 5
    constant: bool = False


@dataclass(frozen=True)
class Name:
    """An argument that is a name of the package: a dtype, a memory format."""

    name: str


@dataclass(frozen=True)
class Case:
    """One call of an operator.

    numpy: what it means, on arrays, where NumPy has a word for it
    dtypes: the dtypes of the inputs that leave theirs open
    gradient: the order up to which derivatives are checked numerically; 0 where the result has
        none, None where PyTorch promises one and raises when it is asked for
    method: whether the function is a method of its first argument too
    in_place: whether `name_` gives the same on the first argument; None asks the shapes and dtypes
    views: the case is run with non-contiguous inputs too
    """

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    numpy: Callable[..., Any] | None = None
    dtypes: tuple[str, ...] = ("float32", "float64")
    gradient: int | None = 2
    method: bool = True
    in_place: bool | None = None
    out: bool = True
    views: bool = True
    tolerance: float = 1.0
    label: str = field(default="", compare=False)

    @property
    def dtype(self) -> str:
        """The dtype for what is checked in one dtype only."""
        return self.dtypes[0]

    @property
    def seed(self) -> int:
        return zlib.crc32(f"{self.name}{self.args}{sorted(self.kwargs)}".encode())

    def __str__(self) -> str:
        return self.label


@dataclass(frozen=True)
class Mistake:
    """A call that must raise `error` with `text` in its message, as PyTorch does."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    error: type[Exception]
    text: str

    @property
    def seed(self) -> int:
        return 0

    def __str__(self) -> str:
        return f"{self.name}-{self.text[:40]}"


def case(name: str, *args: Any, numpy=None, options: dict[str, Any] | None = None, **kwargs: Any):
    """A line of a table. `options` are fields of `Case`; other keywords go to the operator."""
    return Case(name, args, kwargs, numpy, **(options or {}))


def mistake(error: type[Exception], text: str, name: str, *args: Any, **kwargs: Any) -> Mistake:
    return Mistake(name, args, kwargs, error, text)


def floats(*shape: int, domain: str = "normal", dtype: str | None = None) -> Input:
    return Input(shape, domain, dtype)


def constant(*shape: int, domain: str = "normal") -> Input:
    return Input(shape, domain, constant=True)


def integers(*shape: int, high: int = 5, dtype: str = "int64") -> Input:
    return Input(shape, "index", dtype, high)


def flags(*shape: int) -> Input:
    return Input(shape, "normal", "bool")


def walk(value: Any, change: Callable[[Any], Any]) -> Any:
    """The arguments with every `Input` and `Name` replaced."""
    if isinstance(value, Input | Name):
        return change(value)
    if isinstance(value, list | tuple):
        return type(value)(walk(part, change) for part in value)
    if isinstance(value, dict):
        return {key: walk(part, change) for key, part in value.items()}
    if isinstance(value, slice):
        return slice(*(walk(part, change) for part in (value.start, value.stop, value.step)))
    return value


def values(spec: Input, dtype: str, random: np.random.Generator) -> np.ndarray:
    """An array for `spec` (bfloat16 as float32); complex where the dtype is."""
    dtype = spec.dtype or dtype
    storage = {"bfloat16": "float32"}.get(dtype, dtype)
    return np.asarray(_draw(spec, np.dtype(storage), random)).astype(storage)


def _draw(spec: Input, dtype: np.dtype, random: np.random.Generator):
    shape = spec.shape
    if spec.domain == "index":
        return random.integers(0, spec.high, shape)
    if dtype.kind == "b":
        return random.random(shape) < 0.5
    if dtype.kind in "iu":
        return _whole(spec, shape, random, signed=dtype.kind == "i")
    draw = DOMAINS[spec.domain]
    return draw(random, shape) + (1j * draw(random, shape) if dtype.kind == "c" else 0)


def _whole(spec, shape, random, *, signed):
    if spec.domain == "distinct":
        return random.permutation(int(np.prod(shape))).reshape(shape)
    low = 1 if spec.domain != "normal" or not signed else -5
    return random.integers(low, 6, shape)


def _distinct(random, shape):
    """No two values nearer than a tenth, none near zero: for maxima, sorting and other kinks."""
    count = int(np.prod(shape))
    return (random.permutation(count).reshape(shape) - count / 2 + 0.35) * 0.25


def _definite(random, shape):
    root = random.normal(size=shape)
    return root @ np.swapaxes(root, -1, -2) + shape[-1] * np.eye(shape[-1])


def _away(random, shape):
    """Further than 0.15 from zero and from every half: smooth under abs, round, clamp."""
    whole = random.integers(-3, 3, shape)
    return (
        whole
        + np.where(random.random(shape) < 0.5, 0.25, 0.75)
        + random.uniform(-0.08, 0.08, shape)
    )


DOMAINS: dict[str, Callable[..., Any]] = {
    "normal": lambda random, shape: random.normal(size=shape),
    "positive": lambda random, shape: random.uniform(0.2, 3.0, shape),
    "unit": lambda random, shape: random.uniform(0.05, 0.95, shape),
    "open": lambda random, shape: random.uniform(-0.9, 0.9, shape),
    "above one": lambda random, shape: random.uniform(1.1, 3.0, shape),
    "nonzero": lambda random, shape: random.choice([-1, 1], shape) * random.uniform(0.3, 3, shape),
    "distinct": _distinct,
    "definite": _definite,
    "away": _away,
    "logarithms": lambda random, shape: np.log(random.dirichlet(np.ones(shape[-1]), shape[:-1])),
    "sign": lambda random, shape: random.choice([-1.0, 1.0], shape),
    "sorted": lambda random, shape: np.sort(random.normal(size=shape)),
}
