"""Every operator, one file a family; importing the package declares them all.

The functions are attributes of the package: ``ops.exp``, ``ops.conv2d``, …
"""

import importlib
import importlib.util
from typing import Any

from fakel.ops.declare import FUNCTIONS
from fakel.ops.refusals import explained
from fakel.tensor import Tensor

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
    "batch_normalization",
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
    "storages",
)
for _family in _FAMILIES:
    if importlib.util.find_spec(f"fakel.ops.{_family}") is not None:
        importlib.import_module(f"fakel.ops.{_family}")

# What was declared in a class, in a loop or under a second name gets PyTorch's words for wrong
# calls here. What is asked for again and again (`dim`, `size`, `item` and the like) goes without.
for _name in (
    *("as_strided_", "cross", "data_ptr", "element_size", "get_device", "is_inference"),
    *("is_signed", "numpy", "polygamma", "polygamma_", "requires_grad_", "retain_grad"),
    *("squeeze_", "storage_offset", "swapaxes_", "swapdims_", "t_", "tolist", "transpose_"),
    *("unsqueeze_", "where", "bfloat16", "bool", "byte", "cdouble", "cfloat", "char", "double"),
    *("float", "half", "int", "long", "short"),
):
    setattr(Tensor, _name, explained(getattr(Tensor, _name), "Tensor", _name))
FUNCTIONS[""]["range"] = explained(FUNCTIONS[""]["range"], "torch", "range")
FUNCTIONS["special"] = {
    name: explained(function, "special", name) for name, function in FUNCTIONS["special"].items()
}

# Where a family is called like one of its operators, the name means the operator.
for _namespace in ("nn.functional", ""):
    globals().update({n: f for n, f in FUNCTIONS.get(_namespace, {}).items() if n in _FAMILIES})


def __getattr__(name: str) -> Any:
    for namespace in ("", "nn.functional"):
        if name in FUNCTIONS.get(namespace, {}):
            return FUNCTIONS[namespace][name]
    raise AttributeError(f"module 'fakel.ops' has no attribute '{name}'")
