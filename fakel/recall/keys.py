"""The key of a call: all that decides what it records, but for the values of tensors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from fakel.tensor import Size, Tensor, dtype
from fakel.tensor.device import device
from fakel.tensor.formats import Layout, MemoryFormat

# immutable, and equal only where they mean the same
_TOLD_APART = frozenset(
    {int, bool, str, type(None), type(Ellipsis), Size, dtype, device, MemoryFormat, Layout}
)
# numbers on which operators decide what to record
_SPECIAL = frozenset((0.0, 1.0, -1.0, 2.0))


def stamp_of(tensor: Tensor) -> Any:
    """A tensor's stamp, which it gets here if it has none (see ``expect.py``)."""
    if tensor._stamp is None:
        tensor._stamp = object()
    return tensor._stamp


class Known:
    """Tensors as they are now: ``fits`` says whether they still have this geometry and history, and
    memory that nobody else uses.
    """

    def __init__(self, tensors: list[Tensor]) -> None:
        self.stamped = [(tensor, stamp_of(tensor)) for tensor in tensors]

    def fits(self) -> bool:
        """Whether that is so."""
        for tensor, stamp in self.stamped:
            storage = tensor._storage
            if tensor._stamp is not stamp or (storage.exposed is not None and storage.shared):
                return False
        return True


class Tensors(list[Tensor]):
    """The tensors among a call's arguments; ``first`` has the position of each node's first."""

    __slots__ = ("first",)

    def __init__(self) -> None:
        self.first: dict[int, int] = {}


def is_operand(value: Any) -> bool:
    """Whether this is a number that an operator takes as an operand at run time."""
    return type(value) is float and value not in _SPECIAL and value == value


def add_all_to_key(
    values: Iterable[Any], parts: list[Any], tensors: Tensors, floats: list[float] | None
) -> bool:
    """`add_to_key` for each of the values."""
    for value in values:
        if not add_to_key(value, parts, tensors, floats):
            return False
    return True


def add_to_key(value: Any, parts: list[Any], tensors: Tensors, floats: list[float] | None) -> bool:
    """Adds what an argument contributes to the key. False for what cannot be told apart.

    Args:
        value: the argument.
        parts: the key so far.
        tensors: the tensors so far, to which this one is added.
        floats: where numbers go whose value does not matter, None if all values do.
    """
    if isinstance(value, Tensor):
        return _add_tensor(value, parts, tensors)
    kind = type(value)
    if kind in _TOLD_APART:
        parts.append(kind)
        parts.append(value)
        return True
    if kind is float:
        parts.append(kind)
        if floats is not None and is_operand(value):
            floats.append(value)
        else:
            # equal keys must mean equal values, and -0.0 == 0.0
            parts.append(value if value else str(value))
        return True
    if kind is tuple or kind is list:
        parts.append(kind)
        parts.append(len(value))
        return add_all_to_key(value, parts, tensors, floats)
    if kind is slice:
        parts.append(kind)
        return add_all_to_key((value.start, value.stop, value.step), parts, tensors, floats)
    return False


def _add_tensor(value: Tensor, parts: list[Any], tensors: Tensors) -> bool:
    storage = value._storage
    base = value._base
    if storage.exposed is not None and storage.shared:
        return False
    if base is not None and base._generation != value._generation:
        return False
    node = storage.node
    count = len(tensors)
    same = tensors.first.setdefault(id(node), count)
    other = value if same == count else tensors[same]
    parts.append(
        (
            type(value),
            value._shape,
            value._strides,
            value._offset,
            storage.dtype,
            node.shape,
            storage.length,
            same,
            other is value,
            other._storage is storage,
            2 if value._grad_fn is not None else value._requires_grad,
            base is not None,
            value._counts_writes,
            storage.inference,
            storage.layout,
        )
    )
    tensors.append(value)
    return True
