"""Adam and AdamW."""

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

__all__ = ["Adam", "AdamW"]


class Adam(Optimizer):
    """Adam: a method for stochastic optimization (Kingma and Ba, 2014, arXiv:1412.6980).

    With gradient ``g`` (plus ``weight_decay * p``) at update ``t``::

        m = beta1 * m + (1 - beta1) * g
        v = beta2 * v + (1 - beta2) * g**2
        p = p - lr / (1 - beta1**t) * m / (sqrt(v) / sqrt(1 - beta2**t) + eps)

    Args:
        params: parameters, named parameters or groups
        lr: learning rate, a number or a one-element tensor
        betas: decay rates of the averages of the gradient and of its square, both numbers or both
            tensors
        eps: added to the denominator
        weight_decay: L2 penalty
        amsgrad: divides by the largest average so far (Reddi et al., 2018)
        foreach, fused: choose among PyTorch's implementations of the same formula; there is one
            here
        maximize: ascends instead of descending
        capturable: refused at the first step, as PyTorch does on a CPU
        differentiable: records the step for autograd
        decoupled_weight_decay: decays the parameters themselves, as ``AdamW`` does
    """

    counted = ("step",)

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        _check_tensor_options(lr, betas, foreach and not capturable)
        check_learning_rate(lr)
        check_not_negative(epsilon=eps)
        check_betas(betas)
        check_not_negative(weight_decay=weight_decay)
        if not _both(betas, float) and not _both(betas, Tensor):
            raise ValueError("betas must be either both floats or both Tensors")
        for index, beta in enumerate(betas):
            if isinstance(beta, Tensor) and beta.numel() != 1:
                raise ValueError(f"Tensor betas[{index}] must be 1-element")
        defaults = {
            "lr": lr,
            "betas": tuple(to_scalar(beta) for beta in betas),
            "eps": eps,
            "weight_decay": weight_decay,
            "amsgrad": amsgrad,
            "maximize": maximize,
            "foreach": foreach,
            "capturable": capturable,
            "differentiable": differentiable,
            "fused": fused,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def create_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        state = {
            "step": count_tensor(0.0, group["fused"]),
            "exp_avg": ops.zeros_like(parameter, requires_grad=False),
            "exp_avg_sq": ops.zeros_like(parameter, requires_grad=False),
        }
        if group["amsgrad"]:
            state["max_exp_avg_sq"] = ops.zeros_like(parameter, requires_grad=False)
        return state

    def options(self, group: dict[str, Any], counts: dict[str, float]) -> dict[str, Any]:
        step = counts["step"]
        lr = to_scalar(group["lr"])
        beta1, beta2 = group["betas"]
        weight_decay, kept = none_if_zero(group["weight_decay"]), None
        if weight_decay is not None and group["decoupled_weight_decay"]:
            weight_decay, kept = None, 1 - lr * weight_decay
        return {
            "kept": kept,
            "weight_decay": weight_decay,
            "share1": 1 - beta1,
            "beta2": beta2,
            "share2": 1 - beta2,
            "correction": (1 - beta2**step) ** 0.5,
            "eps": group["eps"],
            "step_size": -(lr / (1 - beta1**step)),
            "amsgrad": bool(group["amsgrad"]),
        }

    @staticmethod
    def update(
        parameter: Tensor, gradient: Tensor, state: dict[str, Any], options: dict[str, Any]
    ) -> None:
        if options["kept"] is not None:
            parameter.mul_(options["kept"])
        if options["weight_decay"] is not None:
            gradient = gradient.add(parameter, alpha=options["weight_decay"])
        average = state["exp_avg"].lerp_(gradient, options["share1"])
        square = state["exp_avg_sq"].mul_(options["beta2"])
        square.addcmul_(gradient, gradient, value=options["share2"])
        if options["amsgrad"]:
            square = state["max_exp_avg_sq"].copy_(ops.maximum(state["max_exp_avg_sq"], square))
        denominator = square.sqrt() / options["correction"] + options["eps"]
        parameter.addcdiv_(average, denominator, value=options["step_size"])


class AdamW(Adam):
    """Adam with weight decay applied to the parameters, not to the gradient.

    Before Adam's update, ``p = p - lr * weight_decay * p`` (Loshchilov and Hutter, 2017,
    arXiv:1711.05101). The arguments are those of ``Adam``.
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1e-3,
        betas: tuple[float | Tensor, float | Tensor] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            group["decoupled_weight_decay"] = True


def _both(values: tuple[Any, Any], kind: type) -> bool:
    return isinstance(values[0], kind) and isinstance(values[1], kind)


def _check_tensor_options(lr: Any, betas: tuple[Any, Any], foreach: bool | None) -> None:
    """Refuses tensors where PyTorch's ``foreach=True`` without ``capturable`` cannot take them."""
    if not foreach:
        return
    names = {"lr": lr, "betas[0]": betas[0], "betas[1]": betas[1]}
    for name, value in names.items():
        if isinstance(value, Tensor):
            raise ValueError(
                f"{name} as a Tensor is not supported for capturable=False and foreach=True"
            )
