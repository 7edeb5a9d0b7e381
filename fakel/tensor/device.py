"""``torch.device``: there is one device, the CPU."""

from __future__ import annotations

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
        elif ":" in type:
            name, number = type.split(":", 1)
            if not number.isdigit():
                raise RuntimeError(f"Invalid device string: '{type}'")
            type, index = name, int(number)
        if type not in _KINDS.split(", "):
            raise RuntimeError(
                f"Expected one of {_KINDS} device type at start of device string: {type}"
            )
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
