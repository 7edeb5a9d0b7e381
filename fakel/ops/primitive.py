"""Primitives: operators that become one node of the graph, with a gradient rule an input.

A gradient rule is a function whose parameter names say what it needs: ``grad`` (``grads``), tensor
inputs and static parameters by name, ``input_shape`` for the shape of ``input``, ``result``
(``results``, or ``result1`` and so on for single ones of several). What is named is what is saved;
a shape costs nothing.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from fakel.autograd.modes import state
from fakel.autograd.tape import FREED, Backward, SavedTensor, attach
from fakel.graph import OUTPUT, Operator, record
from fakel.tensor import Tensor
from fakel.tensor.memory import follow

# a name in a rule, where it comes from ("input", "result", "results", "rest"), its position there
Saving = tuple[str, str, int]

# whose results lie in PyTorch's memory as their operands do; so do those of flip
_POINTWISE = frozenset(
    """
    abs acos acosh add add_scaled addcdiv addcmul angle asin asinh atan atan2 atanh bitwise_and
    bitwise_not bitwise_or bitwise_xor ceil clamp copy copysign cos cosh deg2rad div div_floor
    div_trunc elu eq erf erfc erfinv exp exp2 expm1 flip floor fmax fmin fmod frac ge gelu gt
    hardshrink hardsigmoid hardswish hardtanh hypot le leaky_relu lerp log log10 log1p log2
    logaddexp logical_and logical_not logical_or logical_xor logit logsigmoid lt maximum minimum
    mish mul nan_to_num ne neg pow rad2deg reciprocal relu remainder round rsqrt sgn sigmoid sign
    silu sin sinc sinh softplus softshrink sqrt square sub sub_scaled tan tanh threshold to trunc
    where xlogy
    """.split()
)

# of PyTorch's nodes with one input, of which the numbers beside it are none
_OF_ONE_TENSOR = frozenset(
    """
    AddBackward1 ClampBackward1 ClampMaxBackward0 ClampMinBackward0 DivBackward1 MaskedFillBackward0
    MulBackward1 SubBackward1
    """.split()
)

_NOT_SAVED = ("grad", "grads", "needs")
_ONE_RESULT = {f"result{index or ''}": index for index in range(10)}


def _parameters(function: Callable[..., Any]) -> tuple[str, ...]:
    """The names of all parameters of a plain function; `inspect.signature` is many times slower."""
    code = function.__code__
    count = code.co_argcount + code.co_kwonlyargcount
    count += bool(code.co_flags & inspect.CO_VARARGS) + bool(code.co_flags & inspect.CO_VARKEYWORDS)
    return code.co_varnames[:count]


class Rule:
    """A gradient rule and the names of what it takes."""

    __slots__ = ("function", "names", "saves")

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = function
        self.names = _parameters(function)
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
        self.pointwise = name in _POINTWISE
        self.operator = Operator(name, meaning)
        code = meaning.__code__
        self.variadic = bool(code.co_flags & inspect.CO_VARARGS)
        static = code.co_varnames[code.co_argcount :][: code.co_kwonlyargcount]
        self.inputs = tuple(name for name in _parameters(meaning) if name not in static)
        self.shapes = {f"{name}_shape": i for i, name in enumerate(self.inputs)}
        camel = "".join(part[:1].upper() + part[1:] for part in name.split("_"))
        self.backward_class = PrimitiveBackward.titled(backward_name or camel + "Backward0")
        self.rules: dict[str, Rule] = {}
        self.joint: Rule | None = None
        self.differentiable: bool | None = None  # None: nobody said
        # which inputs need a gradient -> what their rules save
        self.savings: dict[tuple[bool, ...], tuple[Saving, ...]] = {}

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
        several = type(dtype) is tuple
        if several:
            results = tuple(
                Tensor._from_node(record(OUTPUT, (node,), {"index": i}, s, d))
                for i, (s, d) in enumerate(zip(shape, dtype, strict=True))
            )
        else:
            results = (Tensor._from_node(node),)
            if self.pointwise:
                for tensor in tensors:
                    if tensor is not None and (
                        tensor._strides is not None or tensor._storage.layout is not None
                    ):
                        follow(results[0], tensors)
                        break
        if state.enabled:
            for tensor in tensors:
                if tensor is not None and (tensor._requires_grad or tensor._has_history()):
                    self._track(tensors, parameters, results)
                    break
        elif state.inference:
            for result in results:
                result._storage.inference = True
        return results if several else results[0]

    def saving(self, needs: tuple[bool, ...], parameters: dict[str, Any]) -> tuple[Saving, ...]:
        """What the rules of the inputs that need a gradient name, but for shapes and parameters."""
        known = self.savings.get(needs)
        if known is not None:
            return known
        rules = [self.joint] if self.joint else self.needed_rules(needs)
        found: dict[str, Saving] = {}
        for rule in rules:
            for name in rule.saves:
                if name in parameters or name in self.shapes:
                    continue
                if name in _ONE_RESULT:
                    found[name] = name, "result", _ONE_RESULT[name]
                elif name == "results":
                    found[name] = name, "results", 0
                elif self.variadic and name == self.inputs[-1]:
                    found[name] = name, "rest", len(self.inputs) - 1
                else:
                    found[name] = name, "input", self.inputs.index(name)
        self.savings[needs] = tuple(found.values())
        return self.savings[needs]

    def needed_rules(self, needs: Sequence[bool]) -> list[Rule]:
        """The rules of the inputs that need a gradient."""
        rules = self.rules
        return [
            rules[name]
            for name, needed in zip(self.inputs, needs, strict=False)
            if needed and name in rules
        ]

    def _track(
        self,
        tensors: tuple[Tensor | None, ...],
        parameters: dict[str, Any],
        results: tuple[Tensor, ...],
    ) -> None:
        if self.differentiable is False:
            return
        for result in results:
            kind = result._storage.dtype
            if kind.is_floating_point or kind.is_complex:
                break
        else:
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

    repeatable = True

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
        primitive, saved = self.primitive, self.saved
        needs = () if primitive.joint else tuple([edge is not None for edge in self.edges])
        for name, kind, position in primitive.saving(needs, self.parameters):
            if kind == "result":
                saved[name] = SavedTensor(results[position], True)
            elif kind == "input":
                tensor = tensors[position] if position < len(tensors) else None
                saved[name] = None if tensor is None else SavedTensor(tensor, False)
            elif kind == "results":
                saved[name] = tuple(SavedTensor(result, True) for result in results)
            else:
                saved[name] = tuple(
                    None if t is None else SavedTensor(t, False) for t in tensors[position:]
                )

    def inputs(self) -> Sequence[int]:
        primitive = self.primitive
        if self.name() in _OF_ONE_TENSOR:
            return (0,)
        if primitive.joint is not None:
            return super().inputs()
        named = zip(range(len(self.edges)), primitive.inputs, strict=False)
        return [position for position, name in named if name in primitive.rules]

    def move_results(self, old: Any, new: Any) -> None:
        """Follows results that an in-place operation wrote into another storage."""
        for saved in self.saved.values():
            for each in saved if isinstance(saved, tuple) else (saved,):
                if each is not None:
                    each.move(old, new)

    def pullback(self, grads: tuple[Tensor | None, ...]) -> tuple[Tensor | None, ...]:
        for grad in grads:
            if grad is not None:
                break
        else:
            return (None,) * len(self.edges)
        known: dict[str, Any] = {"grad": grads[0], "grads": grads}
        primitive = self.primitive
        if primitive.joint is not None:
            known["needs"] = tuple([edge is not None for edge in self.edges])
            results = self._apply(primitive.joint, known)
            return tuple(
                [
                    None
                    if result is None or self.edges[position] is None
                    else self._fit(result, position)
                    for position, result in enumerate(results)
                ]
            )
        found: list[Tensor | None] = []
        rules = primitive.rules
        for position, (name, edge) in enumerate(zip(primitive.inputs, self.edges, strict=False)):
            result = None
            if edge is not None and name in rules:
                result = self._apply(rules[name], known)
            found.append(None if result is None else self._fit(result, position))
        return tuple(found)

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
    chosen.savings.clear()
    for name, rule in rules.items():
        if name not in chosen.inputs:
            raise ValueError(f"{chosen.name} has no input {name}, only {chosen.inputs}")
        chosen.rules[name] = Rule(rule)


def refused(operator_name: str) -> Callable[..., Any]:
    """The gradient rule of an operator whose derivative PyTorch refuses to give."""

    def rule(grad: Any) -> Any:
        raise RuntimeError(f"derivative for {operator_name} is not implemented")

    return rule


def not_differentiable(*targets: Any) -> None:
    """Says that these have no gradient: their results never require one."""
    for target in targets:
        getattr(target, "primitive", target).differentiable = False
