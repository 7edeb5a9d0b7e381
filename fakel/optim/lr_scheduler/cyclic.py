"""Schedules that raise and lower the learning rate within a cycle, and momentum the other way."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, Literal

from fakel.optim.lr_scheduler.base import (
    LRScheduler,
    callable_state,
    check_optimizer,
    one_per_group,
    set_group_value,
)
from fakel.optim.optimizer import Optimizer

__all__ = ["CyclicLR", "OneCycleLR"]


class _MomentumCycle(LRScheduler):
    """What both schedules do with momentum: SGD's ``momentum`` or the first of Adam's ``betas``."""

    def _check_momentum(self) -> None:
        defaults = self.optimizer.defaults
        if "momentum" not in defaults and "betas" not in defaults:
            raise ValueError(
                "optimizer must support momentum or beta1 with `cycle_momentum` option enabled"
            )
        self.use_beta1 = "betas" in defaults

    def _start_momentum(self, base_momentums: list[float], max_momentums: list[float]) -> None:
        groups = self.optimizer.param_groups
        for group, base, largest in zip(groups, base_momentums, max_momentums, strict=True):
            self._set_momentum(group, largest)
            group["max_momentum"] = largest
            group["base_momentum"] = base

    def _set_momentum(self, group: dict[str, Any], momentum: float) -> None:
        if self.use_beta1:
            group["betas"] = (momentum, *group["betas"][1:])
        else:
            group["momentum"] = momentum


class CyclicLR(_MomentumCycle):
    """Learning rates that go up and down between two bounds (Smith, 2015, arXiv:1506.01186).

    Args:
        optimizer: the optimizer whose learning rates are set
        base_lr, max_lr: lower and upper bound, or lists with one for each parameter group
        step_size_up, step_size_down: steps of the two halves of a cycle
        mode: ``"triangular"``, ``"triangular2"`` (half the height every cycle) or ``"exp_range"``
            (height times ``gamma ** step``)
        gamma: decay of ``"exp_range"``
        scale_fn: height as a function, in place of ``mode``
        scale_mode: ``"cycle"`` or ``"iterations"``, what ``scale_fn`` is a function of
        cycle_momentum: also moves momentum, the other way
        base_momentum, max_momentum: bounds of momentum
        last_epoch: the last step done before; -1 starts anew
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: float | list[float],
        max_lr: float | list[float],
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: Literal["triangular", "triangular2", "exp_range"] = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: Literal["cycle", "iterations"] = "cycle",
        cycle_momentum: bool = True,
        base_momentum: float = 0.8,
        max_momentum: float = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        base_lrs = one_per_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for lr, group in zip(base_lrs, optimizer.param_groups, strict=True):
                set_group_value(group, "lr", lr)
        self.max_lrs = one_per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        down = up if step_size_down is None else float(step_size_down)
        self.total_size = up + down
        self.step_ratio = up / self.total_size
        if mode not in ("triangular", "triangular2", "exp_range") and scale_fn is None:
            raise ValueError("mode is invalid and scale_fn is None")
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom = scale_fn
        self.scale_mode: str = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._check_momentum()
            self.base_momentums = one_per_group("base_momentum", optimizer, base_momentum)
            self.max_momentums = one_per_group("max_momentum", optimizer, max_momentum)
            if last_epoch == -1:
                self._start_momentum(self.base_momentums, self.max_momentums)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height of cycle, or of step, ``x``."""
        if self._scale_fn_custom is not None:
            return self._scale_fn_custom(x)
        if self.mode == "triangular2":
            return 1 / 2.0 ** (x - 1)
        return self.gamma**x if self.mode == "exp_range" else 1.0

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        position = 1.0 + self.last_epoch / self.total_size - cycle
        if position <= self.step_ratio:
            share = position / self.step_ratio
        else:
            share = (position - 1) / (self.step_ratio - 1)
        height = self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            groups = self.optimizer.param_groups
            bounds = zip(groups, self.base_momentums, self.max_momentums, strict=True)
            for group, smallest, largest in bounds:
                self._set_momentum(group, largest - (largest - smallest) * share * height)
        return [
            smallest + (largest - smallest) * share * height
            for smallest, largest in zip(self.base_lrs, self.max_lrs, strict=True)
        ]

    def state_dict(self) -> dict[str, Any]:
        """The schedule's state. Of ``scale_fn`` only an object is kept, by its attributes."""
        custom = self._scale_fn_custom
        kept = None if custom is None else callable_state(custom)
        return super().state_dict() | {"_scale_fn_custom": kept}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads a state that ``state_dict`` returned; a function stays the one given before."""
        rest = {name: value for name, value in state_dict.items() if name != "_scale_fn_custom"}
        super().load_state_dict(rest)
        if state_dict["_scale_fn_custom"] is not None:
            self._scale_fn_custom.__dict__.update(state_dict["_scale_fn_custom"])


class OneCycleLR(_MomentumCycle):
    """One cycle: up to ``max_lr``, then down to far below the start.

    Source: Smith and Topin, 2017, arXiv:1708.07120.

    Call ``step`` after every batch.

    Args:
        optimizer: the optimizer whose learning rates are set
        max_lr: largest learning rate, or a list with one for each parameter group
        total_steps: steps of the cycle, or instead:
        epochs, steps_per_epoch: whose product it is
        pct_start: share of the steps that go up
        anneal_strategy: ``"cos"`` or ``"linear"``
        cycle_momentum: also moves momentum, the other way
        base_momentum, max_momentum: bounds of momentum
        div_factor: the cycle starts at ``max_lr / div_factor``
        final_div_factor: and ends at that divided by ``final_div_factor``
        three_phase: comes back down to the start before the last phase
        last_epoch: the last step done before; -1 starts anew
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: float | list[float],
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: Literal["cos", "linear"] = "cos",
        cycle_momentum: bool = True,
        base_momentum: float | list[float] = 0.85,
        max_momentum: float | list[float] = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        self._schedule_phases = _phases(self.total_steps, pct_start, three_phase)
        if pct_start < 0 or pct_start > 1 or not isinstance(pct_start, float):
            raise ValueError(f"Expected float between 0 and 1 pct_start, but got {pct_start}")
        if anneal_strategy not in ("cos", "linear"):
            raise ValueError(
                f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}"
            )
        self._anneal_func_type = anneal_strategy
        max_lrs = one_per_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, largest in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"] = largest / div_factor
                group["max_lr"] = largest
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self._check_momentum()
            max_momentums = one_per_group("max_momentum", optimizer, max_momentum)
            base_momentums = one_per_group("base_momentum", optimizer, base_momentum)
            if last_epoch == -1:
                self._start_momentum(base_momentums, max_momentums)
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Any]:
        self._warn_outside_step()
        step = self.last_epoch
        if step > self.total_steps:
            raise ValueError(
                f"Tried to step {step} times. The specified number of total steps is "
                f"{self.total_steps}"
            )
        start = 0.0
        for phase in self._schedule_phases:
            if step <= phase["end_step"] or phase is self._schedule_phases[-1]:
                break
            start = phase["end_step"]
        share = (step - start) / (phase["end_step"] - start)
        values = []
        for group in self.optimizer.param_groups:
            values.append(self._between(group[phase["start_lr"]], group[phase["end_lr"]], share))
            if self.cycle_momentum:
                first, last = group[phase["start_momentum"]], group[phase["end_momentum"]]
                self._set_momentum(group, self._between(first, last, share))
        return values

    def _between(self, start: Any, end: Any, share: float) -> Any:
        if self._anneal_func_type == "cos":
            return end + (start - end) / 2.0 * (math.cos(math.pi * share) + 1)
        return (end - start) * share + start


def _total_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    if total_steps is not None:
        given = {"total_steps": total_steps}
    elif epochs is not None and steps_per_epoch is not None:
        given = {"epochs": epochs, "steps_per_epoch": steps_per_epoch}
    else:
        raise ValueError("You must define either total_steps OR (epochs AND steps_per_epoch)")
    for name, value in given.items():
        if not isinstance(value, int) or value <= 0:
            raise ValueError(f"Expected positive integer {name}, but got {value}")
    return math.prod(given.values())


def _phases(total_steps: int, share_up: float, three_phase: bool) -> list[dict[str, Any]]:
    """Each phase's last step and the names of the group options that it goes between."""

    def phase(end_step: float, lrs: tuple[str, str], momentums: tuple[str, str]) -> dict[str, Any]:
        return {
            "end_step": end_step,
            "start_lr": lrs[0],
            "end_lr": lrs[1],
            "start_momentum": momentums[0],
            "end_momentum": momentums[1],
        }

    falling, rising = ("max_momentum", "base_momentum"), ("base_momentum", "max_momentum")
    up = phase(float(share_up * total_steps) - 1, ("initial_lr", "max_lr"), falling)
    if not three_phase:
        return [up, phase(total_steps - 1, ("max_lr", "min_lr"), rising)]
    return [
        up,
        phase(float(2 * share_up * total_steps) - 2, ("max_lr", "initial_lr"), rising),
        phase(total_steps - 1, ("initial_lr", "min_lr"), ("max_momentum", "max_momentum")),
    ]
