"""Fourier transforms, as in ``torch.fft``."""

from fakel.ops.declare import FUNCTIONS

globals().update(FUNCTIONS.get("fft", {}))
__all__ = sorted(FUNCTIONS.get("fft", {}))
