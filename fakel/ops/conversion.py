"""Copies, dtypes and memory: ``clone``, ``contiguous``, ``to``, ``copy_`` and their like."""

from __future__ import annotations

import builtins
import warnings
from typing import Any

import numpy as np

from fakel.autograd.modes import state
from fakel.autograd.tape import retitled
from fakel.graph import COPY
from fakel.ops.declare import (
    broadcast_shapes,
    function,
    gradient,
    method,
    operator,
    primitive,
    scalar,
)
from fakel.ops.inplace import check_writable, store
from fakel.ops.primitive import Primitive
from fakel.tensor import (
    Tensor,
    can_cast,
    device,
    dtypes,
    promote_types,
    result_type,
)
from fakel.tensor.device import check_device
from fakel.tensor.dtypes import dtype
from fakel.tensor.formats import MemoryFormat, contiguous_format, preserve_format
from fakel.tensor.memory import memory_strides
from fakel.tensor.size import Size
from fakel.tensor.size import is_contiguous as is_contiguous_geometry


@primitive("to", "ToCopyBackward0")
def _cast(input, *, target):
    if input.dtype.kind == "c" and dtypes.by_name(target).compute.kind not in "cb":
        input = input.real
    if input.dtype.kind == "f" and dtypes.by_name(target).compute.kind in "iu":
        return _to_integer(input, dtypes.by_name(target).compute)
    return input.astype(dtypes.by_name(target).compute)


def _to_integer(array: np.ndarray, target: np.dtype[Any]) -> np.ndarray:
    """As on x86: through int64 to unsigned numbers, and through int32, of which the least stands
    for all that does not fit, to signed ones.
    """
    if target.itemsize == 8:
        return array.astype(target)
    wide = array.astype(np.int64)
    if target.kind == "u":
        return wide.astype(target)
    narrow = wide.astype(np.int32)
    return np.where(wide == narrow, narrow, np.iinfo(np.int32).min).astype(target)


gradient(_cast, input=lambda grad: grad)

_copy = Primitive("copy", lambda input: input.copy(order="C"), "CloneBackward0")
_copy.operator = COPY
gradient(_copy, input=lambda grad: grad)


def cast(input: Tensor, target: dtype) -> Tensor:
    """The values in another dtype; the tensor itself when it has that dtype already."""
    kind = input._storage.dtype
    if kind is target:
        return input
    if kind.is_complex and not target.is_complex and target is not dtypes.bool_:
        warnings.warn("Casting complex values to real discards the imaginary part", stacklevel=4)
    result: Tensor = _cast(input, dtype=target, target=target.name)
    return result


@operator(out=False)
def clone(input: Tensor, *, memory_format: MemoryFormat = preserve_format) -> Tensor:
    """A copy in memory of its own; gradients pass through."""
    result: Tensor = _copy(input)
    if memory_format is not preserve_format:
        result._storage.layout = None
    return result


@method(recall=True)
def contiguous(self: Tensor, *, memory_format: MemoryFormat = contiguous_format) -> Tensor:
    """The tensor itself when its elements follow each other in memory, else a copy that does.

    fakel keeps one layout; ``channels_last`` is a hint for speed in PyTorch and changes nothing
    here.
    """
    if self.is_contiguous() and memory_strides(self) is None:
        return self
    return clone(self, memory_format=contiguous_format)


@method
def is_contiguous(self: Tensor, *, memory_format: MemoryFormat = contiguous_format) -> bool:
    """Whether elements follow each other in memory in row-major order."""
    return self._strides is None or is_contiguous_geometry(self._shape, self._strides)


@method(recall=True)
def to(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
    """The tensor in another dtype: ``to(dtype)``, ``to(device)``, ``to(device, dtype)``,
    ``to(other)``.

    Args:
        copy: make a copy even when nothing changes.
        non_blocking: about transfers between devices; there is nothing to wait for here.
    """
    target, copy = parse_to(self, args, kwargs)
    result = cast(self, self._storage.dtype if target is None else target)
    return clone(self) if copy and result is self else result


def parse_to(
    tensor: Tensor | None, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[dtype | None, bool]:
    """The dtype and ``copy`` flag of the arguments that ``Tensor.to`` and ``Module.to`` take."""
    known = dict(kwargs)
    positional = list(args)
    target: dtype | None = None
    names = ["non_blocking", "copy"]
    if positional and isinstance(positional[0], Tensor):
        target = positional.pop(0).dtype
    elif positional and isinstance(positional[0], dtype):
        target = positional.pop(0)
    else:
        if positional:
            where = positional.pop(0)
            if where is not None and not isinstance(where, (str, int, device)):
                raise TypeError(
                    "to() received an invalid combination of arguments - got "
                    f"({type(where).__name__}), but expected one of:\n"
                    " * (torch.device device = None, torch.dtype dtype = None, bool non_blocking "
                    "= False, "
                    "bool copy = False, *, torch.memory_format memory_format = None)\n"
                    " * (torch.dtype dtype, bool non_blocking = False, bool copy = False, *, "
                    "torch.memory_format memory_format = None)\n"
                    " * (Tensor tensor, bool non_blocking = False, bool copy = False, *, "
                    "torch.memory_format memory_format = None)\n"
                )
            check_device(where)
        if positional and (positional[0] is None or isinstance(positional[0], dtype)):
            target = positional.pop(0)
    for value in positional:
        known[names.pop(0)] = value
    check_device(known.pop("device", None))
    other = known.pop("other", known.pop("tensor", None))
    target = known.pop("dtype", None) or (other.dtype if other is not None else target)
    known.pop("non_blocking", None)
    known.pop("memory_format", None)
    copy = bool(known.pop("copy", False))
    if known:
        raise TypeError(f"to() got an unexpected keyword argument '{next(iter(known))}'")
    return target, copy


def _converter(name: str, target: dtype) -> None:
    def convert(self: Tensor, *, memory_format: MemoryFormat = preserve_format) -> Tensor:
        return cast(self, target)

    convert.__name__ = name
    convert.__doc__ = f"``self.to(torch.{target.name})``."
    setattr(Tensor, name, convert)


for _name, _target in (
    *dtypes.ALIASES.items(),
    ("byte", dtypes.uint8),
    ("char", dtypes.int8),
    ("bfloat16", dtypes.bfloat16),
):
    _converter(_name, _target)


@method
def type_as(self: Tensor, other: Tensor) -> Tensor:
    """``self.to(other.dtype)``."""
    return cast(self, other.dtype)


@method(aliases=())
def type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the tensor's type ("torch.FloatTensor"), or the tensor in another dtype.

    Args:
        dtype: a dtype, such a name, or one of the classes ``torch.FloatTensor`` and so on.
    """
    if dtype is None:
        return f"torch.{self.dtype.letter}Tensor"
    if isinstance(dtype, str):
        letters = {f"torch.{each.letter}Tensor": each for each in dtypes.ALL}
        if dtype not in letters:
            raise ValueError(f"invalid type: '{dtype}'")
        return cast(self, letters[dtype])
    kind = getattr(dtype, "dtype", dtype)
    if isinstance(kind, dtypes.dtype):
        return cast(self, kind)
    if isinstance(dtype, builtins.type):
        raise ValueError(f"invalid type: '{dtype.__module__}.{dtype.__name__}'")
    raise TypeError("dtype must be a type, str, or dtype object")


@method
def cpu(self: Tensor, *, memory_format: MemoryFormat = preserve_format) -> Tensor:
    """The tensor itself: it is on the CPU."""
    return self


@method
def cuda(self: Tensor, device: Any = None, non_blocking: bool = False) -> Tensor:
    """Refused: there is no CUDA device."""
    check_device("cuda")
    return self


@method(recall=True)
def copy_(self: Tensor, src: Any, non_blocking: bool = False) -> Tensor:
    """Writes the values of ``src`` (broadcast, converted to this dtype) into this tensor."""
    check_writable(self)
    if isinstance(src, (int, float, complex)):
        src = scalar(src, self._storage.dtype)
    if not isinstance(src, Tensor):
        raise TypeError(
            f"copy_(): argument 'other' (position 1) must be Tensor, not {src.__class__.__name__}"
        )
    source = cast(src, self._storage.dtype)
    if source._shape != self._shape:
        try:
            source = source.expand(self._shape)
        except RuntimeError:
            raise RuntimeError(
                f"The size of tensor a ({_differing(self, src)[0]}) must match the size of tensor "
                "b "
                f"({_differing(self, src)[1]}) at non-singleton dimension "
                f"{_differing(self, src)[2]}"
            ) from None
    if state.enabled and source.requires_grad:
        source = retitled(clone(source), "CopyBackwards")
    store(self, source, "CopyBackwards")
    return self


def _differing(mine: Tensor, other: Tensor) -> tuple[int, int, int]:
    if other.ndim > mine.ndim:
        raise RuntimeError(
            f"output with shape {list(mine._shape)} doesn't match the broadcast shape "
            f"{list(broadcast_shapes(mine._shape, other._shape))}"
        )
    for back in range(1, min(mine.ndim, other.ndim) + 1):
        a, b = mine._shape[-back], other._shape[-back]
        if a != b and b != 1:
            return a, b, mine.ndim - back
    return mine.numel(), other.numel(), 0


@method
def resize_(self: Tensor, *shape: Any, memory_format: MemoryFormat = contiguous_format) -> Tensor:
    """Changes the tensor's own shape; a larger one gets a larger storage, its end undefined."""
    if self.requires_grad and state.enabled:
        raise RuntimeError("cannot resize variables that require grad")
    wanted = Size(shape[0] if len(shape) == 1 and isinstance(shape[0], (tuple, list)) else shape)
    needed = wanted.numel() + self._offset
    storage = self._storage
    if needed > storage.length:
        storage.resize(needed)
        storage.version += 1
    self._shape = wanted
    self._strides = None
    self._stamp = None
    return self


@method
def resize_as_(self: Tensor, other: Tensor) -> Tensor:
    """``self.resize_(other.shape)``."""
    return self.resize_(other._shape)


@method
def is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether the shapes are equal."""
    return self._shape == other._shape


@method
def is_set_to(self: Tensor, other: Tensor) -> bool:
    """Whether both show the same part of the same storage."""
    return self._storage is other._storage and self._geometry() == other._geometry()


@method
def is_pinned(self: Tensor, device: Any = None) -> bool:
    """False: there is no accelerator to pin memory for."""
    return False


@method
def pin_memory(self: Tensor, device: Any = None) -> Tensor:
    """Refused: there is no accelerator to pin memory for."""
    raise RuntimeError("Cannot access accelerator device when none is available.")


@method
def share_memory_(self: Tensor) -> Tensor:
    """The tensor itself: worker processes get copies by pickling."""
    return self


@method
def is_shared(self: Tensor) -> bool:
    """Whether the memory is shared between processes."""
    return False


@function
def is_tensor(obj: Any) -> bool:
    """Whether ``obj`` is a tensor."""
    return isinstance(obj, Tensor)


def _as_function(name: str) -> None:
    bound = getattr(Tensor, name)

    def declared(input: Tensor) -> Any:
        return bound(input)

    declared.__name__ = name
    declared.__doc__ = bound.__doc__
    function(declared)


for _promotion in (can_cast, promote_types, result_type):
    function(_promotion)

for _name in ("is_floating_point", "is_complex", "is_signed", "numel", "is_inference"):
    _as_function(_name)
