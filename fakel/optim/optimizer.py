"""What every optimizer shares: parameter groups, the step, hooks and checkpoints.

A concrete optimizer adds three methods. ``create_state`` makes the state of one parameter before
its first update, ``options`` computes the numbers of one step, ``update`` changes one parameter and
its state in place. Everything else lives here and in ``_update.py`` once: groups and their options,
``maximize``, complex parameters, differentiable steps, hooks, ``state_dict``.

Updates are written with tensor operators, so a step is recorded like any other work and computed
by one flush at its end. Learning rates and bias corrections are Python numbers among the operands:
the recorded program takes them at run time and does not change with them. The updates of all
parameters of a group are one call, which is recalled.
"""

from __future__ import annotations

import functools
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from itertools import chain
from typing import Any, TypeAlias

from fakel import graph, ops
from fakel.autograd import enable_grad
from fakel.autograd.modes import state as modes
from fakel.optim._hooks import HookTable
from fakel.optim._update import Arrangement, Update, update_group
from fakel.recall import world
from fakel.recall.actions import action
from fakel.tensor import Tensor, dtypes, get_default_dtype

__all__ = [
    "Optimizer",
    "register_optimizer_step_pre_hook",
    "register_optimizer_step_post_hook",
]

ParamsT: TypeAlias = Iterable[Tensor] | Iterable[dict[str, Any]] | Iterable[tuple[str, Tensor]]
StateDict: TypeAlias = dict[str, Any]


class _RequiredParameter:
    """Marks an option in ``defaults`` that every parameter group has to give itself."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _RequiredParameter()

# Options that checkpoints of older versions lack, with the value that means "as it was then".
_OPTIONS_ADDED_LATER: dict[str, Any] = {
    "amsgrad": False,
    "capturable": False,
    "centered": False,
    "decoupled_weight_decay": False,
    "differentiable": False,
    "foreach": None,
    "fused": None,
    "maximize": False,
    "momentum": 0,
    "nesterov": False,
}

_step_pre_hooks = HookTable()
_step_post_hooks = HookTable()


def register_optimizer_step_pre_hook(hook: Callable) -> Any:
    """Registers ``hook(optimizer, args, kwargs)`` to run before every step of every optimizer.

    Returns a handle whose ``remove()`` takes the hook away. The hook may return ``(args, kwargs)``
    to replace the arguments of ``step``.
    """
    return _step_pre_hooks.add(hook)


def register_optimizer_step_post_hook(hook: Callable) -> Any:
    """Registers ``hook(optimizer, args, kwargs)`` to run after every step of every optimizer."""
    return _step_post_hooks.add(hook)


def to_scalar(value: float | Tensor) -> float | Tensor:
    """A hyperparameter ready for arithmetic: one-element tensors become 0-dimensional ones."""
    if isinstance(value, Tensor) and value.dim() != 0:
        return value.squeeze()
    return value


def none_if_zero(value: float | Tensor) -> float | Tensor | None:
    """A hyperparameter, or None where it is zero and its term is left out."""
    return None if value == 0 else value


def count_tensor(value: float, fused: bool | None = None) -> Tensor:
    """A 0-dimensional tensor for a number that PyTorch keeps in a tensor, such as ``step``."""
    double = get_default_dtype() == dtypes.float64 and not fused
    return ops.tensor(value, dtype=dtypes.float64 if double else dtypes.float32)


def check_learning_rate(lr: float | Tensor) -> None:
    """Raises ``ValueError`` unless ``lr`` is one number, maybe in a tensor, of at least zero."""
    if isinstance(lr, Tensor) and lr.numel() != 1:
        raise ValueError("Tensor lr must be 1-element")
    if not 0.0 <= lr:
        raise ValueError(f"Invalid learning rate: {lr}")


def check_not_negative(**values: float) -> None:
    """Raises ``ValueError`` naming the first of ``values`` that is below zero."""
    for name, value in values.items():
        if not 0.0 <= value:
            raise ValueError(f"Invalid {name} value: {value}")


def check_betas(betas: tuple[Any, Any]) -> None:
    """Raises ``ValueError`` unless both decay rates lie in [0, 1)."""
    for index in range(2):
        if not 0.0 <= betas[index] < 1.0:
            raise ValueError(f"Invalid beta parameter at index {index}: {betas[index]}")


def _type_name(value: Any) -> str:
    if isinstance(value, Tensor):
        return value.type()
    kind = type(value)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def _use_grad_for_differentiable(step: Callable) -> Callable:
    """Lets ``step`` record for autograd only if the optimizer is ``differentiable``."""

    @functools.wraps(step)
    def run(self: Optimizer, *args: Any, **kwargs: Any) -> Any:
        before = modes.enabled
        modes.enabled = bool(self.defaults.get("differentiable"))
        try:
            return step(self, *args, **kwargs)
        finally:
            modes.enabled = before

    return run


class Optimizer:
    """Base class of all optimizers.

    Args:
        params: parameters, ``(name, parameter)`` pairs, or dictionaries that define parameter
            groups
        defaults: options, with the values for groups that do not give their own

    A subclass implements ``create_state``, ``options`` and ``update``, or overrides ``step`` as a
    whole.
    """

    # Entries of the state that are numbers in 0-dimensional tensors; "step" counts the updates.
    counted: tuple[str, ...] = ()
    # Updates see complex numbers as pairs of real ones unless the formula is the same for both.
    complex_as_real = True

    def __init__(self, params: ParamsT, defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        self._create_hook_tables()
        self._wrap_step()
        if isinstance(params, Tensor):
            raise TypeError(
                "params argument given to the optimizer should be an iterable of Tensors or "
                f"dicts, but got {_type_name(params)}"
            )
        self.state: defaultdict[Tensor, Any] = defaultdict(dict)
        self._arrangements: dict[int, Arrangement] = {}
        self.param_groups: list[dict[str, Any]] = []
        groups = list(params)
        if not groups:
            raise ValueError("optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)
        if defaults.get("fused"):
            if defaults.get("differentiable"):
                raise RuntimeError("`fused` does not support `differentiable`")
            if defaults.get("foreach"):
                raise RuntimeError("`fused` and `foreach` cannot be `True` together.")

    # What a concrete optimizer implements

    def create_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        """The state of ``parameter`` before its first update: tensors by name, maybe none."""
        return {}

    def options(self, group: dict[str, Any], counts: dict[str, float]) -> dict[str, Any]:
        """What ``update`` takes: floats are operands, everything else decides what is recorded.

        Args:
            group: the options of the parameter group
            counts: the parameter's ``counted`` numbers, with this update among the steps; other
                numbers are brought up to date here
        """
        return group

    def update(
        self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], options: dict[str, Any]
    ) -> None:
        """Updates ``parameter`` and ``state`` in place, with what ``options`` returned.

        Where it is a static method, what it does depends on its arguments alone, and the updates
        of many parameters are recorded as one call. Floats have to go to operators as they are.
        """
        raise NotImplementedError

    # The step

    @_use_grad_for_differentiable
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Performs one update of every parameter that has a gradient.

        Args:
            closure: evaluates the model again, calls ``backward`` and returns the loss

        Returns what the closure returned, or None.
        """
        if type(self) is Optimizer:
            raise NotImplementedError
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        for group in self.param_groups:
            update_group(self, group)
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Resets all gradients: to None, or to zeros where ``set_to_none`` is False."""
        for group in self.param_groups:
            for parameter in group["params"]:
                if set_to_none:
                    parameter._gradient = None
                    continue
                gradient = parameter._grad
                if gradient is None:
                    continue
                if gradient.grad_fn is not None:
                    gradient.detach_().zero_()
                else:
                    gradient.requires_grad_(False).zero_()

    # Parameter groups

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group of parameters, with its own options, to ``param_groups``.

        Args:
            param_group: ``params`` (a tensor or an ordered collection of tensors or of ``(name,
                tensor)`` pairs) and any options; options that it does not give get the optimizer's
                defaults

        Raises ``TypeError`` or ``ValueError`` for what cannot be optimized, and for parameters
        that are in another group already.
        """
        if not isinstance(param_group, dict):
            raise TypeError(f"param_group must be a dict, but got {type(param_group)}")
        self._unpack_parameters(param_group)
        for parameter in param_group["params"]:
            self._check_parameter(parameter)
        for name, default in self.defaults.items():
            if default is required and name not in param_group:
                raise ValueError(
                    "parameter group didn't specify a value of required optimization parameter "
                    f"{name}"
                )
            param_group.setdefault(name, default)
        parameters = set(param_group["params"])
        if len(param_group["params"]) != len(parameters):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this "
                "will cause an error; "
                "see github.com/pytorch/pytorch/issues/40967 for more information",
                stacklevel=3,
            )
        named = "param_names" in param_group
        for group in self.param_groups:
            if named != ("param_names" in group):
                raise ValueError(
                    "all optimizer param groups should be with/without names. cannot add param "
                    f"group {'with names' if named else 'without names'} to the optimizer"
                )
        if not parameters.isdisjoint(chain.from_iterable(g["params"] for g in self.param_groups)):
            raise ValueError("some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    @staticmethod
    def _unpack_parameters(param_group: dict[str, Any]) -> None:
        given = param_group["params"]
        if isinstance(given, set):
            raise TypeError(
                "optimizer parameters need to be organized in ordered collections, but the "
                "ordering of tensors in sets will change between runs. Please use a list instead."
            )
        entries = [given] if isinstance(given, Tensor) else list(given)
        names = [entry[0] for entry in entries if isinstance(entry, tuple)]
        param_group["params"] = [
            entry[1] if isinstance(entry, tuple) else entry for entry in entries
        ]
        if names and len(names) != len(entries):
            raise ValueError(
                "all optimizer params should be with/without names. Some param names are missing"
            )
        if names:
            param_group["param_names"] = names

    def _check_parameter(self, parameter: Any) -> None:
        if not isinstance(parameter, Tensor):
            raise TypeError(
                "optimizer can only optimize Tensors, but one of the params is "
                f"{_type_name(parameter)}"
            )
        if not self.defaults.get("differentiable") and not (
            parameter.is_leaf or parameter.retains_grad
        ):
            raise ValueError("can't optimize a non-leaf Tensor")

    # Checkpoints

    def state_dict(self) -> StateDict:
        """The optimizer's state as a dictionary in PyTorch's layout.

        ``state`` maps the number of a parameter (counted through all groups) to its state,
        ``param_groups`` lists the groups with these numbers in place of the parameters. Tensors
        are not copied.
        """
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        start = 0
        for group in self.param_groups:
            for number, parameter in enumerate(group["params"], start):
                numbers.setdefault(id(parameter), number)
            start += len(group["params"])
            packed = {name: value for name, value in group.items() if name != "params"}
            packed["params"] = [numbers[id(parameter)] for parameter in group["params"]]
            groups.append(packed)
        state = {
            numbers[id(key)] if isinstance(key, Tensor) else key: value
            for key, value in self.state.items()
        }
        result: StateDict = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            replaced = hook(self, result)
            result = result if replaced is None else replaced
        return result

    def load_state_dict(self, state_dict: StateDict) -> None:
        """Loads a state that ``state_dict`` returned.

        Parameters are matched by position. State tensors get the dtype of a floating-point
        parameter, the step count keeps its own. Raises ``ValueError`` if the groups differ in
        number or in size.
        """
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            replaced = hook(self, state_dict)
            state_dict = state_dict if replaced is None else replaced
        saved_groups = deepcopy(state_dict["param_groups"])
        if len(self.param_groups) != len(saved_groups):
            raise ValueError("loaded state dict has a different number of parameter groups")
        parameters: dict[Any, tuple[Tensor, dict[str, Any]]] = {}
        for group, saved in zip(self.param_groups, saved_groups, strict=True):
            if len(group["params"]) != len(saved["params"]):
                raise ValueError(
                    "loaded state dict contains a parameter group that doesn't match the size of "
                    "optimizer's group"
                )
            for number, parameter in zip(saved["params"], group["params"], strict=True):
                parameters[number] = (parameter, saved)
            saved["params"] = group["params"]
            if "param_names" in group:
                saved.setdefault("param_names", group["param_names"])
        state: defaultdict[Any, Any] = defaultdict(dict)
        for number, value in state_dict["state"].items():
            if number in parameters:
                parameter, saved = parameters[number]
                state[parameter] = _fit_to_parameter(value, parameter, saved)
            else:
                state[number] = value
        self.__setstate__({"state": state, "param_groups": saved_groups})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    def __getstate__(self) -> dict[str, Any]:
        return {
            "defaults": self.defaults,
            "state": self.state,
            "param_groups": self.param_groups,
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._arrangements = {}
        if "_optimizer_step_pre_hooks" not in self.__dict__:
            self._create_hook_tables()
        self._wrap_step()
        self.defaults.setdefault("differentiable", False)
        for group in self.param_groups:
            for name, value in _OPTIONS_ADDED_LATER.items():
                if name in self.defaults:
                    group.setdefault(name, value)
            for parameter in group["params"]:
                parameter_state = self.state.get(parameter, {})
                if "step" in parameter_state and not isinstance(parameter_state["step"], Tensor):
                    count = float(parameter_state["step"])
                    parameter_state["step"] = count_tensor(count, group.get("fused"))

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for number, group in enumerate(self.param_groups):
            text += f"\nParameter Group {number}\n"
            for name in sorted(group):
                if name != "params":
                    text += f"    {name}: {group[name]}\n"
        return text + ")"

    # Hooks

    def _create_hook_tables(self) -> None:
        self._optimizer_step_pre_hooks = HookTable()
        self._optimizer_step_post_hooks = HookTable()
        self._optimizer_state_dict_pre_hooks = HookTable()
        self._optimizer_state_dict_post_hooks = HookTable()
        self._optimizer_load_state_dict_pre_hooks = HookTable()
        self._optimizer_load_state_dict_post_hooks = HookTable()

    def register_step_pre_hook(self, hook: Callable) -> Any:
        """Registers ``hook(optimizer, args, kwargs)`` to run before a step.

        It may return ``(args, kwargs)``, with the optimizer first, to replace the arguments.
        """
        return self._optimizer_step_pre_hooks.add(hook)

    def register_step_post_hook(self, hook: Callable) -> Any:
        """Registers ``hook(optimizer, args, kwargs)`` to run after a step."""
        return self._optimizer_step_post_hooks.add(hook)

    def register_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> Any:
        """Registers ``hook(optimizer)`` to run before ``state_dict``."""
        return self._optimizer_state_dict_pre_hooks.add(hook, prepend)

    def register_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> Any:
        """Registers ``hook(optimizer, state_dict)``, which may replace what is saved."""
        return self._optimizer_state_dict_post_hooks.add(hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Callable, prepend: bool = False) -> Any:
        """Registers ``hook(optimizer, state_dict)``, which may replace what is loaded."""
        return self._optimizer_load_state_dict_pre_hooks.add(hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Callable, prepend: bool = False) -> Any:
        """Registers ``hook(optimizer)`` to run after ``load_state_dict``."""
        return self._optimizer_load_state_dict_post_hooks.add(hook, prepend)

    def _wrap_step(self) -> None:
        kind = type(self)
        if not getattr(kind.step, "hooked", False):
            kind.step = _with_hooks(kind.step)  # type: ignore[method-assign]


world.optimizers.append(Optimizer)


def _parameters(optimizer: Optimizer) -> list[Tensor]:
    return [parameter for group in optimizer.param_groups for parameter in group["params"]]


_STEP = Optimizer.step
Optimizer.zero_grad.cleared = _parameters  # type: ignore[attr-defined]
Optimizer.zero_grad = action(Optimizer.zero_grad)  # type: ignore[method-assign]


def _with_hooks(step: Callable) -> Callable:
    """``step`` with the hooks around it and a flush at its end, whoever wrote it."""

    def unflushed(*args: Any, **kwargs: Any) -> Any:
        # Hooks get the optimizer among the arguments too, as in PyTorch.
        self: Optimizer = args[0]
        if _step_pre_hooks or self._optimizer_step_pre_hooks:
            args, kwargs = _run_pre_hooks(self, step, args, kwargs)
        outcome = step(*args, **kwargs)
        if self._optimizer_step_post_hooks or _step_post_hooks:
            for hook in chain(self._optimizer_step_post_hooks.values(), _step_post_hooks.values()):
                hook(self, args, kwargs)
        return outcome

    @functools.wraps(step)
    def run(*args: Any, **kwargs: Any) -> Any:
        outcome = unflushed(*args, **kwargs)
        graph.flush()
        return outcome

    run.hooked = True  # type: ignore[attr-defined]
    run.unflushed = unflushed  # type: ignore[attr-defined]
    if step is _STEP:
        run.updates = _updates  # type: ignore[attr-defined]
    return action(run)


def _updates(optimizer: Optimizer) -> list[Update] | None:
    """What a step will do, where that is what the last one did and nothing else."""
    hooks = optimizer._optimizer_step_pre_hooks or optimizer._optimizer_step_post_hooks
    if hooks or _step_pre_hooks or _step_post_hooks:
        return None
    found: list[Update] = []
    for group in optimizer.param_groups:
        arrangement = optimizer._arrangements.get(id(group))
        if arrangement is None or not arrangement.fits(optimizer, group):
            return None
        found += arrangement.updates
    return found


def _run_pre_hooks(
    optimizer: Optimizer, step: Callable, args: tuple[Any, ...], kwargs: dict[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a step after the hooks before it."""
    for hook in chain(_step_pre_hooks.values(), optimizer._optimizer_step_pre_hooks.values()):
        result = hook(optimizer, args, kwargs)
        if result is None:
            continue
        if not (isinstance(result, tuple) and len(result) == 2):
            raise RuntimeError(
                f"{step} must return None or a tuple of (new_args, new_kwargs), but got {result}."
            )
        args, kwargs = result
    return args, kwargs


def _fit_to_parameter(
    value: Any, parameter: Tensor, group: dict[str, Any], name: Any = None
) -> Any:
    """Loaded state as ``parameter`` asks for it: dtype and device; containers are copied."""
    if isinstance(value, Tensor):
        if name == "step":
            if group.get("capturable") or group.get("fused"):
                return value.to(dtype=dtypes.float32, device=parameter.device)
            return value
        if parameter.is_floating_point():
            return value.to(dtype=parameter.dtype, device=parameter.device)
        return value.to(device=parameter.device)
    if isinstance(value, dict):
        return {
            key: _fit_to_parameter(entry, parameter, group, name=key)
            for key, entry in value.items()
        }
    if isinstance(value, Iterable) and not isinstance(value, (str, bytes)):
        entries = [_fit_to_parameter(entry, parameter, group) for entry in value]
        return type(value)(entries)  # type: ignore[call-arg]
    return value
