"""Tensors in golden files: short ones by their elements, long ones by a few and a checksum."""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np

SHORT = 40  # so many numbers are kept one by one
KEPT = 16  # of more, this many evenly spread, the first and the last among them


def described(torch: Any, tensor: Any) -> dict[str, Any]:
    """Shape, dtype and elements of a tensor of PyTorch or of fakel, for JSON."""
    tensor = tensor.detach()
    flat = tensor.contiguous().reshape(-1)
    numbers = torch.view_as_real(flat).reshape(-1) if flat.is_complex() else flat
    found = {"shape": list(tensor.shape), "dtype": str(tensor.dtype)}
    count = numbers.numel()
    if count <= SHORT:
        return {**found, "values": numbers.tolist()}
    places = [place * (count - 1) // (KEPT - 1) for place in range(KEPT)]
    return {**found, "spread": numbers[places].tolist(), "checksum": checksum(torch, flat)}


def checksum(torch: Any, tensor: Any) -> int:
    """CRC-32 of the bytes of a tensor's elements in order."""
    flat = tensor.contiguous().reshape(-1)
    return zlib.crc32(flat.view(torch.uint8).numpy().tobytes())


def assert_same(found: Any, recorded: Any, relative: float = 0, absolute: float = 0) -> None:
    """Asserts that what a case gives is what was recorded.

    Args:
        found: from fakel, with or without `described` tensors in it.
        recorded: from the golden file.
        relative: by how much floating-point numbers may differ, relative to themselves.
        absolute: likewise, in their own unit. Where both are 0 every bit must agree.

    Raises:
        AssertionError: when they differ.
    """
    if isinstance(recorded, dict) and "shape" in recorded and "dtype" in recorded:
        assert found["shape"] == recorded["shape"]
        assert found["dtype"] == recorded["dtype"]
        kind = "values" if "values" in recorded else "spread"
        np.testing.assert_allclose(found[kind], recorded[kind], rtol=relative, atol=absolute)
        if not (relative or absolute):
            assert found.get("checksum") == recorded.get("checksum")
    elif isinstance(recorded, dict):
        assert list(found) == list(recorded)
        for name, value in recorded.items():
            assert_same(found[name], value, relative, absolute)
    elif isinstance(recorded, list):
        assert len(found) == len(recorded)
        for ours, theirs in zip(found, recorded, strict=True):
            assert_same(ours, theirs, relative, absolute)
    elif isinstance(recorded, float):
        np.testing.assert_allclose(found, recorded, rtol=relative, atol=absolute)
    else:
        assert found == recorded
