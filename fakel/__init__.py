"""fakel: PyTorch programs on a CPU without PyTorch.

The names are torch's own: ``import fakel as torch``.
"""

import importlib
from typing import Any

from fakel import (
    autograd,
    backends,
    compat,
    cuda,
    fft,
    linalg,
    nn,
    ops,
    optim,
    random,
    special,
    storage,
    utils,
)
from fakel.autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from fakel.autograd.anomaly import is_anomaly_check_nan_enabled, is_anomaly_enabled
from fakel.autograd.autocast import (
    autocast_decrement_nesting,
    autocast_increment_nesting,
    clear_autocast_cache,
    get_autocast_dtype,
    is_autocast_cache_enabled,
    is_autocast_enabled,
    set_autocast_cache_enabled,
    set_autocast_dtype,
    set_autocast_enabled,
)
from fakel.backends.determinism import (
    are_deterministic_algorithms_enabled,
    get_deterministic_debug_mode,
    is_deterministic_algorithms_warn_only_enabled,
    set_deterministic_debug_mode,
    use_deterministic_algorithms,
)
from fakel.backends.precision import get_float32_matmul_precision, set_float32_matmul_precision
from fakel.compat import load_ipython_extension, unload_ipython_extension, version
from fakel.compat.version import __version__
from fakel.compiler.executor import chosen_executor as _chosen_executor
from fakel.graph import use_executor as _use_executor
from fakel.nn.compiling import compile as compile
from fakel.ops import return_types
from fakel.ops.declare import FUNCTIONS as _FUNCTIONS
from fakel.random import default_generator
from fakel.runtime import get_num_threads, set_num_threads
from fakel.tensor import (
    Generator,
    Size,
    Tensor,
    can_cast,
    device,
    dtype,
    dtypes,
    finfo,
    get_default_dtype,
    iinfo,
    promote_types,
    result_type,
    set_default_dtype,
)
from fakel.tensor.caution import is_warn_always_enabled, set_warn_always
from fakel.tensor.formats import (
    Layout as layout,
)
from fakel.tensor.formats import (
    MemoryFormat as memory_format,
)
from fakel.tensor.formats import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    preserve_format,
    strided,
)
from fakel.tensor.printing import set_printoptions
from fakel.tensor.typed_storage import LEGACY as _STORAGES
from fakel.tensor.typed_storage import TypedStorage
from fakel.tensor.untyped_storage import UntypedStorage

e, inf, nan, newaxis, pi = 2.718281828459045, float("inf"), float("nan"), None, 3.141592653589793

globals().update({each.name: each for each in dtypes.ALL})
globals().update(dtypes.ALIASES)
globals().update(_FUNCTIONS[""])
globals().update(_STORAGES)

_use_executor(_chosen_executor())


def __getattr__(name: str) -> Any:
    # loaded at its first use, which many programs never come to
    if name in ("GradScaler", "autocast"):
        return getattr(importlib.import_module("fakel.amp"), name)
    if name in ("load", "save"):
        return getattr(importlib.import_module("fakel.serialization"), name)
    if name in ("accelerator", "amp", "distributions", "profiler", "serialization", "signal"):
        return importlib.import_module(f"fakel.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = [
    "Generator",
    "GradScaler",
    "Size",
    "Tensor",
    "TypedStorage",
    "UntypedStorage",
    "__version__",
    "accelerator",
    "amp",
    "are_deterministic_algorithms_enabled",
    "autocast",
    "autocast_decrement_nesting",
    "autocast_increment_nesting",
    "autograd",
    "backends",
    "can_cast",
    "channels_last",
    "channels_last_3d",
    "clear_autocast_cache",
    "compat",
    "contiguous_format",
    "cuda",
    "default_generator",
    "device",
    "distributions",
    "dtype",
    "e",
    "enable_grad",
    "fft",
    "finfo",
    "get_autocast_dtype",
    "get_default_dtype",
    "get_deterministic_debug_mode",
    "get_float32_matmul_precision",
    "get_num_threads",
    "iinfo",
    "inf",
    "inference_mode",
    "is_anomaly_check_nan_enabled",
    "is_warn_always_enabled",
    "is_anomaly_enabled",
    "is_autocast_cache_enabled",
    "is_autocast_enabled",
    "is_deterministic_algorithms_warn_only_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "layout",
    "linalg",
    "load",
    "load_ipython_extension",
    "memory_format",
    "nan",
    "newaxis",
    "nn",
    "no_grad",
    "ops",
    "optim",
    "pi",
    "preserve_format",
    "profiler",
    "promote_types",
    "random",
    "result_type",
    "return_types",
    "save",
    "serialization",
    "set_autocast_cache_enabled",
    "set_autocast_dtype",
    "set_autocast_enabled",
    "set_default_dtype",
    "set_deterministic_debug_mode",
    "set_float32_matmul_precision",
    "set_grad_enabled",
    "set_num_threads",
    "set_printoptions",
    "set_warn_always",
    "signal",
    "special",
    "storage",
    "strided",
    "unload_ipython_extension",
    "use_deterministic_algorithms",
    "utils",
    "version",
    *(each.name for each in dtypes.ALL),
    *dtypes.ALIASES,
    *_FUNCTIONS[""],
    *_STORAGES,
]
