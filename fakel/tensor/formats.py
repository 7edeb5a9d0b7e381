"""``torch.memory_format`` and ``torch.layout``: names that programs pass along."""

from __future__ import annotations


class _Name:
    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"

    def __reduce__(self) -> str:
        return self._name


class MemoryFormat(_Name):
    """A memory format. fakel keeps every tensor that it makes contiguous."""


class Layout(_Name):
    """A layout; tensors are strided."""


contiguous_format = MemoryFormat("contiguous_format")
preserve_format = MemoryFormat("preserve_format")
channels_last = MemoryFormat("channels_last")
channels_last_3d = MemoryFormat("channels_last_3d")
strided = Layout("strided")
