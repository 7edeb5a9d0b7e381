"""Making tensors of evenly spaced numbers, and the identity matrix."""

from __future__ import annotations

import math
import warnings

import numpy as np

from fakel.ops.creation import finish
from fakel.ops.declare import FUNCTIONS, function
from fakel.ops.options import Options
from fakel.tensor import Tensor, dtypes, get_default_dtype


def _number(value):
    return value.item() if isinstance(value, (Tensor, np.generic)) else value


_ARANGE_FORMS = """
 * (Number end, *, Tensor out = None, torch.dtype dtype = None, torch.layout layout = None, \
torch.device device = None, bool pin_memory = False, bool requires_grad = False)
 * (Number start, Number end, *, torch.dtype dtype = None, torch.layout layout = None, \
torch.device device = None, bool pin_memory = False, bool requires_grad = False)
 * (Number start, Number end, Number step = 1, *, Tensor out = None, torch.dtype dtype = None, \
torch.layout layout = None, torch.device device = None, bool pin_memory = False, \
bool requires_grad = False)
"""


@function
def arange(
    *bounds,
    start=None,
    end=None,
    step=None,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """The numbers from start (0) up to but without end, step (1) apart.

    Called as ``arange(end)``, ``arange(start, end)`` or ``arange(start, end, step)``. Integers give
    int64, floats the default dtype.

    Raises:
        RuntimeError: for a step of 0 or one that leads away from the end.
    """
    names = ("end",) if len(bounds) == 1 and end is None else ("start", "end", "step")
    named = {"start": start, "end": end, "step": step}
    if len(bounds) > 3 or (not bounds and end is None):
        given = ", ".join(type(value).__name__ for value in bounds)
        raise TypeError(
            f"arange() received an invalid combination of arguments - got ({given}), but expected "
            f"one of:{_ARANGE_FORMS}"
        )
    named.update(zip(names, bounds, strict=False))
    numbers = [_number(named[name]) for name in ("start", "end", "step")]
    first, last, distance = (
        default if number is None else number
        for number, default in zip(numbers, (0, None, 1), strict=True)
    )
    whole = all(isinstance(number, int) for number in (first, last, distance))
    default = dtypes.int64 if whole else get_default_dtype()
    options = Options("arange", dtype, default, out, layout, device, requires_grad, pin_memory)
    kind = options.dtype
    _check_range(first, last, distance)
    if kind is dtypes.bool_ or kind.is_complex:
        raise NotImplementedError(f"\"arange_cpu\" not implemented for '{kind.letter}'")
    if kind is dtypes.int64:
        array = np.arange(int(first), int(last), int(distance), np.int64)
    else:
        count = math.ceil((last - first) / distance)
        array = first + distance * np.arange(count, dtype=np.float64)
        if not kind.is_floating_point:
            array = int(first) + int(distance) * np.arange(count)
    return finish(_from_numbers(array, kind), options)


def _from_numbers(array, kind):
    return Tensor._from_array(array.astype(kind.compute), kind)


def _check_range(first, last, distance):
    if distance == 0:
        raise RuntimeError("step must be nonzero")
    if not (math.isfinite(first) and math.isfinite(last)):
        raise RuntimeError(f"unsupported range: {first} -> {last}")
    if (distance > 0) != (last >= first) and last != first:
        raise RuntimeError("upper bound and lower bound inconsistent with step sign")


def _closed_range(
    start=0,
    end=None,
    step=1,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    requires_grad=False,
):
    """The numbers from start up to and with end, step apart. Deprecated: use ``arange``."""
    warnings.warn(
        "torch.range is deprecated and will be removed in a future release because its behavior is "
        "inconsistent with Python's range builtin. Instead, use torch.arange, which produces "
        "values in [start, end).",
        UserWarning,
        stacklevel=2,
    )
    if end is None:
        start, end = 0, start
    _check_range(start, end, step)
    options = Options("range", dtype, get_default_dtype(), out, layout, device, requires_grad)
    array = start + step * np.arange(math.floor((end - start) / step) + 1, dtype=np.float64)
    return finish(_from_numbers(array, options.dtype), options)


_closed_range.__name__ = _closed_range.__qualname__ = "range"
FUNCTIONS[""]["range"] = _closed_range


def _spaced(start, end, steps, kind):
    """steps numbers from start to end, computed from the nearer end as PyTorch does."""
    if steps < 0:
        raise RuntimeError("number of steps must be non-negative")
    numbers = np.float64 if kind.compute.kind in "iu" else kind.compute.type
    if kind.compute.kind in "iu":
        start, end = int(start), int(end)
    if steps == 1:
        return np.full(1, start, numbers)
    first, last = numbers(start), numbers(end)
    step = (last - first) / numbers(max(steps - 1, 1))
    index = np.arange(steps).astype(numbers)
    from_end = np.arange(steps)[::-1].astype(numbers)
    return np.where(index < steps // 2, first + step * index, last - step * from_end)


def _end_points(name, start, end, steps):
    for position, value in ((1, start), (2, end)):
        if isinstance(value, Tensor) and value.ndim:
            which = "start" if position == 1 else "end"
            raise RuntimeError(
                f"{name} only supports 0-dimensional start and end tensors, but got {which} with "
                f"{value.ndim} dimension(s)."
            )
    if isinstance(steps, Tensor):
        steps = steps.item()
    return _number(start), _number(end), steps


@function
def linspace(
    start,
    end,
    steps,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """``steps`` numbers spaced evenly from start to end, both of them included."""
    first, last, steps = _end_points("linspace", start, end, steps)
    default = get_default_dtype()
    if isinstance(first, complex) or isinstance(last, complex):
        default = default.to_complex()
    options = Options("linspace", dtype, default, out, layout, device, requires_grad, pin_memory)
    return finish(_from_numbers(_spaced(first, last, steps, options.dtype), options.dtype), options)


@function
def logspace(
    start,
    end,
    steps,
    base=10.0,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """``base`` to the power of ``steps`` numbers spaced evenly from start to end."""
    first, last, steps = _end_points("logspace", start, end, steps)
    default = get_default_dtype()
    if isinstance(first, complex) or isinstance(last, complex):
        default = default.to_complex()
    options = Options("logspace", dtype, default, out, layout, device, requires_grad, pin_memory)
    exponents = _spaced(first, last, steps, options.dtype)
    wide = np.complex128 if options.dtype.is_complex else np.float64
    array = np.power(wide(base), exponents.astype(wide))
    return finish(_from_numbers(array, options.dtype), options)


@function
def eye(
    n,
    m=None,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
):
    """The n x m (or n x n) matrix with ones on the diagonal."""
    m = n if m is None else m
    for name, size in (("n", n), ("m", m)):
        if size < 0:
            raise RuntimeError(f"{name} must be greater or equal to 0, got {size}")
    options = Options(
        "eye", dtype, get_default_dtype(), out, layout, device, requires_grad, pin_memory
    )
    return finish(_from_numbers(np.eye(n, m), options.dtype), options)
