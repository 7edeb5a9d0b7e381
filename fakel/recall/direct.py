"""A joined call whose program is known, run without being recorded.

Recording serves to find out what is wanted and which program computes that. A joined call that is
followed by a flush, with nothing recorded before it, always wants the same; its program is the one
that the run of this call led to before.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from typing import Any

from fakel.graph import Call, Node, Run, recorded_since
from fakel.recall.template import ARGUMENT, Described, Template, renumbered
from fakel.tensor import Storage, Tensor

Gradient = tuple[Tensor, int, Any]


class Direct:
    """Runs the program of a call.

    Args:
        template: the call's template, which returns a list.
        gradients: parameters, the places of their gradients in the list, and their stamps.
        run: the run that consists of this call only, before its flush.
        tensors: the tensors among its arguments.
    """

    def __init__(
        self, template: Template, gradients: Sequence[Gradient], run: Run, tensors: list[Tensor]
    ) -> None:
        self.template = template
        self.gradients = gradients
        self.state = run.state
        slots: list[Any] = run.calls[0].slots  # type: ignore[assignment]
        places = {id(node): place for place, node in reversed(list(enumerate(slots)))}
        self.firsts = [places[id(node)] for node in slots[: template.sources]]
        self.alike = [(place, first) for place, first in enumerate(self.firsts) if place != first]
        self.leaves = [places[id(leaf)] for leaf in run.leaves]
        # stamps, and the key of the function's arguments, tell when that changes
        self.starts = all(tensors[position]._grad_fn is None for position in template.edges)
        self.replay: Any = None

    def find(self) -> bool:
        """Finds the program, once the run was flushed; whether there is one to be used."""
        variants = list(getattr(self.state, "variants", {}).values())
        # it has to compute every node that the call exposes
        if len(variants) == 1 and len(variants[0].outputs) == len(self.template.outside):
            native = variants[0].native()
            if native is not None and self.starts:
                (self.replay,) = variants
                self._arrange(native)
        return self.replay is not None

    def _arrange(self, native: Any) -> None:
        """Works out what each run has to make."""
        template, replay = self.template, self.replay
        count = template.sources
        wholes, views = replay.results
        places = {number + count: place for number, place in wholes}
        self.leaves = [self.leaves[number] for number in replay.leaves]
        inputs = native.leaves
        described: list[Described] = list(template.results[1])
        used = [slot for slot, *_ in template.storages] + [slot for _, slot, _ in template.writes]
        # tensors that stay as they are: their storages' arrays are updated in place
        self.updated: list[tuple[int, int]] = []
        writes = []
        for position, slot, times in template.writes:
            place = places.get(slot, len(inputs))
            if (
                used.count(slot) == 1
                and place < len(inputs)
                and inputs[place] in replay.donated
                and self.leaves[inputs[place]] == self.firsts[position]
            ):
                self.updated.append((position, times))
            else:
                writes.append((position, slot, times))
        # gradients of which tensors are made when somebody asks
        self.later: list[Tensor] = []
        self.outputs: list[int] = []
        self.recipes: dict[int, tuple[Any, ...]] = {}
        self.now: list[Gradient] = []
        returned = set(range(len(described))) - {place for _, place, _ in self.gradients}
        for parameter, place, stamp in self.gradients:
            kind, number = described[place].storage
            slot, *made = template.storages[number] if kind is not ARGUMENT else (-1,)
            if used.count(slot) == 1 and places.get(slot, -1) >= len(inputs):
                outside = template.outside[slot - count]
                recipe = len(self.later), outside, made, described[place], stamp
                self.recipes[id(parameter)] = recipe
                self.later.append(parameter)
                self.outputs.append(places[slot])
            else:
                self.now.append((parameter, len(returned), stamp))
                returned.add(place)
        # all else is made as the template says
        kept = [described[place] if place in returned else None for place in range(len(described))]
        needed = sorted({each.storage[1] for each in kept if each and each.storage[0] != ARGUMENT})
        numbers = {number: position for position, number in enumerate(needed)}
        self.rest = copy.copy(template)
        self.rest.storages = tuple(template.storages[number] for number in needed)
        self.rest.writes = tuple(writes)
        self.rest.listed = [renumbered(each, numbers) for each in kept if each is not None]
        wanted = {s for s, *_ in self.rest.storages} | {slot for _, slot, _ in writes}
        exposed = sorted(slot for slot in wanted if slot >= count)
        self.rest.outside = tuple(template.outside[slot - count] for slot in exposed)
        self.slots = {slot: number for number, slot in enumerate(exposed)}
        self.exposed = exposed
        self.results = (
            [(self.slots[n + count], place) for n, place in wholes if n + count in self.slots],
            [(self.slots[n + count], *view) for n, *view in views if n + count in self.slots],
        )
        self.rest.storages = tuple((self._slot(slot), *made) for slot, *made in self.rest.storages)
        self.rest.writes = tuple((p, self._slot(slot), times) for p, slot, times in writes)

    def _slot(self, slot: int) -> int:
        """Where a node is when only those that are needed are made."""
        number = self.slots.get(slot)
        return slot if number is None else self.template.sources + number

    def execute(self, call: Call, tensors: list[Tensor]) -> list[Tensor] | None:
        """What the call makes, computed; None, with nothing done, where it must be recorded.

        Args:
            call: it, with the sources that it reads.
            tensors: the tensors among its arguments.
        """
        native = self.replay.native()
        if native is None or recorded_since():
            return None
        slots: Any = call.slots
        for place, first in self.alike:
            if slots[place] is not slots[first]:
                return None
        leaves = [slots[place] for place in self.leaves]
        for number in self.replay.donated:
            # its storage, the slots and the list refer to it
            if sys.getrefcount(leaves[number]) != _OURS:
                return None
        nodes = [Node(operator, (), *rest) for operator, *rest in self.rest.outside]
        computed = self.replay.compute(native, nodes, leaves, self.results)
        if computed is None:
            return None
        arrays, addresses = computed
        for position, times in self.updated:
            tensor = tensors[position]
            tensor._storage.version += times * tensor._counts_writes
        places = self.outputs
        later = Gradients(self.recipes, [arrays[n] for n in places], [addresses[n] for n in places])
        for parameter in self.later:
            parameter._gradient = later
        slots += nodes
        run = Run()
        run.state = None
        call.edges = [tensors[position] for position in self.template.edges]
        run.calls.append(call)
        made: list[Tensor] = self.rest.make(call, tensors, run, 0)
        for parameter, place, stamp in self.now:
            gradient = parameter._gradient = made[place]
            gradient._stamp = stamp
        call.slots = None
        return made


class Gradients:
    """Gradients that were computed, and of which tensors are made when somebody asks.

    Args:
        recipes: for each parameter, by identity: the number of the array, what is known of the
            node, and of the storage, the tensor's description and stamp.
        arrays, addresses: their arrays, and where these are in memory.
    """

    __slots__ = ("addresses", "arrays", "recipes")
    _waits = True

    def __init__(
        self, recipes: dict[int, tuple[Any, ...]], arrays: list[Any], addresses: list[int]
    ) -> None:
        self.recipes = recipes
        self.arrays = arrays
        self.addresses = addresses

    def make(self, parameter: Tensor) -> Tensor:
        """The gradient of a parameter."""
        number, outside, made, described, stamp = self.recipes[id(parameter)]
        operator, parameters, shape, dtype = outside
        node = Node(operator, (), parameters, shape, dtype, self.arrays[number])
        node.address = self.addresses[number]
        gradient: Tensor = described.make(Storage(node, *made))
        gradient._stamp = stamp
        return gradient


def _measure() -> int:
    """The references to a leaf that its storage, the slots and the list of leaves hold."""
    slots = [Node(None, (), {}, (), None)]  # type: ignore[arg-type]
    held = slots[0]  # instead of a storage
    leaves = [slots[number] for number in range(1)]
    return [sys.getrefcount(leaves[number]) for number in range(1) if held][0]


_OURS = _measure()
