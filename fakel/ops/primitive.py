"""Primitives: operators that become one node of the graph, with a gradient rule an input.

A gradient rule is a function whose parameter names say what it needs: ``grad`` (``grads``), tensor
inputs and static parameters by name, ``input_shape`` for the shape of ``input``, ``result``
(``results``, or ``result1`` and so on for single ones of several). What is named is what is saved;
a shape costs nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from fakel.autograd.modes import state
from fakel.autograd.tape import FREED, Backward, SavedTensor, attach
from fakel.graph import OUTPUT, Operator, record
from fakel.tensor import Tensor

_NOT_SAVED = ("grad", "grads", "needs")
_ONE_RESULT = {f"result{index or ''}": index for index in range(10)}


class Rule:
    """A gradient rule and the names of what it takes."""

    __slots__ = ("function", "names", "saves")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.names = tuple(inspect.signature(function).parameters)
        self.saves = tuple(name for name in self.names if name not in _NOT_SAVED)


class Primitive:
    """A kind of node, called with tensors and static parameters.

    ``shape`` and ``dtype`` of the result are those of the first tensor unless given; tuples of them
    make several outputs.
    """

    def __init__(
        self, name: str, meaning: Callable[..., Any], backward_name: str | None = None
    ) -> None:
        self.name = name
        self.operator = Operator(name, meaning)
        parameters = inspect.signature(meaning).parameters.values()
        self.inputs = tuple(p.name for p in parameters if p.kind is not p.KEYWORD_ONLY)
        self.shapes = {f"{name}_shape": i for i, name in enumerate(self.inputs)}
        self.variadic = any(p.kind is p.VAR_POSITIONAL for p in parameters)
        camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
        self.backward_class = PrimitiveBackward.titled(backward_name or camel + "Backward0")
        self.rules: dict[str, Rule] = {}
        self.joint: Rule | None = None
        self.differentiable: bool | None = None  # None: nobody said

    def __call__(
        self, *tensors: Tensor | None, shape: Any = None, dtype: Any = None, **parameters: Any
    ) -> Any:
        nodes = tuple([None if tensor is None else tensor._node() for tensor in tensors])
        first = tensors[0]
        if shape is None:
            shape = first._shape  # type: ignore[union-attr]
        if dtype is None:
            dtype = first._storage.dtype  # type: ignore[union-attr]
        node = record(self.operator, nodes, parameters, shape, dtype)
        if type(dtype) is tuple:
            results = tuple(
                Tensor._from_node(record(OUTPUT, (node,), {"index": i}, s, d))
                for i, (s, d) in enumerate(zip(shape, dtype, strict=True))
            )
        else:
            results = (Tensor._from_node(node),)
        if state.enabled:
            for tensor in tensors:
                if tensor is not None and tensor.requires_grad:
                    self._track(tensors, parameters, results)
                    break
        elif state.inference:
            for result in results:
                result._storage.inference = True
        return results if type(dtype) is tuple else results[0]

    def _track(
        self,
        tensors: tuple[Tensor | None, ...],
        parameters: dict[str, Any],
        results: tuple[Tensor, ...],
    ) -> None:
        if self.differentiable is False:
            return
        kinds = [r._storage.dtype for r in results]
        if not any(kind.is_floating_point or kind.is_complex for kind in kinds):
            return
        if self.differentiable is None:
            raise NotImplementedError(f"the derivative for '{self.name}' is not implemented.")
        node = self.backward_class(self, tensors, parameters)
        for result in results:
            kind = result._storage.dtype
            if kind.is_floating_point or kind.is_complex:
                attach(result, node)
            else:
                node.outputs.append((result._shape, kind))
        node.save(tensors, results)


class PrimitiveBackward(Backward):
    """The backward node of a primitive: applies its rules to the inputs that need a gradient."""

    def __init__(
        self, primitive: Primitive, tensors: tuple[Tensor | None, ...], parameters: dict[str, Any]
    ) -> None:
        super().__init__(tensors)
        self.primitive = primitive
        self.parameters = parameters
        self.shapes = [
            None if tensor is None else (tensor._shape, tensor._storage.dtype) for tensor in tensors
        ]
        self.saved: dict[Any, SavedTensor | tuple[SavedTensor | None, ...] | None] = {}

    def save(self, tensors: tuple[Tensor | None, ...], results: tuple[Tensor, ...]) -> None:
        """Keeps what the rules of the inputs that need a gradient name, but for shapes."""
        primitive = self.primitive
        rules = [primitive.joint] if primitive.joint else self._needed_rules()
        for rule in rules:
            for name in rule.saves:  # type: ignore[union-attr]
                if name in self.saved or name in self.parameters or name in primitive.shapes:
                    continue
                if name in _ONE_RESULT:
                    self.saved[name] = SavedTensor(results[_ONE_RESULT[name]], True)
                elif name == "results":
                    self.saved[name] = tuple(SavedTensor(result, True) for result in results)
                elif primitive.variadic and name == primitive.inputs[-1]:
                    rest = tensors[len(primitive.inputs) - 1 :]
                    self.saved[name] = tuple(
                        None if t is None else SavedTensor(t, False) for t in rest
                    )
                else:
                    position = primitive.inputs.index(name)
                    tensor = tensors[position] if position < len(tensors) else None
                    self.saved[name] = None if tensor is None else SavedTensor(tensor, False)

    def _needed_rules(self) -> list[Rule]:
        names = self.primitive.inputs
        rules = self.primitive.rules
        return [
            rules[name]
            for name, edge in zip(names, self.edges, strict=False)
            if edge is not None and name in rules
        ]

    def move_results(self, old: Any, new: Any) -> None:
        """Follows results that an in-place operation wrote into another storage."""
        for saved in self.saved.values():
            for each in saved if isinstance(saved, tuple) else (saved,):
                if each is not None:
                    each.move(old, new)

    def pullback(self, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        if all(grad is None for grad in grads):
            return (None,) * len(self.edges)
        known = {
            "grad": grads[0],
            "grads": grads,
            "needs": tuple(edge is not None for edge in self.edges),
        }
        primitive = self.primitive
        if primitive.joint is not None:
            results = list(self._apply(primitive.joint, known))
        else:
            names = primitive.inputs
            results = [
                self._apply(primitive.rules[name], known)
                if edge is not None and name in primitive.rules
                else None
                for name, edge in zip(names, self.edges, strict=False)
            ]
        return tuple(
            None if result is None or self.edges[position] is None else self._fit(result, position)
            for position, result in enumerate(results)
        )

    def _apply(self, rule: Rule, known: dict[str, Any]) -> Any:
        arguments = []
        for name in rule.names:
            if name not in known:
                known[name] = self._look_up(name)
            arguments.append(known[name])
        return rule.function(*arguments)

    def _look_up(self, name: str) -> Any:
        if name in self.parameters:
            return self.parameters[name]
        if name in self.primitive.shapes:
            shape = self.shapes[self.primitive.shapes[name]]
            return None if shape is None else shape[0]
        if self.freed:
            raise RuntimeError(FREED)
        saved = self.saved[name]
        if isinstance(saved, tuple):
            return tuple(None if each is None else each.unpack(self) for each in saved)
        return None if saved is None else saved.unpack(self)

    def _fit(self, grad: Tensor, position: int) -> Tensor:
        """The gradient in the shape and dtype of its input: sums over what was broadcast, drops the
        imaginary part where the input is real.
        """
        shape, kind = self.shapes[position]  # type: ignore[misc]
        if grad._shape != shape:
            grad = grad.sum_to_size(shape)  # type: ignore[attr-defined]
        if grad._storage.dtype is not kind:
            if grad._storage.dtype.is_complex and not kind.is_complex:
                grad = grad.real  # type: ignore[attr-defined]
            grad = grad.to(kind)  # type: ignore[attr-defined]
        return grad

    def free(self) -> None:
        super().free()
        self.saved = {}


def primitive(
    name: str, backward_name: str | None = None
) -> Callable[[Callable[..., Any]], Primitive]:
    """Declares a primitive by its NumPy meaning.

    Args:
        name: the node's name.
        backward_name: what ``grad_fn`` shows; made from the name when left out.
    """

    def declare(meaning: Callable[..., Any]) -> Primitive:
        return Primitive(name, meaning, backward_name)

    return declare


def shown_as(original: Primitive, backward_name: str) -> Primitive:
    """The same node and rules under another name of ``grad_fn``: PyTorch numbers its overloads."""
    twin = Primitive(original.name, original.operator.meaning, backward_name)
    twin.operator, twin.rules, twin.joint = original.operator, original.rules, original.joint
    twin.differentiable = original.differentiable
    return twin


def gradient(
    target: Any, joint: Callable[..., Any] | None = None, /, **rules: Callable[..., Any]
) -> None:
    """Gives a primitive (or an operator of a pointwise family) its gradient rules.

    Args:
        target: what was declared.
        rules: one rule for each differentiable tensor input, by the input's name; ``joint=`` one
            rule that returns the gradients of all inputs.
    """
    chosen: Primitive = getattr(target, "primitive", target)
    chosen.differentiable = True
    joint = rules.pop("joint", joint)
    if joint is not None:
        chosen.joint = Rule(joint)
    for name, rule in rules.items():
        if name not in chosen.inputs:
            raise ValueError(f"{chosen.name} has no input {name}, only {chosen.inputs}")
        chosen.rules[name] = Rule(rule)


def not_differentiable(*targets: Any) -> None:
    """Says that these have no gradient: their results never require one."""
    for target in targets:
        getattr(target, "primitive", target).differentiable = False
