"""``torch.cuda`` as a PyTorch built for the CPU shows it: there is no device."""

from __future__ import annotations

import importlib
from typing import Any

_NO_CUDA = "Torch not compiled with CUDA enabled"


def is_available() -> bool:
    """False: fakel runs on the CPU."""
    return False


def device_count() -> int:
    """0: fakel runs on the CPU."""
    return 0


def is_initialized() -> bool:
    """False: there is nothing to initialise."""
    return False


def is_bf16_supported(including_emulation: bool = True) -> bool:
    """False: there is no CUDA device."""
    return False


def manual_seed(seed: int) -> None:
    """Has no effect without a CUDA device, as in PyTorch."""


def manual_seed_all(seed: int) -> None:
    """Has no effect without a CUDA device, as in PyTorch."""


def empty_cache() -> None:
    """Has no effect without a CUDA device, as in PyTorch."""


def _refuse(name: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise AssertionError(_NO_CUDA)

    refuse.__name__ = name
    refuse.__doc__ = "Refused: there is no CUDA device."
    return refuse


synchronize = _refuse("synchronize")
current_device = _refuse("current_device")
set_device = _refuse("set_device")
get_device_name = _refuse("get_device_name")
get_device_properties = _refuse("get_device_properties")
get_device_capability = _refuse("get_device_capability")
mem_get_info = _refuse("mem_get_info")


def memory_allocated(device: Any = None) -> int:
    """0: there is no CUDA device."""
    return 0


max_memory_allocated = memory_reserved = max_memory_reserved = memory_allocated


def __getattr__(name: str) -> Any:
    if name == "amp":  # loaded at its first use
        return importlib.import_module("fakel.cuda.amp")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
