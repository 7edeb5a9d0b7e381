"""NAdam."""

from __future__ import annotations

from typing import Any

from fakel import ops
from fakel.optim.optimizer import (
    Optimizer,
    ParamsT,
    advance,
    check_betas,
    check_learning_rate,
    check_not_negative,
    count_tensor,
    set_count,
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

    def update(
        self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        step = advance(state)
        lr = to_scalar(group["lr"])
        beta1, beta2 = group["betas"]
        if group["weight_decay"] != 0:
            if group["decoupled_weight_decay"]:
                parameter.mul_(1 - lr * group["weight_decay"])
            else:
                gradient = gradient + group["weight_decay"] * parameter
        momentum = beta1 * (1.0 - 0.5 * 0.96 ** (step * group["momentum_decay"]))
        next_momentum = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * group["momentum_decay"]))
        product = state["mu_product"].item() * momentum
        set_count(state, "mu_product", product)
        average = state["exp_avg"].lerp_(gradient, 1 - beta1)
        square = state["exp_avg_sq"].mul_(beta2).add_((1 - beta2) * gradient * gradient)
        denominator = (square / (1 - beta2**step)).sqrt() + group["eps"]
        parameter.sub_(lr * (1.0 - momentum) / (1.0 - product) * gradient / denominator)
        parameter.sub_(lr * next_momentum / (1.0 - product * next_momentum) * average / denominator)
