"""A flat buffer that tensors are views of."""

from __future__ import annotations

import sys

import numpy as np

from fakel.graph import COPY, Node, computed, contents, leaf, note_write, record
from fakel.tensor.dtypes import dtype

# shape and strides
Layout = tuple[tuple[int, ...], tuple[int, ...]] | None


class Storage:
    """One flat buffer: its dtype, length, version, and its current value as a graph node.

    The node keeps the shape of the operator that made it; its elements in row-major order are the
    buffer. Writing replaces the node and counts the version up. Several storages may share a node:
    a value never changes, so that a copy is only made when one of them is about to be written.

    ``exposed`` is the array that owns the memory once somebody outside may hold it (``numpy()``,
    ``from_numpy``). As long as its reference count says that somebody does, every read takes a
    snapshot and every write goes into that memory at once.

    ``layout`` is None, or shape and strides that PyTorch's memory would have (see ``memory.py``).
    """

    __slots__ = (
        "__weakref__",
        "dtype",
        "exposed",
        "inference",
        "layout",
        "length",
        "node",
        "pinned",
        "version",
    )

    def __init__(self, node: Node, dtype: dtype, length: int, layout: Layout = None) -> None:
        self.node = node
        self.dtype = dtype
        self.length = length
        self.version = 0
        self.exposed: np.ndarray | None = None
        self.pinned = False
        self.inference = False
        self.layout = layout

    @classmethod
    def on_memory(cls, flat: np.ndarray, dtype: dtype, pinned: bool) -> Storage:
        """A storage on memory that belongs to an array outside. ``pinned``: reference counts cannot
        tell who else uses it, so it counts as shared for good.
        """
        storage = cls(leaf(flat, dtype), dtype, flat.size)
        storage.exposed = flat if flat.base is None else flat.base
        storage.pinned = pinned
        return storage

    @property
    def shared(self) -> bool:
        """Whether somebody outside may hold the memory."""
        if self.exposed is None:
            return False
        if self.pinned or sys.getrefcount(self.exposed) > _OURS:
            return True
        self.exposed = None
        return False

    def own(self) -> np.ndarray:
        """The computed buffer, belonging to this storage alone."""
        array: np.ndarray = computed(self.node)
        if self.exposed is None and (
            not array.flags.owndata
            or not array.flags.writeable
            or sys.getrefcount(array) > _SOLE_ARRAY
            or sys.getrefcount(self.node) > _SOLE_NODE
        ):
            array = array.copy(order="C")
            self.node = leaf(array, self.dtype)
        return array

    def expose(self) -> np.ndarray:
        """The buffer, from now on shared with somebody outside."""
        array = self.own()
        if self.exposed is None:
            self.exposed = array
        return array

    def snapshot(self) -> Node:
        """The current value as a node that later writes from outside do not change."""
        if self.shared:
            return leaf(self.node.value.copy(order="C"), self.dtype)
        return self.node

    def replace(self, node: Node) -> None:
        """Makes ``node`` the value of the whole buffer."""
        if self.shared:
            np.copyto(self.node.value, np.reshape(computed(node), self.node.value.shape))
        else:
            note_write(self)
            self.node = node

    def resize(self, length: int) -> None:
        """Gives the buffer another length; what is new at its end is zero."""
        flat = np.zeros(length, self.dtype.storage)
        kept = min(length, self.length)
        flat[:kept] = np.reshape(contents(self.node), -1)[:kept]
        note_write(self)
        self.node, self.length, self.exposed, self.layout = (
            leaf(flat, self.dtype),
            length,
            None,
            None,
        )

    def copy(self) -> Storage:
        """A storage of its own with the same value."""
        return Storage(self.snapshot(), self.dtype, self.length)


def copied(node: Node) -> Node:
    """A node with the same value, computed into memory of its own."""
    return record(COPY, (node,), {}, node.shape, node.dtype)


# references to an array that only its node and `own` hold, to a node that only a storage holds,
# and to exposed memory that only the storage and its node hold
_SOLE_ARRAY = 3
_SOLE_NODE = 2
_OURS = 3
