"""User-defined differentiable operations: ``torch.autograd.Function``."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from fakel.autograd.modes import no_grad, set_grad_enabled, state
from fakel.autograd.tape import FREED, Backward, SavedTensor, attach
from fakel.tensor import Tensor


class FunctionCtx:
    """What ``forward`` leaves for ``backward``; attributes may be set freely."""

    def __init__(self) -> None:
        self._to_save: tuple[Tensor | None, ...] = ()
        self._saved: list[SavedTensor | None] = []
        self._freed = False
        self._node: Backward | None = None
        self._dirty: tuple[Tensor, ...] = ()
        self._non_differentiable: tuple[Tensor, ...] = ()
        self._materialize = True
        self.needs_input_grad: tuple[bool, ...] = ()

    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keeps tensors for backward; overwriting them in between is detected."""
        for position, tensor in enumerate(tensors):
            if tensor is not None and not isinstance(tensor, Tensor):
                raise TypeError(
                    f"save_for_backward can only save variables, but argument {position} is of "
                    f"type {type(tensor).__name__}"
                )
        self._to_save = tensors

    save_for_forward = save_for_backward

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Says which inputs ``forward`` changed in place."""
        self._dirty = tensors

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Says which outputs have no gradient."""
        self._non_differentiable = tensors

    def set_materialize_grads(self, value: bool) -> None:
        """Whether gradients that do not exist come as zeros (the default) or as None."""
        self._materialize = value

    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """The tensors that were saved.

        Raises:
            RuntimeError: when one was overwritten since, or all were freed by an earlier backward.
        """
        if self._freed:
            raise RuntimeError(FREED)
        if self._node is None:
            return self._to_save
        return tuple(None if s is None else s.unpack(self._node) for s in self._saved)


class _FunctionBackward(Backward):
    def __init__(
        self, cls: type[Function], context: FunctionCtx, inputs: list[Tensor | None]
    ) -> None:
        super().__init__(inputs)
        self.shapes = [None if tensor is None else tensor._shape for tensor in inputs]
        self.function = cls
        self.context = context
        self.returned: list[Any] = []  # what `forward` returned: (tied to this node, shape, dtype)

    def apply(self, *grads: Any) -> Any:
        """What the function's ``backward`` returns for these gradients."""
        return self.function.backward(self.context, *grads)

    def __call__(self, *grads: Any) -> Any:
        """Refused: the nodes of a program's own functions have ``apply``."""
        raise TypeError(f"{self.name()!r} object is not callable")

    def __getattr__(self, name: str) -> Any:
        # the node is the context as well: saved_tensors, needs_input_grad, the program's own
        context = self.__dict__.get("context")
        if not name.startswith("_") and hasattr(context, name):
            return getattr(context, name)
        raise AttributeError(f"{self.name()!r} object has no attribute {name!r}")

    def for_backward(self, grads: tuple[Tensor | None, ...]) -> list[Tensor | None]:
        """A gradient for everything that ``forward`` returned."""
        waiting = iter(grads)
        every = [next(waiting) if tied else None for tied, _, _ in self.returned]
        if not self.context._materialize:
            return every
        return [
            Tensor._zeros(shape, dtype)  # type: ignore[attr-defined]
            if grad is None and dtype is not None
            else grad
            for grad, (_, shape, dtype) in zip(every, self.returned, strict=True)
        ]

    def pullback(self, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        results = self.function.backward(self.context, *self.for_backward(grads))
        if not isinstance(results, tuple):
            results = (results,)
        count = len(self.edges)
        if len(results) > count and any(extra is not None for extra in results[count:]):
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected "
                f"{count}, "
                f"got {len(results)})"
            )
        if len(results) < count:
            raise RuntimeError(
                f"function {self.name()} returned an incorrect number of gradients (expected "
                f"{count}, "
                f"got {len(results)})"
            )
        for grad in results[:count]:
            if grad is not None and not isinstance(grad, Tensor):
                raise RuntimeError(f"expected Variable or None (got {type(grad).__name__})")
        return tuple(
            None if grad is None or edge is None else self._fit(grad, shape, position)
            for position, (grad, edge, shape) in enumerate(
                zip(results[:count], self.edges, self.shapes, strict=True)
            )
        )

    def _fit(self, grad: Tensor, shape: Any, position: int) -> Tensor:
        """The gradient in the shape of its input, summed where that broadcasts to it."""
        if grad._shape == shape:
            return grad
        try:
            return grad.sum_to_size(shape)  # type: ignore[attr-defined, no-any-return]
        except RuntimeError:
            raise RuntimeError(
                f"Function {self.name()} returned an invalid gradient at index {position} - got "
                f"{list(grad._shape)} but expected shape compatible with {list(shape)}"
            ) from None

    def free(self) -> None:
        super().free()
        self.context._freed = True
        self.context._saved = []


class Function:
    """A differentiable operation given by its own ``forward`` and ``backward``.

    Subclasses define the static methods ``forward(ctx, *args)`` (or ``forward(*args)`` together
    with ``setup_context(ctx, inputs, output)``) and ``backward(ctx, *grads)``, and are called with
    ``apply``.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        warnings.warn(
            f"{type(self)} should not be instantiated. Methods on autograd functions are all "
            "static, so "
            "you should invoke them on the class itself. Instantiating an autograd function "
            "will raise an "
            "error in a future version of PyTorch.",
            DeprecationWarning,
            stacklevel=2,
        )

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        raise RuntimeError(
            "Legacy autograd function with non-static forward method is deprecated. Please "
            "use new-style "
            "autograd function with static forward method. (Example: "
            "https://pytorch.org/docs/stable/autograd.html#torch.autograd.Function)"
        )

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Computes the results."""
        raise NotImplementedError(
            "You must implement the forward function for custom autograd.Function."
        )

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> Any:
        """Leaves in ``ctx`` what backward needs."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """Returns the gradient of each argument of ``forward``, None where there is none."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom "
            "autograd.Function to "
            "use it with backward mode AD."
        )

    @classmethod
    def apply(cls, *args: Any) -> Any:
        """Runs ``forward`` and ties its results to ``backward``."""
        context = FunctionCtx()
        inputs = [arg if isinstance(arg, Tensor) else None for arg in args]
        context.needs_input_grad = tuple(t is not None and t.requires_grad for t in inputs)
        tracked = state.enabled and any(context.needs_input_grad)
        node = None
        if tracked:
            node = _FunctionBackward.titled(cls.__name__ + "Backward")(cls, context, inputs)
        with no_grad():
            if cls.setup_context is Function.setup_context:
                output = cls.forward(context, *args)
            else:
                output = cls.forward(*args)
                cls.setup_context(context, args, output)
        outputs = output if isinstance(output, (tuple, list)) else (output,)
        if node is not None:
            results = [
                _tie(value, node, context, inputs) if isinstance(value, Tensor) else value
                for value in outputs
            ]
            node.returned = [
                (value._grad_fn is node, value._shape, value.dtype)
                if isinstance(value, Tensor)
                else (False, None, None)
                for value in results
            ]
            context._node = node
            context._saved = [
                None if t is None else SavedTensor(t, any(t is r for r in results))
                for t in (_same(t, outputs, results) for t in context._to_save)
            ]
            context._to_save = ()
            outputs = results
        if isinstance(output, (tuple, list)):
            return tuple(outputs)
        return outputs[0]


def _same(tensor: Tensor | None, outputs: Any, results: list[Any]) -> Tensor | None:
    """The result that stands for a saved output."""
    for before, after in zip(outputs, results, strict=True):
        if before is tensor and tensor is not None:
            return after  # type: ignore[no-any-return]
    return tensor


def _tie(
    value: Tensor, node: Backward, context: FunctionCtx, inputs: list[Tensor | None]
) -> Tensor:
    plain = any(value is t for t in context._non_differentiable)
    if plain or not (value.is_floating_point() or value.is_complex()):
        node.outputs.append((value._shape, value.dtype))
        return value
    dirty = any(value is t for t in context._dirty)
    if not dirty and any(value is t for t in inputs):
        value = value._alias()
    if dirty and value._requires_grad and value._grad_fn is None:
        raise RuntimeError(
            "a leaf Variable that requires grad is being used in an in-place operation."
        )
    return attach(value, node)


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Marks a ``backward`` that cannot be differentiated itself."""

    @functools.wraps(backward)
    def wrapper(ctx: Any, *grads: Any) -> Any:
        with set_grad_enabled(False):
            results = backward(ctx, *grads)
        if not (state.enabled and any(isinstance(g, Tensor) and g.requires_grad for g in grads)):
            return results
        many = results if isinstance(results, tuple) else (results,)
        refused = tuple(_refusing(r) if isinstance(r, Tensor) else r for r in many)
        return refused if isinstance(results, tuple) else refused[0]

    return wrapper


class _Refuse(Backward):
    def pullback(self, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        raise RuntimeError(
            "trying to differentiate twice a function that was marked with @once_differentiable"
        )


def _refusing(tensor: Tensor) -> Tensor:
    alias = tensor._alias()
    return attach(alias, _Refuse.titled("DelayedErrorBackward")(()))
