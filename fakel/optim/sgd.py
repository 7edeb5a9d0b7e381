"""Stochastic gradient descent."""

from __future__ import annotations

from typing import Any

from fakel.optim.optimizer import (
    Optimizer,
    ParamsT,
    check_learning_rate,
    check_not_negative,
    none_if_zero,
    to_scalar,
)
from fakel.tensor import Tensor

__all__ = ["SGD"]


class SGD(Optimizer):
    """Stochastic gradient descent, with momentum if asked for.

    With gradient ``g`` (plus ``weight_decay * p``), momentum ``m`` and buffer ``b``::

        b = m * b + (1 - dampening) * g        (b = g at the first update)
        p = p - lr * (g + m * b)               with nesterov
        p = p - lr * b                         without

    Args:
        params: parameters, named parameters or groups
        lr: learning rate, a number or a one-element tensor
        momentum: momentum factor
        dampening: dampening for momentum
        weight_decay: L2 penalty
        nesterov: uses Nesterov momentum (Sutskever et al., 2013)
        maximize: ascends instead of descending
        foreach, fused: choose among PyTorch's implementations of the same formula; there is one
            here
        differentiable: records the step for autograd
    """

    # Linear in the gradient, so the same for complex numbers as they are.
    complex_as_real = False

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float | Tensor = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_learning_rate(lr)
        check_not_negative(momentum=momentum, weight_decay=weight_decay)
        if nesterov and (momentum <= 0 or dampening != 0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
            "maximize": maximize,
            "foreach": foreach,
            "differentiable": differentiable,
            "fused": fused,
        }
        super().__init__(params, defaults)

    def options(self, group: dict[str, Any], counts: dict[str, float]) -> dict[str, Any]:
        momentum, dampening = none_if_zero(group["momentum"]), group["dampening"]
        return {
            "weight_decay": none_if_zero(group["weight_decay"]),
            "momentum": momentum,
            "share": 1 if momentum is None or dampening == 0 else 1 - dampening,
            "nesterov": bool(group["nesterov"]),
            "rate": -to_scalar(group["lr"]),
        }

    @staticmethod
    def update(
        parameter: Tensor, gradient: Tensor, state: dict[str, Any], options: dict[str, Any]
    ) -> None:
        momentum, weight_decay = options["momentum"], options["weight_decay"]
        direction = gradient
        if weight_decay is not None:
            direction = gradient.add(parameter, alpha=weight_decay)
        if momentum is not None:
            buffer = state.get("momentum_buffer")
            if buffer is None:
                buffer = direction.detach().clone()
            else:
                buffer.mul_(momentum).add_(direction, alpha=options["share"])
            state["momentum_buffer"] = buffer
            direction = direction.add(buffer, alpha=momentum) if options["nesterov"] else buffer
        parameter.add_(direction, alpha=options["rate"])
