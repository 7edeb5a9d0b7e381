"""Every operator, one file a family; importing the package declares them all.

The functions are attributes of the package: ``ops.exp``, ``ops.conv2d``, …
"""

import importlib
import importlib.util
from typing import Any

from fakel.ops.declare import FUNCTIONS

# in an order in which a family comes after those that it uses
_FAMILIES = (
    "conversion",
    "views",
    "slicing",
    "filling",
    "joining",
    "arithmetic",
    "pointwise",
    "exponential",
    "trigonometry",
    "rounding",
    "comparison",
    "bitwise",
    "complex",
    "special",
    "dunders",
    "elementwise",
    "reduction",
    "extrema",
    "cumulative",
    "differences",
    "statistics",
    "histograms",
    "sorting",
    "creation",
    "ranges",
    "interchange",
    "grids",
    "windows",
    "legacy",
    "indexing",
    "scatter",
    "selection",
    "masks",
    "matmul",
    "einsum",
    "random",
    "random_fill",
    "random_distributions",
    "random_state",
    "convolution",
    "pooling",
    "adaptive_pooling",
    "normalization",
    "activation",
    "softmax",
    "loss",
    "loss_ranking",
    "loss_ctc",
    "padding",
    "dropout",
    "embedding",
    "linear",
    "attention",
    "recurrent",
    "upsample",
    "grid_sample",
    "vision",
    "linalg_triangular",
    "linalg_lu",
    "linalg_ldl",
    "linalg_solve",
    "linalg_cholesky",
    "linalg_qr",
    "linalg_eigen",
    "linalg_svd",
    "linalg_lowrank",
    "linalg_norm",
    "linalg_product",
    "fourier",
    "short_time_fourier",
    "linalg_distances",
    "gradient_estimate",
    "positions",
    "copies",
)
for _family in _FAMILIES:
    if importlib.util.find_spec(f"fakel.ops.{_family}") is not None:
        importlib.import_module(f"fakel.ops.{_family}")

# Where a family is called like one of its operators, the name means the operator.
for _namespace in ("nn.functional", ""):
    globals().update({n: f for n, f in FUNCTIONS.get(_namespace, {}).items() if n in _FAMILIES})


def __getattr__(name: str) -> Any:
    for namespace in ("", "nn.functional"):
        if name in FUNCTIONS.get(namespace, {}):
            return FUNCTIONS[namespace][name]
    raise AttributeError(f"module 'fakel.ops' has no attribute '{name}'")
