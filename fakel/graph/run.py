"""What was recorded since the last flush by recalling: calls whose effect was known beforehand.

A *template* is what one call recorded when it was captured: nodes with inputs by position. A *call*
is one use of it. Only the nodes that somebody may refer to are made at once, without inputs; the
others come into being when the run is *expanded*, which a run that was met before never needs.

The calls of a run lead from one *state* to the next. A state therefore says all that was recorded,
with which wiring, and the programs that were compiled for it are kept there.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, Protocol

from fakel.graph.node import VALUE, Node

# what is recorded: operator, positions of the inputs, parameters, shape, dtype
Recipe = tuple[Any, tuple[int | None, ...], dict[str, Any], Any, Any]


class Template(Protocol):
    """What a call records. Positions count the ``sources``, then the nodes in order.

    ``exposed`` are the positions of the nodes that somebody may refer to, ``outside`` what is known
    of them: operator, parameters, shape, dtype.
    """

    recipes: Sequence[Recipe]
    exposed: Sequence[int]
    outside: Sequence[tuple[Any, dict[str, Any], Any, Any]]
    sources: int


def outside(
    recipes: Sequence[Recipe], exposed: Sequence[int]
) -> tuple[tuple[Any, dict[str, Any], Any, Any], ...]:
    """What is known of exposed nodes before they have inputs."""
    return tuple((recipes[p][0], *recipes[p][2:]) for p in exposed)


class State:
    """What a run has recorded so far; ``next`` leads on from here.

    ``expected`` is the call that followed last time, ``misses`` says how often it did not.
    """

    __slots__ = ("counts", "expected", "held", "misses", "next", "references", "variants")

    def __init__(self) -> None:
        self.next: dict[Any, State] = {}
        self.expected: Any = None
        self.misses = 0
        # references that the run itself holds to each of its nodes and leaves, those that there
        # were the last time, and whether others held them
        self.references: list[int] | None = None
        self.counts: list[int] = []
        self.held: tuple[bool, ...] = ()
        # which nodes and leaves are held by others -> how to run the program for that
        self.variants: dict[Any, Any] = {}


class Call:
    """One use of a template: the nodes it reads, then those it exposes."""

    __slots__ = ("edges", "freed", "saved", "slots", "template", "versions")

    def __init__(self, template: Any, slots: list[Any]) -> None:
        self.template = template
        self.slots: list[Any] | None = slots
        self.edges: Any = ()
        self.saved: Any = ()
        self.versions: Any = ()
        self.freed = False  # whether backward has gone through


_MOST_STATES = 20_000


class _States:
    """All states, forgotten together when there are too many."""

    def __init__(self) -> None:
        self.count = 0
        self.first = State()

    def make(self) -> State:
        self.count += 1
        return State()

    def forget(self) -> None:
        self.count, self.first = 0, State()


_states = _States()


def forget_states() -> None:
    """Forgets all that runs have led to, and the programs that are known for it."""
    _states.forget()


class Run:
    """The calls since the last flush, and the nodes and leaves that they have met.

    ``state`` is None once something was recorded that no state can say. ``risky``: something was
    recorded whose values may turn out wrong when it is computed (see ``undo.py``).
    """

    __slots__ = (
        "backwards",
        "calls",
        "elsewhere",
        "leaves",
        "nodes",
        "numbers",
        "parameters",
        "risky",
        "state",
        "token",
    )

    def __init__(self) -> None:
        if _states.count > _MOST_STATES:
            _states.forget()
        self.token = object()  # marks the nodes that are numbered in this run
        self.calls: list[Call] = []
        self.nodes: list[Node] = []
        self.leaves: list[Node] = []
        self.state: State | None = _states.first
        self.parameters: list[Any] = []  # tensors that gradients accumulate in
        self.numbers: dict[int, int] = {}  # their numbers, by identity
        self.risky = False
        self.elsewhere = False  # whether gradients go on to what this run did not record
        self.backwards: list[Any] | None = None  # the tape, once somebody asked for it

    def bind(self, leaf: Node) -> None:
        """Numbers a leaf that this run has not met."""
        self.leaves.append(leaf)
        leaf.run = self.token
        leaf.number = -len(self.leaves)

    def unbind(self, count: int) -> None:
        """Forgets the leaves beyond the first so many."""
        for leaf in self.leaves[count:]:
            leaf.run = None
        del self.leaves[count:]

    def lead(self, call: Call, extra: tuple[Any, ...]) -> None:
        """Moves on to the state that a call leads to; its slots hold the sources.

        Args:
            call: the call that is about to be added.
            extra: what else the state must tell apart.
        """
        state = self.state
        if state is None:
            return
        token = self.token
        numbers: list[int | None] = []
        for node in call.slots or ():
            if node is None:
                numbers.append(None)
            elif node.run is token:
                numbers.append(node.number)
            elif node.value is None:
                # pending, but recorded without a template
                self.state = None
                return
            else:
                self.bind(node)
                numbers.append(node.number)
        key = (call.template, tuple(numbers), extra)
        following = state.next.get(key)
        if following is None:
            following = state.next[key] = _states.make()
        self.state = following

    def add(self, call: Call) -> None:
        """Notes a call: makes the nodes that it exposes, and appends them to its slots."""
        slots: Any = call.slots
        token, nodes = self.token, self.nodes
        for operator, parameters, shape, dtype in call.template.outside:
            node = Node(operator, (), parameters, shape, dtype)
            node.run = token
            node.number = len(nodes)
            nodes.append(node)
            slots.append(node)
        self.calls.append(call)

    def _references(self) -> list[int]:
        """The references that this run holds to its nodes and leaves, and that looking adds."""
        counts: dict[int, int] = {}
        for call in self.calls:
            for node in call.slots or ():
                if node is not None:
                    counts[id(node)] = counts.get(id(node), 0) + 1
        return [
            counts.get(id(node), 0) + _LOOKING
            for each in (self.nodes, self.leaves)
            for node in each
        ]

    def held(self) -> tuple[bool, ...]:
        """For each node and leaf, whether somebody else refers to it."""
        state = self.state
        assert state is not None
        counts = list(map(sys.getrefcount, self.nodes))
        counts += map(sys.getrefcount, self.leaves)
        if counts != state.counts:
            if state.references is None:
                state.references = self._references()
            pairs = zip(counts, state.references, strict=True)
            state.counts, state.held = counts, tuple([count > own for count, own in pairs])
        return state.held

    def forget(self) -> None:
        """Lets go of the nodes; the tape stays as long as somebody refers to this run."""
        for call in self.calls:
            call.slots = None
        self.nodes = []
        self.leaves = []


def expand(call: Call) -> list[Node]:
    """All nodes of a call, in order, with their inputs."""
    template, slots = call.template, call.slots
    assert slots is not None
    count = template.sources
    exposed = dict(zip(template.exposed, slots[count:], strict=True))
    made: list[Node] = []
    for position, (operator, picks, parameters, shape, dtype) in enumerate(template.recipes):
        inputs = tuple(
            [None if i is None else slots[i] if i < count else made[i - count] for i in picks]
        )
        node = exposed.get(position)
        if node is None:
            node = Node(operator, inputs, parameters, shape, dtype)
        else:
            node.inputs = inputs
        made.append(node)
    return made


def _measure_looking() -> int:
    """The references to a node that `Run.held` sees when only the run's list holds it."""
    nodes = [Node(VALUE, (), {}, (), None)]
    return list(map(sys.getrefcount, nodes))[0]


_LOOKING = _measure_looking()
