"""RMSprop."""

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

__all__ = ["RMSprop"]


class RMSprop(Optimizer):
    """RMSprop (Hinton, lecture 6 of the course "Neural networks for machine learning").

    With gradient ``g`` (plus ``weight_decay * p``), and ``a = 0`` unless ``centered``::

        s = alpha * s + (1 - alpha) * g**2
        a = alpha * a + (1 - alpha) * g
        b = momentum * b + g / (sqrt(s - a**2) + eps)
        p = p - lr * b

    Args:
        params: parameters, named parameters or groups
        lr: learning rate, a number or a one-element tensor
        alpha: decay rate of the averages
        eps: added to the denominator
        weight_decay: L2 penalty
        momentum: momentum factor
        centered: normalises by an estimate of the variance (Graves, 2013, arXiv:1308.0850)
        capturable: refused at the first step, as PyTorch does on a CPU
        foreach: chooses among PyTorch's implementations of the same formula; there is one here
        maximize: ascends instead of descending
        differentiable: records the step for autograd
    """

    counted = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_learning_rate(lr)
        check_not_negative(epsilon=eps, momentum=momentum, weight_decay=weight_decay, alpha=alpha)
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "alpha": alpha,
            "eps": eps,
            "centered": centered,
            "weight_decay": weight_decay,
            "capturable": capturable,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def create_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = {
            "step": count_tensor(0.0),
            "square_avg": ops.zeros_like(parameter, requires_grad=False),
        }
        if group["momentum"] > 0:
            state["momentum_buffer"] = ops.zeros_like(parameter, requires_grad=False)
        if group["centered"]:
            state["grad_avg"] = ops.zeros_like(parameter, requires_grad=False)
        return state

    def options(self, group: dict[str, Any], counts: dict[str, float]) -> dict[str, Any]:
        alpha, centered = group["alpha"], bool(group["centered"])
        return {
            "weight_decay": none_if_zero(group["weight_decay"]),
            "alpha": alpha,
            "share": 1 - alpha,
            "centered": centered,
            "eps": group["eps"],
            "momentum": group["momentum"] if group["momentum"] > 0 else None,
            "lr": to_scalar(group["lr"]),
        }

    @staticmethod
    def update(
        parameter: Tensor, gradient: Tensor, state: dict[str, Any], options: dict[str, Any]
    ) -> None:
        if options["weight_decay"] is not None:
            gradient = gradient + options["weight_decay"] * parameter
        square = state["square_avg"].mul_(options["alpha"])
        square.add_(options["share"] * gradient * gradient)
        if options["centered"]:
            average = state["grad_avg"].lerp_(gradient, options["share"])
            square = square - average * average
        direction = gradient / (square.sqrt() + options["eps"])
        if options["momentum"] is not None:
            direction = state["momentum_buffer"].mul_(options["momentum"]).add_(direction)
        parameter.sub_(options["lr"] * direction)
