"""Parameters and buffers: tensors that a Module registers when they are assigned to it."""

from __future__ import annotations

from collections import OrderedDict

from fakel import ops
from fakel.tensor import Tensor, get_default_dtype
from fakel.tensor.pickling import user_state

__all__ = [
    "Buffer",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "UninitializedTensorMixin",
    "is_lazy",
]


def _leaf(cls, data, requires_grad):
    """A tensor of class ``cls`` on the memory of ``data``, outside of the autograd graph."""
    if requires_grad and not (data.is_floating_point() or data.is_complex()):
        raise RuntimeError("Only Tensors of floating point and complex dtype can require gradients")
    leaf = data._alias(cls)
    leaf.requires_grad = requires_grad
    return leaf


class Parameter(Tensor):
    """A tensor that is a learnable parameter of the Module it is assigned to.

    It shares the memory of ``data`` and is a leaf of the autograd graph.

    Args:
        data: the values; an empty tensor when left out.
        requires_grad: whether the parameter gets a gradient.
    """

    def __new__(cls, data=None, requires_grad=True):
        if data is None:
            data = ops.empty(0)
        return _leaf(cls, data.detach(), requires_grad)

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        copied = type(self)(self.data.clone(), self.requires_grad)
        memo[id(self)] = copied
        return copied

    def __repr__(self):
        return "Parameter containing:\n" + super().__repr__()

    def __reduce_ex__(self, protocol):
        parts = (self.data, self.requires_grad, OrderedDict())
        state = user_state(self)
        if state:
            return _rebuild_parameter_with_state, (*parts, state)
        return _rebuild_parameter, parts


def _rebuild_parameter(data, requires_grad, backward_hooks):
    """Rebuild a pickled Parameter. Hooks are not saved: the argument, of PyTorch's, is empty."""
    return Parameter(data, requires_grad)


def _rebuild_parameter_with_state(data, requires_grad, backward_hooks, state):
    """Rebuild a pickled Parameter that has attributes of its own."""
    parameter = Parameter(data, requires_grad)
    parameter.__setstate__(state)
    return parameter


class _BufferMeta(type(Tensor)):
    """Makes any tensor that is marked as a buffer an instance of Buffer."""

    def __instancecheck__(cls, instance):
        if cls is Buffer and isinstance(instance, Tensor):
            return getattr(instance, "_is_buffer", False)
        return super().__instancecheck__(instance)


class Buffer(Tensor, metaclass=_BufferMeta):
    """A tensor that is a buffer (state that is not learned) of the Module it is assigned to.

    The result is an ordinary tensor that shares the memory of ``data``.

    Args:
        data: the values; an empty tensor when left out.
        persistent: whether the buffer is part of the module's ``state_dict``.
    """

    def __new__(cls, data=None, *, persistent=True):
        if data is None:
            data = ops.empty(0)
        buffer = data.detach().requires_grad_(data.requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer


class UninitializedTensorMixin:
    """What parameters and buffers of unknown shape have in common."""

    def materialize(self, shape, device=None, dtype=None):
        """Become an ordinary parameter or buffer of this shape (values are not set).

        Args:
            shape: the shape.
            device: the device; by default the one given at construction.
            dtype: the dtype; by default the one given at construction.
        """
        self.data = ops.empty(shape, device=device or self.device, dtype=dtype or self.dtype)
        self.__class__ = self.cls_to_become

    @property
    def shape(self):
        raise RuntimeError(
            "Can't access the shape of an uninitialized parameter or buffer. "
            "This error usually happens in `load_state_dict` when trying to load "
            "an uninitialized parameter into an initialized one. "
            "Call `forward` to initialize the parameters before accessing their attributes."
        )

    def _node(self):
        raise ValueError(
            "Attempted to use an uninitialized parameter in an operator. "
            "This error happens when you are using a `LazyModule` or "
            f"explicitly manipulating `torch.nn.parameter.{type(self).__name__}` "
            "objects. When using LazyModules Call `forward` with a dummy batch "
            "to initialize the parameters before calling torch functions"
        )

    def share_memory_(self):
        raise RuntimeError(
            "Can't share memory on an uninitialized parameter or buffer. "
            "Call `forward` to initialize the parameters before calling "
            "`module.share_memory()`."
        )

    def __repr__(self):
        return f"<{type(self).__name__}>"

    def __reduce_ex__(self, protocol):
        return type(self), (self.requires_grad,)


class UninitializedParameter(UninitializedTensorMixin, Parameter):
    """A parameter whose shape is not known yet; lazy modules give it one in the first forward.

    Args:
        requires_grad: whether the parameter gets a gradient.
        device: the device of the parameter.
        dtype: the dtype of the parameter.
    """

    cls_to_become = Parameter

    def __new__(cls, requires_grad=True, device=None, dtype=None):
        data = ops.empty(0, device=device, dtype=dtype or get_default_dtype())
        return _leaf(cls, data, requires_grad)

    def __deepcopy__(self, memo):
        if id(self) in memo:
            return memo[id(self)]
        copied = type(self)(self.requires_grad, self.data.device, self.data.dtype)
        memo[id(self)] = copied
        return copied


class UninitializedBuffer(UninitializedTensorMixin, Tensor):
    """A buffer whose shape is not known yet.

    Args:
        requires_grad: whether the buffer gets a gradient.
        device: the device of the buffer.
        dtype: the dtype of the buffer.
        persistent: whether the buffer is part of the module's ``state_dict``.
    """

    cls_to_become = Tensor

    def __new__(cls, requires_grad=False, device=None, dtype=None, persistent=True):
        data = ops.empty(0, device=device, dtype=dtype or get_default_dtype())
        buffer = _leaf(cls, data, requires_grad)
        buffer.persistent = persistent
        buffer._is_buffer = True
        return buffer


def is_lazy(parameter):
    """Say whether a parameter or buffer has no shape yet."""
    return isinstance(parameter, UninitializedTensorMixin)
