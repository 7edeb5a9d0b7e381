"""Templates: what one call of an operator did, with its arguments by position.

Nodes are recipes (see ``graph/run.py``); tensors, storages and backward nodes are described by the
small classes here. ``Template.apply`` does it all again for other arguments.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

from fakel.autograd.modes import state as modes
from fakel.graph import (
    Call,
    Node,
    Run,
    add_call,
    current_run,
    flush,
    leaf,
    may_fail,
    note_write,
)
from fakel.graph.run import Recipe, outside
from fakel.recall.deferred import Deferred
from fakel.tensor import Size, Storage, Tensor

# where something comes from: (_ARGUMENT, position) or (_MADE, position)
ARGUMENT, MADE = "argument", "made"
Place = tuple[str, int]


# a storage that the call made: the slot of its node, its dtype, length and layout
Made = tuple[int, Any, int, Any]


@dataclass(frozen=True)
class Described:
    """A tensor: its storage and geometry, and where its gradient goes; the stamp of those that are
    made of it (see ``expect.py``).

    ``base`` is what it is a view of: the position of an argument or another described tensor, and
    the function that takes it to this view. ``backward`` is the number of the backward node and of
    its output.
    """

    storage: Place
    shape: Size
    strides: tuple[int, ...] | None = None
    offset: int = 0
    counts_writes: bool = True
    base: tuple[int | Described, Callable[[Tensor], Tensor]] | None = None
    origin: tuple[str, int] | None = None
    backward: tuple[int, int] | None = None

    def make(self, storage: Storage) -> Tensor:
        """The tensor on its storage, without history."""
        tensor: Tensor = _new(Tensor)
        tensor._storage = storage
        tensor._shape = self.shape
        if self.strides is not None:
            tensor._strides = self.strides
        if self.offset:
            tensor._offset = self.offset
        if not self.counts_writes:
            tensor._counts_writes = False
        return tensor


def renumbered(described: Described, numbers: dict[int, int]) -> Described:
    """A tensor whose call makes its storages under other numbers."""
    kind, number = described.storage
    if kind == ARGUMENT:
        return described
    return replace(described, storage=(MADE, numbers[number]))


@dataclass(frozen=True)
class Kept:
    """A tensor that a backward node saves.

    ``tensor`` is described, or None for an argument; ``storage`` numbers the storages that a call
    keeps.
    """

    storage: int
    argument: int | None
    tensor: Described | None
    is_result: bool
    output_index: int


@dataclass(frozen=True)
class Recorded:
    """A backward node: its class and what never changes, where its edges lead, what it saves.

    An edge is (ARGUMENT, position), (MADE, number of another backward node, its output) or None.
    """

    kind: type
    fixed: dict[str, Any]
    edges: tuple[Any, ...]
    outputs: tuple[Any, ...]
    saved: dict[Any, Kept | tuple[Kept | None, ...] | None]


class Template:
    """The effect of a call: what it reads, records, makes, writes and returns."""

    def __init__(
        self,
        *,
        arguments: int,
        numbers: Sequence[tuple[int, Callable[[Any, Any], Any], Any]],
        constants: Sequence[Node],
        drawn: Sequence[tuple[Callable[[], Any], Any]],
        checks: Sequence[tuple[int | None, Callable[[Any], None]]],
        recipes: Sequence[Recipe],
        exposed: Sequence[int],
        storages: Sequence[Made],
        results: Any,
        writes: Sequence[tuple[int, int, int]],
        backwards: Sequence[Recorded],
        edges: Sequence[int],
        kept: Sequence[Place],
        size: int,
    ) -> None:
        self.numbers = tuple(numbers)
        self.constants = tuple(constants)
        self.drawn = tuple(drawn)
        self.checks = tuple(checks)
        self.recipes = tuple(recipes)
        self.exposed = tuple(exposed)
        self.outside = outside(recipes, exposed)
        self.storages = tuple(storages)
        self.results = results
        self.writes = tuple(writes)
        self.backwards = tuple(backwards)
        self.edges = tuple(edges)
        self.kept = tuple(kept)
        self.size = size
        self.others = len(numbers) + len(constants) + len(drawn)
        self.sources = arguments + self.others
        only = isinstance(results, Described)
        self.only = results if only else None
        # all results of a list of tensors
        listed = (
            not only and results[0] is list and all(isinstance(r, Described) for r in results[1])
        )
        self.listed: list[Described] | None = results[1] if listed else None
        # for each check, the node that passed it last
        self.checked: list[Any] = [None] * len(self.checks)

    def operands(self, numbers: list[float]) -> list[Node]:
        """The leaves for the numbers that are operands at run time."""
        return [leaf(make(numbers[position], kind), kind) for position, make, kind in self.numbers]

    def start(self, arguments: list[Tensor], operands: list[Node]) -> Call:
        """The call with what it reads.

        Args:
            arguments: the tensors among the call's arguments, in order.
            operands: see there. Two calls of one run may not have the same ones.
        """
        for number, (position, check) in enumerate(self.checks):
            argument = None if position is None else arguments[position]
            node = None if argument is None else argument._storage.node
            if argument is None or node is None or node.value is None:
                may_fail()
            elif node is not self.checked[number]:
                check(argument._array())
                self.checked[number] = node
        slots: list[Any] = [tensor._storage.node for tensor in arguments]
        if self.others:
            slots += operands
            slots += self.constants
            for draw, kind in self.drawn:
                slots.append(leaf(draw(), kind))
        return Call(self, slots)

    def finish(self, run: Run, call: Call, edges: list[Any], arguments: list[Tensor]) -> Any:
        """Records the call, and makes, writes and returns what it does."""
        number = len(run.calls)
        call.edges = edges
        much = add_call(call, self.size)
        result = self.make(call, arguments, run, number)
        if much:
            flush()
        return result

    def make(self, call: Call, arguments: list[Tensor], run: Run, number: int) -> Any:
        """Makes, writes and returns what the call does, which exposes its nodes.

        Args:
            call: it.
            arguments: the tensors among its arguments.
            run: its run.
            number: its number there.
        """
        slots: Any = call.slots
        made = [Storage(slots[slot], dtype, n, layout) for slot, dtype, n, layout in self.storages]
        if modes.inference:
            for storage in made:
                storage.inference = True
        if self.kept:
            saved = [
                made[position] if place is MADE else arguments[position]._storage
                for place, position in self.kept
            ]
            call.saved = saved
            call.versions = [storage.version for storage in saved]
        for position, slot, count in self.writes:
            tensor = arguments[position]
            storage = tensor._storage
            if run.risky:
                note_write(storage, self._recipe_of(slot) + 1)
            storage.node = slots[slot]
            storage.version += count * tensor._counts_writes
        if self.only is not None:
            return self._tensor(self.only, arguments, made, run, number)
        if self.listed is not None:
            return [self._tensor(each, arguments, made, run, number) for each in self.listed]
        return self._results(self.results, arguments, made, run, number)

    def _recipe_of(self, slot: int) -> int:
        """The position of the recipe that fills a slot; the last one if none does."""
        made = slot - self.sources
        return self.exposed[made] if made >= 0 else len(self.recipes) - 1

    def _results(
        self, described: Any, arguments: list[Tensor], made: list[Storage], run: Any, number: int
    ) -> Any:
        if isinstance(described, Described):
            return self._tensor(described, arguments, made, run, number)
        if isinstance(described, tuple):
            kind, parts = described
            if kind is None:
                return parts
            if kind is ARGUMENT:
                return arguments[parts]
            values = [self._results(part, arguments, made, run, number) for part in parts]
            return kind(values)
        return described

    def _tensor(
        self,
        described: Described,
        arguments: list[Tensor],
        made: list[Storage],
        run: Any,
        number: int,
    ) -> Tensor:
        place, position = described.storage
        tensor = described.make(made[position] if place is MADE else arguments[position]._storage)
        tensor._stamp = described
        if described.base is not None:
            source, replay = described.base
            if isinstance(source, int):
                origin = arguments[source]
            else:
                origin = self._tensor(source, arguments, made, run, number)
            base = origin._base
            if base is None:
                tensor._base, tensor._replay = origin, replay
            else:
                first: Any = origin._replay
                tensor._base = base
                tensor._replay = lambda other: replay(first(other))
            tensor._generation = tensor._base._generation
            if described.origin is not None:
                tensor._origin = described.origin
        if described.backward is not None:
            backward, tensor._output_index = described.backward
            tensor._grad_fn = Deferred(run, number, backward)
        return tensor


def lead(
    run: Any, arguments: list[Tensor], positions: tuple[int, ...], edges: list[Any]
) -> tuple[Any, ...]:
    """Appends where the gradients of some arguments go; returns what tells them apart.

    An edge is a leaf, (call, backward, output) in this run, or a pair of a backward node of
    elsewhere and its output.
    """
    extra = []
    numbers = run.numbers
    for position in positions:
        tensor = arguments[position]
        history = tensor._grad_fn
        if history is None:
            known = numbers.get(id(tensor))
            if known is None:
                known = numbers[id(tensor)] = len(numbers)
                run.parameters.append(tensor)
            extra.append(known)
            edges.append(tensor)
        elif history.deferred and history.run is run:
            edge = history.call, history.backward, tensor._output_index
            extra.append(edge)
            edges.append(edge)
        else:
            run.elsewhere = True
            extra.append(None)
            edges.append((tensor._backward_node(), tensor._output_index))
    return tuple(extra)


def record(call: Call, arguments: list[Tensor]) -> Any:
    """Moves the run on to where a started call leads, and records the call; returns what it
    returns. Whoever calls this holds the lock of ``recording``.
    """
    edges: list[Any] = []
    run = current_run()
    run.lead(call, lead(run, arguments, call.template.edges, edges))
    return call.template.finish(run, call, edges, arguments)


_new = object.__new__
