"""Resilient backpropagation."""

from __future__ import annotations

from typing import Any

from fakel import ops
from fakel.optim.optimizer import (
    Optimizer,
    ParamsT,
    check_learning_rate,
    count_tensor,
)
from fakel.tensor import Tensor

__all__ = ["Rprop"]


class Rprop(Optimizer):
    """Resilient backpropagation (Riedmiller and Braun, 1993): only the gradient's sign counts.

    Every element has a step size. It grows by ``etas[1]`` while the gradient keeps its sign and
    shrinks by ``etas[0]``, with the gradient taken as zero, when the sign changes::

        p = p - step_size * sign(g)

    Args:
        params: parameters, named parameters or groups
        lr: first step size, a number or a one-element tensor
        etas: factors that shrink and grow the step sizes
        step_sizes: smallest and largest step size
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
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_learning_rate(lr)
        if not 0.0 < etas[0] < 1.0 < etas[1]:
            raise ValueError(f"Invalid eta values: {etas[0]}, {etas[1]}")
        defaults = {
            "lr": lr,
            "etas": etas,
            "step_sizes": step_sizes,
            "foreach": foreach,
            "maximize": maximize,
            "differentiable": differentiable,
            "capturable": capturable,
        }
        super().__init__(params, defaults)

    def create_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        first: Any = float(group["lr"])
        if parameter.is_complex():
            first = complex(first, first)
        return {
            "step": count_tensor(0.0),
            "prev": ops.zeros_like(parameter, requires_grad=False),
            "step_size": ops.full_like(parameter, first, requires_grad=False),
        }

    def options(self, group: dict[str, Any], counts: dict[str, float]) -> dict[str, Any]:
        shrink, grow = group["etas"]
        smallest, largest = group["step_sizes"]
        return {"shrink": shrink, "grow": grow, "smallest": smallest, "largest": largest}

    @staticmethod
    def update(
        parameter: Tensor, gradient: Tensor, state: dict[str, Any], options: dict[str, Any]
    ) -> None:
        agreement = gradient * state["prev"]
        factor = ops.ones_like(agreement, requires_grad=False)
        factor = ops.where(agreement < 0, options["shrink"], factor)
        factor = ops.where(agreement > 0, options["grow"], factor)
        step_size = (state["step_size"] * factor).clamp(options["smallest"], options["largest"])
        gradient = ops.where(agreement < 0, ops.zeros_like(gradient), gradient)
        parameter.sub_(gradient.sign() * step_size)
        state["step_size"].copy_(step_size)
        state["prev"].copy_(gradient)
