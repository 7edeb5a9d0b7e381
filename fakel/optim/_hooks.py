"""Ordered tables of hooks, each removed through the handle that its registration returned."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

from fakel.nn.modules.hooks import RemovableHandle


class HookTable(OrderedDict[int, Callable[..., Any]]):
    """Hooks by handle number, in the order in which they run."""

    def add(self, hook: Callable[..., Any], prepend: bool = False) -> RemovableHandle:
        """Puts ``hook`` last, or first with ``prepend``; returns its handle."""
        handle = RemovableHandle(self)
        self[handle.id] = hook
        if prepend:
            self.move_to_end(handle.id, last=False)
        return handle
