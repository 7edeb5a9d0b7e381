"""Records how PyTorch prints a few hundred tensors: `python tests/goldens/printing_record.py`.

Writes printing.json.gz beside this file; tests/tensor/test_printing.py reads it without PyTorch.
"""

from __future__ import annotations

import base64
import gzip
import json
from pathlib import Path

import numpy as np

TARGET = Path(__file__).with_name("printing.json.gz")

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


def cases() -> list[dict]:
    random = np.random.RandomState(0)
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
    return [
        {
            "dtype": dtype,
            "shape": list(shape),
            "bytes": base64.b64encode(make(random, dtype, kind, shape).tobytes()).decode(),
            "options": option,
            "requires_grad": requires_grad,
            "default_dtype": default,
        }
        for dtype, kind, shape, option, requires_grad, default in chosen
    ]


def printed_by_torch(case: dict) -> str:
    import torch

    dtype = getattr(torch, case["dtype"])
    data = bytearray(base64.b64decode(case["bytes"]))
    flat = torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)
    tensor = flat.reshape(case["shape"]).clone()
    tensor.requires_grad_(case["requires_grad"])
    torch.set_printoptions(profile="default")
    torch.set_printoptions(**case["options"])
    torch.set_default_dtype(getattr(torch, case["default_dtype"]))
    try:
        return repr(tensor)
    finally:
        torch.set_default_dtype(torch.float32)
        torch.set_printoptions(profile="default")


def main() -> None:
    recorded = [{**case, "text": printed_by_torch(case)} for case in cases()]
    body = json.dumps(recorded, separators=(",", ":")).encode()
    TARGET.write_bytes(gzip.compress(body, mtime=0))
    print(f"{len(recorded)} cases, {TARGET.stat().st_size} bytes")


if __name__ == "__main__":
    main()
