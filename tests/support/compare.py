"""Turns a case into tensors of a package, and compares what two packages answer."""

from __future__ import annotations

from typing import Any

import numpy as np

from tests.support.case import Case, Input, Mistake, Name, values, walk

RELATIVE = {
    "float64": 1e-9,
    "complex128": 1e-9,
    "float32": 1e-5,
    "complex64": 1e-5,
    "float16": 2e-3,
    "bfloat16": 1.6e-2,
}


def arrays(case: Case | Mistake, dtype: str) -> tuple[tuple, dict]:
    """Positional and keyword arguments of a case with a NumPy array for every tensor."""
    random = np.random.default_rng(case.seed)

    def build(spec):
        return values(spec, dtype, random) if isinstance(spec, Input) else spec

    return walk(case.args, build), walk(case.kwargs, build)


def tensors(package, case: Case | Mistake, dtype: str, *, views: bool = False, gradients=False):
    """The same as tensors of `package`; `views` makes every one non-contiguous in memory."""
    random = np.random.default_rng(case.seed)

    def build(spec):
        if isinstance(spec, Name):
            return getattr(package, spec.name)
        name = spec.dtype or dtype
        array = values(spec, dtype, random)
        tensor = _view(package, array) if views else package.from_numpy(array.copy())
        if name == "bfloat16":
            tensor = tensor.to(package.bfloat16)
        return tensor.requires_grad_() if gradients and _differentiable(spec, tensor) else tensor

    return walk(case.args, build), walk(case.kwargs, build)


def _differentiable(spec: Input, tensor) -> bool:
    return tensor.is_floating_point() and not spec.constant


def _view(package, array: np.ndarray):
    """A tensor with the array's values whose axes are stored in reverse, every second element."""
    if array.ndim == 0:
        return package.from_numpy(np.stack([array, array]))[1]
    spread = np.repeat(array.transpose(), 2, axis=-1)
    return package.from_numpy(spread)[..., ::2].permute(*reversed(range(array.ndim)))


def flat(answer: Any) -> list:
    if isinstance(answer, list | tuple) and not type(answer).__name__ == "Size":
        return [leaf for part in answer for leaf in flat(part)]
    return [answer]


def is_tensor(value: Any) -> bool:
    return hasattr(value, "requires_grad")


def to_array(tensor) -> np.ndarray:
    tensor = tensor.detach()
    if str(tensor.dtype) == "torch.bfloat16":
        tensor = tensor.float()
    if tensor.is_complex():
        tensor = tensor.resolve_conj()
    return np.asarray(tensor.numpy())


def assert_close(found: np.ndarray, expected: np.ndarray, dtype: str, scale: float = 1.0) -> None:
    """Equal within the dtype's tolerance, relative to each value and a little to the largest."""
    relative = RELATIVE.get(dtype, 0.0) * scale
    finite = np.abs(expected[np.isfinite(expected)]) if expected.size else expected
    largest = float(finite.max(initial=0.0)) if finite.size else 0.0
    np.testing.assert_allclose(
        found, expected, rtol=relative, atol=0.2 * relative * max(largest, 0.1), strict=False
    )


def assert_same(found: Any, expected: Any, scale: float = 1.0) -> None:
    """The answers of two packages agree: structure, dtypes, shapes and values."""
    found, expected = flat(found), flat(expected)
    assert len(found) == len(expected), f"{len(found)} outputs, expected {len(expected)}"
    for ours, theirs in zip(found, expected):
        if not is_tensor(theirs):
            assert str(ours) == str(theirs)
            continue
        assert is_tensor(ours), f"a {type(ours).__name__}, expected a tensor"
        assert str(ours.dtype) == str(theirs.dtype)
        assert tuple(ours.shape) == tuple(theirs.shape)
        dtype = str(theirs.dtype).removeprefix("torch.")
        assert_close(to_array(ours), to_array(theirs), dtype, scale)
