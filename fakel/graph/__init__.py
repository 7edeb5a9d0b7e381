"""The graph: nodes, recording, flushing."""

from fakel.graph.node import COPY, OUTPUT, VALUE, VIEW, WRITE, Node, Operator, leaf, strided
from fakel.graph.record import AtOnce, begin_backward, computed, flush, record, use_executor

__all__ = [
    "AtOnce",
    "COPY",
    "OUTPUT",
    "VALUE",
    "VIEW",
    "WRITE",
    "Node",
    "Operator",
    "begin_backward",
    "computed",
    "flush",
    "leaf",
    "record",
    "strided",
    "use_executor",
]
