"""What kernels need to know of the processor that they are written for."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Iterator
from dataclasses import dataclass

from llvmlite import binding

_BITS = {"i1": 8, "i8": 8, "u8": 8, "i16": 16, "i32": 32, "i64": 64, "f32": 32, "f64": 64}
_LINE_BITS = 512


@dataclass(frozen=True)
class Target:
    """Vector registers: how wide (in bits), and how many."""

    vector_bits: int
    registers: int


AVX512 = Target(512, 32)
AVX2 = Target(256, 16)
NEON = Target(128, 32)
SSE2 = Target(128, 16)

_chosen: list[Target] = []


@functools.cache
def host() -> Target:
    """The processor that this process runs on."""
    if binding.get_default_triple().startswith(("aarch64", "arm64")):
        return NEON
    features = binding.get_host_cpu_features()
    if features.get("avx512f") and features.get("avx512vl"):
        return AVX512
    return AVX2 if features.get("avx2") and features.get("fma") else SSE2


def current() -> Target:
    """The processor that kernels are written for."""
    return _chosen[-1] if _chosen else host()


@contextlib.contextmanager
def override(target: Target) -> Iterator[None]:
    """Kernels are written for another processor: tests read (or run) code for narrower vectors."""
    _chosen.append(target)
    try:
        yield
    finally:
        _chosen.pop()


def lanes(scalar: str) -> int:
    """How many elements of a type one vector register holds."""
    return current().vector_bits // _BITS[scalar]


def line(scalar: str) -> int:
    """How many elements of a type a line of the cache holds."""
    return _LINE_BITS // _BITS[scalar]


def registers() -> int:
    """The number of vector registers."""
    return current().registers
