"""Adafactor."""

from __future__ import annotations

from typing import Any

from fakel import ops
from fakel.optim.optimizer import (
    Optimizer,
    ParamsT,
    count_tensor,
    to_scalar,
)
from fakel.tensor import Tensor, finfo

__all__ = ["Adafactor"]


class Adafactor(Optimizer):
    """Adaptive learning rates with sublinear memory (Shazeer and Stern, 2018, arXiv:1804.04235).

    For a matrix, the average of the squared gradient is kept as its row and column means only.

    Args:
        params: parameters, named parameters or groups
        lr: upper bound of the relative step size, a number or a one-element tensor
        beta2_decay: power of the update count that gives the weight of a new squared gradient
        eps: lower bounds of the squared gradient's average (None: the dtype's epsilon) and of the
            parameters' scale
        d: the update is clipped to this root mean square
        weight_decay: decays the parameters themselves, by ``lr * weight_decay``
        foreach: chooses among PyTorch's implementations of the same formula; there is one here
        maximize: ascends instead of descending
    """

    counted = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 >= beta2_decay:
            raise ValueError(f"beta2_decay should be <= 0 but is: {beta2_decay}")
        if eps[0] is not None and not 0.0 <= eps[0]:
            raise ValueError(f"epsilon1 should be >= 0 but is: {eps[0]}")
        if not 0.0 <= eps[1]:
            raise ValueError(f"epsilon2 should be >= 0 but is: {eps[1]}")
        if not 1.0 <= d:
            raise ValueError(f"Clipping threshold d should be >= 1 but is: {d}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight_decay should be >= 0 but is: {weight_decay}")
        defaults = {
            "lr": lr,
            "beta2_decay": beta2_decay,
            "eps": eps,
            "d": d,
            "weight_decay": weight_decay,
            "foreach": foreach,
            "maximize": maximize,
        }
        super().__init__(params, defaults)

    def create_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        if parameter.is_complex():
            raise RuntimeError("Adafactor does not support complex parameters")
        state = {"step": count_tensor(0.0)}
        if parameter.dim() > 1:
            *outer, rows, columns = parameter.shape
            state["row_var"] = ops.zeros(*outer, rows, 1, dtype=parameter.dtype)
            state["col_var"] = ops.zeros(*outer, 1, columns, dtype=parameter.dtype)
        else:
            state["variance"] = ops.zeros_like(parameter, requires_grad=False)
        return state

    def options(self, group: dict[str, Any], counts: dict[str, float]) -> dict[str, Any]:
        step = counts["step"]
        lr = to_scalar(group["lr"])
        weight_decay = group["weight_decay"]
        return {
            "bounds": tuple(group["eps"]),
            "step_size": min(lr, 1 / step**0.5),
            "kept": None if weight_decay == 0 else 1 - lr * weight_decay,
            "weight": step ** group["beta2_decay"],
            "d": group["d"],
        }

    @staticmethod
    def update(
        parameter: Tensor, gradient: Tensor, state: dict[str, Any], options: dict[str, Any]
    ) -> None:
        floor, smallest_scale = options["bounds"]
        if floor is None:
            floor = finfo(parameter.dtype).eps
        scale = _root_mean_square(parameter).clamp(min=smallest_scale)
        if options["kept"] is not None:
            parameter.mul_(options["kept"])
        square = gradient * gradient
        if gradient.dim() > 1:
            rows = state["row_var"].lerp_(square.mean(-1, keepdim=True), options["weight"])
            columns = state["col_var"].lerp_(square.mean(-2, keepdim=True), options["weight"])
            estimate = rows @ columns / rows.mean(-2, keepdim=True).clamp(min=floor)
        else:
            estimate = state["variance"].lerp_(square, options["weight"])
        update = estimate.clamp(min=floor * floor).rsqrt() * gradient
        clipping = (_root_mean_square(update) / options["d"]).clamp(min=1.0)
        parameter.sub_(options["step_size"] * scale / clipping * update)


def _root_mean_square(tensor: Tensor) -> Tensor:
    return (tensor * tensor).mean().sqrt()
