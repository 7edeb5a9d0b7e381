"""The names that PyTorch's files use for fakel's classes and functions, and the way back.

A checkpoint says `torch.nn.modules.linear.Linear`, never `fakel...`: both frameworks then read it.
"""

from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

from fakel.nn import functional
from fakel.nn.parameter import (
    Buffer,
    Parameter,
    _rebuild_parameter,
    _rebuild_parameter_with_state,
)
from fakel.tensor import Size, Tensor, device, dtypes, pickling
from fakel.tensor.dtypes import dtype
from fakel.tensor.typed_storage import LEGACY

# objects whose place in fakel is not their place in PyTorch
MOVED: dict[Any, tuple[str, str]] = {
    Tensor: ("torch", "Tensor"),
    Size: ("torch", "Size"),
    device: ("torch", "device"),
    pickling._rebuild_tensor: ("torch._utils", "_rebuild_tensor"),
    pickling._rebuild_tensor_v2: ("torch._utils", "_rebuild_tensor_v2"),
    pickling._rebuild_tensor_v3: ("torch._utils", "_rebuild_tensor_v3"),
    Parameter: ("torch.nn.parameter", "Parameter"),
    Buffer: ("torch.nn.parameter", "Buffer"),
    _rebuild_parameter: ("torch._utils", "_rebuild_parameter"),
    _rebuild_parameter_with_state: ("torch._utils", "_rebuild_parameter_with_state"),
    pickling._rebuild_from_type_v2: ("torch._tensor", "_rebuild_from_type_v2"),
}

# files of fakel whose classes lie in another file of PyTorch; a file's name stands for all below it
_MOVED_MODULES = {
    "torch.nn.modules.attention": "torch.nn.modules.activation",
    "torch.nn.modules.margin_loss": "torch.nn.modules.loss",
    "torch.nn.modules.parameter_container": "torch.nn.modules.container",
    "torch.optim.lr_scheduler": "torch.optim.lr_scheduler",
    "torch.optim": "torch.optim",
    "torchvision.transforms.interpolation": "torchvision.transforms.functional",
    "torchvision.transforms.functional": "torchvision.transforms.functional",
    "torchvision.transforms": "torchvision.transforms.transforms",
}

# where PyTorch's compiled functions say that they live
_COMPILED_HOMES = {"torch._C._nn": "torch.nn.functional"}

# the classes that stand for a dtype in files: torch.FloatStorage and so on
STORAGE_NAMES: dict[str, dtype] = {name: kind.dtype for name, kind in LEGACY.items()}


class StorageType:
    """What `torch.FloatStorage` stands for in a file: a dtype; None for bytes without one."""

    def __init__(self, name: str, element_type: dtype | None) -> None:
        self.name = name
        self.dtype = element_type

    def __repr__(self) -> str:
        return f"StorageType({self.name})"


STORAGE_TYPES = {name: StorageType(name, found) for name, found in STORAGE_NAMES.items()}
UNTYPED_STORAGE = StorageType("UntypedStorage", None)
STORAGE_TYPE_OF = {kind.dtype: kind for kind in STORAGE_TYPES.values()}


def torch_path(thing: Any, name: str | None = None) -> tuple[str, str]:
    """The module and the qualified name by which PyTorch knows a class, function or dtype.

    Args:
        thing: the object.
        name: its qualified name, where the object does not tell.
    """
    if isinstance(thing, dtype):
        return "torch", thing.name
    if isinstance(thing, StorageType):
        return ("torch" if thing.dtype else "torch.storage"), thing.name
    try:
        if thing in MOVED:
            return MOVED[thing]
    except TypeError:  # not hashable
        pass
    module = getattr(thing, "__module__", None) or "builtins"
    name = name or getattr(thing, "__qualname__", None) or thing.__name__
    if module.startswith("fakel.ops.") and vars(functional).get(name) is thing:
        return "torch.nn.functional", name
    module = torch_module(module)
    for ours, theirs in _MOVED_MODULES.items():
        if module == ours or module.startswith(ours + "."):
            return theirs, name
    return module, name


def torch_module(module: str) -> str:
    """The PyTorch name of one of fakel's modules; other names as they are."""
    for ours, theirs in (("fakel.vision", "torchvision"), ("fakel", "torch")):
        if module == ours or module.startswith(ours + "."):
            return theirs + module[len(ours) :]
    return module


def resolve(module: str, name: str) -> Any:
    """The object of fakel that PyTorch calls `module.name`; None where fakel has none.

    Nothing is imported. Where a module of that name is missing, its parents are looked at:
    `torch.nn.modules.linear.Linear` is found in `fakel.nn` too.
    """
    for moved, path in MOVED.items():
        if path == (module, name):
            return moved
    if module in ("torch", "torch.storage"):
        found = dtypes._BY_NAME.get(name) or STORAGE_TYPES.get(name)
        if found is not None:
            return found
        if name == "UntypedStorage":
            return UNTYPED_STORAGE
    module = _COMPILED_HOMES.get(module, module)
    parts = module.split(".")
    start = {"torch": "fakel", "torchvision": "fakel.vision", "fakel": "fakel"}.get(parts[0])
    if start is None:
        return None
    place: Any = sys.modules.get(start)
    trail = [place]
    for part in parts[1:]:
        place = vars(place).get(part) if isinstance(place, ModuleType) else None
        if not isinstance(place, ModuleType) or not _is_ours(place):
            break
        trail.append(place)
    for candidate in reversed(trail):
        found = _attribute(candidate, name)
        if found is not None and _is_ours(found):
            return found
    return None


def lookup(module: str, name: str) -> Any:
    """An object of a module that the program has imported already; None where there is none."""
    if module.split(".")[0] in ("torch", "torchvision", "fakel"):
        return resolve(module, name)
    return _attribute(sys.modules.get(module), name)


def _attribute(place: Any, name: str) -> Any:
    """A name in a module, or nested in a class; never what a module makes up when it is asked."""
    for part in name.split("."):
        if not isinstance(place, (ModuleType, type)):
            return None
        place = vars(place).get(part)
    return place


def _is_ours(thing: Any) -> bool:
    home = thing.__name__ if isinstance(thing, ModuleType) else getattr(thing, "__module__", None)
    return isinstance(home, str) and home.split(".")[0] in ("fakel", "torch", "torchvision")
