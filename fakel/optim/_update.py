"""One step of a group's parameters: those that are updated alike are updated by one recalled call.

Parameters are updated alike when their states have the same names and their counts, such as the
number of updates so far, are the same. Their tensors go into one call, together with the numbers
of the step, which the recorded program takes at run time. Who is updated with whom is worked out
when something has changed.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fakel import ops
from fakel.graph import note_write, undoable
from fakel.ops.declare import scalar
from fakel.recall.calls import recalled
from fakel.tensor import Tensor

if TYPE_CHECKING:
    from fakel.optim.optimizer import Optimizer

_CAPTURABLE_DEVICES = ["cuda", "xpu", "hpu", "privateuseone", "xla"]


class Update:
    """The update of parameters that are updated alike, as one call.

    Args:
        group: the group with the parameters.
        state: the state of the first one.
        counts: what is counted in it, by name.
    """

    __slots__ = (
        "_options",
        "_structure",
        "apply",
        "counted",
        "group",
        "names",
        "nodes",
        "parameters",
        "states",
        "width",
    )

    def __init__(
        self, group: dict[str, Any], state: dict[str, Any], counts: dict[str, float]
    ) -> None:
        self.group = group
        self.width = len(state)
        self.counted = tuple(counts)
        # those that are updated alike share the nodes of their counts
        self.nodes: list[Any] = [state[name]._storage.node for name in counts]
        self.names = [name for name in state if name not in counts]
        self.parameters: list[Tensor] = []
        self.states: list[dict[str, Any]] = []
        self.apply: Any = None
        self._structure: Any = None
        # the group's values, and the operands that they gave
        self._options: tuple[list[Any], list[Any]] | None = None

    def tensors(self) -> list[Any] | None:
        """Each parameter, its gradient and its state in a row; None where they are not what they
        were when this was arranged.
        """
        found: list[Any] = []
        names = self.names
        for parameter, state in zip(self.parameters, self.states):
            gradient = parameter._gradient
            if gradient is None:
                return None
            if gradient._waits:
                gradient = parameter._grad
            found.append(parameter)
            found.append(gradient)
            for name in names:
                found.append(state[name])
        return found

    def unchanged(self, known: dict[Tensor, Any]) -> bool:
        """Whether the parameters still have the states that they were arranged by."""
        width, counted = self.width, self.counted
        if not width:
            return not (known and any(known.get(parameter) for parameter in self.parameters))
        for parameter, state in zip(self.parameters, self.states):
            if known.get(parameter) is not state or len(state) != width:
                return False
            for name, node in zip(counted, self.nodes):
                if state[name]._storage.node is not node:
                    return False
        return True

    def operands(self, optimizer: Optimizer) -> tuple[list[Any], dict[str, float]]:
        """The numbers of this step, and what is counted then. Sets ``apply`` for what else there is
        among the options.
        """
        known_options = self._options
        if known_options is not None and known_options[0] == list(self.group.values()):
            return known_options[1], {}
        counts = {name: self.states[0][name].item() for name in self.counted}
        structure: list[tuple[str, Any]] = []
        names, operands = [], []
        for name, value in _options(optimizer, self.group, counts).items():
            if type(value) is float or isinstance(value, Tensor):
                names.append(name)
                operands.append(value)
            elif isinstance(value, (float, np.floating)):
                names.append(name)
                operands.append(float(value))
            else:
                structure.append((name, value))
        known = len(self.parameters), names, structure
        if self.apply is None or known != self._structure:
            self._structure = known
            self.apply = _function(
                type(optimizer).update,
                len(self.parameters),
                bool(self.group.get("maximize")),
                tuple(self.names),
                tuple(names),
                tuple(structure),
            )
        values = list(self.group.values())
        # options of others may depend on more than the group
        ours = type(optimizer).options.__module__.startswith("fakel.")
        if ours and not counts and not any(isinstance(value, Tensor) for value in values):
            self._options = values, operands
        return operands, counts

    def store(self, counts: dict[str, float]) -> None:
        """Writes counts into the states."""
        _store_counts(self.states, counts)
        self.nodes = [self.states[0][name]._storage.node for name in counts]

    def perform(self, optimizer: Optimizer, tensors: list[Any]) -> bool:
        """Updates the parameters; returns whether their states have the entries that they had."""
        operands, counts = self.operands(optimizer)
        if counts:
            self.store(counts)
        new = self.apply(*tensors, *operands)
        for position, name, value in new:
            state, parameter = self.states[position], self.parameters[position]
            undoable(_former(optimizer, parameter, state))
            state[name] = value
            optimizer.state[parameter] = state
        return not new


class Arrangement:
    """How the parameters of a group are updated, as long as nothing changes.

    Args:
        group: the group.
        without: its parameters that have no gradient.
        updates: the updates of the others.
    """

    __slots__ = ("count", "flags", "listed", "updates", "without")

    def __init__(self, group: dict[str, Any], without: list[Tensor], updates: list[Update]) -> None:
        self.listed = group["params"]
        self.count = len(self.listed)
        self.flags = _flags(group)
        self.without = without
        self.updates = updates

    def fits(self, optimizer: Optimizer, group: dict[str, Any]) -> bool:
        """Whether the group and the states are as they were."""
        states = optimizer.state
        return (
            group["params"] is self.listed
            and len(self.listed) == self.count
            and _flags(group) == self.flags
            and False not in [update.unchanged(states) for update in self.updates]
        )

    def tensors(self) -> list[list[Any]] | None:
        """What each update takes; None where other parameters have gradients now."""
        for parameter in self.without:
            if parameter._gradient is not None:
                return None
        found = []
        for update in self.updates:
            tensors = update.tensors()
            if tensors is None:
                return None
            found.append(tensors)
        return found


def _flags(group: dict[str, Any]) -> tuple[Any, ...]:
    return group.get("maximize"), group.get("capturable"), group.get("differentiable")


def update_group(optimizer: Optimizer, group: dict[str, Any]) -> None:
    """Updates every parameter of a group that has a gradient."""
    arrangements = optimizer._arrangements
    arrangement = arrangements.get(id(group))
    tensors = None
    if arrangement is not None and arrangement.fits(optimizer, group):
        tensors = arrangement.tensors()
    if tensors is None:
        arrangements.pop(id(group), None)
        arrangement, lasts = _arrange(optimizer, group)
        tensors = arrangement.tensors()
        if lasts:
            arrangements[id(group)] = arrangement
    assert arrangement is not None and tensors is not None
    for update, each in zip(arrangement.updates, tensors):
        if not update.perform(optimizer, each):
            # the states have grown
            arrangements.pop(id(group), None)


def _arrange(optimizer: Optimizer, group: dict[str, Any]) -> tuple[Arrangement, bool]:
    """Finds what is updated alike, and says whether that may be kept for the next step. Parameters
    that have to be updated alone are updated here.
    """
    lasts = True
    together = _is_function(type(optimizer)) and not group.get("differentiable")
    capturable = group.get("capturable")
    states = optimizer.state
    found: dict[tuple[Any, ...], Update] = {}
    without = []
    for parameter in group["params"]:
        # asking for the gradient of what is no leaf may warn
        gradient = parameter._grad if parameter._grad_fn is None else parameter.grad
        if gradient is None:
            without.append(parameter)
            continue
        lasts = lasts and parameter._grad_fn is None
        if capturable:
            raise AssertionError(
                "If capturable=True, params and state_steps must be on supported devices: "
                f"{_CAPTURABLE_DEVICES}."
            )
        state = states.get(parameter)
        if not state:
            state = optimizer.create_state(parameter, group)
            if state:
                undoable(_former(optimizer, parameter, {}))
                states[parameter] = state
        if not together or not parameter._storage.dtype.is_floating_point:
            _update_alone(optimizer, parameter, gradient, state, group)
            lasts = False
            continue
        counts = _counts(state, optimizer.counted) if optimizer.counted else {}
        key = (*state, *counts.values(), *[state[name].dtype for name in counts])
        update = found.get(key)
        if update is None:
            update = found[key] = Update(group, state, counts)
        update.parameters.append(parameter)
        update.states.append(state)
    return Arrangement(group, without, list(found.values())), lasts


@functools.lru_cache(maxsize=1000)
def _function(
    update: Callable[..., None],
    count: int,
    maximize: bool,
    state_names: tuple[str, ...],
    names: tuple[str, ...],
    structure: tuple[tuple[str, Any], ...],
) -> Callable[..., list[tuple[int, str, Any]]]:
    """The update of several parameters: a function of parameter, gradient and state of each, and
    of the options called ``names``. It returns what is new in the states.
    """
    width = 2 + len(state_names)

    def apply(*values: Any) -> list[tuple[int, str, Any]]:
        options = dict(structure)
        options.update(zip(names, values[count * width :], strict=True))
        new = []
        for position in range(count):
            start = position * width
            parameter, gradient, *entries = values[start : start + width]
            before = dict(zip(state_names, entries, strict=True))
            state = before.copy()
            update(parameter, -gradient if maximize else gradient, state, options)
            new += [
                (position, name, value)
                for name, value in state.items()
                if value is not before.get(name)
            ]
        return new

    return recalled(apply, numbers=True, constants=True)


def _update_alone(
    optimizer: Optimizer,
    parameter: Tensor,
    gradient: Tensor,
    state: dict[str, Any],
    group: dict[str, Any],
) -> None:
    if group.get("maximize"):
        gradient = -gradient
    counts = _counts(state, optimizer.counted)
    options = _options(optimizer, group, counts)
    undoable(_former(optimizer, parameter, state))
    _store_counts([state], counts)
    if group.get("differentiable"):
        # Backward through this step needs the tensors it saved: the next step writes to copies.
        state = {
            name: value.clone() if isinstance(value, Tensor) and name not in counts else value  # type: ignore[attr-defined]
            for name, value in state.items()
        }
    if optimizer.complex_as_real and parameter.is_complex():
        _update_as_real(optimizer, parameter, gradient, state, options)
    else:
        optimizer.update(parameter, gradient, state, options)
    if state:
        optimizer.state[parameter] = state


def _former(optimizer: Optimizer, parameter: Tensor, state: dict[str, Any]) -> Callable[[], None]:
    """What gives a parameter the entries of its state that there are now."""
    known, entries = parameter in optimizer.state, state.copy()

    def restore() -> None:
        state.clear()
        state.update(entries)
        if not known:
            optimizer.state.pop(parameter, None)

    return restore


def _update_as_real(
    optimizer: Optimizer,
    parameter: Tensor,
    gradient: Tensor,
    state: dict[str, Any],
    options: dict[str, Any],
) -> None:
    def is_complex(value: Any) -> bool:
        return isinstance(value, Tensor) and value.is_complex()

    pairs = {
        name: ops.view_as_real(value) if is_complex(value) else value
        for name, value in state.items()
    }
    numbers = ops.view_as_real(parameter)
    optimizer.update(numbers, ops.view_as_real(gradient), pairs, options)
    parameter.copy_(ops.view_as_complex(numbers))  # type: ignore[attr-defined]
    for name, value in pairs.items():
        if is_complex(state.get(name)):
            state[name].copy_(ops.view_as_complex(value))
        else:
            state[name] = value


def _options(
    optimizer: Optimizer, group: dict[str, Any], counts: dict[str, float]
) -> dict[str, Any]:
    if "step" in counts:
        counts["step"] += 1
    return optimizer.options(group, counts)


def _counts(state: dict[str, Any], counted: tuple[str, ...]) -> dict[str, float]:
    return {name: state[name].item() for name in counted if name in state}


def _store_counts(states: list[dict[str, Any]], counts: dict[str, float]) -> None:
    """Writes counts into the tensors of states. A number known in Python needs no work in the
    recorded program, and reading it back at the next step waits for nothing.
    """
    for name, value in counts.items():
        node = scalar(value, states[0][name].dtype)._storage.node
        for state in states:
            storage = state[name]._storage
            note_write(storage)
            if storage.exposed is None:
                storage.node = node
            else:
                storage.replace(node)
            storage.version += 1


@functools.lru_cache(maxsize=1000)
def _is_function(kind: type[Optimizer]) -> bool:
    """Whether what ``update`` records depends on its arguments alone."""
    return isinstance(inspect.getattr_static(kind, "update"), staticmethod)
