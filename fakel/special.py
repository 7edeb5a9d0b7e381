"""Special functions, as in ``torch.special``."""

from fakel.ops.declare import FUNCTIONS

globals().update(FUNCTIONS.get("special", {}))
__all__ = sorted(FUNCTIONS.get("special", {}))
