"""A joined call whose program is known, run without being recorded.

Recording serves to find out what is wanted and which program computes that. A joined call that is
followed by a flush, with nothing recorded before it, always wants the same; its program is the one
that the run of this call led to before.
"""

from __future__ import annotations

import sys
from typing import Any

from fakel.graph import Call, Node, Run, recorded_since
from fakel.recall.template import Template
from fakel.tensor import Tensor


class Direct:
    """Runs the program of a call.

    Args:
        template: the call's template.
        run: the run that consists of this call only, before its flush.
    """

    def __init__(self, template: Template, run: Run) -> None:
        self.template = template
        self.state = run.state
        slots: list[Any] = run.calls[0].slots  # type: ignore[assignment]
        places = {id(node): place for place, node in reversed(list(enumerate(slots)))}
        self.leaves = [places[id(leaf)] for leaf in run.leaves]
        self.replay: Any = None

    def find(self) -> bool:
        """Finds the program, once the run was flushed; whether there is one to be used."""
        variants = list(getattr(self.state, "variants", {}).values())
        # it has to compute every node that the call exposes
        if len(variants) == 1 and len(variants[0].outputs) == len(self.template.outside):
            (self.replay,) = variants
        return self.replay is not None

    def execute(self, call: Call, tensors: list[Tensor]) -> list[Tensor] | None:
        """What the call makes, computed; None, with nothing done, where it must be recorded.

        Args:
            call: it, with the sources that it reads.
            tensors: the tensors among its arguments.
        """
        native = self.replay.native()
        if native is None or recorded_since():
            return None
        template = self.template
        if any(tensors[position]._grad_fn is not None for position in template.edges):
            return None
        slots: list[Any] = call.slots  # type: ignore[assignment]
        places = self.leaves
        leaves = [slots[places[number]] for number in self.replay.leaves]
        for number in self.replay.donated:
            # its storage, the slots and the list refer to it
            if sys.getrefcount(leaves[number]) != _OURS:
                return None
        nodes = [Node(operator, (), *rest) for operator, *rest in template.outside]
        if not self.replay.compute(native, nodes, leaves):
            return None
        slots += nodes
        run = Run()
        run.state = None
        call.edges = [tensors[position] for position in template.edges]
        run.calls.append(call)
        made: list[Tensor] = template.make(call, tensors, run, 0)
        call.slots = None
        return made


def _measure() -> int:
    """The references to a leaf that its storage, the slots and the list of leaves hold."""
    slots = [Node(None, (), {}, (), None)]  # type: ignore[arg-type]
    held = slots[0]  # instead of a storage
    leaves = [slots[number] for number in range(1)]
    return [sys.getrefcount(leaves[number]) for number in range(1) if held][0]


_OURS = _measure()
