"""All parameters as one vector, and back."""

from fakel import ops
from fakel.nn.modules.conversion import type_name
from fakel.tensor import Tensor

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters):
    """Flatten parameters into one vector."""
    return ops.cat([parameter.view(-1) for parameter in parameters])


def vector_to_parameters(vec, parameters):
    """Set parameters to slices of one vector, which they share the memory of."""
    if not isinstance(vec, Tensor):
        raise TypeError(f"expected torch.Tensor, but got: {type_name(vec)}")
    begin = 0
    for parameter in parameters:
        count = parameter.numel()
        parameter.data = vec[begin : begin + count].view_as(parameter).data
        begin += count
