"""Adadelta."""

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

__all__ = ["Adadelta"]


class Adadelta(Optimizer):
    """Adadelta: an adaptive learning rate method (Zeiler, 2012, arXiv:1212.5701).

    With gradient ``g`` (plus ``weight_decay * p``)::

        v = rho * v + (1 - rho) * g**2
        d = sqrt(u + eps) / sqrt(v + eps) * g
        u = rho * u + (1 - rho) * d**2
        p = p - lr * d

    Args:
        params: parameters, named parameters or groups
        lr: factor of the update, a number or a one-element tensor
        rho: decay rate of the averages
        eps: added under the roots
        weight_decay: L2 penalty
        foreach: chooses among PyTorch's implementations of the same formula; there is one here
        capturable: refused at the first step, as PyTorch does on a CPU
        maximize: ascends instead of descending
        differentiable: records the step for autograd
    """

    counted = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_learning_rate(lr)
        if not 0.0 <= rho <= 1.0:
            raise ValueError(f"Invalid rho value: {rho}")
        check_not_negative(epsilon=eps, weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "rho": rho,
            "eps": eps,
            "weight_decay": weight_decay,
            "maximize": maximize,
            "capturable": capturable,
            "foreach": foreach,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def create_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": count_tensor(0.0),
            "square_avg": ops.zeros_like(parameter, requires_grad=False),
            "acc_delta": ops.zeros_like(parameter, requires_grad=False),
        }

    def options(self, group: dict[str, Any], counts: dict[str, float]) -> dict[str, Any]:
        return {
            "weight_decay": none_if_zero(group["weight_decay"]),
            "rho": group["rho"],
            "share": 1 - group["rho"],
            "eps": group["eps"],
            "lr": to_scalar(group["lr"]),
        }

    @staticmethod
    def update(
        parameter: Tensor, gradient: Tensor, state: dict[str, Any], options: dict[str, Any]
    ) -> None:
        rho, share, eps = options["rho"], options["share"], options["eps"]
        if options["weight_decay"] is not None:
            gradient = gradient + options["weight_decay"] * parameter
        square = state["square_avg"].mul_(rho).add_(share * gradient * gradient)
        delta = (state["acc_delta"] + eps).sqrt() / (square + eps).sqrt() * gradient
        state["acc_delta"].mul_(rho).add_(share * delta * delta)
        parameter.sub_(options["lr"] * delta)
