"""Tensor: a view (shape, strides, offset) of a storage, and what autograd knows of it.

Operators are not defined here: ``fakel.ops`` attaches them as methods.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from math import prod
from typing import Any

import numpy as np

from fakel.graph import VIEW, WRITE, Node, computed, contents, leaf, record, strided, watching
from fakel.interpreter import narrow, widen
from fakel.tensor import dtypes
from fakel.tensor.caution import warn_once
from fakel.tensor.device import CPU, device
from fakel.tensor.dtypes import dtype
from fakel.tensor.formats import Layout
from fakel.tensor.formats import strided as strided_layout
from fakel.tensor.printing import tensor_repr
from fakel.tensor.size import Size, contiguous_strides, span_of
from fakel.tensor.storage import Storage

_NON_LEAF_GRAD = (
    "The .grad attribute of a Tensor that is not a leaf Tensor is being accessed. Its .grad "
    "attribute won't be populated during autograd.backward(). If you indeed want the .grad field "
    "to be populated for a non-leaf Tensor, use .retain_grad() on the non-leaf Tensor. If you "
    "access the non-leaf Tensor by mistake, make sure you access the leaf Tensor instead. See "
    "github.com/pytorch/pytorch/pull/30531 for more information."
)


class Tensor:
    """A multi-dimensional array whose operations are recorded, computed when looked at, and
    differentiable.

    ``Tensor(...)`` itself is PyTorch's old constructor; use ``tensor(data)``.
    """

    # Class-level defaults keep making a tensor cheap: only what differs is set on the instance.
    _storage: Storage
    _shape: Size
    _strides: tuple[int, ...] | None = None  # None: contiguous
    _offset = 0
    _requires_grad = False
    _gradient: Any = None  # the gradient, or what makes it when somebody asks for it
    _waits = False  # whether this is something that makes a gradient
    _grad_fn: Any = None  # the backward node that made this tensor
    _output_index = 0  # which of that node's outputs this tensor is
    _base: Tensor | None = None  # the tensor that this one is a differentiable view of
    _replay: Callable[[Tensor], Tensor] | None = None  # takes the base to this view
    _counts_writes = True  # False for ``data``: autograd does not see what is written through it
    _origin: tuple[str, int] | None = None  # ("Split", 1): one of several views made at once
    _generation = 0  # counts the in-place operations on a base; on a view, those it has seen
    _hooks: Any = None
    _retains_grad = False
    # says what recalling knows of the geometry and history; None once one of them was changed
    _stamp: Any = None

    is_cuda = is_sparse = is_quantized = is_meta = is_mps = is_mkldnn = is_xpu = is_nested = False
    is_sparse_csr = is_vulkan = is_ipu = is_xla = is_maia = is_mtia = False
    is_cpu = True
    names = property(lambda self: (None,) * len(self._shape))

    # ---------------------------------------------------------------- making tensors

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        return cls._legacy_constructor(cls, *args, **kwargs)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        pass

    @staticmethod
    def _legacy_constructor(cls: Any, *args: Any, **kwargs: Any) -> Tensor:
        raise TypeError("fakel.ops provides the constructor")

    @staticmethod
    def _from_node(node: Node) -> Tensor:
        """A new contiguous tensor whose value is the node's."""
        tensor: Tensor = _new(Tensor)
        shape = node.shape
        tensor._shape = shape if type(shape) is Size else Size(shape)
        tensor._storage = Storage(node, node.dtype, prod(shape))
        return tensor

    @staticmethod
    def _from_array(array: Any, dtype: dtype | None = None) -> Tensor:
        """A new tensor that owns this fresh array (in storage dtype, contiguous)."""
        array = np.asarray(array)
        if dtype is None:
            dtype = dtypes.from_numpy(array.dtype)
        elif array.dtype != dtype.storage:
            array = narrow(array, dtype)
        if not array.flags.c_contiguous:
            array = array.copy(order="C")
        return Tensor._from_node(leaf(array, dtype))

    @staticmethod
    def _from_numpy_shared(array: np.ndarray) -> Tensor:
        """A tensor on the very memory of a NumPy array (any non-negative strides)."""
        element_type = dtypes.from_numpy(array.dtype)
        itemsize = array.itemsize
        if not array.dtype.isnative:
            raise ValueError(
                "given numpy array has byte order different from the native byte order. Conversion "
                "between byte orders is currently not supported."
            )
        if any(stride < 0 for stride in array.strides):
            raise ValueError(
                "At least one stride in the given numpy array is negative, and tensors with "
                "negative "
                "strides are not currently supported. (You can probably work around this by "
                "making a "
                "copy of your array  with array.copy().) "
            )
        if any(stride % itemsize for stride in array.strides):
            raise ValueError(
                "given numpy array strides not a multiple of the element byte size. Copy the numpy "
                "array to reallocate the memory."
            )
        if not array.flags.writeable:
            warnings.warn(
                "The given NumPy array is not writable, and PyTorch does not support non-writable "
                "tensors. This means writing to this tensor will result in undefined behavior. "
                "You may "
                "want to copy the array to protect its data or make it writable before converting "
                "it to "
                "a tensor. This type of warning will be suppressed for the rest of this program.",
                stacklevel=3,
            )
        tensor: Tensor = _new(Tensor)
        tensor._shape = Size(array.shape)
        if array.flags.c_contiguous:
            flat = array.reshape(-1)
        else:
            tensor._strides = tuple(stride // itemsize for stride in array.strides)
            span = span_of(array.shape, tensor._strides)
            flat = np.lib.stride_tricks.as_strided(array, (span,), (itemsize,))
        known_owner = array.flags.c_contiguous and isinstance(flat.base, np.ndarray)
        tensor._storage = Storage.on_memory(flat, element_type, pinned=not known_owner)
        return tensor

    def _alias(self, cls: type[Tensor] | None = None) -> Tensor:
        """A tensor with the same storage and geometry, outside of the autograd graph."""
        alias: Tensor = _new(Tensor if cls is None else cls)
        alias._storage = self._storage
        alias._shape = self._shape
        if self._strides is not None:
            alias._strides = self._strides
        if self._offset:
            alias._offset = self._offset
        if not self._counts_writes:
            alias._counts_writes = False
        return alias

    def _strided_alias(
        self, shape: tuple[int, ...], strides: tuple[int, ...], offset: int
    ) -> Tensor:
        """A tensor on the same storage with another geometry, outside of the autograd graph."""
        alias: Tensor = _new(Tensor)
        alias._storage = self._storage
        alias._shape = shape if type(shape) is Size else Size(shape)
        if strides != contiguous_strides(shape):
            alias._strides = strides
        if offset:
            alias._offset = offset
        if not self._counts_writes:
            alias._counts_writes = False
        return alias

    def _take(self, other: Tensor) -> None:
        """Makes this tensor show the other's storage, as ``self.data = other`` does."""
        self._stamp = None
        self._storage = other._storage
        self._shape = other._shape
        self._strides = other._strides
        self._offset = other._offset

    # ---------------------------------------------------------------- reading and writing values

    def _node(self) -> Node:
        """The value as a node: the storage's own where this tensor shows all of it in order."""
        storage = self._storage
        if storage.exposed is not None and storage.shared:
            return leaf(self._array().copy(order="C"), storage.dtype)
        node = storage.node
        if self._strides is None and node.shape == self._shape and not self._offset:
            return node
        return record(VIEW, (node,), self._geometry(), self._shape, storage.dtype)

    def _geometry(self) -> dict[str, Any]:
        return {"shape": tuple(self._shape), "strides": self.stride(), "offset": self._offset}

    def _array(self) -> np.ndarray:
        """The values as a NumPy array in storage dtype; not to be written or handed out."""
        buffer: np.ndarray = contents(self._storage.node)
        shape, start = self._shape, self._offset
        if self._strides is not None:
            return strided(buffer, shape, self._strides, start)
        if buffer.shape == shape and not start:
            return buffer
        return buffer.reshape(-1)[start : start + prod(shape)].reshape(shape)

    def _values(self) -> np.ndarray:
        """The values as a NumPy array in compute dtype; not to be written or handed out."""
        return widen(self._array(), self._storage.dtype)

    def _assign(self, node: Node) -> None:
        """Writes a node of this tensor's shape and dtype into the storage."""
        storage = self._storage
        if watching.capture is not None:
            watching.capture.wrote(self)
        if self._strides is None and self._shape.numel() == storage.length:
            storage.replace(node)
            storage.version += self._counts_writes
            return
        if storage.shared:
            value = computed(node)
            strided(storage.node.value, self._shape, self.stride(), self._offset)[...] = value
            storage.version += self._counts_writes
            return
        old = storage.node
        storage.replace(record(WRITE, (old, node), self._geometry(), old.shape, storage.dtype))
        storage.version += self._counts_writes

    # ---------------------------------------------------------------- geometry

    @property
    def shape(self) -> Size:
        """The size of each dimension."""
        return self._shape

    def size(self, dim: int | None = None) -> Any:
        """The shape, or the size of one dimension."""
        if dim is None:
            return self._shape
        ndim = len(self._shape)
        try:
            within = -max(ndim, 1) <= dim < max(ndim, 1)
        except TypeError:
            found = type(dim).__name__
            raise TypeError(
                f"size(): argument 'dim' (position 1) must be int, not {found}"
            ) from None
        if not within:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-max(ndim, 1)}, "
                f"{max(ndim, 1) - 1}], but got {dim})"
            )
        if not ndim:
            raise IndexError(f"Dimension specified as {dim} but tensor has no dimensions")
        return self._shape[dim]

    def stride(self, dim: int | None = None) -> Any:
        """How many elements apart in memory neighbours in each dimension (or in one) are."""
        strides = self._strides
        if strides is None:
            strides = contiguous_strides(self._shape)
        if dim is None:
            return strides
        limit = max(len(strides), 1)
        if not -limit <= dim < limit:
            raise IndexError(
                f"Dimension out of range (expected to be in range of [{-limit}, {limit - 1}], but "
                f"got {dim})"
            )
        return strides[dim]

    def storage_offset(self) -> int:
        """The position in the storage of the first element."""
        return self._offset

    def dim(self) -> int:
        """The number of dimensions."""
        return len(self._shape)

    ndimension = dim
    ndim = property(dim)

    def numel(self) -> int:
        """The number of elements."""
        return self._shape.numel()

    nelement = numel

    def element_size(self) -> int:
        """The size of an element in bytes."""
        return self._storage.dtype.itemsize

    @property
    def itemsize(self) -> int:
        """The size of an element in bytes."""
        return self._storage.dtype.itemsize

    @property
    def nbytes(self) -> int:
        """The size of all elements in bytes."""
        return self.numel() * self.itemsize

    def __len__(self) -> int:
        if not self._shape:
            raise TypeError("len() of a 0-d tensor")
        return int(self._shape[0])

    def data_ptr(self) -> int:
        """The address of the first element."""
        address: int = self._storage.own().ctypes.data
        return address + self._offset * self.itemsize

    # ---------------------------------------------------------------- dtype and device

    @property
    def dtype(self) -> dtype:
        """The element type."""
        return self._storage.dtype

    @property
    def device(self) -> device:
        """Where the tensor is: always the CPU."""
        return CPU

    @property
    def layout(self) -> Layout:
        """``torch.strided``, the only layout."""
        return strided_layout

    def get_device(self) -> int:
        """-1: the CPU."""
        return -1

    def is_floating_point(self) -> bool:
        """Whether the dtype is a floating-point one."""
        return self._storage.dtype.is_floating_point

    def is_complex(self) -> bool:
        """Whether the dtype is a complex one."""
        return self._storage.dtype.is_complex

    def is_signed(self) -> bool:
        """Whether the dtype can hold negative numbers."""
        return self._storage.dtype.is_signed

    # ---------------------------------------------------------------- autograd's fields

    @property
    def requires_grad(self) -> bool:
        """Whether gradients are computed for this tensor."""
        return self._requires_grad or self._has_history()

    @requires_grad.setter
    def requires_grad(self, value: bool) -> None:
        if not isinstance(value, bool):
            raise RuntimeError("requires_grad must be a bool")
        if self._backward_node() is not None:
            if not value:
                raise RuntimeError(
                    "you can only change requires_grad flags of leaf variables. If you want to "
                    "use a "
                    "computed variable in a subgraph that doesn't require differentiation use "
                    "var_no_grad = var.detach()."
                )
            return
        if value and not (self.dtype.is_floating_point or self.dtype.is_complex):
            raise RuntimeError(
                "only Tensors of floating point and complex dtype can require gradients"
            )
        self._requires_grad = bool(value)
        self._stamp = None

    def _has_history(self) -> bool:
        """Whether a backward node made this tensor, without asking for the node."""
        base = self._base
        if base is not None and base._generation != self._generation:
            return self._backward_node() is not None
        return self._grad_fn is not None

    def _backward_node(self) -> Any:
        """The backward node, brought up to date when this is a view of a base changed in place."""
        base = self._base
        if base is not None and base._generation != self._generation:
            self._generation = base._generation
            if base.requires_grad:
                self._grad_fn, self._output_index = self._history_from_base()  # type: ignore[attr-defined]
        history = self._grad_fn
        if history is not None and history.deferred:
            history = self._grad_fn = history.resolve()
        return history

    @property
    def grad_fn(self) -> Any:
        """The backward node that made this tensor, None for a leaf."""
        return self._backward_node()

    @property
    def is_leaf(self) -> bool:
        """Whether gradients accumulate in this tensor: no recorded operation made it."""
        return not self._has_history()

    @property
    def output_nr(self) -> int:
        """Which output of its backward node this tensor is."""
        return self._output_index

    @property
    def retains_grad(self) -> bool:
        """Whether this is a non-leaf tensor that keeps its gradient."""
        return self._retains_grad

    @property
    def _grad(self) -> Tensor | None:
        """The gradient, without a warning where there is none."""
        if self._gradient is not None and self._gradient._waits:
            self._gradient = self._gradient.make(self)
        gradient: Tensor | None = self._gradient
        return gradient

    @_grad.setter
    def _grad(self, value: Tensor | None) -> None:
        self._gradient = value

    @property
    def grad(self) -> Tensor | None:
        """The accumulated gradient."""
        if self._gradient is None and not self._retains_grad and self._grad_fn is not None:
            warnings.warn(_NON_LEAF_GRAD, UserWarning, stacklevel=2)
        return self._grad

    @grad.setter
    def grad(self, value: Tensor | None) -> None:
        if value is not None:
            if not isinstance(value, Tensor):
                raise TypeError(
                    f"assigned grad expected to be a Tensor or None but got grad of type "
                    f"{type(value).__name__}"
                )
            if value is self:
                raise RuntimeError("can't assign Variable as its own grad")
            if value._shape != self._shape:
                raise RuntimeError(
                    f"attempting to assign a gradient of size '{list(value._shape)}' to a tensor "
                    f"of size '{list(self._shape)}'. Please ensure that the gradient and the "
                    "tensor are the same size"
                )
            if value.dtype is not self.dtype:
                raise RuntimeError(
                    f"attempting to assign a gradient with dtype '{value.dtype.c_name}' to a "
                    f"tensor with grad_dtype '{self.dtype.letter}'. The gradient must match the "
                    "tensor's grad_dtype (defaults to the tensor's dtype). You can set the "
                    "tensor's grad_dtype attribute with a specific dtype, or None to allow any "
                    "dtype. Set grad_dtype with caution. Diverging the dtypes of a tensor and its "
                    "gradient may break downstream systems that assume they match."
                )
        self._gradient = value

    @grad.deleter
    def grad(self) -> None:
        self._gradient = None

    @property
    def _version(self) -> int:
        return self._storage.version

    @property
    def data(self) -> Tensor:
        """The same values outside of the autograd graph; writing to it is not tracked."""
        alias = self._alias()
        alias._counts_writes = False
        return alias

    @data.deleter
    def data(self) -> None:
        raise RuntimeError("Deleting tensor data is not allowed. Delete tensor instead!")

    @data.setter
    def data(self, value: Tensor) -> None:
        if not isinstance(value, Tensor):
            raise TypeError(f"Variable data has to be a tensor, but got {type(value).__name__}")
        if value.dtype is not self.dtype and not value.is_floating_point() and self.requires_grad:
            raise RuntimeError(
                "data set to a tensor that requires gradients must be floating point or complex "
                "dtype"
            )
        self._take(value)

    # ---------------------------------------------------------------- Python and NumPy

    def numpy(self, *, force: bool = False) -> np.ndarray:
        """The values as a NumPy array on the same memory.

        Args:
            force: detach first, and copy what shares no memory, instead of refusing.

        Raises:
            RuntimeError: when the tensor requires a gradient.
            TypeError: for bfloat16, which NumPy does not have.
        """
        if self.requires_grad and not force:
            raise RuntimeError(
                "Can't call numpy() on Tensor that requires grad. Use tensor.detach().numpy() "
                "instead."
            )
        if self.dtype is dtypes.bfloat16:
            raise TypeError("Got unsupported ScalarType BFloat16")
        return strided(self._storage.expose(), self._shape, self.stride(), self._offset)

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        array = self.numpy()
        if dtype is not None and array.dtype != dtype:
            return array.astype(dtype)
        return array.copy() if copy else array

    # numpy_scalar * tensor is left to the tensor
    __array_priority__ = 1000

    def item(self) -> Any:
        """The value of a one-element tensor as a Python number."""
        if self._shape and self._shape.numel() != 1:
            raise RuntimeError(
                f"a Tensor with {self._shape.numel()} elements cannot be converted to Scalar"
            )
        return self._values().item()

    def tolist(self) -> Any:
        """The values as nested lists of Python numbers; a number for a zero-dimensional tensor."""
        return self._values().tolist()

    def __bool__(self) -> bool:
        count = self._shape.numel()
        if count != 1:
            what = "more than one value" if count else "no values"
            raise RuntimeError(f"Boolean value of Tensor with {what} is ambiguous")
        return bool(self.item())

    def __int__(self) -> int:
        return int(self._real_item("int64_t"))

    def __float__(self) -> float:
        if self.requires_grad:
            _warn_of_lost_gradient()
        return float(self._real_item("double"))

    def _real_item(self, name: str) -> Any:
        """The value of a one-element tensor, for a real type of C++."""
        value = self._only()
        if isinstance(value, complex):
            if value.imag:
                raise RuntimeError(f"value cannot be converted to type {name} without overflow")
            return value.real
        return value

    def __complex__(self) -> complex:
        if self.requires_grad:
            _warn_of_lost_gradient()
        return complex(self._only())

    def _only(self) -> Any:
        """The value that Python's own types convert."""
        if self._shape.numel() != 1:
            raise ValueError("only one element tensors can be converted to Python scalars")
        return self.item()

    def __index__(self) -> int:
        if self.numel() != 1 or self.dtype.is_floating_point or self.dtype.is_complex:
            raise TypeError("only integer tensors of a single element can be converted to an index")
        return int(self.item())

    def __hash__(self) -> int:
        return id(self)

    def __repr__(self, *, tensor_contents: str | None = None) -> str:
        return tensor_repr(self, tensor_contents=tensor_contents)

    def __format__(self, specification: str) -> str:
        if not self._shape and type(self) is Tensor:
            return str(self.item().__format__(specification))
        return object.__format__(self, specification)

    def __iter__(self) -> Any:
        if not self._shape:
            raise TypeError("iteration over a 0-d tensor")
        return iter(self.unbind(0))  # type: ignore[attr-defined]

    def __dir__(self) -> list[str]:
        return sorted(name for name in object.__dir__(self) if not name.startswith("_from_"))


def _warn_of_lost_gradient() -> None:
    what = "Converting a tensor with requires_grad=True to a scalar may lead to unexpected behavior"
    warn_once(f"{what}.\nConsider using tensor.detach() first.", stacklevel=3)


_new = object.__new__
