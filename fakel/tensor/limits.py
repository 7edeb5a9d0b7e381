"""The limits of the dtypes: ``torch.finfo`` and ``torch.iinfo``."""

from __future__ import annotations

import numpy as np

from fakel.tensor import dtypes
from fakel.tensor.dtypes import dtype

# bits, eps, max, smallest normal, resolution; NumPy has no bfloat16
_BFLOAT16 = (16, 2.0**-7, (2 - 2.0**-7) * 2.0**127, 2.0**-126, 0.01)


class finfo:
    """The limits of a floating-point dtype: ``bits``, ``eps`` (the distance from 1 to the next
    number), ``max``, ``min``, ``tiny`` (the smallest normal number), ``resolution``.

    Args:
        type: a floating-point or complex dtype; the default dtype when left out.
    """

    def __init__(self, type: dtype | None = None) -> None:
        chosen = (dtypes.get_default_dtype() if type is None else type).to_real()
        if not chosen.is_floating_point:
            raise TypeError(
                "torch.finfo() requires a floating point input type. Use torch.iinfo to handle "
                "'torch.finfo'"
            )
        self.dtype = chosen.name
        if chosen is dtypes.bfloat16:
            self.bits, self.eps, self.max, self.tiny, self.resolution = _BFLOAT16
        else:
            limits = np.finfo(chosen.storage)
            self.bits = limits.bits
            self.eps = float(limits.eps)
            self.max = float(limits.max)
            self.tiny = float(limits.tiny)
            self.resolution = 10.0**-limits.precision
        self.min = -self.max
        self.smallest_normal = self.tiny

    def __repr__(self) -> str:
        return (
            f"finfo(resolution={self.resolution:g}, min={self.min:g}, max={self.max:g}, "
            f"eps={self.eps:g}, smallest_normal={self.smallest_normal:g}, tiny={self.tiny:g}, "
            f"dtype={self.dtype})"
        )


class iinfo:
    """The limits of an integer dtype: ``bits``, ``max``, ``min``."""

    def __init__(self, type: dtype) -> None:
        if type.is_floating_point or type.is_complex or type is dtypes.bool_:
            raise TypeError(
                "torch.iinfo() requires an integer input type. Use torch.finfo to handle "
                "'torch.iinfo'"
            )
        limits = np.iinfo(type.storage)
        self.dtype = type.name
        self.bits = limits.bits
        self.max = int(limits.max)
        self.min = int(limits.min)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
