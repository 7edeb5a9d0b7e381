"""Recalling: a call that was recorded before is recorded again without running its Python code."""

# gives tensors their `backward`
from fakel.recall import backward

__all__ = ["backward"]
