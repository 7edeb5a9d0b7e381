"""Window functions, as in ``torch.signal.windows``.

All take M, the number of points (0 gives an empty tensor), and by keyword: ``sym``, symmetric, as
filters are designed with, rather than periodic, as spectra are analysed with; ``dtype``, float32
or float64, the default one when left out; ``layout``, ``device`` and ``requires_grad``.

Below, n counts the points from 0, and N is M - 1, or M where the window is periodic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

from fakel import ops
from fakel.tensor import Tensor, dtypes, get_default_dtype
from fakel.tensor.formats import strided

__all__ = [
    "bartlett",
    "blackman",
    "cosine",
    "exponential",
    "gaussian",
    "general_cosine",
    "general_hamming",
    "hamming",
    "hann",
    "kaiser",
    "nuttall",
]

Shape = Callable[[Tensor], Tensor]


def _window(
    name: str, M: int, start: float, step: float, shape: Shape, one: bool = True, **options: Any
) -> Tensor:
    """A window's values at M points from ``start`` on, ``step`` apart.

    Args:
        one: the window of a single point is 1.

    Raises:
        ValueError: for a negative length, or another layout or dtype.
    """
    dtype = options["dtype"] = options.get("dtype") or get_default_dtype()
    layout = options.get("layout", strided)
    if M < 0:
        raise ValueError(f"{name} requires non-negative window length, got M={M}")
    if layout is not strided:
        raise ValueError(f"{name} is implemented for strided tensors only, got: {layout}")
    if dtype not in (dtypes.float32, dtypes.float64):
        raise ValueError(f"{name} expects float32 or float64 dtypes, got: {dtype}")
    if M == 0:
        return ops.empty(0, **options)  # type: ignore[no-any-return]
    if M == 1 and one:
        return ops.ones(1, **options)  # type: ignore[no-any-return]
    return shape(ops.linspace(start, start + (M - 1) * step, M, **options))


def _length(M: int, sym: bool) -> int:
    """N, which is at least 1."""
    return max(M - 1 if sym else M, 1)


def bartlett(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """A triangle: 1 - |2 n / N - 1|."""
    return _window("bartlett", M, -1, 2 / _length(M, sym), lambda k: 1 - k.abs(), **options)


def cosine(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """Half a wave: sin(pi (n + 1/2) / M), with M + 1 for M where the window is periodic."""
    step = math.pi / max(M + 1 if not sym and M > 1 else M, 1)
    return _window("cosine", M, 0.5 * step, step, lambda k: k.sin(), one=False, **options)


def exponential(
    M: int, *, center: float | None = None, tau: float = 1.0, sym: bool = True, **options: Any
) -> Tensor:
    """exp(-|n - center| / tau).

    Args:
        center: where the largest value is, N / 2 when left out; only of periodic windows.
        tau: the distance over which it falls by a factor of e.
    """
    if tau <= 0:
        raise ValueError(f"Tau must be positive, got: {tau} instead.")
    if sym and center is not None:
        raise ValueError("Center must be None for symmetric windows")
    if center is None:
        center = (M if not sym and M > 1 else M - 1) / 2.0
    return _window(
        "exponential", M, -center / tau, 1 / tau, lambda k: (-k.abs()).exp(), one=False, **options
    )


def gaussian(M: int, *, std: float = 1.0, sym: bool = True, **options: Any) -> Tensor:
    """exp(-((n - N / 2) / std)^2 / 2)."""
    if std <= 0:
        raise ValueError(f"Standard deviation must be positive, got: {std} instead.")
    step = 1 / (std * math.sqrt(2))
    start = -(M if not sym and M > 1 else M - 1) / 2.0 * step
    return _window("gaussian", M, start, step, lambda k: (-(k**2)).exp(), one=False, **options)


def general_cosine(M: int, *, a: Iterable[float], sym: bool = True, **options: Any) -> Tensor:
    """The sum of (-1)^i a_i cos(2 pi i n / N) over the coefficients a."""
    if M > 1 and not isinstance(a, Iterable):
        raise TypeError("Coefficients must be a list/tuple")
    if M > 1 and not a:
        raise ValueError("Coefficients cannot be empty")

    def shape(k: Tensor) -> Tensor:
        weights = ops.tensor(
            [(-1) ** i * weight for i, weight in enumerate(a)],
            dtype=k.dtype,
            requires_grad=k.requires_grad,
        )
        orders = ops.arange(len(weights), dtype=k.dtype).unsqueeze(-1)
        return (weights.unsqueeze(-1) * (orders * k).cos()).sum(0)  # type: ignore[no-any-return]

    return _window("general_cosine", M, 0, 2 * math.pi / _length(M, sym), shape, **options)


def general_hamming(M: int, *, alpha: float = 0.54, sym: bool = True, **options: Any) -> Tensor:
    """alpha - (1 - alpha) cos(2 pi n / N)."""
    return general_cosine(M, a=[alpha, 1.0 - alpha], sym=sym, **options)


def hamming(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """0.54 - 0.46 cos(2 pi n / N)."""
    return general_hamming(M, sym=sym, **options)


def hann(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """(1 - cos(2 pi n / N)) / 2."""
    return general_hamming(M, alpha=0.5, sym=sym, **options)


def blackman(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)."""
    return general_cosine(M, a=[0.42, 0.5, 0.08], sym=sym, **options)


def nuttall(M: int, *, sym: bool = True, **options: Any) -> Tensor:
    """The four terms of smallest side lobes with these decays (A. Nuttall, 1981)."""
    return general_cosine(M, a=[0.3635819, 0.4891775, 0.1365995, 0.0106411], sym=sym, **options)


def kaiser(M: int, *, beta: float = 12.0, sym: bool = True, **options: Any) -> Tensor:
    """I0(beta sqrt(1 - (2 n / N - 1)^2)) / I0(beta).

    Args:
        beta: the larger, the smaller the side lobes.
    """
    if beta < 0:
        raise ValueError(f"beta must be non-negative, got: {beta} instead.")
    # rounded as the points will be, so that the root below stays real at the ends
    beta = ops.tensor(beta, dtype=options.get("dtype") or get_default_dtype()).item()

    def shape(k: Tensor) -> Tensor:
        top = ops.tensor(beta, dtype=k.dtype)
        return ops.i0((top * top - k**2).sqrt()) / ops.i0(top)  # type: ignore[no-any-return]

    return _window("kaiser", M, -beta, 2.0 * beta / _length(M, sym), shape, **options)
