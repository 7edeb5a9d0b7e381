"""What pointwise nodes compute, as expressions of the loop IR.

An entry of the table takes the values of a node's inputs (bools are ``i1``) and its parameters, and
says for which element types it holds. The definition is the operator's meaning in NumPy.
"""

from __future__ import annotations

import math as numbers
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fakel.compiler import graph
from fakel.compiler.loop_ir import math
from fakel.compiler.loop_ir.language import (
    Expression,
    Type,
    binary,
    call,
    cast,
    fma,
    literal,
    select,
)
from fakel.compiler.planning.lowering import SCALARS

Value = Expression
# one letter an element type: floating-point, signed, unsigned, bool
_LETTERS = {"float32": "f", "float64": "f", "uint8": "u", "bool": "b"}
_CHEAP, _DIVISION, _COSTLY = 1, 4, 16


@dataclass(frozen=True)
class Meaning:
    """How a node is computed.

    Args:
        function: the values of the inputs (None for absent ones) and the parameters by name.
        kinds: the letters of the element types that inputs may have.
        cost: roughly how many additions it is worth.
        mixed: whether inputs may differ in type.
        wrong: gives where inputs are an error.
    """

    function: Callable[..., Value]
    kinds: str
    cost: int = _CHEAP
    mixed: bool = False
    wrong: Callable[..., Value] | None = None


def is_pointwise(node: graph.Value) -> bool:
    """Whether a node can be part of a fused kernel."""
    meaning = MEANINGS.get(node.operator.name)
    if meaning is None or isinstance(node.dtype, tuple) or node.dtype.name not in SCALARS:
        return False
    names = [source.dtype.name for source in node.inputs if source is not None]
    if any(name not in SCALARS or _LETTERS.get(name, "i") not in meaning.kinds for name in names):
        return False
    return meaning.mixed or len(set(names)) <= 1


def cost(node: graph.Value) -> int:
    """Roughly how many additions an element of a pointwise node is worth."""
    return MEANINGS[node.operator.name].cost


def compute(node: graph.Value, inputs: list[Value | None]) -> Value:
    """The value of a pointwise node in its own dtype."""
    meaning = MEANINGS[node.operator.name]
    return converted(meaning.function(*inputs, **node.parameters), node.dtype)


def apply(name: str, inputs: list[Value], parameters: dict[str, Any]) -> Value:
    """What an operator that keeps its inputs' dtype gives for these values."""
    return MEANINGS[name].function(*inputs, **parameters)


def wrong(node: graph.Value, inputs: list[Value | None]) -> Value | None:
    """Where the inputs of a node are an error; None when they never are."""
    meaning = MEANINGS[node.operator.name]
    return None if meaning.wrong is None else meaning.wrong(*inputs, **node.parameters)


def converted(value: Value, dtype: Any) -> Value:
    """The value in another dtype, as PyTorch's casts do it; bools become ``i1``."""
    kind = value.type
    if dtype.name == "bool":
        return value if kind.scalar == "i1" else binary("!=", value, 0)
    scalar = SCALARS[dtype.name]
    if kind.is_float and scalar in ("i8", "i16", "i32"):
        value = cast(value, "i32")
    elif kind.is_float and scalar == "u8":
        value = cast(value, "i64")
    return cast(value, scalar)


# -------------------------------------------------------------------- helpers


def _binary(operation: str) -> Callable[..., Value]:
    return lambda a, b: binary(operation, a, b)


def _call(function: str) -> Callable[..., Value]:
    return lambda *arguments: call(function, *arguments)


def _both(a: Value, b: Value) -> Value:
    return binary("&", a, b)


def _either(a: Value, b: Value) -> Value:
    return binary("|", a, b)


def _negated(truth: Value) -> Value:
    return binary("^", truth, literal(1, Type("i1")))


def _truth(value: Value) -> Value:
    return value if value.type.scalar == "i1" else binary("!=", value, 0)


def _number(value: float, like: Value) -> Value:
    return literal(value, Type(like.type.scalar))


def _is_nan(x: Value) -> Value:
    return binary("!=", x, x)


def _is_finite(x: Value) -> Value:
    return binary("<", call("fabs", x), numbers.inf)


def _of_floats(test: Callable[[Value], Value], otherwise: bool) -> Callable[[Value], Value]:
    """A test of floating-point numbers, whose outcome is known for all others."""
    return lambda x: test(x) if x.type.is_float else literal(otherwise, Type("i1", x.type.lanes))


def _copysign(size: Any, sign: Value) -> Value:
    return call("copysign", literal(size, Type(sign.type.scalar)), sign)


def _is_negative(x: Value) -> Value:
    return binary("<", _copysign(1.0, x), 0.0) if x.type.is_float else binary("<", x, 0)


# -------------------------------------------------------------------- arithmetic


def _logical_or_arithmetic(logic: str, operation: str) -> Callable[..., Value]:
    return lambda a, b: binary(logic if a.type.scalar == "i1" else operation, a, b)


def _square(x: Value) -> Value:
    if x.type.scalar == "i1":
        return x
    return x * x


def _abs(x: Value) -> Value:
    if x.type.is_float:
        return call("fabs", x)
    return x if x.type.scalar == "u8" else select(binary("<", x, 0), -x, x)


def _sign(x: Value) -> Value:
    one = _number(1, x)
    if x.type.scalar == "u8":
        return select(binary("!=", x, 0), one, 0)
    return select(binary(">", x, 0), one, select(binary("<", x, 0), _number(-1, x), 0))


def _extreme(floats: str, integers: str, logic: str) -> Callable[[Value, Value], Value]:
    def extreme(a: Value, b: Value) -> Value:
        if a.type.scalar == "i1":
            return binary(logic, a, b)
        return call(floats if a.type.is_float else integers, a, b)

    return extreme


_maximum = _extreme("maximum", "max", "|")
_minimum = _extreme("minimum", "min", "&")


def _clamp(x: Value, low: Value | None, high: Value | None) -> Value:
    raised = x if low is None else _maximum(x, low)
    return raised if high is None else _minimum(raised, high)


def _is_zero(a: Value, b: Value) -> Value:
    if b.type.is_float:
        return literal(0, Type("i1", b.type.lanes))
    return binary("==", b, 0)


def _divisor(b: Value) -> Value:
    """An integer to divide by. The processor stops at 0, which is reported elsewhere, and where the
    least number is divided by -1: dividing by 1 leaves the same rest.
    """
    refused = binary("==", b, 0)
    if b.type.scalar != "u8":
        refused = _either(refused, binary("==", b, -1))
    return select(refused, _number(1, b), b)


def _quotient(a: Value, b: Value) -> Value:
    """The quotient of integers, rounded towards zero."""
    found = binary("//", a, _divisor(b))
    return found if b.type.scalar == "u8" else select(binary("==", b, -1), 0 - a, found)


def _differ(a: Value, b: Value) -> Value:
    """Whether two numbers that are not 0 have different signs."""
    return binary("!=", binary("<", a, 0), binary("<", b, 0))


def _fmod(a: Value, b: Value) -> Value:
    return binary("%", a, b if a.type.is_float else _divisor(b))


def _remainder(a: Value, b: Value) -> Value:
    rest = _fmod(a, b)
    if a.type.scalar == "u8":
        return rest
    return select(_both(binary("!=", rest, 0), _differ(rest, b)), rest + b, rest)


def _divide_trunc(a: Value, b: Value) -> Value:
    if a.type.is_float:
        return call("trunc", a / b)
    return _quotient(a, b)


def _divide_floor(a: Value, b: Value) -> Value:
    if a.type.scalar == "u8":
        return _quotient(a, b)
    if not a.type.is_float:
        quotient, rest = _quotient(a, b), binary("%", a, _divisor(b))
        return select(_both(binary("!=", rest, 0), _differ(rest, b)), quotient - 1, quotient)
    rest = _fmod(a, b)
    quotient = (a - rest) / b
    quotient = select(_both(binary("!=", rest, 0.0), _differ(rest, b)), quotient - 1.0, quotient)
    down = call("floor", quotient)
    down = select(binary(">", quotient - down, 0.5), down + 1.0, down)
    down = select(binary("==", quotient, 0.0), call("copysign", _number(0, a), a / b), down)
    return select(binary("==", b, 0.0), a / b, down)


def _lerp(start: Value, end: Value, weight: Value) -> Value:
    step = end - start
    near = binary("<", call("fabs", weight), 0.5)
    return select(near, start + weight * step, end - step * (1.0 - weight))


def _round(x: Value, decimals: int) -> Value:
    if decimals == 0:
        return call("rint", x)
    scale = 10.0 ** abs(decimals)
    if decimals > 0:
        return call("rint", x * scale) / scale
    return call("rint", x / scale) * scale


def _shift(operation: str) -> Callable[[Value, Value], Value]:
    def shift(x: Value, by: Value) -> Value:
        bits = {"u8": 8, "i8": 8, "i16": 16, "i32": 32, "i64": 64}[x.type.scalar]
        signed = x.type.scalar != "u8"
        last = bits - 1 if operation == ">>" and signed else bits
        valid = binary("<", by, last)
        if signed:
            valid = _both(valid, binary(">=", by, 0))
        shifted = binary(operation, x, select(valid, by, 0))
        beyond: Any = 0
        if operation == ">>" and signed:
            beyond = select(binary("<", x, 0), _number(-1, x), 0)
        return select(valid, shifted, beyond)

    return shift


def _bitwise_not(x: Value) -> Value:
    return (
        _negated(x)
        if x.type.scalar == "i1"
        else binary("^", x, -1 if x.type.scalar != "u8" else 255)
    )


def _nan_to_num(x: Value, nan: float, posinf: float, neginf: float) -> Value:
    result = select(_is_nan(x), _number(nan, x), x)
    result = select(binary("==", x, numbers.inf), _number(posinf, x), result)
    return select(binary("==", x, -numbers.inf), _number(neginf, x), result)


def _heaviside(x: Value, at_zero: Value) -> Value:
    step = select(binary("<", x, 0), _number(0, x), 1)
    return select(binary("==", x, 0), at_zero, step)


def _is_close(a: Value, b: Value, rtol: float, atol: float, equal_nan: bool) -> Value:
    gap = call("fabs", a - b)
    near = _both(binary("<=", gap, call("fabs", b) * rtol + atol), _is_finite(gap))
    same = _either(near, binary("==", a, b))
    return _either(same, _both(_is_nan(a), _is_nan(b))) if equal_nan else same


def _times_log(logarithm: Callable[[Value], Value]) -> Callable[[Value, Value], Value]:
    def product(x: Value, y: Value) -> Value:
        found = select(binary("==", x, 0.0), _number(0, x), x * logarithm(y))
        return select(_is_nan(y), y, found)

    return product


def _log_add(log1p: Callable[[Value], Value], exp: Callable[[Value], Value]) -> Any:
    def added(a: Value, b: Value) -> Value:
        gap = call("fabs", a - b)
        found = call("maximum", a, b) + log1p(exp(-gap))
        return select(binary("==", a, b), a + log1p(_number(1, a)), found)

    return added


def _log2_of_one_more(x: Value) -> Value:
    return math.log1p(x) * 1.44269504088896341


# -------------------------------------------------------------------- activations


def _relu(x: Value) -> Value:
    return x if x.type.scalar == "u8" else select(binary("<", x, 0), 0, x)


def _relu_gradient(grad: Value, output: Value) -> Value:
    return select(binary("<=", output, 0), 0, grad)


def _softplus(x: Value) -> Value:
    return call("maximum", x, _number(0, x)) + math.log1p(math.exp(-call("fabs", x)))


def _scaled_softplus(x: Value, beta: float, threshold: float) -> Value:
    scaled = x * beta
    return select(binary(">", scaled, threshold), x, _softplus(scaled) / beta)


def _elu(x: Value, alpha: float, scale: float, input_scale: float) -> Value:
    below = math.expm1(select(binary(">", x, 0.0), 0.0, x) * input_scale) * (alpha * scale)
    return select(binary(">", x, 0.0), x * scale, below)


def _between(x: Value, low: float, high: float) -> Value:
    return call("minimum", call("maximum", x, _number(low, x)), _number(high, x))


def _hardtanh(x: Value, lower: float, upper: float) -> Value:
    if x.type.is_float:
        return _between(x, lower, upper)
    return call("min", call("max", x, _number(lower, x)), _number(upper, x))


def _softshrink(x: Value, lambd: float) -> Value:
    moved = x - _copysign(lambd, x)
    return select(binary(">", call("fabs", x), lambd), moved, x * 0.0)


_GELU_SCALE, _GELU_CUBIC = 0.7978845608028654, 0.044715


def _gelu(x: Value, approximate: str) -> Value:
    if approximate == "tanh":
        inner = (x + x * x * x * _GELU_CUBIC) * _GELU_SCALE
        return x * 0.5 * (math.tanh(inner) + 1.0)
    return x * 0.5 * (math.erf(x * 0.7071067811865476) + 1.0)


def _gelu_gradient(grad: Value, x: Value, approximate: str) -> Value:
    if approximate == "tanh":
        inner = (x + x * x * x * _GELU_CUBIC) * _GELU_SCALE
        t = math.tanh(inner)
        slope = (x * x * (3 * _GELU_CUBIC) + 1.0) * _GELU_SCALE
        return grad * ((t + 1.0) * 0.5 + x * 0.5 * (1.0 - t * t) * slope)
    density = math.exp(x * x * -0.5) * 0.3989422804014327
    return grad * ((math.erf(x * 0.7071067811865476) + 1.0) * 0.5 + x * density)


def _binary_cross_entropy(x: Value, target: Value) -> Value:
    positive = call("maximum", math.log(x), _number(-100, x))
    negative = call("maximum", math.log1p(-x), _number(-100, x))
    return -(target * positive + (1.0 - target) * negative)


def _outside_unit(x: Value, target: Value) -> Value:
    outside = [_either(binary("<", v, 0.0), binary(">", v, 1.0)) for v in (x, target)]
    return _either(*outside)


def _logit(x: Value, eps: float | None = None) -> Value:
    inside = x if eps is None else _between(x, eps, 1 - eps)
    return math.log(inside / (1.0 - inside))


# -------------------------------------------------------------------- the table

_ALL, _NUMBERS, _FLOATS, _BITS = "fiub", "fiu", "f", "iub"


def _costly(function: Callable[..., Value]) -> Meaning:
    return Meaning(function, _FLOATS, _COSTLY)


MEANINGS: dict[str, Meaning] = {
    # sums and products
    "add": Meaning(_logical_or_arithmetic("|", "+"), _ALL),
    "sub": Meaning(_binary("-"), _NUMBERS),
    "mul": Meaning(_logical_or_arithmetic("&", "*"), _ALL),
    "div": Meaning(_binary("/"), _FLOATS, _DIVISION),
    "neg": Meaning(lambda x: -x, _NUMBERS),
    "abs": Meaning(_abs, _NUMBERS),
    "sign": Meaning(_sign, _NUMBERS),
    "square": Meaning(_square, _ALL),
    "reciprocal": Meaning(lambda x: 1.0 / x, _FLOATS, _DIVISION),
    "add_scaled": Meaning(lambda a, b, alpha: fma(b, alpha, a), _FLOATS),
    "sub_scaled": Meaning(lambda a, b, alpha: fma(b, -alpha, a), _FLOATS),
    "scale_shift": Meaning(lambda x, factor, shift: x * factor + shift, _FLOATS, 2),
    "addcmul": Meaning(lambda a, b, c, value: fma(value * b, c, a), _FLOATS),
    "addcdiv": Meaning(lambda a, b, c, value: a + value * b / c, _FLOATS, _DIVISION),
    "lerp": Meaning(_lerp, _FLOATS, 4),
    "div_trunc": Meaning(_divide_trunc, _NUMBERS, _DIVISION, wrong=_is_zero),
    "div_floor": Meaning(_divide_floor, _NUMBERS, _COSTLY, wrong=_is_zero),
    "remainder": Meaning(_remainder, _NUMBERS, _COSTLY, wrong=_is_zero),
    "fmod": Meaning(_fmod, _NUMBERS, _COSTLY, wrong=_is_zero),
    "floor": Meaning(_call("floor"), _FLOATS),
    "ceil": Meaning(_call("ceil"), _FLOATS),
    "trunc": Meaning(_call("trunc"), _FLOATS),
    "round": Meaning(_round, _FLOATS, 2),
    "frac": Meaning(lambda x: x - call("trunc", x), _FLOATS, 2),
    "copysign": Meaning(_call("copysign"), _FLOATS),
    "deg2rad": Meaning(lambda x: x * (numbers.pi / 180), _FLOATS),
    "rad2deg": Meaning(lambda x: x * (180 / numbers.pi), _FLOATS),
    # choices
    "maximum": Meaning(_maximum, _ALL, 2),
    "minimum": Meaning(_minimum, _ALL, 2),
    "fmax": Meaning(_extreme("maxnum", "max", "|"), _ALL, 2),
    "fmin": Meaning(_extreme("minnum", "min", "&"), _ALL, 2),
    "clamp": Meaning(_clamp, _NUMBERS, 3),
    "where": Meaning(lambda c, a, b: select(c, a, b), _ALL, mixed=True),
    "masked_fill": Meaning(lambda x, mask, value: select(mask, value, x), _ALL, mixed=True),
    "nan_to_num": Meaning(_nan_to_num, _FLOATS, 3),
    "heaviside": Meaning(_heaviside, _NUMBERS, 2),
    "copy": Meaning(lambda x: x, _ALL),
    "full": Meaning(lambda value, size: value, _ALL),
    "to": Meaning(lambda x, target: x, _ALL),
    # comparisons and logic
    "eq": Meaning(_binary("=="), _ALL),
    "ne": Meaning(_binary("!="), _ALL),
    "lt": Meaning(_binary("<"), _ALL),
    "le": Meaning(_binary("<="), _ALL),
    "gt": Meaning(_binary(">"), _ALL),
    "ge": Meaning(_binary(">="), _ALL),
    "isnan": Meaning(_of_floats(_is_nan, False), _ALL),
    "isinf": Meaning(_of_floats(lambda x: binary("==", call("fabs", x), numbers.inf), False), _ALL),
    "isfinite": Meaning(_of_floats(_is_finite, True), _ALL),
    "isposinf": Meaning(_of_floats(lambda x: binary("==", x, numbers.inf), False), _ALL),
    "isneginf": Meaning(_of_floats(lambda x: binary("==", x, -numbers.inf), False), _ALL),
    "isreal": Meaning(lambda x: literal(1, Type("i1", x.type.lanes)), _ALL),
    "signbit": Meaning(_is_negative, "fi"),
    "isclose": Meaning(_is_close, _FLOATS, 4),
    "logical_and": Meaning(lambda a, b: _both(_truth(a), _truth(b)), _ALL, mixed=True),
    "logical_or": Meaning(lambda a, b: _either(_truth(a), _truth(b)), _ALL, mixed=True),
    "logical_xor": Meaning(lambda a, b: binary("^", _truth(a), _truth(b)), _ALL, mixed=True),
    "logical_not": Meaning(lambda x: _negated(_truth(x)), _ALL),
    "bitwise_and": Meaning(_binary("&"), _BITS),
    "bitwise_or": Meaning(_binary("|"), _BITS),
    "bitwise_xor": Meaning(_binary("^"), _BITS),
    "bitwise_not": Meaning(_bitwise_not, _BITS),
    "bitwise_left_shift": Meaning(_shift("<<"), "iu", 3),
    "bitwise_right_shift": Meaning(_shift(">>"), "iu", 3),
    # elementary functions
    "sqrt": Meaning(_call("sqrt"), _FLOATS, _DIVISION),
    "rsqrt": Meaning(lambda x: 1.0 / call("sqrt", x), _FLOATS, 2 * _DIVISION),
    "exp": _costly(math.exp),
    "exp2": _costly(math.exp2),
    "expm1": _costly(math.expm1),
    "log": _costly(math.log),
    "log2": _costly(math.log2),
    "log10": _costly(math.log10),
    "log1p": _costly(math.log1p),
    "sin": _costly(math.sin),
    "cos": _costly(math.cos),
    "tan": _costly(math.tan),
    "asin": _costly(math.asin),
    "acos": _costly(math.acos),
    "atan": _costly(math.atan),
    "atan2": _costly(math.atan2),
    "sinh": _costly(math.sinh),
    "cosh": _costly(math.cosh),
    "tanh": _costly(math.tanh),
    "asinh": _costly(math.asinh),
    "acosh": _costly(math.acosh),
    "atanh": _costly(math.atanh),
    "pow": _costly(math.power),
    "hypot": _costly(lambda a, b: math.library("hypot", a, b)),
    "sigmoid": _costly(math.sigmoid),
    "logit": _costly(_logit),
    "erf": _costly(math.erf),
    "erfc": _costly(math.erfc),
    "xlogy": _costly(_times_log(math.log)),
    "xlog1py": _costly(_times_log(math.log1p)),
    "logaddexp": _costly(_log_add(math.log1p, math.exp)),
    "logaddexp2": _costly(_log_add(_log2_of_one_more, math.exp2)),
    # activations
    "relu": Meaning(_relu, _NUMBERS),
    "relu_gradient": Meaning(_relu_gradient, _NUMBERS),
    "leaky_relu": Meaning(lambda x, slope: select(binary(">", x, 0.0), x, x * slope), _FLOATS, 2),
    "threshold": Meaning(
        lambda x, threshold, value: select(binary("<=", x, threshold), _number(value, x), x),
        _FLOATS,
    ),
    "hardtanh": Meaning(_hardtanh, _NUMBERS, 3),
    "hardsigmoid": Meaning(lambda x: _between(x + 3.0, 0, 6) / 6.0, _FLOATS, _DIVISION),
    "hardswish": Meaning(lambda x: x * _between(x + 3.0, 0, 6) / 6.0, _FLOATS, _DIVISION),
    "hardshrink": Meaning(
        lambda x, lambd: select(binary("<=", call("fabs", x), lambd), 0.0, x), _FLOATS, 2
    ),
    "softshrink": Meaning(_softshrink, _FLOATS, 3),
    "elu": _costly(_elu),
    "softplus": _costly(_scaled_softplus),
    "logsigmoid": _costly(lambda x: call("minimum", x, 0.0) - _softplus(-call("fabs", x))),
    "silu": _costly(lambda x: x * math.sigmoid(x)),
    "mish": _costly(lambda x: x * math.tanh(_softplus(x))),
    "gelu": _costly(_gelu),
    "gelu_gradient": _costly(_gelu_gradient),
    "binary_cross_entropy": Meaning(
        _binary_cross_entropy, _FLOATS, 2 * _COSTLY, wrong=_outside_unit
    ),
}
