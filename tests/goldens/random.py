"""Random numbers: expressions evaluated after seeding, with the generator's state afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tests.goldens.values import checksum, described

SEED = 42

SIZES = (1, 2, 15, 16, 17, 100, 5000)
FACTORIES = (
    *(f"torch.rand({n})" for n in SIZES),
    *(f"torch.randn({n})" for n in SIZES),
    *(f"torch.randn({n}, dtype=torch.float64)" for n in (5, 16, 21)),
    *(f"torch.randn({n}, dtype=torch.bfloat16)" for n in (5, 16, 21)),
    *(f"torch.randn({n}, dtype=torch.float16)" for n in (5, 16, 21)),
    *(f"torch.randperm({n})" for n in (0, 1, 2, 10, 1000)),
    "torch.rand(7, dtype=torch.float64)",
    "torch.rand(7, dtype=torch.float16)",
    "torch.rand(700, dtype=torch.bfloat16)",
    "torch.rand(3, dtype=torch.complex64)",
    "torch.randn(3, 4, dtype=torch.complex128)",
    "torch.rand(())",
    "torch.rand(0, 3)",
    "torch.randint(10, (3, 4))",
    "torch.randint(-5, 5, (3000,))",
    "torch.randint(0, 2**40, (5,))",
    "torch.randint(0, 2**28, (5,), dtype=torch.int32)",
    "torch.randint(3, (5,), dtype=torch.uint8)",
    "torch.randint(2, (5,), dtype=torch.bool)",
    "torch.randint(7, (5,), dtype=torch.float32)",
    "torch.randperm(10, dtype=torch.int32)",
    "torch.randperm(10, dtype=torch.float32)",
    "torch.rand_like(torch.zeros(4, 5).t())",
    "torch.randn_like(torch.zeros(4, 5).t())",
    "torch.randn_like(torch.zeros(4, 5), dtype=torch.float64)",
    "torch.randint_like(torch.zeros(2, 3), 4)",
    "torch.randint_like(torch.zeros(2, 3), 4, 9)",
    "torch.rand(3, generator=torch.Generator().manual_seed(5))",
)
FILLED = (
    "torch.empty(33).uniform_(-0.3, 1.7)",
    "torch.empty(33, dtype=torch.bfloat16).uniform_(-0.3, 1.7)",
    "torch.empty(33, dtype=torch.float64).uniform_(-0.3, 1.7)",
    "torch.empty(33).normal_(2.0, 0.3)",
    "torch.empty(7).normal_(2.0, 0.3)",
    "torch.empty(7, dtype=torch.complex64).normal_()",
    "torch.empty(6, 8).t().normal_()",
    "torch.zeros(6, 8)[:, ::2].uniform_()",
    "torch.empty(5, dtype=torch.int64).random_()",
    "torch.empty((), dtype=torch.int64).random_()",
    "torch.empty(5, dtype=torch.int32).random_()",
    "torch.empty(5, dtype=torch.uint8).random_()",
    "torch.empty(5, dtype=torch.bool).random_()",
    "torch.empty(5).random_()",
    "torch.empty(5, dtype=torch.float64).random_()",
    "torch.empty(5, dtype=torch.int64).random_(3, None)",
    "torch.empty(5, dtype=torch.int64).random_(-(2**63), None)",
    "torch.empty(5, dtype=torch.float16).random_(0, 2000)",
    "torch.empty(40).bernoulli_(0.3)",
    "torch.empty(40).bernoulli_(torch.full((40,), 0.3))",
    "torch.empty(4, 10).bernoulli_(torch.full((10,), 0.3, dtype=torch.float64))",
    "torch.empty(17).exponential_(1.5)",
    "torch.empty(17, dtype=torch.float64).exponential_(1.5)",
    "torch.empty(17).geometric_(0.2)",
    "torch.empty(17, dtype=torch.int64).geometric_(0.2)",
    "torch.empty(17).log_normal_(0.5, 0.7)",
    "torch.empty(17).cauchy_(1.0, 2.0)",
)
DISTRIBUTIONS = (
    "torch.normal(torch.arange(5.0), 2.0)",
    "torch.normal(1.0, torch.arange(5.0))",
    "torch.normal(torch.arange(4.0).reshape(4, 1), torch.arange(5.0))",
    "torch.normal(1.0, 2.0, (3, 7))",
    "torch.bernoulli(torch.linspace(0, 1, 20))",
    "torch.bernoulli(torch.zeros(20), 0.4)",
    "torch.multinomial(torch.tensor([1.0, 2.0, 3.0, 4.0]), 3)",
    "torch.multinomial(torch.tensor([[1.0, 2.0, 3.0], [3.0, 0.0, 1.0]]), 1)",
    "torch.multinomial(torch.tensor([[1.0, 2.0, 3.0], [3.0, 0.0, 1.0]]), 20, replacement=True)",
    "torch.poisson(torch.tensor([0.0, 0.5, 3.0, 9.9, 10.0, 30.0, 1e4]))",
    "torch.binomial(torch.full((6,), 50.0), torch.tensor([0.0, 0.1, 0.3, 0.6, 0.95, 1.0]))",
    "torch._standard_gamma(torch.tensor([0.1, 0.5, 1.0, 2.5, 30.0]))",
    "torch._sample_dirichlet(torch.tensor([[0.5, 1.0, 2.0], [3.0, 4.0, 5.0]]))",
)


def evaluated(torch: Any, expression: str) -> dict[str, Any]:
    """What an expression gives after seeding, and the state that it leaves."""
    torch.manual_seed(SEED)
    result = eval(expression, {"torch": torch})
    return {"result": described(torch, result), "state": checksum(torch, torch.get_rng_state())}


def expressions(torch: Any, table: Iterable[str]) -> dict[str, Callable[[], Any]]:
    """Cases that are expressions."""
    return {each: lambda each=each: evaluated(torch, each) for each in table}


def cases(torch: Any) -> dict[str, Callable[[], Any]]:
    """All of them."""
    return expressions(torch, (*FACTORIES, *FILLED, *DISTRIBUTIONS))
