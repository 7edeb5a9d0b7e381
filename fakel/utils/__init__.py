"""Utilities beside the library proper, as in ``torch.utils``."""

from fakel.utils import data, hooks

__all__ = ["data", "hooks"]
