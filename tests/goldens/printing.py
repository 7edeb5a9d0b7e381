"""How a few hundred tensors print."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

DTYPES = (
    "float32 float64 float16 bfloat16 int8 int16 int32 int64 uint8 uint16 uint32 uint64 bool "
    "complex64 complex128"
).split()
SHAPES = [
    (),
    (0,),
    (1,),
    (3,),
    (7,),
    (30,),
    (0, 3),
    (2, 0, 4),
    (2, 3),
    (1, 1),
    (5, 1, 2),
    (2, 2, 3, 2),
]
LARGE_SHAPES = [(1001,), (7, 150), (10, 11, 12), (2, 600), (1001, 1), (3, 7, 7, 8)]
OPTIONS = [
    {"precision": 2},
    {"precision": 8},
    {"linewidth": 40},
    {"linewidth": 200},
    {"sci_mode": True},
    {"sci_mode": False},
    {"profile": "short"},
    {"threshold": 5},
    {"threshold": 5, "edgeitems": 1},
    {"threshold": 3, "edgeitems": 0},
    {"profile": "full", "linewidth": 120},
    {"precision": 0},
]


def real_values(random: np.random.RandomState, kind: str, shape: tuple[int, ...]) -> np.ndarray:
    normal = random.standard_normal(shape)
    special = random.choice([0.0, -0.0, np.nan, np.inf, -np.inf, 1.0], shape)
    return {
        "normal": normal,
        "integers": np.round(normal * 20),
        "wide": normal * 10.0 ** random.randint(-6, 6, shape),
        "small": normal * 1e-6,
        "large integers": np.round(normal * 1e9),
        "special": np.where(random.uniform(size=shape) < 0.4, special, normal),
        "only special": special,
        "special integers": np.where(
            random.uniform(size=shape) < 0.3, special, np.round(normal * 9)
        ),
        "zeros": np.zeros(shape),
    }[kind]


KINDS = (
    "normal, integers, wide, small, large integers, special, only special, special integers, zeros"
).split(", ")


def float_to_bfloat16(values: np.ndarray) -> np.ndarray:
    return (np.asarray(values, np.float32).view(np.uint32) >> 16).astype(np.uint16)


def make(
    random: np.random.RandomState, dtype: str, kind: str, shape: tuple[int, ...]
) -> np.ndarray:
    """The values in the form in which the dtype is stored (bfloat16 as its 16 bits)."""
    if dtype == "bool":
        return np.asarray(random.uniform(size=shape) < 0.5)
    if "int" in dtype:
        info = np.iinfo(dtype)
        width = {"normal": 100, "integers": 10}.get(kind)
        low, high = (info.min, info.max) if width is None else (max(info.min, -width), width)
        values = random.uniform(float(low), float(high) * 0.999, shape)
        return np.asarray(values).astype(dtype)
    with np.errstate(over="ignore"):
        if dtype.startswith("complex"):
            imaginary = real_values(random, kind, shape)
            values = np.empty(shape, dtype)
            values.real, values.imag = real_values(random, kind, shape), imaginary
            return values
        if dtype == "bfloat16":
            return float_to_bfloat16(real_values(random, kind, shape)).reshape(shape)
        return np.asarray(real_values(random, kind, shape)).astype(dtype)


def choices() -> list[tuple]:
    """dtype, kind of values, shape, options, requires_grad, default dtype."""
    chosen: list[tuple[str, str, tuple[int, ...], dict, bool, str]] = []
    for dtype in DTYPES:
        for number, shape in enumerate(SHAPES):
            kind = KINDS[(number + len(dtype)) % len(KINDS)]
            chosen.append((dtype, kind, shape, {}, False, "float32"))
    for dtype in ("float32", "float64", "complex64"):
        for kind in KINDS:
            for shape in ((), (6,), (3, 5)):
                chosen.append((dtype, kind, shape, {}, number % 2 == 0, "float32"))
    for dtype in ("float32", "int64", "bfloat16", "complex64", "bool"):
        for number, shape in enumerate(LARGE_SHAPES):
            chosen.append((dtype, KINDS[number % 3], shape, {}, False, "float32"))
    for option in OPTIONS:
        for dtype in ("float32", "int64", "complex128", "float16"):
            for shape in ((9,), (4, 3), (), (2, 0)):
                chosen.append(
                    (
                        dtype,
                        "wide" if len(shape) == 1 else "normal",
                        shape,
                        option,
                        False,
                        "float32",
                    )
                )
    for dtype in ("float32", "float64", "complex64", "complex128", "int64"):
        for shape in ((2,), (0,), ()):
            chosen.append((dtype, "normal", shape, {}, dtype != "int64", "float64"))
    for dtype in ("float32", "float16", "complex64"):
        for length in range(8, 24):
            chosen.append((dtype, "normal", (length,), {}, True, "float32"))
    return chosen


def printed(
    torch: Any,
    values: np.ndarray,
    dtype: str,
    options: dict[str, Any],
    requires_grad: bool,
    default: str,
) -> str:
    """The text of a tensor under print options and a default dtype."""
    kind = getattr(torch, dtype)
    data = bytearray(values.tobytes())
    flat = torch.frombuffer(data, dtype=kind) if data else torch.empty(0, dtype=kind)
    tensor = flat.reshape(values.shape).clone()
    tensor.requires_grad_(requires_grad)
    torch.set_printoptions(profile="default")
    torch.set_printoptions(**options)
    torch.set_default_dtype(getattr(torch, default))
    try:
        return repr(tensor)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_printoptions(profile="default")


def cases(torch: Any) -> dict[str, Callable[[], str]]:
    """All of them."""
    random = np.random.RandomState(0)
    table = {}
    for number, (dtype, kind, shape, *rest) in enumerate(choices()):
        values = make(random, dtype, kind, shape)
        name = f"{number}: {dtype} {kind} {list(shape)} {rest[0]}"
        table[name] = functools.partial(printed, torch, values, dtype, *rest)
    return table
