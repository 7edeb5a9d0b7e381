"""``torch.autograd.Variable``: the wrapper of PyTorch before 0.4, which is a tensor today."""

from __future__ import annotations

import warnings
from typing import Any

from fakel.tensor import Tensor


class _VariableType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor)


class Variable(metaclass=_VariableType):
    """``Variable(data)`` is a tensor on the same memory; every tensor is an instance.

    Args:
        data: a tensor.
        requires_grad: whether gradients are computed for it.
        volatile: has had no effect since 0.4, as the warning says.
    """

    def __new__(cls, data: Any = None, requires_grad: bool = False, volatile: bool = False) -> Any:
        if volatile:
            warnings.warn(
                "volatile was removed and now has no effect. Use `with torch.no_grad():` instead.",
                UserWarning,
                stacklevel=2,
            )
        if data is None:
            data = Tensor._zeros((0,))  # type: ignore[attr-defined]
        if not isinstance(data, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(data).__name__}")
        variable = data._alias()
        variable.requires_grad = requires_grad
        return variable
