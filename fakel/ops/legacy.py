"""PyTorch's old constructors: ``Tensor(...)``, ``FloatTensor(...)`` and their like."""

from __future__ import annotations

from functools import reduce
from importlib import import_module
from typing import Any

import numpy as np

from fakel.ops.data import array_of
from fakel.ops.declare import FUNCTIONS, function, method
from fakel.ops.filling import filled
from fakel.ops.options import check_sizes
from fakel.ops.refusals import refusal
from fakel.ops.storages import TypedStorage, UntypedStorage, tensor_of
from fakel.tensor import Size, Tensor, dtypes, get_default_dtype, set_default_dtype
from fakel.tensor.caution import warn_once
from fakel.tensor.device import device as torch_device


def legacy_tensor(kind: dtypes.dtype, *args: Any, device: Any = None, **keywords: Any) -> Tensor:
    """A tensor from sizes (its values do not matter), from data, or from another tensor.

    Args:
        kind: the dtype.
        args: nothing, several ints or a ``Size`` as the shape, or one sequence or array of data.
    """
    given = keywords if device is None else {**keywords, "device": device}
    if given or len(args) != 1:
        wrong = refusal("torch.Tensor", args, given)
        if wrong is not None:
            raise wrong
    place = "cpu" if device is None else torch_device(device).type
    if place != "cpu":
        raise RuntimeError(
            f"legacy constructor expects device type: cpu but device type: {place} was passed"
        )
    if not args:
        return filled((0,), 0, kind)
    first = args[0]
    if isinstance(first, Size):
        return filled(check_sizes(tuple(first)), 0, kind)
    if isinstance(first, Tensor):
        return _alias(first, kind)
    if isinstance(first, (TypedStorage, UntypedStorage)):
        return tensor_of(first, kind)
    if isinstance(first, (int, np.integer)) and not isinstance(first, bool):
        return filled(check_sizes(tuple(int(size) for size in args)), 0, kind)
    if not hasattr(first, "__len__") or isinstance(first, (dict, set)):
        raise TypeError(f"new(): data must be a sequence (got {type(first).__name__})")
    array, _ = array_of(first, kind)
    return Tensor._from_array(array, kind)


def _alias(other: Tensor, kind: dtypes.dtype) -> Tensor:
    if other.dtype is not kind:
        expected, got = (
            f"TensorOptions(dtype={each.c_name}, device=cpu, "
            "layout=Strided, requires_grad=false (default), pinned_memory=false (default), "
            "memory_format=(nullopt))"
            for each in (kind, other.dtype)
        )
        raise TypeError(f"expected {expected} (got {got})")
    return other.detach()  # type: ignore[attr-defined, no-any-return]


@method
def new(self: Tensor, *args: Any, device: Any = None) -> Tensor:
    """A tensor of this one's dtype, made as by the old constructors."""
    return legacy_tensor(self.dtype, *args, device=device)


class _TypedMeta(type):
    dtype: dtypes.dtype

    def __instancecheck__(cls, instance: Any) -> bool:
        return isinstance(instance, Tensor) and instance.dtype is cls.dtype

    def __call__(cls, *args: Any, **kwargs: Any) -> Tensor:
        return legacy_tensor(cls.dtype, *args, **kwargs)

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"

    def __str__(cls) -> str:
        return repr(cls)


def _declare(kind: dtypes.dtype) -> None:
    name = f"{kind.letter}Tensor"
    body = {
        "dtype": kind,
        "is_cuda": False,
        "__module__": "torch",
        "__doc__": f"Makes {kind.name} tensors.",
    }
    FUNCTIONS[""][name] = _TypedMeta(name, (), body)


for _each in dtypes.ALL:
    if not _each.is_complex and not _each.name.startswith("uint") or _each is dtypes.uint8:
        _declare(_each)


def _tensor_constructor(cls: Any, *args: Any, **kwargs: Any) -> Tensor:
    """``Tensor(...)``, which is ``FloatTensor(...)`` unless the default dtype is another."""
    if len(args) == 1 and isinstance(args[0], Tensor) and not kwargs:
        result: Tensor = args[0].detach()  # type: ignore[attr-defined]
    else:
        result = legacy_tensor(get_default_dtype(), *args, **kwargs)
    return result if cls is Tensor else result._alias(cls)


Tensor._legacy_constructor = staticmethod(_tensor_constructor)  # type: ignore[method-assign]


@function
def set_default_tensor_type(t: Any, /) -> None:
    """Sets the default dtype to that of a class of floating-point tensors. Deprecated in PyTorch:
    ``set_default_dtype`` does the same.

    Args:
        t: a class, such as ``torch.DoubleTensor``, or its name, ``"torch.DoubleTensor"``.

    Raises:
        TypeError: it is no such class, or its tensors are not of floating-point numbers.
        ModuleNotFoundError, AttributeError: there is nothing of this name.
    """
    if isinstance(t, str):
        t = _named(t)
    if not isinstance(t, _TypedMeta):
        raise TypeError(
            "invalid type object: only floating-point types are supported as the default type"
        )
    warn_once(
        "torch.set_default_tensor_type() is deprecated as of PyTorch 2.1, please use "
        "torch.set_default_dtype() and torch.set_default_device() as alternatives.",
        stacklevel=2,
    )
    set_default_dtype(t.dtype)


def _named(name: str) -> Any:
    """What a name with dots stands for."""
    module, *rest = name.split(".")
    if module != "torch":
        return reduce(getattr, rest, import_module(module))
    if len(rest) != 1 or rest[0] not in FUNCTIONS[""]:
        raise AttributeError(f"module 'torch' has no attribute {'.'.join(rest)!r}")
    return FUNCTIONS[""][rest[0]]
