"""Pointwise operators that choose, limit, mix or take numbers apart."""

from __future__ import annotations

import warnings

import numpy as np

from fakel import ops
from fakel.ops import return_types
from fakel.ops.arithmetic import is_half
from fakel.ops.checks import BOOL, COMPLEX, INTEGER, check_tensor, refuse
from fakel.ops.declare import (
    Primitive,
    as_tensor,
    binary,
    broadcast_shapes,
    gradient,
    operands,
    operator,
    primitive,
    scalar,
)
from fakel.ops.numerics.fused import multiply_add
from fakel.ops.primitive import refused, shown_as
from fakel.tensor import Tensor, dtypes, finfo, result_type

# -------------------------------------------------------------------- choosing


@primitive("where")
def _where(condition, input, other):
    return np.where(condition, input, other)


gradient(
    _where,
    input=lambda grad, condition: _where(
        condition, grad, _zero(grad), shape=grad._shape, dtype=grad.dtype
    ),
    other=lambda grad, condition: _where(
        condition, _zero(grad), grad, shape=grad._shape, dtype=grad.dtype
    ),
)


def _zero(like):
    return as_tensor(0, like)


_WHERE_FORMS = """
 * (Tensor condition)
 * (Tensor condition, Tensor input, Tensor other, *, Tensor out = None)
 * (Tensor condition, Number self, Tensor other)
 * (Tensor condition, Tensor input, Number other)
 * (Tensor condition, Number self, Number other)
"""


@operator(method=False)
def where(condition, input=None, other=None):
    """Elements of input where the condition holds, of other elsewhere; everything broadcasts.

    With the condition alone: the indices where it holds, one tensor a dimension.

    Raises:
        RuntimeError: when the condition is not bool.
    """
    check_tensor("where", "condition", 1, condition)
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if input is None or other is None:
        given = ", ".join(
            type(value).__name__ for value in (condition, input, other) if value is not None
        )
        raise TypeError(
            f"where() received an invalid combination of arguments - got ({given}), but expected "
            f"one of:{_WHERE_FORMS}"
        )
    if condition.dtype is dtypes.uint8:
        warnings.warn(
            "where received a uint8 condition tensor. This behavior is deprecated and will be "
            "removed in a future version of PyTorch. Use a boolean condition instead.",
            UserWarning,
            stacklevel=3,
        )
        condition = condition.to(dtypes.bool_)
    if condition.dtype is not dtypes.bool_:
        raise RuntimeError(
            "where expected condition to be a boolean tensor, but got a tensor with dtype "
            f"{condition.dtype.letter}"
        )
    first, second = operands("where", input, other)
    shape = broadcast_shapes(condition._shape, first._shape, second._shape)
    return _where(condition, first, second, shape=shape, dtype=first.dtype)


def _where_method(self, condition, other):
    """Elements of this tensor where the condition holds, of other elsewhere."""
    return where(condition, self, other)


Tensor.where = _where_method

# -------------------------------------------------------------------- limits

_CLAMP_FORMS = """
 * (Tensor input, Tensor min = None, Tensor max = None, *, Tensor out = None)
 * (Tensor input, Number min = None, Number max = None, *, Tensor out = None)
"""


@primitive("clamp", "ClampBackward1")
def _clamp(input, min, max):
    raised = input if min is None else np.maximum(input, min)
    return raised.copy() if max is None else np.minimum(raised, max)


def _clamp_gradients(grad, input, min, max, needs):
    inside = low = high = None
    if min is not None:
        inside = input >= min
        low = (input < min) if max is None else (input < min) & (min < max)
    if max is not None:
        below = input <= max
        inside = below if inside is None else inside & below
        high = (input > max) if min is None else (input > max) | (max < min)
    return tuple(
        ops.where(mask, grad, 0) if need and mask is not None else None
        for need, mask in zip(needs, (inside, low, high), strict=True)
    )


gradient(_clamp, joint=_clamp_gradients)
_clamp_to_tensors = shown_as(_clamp, "ClampBackward0")
_clamp_below = shown_as(_clamp, "ClampMinBackward0")
_clamp_above = shown_as(_clamp, "ClampMaxBackward0")


@operator(inplace=True, aliases=("clip",))
def clamp(input, min=None, max=None):
    """Each element brought between min and max (numbers, or tensors that broadcast).

    Where min is above max the result is max; nan stays nan.

    Raises:
        RuntimeError: when neither bound is given.
    """
    check_tensor("clamp", "input", 1, input)
    return _clamped(input, min, max, _clamp)


def _clamped(input, min, max, node):
    """``clamp``, with the node to be recorded when the bounds are numbers."""
    bounds = [bound for bound in (min, max) if bound is not None]
    if not bounds:
        raise RuntimeError("torch.clamp: At least one of 'min' or 'max' must not be None")
    if len(bounds) == 2 and isinstance(min, Tensor) != isinstance(max, Tensor):
        given = ", ".join(type(value).__name__ for value in (input, min, max))
        raise TypeError(
            f"clamp() received an invalid combination of arguments - got ({given}), but expected "
            f"one of:{_CLAMP_FORMS}"
        )
    kind = result_type(input, *[b.item() if isinstance(b, np.generic) else b for b in bounds])
    if kind.is_complex:
        raise NotImplementedError("clamp is not supported for complex types")
    if not isinstance(bounds[0], Tensor):
        side = "" if len(bounds) == 2 else "min_" if max is None else "max_"
        refuse(f"clamp_{side}scalar_cpu", kind, BOOL)
    elif len(bounds) == 2:
        refuse("clamp_cpu", kind, BOOL)
    lower = None if min is None else as_tensor(min, kind)
    upper = None if max is None else as_tensor(max, kind)
    shapes = [bound._shape for bound in (lower, upper) if bound is not None]
    shape = broadcast_shapes(input._shape, *shapes)
    if isinstance(bounds[0], Tensor):
        node = _clamp_to_tensors
    return node(as_tensor(input, kind), lower, upper, shape=shape)


@operator(inplace=True)
def clamp_min(input, min):
    """Each element, at least min."""
    if isinstance(min, Tensor):
        refuse("maximum_cpu", result_type(input, min), COMPLEX)
    return _clamped(input, min, None, _clamp_below)


@operator(inplace=True)
def clamp_max(input, max):
    """Each element, at most max."""
    if isinstance(max, Tensor):
        refuse("minimum_cpu", result_type(input, max), COMPLEX)
    return _clamped(input, None, max, _clamp_above)


def _declare_extremum(name, meaning, documentation, input_share, other_share, aliases=()):
    node = Primitive(name, lambda input, other: meaning(input, other))
    gradient(node, input=input_share, other=other_share)

    def declared(input, other):
        check_tensor(name, "input", 1, input)
        check_tensor(name, "other", 2, other)
        first, second = operands(name, input, other)
        if first.is_complex():
            raise RuntimeError(f"{name} not implemented for complex tensors.")
        return node(first, second, shape=broadcast_shapes(first._shape, second._shape))

    declared.__name__ = declared.__qualname__ = name
    declared.__doc__ = documentation
    return operator(aliases=aliases)(declared)


def _share(grad, lost, tied):
    """The gradient of the operand that was not lost; a tie is shared evenly."""
    return ops.where(tied, grad / 2, grad).masked_fill(lost, 0)


maximum = _declare_extremum(
    "maximum",
    np.maximum,
    "The larger of each pair; nan where either is nan.",
    lambda grad, input, other: _share(grad, input < other, input == other),
    lambda grad, input, other: _share(grad, input > other, input == other),
)
minimum = _declare_extremum(
    "minimum",
    np.minimum,
    "The smaller of each pair; nan where either is nan.",
    lambda grad, input, other: _share(grad, input > other, input == other),
    lambda grad, input, other: _share(grad, input < other, input == other),
)
fmax = _declare_extremum(
    "fmax",
    np.fmax,
    "The larger of each pair; a number where only one is nan.",
    lambda grad, input, other: ops.where((input >= other) | other.isnan(), grad, 0),
    lambda grad, input, other: ops.where((input >= other) | other.isnan(), 0, grad),
)
fmin = _declare_extremum(
    "fmin",
    np.fmin,
    "The smaller of each pair; a number where only one is nan.",
    lambda grad, input, other: ops.where((input <= other) | other.isnan(), grad, 0),
    lambda grad, input, other: ops.where((input <= other) | other.isnan(), 0, grad),
)


@primitive("nan_to_num")
def _nan_to_num(input, *, nan, posinf, neginf):
    # np.nan_to_num would widen the replacements of complex numbers differently
    parts = (input.real, input.imag) if input.dtype.kind == "c" else (input,)
    replaced = [
        np.nan_to_num(part, nan=nan, posinf=posinf, neginf=neginf).astype(part.dtype)
        for part in parts
    ]
    return replaced[0] if len(replaced) == 1 else replaced[0] + 1j * replaced[1]


gradient(
    _nan_to_num,
    input=lambda grad, input: grad.masked_fill(input.isnan() | input.isinf(), 0),
)


@operator(inplace=True)
def nan_to_num(input, nan=None, posinf=None, neginf=None):
    """Replaces nan and the infinities.

    Args:
        nan: the number for nan (0).
        posinf: the number for infinity (the largest of the dtype).
        neginf: the number for minus infinity (the smallest of the dtype).
    """
    if not (input.is_floating_point() or input.is_complex()):
        return input.clone()
    limits = finfo(input.dtype.to_real())
    return _nan_to_num(
        input,
        nan=0.0 if nan is None else float(nan),
        posinf=limits.max if posinf is None else float(posinf),
        neginf=limits.min if neginf is None else float(neginf),
    )


# -------------------------------------------------------------------- mixtures


@primitive("lerp", "LerpBackward1")
def _lerp(input, end, weight):
    # from the nearer end, so that weights 0 and 1 are exact
    step = end - input
    near = np.abs(weight) < 0.5
    return multiply_add(np.where(near, weight, weight - 1), step, np.where(near, input, end))


gradient(
    _lerp,
    input=lambda grad, weight: grad * (1 - weight).conj(),
    end=lambda grad, weight: grad * weight.conj(),
    weight=lambda grad, input, end: grad * (end - input).conj(),
)
_lerp_by_number = shown_as(_lerp, "LerpBackward0")


@operator(inplace=True)
def lerp(input, end, weight):
    """input + weight * (end - input): linear interpolation. The weight is a number or a tensor.

    Raises:
        RuntimeError: when the dtypes differ.
    """
    kind = input.dtype
    for name, value in (("end", end), ("weight", weight)):
        if isinstance(value, Tensor) and value.dtype is not kind:
            raise RuntimeError(
                f"expected dtype {kind.c_name} for `{name}` but got dtype {value.dtype.c_name}"
            )
    refuse("lerp_kernel_scalar", kind, BOOL, INTEGER)
    node = _lerp if isinstance(weight, Tensor) else _lerp_by_number
    if not isinstance(weight, Tensor) and is_half(input):
        weight = scalar(weight, dtypes.float32)
    weight = weight if isinstance(weight, Tensor) else as_tensor(weight, kind)
    return node(input, end, weight, shape=broadcast_shapes(input._shape, end._shape, weight._shape))


def _is_one(value):
    return not isinstance(value, Tensor) and value == 1


@primitive("addcmul")
def _addcmul(input, tensor1, tensor2, value):
    return multiply_add(value * tensor1, tensor2, input)


gradient(
    _addcmul,
    input=lambda grad: grad,
    tensor1=lambda grad, tensor2, value: grad * (tensor2 * value),
    tensor2=lambda grad, tensor1, value: grad * (tensor1 * value),
)


@primitive("addcdiv")
def _addcdiv(input, tensor1, tensor2, value):
    return input + value * tensor1 / tensor2


gradient(
    _addcdiv,
    input=lambda grad: grad,
    tensor1=lambda grad, tensor2, value: grad * (value / tensor2),
    tensor2=lambda grad, tensor1, tensor2, value: -grad * (value * tensor1 / (tensor2 * tensor2)),
)


def _mixture(node, value, *tensors):
    """The node of a sum with a scaled product or quotient, None where it takes several nodes: for
    tensors of different dtypes, and where a rounding in between would be missed.
    """
    kind = tensors[0]._storage.dtype
    if type(value) not in (int, float) or kind not in (dtypes.float32, dtypes.float64):
        return None
    if any(tensor._storage.dtype is not kind for tensor in tensors):
        return None
    shape = broadcast_shapes(*[tensor._shape for tensor in tensors])
    return node(*tensors, scalar(value, kind), shape=shape)


@operator(inplace=True, numbers=True)
def addcmul(input, tensor1, tensor2, *, value=1):
    """input + value * tensor1 * tensor2."""
    refuse("addcmul_cpu_out", input.dtype, BOOL)
    result = _mixture(_addcmul, value, input, tensor1, tensor2)
    if result is not None:
        return result
    if isinstance(value, float) and not input.is_floating_point() and not input.is_complex():
        value = int(value)
    product = tensor1 * tensor2
    return input + (product if _is_one(value) else product * value)


@operator(inplace=True, numbers=True)
def addcdiv(input, tensor1, tensor2, *, value=1):
    """input + value * tensor1 / tensor2.

    Raises:
        RuntimeError: when both tensors are integers.
    """
    if not any(t.is_floating_point() or t.is_complex() for t in (tensor1, tensor2)):
        raise RuntimeError(
            "Integer division with addcdiv is no longer supported, and in a future  release "
            "addcdiv will perform a true division of tensor1 and tensor2. The historic addcdiv "
            "behavior can be implemented as (input + value * torch.trunc(tensor1 / "
            "tensor2)).to(input.dtype) for integer inputs and as (input + value * tensor1 / "
            "tensor2) for float inputs. The future addcdiv behavior is just the latter "
            "implementation: (input + value * tensor1 / tensor2), for all dtypes."
        )
    result = _mixture(_addcdiv, value, input, tensor1, tensor2)
    if result is not None:
        return result
    return input + ((tensor1 if _is_one(value) else tensor1 * value) / tensor2)


# -------------------------------------------------------------------- parts of a number

copysign = binary(
    "copysign",
    np.copysign,
    "float",
    refuses=("complex",),
    documentation="The size of input with the sign of other.",
)


def _copysign_gradient(grad, input, result):
    return grad * (result / input).masked_fill(input == 0, 0)


gradient(copysign, input=_copysign_gradient, other=lambda grad: ops.zeros_like(grad))


@operator(inplace=True, backward_name="LdexpBackward0")
def ldexp(input, other):
    """input * 2^other."""
    check_tensor("ldexp", "input", 1, input)
    check_tensor("ldexp", "other", 2, other)
    return input * ops.pow(2.0, other)


@primitive("frexp")
def _frexp(input):
    return np.frexp(input)


gradient(_frexp, input=lambda grads, results: grads[0] / results[1].exp2())


@operator()
def frexp(input):
    """(mantissa, exponent) with input = mantissa * 2^exponent and 1/2 <= |mantissa| < 1.

    Raises:
        RuntimeError: for other than floating-point tensors.
    """
    if not input.is_floating_point():
        raise RuntimeError("torch.frexp() only supports floating-point dtypes")
    parts = _frexp(input, shape=(input._shape, input._shape), dtype=(input.dtype, dtypes.int32))
    return return_types.frexp(parts)


_nextafter = Primitive("nextafter", lambda input, other: np.nextafter(input, other))
gradient(_nextafter, input=lambda grad: grad, other=lambda grad: ops.zeros_like(grad))


@operator(inplace=True)
def nextafter(input, other):
    """The floating-point number next to input, towards other."""
    refuse("nextafter_cpu", input.dtype, BOOL, INTEGER, COMPLEX)
    first, second = operands("nextafter", input, other)
    return _nextafter(first, second, shape=broadcast_shapes(first._shape, second._shape))


def _heaviside_meaning(input, values):
    return np.where(input == 0, values, np.where(input < 0, 0, 1))


_heaviside = Primitive("heaviside", _heaviside_meaning, "NotImplemented")
gradient(_heaviside, input=refused("aten::heaviside"), values=refused("aten::heaviside"))


@operator(inplace=True)
def heaviside(input, values):
    """0 where input is negative, 1 where it is positive, the value where it is 0.

    Raises:
        RuntimeError: when the dtypes differ.
    """
    if input.dtype is not values.dtype:
        raise RuntimeError("heaviside is not yet implemented for tensors with different dtypes.")
    if input.is_complex():
        raise RuntimeError("heaviside is not yet implemented for complex tensors.")
    return _heaviside(input, values, shape=broadcast_shapes(input._shape, values._shape))
