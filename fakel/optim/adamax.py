"""Adamax."""

from __future__ import annotations

from typing import Any

from fakel import ops
from fakel.optim.optimizer import (
    Optimizer,
    ParamsT,
    check_betas,
    check_learning_rate,
    check_not_negative,
    count_tensor,
    none_if_zero,
    to_scalar,
)
from fakel.tensor import Tensor

__all__ = ["Adamax"]


class Adamax(Optimizer):
    """Adam with the infinity norm (Kingma and Ba, 2014, arXiv:1412.6980, section 7).

    With gradient ``g`` (plus ``weight_decay * p``) at update ``t``::

        m = beta1 * m + (1 - beta1) * g
        u = max(beta2 * u, abs(g) + eps)
        p = p - lr / (1 - beta1**t) * m / u

    Args:
        params: parameters, named parameters or groups
        lr: learning rate, a number or a one-element tensor
        betas: decay rates of the average and of the norm
        eps: added to the gradient's magnitude
        weight_decay: L2 penalty
        foreach: chooses among PyTorch's implementations of the same formula; there is one here
        maximize: ascends instead of descending
        differentiable: records the step for autograd
        capturable: refused at the first step, as PyTorch does on a CPU
    """

    counted = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_learning_rate(lr)
        check_not_negative(epsilon=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def create_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": count_tensor(0.0),
            "exp_avg": ops.zeros_like(parameter, requires_grad=False),
            "exp_inf": ops.zeros_like(parameter, requires_grad=False),
        }

    def options(self, group: dict[str, Any], counts: dict[str, float]) -> dict[str, Any]:
        beta1, beta2 = group["betas"]
        return {
            "weight_decay": none_if_zero(group["weight_decay"]),
            "share1": 1 - beta1,
            "beta2": beta2,
            "eps": group["eps"],
            "step_size": to_scalar(group["lr"]) / (1 - beta1 ** counts["step"]),
        }

    @staticmethod
    def update(
        parameter: Tensor, gradient: Tensor, state: dict[str, Any], options: dict[str, Any]
    ) -> None:
        if options["weight_decay"] is not None:
            gradient = gradient + options["weight_decay"] * parameter
        average = state["exp_avg"].lerp_(gradient, options["share1"])
        largest = ops.maximum(state["exp_inf"] * options["beta2"], gradient.abs() + options["eps"])
        state["exp_inf"].copy_(largest)
        parameter.sub_(options["step_size"] * average / largest)
