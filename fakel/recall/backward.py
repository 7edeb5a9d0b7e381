"""``loss.backward()`` recalled: what it records for a run that was met before is recorded at once.

The tape of such a run is never made: the template of its backward pass reads the storages that the
calls have kept, and gives the leaves their gradients.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakel.autograd.anomaly import anomaly
from fakel.autograd.backward import tensor_backward
from fakel.autograd.engine import without_gradient
from fakel.autograd.modes import state as modes
from fakel.autograd.tape import saved_tensor_hooks
from fakel.graph import (
    Call,
    Node,
    Run,
    add_call,
    begin_backward,
    current_run,
    flush,
    leaf,
    may_capture,
    note_write,
    recorded_since,
    recording,
    undoable,
    watching,
)
from fakel.graph.run import Recipe, outside
from fakel.recall.actions import action
from fakel.recall.capture import SpoiltError, bytes_of
from fakel.recall.deferred import Deferred
from fakel.tensor import Size, Storage, Tensor

_MOST_TEMPLATES = 5_000
_SEEN, _PLAIN = "seen once", "never recalled"
_templates: dict[Any, Any] = {}


class BackwardTemplate:
    """What going backward through a run records; it leaves nothing on the tape itself.

    Args:
        saved: the storages that are read: the numbers of a call and of a storage that it keeps.
        consumed: the calls that are gone through.
        known: the parameters whose gradients exist and are added to.
        gradients: for each parameter that gets its first gradient: its number, the slot of the
            gradient's node, shape, dtype.
        writes: for each gradient that is added to, the parameter's number and the slot.
    """

    backwards = edges = ()

    def __init__(
        self,
        saved: list[tuple[int, int]],
        consumed: list[int],
        known: list[int],
        constants: list[Node],
        recipes: list[Recipe],
        exposed: list[int],
        gradients: list[tuple[int, int, Size, Any, int]],
        writes: list[tuple[int, int]],
        size: int,
    ) -> None:
        self.saved = saved
        self.consumed = consumed
        self.known = known
        self.constants = constants
        self.recipes = recipes
        self.exposed = exposed
        self.outside = outside(recipes, exposed)
        self.sources = len(saved) + len(known) + len(constants)
        # a stamp for each: all that is the same whenever this is applied
        self.gradients = [(*gradient, object()) for gradient in gradients]
        self.writes = writes
        self.size = size

    def apply(self, run: Run) -> None:
        """Records the backward pass of this run."""
        calls, parameters = run.calls, run.parameters
        slots: list[Any] = [calls[call].saved[number].node for call, number in self.saved]
        for number in self.known:
            slots.append(parameters[number]._grad._storage.node)
        slots += self.constants
        call = Call(self, slots)
        following = current_run()
        following.lead(call, ())
        much = add_call(call, self.size)
        for number, slot, shape, dtype, length, stamp in self.gradients:
            gradient: Tensor = _new(Tensor)
            gradient._shape = shape
            gradient._storage = Storage(slots[slot], dtype, length)
            gradient._stamp = stamp
            parameters[number]._gradient = gradient
            if following.risky:
                undoable(without_gradient(parameters[number]))
        for number, slot in self.writes:
            storage = parameters[number]._grad._storage
            if following.risky:
                note_write(storage)
            storage.node = slots[slot]
            storage.version += 1
        for position in self.consumed:
            call = calls[position]
            call.freed = True
            call.saved = call.versions = ()
        if much:
            flush()


class _Capture:
    """Notes what a backward pass does beyond recording."""

    def __init__(self) -> None:
        self.reason: str | None = None
        self.written: list[Tensor] = []

    def spoil(self, reason: str) -> None:
        self.reason = self.reason or reason

    def wrote(self, tensor: Tensor) -> None:
        self.written.append(tensor)

    def recorded(self, backward: Any) -> None:
        self.spoil("the backward pass is recorded itself")

    def viewed(self, *view: Any) -> None:
        """Views make nothing that lasts."""

    def number(self, number: Any, kind: Any, make: Callable[[Any, Any], Any]) -> Node:
        """Numbers are constants here: they come from the tape."""
        return leaf(make(number, kind), kind)

    def drew(self, *drawn: Any) -> None:
        self.spoil("it draws random numbers")

    def check(self, *check: Any) -> None:
        self.spoil("values were checked")

    def may_fail(self, *check: Any) -> None:
        """Whoever recorded what backward reads has told so."""


def backward(
    self: Tensor,
    gradient: Tensor | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Adds the gradient of this tensor with respect to the leaves to their ``grad``.

    Args:
        gradient: the gradient of something with respect to this tensor; 1 for a scalar.
        retain_graph: keep what was saved, to go backward again; ``create_graph`` when left out.
        create_graph: record the backward pass, for higher derivatives.
        inputs: accumulate in these tensors only.
    """
    history = self._grad_fn
    usual = gradient is None and inputs is None and not (retain_graph or create_graph)
    if usual and type(history) is Deferred and may_capture():
        key = _key(self, history)
        known = None if key is None else _templates.get(key)
        if type(known) is BackwardTemplate:
            if not _freed(history.run.calls, known.consumed):
                with recording():
                    begin_backward()
                    known.apply(history.run)
                return
        elif key is not None and known is not _PLAIN:
            if len(_templates) >= _MOST_TEMPLATES:
                _templates.clear()
            if known is _SEEN:
                _templates[key] = _captured(self, history.run)
                return
            _templates[key] = _SEEN
    tensor_backward(self, gradient, retain_graph, create_graph, inputs)


def _key(root: Tensor, history: Deferred) -> Any:
    """What decides what going backward from here records; None where it must be walked."""
    run = history.run
    if run.state is None or run.backwards is not None or run.elsewhere or root._base is not None:
        return None
    if anomaly.enabled or saved_tensor_hooks or modes.inference:
        return None
    for call in run.calls:
        for storage, version in zip(call.saved, call.versions):
            if storage.version != version or storage.exposed is not None:
                return None
    gradients: list[Any] = []
    for parameter in run.parameters:
        if parameter._hooks is not None:
            return None
        if parameter._gradient is None:
            gradients.append(None)
            continue
        known = parameter._grad
        storage = known._storage
        if (
            known._strides is not None
            or known._shape.numel() != storage.length
            or storage.exposed is not None
            or known._requires_grad
            or known._grad_fn is not None
            or known._base is not None
        ):
            return None
        gradients.append(storage.node.shape)
    return run.state, history.call, history.backward, root._output_index, tuple(gradients)


def _freed(calls: list[Call], consumed: list[int]) -> bool:
    for position in consumed:
        if calls[position].freed:
            return True
    return False


def _captured(root: Tensor, run: Run) -> Any:
    """Goes backward as if nothing was known, and returns the template of what that did."""
    parameters = run.parameters
    before = [parameter._grad for parameter in parameters]
    consumed = _reachable(run, root._grad_fn.call)
    places: dict[int, tuple[int, int, Node]] = {}
    for position in consumed:
        for number, storage in enumerate(run.calls[position].saved):
            places.setdefault(id(storage.node), (position, number, storage.node))
    known = [number for number, gradient in enumerate(before) if gradient is not None]
    known_nodes = [before[number]._storage.node for number in known]
    capture = _Capture()
    begin_backward()
    count = recorded_since()
    watching.capture = capture
    try:
        tensor_backward(root)
    finally:
        watching.capture = None
    for position in consumed:
        run.calls[position].freed = True
    try:
        return _template(
            capture, recorded_since(count), run, before, consumed, places, known, known_nodes
        )
    except SpoiltError:
        return _PLAIN


def _reachable(run: Run, call: int) -> list[int]:
    """The calls that gradients reach from one."""
    found, waiting = {call}, [call]
    while waiting:
        for edge in run.calls[waiting.pop()].edges:
            if type(edge) is tuple and len(edge) == 3 and edge[0] not in found:
                found.add(edge[0])
                waiting.append(edge[0])
    return sorted(found)


def _template(
    capture: _Capture,
    recorded: list[Any],
    run: Run,
    before: list[Any],
    consumed: list[int],
    places: dict[int, tuple[int, int, Node]],
    known: list[int],
    known_nodes: list[Node],
) -> BackwardTemplate:
    if capture.reason is not None:
        raise SpoiltError(capture.reason)
    nodes: list[Node] = recorded
    if any(type(node) is not Node for node in nodes):
        raise SpoiltError("calls were recalled meanwhile")
    positions = {id(node): i for i, node in enumerate(nodes)}
    gradients, writes = _gradients(capture, run, before)
    wanted = [gradient[1] for gradient in gradients] + [node for _, node in writes]
    saved: list[tuple[int, int]] = []
    saved_nodes: list[Node] = []
    constants: list[Node] = []
    met = set(positions) | {id(node) for node in known_nodes}
    for node in [source for each in nodes for source in each.inputs] + wanted:
        if node is None or id(node) in met:
            continue
        met.add(id(node))
        if id(node) in places:
            position, number, _ = places[id(node)]
            saved.append((position, number))
            saved_nodes.append(node)
        elif node.value is not None and node.value.size <= 1:
            constants.append(node)
        else:
            raise SpoiltError("reads what the run does not keep")
    sources = [*saved_nodes, *known_nodes, *constants]
    where = {id(node): i for i, node in reversed(list(enumerate(sources)))}
    exposed = sorted({positions[id(node)] for node in wanted if id(node) in positions})
    count = len(sources)
    slots = dict(where)
    slots.update({id(nodes[p]): count + i for i, p in enumerate(exposed)})

    def pick(source: Node | None) -> int | None:
        if source is None:
            return None
        found = where.get(id(source))
        return count + positions[id(source)] if found is None else found

    return BackwardTemplate(
        saved,
        consumed,
        known,
        constants,
        [(n.operator, tuple(map(pick, n.inputs)), n.parameters, n.shape, n.dtype) for n in nodes],
        exposed,
        [(number, slots[id(node)], *rest) for number, node, *rest in gradients],
        [(number, slots[id(node)]) for number, node in writes],
        sum(map(bytes_of, nodes)),
    )


def _gradients(
    capture: _Capture, run: Run, before: list[Any]
) -> tuple[list[tuple[int, Node, Size, Any, int]], list[tuple[int, Node]]]:
    """The parameters that got their first gradient, and those whose gradient was added to, with
    the gradients' nodes.
    """
    allowed = {id(gradient) for gradient in before if gradient is not None}
    if any(id(tensor) not in allowed for tensor in capture.written):
        raise SpoiltError("something else was written in place")
    written = {id(tensor) for tensor in capture.written}
    first, added = [], []
    for number, parameter in enumerate(run.parameters):
        gradient = parameter._grad
        if gradient is before[number]:
            if id(gradient) in written:
                added.append((number, gradient._storage.node))
            continue
        storage = gradient._storage
        if gradient._strides is not None or gradient._grad_fn is not None or storage.exposed:
            raise SpoiltError("an unusual gradient")
        first.append((number, storage.node, gradient._shape, storage.dtype, storage.length))
    return first, added


_new = object.__new__
Tensor.backward = action(backward)  # type: ignore[attr-defined]
