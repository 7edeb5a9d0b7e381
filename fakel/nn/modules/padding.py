"""Padding layers. Sizes are one number for every side, or one for each, last dimension first."""

from fakel.nn import functional as F
from fakel.nn.modules.module import Module
from fakel.nn.modules.utils import _ntuple, own_constructor

__all__ = [
    "CircularPad1d",
    "CircularPad2d",
    "CircularPad3d",
    "ConstantPad1d",
    "ConstantPad2d",
    "ConstantPad3d",
    "ReflectionPad1d",
    "ReflectionPad2d",
    "ReflectionPad3d",
    "ReplicationPad1d",
    "ReplicationPad2d",
    "ReplicationPad3d",
    "ZeroPad1d",
    "ZeroPad2d",
    "ZeroPad3d",
]


class _PadNd(Module):
    """Padding of ``_dimensions`` dimensions in ``_mode``."""

    __init_subclass__ = classmethod(own_constructor)

    def __init__(self, padding):
        super().__init__()
        self.padding = _ntuple(2 * self._dimensions)(padding)

    def forward(self, input):
        return F.pad(input, self.padding, self._mode)

    def extra_repr(self):
        return f"{self.padding}"


class _CircularPadNd(_PadNd):
    """Padding with the values from the other end."""

    _mode = "circular"

    def forward(self, input):
        lowest = self._dimensions + 1
        if input.dim() not in (lowest, lowest + 1):
            raise ValueError(
                f"expected {lowest}D or {lowest + 1}D input (got {input.dim()}D input)"
            )
        return super().forward(input)


class _ReflectionPadNd(_PadNd):
    """Padding with the input mirrored at its ends."""

    _mode = "reflect"


class _ReplicationPadNd(_PadNd):
    """Padding with the values at the ends."""

    _mode = "replicate"


class _ConstantPadNd(_PadNd):
    """Padding with a value."""

    def __init__(self, padding, value):
        super().__init__(padding)
        self.value = value

    def forward(self, input):
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self):
        return f"padding={self.padding}, value={self.value}"


class CircularPad1d(_CircularPadNd):
    """Pads signals with the values from the other end."""

    _dimensions = 1


class CircularPad2d(_CircularPadNd):
    """Pads images with the values from the other end."""

    _dimensions = 2


class CircularPad3d(_CircularPadNd):
    """Pads volumes with the values from the other end."""

    _dimensions = 3


class ConstantPad1d(_ConstantPadNd):
    """Pads signals with ``value``."""

    _dimensions = 1


class ConstantPad2d(_ConstantPadNd):
    """Pads images with ``value``."""

    _dimensions = 2


class ConstantPad3d(_ConstantPadNd):
    """Pads volumes with ``value``."""

    _dimensions = 3


class ReflectionPad1d(_ReflectionPadNd):
    """Pads signals with the input mirrored at its ends."""

    _dimensions = 1


class ReflectionPad2d(_ReflectionPadNd):
    """Pads images with the input mirrored at its ends."""

    _dimensions = 2


class ReflectionPad3d(_ReflectionPadNd):
    """Pads volumes with the input mirrored at its ends."""

    _dimensions = 3


class ReplicationPad1d(_ReplicationPadNd):
    """Pads signals with the values at the ends."""

    _dimensions = 1


class ReplicationPad2d(_ReplicationPadNd):
    """Pads images with the values at the ends."""

    _dimensions = 2


class ReplicationPad3d(_ReplicationPadNd):
    """Pads volumes with the values at the ends."""

    _dimensions = 3


class ZeroPad1d(ConstantPad1d):
    """Pads signals with zeros."""

    def __init__(self, padding):
        super().__init__(padding, 0.0)

    def extra_repr(self):
        return f"{self.padding}"


class ZeroPad2d(ConstantPad2d):
    """Pads images with zeros."""

    def __init__(self, padding):
        super().__init__(padding, 0.0)

    def extra_repr(self):
        return f"{self.padding}"


class ZeroPad3d(ConstantPad3d):
    """Pads volumes with zeros."""

    def __init__(self, padding):
        super().__init__(padding, 0.0)

    def extra_repr(self):
        return f"{self.padding}"
