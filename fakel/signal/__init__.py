"""Signal processing, as in ``torch.signal``: window functions."""

from fakel.signal import windows

__all__ = ["windows"]
