"""Records random numbers of PyTorch for tests/ops/test_random.py, tests/nn/test_init.py.

    python scripts/record_random_goldens.py

Needs PyTorch, and a CPU that is not Intel's: on those PyTorch has MKL draw some numbers. Each case
is an expression that is evaluated after seeding; what is kept are its values (a checksum of long
ones) and a checksum of the generator's state afterwards.
"""

from __future__ import annotations

import json
import zlib
from pathlib import Path

import torch

GOLDENS = Path(__file__).resolve().parent.parent / "tests" / "goldens"
SEED = 42
SHORT = 40  # values up to this many are kept one by one, of more the ends and a checksum

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
INITS = (
    "torch.nn.init.uniform_(torch.empty(3, 5), -1, 2)",
    "torch.nn.init.normal_(torch.empty(3, 5), 1, 2)",
    "torch.nn.init.trunc_normal_(torch.empty(3, 50))",
    "torch.nn.init.trunc_normal_(torch.empty(3, 50), std=0.02)",
    "torch.nn.init.trunc_normal_(torch.empty(3, 50), 1.0, 2.0, 2.0, 2.5)",
    "torch.nn.init.trunc_normal_(torch.empty(3, 5, dtype=torch.bfloat16), std=2.0)",
    "torch.nn.init.xavier_uniform_(torch.empty(3, 5), gain=2.0)",
    "torch.nn.init.xavier_normal_(torch.empty(3, 5, 2, 2))",
    "torch.nn.init.kaiming_uniform_(torch.empty(3, 5), a=5**0.5)",
    "torch.nn.init.kaiming_normal_(torch.empty(3, 5, 3), mode='fan_out', nonlinearity='relu')",
    "torch.nn.init.orthogonal_(torch.empty(3, 5), gain=0.5)",
    "torch.nn.init.orthogonal_(torch.empty(5, 3))",
    "torch.nn.init.orthogonal_(torch.empty(4, 2, 2))",
    "torch.nn.init.sparse_(torch.empty(6, 4), 0.4)",
    "torch.nn.init.eye_(torch.empty(3, 5))",
    "torch.nn.init.dirac_(torch.empty(6, 3, 3, 3), groups=2)",
    "torch.nn.init.constant_(torch.empty(2, 2), 0.3)",
)


def checksum(tensor: torch.Tensor) -> int:
    """CRC-32 of a tensor's bytes in logical order."""
    return zlib.crc32(tensor.contiguous().view(torch.uint8).numpy().tobytes())


def numbers(tensor: torch.Tensor) -> list:
    """The elements as a flat list; of complex numbers both parts."""
    flat = tensor.reshape(-1)
    return torch.view_as_real(flat).reshape(-1).tolist() if flat.is_complex() else flat.tolist()


def record(expression: str) -> dict:
    """What the expression gives after seeding."""
    torch.manual_seed(SEED)
    result = eval(expression, {"torch": torch})
    case = {
        "shape": list(result.shape),
        "dtype": str(result.dtype),
        "state": checksum(torch.get_rng_state()),
    }
    values = numbers(result)
    if len(values) <= SHORT:
        return {**case, "values": values}
    return {**case, "first": values[:4], "last": values[-4:], "checksum": checksum(result)}


def main() -> None:
    """Writes the golden files."""
    GOLDENS.mkdir(exist_ok=True)
    for name, cases in (("random", (*FACTORIES, *FILLED, *DISTRIBUTIONS)), ("random_init", INITS)):
        golden = {
            "torch": torch.__version__.split("+")[0],
            "seed": SEED,
            "cases": {expression: record(expression) for expression in cases},
        }
        text = json.dumps(golden, indent=1)
        # lists of numbers on one line
        lines = text.replace("[\n    ", "[").replace(",\n    ", ", ").replace("\n   ]", "]")
        (GOLDENS / f"{name}.json").write_text(lines + "\n")


if __name__ == "__main__":
    main()
