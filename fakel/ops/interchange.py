"""DLPack: memory shared with other array libraries."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakel.ops.declare import function, method
from fakel.tensor import Tensor


@method
def __dlpack__(self: Tensor, *, stream: Any = None, **options: Any) -> Any:
    """A capsule that shares this tensor's memory.

    Raises:
        BufferError: when the tensor requires a gradient.
    """
    if self.requires_grad:
        raise BufferError("Can't export tensors that require gradient, use tensor.detach()")
    return self.numpy().__dlpack__(**options)


@method
def __dlpack_device__(self: Tensor) -> tuple[int, int]:
    """The CPU, as DLPack numbers devices."""
    return 1, 0


@function
def from_dlpack(ext_tensor: Any) -> Tensor:
    """A tensor on the memory of another library's array."""
    if not hasattr(ext_tensor, "__dlpack__"):
        raise NotImplementedError(
            "from_dlpack of fakel takes arrays with a __dlpack__ method, not bare capsules"
        )
    return Tensor._from_numpy_shared(np.from_dlpack(ext_tensor))


@method
def __array_wrap__(
    self: Tensor, array: np.ndarray, context: Any = None, return_scalar: bool = False
) -> Tensor:
    """NumPy functions of a tensor give a tensor."""
    return Tensor._from_numpy_shared(np.asarray(array))
