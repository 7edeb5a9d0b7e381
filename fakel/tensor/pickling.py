"""How tensors are taken apart and put together again: pickling, `copy.deepcopy`, checkpoints.

The functions called `_rebuild_…` have the names and arguments that PyTorch's files call them by.
"""

from __future__ import annotations

import copyreg
from collections import OrderedDict
from typing import Any

import numpy as np

from fakel.graph import computed, leaf
from fakel.tensor.dtypes import dtype
from fakel.tensor.storage import Storage
from fakel.tensor.tensor import Tensor
from fakel.tensor.typed_storage import UNTYPED, TypedStorage, tensor_on

_INTERNAL = frozenset(Tensor.__annotations__) | {"_backward_hooks"}

_NOT_A_LEAF = (
    "Only Tensors created explicitly by the user (graph leaves) support the deepcopy protocol at "
    "the moment.  If you were attempting to deepcopy a module, this may be because of a "
    "torch.nn.utils.weight_norm usage, see https://github.com/pytorch/pytorch/pull/103001"
)


def user_state(tensor: Tensor) -> dict[str, Any]:
    """The attributes that a program has put on a tensor."""
    own = {name for name in tensor.__dict__ if name in _INTERNAL or hasattr(Tensor, name)}
    return {name: value for name, value in tensor.__dict__.items() if name not in own}


def reduce_tensor(tensor: Tensor, protocol: int) -> tuple[Any, ...]:
    """What `Tensor.__reduce_ex__` returns; tensors that share a storage share it again later."""
    function, arguments = _plain_parts(tensor)
    state = user_state(tensor)
    if type(tensor) is Tensor and not state:
        return function, arguments
    return _rebuild_from_type_v2, (function, type(tensor), arguments, state)


def _plain_parts(tensor: Tensor) -> tuple[Any, tuple[Any, ...]]:
    hooks: OrderedDict[int, Any] = OrderedDict()
    view = (tensor._storage, tensor.storage_offset(), tuple(tensor.shape), tuple(tensor.stride()))
    if tensor.dtype in UNTYPED:
        return _rebuild_tensor_v3, (*view, tensor.requires_grad, hooks, tensor.dtype)
    return _rebuild_tensor_v2, (*view, tensor.requires_grad, hooks)


def deepcopy_tensor(tensor: Tensor, memo: dict[int, Any]) -> Tensor:
    """What `Tensor.__deepcopy__` does; the copies of tensors that share a storage share one too.

    Raises:
        RuntimeError: the tensor is the result of a recorded operation.
    """
    if id(tensor) in memo:
        found: Tensor = memo[id(tensor)]
        return found
    if not tensor.is_leaf:
        raise RuntimeError(_NOT_A_LEAF)
    storage = tensor._storage
    if id(storage) not in memo:
        memo[id(storage)] = storage.copy()
    result = tensor._alias(type(tensor))
    result._storage = memo[id(storage)]
    memo[id(tensor)] = result
    if tensor.requires_grad:
        result.requires_grad = True
    if tensor._grad is not None:
        result._grad = deepcopy_tensor(tensor._grad, memo)
    for name, value in user_state(tensor).items():
        setattr(result, name, _deepcopy(value, memo))
    return result


def _deepcopy(value: Any, memo: dict[int, Any]) -> Any:
    import copy  # the name would hide the method that tensors call by it

    return copy.deepcopy(value, memo)


def new_storage(flat: np.ndarray, element_type: dtype) -> Storage:
    """A storage that owns this flat array (in storage dtype)."""
    return Storage(leaf(flat, element_type), element_type, flat.size)


def storage_array(storage: Storage) -> np.ndarray:
    """The computed elements of a storage, flat, in storage dtype; not to be written."""
    return np.asarray(computed(storage.node)).reshape(-1)


def _rebuild_storage(element_type: dtype, flat: np.ndarray) -> Storage:
    return new_storage(flat, element_type)


def _reduce_storage(storage: Storage) -> tuple[Any, ...]:
    return _rebuild_storage, (storage.dtype, storage_array(storage))


copyreg.pickle(Storage, _reduce_storage)


def _rebuild_tensor(
    storage: Storage | TypedStorage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> Tensor:
    return _rebuild_tensor_v2(storage, offset, shape, strides, False, None)


def _rebuild_tensor_v2(
    storage: Storage | TypedStorage,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: bool,
    backward_hooks: Any,
    metadata: dict[str, Any] | None = None,
) -> Tensor:
    """A tensor from its parts.

    Hooks are never saved. `metadata` marks lazily conjugated or negated values; fakel makes them
    real.
    """
    if isinstance(storage, TypedStorage):
        storage = storage._storage()
    tensor = tensor_on(storage, offset, shape, strides)
    if metadata:
        tensor = _with_metadata(tensor, metadata)
    if requires_grad:
        tensor.requires_grad = True
    return tensor


def _with_metadata(tensor: Tensor, metadata: dict[str, Any]) -> Tensor:
    unknown = set(metadata) - {"conj", "neg"}
    if unknown:
        raise RuntimeError(f"fakel does not know the tensor metadata {sorted(map(str, unknown))}")
    values = tensor._array()
    if metadata.get("conj"):
        values = np.conj(values)
    if metadata.get("neg"):
        values = np.negative(values)
    return Tensor._from_array(values, tensor.dtype)


def _rebuild_tensor_v3(
    storage: Storage | TypedStorage,
    offset: int,
    shape: tuple[int, ...],
    strides: tuple[int, ...],
    requires_grad: bool,
    backward_hooks: Any,
    element_type: dtype,
    metadata: dict[str, Any] | None = None,
) -> Tensor:
    """As `_rebuild_tensor_v2`, for a storage of bytes and a dtype given apart."""
    if isinstance(storage, TypedStorage):
        storage = storage._untyped_storage.as_dtype(element_type)
    return _rebuild_tensor_v2(
        storage, offset, shape, strides, requires_grad, backward_hooks, metadata
    )


def _rebuild_from_type_v2(
    function: Any, kind: type[Tensor], arguments: tuple[Any, ...], state: Any
) -> Tensor:
    """A tensor of a subclass, or one with attributes of the program's own.

    Raises:
        RuntimeError: `function` does not make tensors or `kind` is no class of tensors.
    """
    makers = (_rebuild_tensor, _rebuild_tensor_v2, _rebuild_tensor_v3)
    if function not in makers or not (isinstance(kind, type) and issubclass(kind, Tensor)):
        raise RuntimeError(f"cannot make a tensor of type {kind!r} by {function!r}")
    tensor: Tensor = function(*arguments)
    if type(tensor) is not kind:
        requires_grad = tensor.requires_grad
        tensor = tensor._alias(kind)
        tensor.requires_grad = requires_grad
    if isinstance(state, tuple):
        attributes, slots = state
        state = {**(attributes or {}), **(slots or {})}
    tensor.__setstate__(state)  # type: ignore[attr-defined]
    return tensor


def set_tensor_state(tensor: Tensor, state: dict[str, Any]) -> None:
    """What `Tensor.__setstate__` does: give a tensor the attributes of the program's own.

    Raises:
        RuntimeError: the state would change what the tensor itself is made of.
    """
    for name in state:
        if name in _INTERNAL or hasattr(Tensor, name):
            raise RuntimeError(f"{name!r} of a tensor cannot be set from a file")
    tensor.__dict__.update(state)


Tensor.__reduce_ex__ = reduce_tensor  # type: ignore[assignment, method-assign]
Tensor.__setstate__ = set_tensor_state  # type: ignore[attr-defined]
Tensor.__deepcopy__ = deepcopy_tensor  # type: ignore[attr-defined]
