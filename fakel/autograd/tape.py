"""The tape: backward nodes, the tensors they saved, and how results are tied to them."""

from __future__ import annotations

import functools
import itertools
import re
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Self

from fakel.autograd.anomaly import anomaly
from fakel.graph import watching
from fakel.tensor import Storage, Tensor

FREED = (
    "Trying to backward through the graph a second time (or directly access saved tensors after "
    "they "
    "have already been freed). Saved intermediate values of the graph are freed when you call "
    ".backward() or autograd.grad(). Specify retain_graph=True if you need to backward through the "
    "graph a second time or if you need to access saved tensors after calling backward."
)

_sequence = itertools.count()


def next_sequence() -> int:
    """The number of the next backward node, in order of recording."""
    return next(_sequence)


class SavedTensor:
    """A tensor kept for backward, with the version that its storage had.

    A result of the node that saves it is kept without its tie to that node, which would be a cycle.
    """

    __slots__ = ("is_result", "output_index", "packed", "storage", "tensor", "version")

    def __init__(self, tensor: Tensor, is_result: bool) -> None:
        if tensor._storage.inference:
            raise RuntimeError(
                "Inference tensors cannot be saved for backward. Please do not use Tensors "
                "created in "
                "inference mode in computation tracked by autograd. To work around this, you can "
                "make a "
                "clone to get a normal tensor and use it in autograd, or use `torch.no_grad()` "
                "instead "
                "of `torch.inference_mode()`."
            )
        self.is_result = is_result
        self.output_index = tensor._output_index
        self.storage: Storage = tensor._storage
        self.version = tensor._storage.version
        self.packed: tuple[Any, Callable[[Any], Tensor]] | None = None
        hooks = saved_tensor_hooks
        if hooks:
            pack, unpack = hooks[-1]
            self.packed = (pack(tensor.detach() if is_result else tensor), unpack)  # type: ignore[attr-defined]
            self.tensor: Tensor | None = None
        else:
            self.tensor = tensor._alias() if is_result else tensor

    def move(self, old: Storage, new: Storage) -> None:
        """Follows a result that an in-place operation wrote into another storage."""
        if self.storage is old and self.tensor is not None:
            self.storage, self.version = new, new.version

    def unpack(self, owner: Backward) -> Tensor:
        """The tensor, or the error that it was overwritten or freed since."""
        if self.packed is not None:
            value, unpack = self.packed
            return unpack(value)
        tensor = self.tensor
        assert tensor is not None
        if self.storage.version != self.version:
            raise RuntimeError(self._overwritten(tensor, owner))
        if self.is_result:
            alias = tensor._alias()
            alias._grad_fn = owner
            alias._output_index = self.output_index
            return alias
        return tensor

    def _overwritten(self, tensor: Tensor, owner: Backward) -> str:
        made_by = owner if self.is_result else tensor._backward_node()
        which = ""
        if made_by is not None:
            operation = re.sub(r"Backward\d*$", "", made_by.name())
            which = f", which is output {self.output_index} of {operation},"
        kind = f"torch.{tensor.dtype.letter}Tensor"
        hint = (
            "Hint: the backtrace further above shows the operation that failed to compute its "
            "gradient. "
            "The variable in question was changed in there or anywhere later. Good luck!"
            if anomaly.enabled
            else "Hint: enable anomaly detection to find the operation that failed to compute its "
            "gradient, with torch.autograd.set_detect_anomaly(True, "
            "check_nan=False)."
        )
        return (
            "one of the variables needed for gradient computation has been modified by an inplace "
            f"operation: [{kind} {list(tensor._shape)}]{which} is at version "
            f"{self.storage.version}; "
            f"expected version {self.version} instead. {hint}"
        )


# the (pack, unpack) pairs of `saved_tensors_hooks` that are in force
saved_tensor_hooks: list[tuple[Callable[[Tensor], Any], Callable[[Any], Tensor]]] = []


class Backward:
    """The record of one operation: turns gradients of its outputs into gradients of its inputs.

    ``edges`` leads to where each input came from: a leaf tensor, a pair of another backward node
    and the index of its output, or None. Subclasses implement ``pullback``; ``titled`` gives them
    the names that PyTorch's nodes have.
    """

    deferred = False  # what only stands for a backward node says True
    repeatable = False  # whether everything but edges and saved tensors is the same the next time
    # made when the first one is registered, so that a node costs little; `hooked` says that one was
    hooked = False
    hooks: Mapping[int, Callable[..., Any]] = MappingProxyType({})
    prehooks: Mapping[int, Callable[..., Any]] = MappingProxyType({})
    tensor_hooks: Mapping[int, dict[int, Callable[[Tensor], Any]]] = MappingProxyType({})
    retained: Mapping[int, Any] = MappingProxyType({})

    @classmethod
    @functools.cache
    def titled(cls, title: str) -> type[Self]:
        """The subclass whose nodes are called ``title``."""
        return type(title, (cls,), {})

    def __init__(self, inputs: Iterable[Tensor | None]) -> None:
        # edges first: asking for them may make deferred nodes, which are older than this one
        self.edges = [edge_of(tensor) for tensor in inputs]
        self.sequence = next(_sequence)
        self.outputs: list[tuple[Any, Any]] = []  # (shape, dtype) of each output
        self.freed = False
        self.stack = traceback.format_stack()[:-3] if anomaly.enabled else None
        if watching.capture is not None:
            watching.capture.recorded(self)

    def pullback(self, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        """The gradients of the inputs, None where there is none."""
        raise NotImplementedError

    def free(self) -> None:
        """Lets go of what was saved."""
        self.freed = True

    def __call__(self, *grads: Any) -> Any:
        """The gradients of the inputs from those of the outputs, without hooks; nothing is freed.

        Returns:
            a tensor or None, a tuple of them where there are several inputs.
        """
        outputs = [kind.is_floating_point or kind.is_complex for _, kind in self.outputs]
        if len(grads) != sum(outputs):
            raise TypeError(f"expected {sum(outputs)} arguments, got {len(grads)} instead")
        for position, grad in enumerate(grads):
            if grad is not None and not isinstance(grad, Tensor):
                raise TypeError(f"argument {position} is not a Variable")
        given = iter(grads)
        arriving = tuple([next(given) if counts else None for counts in outputs])
        positions = self.inputs()
        results: Sequence[Tensor | None] = [None] * len(self.edges)
        if any(grad is not None for grad in grads):
            results = self.pullback(arriving)
        found = tuple([results[position] for position in positions])
        return found[0] if len(found) == 1 else found

    def name(self) -> str:
        """PyTorch's name of the node, "MulBackward0"."""
        return type(self).__name__

    @functools.cached_property
    def metadata(self) -> dict[Any, Any]:
        """Room for whatever a program wants to note."""
        return {}

    def own(self, table: str) -> Any:
        """One of the tables of hooks, made if it is not there yet."""
        self.hooked = True
        return self.__dict__.setdefault(table, {})

    @property
    def next_functions(self) -> tuple[tuple[Any, int], ...]:
        """The nodes that this one hands gradients to, with the index of their output."""
        return tuple([_next_function(self.edges[position]) for position in self.inputs()])

    def inputs(self) -> Sequence[int]:
        """The positions of the edges that PyTorch's node has as well."""
        return range(len(self.edges))

    def register_hook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls ``hook(grad_inputs, grad_outputs)`` after this node ran; what it returns replaces
        the inputs' gradients.
        """
        return RemovableHandle(self.own("hooks"), hook)

    def register_prehook(self, hook: Callable[..., Any]) -> RemovableHandle:
        """Calls ``hook(grad_outputs)`` before this node runs; what it returns replaces them."""
        return RemovableHandle(self.own("prehooks"), hook)

    def __repr__(self) -> str:
        return f"<{self.name()} object at {hex(id(self))}>"


class AccumulateGrad:
    """How ``next_functions`` shows a leaf."""

    def __init__(self, variable: Tensor) -> None:
        self.variable = variable
        self.next_functions: tuple[Any, ...] = ()

    def name(self) -> str:
        """PyTorch's name of the node."""
        return "torch::autograd::AccumulateGrad"

    def __repr__(self) -> str:
        return f"<AccumulateGrad object at {hex(id(self))}>"


class RemovableHandle:
    """What registering a hook returns: ``remove()`` takes the hook away again."""

    _keys = itertools.count()

    def __init__(self, hooks: dict[int, Any], hook: Any) -> None:
        self.id = next(self._keys)
        self._hooks = hooks
        hooks[self.id] = hook

    def remove(self) -> None:
        """Takes the hook away."""
        self._hooks.pop(self.id, None)

    def __enter__(self) -> RemovableHandle:
        return self

    def __exit__(self, *exception: object) -> None:
        self.remove()


def _next_function(edge: Any) -> tuple[Any, int]:
    if edge is None:
        return None, 0
    return (AccumulateGrad(edge), 0) if isinstance(edge, Tensor) else edge


def edge_of(tensor: Tensor | None) -> Any:
    """Where a tensor's gradient goes: None, the tensor for a leaf, else its node and index."""
    if tensor is None:
        return None
    node = tensor._backward_node()
    if node is not None:
        return node, tensor._output_index
    return tensor if tensor._requires_grad else None


def attach(result: Tensor, node: Backward) -> Tensor:
    """Makes ``result`` the next output of ``node``."""
    result._grad_fn = node
    result._stamp = None
    result._output_index = len(node.outputs)
    node.outputs.append((result._shape, result._storage.dtype))
    return result


def retitled(result: Any, title: str, inputs: Iterable[Any] = ()) -> Any:
    """What was made of several operators, with its history under the name of PyTorch's one.

    Args:
        result: a tensor, or a tuple or list of them.
        title: the name, "MseLossBackward0".
        inputs: what the result was made from; tensors among them keep the names they have.
    """
    tensors = result if isinstance(result, (tuple, list)) else (result,)
    known = [each._grad_fn for each in inputs if isinstance(each, Tensor)]
    for tensor in tensors:
        node = tensor._backward_node() if isinstance(tensor, Tensor) else None
        if node is not None and not any(node is each for each in known):
            node.__class__ = type(node).titled(title)
    return result


class Pullback(Backward):
    """A backward node given by a function of one gradient, for operations with one input.

    The function holds only shapes and numbers, so there is nothing to free.
    """

    repeatable = True

    def __init__(self, input: Tensor, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__((input,))
        self.function = function

    def pullback(self, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        grad = grads[0]
        return (None if grad is None else self.function(grad),)
