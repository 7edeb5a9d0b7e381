"""NAdam."""

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

__all__ = ["NAdam"]


class NAdam(Optimizer):
    """Adam with Nesterov momentum (Dozat, 2016, "Incorporating Nesterov momentum into Adam").

    With gradient ``g`` (plus ``weight_decay * p``) at update ``t``, and
    ``mu(t) = beta1 * (1 - 0.5 * 0.96**(t * momentum_decay))``::

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        d = sqrt(v / (1 - beta2**t)) + eps
        p = p - lr * (1 - mu(t)) / (1 - mu(1) ... mu(t)) * g / d
              - lr * mu(t + 1) / (1 - mu(1) ... mu(t + 1)) * m / d

    Args:
        params: parameters, named parameters or groups
        lr: learning rate, a number or a one-element tensor
        betas: decay rates of the averages of the gradient and of its square
        eps: added to the denominator
        weight_decay: L2 penalty
        momentum_decay: decay of the momentum
        decoupled_weight_decay: decays the parameters themselves, as ``AdamW`` does
        foreach: chooses among PyTorch's implementations of the same formula; there is one here
        maximize: ascends instead of descending
        capturable: refused at the first step, as PyTorch does on a CPU
        differentiable: records the step for autograd
    """

    counted = ("step", "mu_product")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 2e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
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
        check_not_negative(weight_decay=weight_decay, momentum_decay=momentum_decay)
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "momentum_decay": momentum_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
        }
        super().__init__(params, defaults)

    def create_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        return {
            "step": count_tensor(0.0),
            "mu_product": count_tensor(1.0),
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
        momentum = beta1 * (1.0 - 0.5 * 0.96 ** (step * group["momentum_decay"]))
        next_momentum = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * group["momentum_decay"]))
        product = counts["mu_product"] = counts["mu_product"] * momentum
        return {
            "kept": kept,
            "weight_decay": weight_decay,
            "share1": 1 - beta1,
            "beta2": beta2,
            "share2": 1 - beta2,
            "correction": 1 - beta2**step,
            "eps": group["eps"],
            "gradient_step": lr * (1.0 - momentum) / (1.0 - product),
            "average_step": lr * next_momentum / (1.0 - product * next_momentum),
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
        denominator = (square / options["correction"]).sqrt() + options["eps"]
        parameter.sub_(options["gradient_step"] * gradient / denominator)
        parameter.sub_(options["average_step"] * average / denominator)
