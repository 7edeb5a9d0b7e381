"""Complex numbers: their parts, conjugates, and tensors of pairs."""

from __future__ import annotations

import numpy as np

from fakel.ops.checks import HALF, check_tensor, refuse
from fakel.ops.declare import Primitive, broadcast_shapes, gradient, operator, primitive
from fakel.tensor import Tensor, dtypes, get_default_dtype

_FLOATS = (dtypes.float16, dtypes.float32, dtypes.float64)


def _join(real, imaginary):
    joined = np.empty(
        np.broadcast_shapes(real.shape, imaginary.shape), np.result_type(real, np.complex64)
    )
    joined.real, joined.imag = real, imaginary
    return joined


_complex = Primitive("complex", lambda real, imag: _join(real, imag))
gradient(_complex, real=lambda grad: _real(grad), imag=lambda grad: _imag(grad))

_real_part = Primitive("real", lambda input: input.real.copy(), "SelectBackward0")
gradient(_real_part, input=lambda grad: grad)
_imag_part = Primitive("imag", lambda input: input.imag.copy(), "SelectBackward0")
gradient(_imag_part, input=lambda grad: grad * 1j)


def _real(input):
    return _real_part(input, dtype=input.dtype.to_real()) if input.is_complex() else input


def _imag(input):
    return _imag_part(input, dtype=input.dtype.to_real()) if input.is_complex() else input * 0


def _check_pair(first, second):
    if first.dtype not in _FLOATS or second.dtype not in _FLOATS:
        raise RuntimeError(
            "Expected both inputs to be Half, Float or Double tensors but got "
            f"{first.dtype.letter} and {second.dtype.letter}"
        )
    if first.dtype is not second.dtype:
        raise RuntimeError(
            f"Expected object of scalar type {first.dtype.letter} but got scalar type "
            f"{second.dtype.letter} for second argument"
        )


@operator(method=False)
def complex(real, imag):
    """The complex tensor with these parts, which have the same floating-point dtype."""
    _check_pair(real, imag)
    shape = broadcast_shapes(real._shape, imag._shape)
    return _complex(real, imag, shape=shape, dtype=real.dtype.to_complex())


@operator(method=False, backward_name="PolarBackward0")
def polar(abs, angle):
    """The complex tensor with these distances from 0 and angles."""
    _check_pair(abs, angle)
    refuse("polar_cpu", abs.dtype, HALF)
    return complex(abs * angle.cos(), abs * angle.sin())


@operator(method=False, out=False)
def real(input):
    """The real parts."""
    return _real(check_tensor("real", "input", 1, input))


@operator(method=False, out=False)
def imag(input):
    """The imaginary parts.

    Raises:
        RuntimeError: for a real tensor.
    """
    check_tensor("imag", "input", 1, input)
    if not input.is_complex():
        raise RuntimeError("imag is not implemented for tensors with non-complex dtypes.")
    return _imag(input)


def _set_real(self, value):
    if not self.is_complex():
        self.copy_(value)
        return
    self.copy_(complex(_filled(value, self), _imag(self)))


def _set_imag(self, value):
    imag(self)
    self.copy_(complex(_real(self), _filled(value, self)))


def _filled(value, like):
    part = like.dtype.to_real()
    return (
        value.to(part) if isinstance(value, Tensor) else Tensor._from_array(np.array(value), part)
    )


Tensor.real = property(real, _set_real, doc="The real parts.")
Tensor.imag = property(imag, _set_imag, doc="The imaginary parts.")

_conj = Primitive("conj", lambda input: np.conjugate(input))
gradient(_conj, input=lambda grad: grad.conj())


@operator(out=False)
def conj(input):
    """The complex conjugates; a real tensor itself."""
    return _conj(input) if input._storage.dtype.is_complex else input


@operator(inplace=True)
def conj_physical(input):
    """The complex conjugates."""
    return conj(input)


@operator(out=False)
def resolve_conj(input):
    """The tensor itself: conjugation is never left to do."""
    return check_tensor("resolve_conj", "input", 1, input)


@operator(out=False)
def resolve_neg(input):
    """The tensor itself: negation is never left to do."""
    return check_tensor("resolve_neg", "input", 1, input)


@operator(out=False)
def is_conj(input):
    """False: conjugation is never left to do."""
    check_tensor("is_conj", "input", 1, input)
    return False


@operator(out=False)
def is_neg(input):
    """False: negation is never left to do."""
    check_tensor("is_neg", "input", 1, input)
    return False


@primitive("angle")
def _angle(input):
    if input.dtype.kind == "c":
        return np.angle(input)
    return np.where(np.isnan(input), np.nan, np.where(input < 0, np.pi, 0.0))


def _angle_gradient(grad, input):
    if not input.is_complex():
        return grad * 0
    squared = _real(input * input.conj())
    return (grad / squared).masked_fill(squared == 0, 0) * (input * 1j)


gradient(_angle, input=_angle_gradient)


@operator()
def angle(input):
    """The angle of each complex number; 0 or pi for real ones."""
    if input.is_complex() or input.is_floating_point():
        return _angle(input, dtype=input.dtype.to_real())
    return _angle(input, dtype=get_default_dtype())


@primitive("view_as_real")
def _pairs(input):
    return np.stack((input.real, input.imag), -1)


gradient(_pairs, input=lambda grad: view_as_complex(grad.contiguous()))


@operator(method=False, out=False)
def view_as_real(input):
    """Complex numbers as pairs of real ones, in a new last dimension.

    Raises:
        RuntimeError: for a real tensor.
    """
    if not input.is_complex():
        raise RuntimeError("view_as_real is only supported for complex tensors")
    return _pairs(input, shape=(*input._shape, 2), dtype=input.dtype.to_real())


@primitive("view_as_complex")
def _from_pairs(input):
    return _join(input[..., 0], input[..., 1])


gradient(_from_pairs, input=lambda grad: view_as_real(grad))


@operator(method=False, out=False)
def view_as_complex(input):
    """Pairs of real numbers in the last dimension as complex ones.

    Raises:
        RuntimeError: when the last dimension is no pair, or the dtype is not floating point.
    """
    if input.dtype not in _FLOATS:
        raise RuntimeError(
            "view_as_complex is only supported for half, float and double tensors, but got a "
            f"tensor of scalar type: {input.dtype.letter}"
        )
    if not input._shape:
        raise RuntimeError("Input tensor must have one or more dimensions")
    if input._shape[-1] != 2:
        raise RuntimeError("Tensor must have a last dimension of size 2")
    return _from_pairs(input, shape=tuple(input._shape[:-1]), dtype=input.dtype.to_complex())


@operator(method=False, out=False)
def is_complex(input):
    """Whether the dtype is a complex one."""
    return input.is_complex()


@operator(method=False, out=False)
def is_floating_point(input):
    """Whether the dtype is a floating-point one."""
    return input.is_floating_point()
