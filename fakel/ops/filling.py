"""Constant tensors as nodes, which gradient rules and creation functions make theirs of."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakel.autograd.tape import retitled
from fakel.ops.checks import check_fits
from fakel.ops.declare import as_tensor, gradient, method, operator, primitive, scalar
from fakel.ops.inplace import check_writable, store
from fakel.recall.calls import recalled
from fakel.tensor import Tensor, get_default_dtype
from fakel.tensor.dtypes import dtype


@primitive("full")
def _full(value, *, size):
    return np.full(size, value)


gradient(_full, value=lambda grad: grad.sum())


def _filled(size: tuple[int, ...], value: Any, kind: dtype | None = None) -> Tensor:
    """A tensor of one value; the value is a run-time argument of the program.

    Args:
        kind: the dtype, the default one when left out.
    """
    kind = get_default_dtype() if kind is None else kind
    size = tuple(size)
    result: Tensor = _full(scalar(value, kind), size=size, shape=size, dtype=kind)
    return result


# other functions that create tensors compute them at once; a run that goes on without a template is
# one that nothing is known of
filled = recalled(_filled, numbers=True, creates=True)


def zeros(size: tuple[int, ...], kind: dtype | None = None) -> Tensor:
    """A tensor of zeros."""
    return filled(size, 0, kind)


def ones(size: tuple[int, ...], kind: dtype | None = None) -> Tensor:
    """A tensor of ones."""
    return filled(size, 1, kind)


# what the layers below need without importing operators
Tensor._zeros = staticmethod(zeros)  # type: ignore[attr-defined]
Tensor._ones = staticmethod(ones)  # type: ignore[attr-defined]


@method
def fill_(self: Tensor, value: Any) -> Tensor:
    """Writes one value, a number or a zero-dimensional tensor, everywhere."""
    if isinstance(value, Tensor) and value.ndim:
        raise RuntimeError(
            "fill_ only supports 0-dimension value tensor but got tensor with "
            f"{value.ndim} dimensions."
        )
    check_fits(value, self.dtype)
    check_writable(self)
    size = tuple(self._shape)
    result = _full(as_tensor(value, self), size=size, shape=size)
    store(self, retitled(result, "FillBackward3"), "FillBackward2")
    return self


@method
def zero_(self: Tensor) -> Tensor:
    """Writes zeros everywhere."""
    check_writable(self)
    size = tuple(self._shape)
    store(self, _full(scalar(0, self.dtype), size=size, shape=size), "ZeroBackward0")
    return self


@operator(inplace=False, out=False)
def fill(input: Tensor, value: Any) -> Tensor:
    """A tensor of the same shape and dtype with one value everywhere."""
    title = "FillBackward1" if isinstance(value, Tensor) else "FillBackward0"
    return retitled(input.clone().fill_(value), title)
