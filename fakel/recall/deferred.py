"""The tape of recalled calls: backward nodes that come into being when somebody asks for them.

A run keeps for every call the edges of its arguments and the storages that would be saved. That is
enough to make the backward nodes at any time, and ``backward`` on a run that was met before needs
none of them.
"""

from __future__ import annotations

from typing import Any

from fakel.autograd.tape import Backward, SavedTensor, next_sequence
from fakel.graph.run import Call, Run
from fakel.tensor import Storage, Tensor


class Deferred:
    """Stands for a backward node of a call in a run."""

    __slots__ = ("backward", "call", "run")
    deferred = True

    def __init__(self, run: Run, call: int, backward: int) -> None:
        self.run = run
        self.call = call
        self.backward = backward

    def resolve(self) -> Backward:
        """The backward node itself."""
        made: Backward = tape(self.run)[self.call][self.backward]
        return made


def tape(run: Run) -> list[list[Backward]]:
    """The backward nodes of every call of a run so far."""
    nodes = run.backwards
    if nodes is None:
        nodes = run.backwards = []
    for call in run.calls[len(nodes) :]:
        nodes.append(_made(call, nodes))
    return nodes


def _made(call: Call, tape: list[list[Backward]]) -> list[Backward]:
    template, freed = call.template, call.freed
    edges = [_edge(edge, tape) for edge in call.edges]
    where = dict(zip(template.edges, edges, strict=True)) if edges else {}
    made: list[Backward] = []
    for recorded in template.backwards:
        node: Backward = object.__new__(recorded.kind)
        node.__dict__.update(recorded.fixed)
        node.sequence = next_sequence()
        node.outputs = list(recorded.outputs)
        node.freed = freed
        node.stack = None
        made.append(node)
    for node, recorded in zip(made, template.backwards, strict=True):
        node.edges = [
            None
            if edge is None
            else where[edge[1]]
            if edge[0] == "argument"
            else (made[edge[1]], edge[2])
            for edge in recorded.edges
        ]
        if recorded.saved is not None:
            saved = {}
            if not freed:
                for name, kept in recorded.saved.items():
                    saved[name] = (
                        tuple(_saved(each, call, where, made) for each in kept)
                        if isinstance(kept, tuple)
                        else _saved(kept, call, where, made)
                    )
            node.saved = saved  # type: ignore[attr-defined]
    call.saved = ()
    return made


def _edge(edge: Any, tape: list[list[Backward]]) -> Any:
    if isinstance(edge, Tensor) or len(edge) == 2:
        return edge
    call, backward, output = edge
    return tape[call][backward], output


def _saved(kept: Any, call: Call, where: dict[int, Any], made: list[Backward]) -> Any:
    if kept is None:
        return None
    storage: Storage = call.saved[kept.storage]
    saved: SavedTensor = object.__new__(SavedTensor)
    saved.is_result = kept.is_result
    saved.output_index = kept.output_index
    saved.storage = storage
    saved.version = call.versions[kept.storage]
    saved.packed = None
    edge = None if kept.argument is None else where.get(kept.argument)
    if isinstance(edge, Tensor):
        saved.tensor = edge
        return saved
    tensor = kept.tensor.make(storage)
    if edge is not None:
        tensor._grad_fn, tensor._output_index = edge
    elif kept.tensor.backward is not None and not kept.is_result:
        number, output = kept.tensor.backward
        tensor._grad_fn, tensor._output_index = made[number], output
    saved.tensor = tensor
    return saved
