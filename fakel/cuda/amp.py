"""``torch.cuda.amp``: the older names of ``torch.amp``, for CUDA."""

from __future__ import annotations

import functools
import warnings
from typing import Any

from fakel import amp
from fakel.tensor import dtype, dtypes

__all__ = ["GradScaler", "autocast", "custom_bwd", "custom_fwd"]


def _warn(old: str, new: str) -> None:
    warnings.warn(
        f"`torch.cuda.amp.{old}` is deprecated. Please use `torch.amp.{new}` instead.",
        FutureWarning,
        stacklevel=3,
    )


class autocast(amp.autocast):
    """``torch.amp.autocast("cuda", ...)``: nothing is cast, since there is no such device.

    Args:
        enabled: whether anything would be cast.
        dtype: bfloat16 or float16.
        cache_enabled: whether a parameter would be cast once for all its uses.
    """

    def __init__(
        self, enabled: bool = True, dtype: dtype = dtypes.float16, cache_enabled: bool = True
    ) -> None:
        _warn("autocast(args...)", "autocast('cuda', args...)")
        super().__init__("cuda", enabled=enabled, dtype=dtype, cache_enabled=cache_enabled)


class GradScaler(amp.GradScaler):
    """``torch.amp.GradScaler("cuda", ...)``: disabled, since there is no such device.

    Args:
        init_scale: the factor at first.
        growth_factor: by what it grows.
        backoff_factor: by what it shrinks.
        growth_interval: after how many good steps in a row it grows.
        enabled: whether it would do anything.
    """

    def __init__(
        self,
        init_scale: float = 2.0**16,
        growth_factor: float = 2.0,
        backoff_factor: float = 0.5,
        growth_interval: int = 2000,
        enabled: bool = True,
    ) -> None:
        _warn("GradScaler(args...)", "GradScaler('cuda', args...)")
        super().__init__(
            "cuda", init_scale, growth_factor, backoff_factor, growth_interval, enabled
        )


def custom_fwd(fwd: Any = None, *, cast_inputs: Any = None) -> Any:
    """``torch.amp.custom_fwd`` for CUDA."""
    _warn("custom_fwd(args...)", "custom_fwd(args..., device_type='cuda')")
    return functools.partial(amp.custom_fwd, device_type="cuda")(fwd=fwd, cast_inputs=cast_inputs)


def custom_bwd(bwd: Any) -> Any:
    """``torch.amp.custom_bwd`` for CUDA."""
    _warn("custom_bwd(args...)", "custom_bwd(args..., device_type='cuda')")
    return functools.partial(amp.custom_bwd, device_type="cuda")(bwd)
