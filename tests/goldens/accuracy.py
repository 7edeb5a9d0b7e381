"""How far reductions and products of float32 are from what float64 gives: PyTorch's own errors.

The error of a case is the largest difference from NumPy's result in float64, over the largest
number in that result.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

Axis = int | tuple[int, ...] | None
Operation = tuple[Callable[[Any, Any, Axis], Any], Callable[[np.ndarray, Axis], np.ndarray]]


def data(kind: str, shape: tuple[int, ...]) -> np.ndarray:
    """Numbers that are awkward to add up."""
    random = np.random.RandomState(7)
    noise = random.standard_normal(shape).astype(np.float32)
    if kind == "offset":
        return np.float32(1e4) + noise
    if kind == "alternating":
        signs = np.where(np.arange(noise.size).reshape(shape) % 2, -1, 1).astype(np.float32)
        return signs * (np.float32(100) + noise)
    if kind == "equal":
        return np.full(shape, 0.1, np.float32)
    if kind == "uniform":
        return random.random_sample(shape).astype(np.float32)
    if kind == "magnitudes":
        return np.exp(noise * 6).astype(np.float32)
    return noise


def _logsumexp(x: np.ndarray, axis: Axis) -> np.ndarray:
    most = x.max(axis, keepdims=True)
    return np.asarray(np.log(np.exp(x - most).sum(axis)) + most.max(axis))


def _softmax(x: np.ndarray, axis: Axis) -> np.ndarray:
    powers = np.exp(x - x.max(axis, keepdims=True))
    return np.asarray(powers / powers.sum(axis, keepdims=True))


def _log_softmax(x: np.ndarray, axis: Axis) -> np.ndarray:
    shifted = x - x.max(axis, keepdims=True)
    return np.asarray(shifted - np.log(np.exp(shifted).sum(axis, keepdims=True)))


def _normalized(x: np.ndarray, axis: Axis, eps: float = 1e-5) -> np.ndarray:
    gap = x - x.mean(axis, keepdims=True)
    return np.asarray(gap / np.sqrt((gap * gap).mean(axis, keepdims=True) + eps))


def _matrix(x: np.ndarray) -> np.ndarray:
    """A second operand with as many rows as x has columns."""
    return np.random.RandomState(8).standard_normal((x.shape[-1], 24)).astype(np.float32)


def _times(torch: Any, x: Any, axis: Axis) -> Any:
    return x @ torch.from_numpy(_matrix(np.empty(x.shape)))


def _linear(torch: Any, x: Any, axis: Axis) -> Any:
    weight = torch.from_numpy(np.ascontiguousarray(_matrix(np.empty(x.shape)).T))
    return torch.nn.functional.linear(x, weight, torch.ones(24))


def _filters(channels: int) -> np.ndarray:
    return np.random.RandomState(9).standard_normal((8, channels, 3, 3)).astype(np.float32)


def _convolve(torch: Any, x: Any, axis: Axis) -> Any:
    return torch.nn.functional.conv2d(x, torch.from_numpy(_filters(x.shape[1])))


def _convolved(x: np.ndarray, axis: Axis) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
    return np.einsum("nchwij,ocij->nohw", windows, _filters(x.shape[1]).astype(np.float64))


def _filter_gradient(torch: Any, x: Any, axis: Axis) -> Any:
    filters = torch.from_numpy(_filters(x.shape[1])).requires_grad_()
    torch.nn.functional.conv2d(x, filters).sum().backward()
    return filters.grad


def _filter_gradients(x: np.ndarray, axis: Axis) -> np.ndarray:
    windows = np.lib.stride_tricks.sliding_window_view(x, (3, 3), (2, 3))
    return np.broadcast_to(windows.sum((0, 2, 3)), (8, x.shape[1], 3, 3))


def _bias_gradient(torch: Any, x: Any, axis: Axis) -> Any:
    bias = torch.zeros(x.shape[-1], requires_grad=True)
    ((torch.zeros(x.shape) + bias) * x).sum().backward()
    return bias.grad


def _layer_norm(torch: Any, x: Any, axis: Axis) -> Any:
    return torch.nn.functional.layer_norm(x, x.shape[-1:])


def _batch_norm(torch: Any, x: Any, axis: Axis) -> Any:
    return torch.nn.functional.batch_norm(x, None, None, training=True)


def _group_norm(torch: Any, x: Any, axis: Axis) -> Any:
    return torch.nn.functional.group_norm(x, 1)


def _running_variance(torch: Any, x: Any, axis: Axis) -> Any:
    mean, variance = torch.zeros(x.shape[1]), torch.zeros(x.shape[1])
    torch.nn.functional.batch_norm(x, mean, variance, training=True, momentum=1.0)
    return torch.stack([mean, variance])


def _mse(torch: Any, x: Any, axis: Axis) -> Any:
    return torch.nn.functional.mse_loss(x, torch.zeros(x.shape))


def _bfloat16(x: np.ndarray) -> np.ndarray:
    """Rounded to the nearest bfloat16."""
    bits = x.astype(np.float32).view(np.uint32)
    bits = (bits + 0x7FFF + (bits >> 16 & 1)) & np.uint32(0xFFFF0000)
    return bits.view(np.float32).astype(np.float64)


def _others(x: np.ndarray) -> tuple[int, ...]:
    return (0, *range(2, x.ndim))


OPERATIONS: dict[str, Operation] = {
    "sum": (lambda t, x, a: x.sum(a), lambda x, a: x.sum(a)),
    "mean": (lambda t, x, a: x.mean(a), lambda x, a: x.mean(a)),
    "var": (lambda t, x, a: x.var(a), lambda x, a: x.var(a, ddof=1)),
    "std": (lambda t, x, a: x.std(a), lambda x, a: x.std(a, ddof=1)),
    "norm1": (lambda t, x, a: x.norm(1, a), lambda x, a: abs(x).sum(a)),
    "norm2": (lambda t, x, a: x.norm(2, a), lambda x, a: np.sqrt((x * x).sum(a))),
    "norm inf": (lambda t, x, a: x.norm(float("inf"), a), lambda x, a: abs(x).max(a)),
    "logsumexp": (lambda t, x, a: x.logsumexp(a), _logsumexp),
    "softmax": (lambda t, x, a: x.softmax(a), _softmax),
    "log_softmax": (lambda t, x, a: x.log_softmax(a), _log_softmax),
    "cumsum": (lambda t, x, a: x.cumsum(a), lambda x, a: x.cumsum(a)),
    "prod": (
        lambda t, x, a: (x * 0.001 + 1).prod(a),
        lambda x, a: (x * 0.001 + 1).astype(np.float32).astype(np.float64).prod(a),
    ),
    "sum in float16": (
        lambda t, x, a: x.half().sum(a).float(),
        lambda x, a: x.astype(np.float16).astype(np.float64).sum(a),
    ),
    "mean in bfloat16": (
        lambda t, x, a: x.bfloat16().mean(a).float(),
        lambda x, a: _bfloat16(x).mean(a),
    ),
    "dot": (lambda t, x, a: x.dot(x), lambda x, a: x.dot(x)),
    "mv": (lambda t, x, a: x.mv(x[0]), lambda x, a: x @ x[0]),
    "matmul": (_times, lambda x, a: x @ _matrix(x).astype(np.float64)),
    "linear": (_linear, lambda x, a: x @ _matrix(x).astype(np.float64) + 1),
    "conv2d": (_convolve, _convolved),
    "conv2d weight gradient": (_filter_gradient, _filter_gradients),
    "bias gradient": (_bias_gradient, lambda x, a: x.reshape(-1, x.shape[-1]).sum(0)),
    "layer_norm": (_layer_norm, lambda x, a: _normalized(x, -1)),
    "group_norm": (_group_norm, lambda x, a: _normalized(x, tuple(range(1, x.ndim)))),
    "batch_norm": (_batch_norm, lambda x, a: _normalized(x, _others(x))),
    "running statistics": (
        _running_variance,
        lambda x, a: np.stack([x.mean(_others(x)), x.var(_others(x), ddof=1)]),
    ),
    "mse_loss": (_mse, lambda x, a: (x * x).mean()),
}

EVERY = ("normal", "offset", "alternating", "equal", "magnitudes")
ADDING = ("sum", "mean", "var", "norm1", "norm2")
LINES = ((64, 4096), 1), ((4096, 64), 0), ((300, 7, 90), 1), ((60, 50, 70), (0, 2))


def choices() -> list[tuple[str, str, tuple[int, ...], Axis, bool]]:
    """Operation, kind of data, shape, axis, whether the last two dimensions are transposed."""
    chosen: list[tuple[str, str, tuple[int, ...], Axis, bool]] = []
    for name in ADDING:
        chosen += [(name, kind, (300_000,), None, False) for kind in EVERY]
        for shape, axis in LINES:
            chosen += [(name, kind, shape, axis, False) for kind in ("offset", "equal", "normal")]
            chosen.append((name, "magnitudes", shape, axis, True))
    for kind in ("offset", "equal"):
        chosen += [(name, kind, (10_000_000,), None, False) for name in ADDING[:3]]
    chosen.append(("norm2", "normal", (10_000_000,), None, False))
    chosen.append(("dot", "uniform", (10_000_000,), None, False))
    chosen.append(("cumsum", "uniform", (10_000_000,), 0, False))
    for name in ("std", "norm inf", "logsumexp", "softmax", "log_softmax", "cumsum"):
        for kind in ("normal", "offset", "equal"):
            chosen += [(name, kind, shape, axis, False) for shape, axis in LINES[:3]]
            chosen.append((name, kind, (50, 4000), 0, True))
    for name in ("sum in float16", "mean in bfloat16"):
        chosen += [(name, "uniform", shape, axis, False) for shape, axis in LINES[:2]]
        chosen += [
            (name, "normal", (300_000,), None, False),
            (name, "equal", (50_000,), None, False),
        ]
    for kind in ("normal", "uniform"):
        chosen += [("prod", kind, shape, axis, False) for shape, axis in LINES[:3]]
    for kind in EVERY:
        chosen.append(("dot", kind, (300_000,), None, False))
        for name in ("matmul", "linear", "mv"):
            chosen += [(name, kind, (40, 3000), None, transposed) for transposed in (False, True)]
        for name in ("conv2d", "conv2d weight gradient"):
            chosen.append((name, kind, (4, 32, 20, 20), None, False))
        chosen.append(("bias gradient", kind, (5000, 24), None, False))
        chosen.append(("mse_loss", kind, (1000, 300), None, False))
    for kind in ("normal", "offset", "magnitudes"):
        chosen += [("layer_norm", kind, (64, 2000), None, transposed) for transposed in (0, 1)]
        chosen.append(("group_norm", kind, (4, 16, 30, 30), None, False))
        for name in ("batch_norm", "running statistics"):
            chosen.append((name, kind, (16, 8, 40, 40), None, False))
            chosen.append((name, kind, (5000, 30), None, False))
    return chosen


@functools.lru_cache(maxsize=4)
def _given(kind: str, shape: tuple[int, ...], transposed: bool) -> np.ndarray:
    array = data(kind, shape)
    # the same numbers in the same places, but neighbours along another dimension
    return np.ascontiguousarray(array.swapaxes(-1, -2)).swapaxes(-1, -2) if transposed else array


def error(
    torch: Any, name: str, kind: str, shape: tuple[int, ...], axis: Axis, transposed: bool
) -> float:
    """The error of one case."""
    array = _given(kind, shape, bool(transposed))
    compute, reference = OPERATIONS[name]
    with np.errstate(over="ignore", invalid="ignore"):
        wanted = np.asarray(reference(array.astype(np.float64), axis))
    found = compute(torch, torch.from_numpy(array), axis).detach().numpy()
    return float(np.abs(found - wanted).max() / (np.abs(wanted).max() or 1.0))


def cases(torch: Any) -> dict[str, Callable[[], float]]:
    """All of them."""
    table = {}
    for name, kind, shape, axis, transposed in choices():
        label = f"{name} of {kind} {list(shape)}"
        label += "" if axis is None else f" over {axis}"
        label += " transposed" if transposed else ""
        table[label] = functools.partial(error, torch, name, kind, shape, axis, transposed)
    return table


def tolerances(case: str) -> dict[str, float]:
    """PyTorch's errors depend on the processor's vectors: no more is compared than their order."""
    return {"relative": 3.0, "absolute": 1e-5}
