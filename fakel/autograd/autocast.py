"""Autocast: operators that compute in a narrower dtype, and those that must not.

Inside ``torch.autocast("cpu")`` products of matrices, convolutions and what is made of them take
their floating-point arguments in bfloat16 (or float16), operators that need range or precision take
them in float32; all others take what they get. The lists are PyTorch's, for the CPU.
"""

from __future__ import annotations

import contextlib
import functools
import threading
import weakref
from collections.abc import Callable, Iterator
from typing import Any

from fakel.graph import leave_uncaptured
from fakel.tensor import Tensor, device, dtype, dtypes

_DEVICES = ("cpu", "cuda", "hip", "hpu", "ipu", "maia", "mps", "mtia", "xla", "xpu")


class _State(threading.local):
    def __init__(self) -> None:
        self.enabled: dict[str, bool] = {}
        self.dtypes: dict[str, dtype] = {
            "cpu": dtypes.bfloat16, "hpu": dtypes.bfloat16, "xla": dtypes.bfloat16
        }  # fmt: skip
        self.cache_enabled = True
        self.nesting = 0
        # parameters that were cast, by identity
        self.cache: dict[int, tuple[weakref.ref[Tensor], Tensor]] = {}


state = _State()


def _kind(device_type: str) -> str:
    kind: str = device(device_type).type
    return kind


def _check(device_type: str) -> str:
    kind = _kind(device_type)
    if kind not in _DEVICES:
        raise RuntimeError(
            "unknown device type for autocast in get_autocast_dispatch_key_from_device_type"
        )
    return kind


def is_autocast_available(device_type: str) -> bool:
    """Whether there is autocast for a type of device."""
    return _kind(device_type) in _DEVICES


def is_autocast_enabled(device_type: str = "cuda") -> bool:
    """Whether operators on a type of device are cast, in this thread."""
    return state.enabled.get(_check(device_type), False)


def set_autocast_enabled(device_type: Any, enabled: bool | None = None) -> None:
    """Casts operators on a type of device from now on, or no longer, in this thread.

    Args:
        device_type: its name; left out it is ``cuda``.
        enabled: whether operators are cast.
    """
    if enabled is None:
        device_type, enabled = "cuda", device_type
    before, state.enabled[_check(device_type)] = is_autocast_enabled(device_type), enabled
    if device_type == "cpu":
        leave_uncaptured(enabled - before)


def get_autocast_dtype(device_type: str) -> dtype:
    """The narrower dtype of a type of device, in this thread."""
    kind = _kind(device_type)
    if kind not in _DEVICES:
        raise RuntimeError("unsupported scalarType")
    return state.dtypes.get(kind, dtypes.float16)


def set_autocast_dtype(device_type: str, dtype: dtype) -> None:
    """Sets the narrower dtype of a type of device, in this thread."""
    state.dtypes[_check(device_type)] = dtype


def is_autocast_cache_enabled() -> bool:
    """Whether parameters are cast once for all of an outermost autocast."""
    return state.cache_enabled


def set_autocast_cache_enabled(enabled: bool) -> None:
    """Says whether parameters are cast once for all of an outermost autocast."""
    state.cache_enabled = enabled


def autocast_increment_nesting() -> int:
    """Enters one more autocast; returns how many there are."""
    state.nesting += 1
    return state.nesting


def autocast_decrement_nesting() -> int:
    """Leaves an autocast; returns how many there are."""
    state.nesting -= 1
    return state.nesting


@contextlib.contextmanager
def set_to(enabled: bool, dtype: dtype, cache_enabled: bool) -> Iterator[None]:
    """Within the block operators on the CPU are cast as these settings say."""
    before = is_autocast_enabled("cpu"), get_autocast_dtype("cpu"), state.cache_enabled
    _set(enabled, dtype, cache_enabled)
    autocast_increment_nesting()
    try:
        yield
    finally:
        if autocast_decrement_nesting() == 0:
            clear_autocast_cache()
        _set(*before)


def _set(enabled: bool, dtype: dtype, cache_enabled: bool) -> None:
    set_autocast_enabled("cpu", enabled)
    set_autocast_dtype("cpu", dtype)
    set_autocast_cache_enabled(cache_enabled)


def clear_autocast_cache() -> None:
    """Forgets cast parameters."""
    state.cache.clear()


def call(function: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """Calls an operator with its arguments cast as autocast says."""
    policy = _POLICIES.get(function.__name__) if state.enabled.get("cpu") else None
    if policy is None or kwargs.get("out") is not None:
        return function(*args, **kwargs)
    state.enabled["cpu"] = False  # what the operator is made of is not cast again
    try:
        return policy(function, args, kwargs)
    finally:
        state.enabled["cpu"] = True


def followed(function: Callable[..., Any]) -> Callable[..., Any]:
    """An operator of its own making, which autocast sees as well."""

    @functools.wraps(function)
    def called(*args: Any, **kwargs: Any) -> Any:
        return call(function, args, kwargs)

    return called


def _each(value: Any, change: Callable[[Tensor], Tensor]) -> Any:
    """Changes the floating-point tensors in a value that are no wider than float32."""
    if isinstance(value, Tensor):
        kind = value.dtype
        return change(value) if kind.is_floating_point and kind is not dtypes.float64 else value
    if isinstance(value, (list, tuple)) and any(isinstance(each, (Tensor, list)) for each in value):
        return type(value)([_each(each, change) for each in value])
    return value


def _called(
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    change: Callable[[Tensor], Tensor],
) -> Any:
    changed = {name: _each(value, change) for name, value in kwargs.items()}
    return function(*[_each(value, change) for value in args], **changed)


def _narrowed(tensor: Any) -> Any:
    kind = state.dtypes["cpu"]
    if tensor.dtype is kind:
        return tensor
    is_weight = tensor.dtype is dtypes.float32 and tensor.requires_grad and tensor.is_leaf
    if not is_weight or tensor._base is not None or not state.cache_enabled:
        return tensor.to(kind)
    known = state.cache.get(id(tensor))
    if known is None or known[0]() is not tensor:
        known = state.cache[id(tensor)] = weakref.ref(tensor), tensor.to(kind)
    return known[1]


def _widened(tensor: Any) -> Any:
    return tensor.to(dtypes.float32)


def _rounded(tensor: Any) -> Any:
    return _narrowed(tensor).to(tensor.dtype)


def _narrow(function: Any, args: Any, kwargs: Any) -> Any:
    return _called(function, args, kwargs, _narrowed)


def _wide(function: Any, args: Any, kwargs: Any) -> Any:
    return _called(function, args, kwargs, _widened)


def _round(function: Any, args: Any, kwargs: Any) -> Any:
    """Products of narrow numbers inside an operator that goes on in float32."""
    return _called(function, args, kwargs, _rounded)


def _narrow_result(function: Any, args: Any, kwargs: Any) -> Any:
    """The last step alone is a product."""
    return _each(function(*args, **kwargs), lambda tensor: tensor.to(state.dtypes["cpu"]))  # type: ignore[attr-defined]


def _promote(function: Any, args: Any, kwargs: Any) -> Any:
    found: list[dtype] = []
    for value in (*args, *kwargs.values()):
        _each(value, lambda tensor: found.append(tensor.dtype) or tensor)  # type: ignore[func-returns-value]
    wide = dtypes.float32 in found or len({*found}) > 1
    return (_wide if wide else _plain)(function, args, kwargs)


def _plain(function: Any, args: Any, kwargs: Any) -> Any:
    return function(*args, **kwargs)


def _einsum(function: Any, args: Any, kwargs: Any) -> Any:
    contracts = not isinstance(args[0], str) or _contracts(args[0].replace(" ", ""))
    return (_narrow if contracts else _plain)(function, args, kwargs)


def _contracts(equation: str) -> bool:
    """Whether a sum runs over an index of two operands."""
    operands, arrow, output = equation.partition("->")
    letters = operands.replace(",", "").replace(".", "")
    if not arrow:
        output = "".join(letter for letter in letters if letters.count(letter) == 1)
    shared = (letter for letter in letters if sum(letter in o for o in operands.split(",")) > 1)
    return any(letter not in output for letter in shared)


def _local_response_norm(function: Any, args: Any, kwargs: Any) -> Any:
    """Means over windows of three-dimensional arrays are wide."""
    wide = args and isinstance(args[0], Tensor) and args[0].dim() > 3
    return (_wide if wide else _plain)(function, args, kwargs)


def _pad(function: Any, args: Any, kwargs: Any) -> Any:
    mode = args[2] if len(args) > 2 else kwargs.get("mode")
    return (_wide if mode in ("reflect", "replicate") else _plain)(function, args, kwargs)


_NARROW = """
    addbmm addmm baddbmm bmm conv1d conv2d conv3d conv_tbc conv_transpose1d
    conv_transpose2d conv_transpose3d inner linear lstm matmul mm multi_dot prelu rnn_relu
    rnn_relu_cell rnn_tanh rnn_tanh_cell scaled_dot_product_attention tensordot vecdot
"""
_WIDE = """
    adaptive_avg_pool3d adaptive_max_pool3d_with_indices avg_pool3d binary_cross_entropy
    binary_cross_entropy_with_logits cdist cholesky cholesky_ex cholesky_inverse cholesky_solve cond
    cosine_embedding_loss cross_entropy ctc_loss eig eigh eigvals eigvalsh fft fft2 fftn
    fractional_max_pool geqrf grid_sample
    grid_sampler hfft hinge_embedding_loss householder_product huber_loss ifft ifft2 ifftn ihfft inv
    inv_ex inverse irfft irfft2 irfftn kl_div l1_loss lstsq lu_solve margin_ranking_loss matrix_rank
    max_pool3d max_unpool1d max_unpool2d max_unpool3d mse_loss multi_margin_loss
    multilabel_margin_loss nanquantile nll_loss orgqr ormqr pinverse poisson_nll_loss polar prod qr
    quantile rfft rfft2 rfftn smooth_l1_loss soft_margin_loss solve stft svd svdvals tensorinv
    tensorsolve trace triangular_solve triplet_margin_loss view_as_complex
"""
_POLICIES: dict[str, Callable[[Any, Any, Any], Any]] = {
    **dict.fromkeys(_NARROW.split(), _narrow),
    **dict.fromkeys(_WIDE.split(), _wide),
    **dict.fromkeys(("gru", "gru_cell", "lstm_cell"), _round),
    **dict.fromkeys(("corrcoef", "cov", "pinv"), _narrow_result),
    **dict.fromkeys(("cat", "index_copy", "stack"), _promote),
    "bilinear": _plain,
    "einsum": _einsum,
    "local_response_norm": _local_response_norm,
    "pad": _pad,
}
