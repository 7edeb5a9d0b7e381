"""The memory of tensors as bytes and as elements, as in ``torch.storage``."""

from fakel.tensor.typed_storage import TypedStorage
from fakel.tensor.untyped_storage import UntypedStorage

__all__ = ["TypedStorage", "UntypedStorage"]
