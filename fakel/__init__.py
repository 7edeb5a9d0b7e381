"""fakel: PyTorch programs on a CPU without PyTorch."""

from fakel import autograd, ops
from fakel import tensor as _tensor_package
from fakel.autograd import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from fakel.ops.declare import FUNCTIONS as _FUNCTIONS
from fakel.tensor import (
    Size,
    Tensor,
    can_cast,
    device,
    dtype,
    dtypes,
    finfo,
    get_default_dtype,
    iinfo,
    promote_types,
    result_type,
    set_default_dtype,
)
from fakel.tensor.formats import (
    Layout as layout,
)
from fakel.tensor.formats import (
    MemoryFormat as memory_format,
)
from fakel.tensor.formats import (
    channels_last,
    channels_last_3d,
    contiguous_format,
    preserve_format,
    strided,
)

globals().update({each.name: each for each in dtypes.ALL})
globals().update(dtypes.ALIASES)
globals().update(_FUNCTIONS[""])
