"""The handle that registering a hook returns, at the path where PyTorch has it."""

from fakel.nn.modules.hooks import RemovableHandle

__all__ = ["RemovableHandle"]
