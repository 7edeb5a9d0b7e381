"""Making tensors: from data, and filled with one value."""

from __future__ import annotations

import builtins
import warnings
from typing import Any

import numpy as np

from fakel.ops.checks import check_fits, check_tensor
from fakel.ops.data import array_of
from fakel.ops.declare import function, method
from fakel.ops.filling import filled
from fakel.ops.inplace import check_writable, store
from fakel.ops.options import Options, shape_argument
from fakel.ops.storages import TypedStorage, UntypedStorage, as_tensor_of
from fakel.tensor import Tensor, dtypes, get_default_dtype
from fakel.tensor.device import check_device
from fakel.tensor.dtypes import dtype as Dtype
from fakel.tensor.memory import memory_strides
from fakel.tensor.size import contiguous_strides, span_of

_COPY_WARNING = (
    "To copy construct from a tensor, it is recommended to use sourceTensor.detach().clone() or "
    "sourceTensor.detach().clone().requires_grad_(True), rather than {}(sourceTensor)."
)


def finish(result: Tensor, options: Options) -> Tensor:
    """The result as the options want it: in ``out``, or as a leaf."""
    out = options.out
    if out is not None:
        if out._shape != result._shape:
            out.resize_(result._shape)
        check_writable(out)
        store(out, result)
        return out
    if options.requires_grad:
        result.requires_grad = True
    return result


def _with_format(result: Tensor, name: str, memory_format: Any) -> Tensor:
    if memory_format is not None and str(memory_format).startswith("torch.channels_last"):
        rank = 5 if str(memory_format).endswith("3d") else 4
        if result.ndim != rank:
            raise RuntimeError(f"required rank {rank} tensor to use channels_last format")
    return result


# -------------------------------------------------------------------- from data


def _from_data(name, data, dtype, device, requires_grad, pin_memory, copied="torch.tensor"):
    if isinstance(data, Tensor):
        warnings.warn(_COPY_WARNING.format(copied), UserWarning, stacklevel=4)
        options = Options(name, dtype, data.dtype, None, None, device, requires_grad, pin_memory)
        return finish(data.detach().clone().to(options.dtype), options)
    options = Options(name, dtype, get_default_dtype(), None, None, device, False, pin_memory)
    if isinstance(data, (list, tuple)) and data and isinstance(data[0], np.ndarray):
        warnings.warn(
            "Creating a tensor from a list of numpy.ndarrays is extremely slow. Please consider "
            "converting the list to a single numpy.ndarray with numpy.array() before converting to "
            "a tensor.",
            UserWarning,
            stacklevel=4,
        )
    if isinstance(data, (TypedStorage, UntypedStorage)):
        shown = as_tensor_of(data, None if dtype is None else options.dtype)
        return finish(shown, Options(name, None, shown.dtype, None, None, device, requires_grad))
    array, kind = array_of(data, None if dtype is None else options.dtype)
    options = Options(name, kind, kind, None, None, device, requires_grad)
    return finish(Tensor._from_array(array, kind), options)


@function
def tensor(data, *, dtype=None, device=None, requires_grad=False, pin_memory=False):
    """A new tensor with a copy of the data; of a storage, one on its memory.

    Args:
        data: a number, nested sequences of numbers, a NumPy array, or a storage.
        dtype: inferred from the data for None.
        device: the CPU.
        requires_grad: whether the result requires a gradient.
        pin_memory: must be False.

    Raises:
        ValueError: for nested sequences of different lengths.
        RuntimeError, TypeError: for what is no number.
    """
    return _from_data("tensor", data, dtype, device, requires_grad, pin_memory)


@function
def as_tensor(data, dtype=None, device=None):
    """The data as a tensor, sharing memory with a NumPy array and being the tensor it is given."""
    check_device(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(dtype)
    if isinstance(data, np.ndarray) and data.ndim:
        shared = from_numpy(data)
        return shared if dtype is None else shared.to(dtype)
    return tensor(data, dtype=dtype, device=device)


@function
def asarray(obj, *, dtype=None, device=None, copy=None, requires_grad=False):
    """The object as a tensor.

    Args:
        obj: a tensor, a NumPy array, an object with Python's buffer interface, or data as for
            ``tensor``.
        copy: True for a copy, False for the same memory or an error, None as is needed.
    """
    if isinstance(obj, Tensor):
        result = obj if requires_grad else obj.detach()
    elif isinstance(obj, np.ndarray):
        result = from_numpy(obj)
    elif isinstance(obj, (bytes, bytearray, memoryview)):
        result = frombuffer(obj, dtype=dtype or get_default_dtype())
    else:
        if copy is False:
            raise ValueError("can't alias arbitrary sequence into a tensor.")
        return tensor(obj, dtype=dtype, device=device, requires_grad=requires_grad)
    if (
        dtype is not None
        and result.dtype
        is not Options("asarray", dtype, result.dtype, None, None, device, False).dtype
    ):
        if copy is False:
            raise ValueError(
                f"can't alias tensor with dtype '{result.dtype!r}' into dtype '{dtype!r}'."
            )
        result = result.to(dtype)
    elif copy:
        result = result.clone()
    return result.requires_grad_() if requires_grad and not result.requires_grad else result


@function
def from_numpy(ndarray):
    """A tensor on the memory of a NumPy array: changes of one show in the other."""
    if not isinstance(ndarray, np.ndarray):
        raise TypeError(f"expected np.ndarray (got {type(ndarray).__name__})")
    return Tensor._from_numpy_shared(ndarray)


@function
def frombuffer(buffer, *, dtype, count=-1, offset=0, requires_grad=False):
    """A vector on the memory of an object with Python's buffer interface.

    Args:
        dtype: what the bytes are elements of.
        count: how many elements, -1 for all.
        offset: how many bytes to skip.
    """
    view = memoryview(buffer)
    length, size = view.nbytes, dtype.itemsize
    if length <= 0 or count == 0:
        raise ValueError(f"both buffer length ({length}) and count ({count}) must not be 0")
    if not 0 <= offset < length:
        raise ValueError(
            f"offset ({offset} bytes) must be non-negative and no greater than buffer length "
            f"({length} bytes) minus 1"
        )
    if count > 0 and offset + count * size > length:
        raise ValueError(
            f"requested buffer length ({count} * {size} bytes) after offset ({offset} bytes) must "
            f"not be greater than actual buffer length ({length} bytes)"
        )
    if count < 0 and (length - offset) % size:
        raise ValueError(
            f"buffer length ({length - offset} bytes) after offset ({offset} bytes) must be a "
            f"multiple of element size ({size})"
        )
    array = np.frombuffer(buffer, dtype.storage, count, offset)
    if dtype is dtypes.bfloat16:
        result = Tensor._from_array(array.copy(), dtypes.uint16).view(dtypes.bfloat16)
    else:
        if view.readonly:
            warnings.warn(
                "The given buffer is not writable, and PyTorch does not support non-writable "
                "tensors. This means you can write to the underlying (supposedly non-writable) "
                "buffer using the tensor. You may want to copy the buffer to protect its data or "
                "make it writable before converting it to a tensor. This type of warning will be "
                "suppressed for the rest of this program.",
                UserWarning,
                stacklevel=3,
            )
            array = array.copy()
        result = Tensor._from_numpy_shared(array)
    return result.requires_grad_() if requires_grad else result


@function
def scalar_tensor(
    s, *, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False
):
    """A zero-dimensional tensor of a number, in the default dtype unless told otherwise."""
    default = get_default_dtype()
    if isinstance(s, complex):
        default = default.to_complex()
    options = Options(
        "scalar_tensor", dtype, default, None, layout, device, requires_grad, pin_memory
    )
    return finish(filled((), s, options.dtype), options)


# -------------------------------------------------------------------- filled with one value


def _sizes(name, sizes, size):
    if size is not None:
        sizes = (size,) if isinstance(size, int) else (tuple(size),)
    if not sizes:
        raise TypeError(f'{name}() missing 1 required positional arguments: "size"')
    try:
        return tuple(shape_argument(name, sizes, unpacked=True))
    except RuntimeError:
        if name == "zeros":
            raise RuntimeError("zeros: Dimension size must be non-negative.") from None
        raise


def _declare_filled(name, value, documentation):
    def declared(
        *sizes,
        size=None,
        out=None,
        dtype=None,
        layout=None,
        device=None,
        pin_memory=False,
        requires_grad=False,
        memory_format=None,
    ):
        options = Options(
            name, dtype, get_default_dtype(), out, layout, device, requires_grad, pin_memory
        )
        result = filled(_sizes(name, sizes, size), value, options.dtype)
        return finish(_with_format(result, name, memory_format), options)

    def like(
        input,
        *,
        dtype=None,
        layout=None,
        device=None,
        requires_grad=False,
        pin_memory=False,
        memory_format=None,
    ):
        check_tensor(f"{name}_like", "input", 1, input)
        options = Options(
            f"{name}_like", dtype, input.dtype, None, layout, device, requires_grad, pin_memory
        )
        return finish(_like(input, value, options.dtype, memory_format), options)

    def new(
        self,
        *sizes,
        size=None,
        dtype=None,
        device=None,
        requires_grad=False,
        layout=None,
        pin_memory=False,
    ):
        options = Options(
            f"new_{name}", dtype, self.dtype, None, layout, device, requires_grad, pin_memory
        )
        return finish(filled(_sizes(f"new_{name}", sizes, size), value, options.dtype), options)

    for made, full_name in ((declared, name), (like, f"{name}_like"), (new, f"new_{name}")):
        made.__name__ = made.__qualname__ = full_name
    declared.__doc__ = f"""A tensor {documentation}.

    Args:
        sizes: the shape, as several ints or one tuple (also by the name ``size``).
        out: a tensor to write into.
        dtype: the default dtype for None.
        layout: strided, the only one there is.
        device: the CPU.
        pin_memory: must be False.
        requires_grad: whether the result requires a gradient.
    """
    like.__doc__ = f"A tensor {documentation}, of the shape and dtype of another."
    new.__doc__ = f"A tensor {documentation}, of this tensor's dtype."
    function(declared)
    function(like)
    method(new)
    return declared, like


def _like(input: Tensor, value: Any, kind: Dtype, memory_format: Any = None) -> Tensor:
    """A tensor of one value laid out in memory as another, where that one has no gaps."""
    shape = tuple(input._shape)
    strides = memory_strides(input)
    contiguous = memory_format is not None and str(memory_format) != "torch.preserve_format"
    if strides is None or contiguous:
        return filled(shape, value, kind)
    order = sorted(builtins.range(len(shape)), key=lambda dim: (-strides[dim], dim))
    ordered = tuple(shape[dim] for dim in order)
    dense = contiguous_strides(ordered)
    if any(
        strides[dim] != step and shape[dim] != 1 for dim, step in zip(order, dense, strict=True)
    ):
        return filled(shape, value, kind)
    return filled(ordered, value, kind).permute(
        sorted(builtins.range(len(order)), key=order.__getitem__)
    )


zeros, zeros_like = _declare_filled("zeros", 0, "of zeros")
ones, ones_like = _declare_filled("ones", 1, "of ones")
# memory is never left as it was, so that programs repeat
empty, empty_like = _declare_filled("empty", 0, "whose values do not matter")


def _full_dtype(value):
    if isinstance(value, bool):
        return dtypes.bool_
    if isinstance(value, int):
        return dtypes.int64
    default = get_default_dtype()
    return default.to_complex() if isinstance(value, complex) else default


def _fill_value(name, value):
    if isinstance(value, (Tensor, np.generic)):
        return value.item()
    if not isinstance(value, (bool, int, float, complex)):
        found = type(value).__name__
        raise TypeError(f"{name}(): argument 'fill_value' (position 2) must be Number, not {found}")
    return value


@function
def full(
    size,
    fill_value,
    *,
    out=None,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
    names=None,
):
    """A tensor of one value, whose kind decides the dtype unless it is given."""
    if names is not None:
        raise TypeError("full() got an unexpected keyword argument 'names'")
    shape = shape_argument("full", size, unpacked=False)
    value = _fill_value("full", fill_value)
    options = Options(
        "full", dtype, _full_dtype(value), out, layout, device, requires_grad, pin_memory
    )
    check_fits(value, options.dtype)
    return finish(filled(tuple(shape), value, options.dtype), options)


@function
def full_like(
    input,
    fill_value,
    *,
    dtype=None,
    layout=None,
    device=None,
    pin_memory=False,
    requires_grad=False,
    memory_format=None,
):
    """A tensor of one value, of the shape and dtype of another."""
    options = Options(
        "full_like", dtype, input.dtype, None, layout, device, requires_grad, pin_memory
    )
    value = _fill_value("full_like", fill_value)
    check_fits(value, options.dtype)
    return finish(_like(input, value, options.dtype, memory_format), options)


@method
def new_full(
    self,
    size,
    fill_value,
    *,
    dtype=None,
    device=None,
    requires_grad=False,
    layout=None,
    pin_memory=False,
):
    """A tensor of one value, of this tensor's dtype."""
    options = Options(
        "new_full", dtype, self.dtype, None, layout, device, requires_grad, pin_memory
    )
    shape = shape_argument("new_full", size, unpacked=False)
    value = _fill_value("new_full", fill_value)
    check_fits(value, options.dtype)
    return finish(filled(tuple(shape), value, options.dtype), options)


@method
def new_tensor(
    self, data, *, dtype=None, device=None, requires_grad=False, layout=None, pin_memory=False
):
    """A new tensor with a copy of the data, of this tensor's dtype."""
    kind = self.dtype if dtype is None and not isinstance(data, Tensor) else dtype
    return _from_data(
        "new_tensor", data, kind, device, requires_grad, pin_memory, "tensor.new_tensor"
    )


@function
def empty_strided(
    size, stride, *, dtype=None, layout=None, device=None, requires_grad=False, pin_memory=False
):
    """A tensor with the given strides (in elements), whose values do not matter."""
    options = Options(
        "empty_strided", dtype, get_default_dtype(), None, layout, device, requires_grad, pin_memory
    )
    shape, strides = tuple(size), tuple(stride)
    if len(shape) != len(strides):
        raise RuntimeError(
            f"mismatch in length of strides and shape. Found: strides = {list(strides)}, shape = "
            f"{list(shape)}"
        )
    return finish(
        filled((span_of(shape, strides),), 0, options.dtype)._strided_alias(shape, strides, 0),
        options,
    )


@function
def empty_permuted(
    size, physical_layout, *, dtype=None, layout=None, device=None, requires_grad=False,
    pin_memory=False,
):  # fmt: skip
    """A tensor whose dimensions lie in memory in the given order, and whose values do not matter.

    Args:
        physical_layout: the dimensions, from the outermost in memory to the innermost.
    """
    shape, order = tuple(size), list(physical_layout)
    if len(shape) != len(order):
        raise RuntimeError(
            "Number of dimensions in size does not match the length of the physical_layout; i.e. "
            f"len(size) = {len(shape)} is not equal to len(physical_layout) = {len(order)}"
        )
    for position, dim in enumerate(order):
        if not 0 <= dim < len(shape):
            raise RuntimeError(
                f"Dimension out of range (expected to be between 0 and {len(shape) - 1}, but got "
                f"{dim} at index {position}).  NB: negative dims not currently supported; file an "
                "issue if you want it."
            )
        if dim in order[:position]:
            raise RuntimeError("Duplicate dim not allowed")
    strides, step = [0] * len(shape), 1
    for dim in reversed(order):
        strides[dim] = step
        step *= max(shape[dim], 1)
    return empty_strided(
        shape, strides, dtype=dtype, layout=layout, device=device, requires_grad=requires_grad,
        pin_memory=pin_memory,
    )  # fmt: skip


@method
def new_empty_strided(
    self, size, stride, dtype=None, layout=None, device=None, pin_memory=False, requires_grad=False
):
    """A tensor with the given strides (in elements), of this tensor's dtype."""
    return empty_strided(
        size,
        stride,
        dtype=self.dtype if dtype is None else dtype,
        layout=layout,
        device=device,
        requires_grad=requires_grad,
        pin_memory=pin_memory,
    )
