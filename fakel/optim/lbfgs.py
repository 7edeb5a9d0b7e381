"""L-BFGS."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakel import ops
from fakel.autograd import enable_grad, no_grad
from fakel.optim._line_search import strong_wolfe
from fakel.optim.optimizer import Optimizer, ParamsT, check_learning_rate
from fakel.tensor import Tensor

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """L-BFGS: Newton steps with an inverse Hessian estimated from the last gradients.

    The direction comes from the two-loop recursion (Nocedal and Wright, "Numerical Optimization",
    algorithm 7.4). All parameters form one vector and one group; its state is kept with the first
    parameter.

    Args:
        params: parameters or named parameters, one group
        lr: step length, or its first trial with a line search
        max_iter: iterations in one step
        max_eval: evaluations of the closure in one step (default ``max_iter * 1.25``)
        tolerance_grad: ends the step when no element of the gradient is larger
        tolerance_change: ends the step when parameters and loss change by less
        history_size: gradients remembered
        line_search_fn: ``"strong_wolfe"`` or None
    """

    def __init__(
        self,
        params: ParamsT,
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_learning_rate(lr)
        defaults = {
            "lr": lr,
            "max_iter": max_iter,
            "max_eval": max_iter * 5 // 4 if max_eval is None else max_eval,
            "tolerance_grad": tolerance_grad,
            "tolerance_change": tolerance_change,
            "history_size": history_size,
            "line_search_fn": line_search_fn,
        }
        super().__init__(params, defaults)
        if len(self.param_groups) != 1:
            raise ValueError("LBFGS doesn't support per-parameter options (parameter groups)")

    @no_grad()
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]
        """Performs up to ``max_iter`` iterations.

        Args:
            closure: evaluates the model again, calls ``backward`` and returns the loss

        Returns what the closure returned at the parameters that the step began with.
        """
        group = self.param_groups[0]
        state = self.state[group["params"][0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)
        lr = float(group["lr"])
        search = _Search(group, closure)

        first_loss = search.evaluate()
        loss, gradient = _number(first_loss), search.gradient()
        evaluations = 1
        state["func_evals"] += 1
        if _largest(gradient) <= group["tolerance_grad"]:
            return first_loss

        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            self._choose_direction(state, gradient, group["history_size"])
            direction = state["d"]
            previous_loss = state["prev_loss"] = loss
            state["prev_flat_grad"] = gradient.clone()
            state["t"] = lr
            if state["n_iter"] == 1:
                state["t"] *= min(1.0, 1.0 / gradient.abs().sum().item())
            slope = gradient.dot(direction).item()
            if slope > -group["tolerance_change"]:
                break
            used = 0
            if group["line_search_fn"] is None:
                search.move(state["t"], direction)
                if iteration < group["max_iter"]:
                    loss, gradient = _number(search.evaluate()), search.gradient()
                    used = 1
            elif group["line_search_fn"] == "strong_wolfe":
                loss, gradient, state["t"], used = strong_wolfe(
                    search.probe(direction),
                    state["t"],
                    _largest(direction),
                    loss,
                    gradient,
                    slope,
                    direction,
                    max_evaluations=group["max_eval"] - evaluations,
                )
                search.move(state["t"], direction)
            else:
                raise RuntimeError("only 'strong_wolfe' is supported")
            evaluations += used
            state["func_evals"] += used
            if (
                evaluations >= group["max_eval"]
                or _largest(gradient) <= group["tolerance_grad"]
                or _largest(direction) * abs(state["t"]) <= group["tolerance_change"]
                or abs(loss - previous_loss) < group["tolerance_change"]
            ):
                break
        return first_loss

    @staticmethod
    def _choose_direction(state: dict[str, Any], gradient: Tensor, history_size: int) -> None:
        """Remembers the last change of the gradient and puts the next direction in the state."""
        if state["n_iter"] == 1:
            state["d"] = -gradient
            state["old_dirs"], state["old_stps"], state["ro"] = [], [], []
            state["H_diag"] = 1.0
            return
        change = gradient - state["prev_flat_grad"]
        move = state["d"] * state["t"]
        curvature = change.dot(move).item()
        if curvature > 1e-10:
            for name, value in (("old_dirs", change), ("old_stps", move), ("ro", 1.0 / curvature)):
                state[name].append(value)
                del state[name][:-history_size]
            state["H_diag"] = curvature / change.dot(change).item()
        history = list(zip(state["old_dirs"], state["old_stps"], state["ro"], strict=True))
        direction = -gradient
        weights = []
        for change, move, inverse_curvature in reversed(history):
            weights.append(move.dot(direction) * inverse_curvature)
            direction = direction - weights[-1] * change
        direction = direction * state["H_diag"]
        for (change, move, inverse_curvature), weight in zip(
            history, reversed(weights), strict=True
        ):
            direction = direction + (weight - change.dot(direction) * inverse_curvature) * move
        state["d"] = direction


class _Search:
    """The objective as a function of one vector that holds all parameters."""

    def __init__(self, group: dict[str, Any], closure: Callable[[], Any]) -> None:
        self.parameters = group["params"]
        self.closure = closure

    def evaluate(self) -> Any:
        with enable_grad():
            return self.closure()

    def gradient(self) -> Tensor:
        """The gradients of all parameters in one vector, zeros where there is none."""
        return ops.cat(
            [
                _flat(ops.zeros_like(p) if p.grad is None else p.grad).detach().clone()
                for p in self.parameters
            ]
        )

    def move(self, length: float, direction: Tensor) -> None:
        """Adds ``length * direction`` to the parameters."""
        start = 0
        for parameter in self.parameters:
            real = ops.view_as_real(parameter) if parameter.is_complex() else parameter
            piece = direction[start : start + real.numel()]
            real.add_(length * piece.reshape(real.shape))
            start += real.numel()

    def probe(self, direction: Tensor) -> Callable[[float], tuple[float, Tensor]]:
        """A function of the step length that gives loss and gradient there and moves nothing."""
        origin = [parameter.clone() for parameter in self.parameters]

        def evaluate_at(length: float) -> tuple[float, Tensor]:
            self.move(length, direction)
            loss, gradient = _number(self.evaluate()), self.gradient()
            for parameter, value in zip(self.parameters, origin, strict=True):
                parameter.copy_(value)
            return loss, gradient

        return evaluate_at


def _flat(tensor: Tensor) -> Tensor:
    return (ops.view_as_real(tensor) if tensor.is_complex() else tensor).reshape(-1)


def _largest(tensor: Tensor) -> float:
    return tensor.abs().max().item()


def _number(loss: Any) -> float:
    return loss.item() if isinstance(loss, Tensor) else float(loss)
