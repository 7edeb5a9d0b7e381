"""`autocast`: a context, or a decorator, in which operators compute in a narrower dtype."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np

from fakel.autograd import autocast as casting
from fakel.autograd.autocast import is_autocast_available
from fakel.tensor import Tensor, dtype, dtypes

__all__ = ["autocast", "autocast_decorator", "custom_bwd", "custom_fwd", "is_autocast_available"]

_NARROW = (dtypes.bfloat16, dtypes.float16)


def autocast_decorator(autocast_instance: autocast, func: Callable[..., Any]) -> Any:
    """The function, called inside of an autocast."""

    @functools.wraps(func)
    def decorate_autocast(*args: Any, **kwargs: Any) -> Any:
        with autocast_instance:
            return func(*args, **kwargs)

    return decorate_autocast


class autocast:
    """A context in which products and convolutions compute in a narrower dtype.

    For the forward pass only: backward goes the way that forward went. On the CPU it saves memory,
    not time. For other devices, of which there are none here, nothing is cast.

    Args:
        device_type: ``cpu``, ``cuda``, …
        dtype: bfloat16 or float16; for None bfloat16 on the CPU.
        enabled: whether anything is cast.
        cache_enabled: whether a parameter is cast once for all its uses; as it was for None.

    Raises:
        ValueError: when the device type is no string.
        RuntimeError: when there is no such device type.
    """

    def __init__(
        self,
        device_type: str,
        dtype: dtype | None = None,
        enabled: bool = True,
        cache_enabled: bool | None = None,
    ) -> None:
        if not isinstance(device_type, str):
            raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")
        self.fast_dtype = casting.get_autocast_dtype(device_type) if dtype is None else dtype
        if not is_autocast_available(device_type):
            raise RuntimeError(
                f"User specified an unsupported autocast device_type '{device_type}'"
            )
        self.device = device_type
        cached = casting.is_autocast_cache_enabled()
        self._cache_enabled = cached if cache_enabled is None else cache_enabled
        if enabled and device_type == "cuda":
            warnings.warn(
                "CUDA is not available or torch_xla is imported. Disabling autocast.", stacklevel=2
            )
            enabled = False
        elif enabled and self.fast_dtype not in _NARROW:
            name = device_type.upper()
            warnings.warn(
                f"In {name} autocast, but the target dtype is not supported. Disabling autocast.\n"
                f"{name} Autocast only supports dtypes of "
                f"{', '.join(map(str, _NARROW))} currently.",
                stacklevel=2,
            )
            enabled = False
        self._enabled = enabled

    def __enter__(self) -> autocast:
        self.prev_cache_enabled = casting.is_autocast_cache_enabled()
        self.prev = casting.is_autocast_enabled(self.device)
        self.prev_fastdtype = casting.get_autocast_dtype(self.device)
        casting.set_autocast_enabled(self.device, self._enabled)
        casting.set_autocast_dtype(self.device, self.fast_dtype)
        casting.autocast_increment_nesting()
        casting.set_autocast_cache_enabled(self._cache_enabled)
        return self

    def __exit__(self, exc_type: Any, exc_val: Any, exc_tb: Any) -> bool:
        if casting.autocast_decrement_nesting() == 0:
            casting.clear_autocast_cache()
        casting.set_autocast_enabled(self.device, self.prev)
        casting.set_autocast_dtype(self.device, self.prev_fastdtype)
        casting.set_autocast_cache_enabled(self.prev_cache_enabled)
        return False

    def __call__(self, func: Callable[..., Any]) -> Any:
        if not callable(func):
            raise TypeError(
                f"autocast()(func) requires a callable, but got {type(func).__name__}. Did you "
                "mean to use autocast as a context manager? For example:\n"
                "    with torch.autocast(device_type=...):\n        output = model(input)"
            )
        return autocast_decorator(self, func)


def _cast(value: Any, device_type: str, dtype: dtype) -> Any:
    """Floating-point tensors of a device in a dtype, wherever they are in a value."""
    if isinstance(value, Tensor):
        kind = value.dtype
        eligible = kind.is_floating_point and kind is not dtypes.float64
        return value.to(dtype) if eligible and value.device.type == device_type else value
    if isinstance(value, (str, bytes, np.ndarray)):
        return value
    if isinstance(value, Mapping):
        return {
            _cast(name, device_type, dtype): _cast(each, device_type, dtype)
            for name, each in value.items()
        }
    if isinstance(value, Iterable):
        parts = (_cast(each, device_type, dtype) for each in value)
        return type(value)(parts) if isinstance(value, (list, tuple)) else parts
    return value


def _check_device_type(device_type: Any) -> None:
    if not isinstance(device_type, str):
        raise ValueError(f"Expected `device_type` of type `str`, got: `{type(device_type)}`")


def custom_fwd(
    fwd: Callable[..., Any] | None = None, *, device_type: str, cast_inputs: dtype | None = None
) -> Any:
    """Decorates ``forward`` of an ``autograd.Function`` that is used inside of autocast.

    Args:
        fwd: the method; a decorator is returned without.
        device_type: ``cpu``, ``cuda``, …
        cast_inputs: inside of autocast, arguments are cast to this dtype and nothing else is; for
            None ``forward`` runs as it is called.
    """
    _check_device_type(device_type)
    if fwd is None:
        return functools.partial(custom_fwd, device_type=device_type, cast_inputs=cast_inputs)

    @functools.wraps(fwd)
    def decorate_fwd(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        context._dtype = casting.get_autocast_dtype(device_type)
        enabled = casting.is_autocast_enabled(device_type)
        if cast_inputs is None:
            context._fwd_used_autocast = enabled
            return fwd(*args, **kwargs)
        context._fwd_used_autocast = False
        if not enabled:
            return fwd(*args, **kwargs)
        with autocast(device_type=device_type, enabled=False):
            return fwd(
                *_cast(args, device_type, cast_inputs), **_cast(kwargs, device_type, cast_inputs)
            )

    return decorate_fwd


def custom_bwd(bwd: Callable[..., Any] | None = None, *, device_type: str) -> Any:
    """Decorates ``backward`` of such a function: it runs inside of autocast if ``forward`` did.

    Args:
        bwd: the method; a decorator is returned without.
        device_type: ``cpu``, ``cuda``, …
    """
    _check_device_type(device_type)
    if bwd is None:
        return functools.partial(custom_bwd, device_type=device_type)

    @functools.wraps(bwd)
    def decorate_bwd(*args: Any, **kwargs: Any) -> Any:
        context = args[0]
        with autocast(device_type, enabled=context._fwd_used_autocast, dtype=context._dtype):
            return bwd(*args, **kwargs)

    return decorate_bwd
