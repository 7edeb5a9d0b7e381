"""The tensor methods that belong to autograd: hooks, retained gradients, leaf status."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

from fakel.autograd.tape import RemovableHandle
from fakel.tensor import Tensor


class _LeafHooks:
    """A leaf's hooks, run before and after its gradient is accumulated."""

    def __init__(self) -> None:
        self.before: dict[int, Any] = {}
        self.after: dict[int, Any] = {}


def _leaf_hooks(tensor: Tensor) -> _LeafHooks:
    if tensor._hooks is None:
        tensor._hooks = _LeafHooks()
    return tensor._hooks  # type: ignore[no-any-return]


def register_hook(self: Tensor, hook: Callable[[Tensor], Tensor | None]) -> RemovableHandle:
    """Calls ``hook(grad)`` whenever a gradient of this tensor is computed; what it returns, if
    anything, replaces the gradient.

    Raises:
        RuntimeError: when the tensor requires no gradient.
    """
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    node = self._backward_node()
    if node is None:
        return RemovableHandle(_leaf_hooks(self).before, hook)
    return RemovableHandle(node.own("tensor_hooks").setdefault(self._output_index, {}), hook)


def register_post_accumulate_grad_hook(
    self: Tensor, hook: Callable[[Tensor], None]
) -> RemovableHandle:
    """Calls ``hook(self)`` after a gradient was added to this leaf's ``grad``.

    Raises:
        RuntimeError: when the tensor requires no gradient or is not a leaf.
    """
    if not self.requires_grad:
        raise RuntimeError("cannot register a hook on a tensor that doesn't require gradient")
    if not self.is_leaf:
        raise RuntimeError("post accumulate grad hooks cannot be registered on non-leaf tensors")
    return RemovableHandle(_leaf_hooks(self).after, hook)


def retain_grad(self: Tensor) -> None:
    """Keeps the gradient of a non-leaf tensor in ``grad``; has no effect on a leaf.

    Raises:
        RuntimeError: when the tensor requires no gradient.
    """
    if not self.requires_grad:
        raise RuntimeError("can't retain_grad on Tensor that has requires_grad=False")
    node = self._backward_node()
    if node is None or self._retains_grad:
        return
    self._retains_grad = True
    node.own("retained")[self._output_index] = weakref.ref(self)


def requires_grad_(self: Tensor, requires_grad: bool = True) -> Tensor:
    """Sets whether gradients are computed for this leaf, and returns it."""
    if not isinstance(requires_grad, bool):
        raise TypeError(
            "requires_grad_(): argument 'requires_grad' (position 1) must be bool, not "
            f"{type(requires_grad).__name__}"
        )
    if requires_grad and not (self.is_floating_point() or self.is_complex()):
        raise RuntimeError("only Tensors of floating point dtype can require gradients")
    self.requires_grad = requires_grad
    return self


def is_inference(self: Tensor) -> bool:
    """Whether the tensor was made in inference mode."""
    return self._storage.inference


for _method in (
    register_hook,
    register_post_accumulate_grad_hook,
    retain_grad,
    requires_grad_,
    is_inference,
):
    setattr(Tensor, _method.__name__, _method)
