"""Makes `torch` and `torchvision` the names of fakel's own modules, for this process.

`torch.nn` is then the very object `fakel.nn`, not a copy, and what fakel lacks is named when a
program asks for it. Worker processes that Python starts anew get the aliases too.
"""

from __future__ import annotations

import importlib
import importlib.abc
import importlib.machinery
import importlib.util
import multiprocessing.spawn
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

# fakel's own layers, which have no counterpart of that name in PyTorch
PRIVATE = frozenset(
    {"cli", "compat", "graph", "interpreter", "ops", "recall", "runtime", "tensor", "vision"}
)
ROOTS = {"torchvision": "fakel.vision", "torch": "fakel"}
MOVED = {"torch.version": "fakel.compat.version"}


def fakel_name(name: str) -> str | None:
    """The module of fakel that stands for a module of PyTorch; None for other modules."""
    root, _, rest = name.partition(".")
    if root not in ROOTS:
        return None
    if name in MOVED:
        return MOVED[name]
    return f"{ROOTS[root]}.{rest}" if rest else ROOTS[root]


def torch_name(name: str) -> str | None:
    """The module of PyTorch that a module of fakel stands for; None for fakel's own."""
    for root, ours in ROOTS.items():
        if name == ours:
            return root
        if name.startswith(ours + "."):
            rest = name[len(ours) + 1 :]
            hidden = root == "torch" and rest.split(".")[0] in PRIVATE
            return None if hidden else f"{root}.{rest}"
    return None


class AliasedModule(ModuleType):
    """A module that says, in PyTorch's words, which name fakel lacks."""

    def __getattr__(self, name: str) -> Any:
        shown = torch_name(self.__name__)
        if shown is None or name.startswith("__"):
            raise AttributeError(
                f"module {self.__name__!r} has no attribute {name!r}", name=name, obj=self
            )
        raise AttributeError(f"fakel has no {shown}.{name} yet", name=name, obj=self)


class AliasFinder(importlib.abc.MetaPathFinder):
    """Finds `torch`, `torchvision` and their submodules in fakel."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of an alias; None for modules that are not PyTorch's.

        Raises:
            ModuleNotFoundError: fakel has no such module.
        """
        ours = fakel_name(fullname)
        if ours is None:
            return None
        first = fullname.partition(".")[2].partition(".")[0]
        if fullname.startswith("torch.") and first in PRIVATE:
            raise ModuleNotFoundError(f"fakel has no {fullname} yet", name=fullname)
        try:
            module = importlib.import_module(ours)
        except ModuleNotFoundError as error:
            if error.name is not None and f"{ours}.".startswith(f"{error.name}."):
                raise ModuleNotFoundError(f"fakel has no {fullname} yet", name=fullname) from None
            raise
        spec = importlib.util.spec_from_loader(
            fullname, AliasLoader(module), is_package=hasattr(module, "__path__")
        )
        return spec


class AliasLoader(importlib.abc.Loader):
    """Hands out a module of fakel under another name, as it is."""

    def __init__(self, module: ModuleType) -> None:
        self.module = module
        self.own_spec = module.__spec__

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """The module of fakel itself."""
        return self.module

    def exec_module(self, module: ModuleType) -> None:
        """Takes back the spec, which the import system has just replaced."""
        module.__spec__ = self.own_spec
        _name_what_is_missing(module)


_finder = AliasFinder()


def install() -> None:
    """Make `torch` and `torchvision` names of fakel in this process and its worker processes.

    Raises:
        RuntimeError: PyTorch itself is imported already.
    """
    package = importlib.import_module("fakel")
    for root in ROOTS:
        present = sys.modules.get(root)
        if present is not None and not present.__name__.startswith("fakel"):
            raise RuntimeError(
                f"{root} itself is imported already; load fakel before the first `import {root}`"
            )
    if _finder not in sys.meta_path:
        sys.meta_path.insert(0, _finder)
    sys.modules["torch"] = package
    for name, module in list(sys.modules.items()):
        alias = torch_name(name)
        if alias is not None and isinstance(module, ModuleType):
            sys.modules[alias] = module
            _name_what_is_missing(module)
    for alias, name in MOVED.items():
        if name in sys.modules:
            sys.modules[alias] = sys.modules[name]
    if multiprocessing.spawn.get_preparation_data is not _preparation_data_with_aliases:
        multiprocessing.spawn.get_preparation_data = _preparation_data_with_aliases


def uninstall() -> None:
    """Take the aliases back; what has been imported through them stays as it is."""
    if _finder in sys.meta_path:
        sys.meta_path.remove(_finder)
    for name, module in list(sys.modules.items()):
        if fakel_name(name) is not None and getattr(module, "__name__", "").startswith("fakel"):
            del sys.modules[name]
    multiprocessing.spawn.get_preparation_data = _plain_preparation_data


def _name_what_is_missing(module: ModuleType) -> None:
    if type(module) is ModuleType:
        module.__class__ = AliasedModule


# What a new worker process is told first. Unpickling it is the earliest moment at which code of
# ours runs there: before the worker imports the script, which imports torch.
_plain_preparation_data: Callable[[str], dict[str, Any]] = (
    multiprocessing.spawn.get_preparation_data
)


def _preparation_data_with_aliases(name: str) -> dict[str, Any]:
    return {**_plain_preparation_data(name), "fakel": _InstallWhenUnpickled()}


class _InstallWhenUnpickled:
    def __reduce__(self) -> tuple[Any, ...]:
        home = str(Path(__file__).resolve().parents[2])
        statements = (
            "import importlib.util, sys",
            f"sys.path += [] if importlib.util.find_spec('fakel') else [{home!r}]",
            "from fakel.compat import alias",
            "alias.install()",
        )
        return exec, ("\n".join(statements), {})
