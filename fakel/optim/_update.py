"""One step of a group's parameters: those that are updated alike are updated by one recalled call.

Parameters are updated alike when their states have the same names and their counts, such as the
number of updates so far, are the same. Their tensors go into one call, together with the numbers
of the step, which the recorded program takes at run time.
"""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from fakel import ops
from fakel.ops.declare import scalar
from fakel.recall.calls import recalled
from fakel.tensor import Tensor

if TYPE_CHECKING:
    from fakel.optim.optimizer import Optimizer

_CAPTURABLE_DEVICES = ["cuda", "xpu", "hpu", "privateuseone", "xla"]


class _Alike:
    """Parameters that are updated alike: each one's tensors in a row, and its state.

    Args:
        state: the state of the first one.
        counts: what is counted in it, by name.
    """

    __slots__ = ("counts", "entries", "names", "nodes", "parameters", "states", "tensors")

    def __init__(self, state: dict[str, Any], counts: dict[str, float]) -> None:
        self.counts = counts
        self.entries = tuple(state)
        self.names = [name for name in state if name not in counts]
        self.nodes: list[Any] = []
        self.parameters: list[Tensor] = []
        self.states: list[dict[str, Any]] = []
        self.tensors: list[Any] = []


def update_group(optimizer: Optimizer, group: dict[str, Any]) -> None:
    """Updates every parameter of a group that has a gradient."""
    together = _is_function(type(optimizer)) and not group.get("differentiable")
    capturable = group.get("capturable")
    states = optimizer.state
    found: dict[tuple[Any, ...], _Alike] = {}
    alike = None
    for parameter in group["params"]:
        # asking for the gradient of what is no leaf may warn
        gradient = parameter._grad if parameter._grad_fn is None else parameter.grad
        if gradient is None:
            continue
        if capturable:
            raise AssertionError(
                "If capturable=True, params and state_steps must be on supported devices: "
                f"{_CAPTURABLE_DEVICES}."
            )
        state = states.get(parameter)
        if not state:
            state = optimizer.create_state(parameter, group)
            if state:
                states[parameter] = state
        if not together or not parameter._storage.dtype.is_floating_point:
            _update_alone(optimizer, parameter, gradient, state, group)
            continue
        # those that were updated alike before share the nodes of their counts
        if (
            alike is None
            or tuple(state) != alike.entries
            or (alike.nodes and [state[n]._storage.node for n in alike.counts] != alike.nodes)
        ):
            alike = _find(found, state, optimizer.counted)
        alike.parameters.append(parameter)
        alike.states.append(state)
        tensors = alike.tensors
        tensors.append(parameter)
        tensors.append(gradient)
        for name in alike.names:
            tensors.append(state[name])
    for alike in found.values():
        _update_together(optimizer, alike, group)


def _find(
    found: dict[tuple[Any, ...], _Alike], state: dict[str, Any], counted: tuple[str, ...]
) -> _Alike:
    """Those that a parameter with this state is updated with: the counts have equal values."""
    counts = _counts(state, counted) if counted else {}
    key = (*state, *counts.values(), *[state[name].dtype for name in counts])
    alike = found.get(key)
    if alike is None:
        alike = found[key] = _Alike(state, counts)
    if counts:
        alike.nodes = [state[name]._storage.node for name in counts]
    return alike


def _update_together(optimizer: Optimizer, alike: _Alike, group: dict[str, Any]) -> None:
    structure: list[tuple[str, Any]] = []
    names, operands = [], []
    for name, value in _options(optimizer, group, alike.counts).items():
        if type(value) is float or isinstance(value, Tensor):
            names.append(name)
            operands.append(value)
        elif isinstance(value, (float, np.floating)):
            names.append(name)
            operands.append(float(value))
        else:
            structure.append((name, value))
    _store_counts(alike.states, alike.counts)
    apply = _function(
        type(optimizer).update,
        len(alike.parameters),
        bool(group.get("maximize")),
        tuple(alike.names),
        tuple(names),
        tuple(structure),
    )
    for position, name, value in apply(*alike.tensors, *operands):
        state = alike.states[position]
        state[name] = value
        optimizer.state[alike.parameters[position]] = state


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
            if storage.exposed is None:
                storage.node = node
            else:
                storage.replace(node)
            storage.version += 1


@functools.lru_cache(maxsize=1000)
def _is_function(kind: type[Optimizer]) -> bool:
    """Whether what ``update`` records depends on its arguments alone."""
    return isinstance(inspect.getattr_static(kind, "update"), staticmethod)
