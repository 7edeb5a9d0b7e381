"""Python functions applied to every element: ``apply_``, ``map_``, ``map2_``. They are slow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from fakel.ops.declare import method
from fakel.tensor import Tensor


def _apply(name: str, self: Tensor, function: Callable[..., Any], *others: Tensor) -> Tensor:
    if self.requires_grad or any(other.requires_grad for other in others):
        raise RuntimeError(
            f"Can't call {name}() on Variable that requires grad. Use var.detach().{name}() "
            "instead."
        )
    arrays = [tensor.expand(self._shape)._values().ravel().tolist() for tensor in (self, *others)]  # type: ignore[attr-defined]
    values = [function(*numbers) for numbers in zip(*arrays, strict=True)]
    found = np.array(values, self.dtype.compute).reshape(self._shape)
    result: Tensor = self.copy_(Tensor._from_array(found, self.dtype))  # type: ignore[attr-defined]
    return result


@method
def apply_(self: Tensor, callable: Callable[[Any], Any]) -> Tensor:
    """Replaces each element by what the function gives for it."""
    return _apply("apply_", self, callable)


@method
def map_(self: Tensor, tensor: Tensor, callable: Callable[[Any, Any], Any]) -> Tensor:
    """Replaces each element by what the function gives for it and the other tensor's."""
    return _apply("map_", self, callable, tensor)


@method
def map2_(self: Tensor, x: Tensor, y: Tensor, callable: Callable[[Any, Any, Any], Any]) -> Tensor:
    """Replaces each element by what the function gives for it and two other tensors'."""
    return _apply("map2_", self, callable, x, y)
