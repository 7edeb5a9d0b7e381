"""The graph: nodes, recording, flushing."""

from fakel.graph.node import COPY, OUTPUT, VALUE, VIEW, WRITE, Node, Operator, leaf, strided
from fakel.graph.record import (
    AtOnce,
    add_call,
    begin_backward,
    computed,
    current_run,
    flush,
    flush_if_much,
    leave_uncaptured,
    may_capture,
    record,
    recorded_since,
    recording,
    use_executor,
    watching,
)
from fakel.graph.run import Call, Run

__all__ = [
    "AtOnce",
    "COPY",
    "OUTPUT",
    "VALUE",
    "VIEW",
    "WRITE",
    "Call",
    "Node",
    "Operator",
    "Run",
    "add_call",
    "begin_backward",
    "computed",
    "current_run",
    "flush",
    "flush_if_much",
    "leaf",
    "leave_uncaptured",
    "may_capture",
    "record",
    "recorded_since",
    "recording",
    "strided",
    "use_executor",
    "watching",
]
