"""``AdamW`` at the path where PyTorch has it."""

from fakel.optim.adam import AdamW

__all__ = ["AdamW"]
