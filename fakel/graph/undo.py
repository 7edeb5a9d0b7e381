"""Taking back what was recorded after a node that failed.

PyTorch raises where an operator is called, so nothing that follows is done. Here an index may turn
out wrong when a flush computes it. What was written in place after that is then taken back:
storages get the nodes that they had. Only a run in which something may fail notes what it writes.
"""

from __future__ import annotations

import weakref
from collections.abc import Callable
from typing import Any

# how much was recorded: nodes and calls, and of the next one, if it is a call, its nodes
Moment = tuple[int, int]


class Journal:
    """How to take back what was done since the last flush."""

    def __init__(self) -> None:
        self.entries: list[tuple[Moment, Callable[[], None]]] = []

    def add(self, moment: Moment, restore: Callable[[], None]) -> None:
        """Notes what takes back something that was done at this moment."""
        self.entries.append((moment, restore))

    def take_back(self, moment: Moment) -> None:
        """Takes back all that was done after this moment, the last first."""
        for done, restore in reversed(self.entries):
            if done > moment:
                restore()


def former(storage: Any) -> Callable[[], None]:
    """What gives a storage the node and the version that it has now.

    The node is not kept alive, because references decide what is computed and what may be
    overwritten; unless something reads it that is not computed yet, it is gone. Single numbers are
    kept.
    """
    kept = storage.node if storage.length == 1 and storage.node.value is not None else None
    of_storage, of_node = weakref.ref(storage), weakref.ref(storage.node)
    version = storage.version

    def restore() -> None:
        storage, node = of_storage(), kept or of_node()
        if storage is not None and node is not None:
            storage.node, storage.version = node, version

    return restore
