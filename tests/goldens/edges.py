"""Numbers at the edges: infinities, NaN, negative zero, overflow, casts out of range."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any

SPECIAL = [0.0, -0.0, 1.0, -1.0, math.inf, -math.inf, math.nan, 1e38, 3.4e38, 0.5, 2.5, -2.5, 1.5]
TOO_LARGE = [
    2.0**31,
    -(2.0**31) - 512,
    2.0**32,
    1e10,
    -1e10,
    9.3e18,
    1e19,
    1e38,
    math.inf,
    math.nan,
]
LARGE = [1.9, -1.9, 127.5, 128.0, -129.0, 255.9, 300.0, -1.0, 32768.0, 65536.0, 1e9, -70000.0]

UNARY = """
sign sgn abs exp log sqrt rsqrt reciprocal tanh sigmoid floor ceil round trunc frac erf log1p expm1
sin cos isnan isinf isfinite neg square exp2 log2 log10 nan_to_num
"""
FUNCTIONAL = """
softplus silu hardtanh hardsigmoid hardswish leaky_relu logsigmoid mish softsign softshrink
hardshrink tanhshrink
"""
BINARY = "add mul div pow atan2 hypot copysign logaddexp eq lt ge ne nextafter xlogy floor_divide"
INTEGER = "add sub mul floor_divide remainder fmod div maximum bitwise_and bitwise_xor"
OVER_LINES = "amax amin sum mean logsumexp softmax log_softmax cumsum prod var argmax argmin std"
POSITIONS = "max min median cummax sort"
GRADIENTS = {
    "relu": "x.relu()",
    "amax": "x.amax(1)",
    "max": "x.max(1)[0]",
    "clamp": "x.clamp(10, 30)",
    "hardtanh": "F.hardtanh(x, 10, 30)",
    "leaky_relu": "F.leaky_relu(x)",
    "max_pool2d": "F.max_pool2d(x[None, None], 2)",
    "abs": "x.abs()",
    "maximum": "torch.maximum(x, x.t())",
    "sqrt of zero": "(x * 0).sqrt()",
    "logsumexp": "x.logsumexp(1)",
    "prod": "x.prod(1)",
    "norm of zeros": "(x * 0).norm(dim=1)",
}
OTHERS = {
    "clamp to nan": "special.clamp(min=nan)",
    "clamp with bounds exchanged": "special.clamp(1, -1)",
    "max_pool2d": "F.max_pool2d(lines[None, None], 2)",
    "max_pool2d, padded": "F.max_pool2d(lines[None, None], 3, 1, 1)",
    "avg_pool2d": "F.avg_pool2d(lines[None, None], 2)",
    "adaptive_max_pool2d": "F.adaptive_max_pool2d(lines[None, None], 3)",
    "layer_norm": "F.layer_norm(lines, (8,))",
    "batch_norm": "F.batch_norm(lines, None, None, training=True)",
    "cross_entropy": "F.cross_entropy(lines, torch.arange(8), reduction='none')",
    "remainder of zero": "torch.tensor([4.0, -4.0, 0.0, -0.0]).remainder(torch.tensor([-2.0]))",
    "attention to nan": "attention(nan, lower)",
    "attention to infinity": "attention(inf, lower)",
    "attention to nan, causal": "attention(nan, None)",
}
LIMITS = {"int8": 2**7, "int16": 2**15, "int32": 2**31, "int64": 2**63}


def names(torch: Any) -> dict[str, Any]:
    """What expressions may use."""
    lines = torch.arange(64.0).reshape(8, 8).clone()
    lines[1, 2], lines[3, 4], lines[5, 6] = math.nan, math.inf, -math.inf
    lines[6], lines[7, 0], lines[7, 1] = -math.inf, math.nan, math.inf

    def attention(value: float, mask: Any) -> Any:
        query = torch.sin(torch.arange(64.0)).reshape(1, 2, 8, 4)
        key = torch.cos(torch.arange(64.0)).reshape(1, 2, 8, 4).clone()
        key[0, 0, 6, 1] = value
        return torch.nn.functional.scaled_dot_product_attention(
            query, key, query, mask, is_causal=mask is None
        )

    return {
        "torch": torch, "F": torch.nn.functional, "nan": math.nan, "inf": math.inf,
        "lines": lines, "special": torch.tensor(SPECIAL), "attention": attention,
        "lower": torch.ones(8, 8, dtype=torch.bool).tril(),
    }  # fmt: skip


def _pairs(torch: Any, numbers: list[Any], others: list[Any], dtype: Any) -> tuple[Any, Any]:
    first = torch.tensor([x for x in numbers for _ in others], dtype=dtype)
    return first, torch.tensor(others * len(numbers), dtype=dtype)


def expressions() -> dict[str, str]:
    """Those written as text."""
    found = {f"{name} of special numbers": f"special.{name}()" for name in UNARY.split()}
    found |= {f"{name} of special numbers": f"F.{name}(special)" for name in FUNCTIONAL.split()}
    for dim in (0, 1):
        found |= {f"{n} over {dim}": f"lines.{n}(dim={dim})" for n in OVER_LINES.split()}
        found |= {f"{n} over {dim}": f"lines.{n}({dim})[0]" for n in POSITIONS.split()}
        found |= {f"place of {n} over {dim}": f"lines.{n}({dim})[1]" for n in POSITIONS.split()}
    return found | OTHERS


def listed(tensor: Any) -> list[float]:
    """The elements as numbers that JSON can hold."""
    flat: list[float] = tensor.detach().reshape(-1).tolist()
    return flat


def evaluated(torch: Any, text: str) -> list[float]:
    """What an expression gives."""
    return listed(eval(text, names(torch)))


def derived(torch: Any, text: str) -> list[float]:
    """The gradient of an expression of x."""
    given = names(torch)
    x = given["lines"].requires_grad_()
    eval(text, {**given, "x": x}).sum().backward()
    return listed(x.grad)


def of_pairs(torch: Any, name: str) -> list[float]:
    """A pointwise operator of all pairs of special numbers."""
    return listed(getattr(torch, name)(*_pairs(torch, SPECIAL, SPECIAL, torch.float32)))


def of_integers(torch: Any, name: str, dtype: str) -> list[float]:
    """A pointwise operator of all pairs of integers, the least and the largest among them."""
    limit = LIMITS[dtype]
    others = [1, -1, 2, -2, 3, limit - 1, -limit]
    return listed(getattr(torch, name)(*_pairs(torch, [0, *others], others, getattr(torch, dtype))))


def converted(torch: Any, numbers: list[float], source: str, target: str) -> list[float]:
    """A cast."""
    return listed(torch.tensor(numbers, dtype=getattr(torch, source)).to(getattr(torch, target)))


def cases(torch: Any) -> dict[str, Callable[[], list[float]]]:
    """All of them."""
    make = functools.partial
    table = {name: make(evaluated, torch, text) for name, text in expressions().items()}
    for name, text in GRADIENTS.items():
        table[f"gradient of {name}"] = make(derived, torch, text)
    for name in BINARY.split():
        table[f"{name} of special pairs"] = make(of_pairs, torch, name)
    for dtype in LIMITS:
        for name in INTEGER.split():
            table[f"{name} in {dtype}"] = make(of_integers, torch, name, dtype)
    for source in ("float32", "float64"):
        for target in (*LIMITS, "uint8", "bool"):
            for kind, numbers in (("large", LARGE), ("too large", TOO_LARGE)):
                label = f"{kind} {source} to {target}"
                table[label] = make(converted, torch, numbers, source, target)
    return table
