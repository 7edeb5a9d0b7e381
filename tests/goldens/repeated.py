"""The same drawing code again and again: what executors and recalled calls must not confuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tests.goldens.values import checksum, described

SEED = 9
TIMES = 6

# functions of x (6, 8), y (8, 6) transposed in memory, w (8, 8) with a gradient
STEPS = (
    "F.dropout(x, 0.5)",
    "F.dropout(x, 0.5).relu() @ F.dropout(w, 0.25)",
    "F.dropout(F.dropout(x * 2, 0.1) + 1, 0.5)",
    "F.dropout(y * 2, 0.5)",
    "F.dropout(F.relu(y) + torch.arange(6.0), 0.3)",
    "F.dropout1d(x, 0.5) + F.alpha_dropout(x, 0.3, training=True)",
    "x + torch.randn_like(x) * 0.5",
    "x * torch.rand(6, 1) + torch.randn(8)",
    "torch.randn_like(y * 2)",
    "x[torch.randperm(6)]",
    "x[:, torch.randint(0, 8, (5,))] * torch.rand(())",
    "torch.where(torch.rand_like(x) < 0.3, x, -x)",
    "x * torch.bernoulli(torch.full_like(x, 0.7))",
    "torch.empty_like(x).normal_(0, 0.1).add_(x)",
    "torch.empty(6, 8).bernoulli_(0.4) * x",
    "torch.normal(x, 0.1)",
    "x.exp().multinomial(2)",
    "x.softmax(-1).multinomial(1, replacement=True)",
    "F.gumbel_softmax(x, hard=True)",
    "F.rrelu(x, training=True)",
    "F.scaled_dot_product_attention(x[None], x[None], x[None], dropout_p=0.3)",
    "F.dropout((x @ w).sum(0), 0.5)",
    "x.clone().exponential_() + torch.zeros(8).uniform_(-1, 1)",
)


def names(torch: Any) -> dict[str, Any]:
    """What the steps may use."""
    counted = (torch.arange(64.0) * 0.37).sin()
    return {
        "torch": torch,
        "F": torch.nn.functional,
        "x": counted[:48].reshape(6, 8).clone(),
        "y": counted[:48].reshape(6, 8).clone().t(),
        "w": counted.reshape(8, 8).clone().requires_grad_(),
    }


def repeat(torch: Any, step: str, compiled: Callable[..., Any] | None = None) -> dict[str, Any]:
    """The results of a step that is taken several times, and the generator's state."""
    known = names(torch)
    function = eval(f"lambda x, y, w: {step}", known)
    if compiled is not None:
        function = compiled(function)
    torch.manual_seed(SEED)
    results = []
    for _ in range(TIMES):
        result = function(known["x"], known["y"], known["w"])
        if result.requires_grad:
            result.sum().backward()
        results.append(described(torch, result))
    return {"results": results, "state": checksum(torch, torch.get_rng_state())}


def tolerances(case: str) -> dict[str, float]:
    """Draws are exact; what is computed from them is not on every processor."""
    return {"relative": 1e-5, "absolute": 1e-5}


def cases(torch: Any) -> dict[str, Callable[[], Any]]:
    """All of them."""
    return {step: lambda step=step: repeat(torch, step) for step in STEPS}
