"""``torch.device``: there is one device, the CPU."""

from __future__ import annotations

import re
from typing import Any

_KINDS = (
    "cpu, cuda, ipu, xpu, mkldnn, opengl, opencl, ideep, hip, ve, fpga, maia, xla, lazy, vulkan, "
    "mps, "
    "meta, hpu, mtia, privateuseone"
)


class device:
    """A device by name ("cpu", "cuda:0") or by type and index.

    Other devices than the CPU can be named, as programs do to compare them, but hold no tensors.

    Raises:
        RuntimeError: for a name that is no device.
    """

    __slots__ = ("index", "type")
    type: str
    index: int | None

    def __init__(self, type: Any, index: int | None = None) -> None:
        if isinstance(type, device):
            index = type.index
            type = type.type
        elif isinstance(type, int):
            type, index = "cuda", type
        elif not isinstance(type, str):
            raise TypeError(
                f"device(): argument 'type' (position 1) must be str, not {type.__class__.__name__}"
            )
        else:
            type, index = _parsed(type, index)
        self.type = type
        self.index = index

    def __repr__(self) -> str:
        suffix = "" if self.index is None else f", index={self.index}"
        return f"device(type='{self.type}'{suffix})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device) and (self.type, self.index) == (other.type, other.index)

    def __hash__(self) -> int:
        return hash((self.type, self.index))

    def __reduce__(self) -> Any:
        return device, (self.type, self.index)

    def __enter__(self) -> device:
        check_device(self)
        return self

    def __exit__(self, *exception: object) -> None:
        return None


def _parsed(text: str, index: Any) -> tuple[str, int | None]:
    """Type and index of a device string, in which the index may stand too."""
    if not text:
        raise RuntimeError("Device string must not be empty")
    match = re.fullmatch(r"([a-zA-Z_]+)(?::(0|[1-9]\d*))?", text)
    if match is None:
        raise RuntimeError(f"Invalid device string: '{text}'")
    kind, number = match.groups()
    if kind not in _KINDS.split(", "):
        raise RuntimeError(
            f"Expected one of {_KINDS} device type at start of device string: {text}"
        )
    if index is None:
        return kind, None if number is None else int(number)
    if number is not None:
        raise RuntimeError(
            f"type (string) must not include an index because index was passed explicitly: {text}"
        )
    if not isinstance(index, int):
        found = index.__class__.__name__
        raise TypeError(f"device(): argument 'index' (position 2) must be int, not {found}")
    if index < 0:
        raise RuntimeError("Device index must not be negative")
    return kind, index


CPU = device("cpu")


def check_device(wanted: Any) -> None:
    """Refuses every device but the CPU, with the error of a PyTorch built for the CPU."""
    if wanted is None or wanted is CPU:
        return
    chosen = device(wanted)
    if chosen.type == "cpu":
        return
    if chosen.type == "cuda":
        raise AssertionError("Torch not compiled with CUDA enabled")
    raise RuntimeError(f"PyTorch is not linked with support for {chosen.type} devices")
