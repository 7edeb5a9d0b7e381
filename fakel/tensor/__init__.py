"""Tensors: dtypes, storage, views, printing, the random generator."""

# attaches what pickling and copy.deepcopy need
from fakel.tensor import dtypes, pickling
from fakel.tensor.device import device
from fakel.tensor.dtypes import dtype, get_default_dtype, set_default_dtype
from fakel.tensor.generator import Generator
from fakel.tensor.limits import finfo, iinfo
from fakel.tensor.promotion import can_cast, promote_types, result_type
from fakel.tensor.size import Size
from fakel.tensor.storage import Storage
from fakel.tensor.tensor import Tensor

__all__ = [
    "Generator",
    "Size",
    "Storage",
    "Tensor",
    "can_cast",
    "device",
    "dtype",
    "dtypes",
    "finfo",
    "get_default_dtype",
    "iinfo",
    "pickling",
    "pickling",
    "promote_types",
    "result_type",
    "set_default_dtype",
]
