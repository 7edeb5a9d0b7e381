"""Random numbers: expressions evaluated after seeding, with the generator's state afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from tests.goldens.values import checksum, described

SEED = 42

FLOATS = ("float32", "float64", "float16", "bfloat16")
INTEGERS = ("bool", "uint8", "int8", "int16", "int32", "int64")
SIZES = (1, 2, 15, 16, 17, 100, 5000)
FACTORIES = (
    *(f"torch.{name}({n})" for name in ("rand", "randn", "randperm") for n in (0, *SIZES)),
    *(
        f"torch.{name}({n}, dtype=torch.{dtype})"
        for name in ("rand", "randn")
        for dtype in ("float64", "float16", "bfloat16", "complex64", "complex128")
        for n in (3, 16, 21, 1000)
    ),
    "torch.rand(())",
    "torch.randn(())",
    "torch.rand(0, 3)",
    "torch.rand(2, 3, 4)",
    "torch.randn(2, 3, 4)",
    "torch.rand(3, generator=torch.Generator().manual_seed(5))",
    "torch.randn(3, generator=torch.Generator().manual_seed(5))",
    "torch.randn(300_000)",
    "torch.randint(10, (3, 4))",
    "torch.randint(-5, 5, (3000,))",
    "torch.randint(0, 2**28 - 1, (5,))",
    "torch.randint(0, 2**28, (5,), dtype=torch.int32)",
    "torch.randint(0, 2**32, (5,))",
    "torch.randint(0, 2**40, (5,))",
    "torch.randint(-(2**63), 2**63 - 1, (5,))",
    "torch.randint(9, (5,), generator=torch.Generator().manual_seed(5))",
    *(f"torch.randint(2, (5,), dtype=torch.{dtype})" for dtype in (*FLOATS, *INTEGERS)),
    *(f"torch.randperm(10, dtype=torch.{dtype})" for dtype in (*FLOATS, *INTEGERS[1:])),
    "torch.randperm(70_000)",
    "torch.randperm(9, generator=torch.Generator().manual_seed(5))",
)
LAYOUTS = (
    "torch.zeros(4, 5).t()",
    "torch.zeros(6, 8)[:, ::2]",
    "torch.zeros(4, 5, 6)[:, :3].permute(2, 0, 1)",
    "torch.zeros(6, 1, 4).expand(6, 5, 4).permute(2, 0, 1)",
    "torch.zeros(64)[16:40]",
    "torch.zeros(9, 9).diagonal()",
)
CHANNELS = "torch.zeros(2, 3, 4, 5), memory_format=torch.channels_last"
LIKES = (
    *(f"torch.rand_like({like})" for like in LAYOUTS),
    *(f"torch.randn_like({like})" for like in LAYOUTS),
    *(f"torch.randint_like({like}, 9)" for like in LAYOUTS[:3]),
    *(f"torch.rand_like({like}, memory_format=torch.contiguous_format)" for like in LAYOUTS[:3]),
    *(f"torch.randn_like({like}, memory_format=torch.preserve_format)" for like in LAYOUTS[:3]),
    f"torch.rand_like({CHANNELS})",
    f"torch.randn_like({CHANNELS})",
    "torch.randn_like(torch.zeros(2, 1, 3, 2, 2), memory_format=torch.channels_last_3d)",
    "torch.randn_like(torch.zeros(4, 5), dtype=torch.float64)",
    "torch.randint_like(torch.zeros(2, 3), -4, 9)",
)
FILLS = (
    "uniform_(-0.3, 1.7)",
    "normal_(2.0, 0.3)",
    "exponential_(1.5)",
    "log_normal_(0.5, 0.7)",
    "cauchy_(1.0, 2.0)",
    "geometric_(0.2)",
    "bernoulli_(0.3)",
    "random_()",
    "random_(3, 50)",
)
PARTS = (
    "torch.zeros(6, 8)[:, ::2]",
    "torch.zeros(6, 8).t()",
    "torch.zeros(4, 5, 6)[:, :3].permute(2, 0, 1)",
    "torch.zeros(64)[16:40]",
)
FILLED = (
    *(f"torch.zeros(33, dtype=torch.{dtype}).{fill}" for dtype in FLOATS for fill in FILLS),
    *(
        f"torch.zeros(33, dtype=torch.{dtype}).{fill}"
        for dtype in INTEGERS[1:]
        for fill in FILLS[6:]
    ),
    *(f"{part}.{fill}" for part in PARTS for fill in FILLS),
    *(
        f"torch.zeros(5).{fill[:-1]}{', ' if fill[-2] != '(' else ''}"
        "generator=torch.Generator().manual_seed(5))"
        for fill in FILLS
    ),
    *(f"torch.zeros({n}).normal_(2.0, 0.3)" for n in SIZES),
    "torch.zeros(7, dtype=torch.complex64).normal_()",
    "torch.zeros(7, dtype=torch.complex64).uniform_()",
    "torch.zeros((), dtype=torch.int64).random_()",
    "torch.zeros(5, dtype=torch.bool).random_()",
    "torch.zeros(5, dtype=torch.bool).bernoulli_(0.3)",
    "torch.zeros(5, dtype=torch.int64).random_(3, None)",
    "torch.zeros(5, dtype=torch.int64).random_(-(2**63), None)",
    "torch.zeros(5, dtype=torch.int64).random_(0, 2**34)",
    "torch.zeros(5, dtype=torch.int64).random_(-(2**40), 7)",
    "torch.zeros(5, dtype=torch.float64).random_(-(2**40), 7)",
    "torch.zeros(5, dtype=torch.float16).random_(0, 2000)",
    "torch.zeros(17, dtype=torch.int64).geometric_(0.2)",
    "torch.zeros(40).bernoulli_(torch.full((40,), 0.3))",
    "torch.zeros(4, 10).bernoulli_(torch.full((10,), 0.3, dtype=torch.float64))",
    "torch.zeros(10, 4).t().bernoulli_(torch.arange(10) / 10)",
)
DISTRIBUTIONS = (
    "torch.normal(torch.arange(5.0), 2.0)",
    "torch.normal(1.0, torch.arange(5.0))",
    "torch.normal(torch.arange(4.0).reshape(4, 1), torch.arange(5.0))",
    "torch.normal(torch.arange(30.0), torch.arange(30.0), out=torch.zeros(60)[::2])",
    "torch.normal(torch.arange(30.0), 2.0, out=torch.zeros(60)[::2])",
    "torch.normal(torch.arange(20.0).double(), torch.arange(20.0))",
    "torch.normal(1.0, 2.0, (3, 7))",
    "torch.normal(1.0, 2.0, (3, 4), generator=torch.Generator().manual_seed(5))",
    "torch.rand(3, 4, out=torch.zeros(4, 3).t())",
    "torch.randn(6, 8, out=torch.zeros(8, 6).t())",
    "torch.normal(1.0, 2.0, (6, 8), out=torch.zeros(8, 6).t())",
    "torch.randint(9, (30,), out=torch.zeros(60)[::2])",
    "torch.randperm(30, out=torch.zeros(60, dtype=torch.int64)[::2])",
    "torch.bernoulli(torch.arange(20) / 20)",
    "torch.bernoulli((torch.arange(20) / 20).reshape(4, 5).t())",
    "torch.bernoulli((torch.arange(20) / 20).double())",
    "torch.bernoulli((torch.arange(20) / 20).bfloat16())",
    "torch.bernoulli(torch.zeros(20), 0.4)",
    "torch.multinomial(torch.tensor([1.0, 2.0, 3.0, 4.0]), 3)",
    "torch.multinomial(torch.tensor([0.0, 1.0, 0.0, 2.0]), 4)",
    "torch.multinomial(torch.tensor([[1.0, 2.0, 3.0], [3.0, 0.0, 1.0]]), 1)",
    "torch.multinomial(torch.tensor([[1.0, 2.0, 3.0], [3.0, 0.0, 1.0]]), 1, True)",
    "torch.multinomial(torch.tensor([[1.0, 2.0, 3.0], [3.0, 0.0, 1.0]]), 20, replacement=True)",
    "torch.multinomial(torch.ones(8, 6).t(), 1)",
    "torch.multinomial(torch.ones(8, 6).t(), 2)",
    "torch.multinomial(torch.arange(2000.0).reshape(2, 1000).half(), 500)",
    "torch.multinomial(torch.arange(2000.0).reshape(2, 1000), 500)",
    "torch.multinomial(torch.arange(9.0), 5, generator=torch.Generator().manual_seed(5))",
    "torch.poisson(torch.tensor([0.0, 0.5, 3.0, 9.9, 10.0, 30.0, 1e4]))",
    "torch.poisson(torch.full((300,), 4.5))",
    "torch.poisson(torch.full((300,), 45.5, dtype=torch.bfloat16))",
    "torch.binomial(torch.full((6,), 50.0), torch.tensor([0.0, 0.1, 0.3, 0.6, 0.95, 1.0]))",
    "torch.binomial(torch.full((300,), 50.0).double(), torch.full((300,), 0.7).double())",
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


def tolerances(case: str) -> dict[str, float]:
    """The last bit of a float64 depends on the C library."""
    wide = any(dtype in case for dtype in ("float64", "double", "complex128"))
    return {"relative": 1e-14} if wide else {}


def cases(torch: Any) -> dict[str, Callable[[], Any]]:
    """All of them."""
    return expressions(torch, (*FACTORIES, *LIKES, *FILLED, *DISTRIBUTIONS))
