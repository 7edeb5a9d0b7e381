"""In-place operations and ``out=``: results written into a tensor that exists, seen by autograd."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

from fakel.autograd.modes import state
from fakel.autograd.tape import Backward, attach
from fakel.graph import COPY, VIEW, record
from fakel.tensor import Tensor, can_cast


def check_writable(tensor: Tensor) -> None:
    """Refuses what autograd or memory cannot allow to be written.

    Raises:
        RuntimeError: for a leaf that requires a gradient, a view of one, an expanded tensor, a
            tensor made in inference mode.
    """
    check_history(tensor)
    strides = tensor._strides
    if strides is not None and any(
        stride == 0 and size > 1 for size, stride in zip(tensor._shape, strides, strict=True)
    ):
        raise RuntimeError(
            "unsupported operation: more than one element of the written-to tensor refers to a "
            "single "
            "memory location. Please clone() the tensor before performing the operation."
        )


def check_history(tensor: Tensor) -> None:
    """Refuses what autograd cannot allow to be changed in place.

    Raises:
        RuntimeError: for a leaf that requires a gradient, a view of one, one of several views made
            at once, a tensor made in inference mode.
    """
    if state.enabled:
        if tensor._requires_grad and tensor._grad_fn is None:
            raise RuntimeError(
                "a leaf Variable that requires grad is being used in an in-place operation."
            )
        base = tensor._base
        if tensor._origin is not None and tensor.requires_grad | (
            base is not None and base.requires_grad
        ):
            raise RuntimeError(_refusal(*tensor._origin))
        if base is not None and base._requires_grad and base._grad_fn is None:
            raise RuntimeError(
                "a view of a leaf Variable that requires grad is being used in an in-place "
                "operation."
            )
    if tensor._storage.inference and not state.inference:
        raise RuntimeError(
            "Inplace update to inference tensor outside InferenceMode is not allowed.You can make "
            "a "
            "clone to get a normal tensor before doing inplace update.See "
            "https://github.com/pytorch/rfcs/pull/17 for more details."
        )


def _refusal(maker: str, index: int) -> str:
    if maker == "no_grad":
        return (
            "A view was created in no_grad mode and is being modified inplace with grad mode "
            "enabled. "
            "Given that this use case is ambiguous and error-prone, it is forbidden. You can "
            "clarify your "
            "code by moving both the view and the inplace either both inside the no_grad "
            "block (if you "
            "don't want the inplace to be tracked) or both outside (if you want the inplace "
            "to be tracked)."
        )
    return (
        f"Output {index} of {maker} is a view and is being modified inplace. This view is the "
        "output of a "
        "function that returns multiple views. Such functions do not allow the output views "
        "to be modified "
        "inplace. You should replace the inplace operation by an out-of-place one."
    )


def write_in_place(
    name: str,
    tensor: Tensor,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
) -> Tensor:
    """Runs ``function(tensor, ...)`` and writes the result into ``tensor``, which it returns."""
    check_writable(tensor)
    result = function(before(tensor), *args, **kwargs)
    if result._shape != tensor._shape:
        raise RuntimeError(
            f"output with shape {list(tensor._shape)} doesn't match the broadcast shape "
            f"{list(result._shape)}"
        )
    kind = tensor._storage.dtype
    if result._storage.dtype is not kind:
        if not can_cast(result._storage.dtype, kind):
            raise RuntimeError(
                f"result type {result._storage.dtype.letter} can't be cast to the desired output "
                "type "
                f"{kind.letter}"
            )
        result = result.to(kind)
    store(tensor, result)
    return tensor


def before(tensor: Tensor) -> Tensor:
    """The tensor as it is now, for an operation about to overwrite it: rules may save it."""
    if not state.enabled:
        return tensor
    earlier = tensor._alias()
    earlier._storage = tensor._storage.copy()
    earlier._requires_grad = tensor._requires_grad
    earlier._grad_fn = tensor._backward_node()
    earlier._output_index = tensor._output_index
    return earlier


def store(tensor: Tensor, result: Tensor, title: str = "FillBackward0") -> None:
    """Makes ``result`` (same shape and dtype) the new value of ``tensor``, and its history.

    Args:
        title: the name of the backward node when the result has no history.
    """
    node = result._node()
    if node.operator is VIEW:
        node = record(COPY, (node,), {}, node.shape, node.dtype)
    tensor._assign(node)
    if not state.enabled:
        return
    if not result.requires_grad:
        if not tensor.requires_grad and (tensor._base is None or not tensor._base.requires_grad):
            return
        # what was there has a history, of which nothing counts any longer
        earlier, result = tensor, result.detach()
        attach(result, _Overwritten.titled(title)((earlier,)))
    if tensor._base is not None:
        _rebase_view(tensor, result)
        return
    history = result._backward_node()
    if history is None:
        # the result is itself a leaf that requires a gradient
        history = _Identity.titled("CopyBackwards")((result,))
        history.outputs.append((tensor._shape, tensor._storage.dtype))
        tensor._output_index = 0
    else:
        tensor._output_index = result._output_index
        if hasattr(history, "move_results"):
            history.move_results(result._storage, tensor._storage)
    tensor._grad_fn = history
    tensor._generation += 1
    tensor._stamp = None


class _Overwritten(Backward):
    def pullback(self, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        return (None if grads[0] is None else Tensor._zeros(grads[0]._shape, grads[0].dtype),)


class _Identity(Backward):
    def pullback(self, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        return grads


class _CopySlices(Backward):
    """A base after a write into a view of it: the written part's gradient goes to what was written,
    the rest to the base as it was before.
    """

    def __init__(self, base: Tensor, written: Tensor, replay: Callable[[Tensor], Tensor]) -> None:
        super().__init__((base, written))
        self.replay = replay

    def pullback(self, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        grad = grads[0]
        if grad is None:
            return None, None
        rest = written = None
        if self.edges[1] is not None:
            written = self.replay(grad)
        if self.edges[0] is not None:
            rest = grad.clone()  # type: ignore[attr-defined]
            self.replay(rest).zero_()  # type: ignore[attr-defined]
        return rest, written


def _rebase_view(view: Tensor, result: Tensor) -> None:
    base, replay = view._base, view._replay
    assert base is not None and replay is not None
    attach_to = _CopySlices.titled("CopySlices")(base, result, replay)
    attach(base, attach_to)
    base._generation += 1


def write_out(
    name: str,
    function: Callable[..., Any],
    args: tuple[Any, ...],
    kwargs: dict[str, Any],
    out: Any,
) -> Any:
    """Runs the function and writes its results into ``out``, resized where the shape differs."""
    several = isinstance(out, (tuple, list))
    targets = list(out) if several else [out]
    for target in targets:
        if not isinstance(target, Tensor):
            raise TypeError(f"{name}(): argument 'out' must be Tensor, not {type(target).__name__}")
    if state.enabled and any(
        t.requires_grad for t in _tensors([*args, *kwargs.values(), *targets])
    ):
        raise RuntimeError(
            f"{name}(): functions with out=... arguments don't support automatic differentiation, "
            "but "
            "one of the arguments requires grad."
        )
    results = function(*args, **kwargs)
    parts = list(results) if isinstance(results, tuple) else [results]
    for target, result in zip(targets, parts, strict=True):
        kind = target._storage.dtype
        if result._storage.dtype is not kind:
            if not can_cast(result._storage.dtype, kind):
                raise RuntimeError(
                    f"result type {result._storage.dtype.letter} can't be cast to the desired "
                    "output "
                    f"type {kind.letter}"
                )
            result = result.to(kind)
        if target._shape != result._shape:
            resize_output(target, result._shape)
        check_writable(target)
        store(target, result)
    if several:
        return type(results)(targets) if hasattr(results, "_fields") else tuple(targets)
    return out


def _tensors(values: list[Any]) -> list[Tensor]:
    found = []
    for value in values:
        if isinstance(value, Tensor):
            found.append(value)
        elif isinstance(value, (tuple, list)):
            found += [each for each in value if isinstance(each, Tensor)]
    return found


def resize_output(target: Tensor, shape: tuple[int, ...]) -> None:
    """Resizes an ``out=`` tensor; only an empty one without a warning."""
    if target.numel():
        warnings.warn(
            "An output with one or more elements was resized since it had shape "
            f"{list(target._shape)}, "
            f"which does not match the required output shape {list(shape)}. This behavior is "
            "deprecated, "
            "and in a future PyTorch release outputs will not be resized unless they have zero "
            "elements. "
            "You can explicitly reuse an out tensor t by resizing it, inplace, to zero elements "
            "with "
            "t.resize_(0).",
            stacklevel=5,
        )
    target.resize_(shape)  # type: ignore[attr-defined]
