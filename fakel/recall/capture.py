"""Capturing: watches one call while it is carried out, and says afterwards what it did.

The result is a template, or nothing where the call did what cannot be done again for other
arguments: looked at values, drew random numbers, warned, changed its arguments' shape, …
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import reduce
from typing import Any

from fakel.autograd.tape import Backward, SavedTensor, edge_of
from fakel.graph import Call, Node, leaf
from fakel.recall.template import ARGUMENT, MADE, Described, Kept, Recorded, Template
from fakel.tensor import Storage, Tensor

# elements of an array that a template keeps because the call made it from nothing
_LARGEST_CONSTANT = 1 << 16
# what a tensor that a call made may have: nothing else would be made again
_FIELDS = frozenset(
    {
        "_base",
        "_counts_writes",
        "_generation",
        "_grad_fn",
        "_offset",
        "_origin",
        "_output_index",
        "_replay",
        "_shape",
        "_stamp",
        "_storage",
        "_strides",
    }
)
_OF_ITS_OWN = frozenset({"sequence", "edges", "outputs", "freed", "stack", "saved"})
_PLAIN = (int, float, bool, str, complex, type(None))


class SpoiltError(Exception):
    """The call cannot be recalled."""


class Capture:
    """Notes what the code of one call does.

    Args:
        arguments: the tensors among the call's arguments.
        numbers: the floats among them that may be operands at run time.
        constants: whether other operands may be constants although there are numbers.
    """

    def __init__(
        self, arguments: list[Tensor], numbers: list[float], constants: bool = False
    ) -> None:
        self.arguments = arguments
        self.numbers = numbers
        self.allows_constants = constants
        self.reason: str | None = None
        self.nodes = [tensor._storage.node for tensor in arguments]
        self.geometries = [_geometry(tensor) for tensor in arguments]
        self.written: list[tuple[Tensor, Node]] = []
        self.backwards: list[Backward] = []
        self.views: dict[int, tuple[Tensor, Tensor, Callable[[Tensor], Tensor]]] = {}
        self.operands: dict[int, tuple[Node, int, Callable[[Any, Any], Any]]] = {}
        self.leaves: dict[tuple[int, Any], Node] = {}
        self.draws: dict[int, tuple[Node, Callable[[], Any]]] = {}
        self.counted = 0
        self.checked: list[tuple[Tensor, Callable[[Any], None]]] = []
        self.unchecked: list[tuple[Tensor, Callable[[Any], None]]] = []

    # ---------------------------------------------------------------- what happens meanwhile

    def spoil(self, reason: str) -> None:
        """Something happened that cannot be recalled."""
        self.reason = self.reason or reason

    def wrote(self, tensor: Tensor) -> None:
        """A tensor's values are about to be written."""
        self.written.append((tensor, tensor._storage.node))

    def recorded(self, backward: Backward) -> None:
        """A backward node was made."""
        self.backwards.append(backward)

    def viewed(self, view: Tensor, input: Tensor, replay: Callable[[Tensor], Tensor]) -> None:
        """A view was made; ``replay`` makes the same view of another tensor."""
        self.views[id(view)] = view, input, replay

    def number(self, number: Any, kind: Any, make: Callable[[Any, Any], Any]) -> Node:
        """A leaf for a Python number: the same one for each use of a number at run time."""
        for position, known in enumerate(self.numbers):
            if number is known:
                node = self.leaves.get((position, kind))
                if node is None:
                    node = self.leaves[position, kind] = leaf(make(number, kind), kind)
                    self.operands[id(node)] = node, position, make
                return node
        return leaf(make(number, kind), kind)

    def drew(self, node: Node, draw: Callable[[], Any], count: int) -> None:
        """A leaf holds random numbers, which ``draw`` draws anew, in so many draws."""
        self.draws[id(node)] = node, draw
        self.counted += count

    def check(self, tensor: Tensor, check: Callable[[Any], None]) -> None:
        """A tensor's values were checked where they were known."""
        self.checked.append((tensor, check))

    def may_fail(self, tensor: Tensor, check: Callable[[Any], None]) -> None:
        """A tensor's values are pending, and will be checked when they are used."""
        self.unchecked.append((tensor, check))

    # ---------------------------------------------------------------- the template

    def template(self, result: Any, recorded: list[Node | Call]) -> Template:
        """What the call did.

        Args:
            result: what it returned.
            recorded: what was recorded meanwhile.

        Raises:
            SpoiltError: it cannot be recalled.
        """
        self._demand(self.reason is None, self.reason or "")
        self.storages: dict[int, int] = {}
        self.made: list[Storage] = []
        self.used: set[int] = set()
        self.recorded_nodes: list[Node] = []
        for each in recorded:
            self._demand(type(each) is Node, "calls were recalled meanwhile")
            self.recorded_nodes.append(each)  # type: ignore[arg-type]
        self.positions = {id(node): i for i, node in enumerate(self.recorded_nodes)}
        self._check_arguments()
        checks = [(self._argument(tensor), check) for tensor, check in self.checked]
        self._demand(all(p is not None for p, _ in checks), "an intermediate was checked")
        checks += [(self._argument(tensor), check) for tensor, check in self.unchecked]
        results = self._describe_result(result)
        writes = self._writes()
        backwards = self._tape()
        self._find_sources()
        exposed = sorted(
            {
                self.positions[id(node)]
                for node in [s.node for s in self.made] + [node for _, node, _ in writes]
                if id(node) in self.positions
            }
        )
        count = len(self.sources)
        slots = dict(self.slots)
        slots.update({id(self.recorded_nodes[p]): count + i for i, p in enumerate(exposed)})
        return Template(
            arguments=len(self.arguments),
            numbers=self.found_numbers,
            constants=self.constants,
            drawn=self.drawn,
            checks=checks,
            recipes=[self._recipe(node, count) for node in self.recorded_nodes],
            exposed=exposed,
            storages=[(slots[id(s.node)], s.dtype, s.length, s.layout) for s in self.made],
            results=results,
            writes=[(position, slots[id(node)], count) for position, node, count in writes],
            backwards=backwards,
            edges=sorted(self.edges),
            kept=self.kept,
            size=sum(map(bytes_of, self.recorded_nodes)),
        )

    @staticmethod
    def _demand(condition: bool, reason: str) -> None:
        if not condition:
            raise SpoiltError(reason)

    def keep_used(self) -> list[int]:
        """Forgets the arguments that the template, which was made, did not need; returns the
        positions of the others. The template is to be made again then.
        """
        needed = sorted(self.used)
        self.arguments = [self.arguments[position] for position in needed]
        self.nodes = [self.nodes[position] for position in needed]
        self.geometries = [self.geometries[position] for position in needed]
        return needed

    def _argument(self, tensor: Tensor) -> int | None:
        """The position of a tensor among the arguments."""
        for position, argument in enumerate(self.arguments):
            if argument is tensor:
                self.used.add(position)
                return position
        return None

    def _check_arguments(self) -> None:
        written = {id(tensor._storage) for tensor, _ in self.written}
        for tensor, node, geometry in zip(self.arguments, self.nodes, self.geometries, strict=True):
            storage = tensor._storage
            self._demand(_geometry(tensor) == geometry, "an argument changed")
            changed = storage.node is not node and id(storage) not in written
            self._demand(not changed, "an argument's storage was replaced")

    def _writes(self) -> list[tuple[int, Node, int]]:
        """The arguments whose storages were written, their new nodes, and how often."""
        found: dict[int, tuple[int, Node, int]] = {}
        storages = {id(argument._storage) for argument in self.arguments}
        for tensor, before in self.written:
            storage = tensor._storage
            if id(storage) not in storages:
                # what the call made itself is its own business, unless it is a result
                self._demand(id(before) in self.positions, "something else was written in place")
                continue
            position = self._argument(tensor)
            self._demand(position is not None, "a view of an argument was written")
            _, _, count = found.get(id(storage), (0, storage.node, 0))
            found[id(storage)] = position, storage.node, count + 1  # type: ignore[assignment]
        return list(found.values())

    def _place(self, storage: Storage) -> tuple[str, int]:
        for position, argument in enumerate(self.arguments):
            if argument._storage is storage:
                self.used.add(position)
                return ARGUMENT, position
        number = self.storages.get(id(storage))
        if number is None:
            self._demand(storage.version == 0, "a result was written in place")
            self._demand(storage.exposed is None, "a result shares memory")
            number = self.storages[id(storage)] = len(self.made)
            self.made.append(storage)
        return MADE, number

    def _describe_result(self, result: Any) -> Any:
        if isinstance(result, Tensor):
            position = self._argument(result)
            if position is not None:
                return ARGUMENT, position
            self._demand(type(result) is Tensor, "the result is of another class")
            return self._describe(result, as_view=True)
        if isinstance(result, (tuple, list)):
            kind = getattr(type(result), "_make", type(result))
            return kind, [self._describe_result(part) for part in result]
        self._demand(isinstance(result, _PLAIN), "the result is no tensor")
        return None, result

    def _describe(self, tensor: Tensor, *, as_view: bool = False) -> Described:
        fields = tensor.__dict__
        self._demand(_FIELDS.issuperset(fields), "a result has other properties")
        history, backward = tensor._grad_fn, None
        if history is not None:
            number = self._number_of(history)
            self._demand(number is not None, "a result has a history from elsewhere")
            backward = number, tensor._output_index
        base = None
        if as_view and tensor._base is not None:
            base = self._base(tensor)
        return Described(
            storage=self._place(tensor._storage),
            shape=tensor._shape,
            strides=tensor._strides,
            offset=tensor._offset,
            counts_writes=tensor._counts_writes,
            base=base,
            origin=tensor._origin,
            backward=backward,  # type: ignore[arg-type]
        )

    def _base(self, tensor: Tensor) -> tuple[int | Described, Callable[[Tensor], Tensor]]:
        replays: list[Callable[[Tensor], Tensor]] = []
        current = tensor
        while id(current) in self.views:
            _, current, replay = self.views[id(current)]
            replays.append(replay)
            position = self._argument(current)
            if position is not None:
                return position, _composed(replays[::-1])
        self._demand(bool(replays) and current._base is None, "a view of something else")
        return self._describe(current), _composed(replays[::-1])

    def _number_of(self, backward: Any) -> int | None:
        return next((i for i, each in enumerate(self.backwards) if each is backward), None)

    def _tape(self) -> list[Recorded]:
        self.edges: set[int] = set()
        self.kept: list[tuple[str, int]] = []
        known = [edge_of(tensor) for tensor in self.arguments]
        result = []
        for backward in self.backwards:
            self._demand(backward.repeatable and not backward.hooked, "an unusual backward node")
            fields = backward.__dict__
            saved: Any = fields.get("saved")
            if saved is not None:
                saved = {
                    name: tuple(self._keep(s) for s in each)
                    if isinstance(each, tuple)
                    else self._keep(each)
                    for name, each in saved.items()
                }
            result.append(
                Recorded(
                    kind=type(backward),
                    fixed={k: v for k, v in fields.items() if k not in _OF_ITS_OWN},
                    edges=tuple(self._edge(edge, known) for edge in backward.edges),
                    outputs=tuple(backward.outputs),
                    saved=saved,
                )
            )
        return result

    def _edge(self, edge: Any, known: list[Any]) -> Any:
        if edge is None:
            return None
        if not isinstance(edge, Tensor):
            number = self._number_of(edge[0])
            if number is not None:
                return MADE, number, edge[1]
        for position, other in enumerate(known):
            if edge is other or (isinstance(edge, tuple) and edge == other):
                self.edges.add(position)
                self.used.add(position)
                return ARGUMENT, position
        raise SpoiltError("an edge to something else")

    def _keep(self, saved: SavedTensor | None) -> Kept | None:
        if saved is None:
            return None
        tensor = saved.tensor
        self._demand(saved.packed is None and tensor is not None, "saved tensors are hooked")
        assert tensor is not None
        self._demand(saved.version == saved.storage.version, "a saved tensor was overwritten")
        place = self._place(saved.storage)
        if place not in self.kept:
            self.kept.append(place)
        argument = self._argument(tensor)
        if argument is None:
            described = self._describe(tensor)
        else:
            described = Described(place, tensor._shape, tensor._strides, tensor._offset)
        return Kept(
            self.kept.index(place), argument, described, saved.is_result, saved.output_index
        )

    def _find_sources(self) -> None:
        """Gives everything that is read but not recorded here its slot."""
        wanted: list[Node] = []
        for node in self.recorded_nodes:
            wanted += [source for source in node.inputs if source is not None]
        wanted += [storage.node for storage in self.made]
        self.found_numbers: list[tuple[int, Callable[[Any, Any], Any], Any]] = []
        self.constants: list[Node] = []
        self.drawn: list[tuple[Callable[[], Any], Any]] = []
        groups: tuple[list[Node], list[Node], list[Node]] = ([], [], [])
        met = {id(node) for node in self.nodes} | set(self.positions)
        of_arguments = {id(n): i for i, n in reversed(list(enumerate(self.nodes)))}
        for node in wanted:
            if id(node) in of_arguments:
                self.used.add(of_arguments[id(node)])
            if id(node) in met:
                continue
            met.add(id(node))
            if id(node) in self.operands:
                _, position, make = self.operands[id(node)]
                self.found_numbers.append((position, make, node.dtype))
                groups[0].append(node)
            elif id(node) in self.draws:
                self.drawn.append((self.draws[id(node)][1], node.dtype))
                groups[2].append(node)
            else:
                self._demand(node.value is not None, "reads what somebody else recorded")
                self._demand(node.value.size <= _LARGEST_CONSTANT, "a large constant")
                self.constants.append(node)
                groups[1].append(node)
        if self.numbers:
            # a number that shows up in another form might have made any of these
            found = {position for position, _, _ in self.found_numbers}
            self._demand(found == set(range(len(self.numbers))), BY_VALUE)
            self._demand(self.allows_constants or not self.constants, BY_VALUE)
        self.sources: list[Node] = [*self.nodes, *groups[0], *groups[1], *groups[2]]
        self.slots = {id(n): i for i, n in reversed(list(enumerate(self.sources)))}

    def _recipe(self, node: Node, count: int) -> Any:
        parameters = node.parameters
        for number in self.numbers:
            self._demand(all(value is not number for value in parameters.values()), BY_VALUE)
        picks = tuple(
            None
            if source is None
            else self.slots[id(source)]
            if id(source) in self.slots
            else count + self.positions[id(source)]
            for source in node.inputs
        )
        return node.operator, picks, parameters, node.shape, node.dtype


BY_VALUE = "depends on the value of a number"


def _composed(replays: list[Callable[[Tensor], Tensor]]) -> Callable[[Tensor], Tensor]:
    if len(replays) == 1:
        return replays[0]
    return lambda other: reduce(lambda value, replay: replay(value), replays, other)


def _geometry(tensor: Tensor) -> tuple[Any, ...]:
    """What a call that is recalled leaves as it is."""
    return (
        tensor._shape,
        tensor._strides,
        tensor._offset,
        id(tensor._storage),
        tensor._storage.layout,
        tensor._requires_grad,
        id(tensor._backward_node()),
        tensor._generation,
        id(tensor._base),
    )


def bytes_of(node: Node) -> int:
    """The size of what a node computes; parts of several outputs are counted where picked."""
    return 0 if type(node.dtype) is tuple else math.prod(node.shape) * node.dtype.itemsize
