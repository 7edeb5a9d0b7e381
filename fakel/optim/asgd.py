"""Averaged stochastic gradient descent."""

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
)
from fakel.tensor import Tensor

__all__ = ["ASGD"]


class ASGD(Optimizer):
    """Averaged stochastic gradient descent (Polyak and Juditsky, 1992).

    With gradient ``g`` (plus ``weight_decay * p``) at update ``t``, beginning with
    ``eta = lr`` and ``mu = 1``::

        p = p - lambd * eta * p - eta * g
        a = a + mu * (p - a)
        eta = lr / (1 + lambd * lr * t)**alpha
        mu = 1 / max(1, t - t0)

    ``a`` is the average, kept in the state as ``ax``.

    Args:
        params: parameters, named parameters or groups
        lr: learning rate, a number or a one-element tensor
        lambd: decay term
        alpha: power of the learning rate's decay
        t0: update at which averaging starts
        weight_decay: L2 penalty
        foreach: chooses among PyTorch's implementations of the same formula; there is one here
        maximize: ascends instead of descending
        differentiable: records the step for autograd
        capturable: refused at the first step, as PyTorch does on a CPU
    """

    counted = ("step", "eta", "mu")

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        check_learning_rate(lr)
        check_not_negative(weight_decay=weight_decay)
        defaults = {
            "lr": lr,
            "lambd": lambd,
            "alpha": alpha,
            "t0": t0,
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
            "eta": count_tensor(float(group["lr"])),
            "mu": count_tensor(1.0),
            "ax": ops.zeros_like(parameter, requires_grad=False),
        }

    def options(self, group: dict[str, Any], counts: dict[str, float]) -> dict[str, Any]:
        lr, lambd = float(group["lr"]), group["lambd"]
        eta, mu = counts["eta"], counts["mu"]
        counts["eta"] = lr / (1 + lambd * lr * counts["step"]) ** group["alpha"]
        counts["mu"] = 1 / max(1, counts["step"] - group["t0"])
        return {
            "weight_decay": none_if_zero(group["weight_decay"]),
            "kept": 1 - lambd * eta,
            "eta": eta,
            "mu": None if mu == 1 else mu,
        }

    @staticmethod
    def update(
        parameter: Tensor, gradient: Tensor, state: dict[str, Any], options: dict[str, Any]
    ) -> None:
        if options["weight_decay"] is not None:
            gradient = gradient + options["weight_decay"] * parameter
        parameter.mul_(options["kept"]).sub_(options["eta"] * gradient)
        if options["mu"] is None:
            state["ax"].copy_(parameter)
        else:
            state["ax"].add_(options["mu"] * (parameter - state["ax"]))
