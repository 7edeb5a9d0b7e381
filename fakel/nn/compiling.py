"""``torch.compile``: functions and modules whose calls are replayed without running Python code."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from fakel.nn.modules.module import Module
from fakel.recall.compiled import CompiledFunction, check_options

__all__ = ["OptimizedModule", "compile"]


class OptimizedModule(Module):
    """A module whose calls are replayed while nothing changes; all else is the module's own.

    Args:
        module: the module, which stays as it is.
    """

    def __init__(self, module: Module) -> None:
        super().__init__()
        self._orig_mod = module
        self.training = module.training
        object.__setattr__(self, "_call", CompiledFunction(module.__call__))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        return self._call(*args, **kwargs)

    def train(self, mode: bool = True) -> OptimizedModule:
        self._orig_mod.train(mode)
        return super().train(mode)

    def __getattr__(self, name: str) -> Any:
        if name == "_orig_mod":
            return self._modules["_orig_mod"]
        return getattr(self._modules["_orig_mod"], name)

    def __setattr__(self, name: str, value: Any) -> None:
        if name in ("_orig_mod", "training") or "_orig_mod" not in self.__dict__.get(
            "_modules", {}
        ):
            super().__setattr__(name, value)
        else:
            setattr(self._orig_mod, name, value)

    def __delattr__(self, name: str) -> None:
        delattr(self._orig_mod, name)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *dir(self._orig_mod)})

    def __reduce__(self) -> Any:
        return OptimizedModule, (self._orig_mod,)


def compile(
    model: Callable[..., Any] | None = None,
    *,
    fullgraph: bool = False,
    dynamic: bool | None = None,
    backend: Any = "inductor",
    mode: str | None = None,
    options: dict[str, Any] | None = None,
    disable: bool = False,
) -> Any:
    """A function or module that skips its Python code where it would do the same again.

    The first calls run as they are. Then one is watched: what it records between ``zero_grad``,
    ``backward`` and an optimizer's ``step`` is kept, together with all that its code depends on.
    Later calls with arguments of the same shapes, dtypes and values of everything that is no tensor
    are replayed; random numbers are drawn anew, from the same stream. What cannot be replayed (a
    decision on a tensor's value, assignments to attributes, printing, …) runs as it is. Either way
    the results are those of the function itself.

    Args:
        model: the function or module; None makes a decorator.
        fullgraph: refused code raises in PyTorch; here every function has a right result, so there
            is nothing to refuse.
        dynamic: programs are made for the shapes at hand, whatever this says.
        backend: one of PyTorch's names, which all mean fakel's own compiler, or a function, which
            is refused: there is no graph of PyTorch's to hand over.
        mode: as for the backend.
        options: None, or settings of PyTorch's compiler, of which there are none here.
        disable: leaves the function as it is.

    Raises:
        RuntimeError: for a backend or mode that PyTorch does not know, for both mode and options,
            or for options.
    """
    check_options(backend=backend, mode=mode, options=options)
    if model is None:
        return functools.partial(
            compile, fullgraph=fullgraph, dynamic=dynamic, backend=backend, mode=mode,
            options=options, disable=disable,
        )  # fmt: skip
    if disable:
        return model
    if isinstance(model, Module):
        return OptimizedModule(model)
    if not callable(model):
        raise RuntimeError(f"compile expects a function or a module, not {type(model).__name__}")
    compiled = CompiledFunction(model)

    @functools.wraps(model)
    def call(*args: Any, **kwargs: Any) -> Any:
        return compiled(*args, **kwargs)

    call._compiled = compiled  # type: ignore[attr-defined]
    return call
