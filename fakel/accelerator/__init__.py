"""``torch.accelerator`` as a PyTorch built for the CPU shows it: there is none."""

from __future__ import annotations

from typing import Any

__all__ = [
    "current_accelerator",
    "current_device_idx",
    "current_device_index",
    "current_stream",
    "device_count",
    "is_available",
    "set_device_idx",
    "set_device_index",
    "set_stream",
    "synchronize",
]


def is_available() -> bool:
    """False: fakel runs on the CPU."""
    return False


def device_count() -> int:
    """0: fakel runs on the CPU."""
    return 0


def current_accelerator(check_available: bool = False) -> None:
    """None: there is no accelerator."""


def _refuse(name: str) -> Any:
    def refuse(*args: Any, **kwargs: Any) -> Any:
        raise RuntimeError("Cannot access accelerator device when none is available.")

    refuse.__name__ = refuse.__qualname__ = name
    refuse.__doc__ = "Refused: there is no accelerator."
    return refuse


current_device_index = current_device_idx = _refuse("current_device_index")
set_device_index = set_device_idx = _refuse("set_device_index")
current_stream = _refuse("current_stream")
set_stream = _refuse("set_stream")
synchronize = _refuse("synchronize")
