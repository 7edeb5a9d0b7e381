"""What a program's kernel calls are for: their operators, shapes, operations and bytes, for
profiles.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from fakel.compiler.costs import operations
from fakel.compiler.planning.lowering import Access, Call
from fakel.runtime.trace import Label

# kernels that bring data into another order before or after the one that computes
_MOVERS = ("pack", "join", "frame", "transpose", "copy", "pointwise")

# what computes nothing
_SEEN = ("view", "output")


class Origins:
    """Follows a plan and tells each call which values it computes.

    Values that added no call when they were lowered wait to become part of a later one's kernel.
    """

    def __init__(self) -> None:
        self._waiting: dict[int, Any] = {}

    def note(self, value: Any, steps: Sequence[Any]) -> None:
        """Takes a value that was just lowered, and the steps that this added."""
        if value.operator.name in _SEEN:
            return
        calls = [step for step in steps if isinstance(step, Call)]
        if not steps:
            self._waiting[id(value)] = value
        # pointwise kernels know what they compute
        calls = [call for call in calls if not call.operators]
        for call in calls:
            call.operators = tuple(part.operator.name for part in self._parts(value))
        if calls:
            computing = [call for call in calls if not call.kernel.name.startswith(_MOVERS)]
            computing = computing or calls
            computing[0].operations = sum(operations(part) for part in self._parts(value))

    def _parts(self, value: Any) -> list[Any]:
        """The values that became one kernel with this one, which comes last."""
        parts: list[Any] = []
        for part in getattr(value, "parts", (value,)):
            for source in part.inputs:
                if source is not None and id(source) in self._waiting and source not in parts:
                    parts += self._parts(source)
            if part.operator.name not in _SEEN:
                parts.append(part)
        return parts


def label(call: Call) -> Label:
    """The label of a call's row."""
    seen = list(dict.fromkeys(call.arguments))
    size = sum(_elements(access) * access.dtype.itemsize for access in seen)
    shapes = tuple(access.shape for access in call.arguments)
    return Label(call.kernel.name, call.operators, shapes, call.operations, size)


def _elements(access: Access) -> int:
    """Those in memory: expanded dimensions have one."""
    sizes = zip(access.shape, access.strides, strict=True)
    return math.prod(size for size, stride in sizes if stride)
