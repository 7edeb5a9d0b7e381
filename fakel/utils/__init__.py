"""Utilities beside the library proper, as in ``torch.utils``."""

from fakel.utils import data

__all__ = ["data"]
