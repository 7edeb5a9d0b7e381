"""Linear algebra, as in ``torch.linalg``."""

from fakel.ops.declare import FUNCTIONS
from fakel.ops.linalg_common import LinAlgError

globals().update(FUNCTIONS.get("linalg", {}))
__all__ = ["LinAlgError", *sorted(FUNCTIONS.get("linalg", {}))]
