"""What a checkpoint may name: the list that decides which classes and functions loading touches.

Nothing outside of the list is ever looked up by import, called or instantiated.
"""

from __future__ import annotations

import collections
import enum
import pickle
from collections.abc import Callable, Iterable
from types import FunctionType
from typing import Any

from fakel.nn.modules.module import Module
from fakel.serialization import data_types
from fakel.serialization.names import (
    MOVED,
    STORAGE_TYPES,
    UNTYPED_STORAGE,
    StorageType,
    lookup,
    torch_module,
    torch_path,
)
from fakel.tensor import Tensor, dtypes

BLOCKED_MODULES = ("sys", "os", "posix", "nt")

# instances of fakel's own classes in these modules hold data and have no say when they are made
_CREATABLE_MODULES = (
    "torch.nn.",
    "torch.optim.",
    "torch.distributions.",
    "torch.utils.data.dataset",
    "torch.utils.data.sampler",
    "torchvision.datasets.",
    "torchvision.models.",
    "torchvision.ops.",
    "torchvision.transforms.",
)

# functions that layers keep as attributes: they compute, and touch neither files nor settings
_FUNCTION_MODULES = ("fakel.ops.", "fakel.nn.", "fakel.vision.ops.", "fakel.vision.transforms.")

SafeGlobal = Callable[..., Any] | tuple[Callable[..., Any], str]
_safe_globals: list[SafeGlobal] = []


def add_safe_globals(safe_globals: Iterable[SafeGlobal]) -> None:
    """Let checkpoints use these classes and functions from now on.

    Args:
        safe_globals: classes and functions, or pairs of one and the full name that files give it.
    """
    for thing in safe_globals:
        if thing not in _safe_globals:
            _safe_globals.append(thing)


def get_safe_globals() -> list[SafeGlobal]:
    """What `add_safe_globals` was given so far."""
    return list(_safe_globals)


def clear_safe_globals() -> None:
    """Forget everything that `add_safe_globals` was given."""
    _safe_globals.clear()


class safe_globals:
    """Context manager: checkpoints may use these classes and functions until the block ends."""

    def __init__(self, safe_globals: Iterable[SafeGlobal]) -> None:
        self.safe_globals = list(safe_globals)

    def __enter__(self) -> None:
        add_safe_globals(self.safe_globals)

    def __exit__(self, *exception: object) -> None:
        for thing in self.safe_globals:
            if thing in _safe_globals:
                _safe_globals.remove(thing)


def _registered() -> dict[str, Any]:
    found = {}
    for thing in _safe_globals:
        if isinstance(thing, tuple):
            if len(thing) != 2:
                raise ValueError(
                    "Expected tuple of length 2 (global, str of callable full path), but got "
                    f"tuple of length: {len(thing)}"
                )
            if type(thing[1]) is not str:
                raise TypeError(
                    "Expected second item in tuple to be str of callable full path, but got: "
                    f"{type(thing[1])}"
                )
            found[thing[1]] = thing[0]
        else:
            found[".".join(torch_path(thing))] = thing
    return found


def _ascii_bytes(text: str, encoding: str) -> bytes:
    """How protocol 2 writes bytes: a text and an encoding."""
    if encoding not in ("latin1", "latin-1", "ascii", "utf-8", "utf8"):
        raise pickle.UnpicklingError(f"bytes in a checkpoint cannot be encoded as {encoding!r}")
    return text.encode(encoding)


def _bytearray(content: str | bytes = b"", encoding: str = "latin1") -> bytearray:
    """A bytearray from its content; never from a number, which would be its length."""
    return bytearray(
        _ascii_bytes(content, encoding) if isinstance(content, str) else memoryview(content)
    )


def _weights_table() -> dict[str, Any]:
    table: dict[str, Any] = {
        "collections.OrderedDict": collections.OrderedDict,
        "collections.Counter": collections.Counter,
        "builtins.bytearray": _bytearray,
        "builtins.set": set,
        "builtins.complex": complex,
        "_codecs.encode": _ascii_bytes,
        "torch.storage.UntypedStorage": UNTYPED_STORAGE,
        "torch.UntypedStorage": UNTYPED_STORAGE,
    }
    for thing, path in MOVED.items():
        table[".".join(path)] = thing
    for element_type in dtypes.ALL:
        table[f"torch.{element_type.name}"] = element_type
    for name, kind in STORAGE_TYPES.items():
        table[f"torch.{name}"] = kind
    return table


class Allowed:
    """Answers what one `load` may do.

    Args:
        weights_only: PyTorch's own list only; otherwise also plain data of Python and NumPy, and
            modules of networks that fakel or the program itself define.
    """

    def __init__(self, weights_only: bool) -> None:
        self.weights_only = weights_only
        self._registered = _registered()
        self._listed = _weights_table()
        if not weights_only:
            self._listed.update(data_types.TABLE | data_types.REFERENCES)
        self._callable = {id(thing) for thing in self._listed.values()}
        self._callable -= {id(thing) for thing in data_types.REFERENCES.values()}
        self._callable.update(id(thing) for thing in self._registered.values())
        # classes that may be instantiated without a call, functions that may only be referred to
        self._creatable: set[int] = set()

    def find(self, module: str, name: str) -> Any:
        """The object that a file calls `module.name`.

        Raises:
            UnpicklingError: it is not on the list; the message names it.
        """
        full = f"{module}.{name}"
        if module in BLOCKED_MODULES:
            raise pickle.UnpicklingError(
                f"Trying to load unsupported GLOBAL {full} whose module {module} is blocked."
            )
        found = self._listed.get(full)
        if found is None:
            found = self._find_registered(module, name, full)
        if found is None and not self.weights_only:
            found = self._find_network(module, name)
        if found is None:
            raise pickle.UnpicklingError(self._refusal(module, name))
        return found

    def _find_registered(self, module: str, name: str, full: str) -> Any:
        if full in data_types.TABLE and full in self._registered:
            self._callable.add(id(data_types.TABLE[full]))
            return data_types.TABLE[full]
        if full in self._registered:
            return self._registered[full]
        found = lookup(module, name)
        if found is not None and id(found) in self._callable:
            return found
        return None

    def _find_network(self, module: str, name: str) -> Any:
        """Modules, optimizers and the like: instances of classes that are already there."""
        found = lookup(module, name)
        module = torch_module(module)
        if isinstance(found, type):
            if module.startswith(("torch.", "torchvision.")) and issubclass(found, enum.Enum):
                self._callable.add(id(found))
                return found
            if issubclass(found, (Module, Tensor)) or f"{module}.".startswith(_CREATABLE_MODULES):
                self._creatable.add(id(found))
                return found
        if isinstance(found, FunctionType) and found.__module__.startswith(_FUNCTION_MODULES):
            return found
        return None

    def _refusal(self, module: str, name: str) -> str:
        full = name if module == "builtins" else f"{module}.{name}"
        if self.weights_only:
            return (
                f"Unsupported global: GLOBAL {full} was not an allowed global by default. Please "
                f"use `torch.serialization.add_safe_globals([{full}])` or the "
                f"`torch.serialization.safe_globals([{full}])` context manager to allowlist this "
                "global if you trust this class/function."
            )
        if module.split(".")[0] in ("torch", "torchvision"):
            return f"The checkpoint needs {full}, which fakel does not have (yet)."
        return (
            "fakel does not run code from a checkpoint, with weights_only=False neither: GLOBAL "
            f"{full} is not one of the types that it loads. If you trust this class/function, "
            f"define or import it and call `torch.serialization.add_safe_globals([{full}])` "
            "before loading."
        )

    def may_call(self, thing: Any) -> bool:
        """Whether a file may call this with arguments of its own."""
        return id(thing) in self._callable and not isinstance(thing, StorageType)

    def may_create(self, thing: Any) -> bool:
        """Whether a file may make instances of this class, without its `__init__`."""
        return isinstance(thing, type) and (
            id(thing) in self._creatable or id(thing) in self._callable
        )

    def may_fill(self, thing: Any) -> bool:
        """Whether a file may set the state of this instance."""
        return self.may_create(type(thing))
