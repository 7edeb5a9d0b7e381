"""The largest and the smallest elements, over dimensions and cumulatively, and where they are."""

from __future__ import annotations

import numpy as np

from fakel import ops
from fakel.ops import pointwise, return_types
from fakel.ops.checks import COMPLEX, check_tensor, refuse
from fakel.ops.declare import Primitive, gradient, not_differentiable, operator, primitive, wrap_dim
from fakel.ops.reduced import check_not_empty, checked_dims, numpy_names, reduced_shape, spread
from fakel.tensor import Tensor, dtypes

# -------------------------------------------------------------------- without positions


@primitive("amax")
def _amax(input, *, dims, keepdim, size):
    return np.max(input, axis=dims, keepdims=keepdim)


@primitive("amin")
def _amin(input, *, dims, keepdim, size):
    return np.min(input, axis=dims, keepdims=keepdim)


def shared_evenly(grad, input, result, dims, keepdim, size):
    """The gradient split between all elements that equal the result; nan equals nan."""
    result = spread(result, size, dims, keepdim)
    reached = (input == result) | (input.isnan() & result.isnan())
    ties = reached.sum(dims, keepdim=True)
    return spread(grad, size, dims, keepdim) * reached / ties


def _shared_by_numbers(grad, input, result, dims, keepdim, size):
    """As ``shared_evenly``, but nan equals nothing."""
    reached = input == spread(result, size, dims, keepdim)
    ties = reached.sum(dims, keepdim=True)
    return spread(grad, size, dims, keepdim) / ties * reached


gradient(_amax, input=_shared_by_numbers)
gradient(_amin, input=_shared_by_numbers)
_max_of_all = Primitive("amax", _amax.operator.meaning, "MaxBackward1")
gradient(_max_of_all, input=shared_evenly)
_min_of_all = Primitive("amin", _amin.operator.meaning, "MinBackward1")
gradient(_min_of_all, input=shared_evenly)


def _over_all_of(node, name, input, dim, keepdim, kernel):
    refuse(kernel, input.dtype, COMPLEX)
    size = tuple(input._shape)
    dims = checked_dims(name, dim, len(size))
    if not input.numel():
        if dim is None or dim == ():
            raise RuntimeError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0. Specify "
                "the reduction dim with the 'dim' argument."
            )
        check_not_empty(f"{name}()", size, dims)
    shape = reduced_shape(size, dims, keepdim)
    return node(input, dims=dims, keepdim=bool(keepdim), size=size, shape=shape)


@operator()
@numpy_names
def amax(input, dim=(), keepdim=False):
    """The largest element over the dimensions; the gradient is shared between ties."""
    return _over_all_of(_amax, "amax", input, dim, keepdim, "max_values_cpu")


@operator()
@numpy_names
def amin(input, dim=(), keepdim=False):
    """The smallest element over the dimensions; the gradient is shared between ties."""
    return _over_all_of(_amin, "amin", input, dim, keepdim, "min_values_cpu")


@operator(backward_name="AminmaxBackward0")
def aminmax(input, *, dim=None, keepdim=False):
    """(min, max) over a dimension, or of everything."""
    if not input.numel():
        if dim is None:
            raise RuntimeError(
                "aminmax(): cannot compute aminmax over an empty dimension as the operation has no "
                "identity."
            )
        check_not_empty("aminmax", input._shape, (wrap_dim(dim, input.ndim),))
    dims = () if dim is None else wrap_dim(dim, input.ndim)
    return return_types.aminmax((amin(input, dims, keepdim), amax(input, dims, keepdim)))


# -------------------------------------------------------------------- with positions


def _with_position(array, dim, keepdim, positions):
    if not array.ndim:
        return array.copy(), np.zeros((), np.int64)
    indices = np.expand_dims(positions(array, axis=dim), dim)
    values = np.take_along_axis(array, indices, dim)
    if not keepdim:
        values, indices = values.squeeze(dim), indices.squeeze(dim)
    return values, indices


@primitive("max")
def _max(input, *, dim, keepdim, size):
    return _with_position(input, dim, keepdim, np.argmax)


@primitive("min")
def _min(input, *, dim, keepdim, size):
    return _with_position(input, dim, keepdim, np.argmin)


def put_back(grads, result1, dim, keepdim, size):
    """The gradient of values that were picked from a dimension: it goes where they came from."""
    grad, indices = grads[0], result1
    if not size:
        return grad
    if not keepdim:
        grad, indices = grad.unsqueeze(dim), indices.unsqueeze(dim)
    return ops.zeros(size, dtype=grad.dtype).scatter_add(dim, indices, grad)


gradient(_max, input=put_back)
gradient(_min, input=put_back)


def _extremum(name, node, whole, pair, pack, input, dim, keepdim, other):
    check_tensor(name, "input", 1, input)
    if isinstance(dim, Tensor):
        return pair(input, dim)
    if other is not None:
        return pair(input, other)
    if dim is None:
        return _over_all_of(whole, name, input, (), False, f"{name}_all")
    if input.is_complex():
        raise RuntimeError(f"{name}(): does not support complex input")
    size = tuple(input._shape)
    dim = wrap_dim(dim, len(size))
    check_not_empty(f"{name}()", size, (dim,))
    return pack(pick(node, input, dim, keepdim))


def pick(node, input, dim, keepdim, **parameters):
    """The (values, indices) of a node that picks one element along a dimension."""
    size = tuple(input._shape)
    shape = reduced_shape(size, (dim,), keepdim)
    return node(
        input,
        dim=dim,
        keepdim=bool(keepdim),
        size=size,
        shape=(shape, shape),
        dtype=(input.dtype, dtypes.int64),
        **parameters,
    )


@operator()
@numpy_names
def max(input, dim=None, keepdim=False, *, other=None):
    """The largest element; with ``dim``, (values, indices) over it; of two, ``maximum``."""
    return _extremum(
        "max", _max, _max_of_all, pointwise.maximum, return_types.max, input, dim, keepdim, other
    )


@operator()
@numpy_names
def min(input, dim=None, keepdim=False, *, other=None):
    """The smallest element; with ``dim``, (values, indices) over it; of two, ``minimum``."""
    return _extremum(
        "min", _min, _min_of_all, pointwise.minimum, return_types.min, input, dim, keepdim, other
    )


@primitive("argmax")
def _argmax(input, *, dim, keepdim):
    return np.argmax(input, axis=dim, keepdims=keepdim)


@primitive("argmin")
def _argmin(input, *, dim, keepdim):
    return np.argmin(input, axis=dim, keepdims=keepdim)


not_differentiable(_argmax, _argmin)


def _position(node, name, input, dim, keepdim):
    check_tensor(name, "input", 1, input)
    for kind, given in (("bool", input.dtype is dtypes.bool_), ("complex", input.is_complex())):
        if given:
            raise RuntimeError(f"{name}(): does not support {kind} input")
    size = tuple(input._shape)
    if not input.numel():
        if dim is None:
            raise IndexError(
                f"{name}(): Expected reduction dim to be specified for input.numel() == 0."
            )
        check_not_empty(f"{name}()", size, (wrap_dim(dim, len(size)),))
    if dim is not None:
        dim = wrap_dim(dim, len(size))
    dims = tuple(range(len(size))) if dim is None else (dim,)
    shape = reduced_shape(size, dims, keepdim)
    if not size:
        dim = None
    return node(input, dim=dim, keepdim=bool(keepdim), shape=shape, dtype=dtypes.int64)


@operator()
@numpy_names
def argmax(input, dim=None, keepdim=False):
    """The index of the (first) largest element over the dimension, or among all."""
    return _position(_argmax, "argmax", input, dim, keepdim)


@operator()
@numpy_names
def argmin(input, dim=None, keepdim=False):
    """The index of the (first) smallest element over the dimension, or among all."""
    return _position(_argmin, "argmin", input, dim, keepdim)


# -------------------------------------------------------------------- cumulative


def _running(array, dim, extremum, reaches):
    """Running extrema and the last positions where they were reached; nan stays."""
    if not array.ndim:
        return array.copy(), np.zeros((), np.int64)
    values = extremum.accumulate(array, axis=dim)
    shape = [1] * array.ndim
    shape[dim] = array.shape[dim]
    positions = np.arange(array.shape[dim]).reshape(shape)
    previous = (
        np.concatenate(
            (np.take(values, [0], dim), np.take(values, range(array.shape[dim] - 1), dim)), dim
        )
        if array.shape[dim]
        else values
    )
    new = reaches(array, previous)
    if array.dtype.kind == "f":
        first_nan = np.isnan(array) & ~np.isnan(previous)
        new = (new & ~np.isnan(previous)) | first_nan
    indices = np.maximum.accumulate(np.where(new, positions, 0), axis=dim)
    return values, indices


@primitive("cummax")
def _cummax(input, *, dim, keepdim, size):
    return _running(input, dim, np.maximum, np.greater_equal)


@primitive("cummin")
def _cummin(input, *, dim, keepdim, size):
    return _running(input, dim, np.minimum, np.less_equal)


gradient(_cummax, input=put_back)
gradient(_cummin, input=put_back)


def _cumulative(node, pack, input, dim):
    refuse(f"{node.name}_cpu", input.dtype, COMPLEX)
    size = tuple(input._shape)
    dim = wrap_dim(dim, len(size))
    shapes, kinds = (size, size), (input.dtype, dtypes.int64)
    return pack(node(input, dim=dim, keepdim=True, size=size, shape=shapes, dtype=kinds))


@operator()
@numpy_names
def cummax(input, dim):
    """(values, indices) of the largest element up to each position."""
    return _cumulative(_cummax, return_types.cummax, input, dim)


@operator()
@numpy_names
def cummin(input, dim):
    """(values, indices) of the smallest element up to each position."""
    return _cumulative(_cummin, return_types.cummin, input, dim)
