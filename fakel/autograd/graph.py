"""``torch.autograd.graph``: hooks on saved tensors and on several gradients at once."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakel.autograd.tape import Backward as Node
from fakel.autograd.tape import saved_tensor_hooks as _in_force
from fakel.tensor import Tensor


class saved_tensors_hooks:
    """Within this context tensors saved for backward are packed and unpacked by the two functions.

    Args:
        pack_hook: takes a tensor, returns anything.
        unpack_hook: takes that and returns a tensor with the same values.
    """

    def __init__(
        self, pack_hook: Callable[[Tensor], Any], unpack_hook: Callable[[Any], Tensor]
    ) -> None:
        self.pack_hook = pack_hook
        self.unpack_hook = unpack_hook

    def __enter__(self) -> None:
        _in_force.append((self.pack_hook, self.unpack_hook))

    def __exit__(self, *exception: object) -> None:
        _in_force.pop()


class save_on_cpu(saved_tensors_hooks):
    """Keeps saved tensors on the CPU, where fakel's tensors are anyway.

    Args:
        pin_memory: has no meaning without a GPU and must be False.
    """

    def __init__(self, pin_memory: bool = False, device_type: str = "cuda") -> None:
        if pin_memory:
            raise RuntimeError("Cannot pin memory: there is no accelerator")
        super().__init__(lambda tensor: tensor, lambda tensor: tensor)


__all__ = ["Node", "save_on_cpu", "saved_tensors_hooks"]
