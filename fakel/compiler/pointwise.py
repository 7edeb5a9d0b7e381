"""Pointwise nodes: expressions of the loop IR, fused into one kernel as far as nobody else reads
them.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fakel.compiler import math
from fakel.compiler.loop_ir import Builder, Cast, Expression, Type, binary, call, literal, select
from fakel.compiler.lowering import SCALARS, Access
from fakel.compiler.nests import broadcast_strides, merged
from fakel.compiler.plan import Plan
from fakel.graph import Node

# kernels over fewer elements than this stay on one thread
PARALLEL_ELEMENTS = 16384
_LARGEST_EXPRESSION = 40  # nodes


def _compare(operation: str) -> Callable[..., Expression]:
    return lambda a, b: binary(operation, a, b)


def _arithmetic(operation: str) -> Callable[..., Expression]:
    return lambda a, b: binary(operation, a, b)


def _gelu(x: Expression, approximate: str) -> Expression:
    if approximate == "tanh":
        inner = (x + x * x * x * 0.044715) * 0.7978845608028654
        return x * 0.5 * (math.tanh(inner) + 1.0)
    return x * 0.5 * (math.erf(x * 0.7071067811865476) + 1.0)


def _gelu_gradient(grad: Expression, x: Expression, approximate: str) -> Expression:
    if approximate == "tanh":
        inner = (x + x * x * x * 0.044715) * 0.7978845608028654
        t = math.tanh(inner)
        slope = (x * x * (3 * 0.044715) + 1.0) * 0.7978845608028654
        return grad * ((t + 1.0) * 0.5 + x * 0.5 * (1.0 - t * t) * slope)
    density = math.exp(x * x * -0.5) * 0.3989422804014327
    return grad * ((math.erf(x * 0.7071067811865476) + 1.0) * 0.5 + x * density)


def _relu_gradient(grad: Expression, output: Expression) -> Expression:
    return select(binary("<=", output, 0.0), 0.0, grad)


# operators of any element type; comparisons give i1
_ANY: dict[str, Callable[..., Expression]] = {
    "add": _arithmetic("+"),
    "sub": _arithmetic("-"),
    "mul": _arithmetic("*"),
    "neg": lambda x: -x,
    "eq": _compare("=="),
    "ne": _compare("!="),
    "lt": _compare("<"),
    "le": _compare("<="),
    "gt": _compare(">"),
    "ge": _compare(">="),
    "square": lambda x: x * x,
    "copy": lambda x: x,
    "full": lambda value, size: value,
    "where": lambda condition, a, b: select(condition, a, b),
    "masked_fill": lambda x, mask, value: select(mask, value, x),
}
# operators of floating-point numbers of either size
_FLOAT: dict[str, Callable[..., Expression]] = {
    "div": _arithmetic("/"),
    "abs": lambda x: call("fabs", x),
    "sqrt": lambda x: call("sqrt", x),
    "rsqrt": lambda x: 1.0 / call("sqrt", x),
    "reciprocal": lambda x: 1.0 / x,
    "floor": lambda x: call("floor", x),
    "ceil": lambda x: call("ceil", x),
    "maximum": lambda a, b: call("maximum", a, b),
    "minimum": lambda a, b: call("minimum", a, b),
    "relu": lambda x: select(binary("<", x, 0.0), 0.0, x),
    "relu_gradient": _relu_gradient,
    "leaky_relu": lambda x, slope: select(binary(">", x, 0.0), x, x * slope),
    "add_scaled": lambda a, b, alpha: a + alpha * b,
    "addcmul": lambda a, b, c, value: a + value * b * c,
    "addcdiv": lambda a, b, c, value: a + value * b / c,
    "lerp": lambda a, b, weight: a + weight * (b - a),
}
# operators of float32 only
_SINGLE: dict[str, Callable[..., Expression]] = {
    "exp": math.exp,
    "log": math.log,
    "sigmoid": math.sigmoid,
    "tanh": math.tanh,
    "erf": math.erf,
    "silu": lambda x: x * math.sigmoid(x),
    "gelu": _gelu,
    "gelu_gradient": _gelu_gradient,
}
_LOGICAL_ONLY = ("add", "sub", "mul", "neg", "square")


def is_pointwise(node: Node) -> bool:
    """Whether a node can be part of a fused kernel."""
    name = node.operator.name
    if isinstance(node.dtype, tuple) or node.dtype.name not in SCALARS:
        return False
    kinds = [source.dtype for source in node.inputs if source is not None]
    if len(kinds) != len(node.inputs) or any(kind.name not in SCALARS for kind in kinds):
        return False
    if name == "to":
        return not (kinds[0].is_floating_point and not node.dtype.is_floating_point)
    if name in _ANY:
        # arithmetic of bool is logic, which these expressions are not
        return not (kinds[0].name == "bool" and name in _LOGICAL_ONLY)
    if name in _FLOAT:
        return all(kind.is_floating_point for kind in kinds)
    return name in _SINGLE and all(kind.name == "float32" for kind in kinds)


def apply(name: str, inputs: list[Expression], parameters: dict[str, Any]) -> Expression:
    """What an operator other than "to" gives for these inputs, which may be vectors."""
    table = _ANY if name in _ANY else _FLOAT if name in _FLOAT else _SINGLE
    return table[name](*inputs, **parameters)


def _expression(node: Node, inputs: list[Expression]) -> Expression:
    if node.operator.name == "to":
        return _convert(inputs[0], node.dtype)
    return apply(node.operator.name, inputs, node.parameters)


def _convert(value: Expression, dtype: Any) -> Expression:
    if dtype.name == "bool":
        return value if value.type.scalar == "i1" else binary("!=", value, 0)
    scalar = SCALARS[dtype.name]
    return value if value.type.scalar == scalar else Cast(value, Type(scalar))


class Fusion:
    """The pointwise nodes that wait to become part of their only reader's kernel."""

    def __init__(self) -> None:
        self.waiting: dict[int, Node] = {}
        self.sizes: dict[int, int] = {}

    def __call__(self, plan: Plan, node: Node) -> bool:
        """Takes a node: lets it wait, or adds the kernel that computes it. False when it is not
        pointwise.
        """
        if not is_pointwise(node):
            return False
        size = 1 + sum(self.sizes.get(id(source), 0) for source in node.inputs)
        if self._may_wait(plan, node) and size < _LARGEST_EXPRESSION:
            self.waiting[id(node)] = node
            self.sizes[id(node)] = size
        else:
            self._emit(plan, node)
        return True

    def _may_wait(self, plan: Plan, node: Node) -> bool:
        consumers = plan.consumers.get(id(node), [])
        if node.held or len(consumers) != 1:
            return False
        reader = consumers[0]
        return is_pointwise(reader) and tuple(reader.shape) == tuple(node.shape)

    def _emit(self, plan: Plan, node: Node) -> None:
        sources: list[Access] = []
        self._collect(plan, node, sources)
        shape = tuple(node.shape)
        out = plan.result(node)
        strides = [broadcast_strides(a.shape, a.strides, shape) for a in sources]
        sizes, steps, _ = merged(shape, [*strides, out.strides])
        build = Builder("pointwise")
        buffers = [build.buffer(f"x{i}", a.scalar) for i, a in enumerate(sources)]
        target = build.buffer("out", out.scalar)

        def body(indices: list[Expression]) -> None:
            def at(operand: int) -> Expression:
                total = literal(0, "i64")
                for index, step in zip(indices, steps[operand], strict=True):
                    total = total + index * step
                return total

            loaded: dict[Access, Expression] = {}
            for number, access in enumerate(sources):
                value = build.load(buffers[number], at(number))
                loaded[access] = binary("!=", value, 0) if access.dtype.name == "bool" else value
            build.store(target, at(len(sources)), self._value(plan, node, loaded))

        parallel = out.count >= PARALLEL_ELEMENTS
        nest(build, sizes, body, parallel)
        plan.call(build.kernel, [*sources, out], writes=[out], parallel=parallel, elementwise=True)

    def _collect(self, plan: Plan, node: Node, found: list[Access]) -> None:
        for source in node.inputs:
            assert source is not None
            if id(source) in self.waiting:
                self._collect(plan, source, found)
            elif plan.read(source) not in found:
                found.append(plan.read(source))

    def _value(self, plan: Plan, node: Node, loaded: dict[Access, Expression]) -> Expression:
        inputs = [
            self._value(plan, source, loaded)
            if id(source) in self.waiting
            else loaded[plan.read(source)]
            for source in node.inputs
            if source is not None
        ]
        return _expression(node, inputs)


def nest(
    build: Builder, sizes: list[int], body: Callable[[list[Expression]], None], parallel: bool
) -> None:
    """Loops over all sizes around ``body``; threads share the outermost."""
    if not sizes:
        body([])
        return

    def inner(dim: int, indices: list[Expression]) -> None:
        if dim == len(sizes):
            body(indices)
            return
        if dim == 0 and parallel:
            with build.share(sizes[0], grain=64 if len(sizes) == 1 else 1) as index:
                inner(1, [index])
            return
        with build.loop(sizes[dim]) as index:
            inner(dim + 1, [*indices, index])

    inner(0, [])
