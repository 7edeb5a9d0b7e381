"""Log-softmax and the negative log likelihood after it, forward and backward, as one kernel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from fakel.compiler.graph import Graph, Group, Value
from fakel.compiler.kernels.reductions.cross_entropy import cross_entropy
from fakel.compiler.passes.matching import Readers, grouped
from fakel.compiler.planning.lowering import pattern
from fakel.graph import OUTPUT

NAME = "cross_entropy"


@dataclass(frozen=True)
class JoinCrossEntropy:
    """Groups log_softmax and nll_loss with their gradients, where nobody else wants what lies
    between; forward alone where there is no backward.
    """

    name: str = "join cross entropy"

    def __call__(self, graph: Graph) -> Graph:
        readers = Readers(graph)
        found = []
        for value in graph:
            if value.name == "nll_loss":
                group = _match(value, readers)
                if group is not None:
                    found.append(group)
        return grouped(graph, found)


def _match(loss: Value, readers: Readers) -> Group | None:
    chances, _, weight = loss.inputs
    assert chances is not None
    if weight is not None or chances.name != "log_softmax" or len(chances.shape) != 2:
        return None
    if chances.parameters["dim"] != 1:
        return None
    outputs = readers.of(loss)
    forward = [chances, loss, *outputs]
    if readers.inner(chances, loss):
        return Group(NAME, forward, loss=loss)
    backward = _backward(chances, loss, outputs, readers)
    if not backward or not readers.inner(chances, loss, backward[-1]):
        return None
    return Group(NAME, [*forward, *backward], loss=loss)


def _backward(
    chances: Value, loss: Value, outputs: list[Value], readers: Readers
) -> list[Value] | None:
    """The gradients of the likelihood and of log-softmax."""
    target = loss.inputs[1]
    for pulled in readers.of(chances):
        if pulled.name != "log_softmax_gradient" or pulled.inputs[1] is not chances:
            continue
        spread = pulled.sources[0]
        if spread.name != "nll_loss_gradient" or spread.inputs[1] is not target:
            continue
        if spread.inputs[2] is not None or spread.inputs[3] not in outputs:
            continue
        same = all(
            spread.parameters[name] == loss.parameters[name]
            for name in ("reduction", "ignore_index")
        )
        if same and readers.inner(spread, pulled):
            return [spread, pulled]
    return None


@pattern(NAME)
def _lower(plan: Any, group: Group) -> bool:
    loss = group.parameters["loss"]
    logits = group.parts[0].sources[0]
    last = group.parts[-1]
    if last.operator is OUTPUT:
        return cross_entropy(plan, logits, loss.sources[1], loss)
    (spread,) = (part for part in group.parts if part.name == "nll_loss_gradient")
    return cross_entropy(plan, logits, loss.sources[1], loss, spread.sources[0], last)
