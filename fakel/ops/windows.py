"""Window functions of signal processing."""

from __future__ import annotations

import math

import numpy as np

from fakel.ops.declare import function
from fakel.ops.numerics import bessel
from fakel.ops.options import Options
from fakel.tensor import Tensor, get_default_dtype


def _window(name, length, periodic, shape, dtype, layout, device, pin_memory, requires_grad):
    """A symmetric window, or with ``periodic`` one point longer without the last."""
    options = Options(
        name, dtype, get_default_dtype(), None, layout, device, requires_grad, pin_memory
    )
    if not options.dtype.is_floating_point:
        raise RuntimeError(f"{name} expects floating point dtypes, got: {options.dtype.letter}")
    if length < 0:
        raise RuntimeError(
            f"{name} requires non-negative window_length, got window_length={length}"
        )
    points = length + 1 if periodic and length > 1 else length
    values = (
        shape(np.arange(points, dtype=options.dtype.compute), max(points - 1, 1))
        if points > 1
        else np.ones(points)
    )
    result = Tensor._from_array(values[:length].astype(options.dtype.compute), options.dtype)
    return result.requires_grad_() if requires_grad else result


@function
def hann_window(
    window_length,
    periodic=True,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """(1 - cos(2 pi n / N)) / 2."""
    return _window(
        "hann_window",
        window_length,
        periodic,
        lambda n, last: np.cos(n * (2 * math.pi / last)) * -0.5 + 0.5,
        dtype,
        layout,
        device,
        pin_memory,
        requires_grad,
    )


@function
def hamming_window(
    window_length,
    periodic=True,
    alpha=0.54,
    beta=0.46,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """alpha - beta cos(2 pi n / N)."""
    return _window(
        "hamming_window",
        window_length,
        periodic,
        lambda n, last: np.cos(n * (2 * math.pi / last)) * -beta + alpha,
        dtype,
        layout,
        device,
        pin_memory,
        requires_grad,
    )


@function
def blackman_window(
    window_length,
    periodic=True,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """0.42 - 0.5 cos(2 pi n / N) + 0.08 cos(4 pi n / N)."""

    def shape(n, last):
        slow, fast = n * (2 * math.pi / last), n * (4 * math.pi / last)
        return np.cos(fast) * 0.08 - np.cos(slow) * 0.5 + 0.42

    return _window(
        "blackman_window",
        window_length,
        periodic,
        shape,
        dtype,
        layout,
        device,
        pin_memory,
        requires_grad,
    )


@function
def bartlett_window(
    window_length,
    periodic=True,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """A triangle: 1 - |2 n / N - 1|."""
    return _window(
        "bartlett_window",
        window_length,
        periodic,
        lambda n, last: 1 - np.abs(2 * n / last - 1),
        dtype,
        layout,
        device,
        pin_memory,
        requires_grad,
    )


@function
def kaiser_window(
    window_length,
    periodic=True,
    beta=12.0,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """I0(beta sqrt(1 - (2 n / N - 1)^2)) / I0(beta)."""

    def shape(n, last):
        inside = 1 - (2 * n / last - 1) ** 2
        return bessel.i0(beta * np.sqrt(np.maximum(inside, 0))) / bessel.i0(np.array(float(beta)))

    return _window(
        "kaiser_window",
        window_length,
        periodic,
        shape,
        dtype,
        layout,
        device,
        pin_memory,
        requires_grad,
    )
