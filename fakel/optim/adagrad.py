"""Adagrad."""

from __future__ import annotations

from typing import Any

from fakel import ops
from fakel.optim.optimizer import (
    Optimizer,
    ParamsT,
    check_learning_rate,
    check_not_negative,
    count_tensor,
    none_if_zero,
    to_scalar,
)
from fakel.tensor import Tensor

__all__ = ["Adagrad"]


class Adagrad(Optimizer):
    """Adaptive subgradient methods (Duchi, Hazan and Singer, JMLR 2011).

    With gradient ``g`` (plus ``weight_decay * p``) at update ``t``::

        s = s + g**2
        p = p - lr / (1 + (t - 1) * lr_decay) * g / (sqrt(s) + eps)

    Args:
        params: parameters, named parameters or groups
        lr: learning rate, a number or a one-element tensor
        lr_decay: decay of the learning rate
        weight_decay: L2 penalty
        initial_accumulator_value: first value of ``s``
        eps: added to the denominator
        foreach, fused: choose among PyTorch's implementations of the same formula; there is one
            here
        maximize: ascends instead of descending
        differentiable: records the step for autograd
    """

    counted = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_learning_rate(lr)
        check_not_negative(
            lr_decay=lr_decay,
            weight_decay=weight_decay,
            initial_accumulator_value=initial_accumulator_value,
            epsilon=eps,
        )
        defaults = {
            "lr": lr,
            "lr_decay": lr_decay,
            "eps": eps,
            "weight_decay": weight_decay,
            "initial_accumulator_value": initial_accumulator_value,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter] = self.create_state(parameter, group)

    def create_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        initial = self.defaults["initial_accumulator_value"]
        if parameter.is_complex():
            initial = complex(initial, initial)
        return {
            "step": count_tensor(0.0, group["fused"]),
            "sum": ops.full_like(parameter, initial, requires_grad=False),
        }

    def options(self, group: dict[str, Any], counts: dict[str, float]) -> dict[str, Any]:
        decayed = 1 + (counts["step"] - 1) * group["lr_decay"]
        return {
            "weight_decay": none_if_zero(group["weight_decay"]),
            "step_size": to_scalar(group["lr"]) / decayed,
            "eps": group["eps"],
        }

    @staticmethod
    def update(
        parameter: Tensor, gradient: Tensor, state: dict[str, Any], options: dict[str, Any]
    ) -> None:
        if options["weight_decay"] is not None:
            gradient = gradient + options["weight_decay"] * parameter
        squares = state["sum"].add_(gradient * gradient)
        parameter.sub_(options["step_size"] * gradient / (squares.sqrt() + options["eps"]))
