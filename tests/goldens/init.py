"""Initialisation: what each function of torch.nn.init makes of empty tensors; random pruning."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

from tests.goldens.random import expressions

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
    "torch.nn.init.ones_(torch.empty(2))",
    "torch.nn.init.zeros_(torch.empty(2))",
    *(
        f"torch.nn.init.{name}(torch.empty({rest})"
        for name in ("xavier_uniform_", "xavier_normal_", "kaiming_uniform_", "kaiming_normal_")
        for rest in ("6, 3)", "60, 30)", "4, 3, 2).transpose(0, 1)", "8, 4, dtype=torch.float64)")
    ),
    *(
        f"torch.nn.init.{name}torch.empty(5, 6), generator=torch.Generator().manual_seed(3))"
        for name in (
            "uniform_(",
            "normal_(",
            "trunc_normal_(",
            "xavier_uniform_(",
            "xavier_normal_(",
            "kaiming_uniform_(",
            "kaiming_normal_(",
            "orthogonal_(",
            "sparse_(sparsity=0.3, tensor=",
        )
    ),
    "torch.nn.init.kaiming_uniform_(torch.empty(4, 5), mode='fan_out', nonlinearity='tanh')",
    "torch.nn.init.normal_(torch.empty(40, 5, dtype=torch.bfloat16), 0, 0.02)",
    "torch.nn.init.normal_(torch.empty(40, 5).t(), 0, 0.02)",
    "torch.nn.init.uniform_(torch.empty(40, 5).t())",
    "torch.nn.init.trunc_normal_(torch.empty(40, 5).t(), std=0.02)",
    "torch.nn.init.trunc_normal_(torch.empty(40, 5, dtype=torch.float64), std=0.02)",
)


PRUNED = (
    "torch.nn.utils.prune.random_unstructured(torch.nn.Linear(5, 6), 'weight', 0.4).weight",
    "torch.nn.utils.prune.random_unstructured(torch.nn.Linear(5, 6), 'weight', 7).weight",
    "torch.nn.utils.prune.random_structured(torch.nn.Linear(5, 6), 'weight', 0.4, 0).weight",
)


def tolerances(case: str) -> dict[str, float]:
    """Each LAPACK rounds in its own way."""
    return {"absolute": 1e-6} if "orthogonal" in case else {}


def cases(torch: Any) -> dict[str, Callable[[], Any]]:
    """All of them."""
    importlib.import_module(f"{torch.__name__}.nn.utils.prune")
    return expressions(torch, (*INITS, *PRUNED))
