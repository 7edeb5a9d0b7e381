"""RAdam."""

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

__all__ = ["RAdam"]


class RAdam(Optimizer):
    """Rectified Adam (Liu et al., 2019, arXiv:1908.03265).

    With gradient ``g`` (plus ``weight_decay * p``) at update ``t``::

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        n = 2 / (1 - beta2) - 1
        r = n - 2 * t * beta2**t / (1 - beta2**t)
        p = p - lr * m / (1 - beta1**t) * c

    where ``c = 1`` while ``r <= 5`` and afterwards
    ``sqrt((r - 4) * (r - 2) * n / ((n - 4) * (n - 2) * r)) * sqrt(1 - beta2**t) / (sqrt(v) +
    eps)``.

    Args:
        params: parameters, named parameters or groups
        lr: learning rate, a number or a one-element tensor
        betas: decay rates of the averages of the gradient and of its square
        eps: added to the denominator
        weight_decay: L2 penalty
        decoupled_weight_decay: decays the parameters themselves, as ``AdamW`` does
        foreach: chooses among PyTorch's implementations of the same formula; there is one here
        maximize: ascends instead of descending
        capturable: refused at the first step, as PyTorch does on a CPU
        differentiable: records the step for autograd
    """

    counted = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
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
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "decoupled_weight_decay": decoupled_weight_decay,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def create_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": count_tensor(0.0),
            "exp_avg": ops.zeros_like(parameter, requires_grad=False),
            "exp_avg_sq": ops.zeros_like(parameter, requires_grad=False),
        }

    def options(self, group: dict[str, Any], counts: dict[str, float]) -> dict[str, Any]:
        step = counts["step"]
        lr = to_scalar(group["lr"])
        beta1, beta2 = group["betas"]
        weight_decay, kept = none_if_zero(group["weight_decay"]), None
        if weight_decay is not None and group["decoupled_weight_decay"]:
            weight_decay, kept = None, 1 - lr * weight_decay
        correction = 1 - beta2**step
        limit = 2 / (1 - beta2) - 1
        length = limit - 2 * step * beta2**step / correction
        factor = None
        if length > 5.0:
            rectification = (length - 4) * (length - 2) * limit
            rectification /= (limit - 4) * (limit - 2) * length
            factor = (rectification * correction) ** 0.5
        return {
            "kept": kept,
            "weight_decay": weight_decay,
            "share1": 1 - beta1,
            "beta2": beta2,
            "share2": 1 - beta2,
            "step_size": lr / (1 - beta1**step),
            "factor": factor,
            "eps": None if factor is None else group["eps"],
        }

    @staticmethod
    def update(
        parameter: Tensor, gradient: Tensor, state: dict[str, Any], options: dict[str, Any]
    ) -> None:
        if options["kept"] is not None:
            parameter.mul_(options["kept"])
        if options["weight_decay"] is not None:
            gradient = gradient + options["weight_decay"] * parameter
        average = state["exp_avg"].lerp_(gradient, options["share1"])
        square = state["exp_avg_sq"].mul_(options["beta2"])
        square.add_(options["share2"] * gradient * gradient)
        direction = options["step_size"] * average
        if options["factor"] is not None:
            direction = options["factor"] * direction / (square.sqrt() + options["eps"])
        parameter.sub_(direction)
