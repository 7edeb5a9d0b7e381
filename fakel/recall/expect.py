"""What is expected to be called next: the call that followed when a run was in this state before.

Programs mostly do what they did the last time. Then there is no need to work out the key of a call
and the state that it leads to: it is enough to see that the arguments are the expected ones. A
tensor's *stamp* tells that: results have their description in a template, other tensors
something of their own or of a tensor that they equal in all of this, and whatever changes a
tensor's geometry or history takes the stamp away.
"""

from __future__ import annotations

from typing import Any

from fakel.autograd.modes import state as modes
from fakel.graph import Node, Run, current_run
from fakel.recall.keys import Tensors, add_to_key, is_operand, stamp_of
from fakel.recall.template import Template, lead
from fakel.tensor import Tensor, get_default_dtype

# how often what is expected in one state may turn out wrong before it stays as it is
_MOST_MISSES = 16
# instead of the number of a node: a leaf that this run has not met
_NEW = None

Met = tuple[list[Tensor], list[float], list[Any]]


class Expectation:
    """A call as it was, and what it led to."""

    __slots__ = (
        "constants",
        "extra",
        "following",
        "function",
        "known",
        "modes",
        "names",
        "numbers",
        "operands",
        "template",
        "tensors",
        "width",
    )

    def __init__(
        self,
        function: Any,
        args: tuple[Any, ...],
        kwargs: dict[str, Any],
        template: Template,
        numbers: bool,
        nodes: list[int | None],
        first: list[int],
    ) -> None:
        """Notes a call.

        Args:
            nodes: for each tensor the number of its node, None for a leaf that is new to the run.
            first: for each tensor the first one with the same node.
        """
        self.function = function
        self.template = template
        self.modes = modes.enabled, modes.inference, get_default_dtype()
        self.names = tuple(kwargs)
        values = (*args, *kwargs.values())
        self.width = len(values)
        # position, stamp, number of the node, its shape, an earlier tensor with the same leaf
        self.tensors: list[tuple[int, Any, int | None, Any, int | None, Any]] = []
        self.constants: list[tuple[int, Any, Any]] = []
        self.numbers: list[int] = []
        known = iter(nodes)
        for position, value in enumerate(values):
            if isinstance(value, Tensor):
                number = next(known)
                count = len(self.tensors)
                again = first[count] if number is _NEW and first[count] != count else None
                shape = value._storage.node.shape
                geometry = _geometry(value)
                self.tensors.append((position, stamp_of(value), number, shape, again, geometry))
            elif numbers and is_operand(value):
                self.numbers.append(position)
            else:
                self.constants.append((position, value, _parts(value)))
        # the numbers of the last time, and the leaves that were made for them
        self.known: list[float] = []
        self.operands: list[Node] = []
        self.extra: tuple[Any, ...] = ()
        self.following: Any = None

    def meet(self, run: Run, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Met | None:
        """The tensors, the numbers and where gradients go on, if this is the expected call."""
        if kwargs:
            if tuple(kwargs) != self.names:
                return None
            args = (*args, *kwargs.values())
        elif self.names:
            return None
        if len(args) != self.width:
            return None
        if (modes.enabled, modes.inference, get_default_dtype()) != self.modes:
            return None
        count = len(run.leaves)
        met = self._meet(run, args)
        if met is None:
            run.unbind(count)
        return met

    def recall(
        self, run: Run, arguments: list[Tensor], numbers: list[float], edges: list[Any]
    ) -> Any:
        """Does what the template says, for what `meet` has found."""
        template = self.template
        if numbers != self.known:
            self.known, self.operands = numbers, template.operands(numbers)
        call = template.start(arguments, self.operands)
        if template.others:
            for leaf in call.slots[len(arguments) :]:  # type: ignore[index]
                if leaf.run is not run.token:
                    run.bind(leaf)
        run.state = self.following
        return template.finish(run, call, edges, arguments)

    def _meet(self, run: Run, args: tuple[Any, ...]) -> Met | None:
        token, leaves = run.token, run.leaves
        arguments: list[Tensor] = []
        for position, stamp, number, shape, again, geometry in self.tensors:
            value = args[position]
            if getattr(value, "_stamp", None) is not stamp and not _alike(value, geometry, stamp):
                return None
            storage = value._storage
            node = storage.node
            if storage.exposed is not None:
                return None
            base = value._base
            if base is not None and base._generation != value._generation:
                return None
            if number is not _NEW:
                if node.run is not token or node.number != number:
                    return None
            elif again is not None:
                if storage is not arguments[again]._storage:
                    return None
            else:
                # a write through a view may have changed the shape, which no stamp tells
                if node.run is token or node.value is None or node.shape != shape:
                    return None
                leaves.append(node)
                node.run = token
                node.number = -len(leaves)
            arguments.append(value)
        for position, constant, parts in self.constants:
            value = args[position]
            if value is not constant and _parts(value) != parts:
                return None
        numbers: list[float] = []
        for position in self.numbers:
            value = args[position]
            if not is_operand(value):
                return None
            numbers.append(value)
        edges: list[Any] = []
        places = self.template.edges
        if places and lead(run, arguments, places, edges) != self.extra:
            return None
        return arguments, numbers, edges


def recall(
    template: Template,
    function: Any,
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    tensors: list[Tensor],
    floats: list[float],
    numbers: bool,
) -> Any:
    """Does what a template says, and notes that this call is to be expected here. Whoever calls
    this holds the lock of ``recording``.

    Args:
        function: whose call it is.
        tensors, floats: the tensors and numbers among its arguments.
        numbers: whether floats are operands.
    """
    run = current_run()
    before = run.state
    edges: list[Any] = []
    extra = lead(run, tensors, template.edges, edges)
    recalling = template.start(tensors, template.operands(floats))
    expected = None
    if before is not None and before.misses < _MOST_MISSES:
        flat = sum(isinstance(value, Tensor) for value in (*args, *kwargs.values()))
        if flat == len(tensors):
            before.misses += 1
            nodes = [t._storage.node for t in tensors]
            met = [node.number if node.run is run.token else None for node in nodes]
            places = {id(tensor._storage): i for i, tensor in reversed(list(enumerate(tensors)))}
            first = [places[id(tensor._storage)] for tensor in tensors]
            expected = Expectation(function, args, kwargs, template, numbers, met, first)
            expected.extra = extra
    run.lead(recalling, extra)
    if before is not None and expected is not None:
        expected.following = run.state
        before.expected = expected
    return template.finish(run, recalling, edges, tensors)


def _geometry(tensor: Tensor) -> Any:
    parts: list[Any] = []
    add_to_key(tensor, parts, Tensors(), None)
    return parts


def _alike(value: Any, geometry: Any, stamp: Any) -> bool:
    """Whether this is a tensor with a geometry; where that is all, it gets the stamp."""
    if not isinstance(value, Tensor) or _geometry(value) != geometry:
        return False
    if value._stamp is None and value._grad_fn is None and value._base is None:
        value._stamp = stamp
    return True


def _parts(value: Any) -> list[Any] | None:
    """What tells a constant apart; None for what has no place in an expectation."""
    parts: list[Any] = []
    tensors = Tensors()
    if not add_to_key(value, parts, tensors, None) or tensors:
        return None
    return parts
