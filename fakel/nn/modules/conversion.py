"""Helpers of Module: the arguments of ``to``, in-place conversion, and type names for messages."""

from __future__ import annotations

from fakel.autograd import no_grad
from fakel.nn.parameter import is_lazy
from fakel.tensor import Tensor, dtype


def apply_in_place(fn, tensor):
    """Replace the values of a leaf tensor by ``fn`` of them, without a trace for autograd."""
    with no_grad():
        # The data of a lazy parameter is an ordinary, empty tensor.
        converted = fn(tensor.data if is_lazy(tensor) else tensor)
    if converted is not tensor:
        tensor.data = converted


def split_dtype(args, kwargs):
    """Sort the arguments of ``to`` into (keyword arguments of Tensor.to, dtype or None)."""
    wanted = dict(kwargs)
    names = ["device", "dtype", "non_blocking", "copy"]
    for position, value in enumerate(args):
        if isinstance(value, Tensor):
            wanted["device"], wanted["dtype"] = value.device, value.dtype
        elif isinstance(value, dtype):
            wanted["dtype"] = value
            names[:2] = ["dtype"] if position == 0 else names[:2]
        elif position < len(names):
            wanted[names[position]] = value
        else:
            raise TypeError("to() received an invalid combination of arguments")
    if isinstance(wanted.get("tensor"), Tensor):
        other = wanted.pop("tensor")
        wanted["device"], wanted["dtype"] = other.device, other.dtype
    if wanted.pop("copy", False):
        raise RuntimeError(".to() does not accept copy argument")
    if wanted.get("device") is None:
        wanted.pop("device", None)
    return wanted, wanted.pop("dtype", None)


def type_name(value):
    """The name that PyTorch's messages give to the type of a value."""
    if isinstance(value, Tensor):
        return value.type()
    kind = value if hasattr(value, "__qualname__") else type(value)
    module = getattr(value, "__module__", None) or kind.__module__
    if module in ("", "builtins"):
        return kind.__qualname__
    if module.split(".")[0] == "fakel":
        module = "torch" + module.removeprefix("fakel")
    return f"{module}.{kind.__qualname__}"
