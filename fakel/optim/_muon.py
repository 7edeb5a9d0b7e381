"""Muon."""

from __future__ import annotations

import math
from typing import Any

from fakel import ops
from fakel.optim.optimizer import Optimizer, ParamsT, to_scalar
from fakel.tensor import Tensor

__all__ = ["Muon"]


class Muon(Optimizer):
    """Momentum orthogonalised by Newton-Schulz, for the matrices of hidden layers.

    With gradient ``g`` and buffer ``b``::

        b = momentum * b + (1 - momentum) * g
        u = orthogonalize((1 - momentum) * g + momentum * b)      with nesterov, else of b
        p = p - lr * weight_decay * p - adjusted lr * u

    Sources: Jordan et al., "Muon: an optimizer for hidden layers in neural networks", 2024;
    Liu et al., 2025, arXiv:2502.16982.

    Args:
        params: two-dimensional parameters, named parameters or groups
        lr: learning rate
        weight_decay: decay of the parameters themselves
        momentum: momentum factor
        nesterov: uses Nesterov momentum
        ns_coefficients: coefficients of the Newton-Schulz polynomial
        eps: lower bound of the norm that the update is divided by
        ns_steps: Newton-Schulz iterations
        adjust_lr_fn: ``"original"`` (also None) scales the learning rate by ``sqrt(max(1, rows /
            columns))``, ``"match_rms_adamw"`` by ``0.2 * sqrt(max(rows, columns))``
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float = 1e-3,
        weight_decay: float = 0.1,
        momentum: float = 0.95,
        nesterov: bool = True,
        ns_coefficients: tuple[float, float, float] = (3.4445, -4.7750, 2.0315),
        eps: float = 1e-7,
        ns_steps: int = 5,
        adjust_lr_fn: str | None = None,
    ) -> None:
        if isinstance(lr, Tensor) and lr.numel() != 1:
            raise ValueError("Tensor lr must be 1-element")
        if not 0.0 <= lr:
            raise ValueError(f"Learning rate should be >= 0 but is: {lr}")
        if not 0.0 <= momentum:
            raise ValueError(f"momentum should be >= 0 but is: {momentum}")
        if not 0.0 <= weight_decay:
            raise ValueError(f"weight decay should be >= 0 but is: {weight_decay}")
        if adjust_lr_fn not in (None, "original", "match_rms_adamw"):
            raise ValueError(f"Adjust learning rate function {adjust_lr_fn} is not supported")
        defaults = {
            "lr": lr,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "nesterov": nesterov,
            "ns_coefficients": ns_coefficients,
            "eps": eps,
            "ns_steps": ns_steps,
            "adjust_lr_fn": adjust_lr_fn,
        }
        super().__init__(params, defaults)
        for group in self.param_groups:
            for parameter in group["params"]:
                if parameter.ndim != 2:
                    raise ValueError(
                        "Muon only supports 2D parameters whereas we found a parameter with "
                        f"size: {parameter.size()}"
                    )

    def create_state(self, parameter: Tensor, group: dict[str, Any]) -> dict[str, Any]:
        if parameter.is_complex():
            raise RuntimeError("Muon does not support complex parameters")
        return {"momentum_buffer": ops.zeros_like(parameter, requires_grad=False)}

    def update(
        self, parameter: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]
    ) -> None:
        lr, momentum = to_scalar(group["lr"]), group["momentum"]
        buffer = state["momentum_buffer"].lerp_(gradient, 1 - momentum)
        direction = gradient.lerp(buffer, momentum) if group["nesterov"] else buffer
        update = _orthogonalize(
            direction, group["ns_coefficients"], group["ns_steps"], group["eps"]
        )
        rows, columns = parameter.shape
        if group["adjust_lr_fn"] == "match_rms_adamw":
            adjusted = lr * (0.2 * math.sqrt(max(rows, columns)))
        else:
            adjusted = lr * math.sqrt(max(1, rows / columns))
        parameter.mul_(1 - lr * group["weight_decay"]).sub_(adjusted * update)


def _orthogonalize(
    matrix: Tensor, coefficients: tuple[float, float, float], steps: int, eps: float
) -> Tensor:
    """``matrix`` with its singular values moved near one, in bfloat16."""
    if steps >= 100:
        raise ValueError("Number of steps must be less than 100 for computational efficiency")
    if len(coefficients) != 3:
        raise ValueError("Coefficients must be a tuple of exactly 3 values")
    a, b, c = coefficients
    tall = matrix.size(0) > matrix.size(1)
    result = matrix.bfloat16()
    if tall:
        result = result.T
    # The iteration converges for singular values up to one.
    result = result / result.norm().clamp(min=eps)
    for _ in range(steps):
        gram = result @ result.T
        polynomial = ops.addmm(gram, gram, gram, beta=b, alpha=c)
        result = ops.addmm(result, polynomial, result, beta=a)
    return result.T if tall else result
