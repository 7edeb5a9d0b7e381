"""Elementwise operators of two and three tensors, comparison, logic and bits."""

import numpy as np

from tests.support.case import EVERY, FLOATS, NUMBERS, REAL, case, flags, floats, integers, mistake


def binary(name, numpy=None, *, left="normal", right="normal", dtypes=EVERY, gradient=2, scalar=2):
    """The lines of one operator: equal shapes, broadcasting both ways, numbers, nothing, mixed dtypes."""
    options = {"dtypes": dtypes, "gradient": gradient}
    lines = [
        case(name, floats(*a, domain=left), floats(*b, domain=right), numpy=numpy, options=options)
        for a, b in [
            ((3, 4), (3, 4)),
            ((3, 1), (4,)),
            ((), (2, 3)),
            ((), ()),
            ((0,), (1,)),
            ((2, 0), (2, 0)),
        ]
    ]
    if scalar is not None:
        lines.append(case(name, floats(3, 4, domain=left), scalar, numpy=numpy, options=options))
        lines.append(
            case(name, floats(2, 3, domain=left), scalar + 0.5, numpy=numpy, options=options)
        )
    lines.append(
        case(
            name,
            floats(3, 4, domain=left),
            integers(4, high=4) if right == "normal" else floats(4, domain=right, dtype="int32"),
            options=options,
        )
    )
    return lines


def comparison(name, numpy):
    return binary(name, numpy, dtypes=REAL, gradient=0)


def bits(name, numpy, *, dtypes=("int64", "int32", "uint8", "bool")):
    options = {"dtypes": dtypes, "gradient": 0}
    return [
        case(name, floats(3, 4, domain="positive"), floats(4, domain="positive"), options=options),
        case(name, integers(3, 4), integers(3, 1), numpy=numpy, options={"gradient": 0}),
        case(name, integers(), 3, numpy=numpy, options={"gradient": 0}),
        case(name, integers(0), integers(0), numpy=numpy, options={"gradient": 0}),
    ]


def logic(name, numpy):
    options = {"dtypes": REAL, "gradient": 0}
    return [
        case(name, floats(3, 4), floats(4), numpy=numpy, options=options),
        case(name, flags(3, 4), flags(3, 1), numpy=numpy, options={"gradient": 0}),
        case(name, flags(), flags(), numpy=numpy, options={"gradient": 0}),
        case(name, floats(0, 2), floats(2), numpy=numpy, options={"gradient": 0}),
    ]


CASES = [
    *binary("add", np.add),
    *binary("sub", np.subtract),
    *binary("subtract", np.subtract),
    *binary("mul", np.multiply),
    *binary("multiply", np.multiply),
    *binary("div", np.true_divide, right="nonzero"),
    *binary("divide", np.true_divide, right="nonzero"),
    *binary("true_divide", np.true_divide, right="nonzero"),
    *binary(
        "pow", np.power, left="positive", right="positive", dtypes=("float32", "float64", "int64")
    ),
    *binary("floor_divide", np.floor_divide, right="nonzero", dtypes=NUMBERS, gradient=None),
    *binary("remainder", np.remainder, right="nonzero", dtypes=NUMBERS),
    *binary("fmod", np.fmod, right="nonzero", dtypes=NUMBERS),
    *binary("maximum", np.maximum, dtypes=REAL, scalar=None),
    *binary("minimum", np.minimum, dtypes=REAL, scalar=None),
    *binary("fmax", np.fmax, dtypes=REAL, scalar=None),
    *binary("fmin", np.fmin, dtypes=REAL, scalar=None),
    *binary("atan2", np.arctan2, left="nonzero", right="nonzero", dtypes=REAL, scalar=None),
    *binary("arctan2", np.arctan2, left="nonzero", right="nonzero", dtypes=REAL, scalar=None),
    *binary("hypot", np.hypot, dtypes=FLOATS, scalar=None),
    *binary("logaddexp", np.logaddexp, dtypes=("float32", "float64"), scalar=None),
    *binary("logaddexp2", np.logaddexp2, dtypes=("float32", "float64"), scalar=None),
    *binary("copysign", np.copysign, left="nonzero", right="nonzero", dtypes=REAL, gradient=1),
    *binary("nextafter", np.nextafter, dtypes=("float32", "float64"), scalar=None, gradient=None)[
        :5
    ],
    *binary("ldexp", dtypes=("float32", "float64"), scalar=None),
    *binary(
        "heaviside",
        np.heaviside,
        left="nonzero",
        dtypes=("float32", "float64"),
        scalar=None,
        gradient=None,
    )[:5],
    *binary("xlogy", right="positive", dtypes=REAL),
    *comparison("eq", np.equal),
    *comparison("ne", np.not_equal),
    *comparison("lt", np.less),
    *comparison("le", np.less_equal),
    *comparison("gt", np.greater),
    *comparison("ge", np.greater_equal),
    *comparison("not_equal", np.not_equal)[:2],
    *comparison("less", np.less)[:2],
    *comparison("less_equal", np.less_equal)[:2],
    *comparison("greater", np.greater)[:2],
    *comparison("greater_equal", np.greater_equal)[:2],
    *bits("bitwise_and", np.bitwise_and),
    *bits("bitwise_or", np.bitwise_or),
    *bits("bitwise_xor", np.bitwise_xor),
    *bits("bitwise_left_shift", np.left_shift, dtypes=("int64", "int32", "uint8")),
    *bits("bitwise_right_shift", np.right_shift, dtypes=("int64", "int32", "uint8")),
    *bits("gcd", np.gcd, dtypes=("int64", "int32", "uint8"))[:2],
    *bits("lcm", np.lcm, dtypes=("int64", "int32"))[:2],
    *logic("logical_and", np.logical_and),
    *logic("logical_or", np.logical_or),
    *logic("logical_xor", np.logical_xor),
    case("add", floats(3, 4), floats(4), alpha=2, numpy=lambda a, b, alpha: a + alpha * b),
    case("add", integers(3), integers(3), alpha=2),
    case(
        "add",
        floats(3, 4, dtype="float32"),
        floats(3, 4, dtype="float64"),
        options={"gradient": 2, "dtypes": ("float32",)},
    ),
    case("add", integers(3, dtype="uint8"), integers(3, dtype="int8"), options={"in_place": False}),
    case(
        "add",
        floats(3, dtype="float16"),
        floats(3, dtype="bfloat16"),
        options={"dtypes": ("float32",), "in_place": False},
    ),
    case("sub", floats(3, 4), floats(4), alpha=3),
    case("rsub", floats(3, 4), 2, options={"dtypes": NUMBERS}),
    case("rsub", floats(3, 4), floats(4), alpha=2),
    case(
        "div",
        floats(3, 4),
        floats(4, domain="nonzero"),
        rounding_mode="floor",
        options={"dtypes": NUMBERS, "gradient": 1},
    ),
    case(
        "div",
        floats(3, 4),
        floats(4, domain="nonzero"),
        rounding_mode="trunc",
        options={"dtypes": NUMBERS, "gradient": 1},
    ),
    case("pow", 2, floats(3, 4)),
    case("pow", 2.5, integers(3, 4)),
    case("pow", floats(3, 4, domain="nonzero"), 3, numpy=np.power, options={"dtypes": NUMBERS}),
    case("pow", floats(3, 4, domain="nonzero"), 0),
    case("pow", floats(3, 4, domain="nonzero"), -1),
    case("pow", floats(3, 4, domain="positive"), 0.5),
    case("float_power", floats(3, 4, domain="positive"), 2, options={"dtypes": REAL}),
    case("float_power", floats(3, domain="positive"), floats(3)),
    case(
        "remainder", 5, floats(3, domain="nonzero"), options={"dtypes": NUMBERS, "gradient": None}
    ),
    case("bitwise_and", 3, integers(4)),
    case("xlogy", 2.0, floats(3, domain="positive")),
    case(
        "addcmul",
        floats(3, 4),
        floats(3, 1),
        floats(4),
        value=0.5,
        numpy=lambda x, a, b, value: x + value * a * b,
    ),
    case("addcmul", integers(3), integers(3), integers(3)),
    case(
        "addcdiv",
        floats(3, 4),
        floats(3, 1),
        floats(4, domain="nonzero"),
        value=0.5,
        numpy=lambda x, a, b, value: x + value * a / b,
    ),
    case("lerp", floats(3, 4), floats(3, 4), 0.3, numpy=lambda a, b, w: a + w * (b - a)),
    case("lerp", floats(3, 4), floats(4), floats(3, 1, domain="unit")),
    case("where", flags(3, 4), floats(3, 4), floats(4), numpy=np.where, options={"method": False}),
    case("where", flags(3, 4), floats(3, 4), 0.0, numpy=np.where, options={"method": False}),
    case("where", flags(3, 4), 1.0, floats(3, 1), numpy=np.where, options={"method": False}),
    case("where", flags(3), 1, 2, options={"method": False}),
    case("where", flags(3, 4), integers(4), floats(3, 1), options={"method": False}),
    case("where", flags(0), floats(0), floats(), options={"method": False}),
    case("where", flags(3, 4), options={"method": False, "gradient": 0}),
    case("isclose", floats(3, 4), floats(3, 4), options={"gradient": 0, "dtypes": NUMBERS}),
    case(
        "isclose",
        floats(3, 4),
        floats(4),
        rtol=0.5,
        atol=0.5,
        numpy=np.isclose,
        options={"gradient": 0},
    ),
    case("allclose", floats(3, 4), floats(3, 4), rtol=10.0, atol=10.0, options={"gradient": 0}),
    case("equal", floats(3, 4), floats(3, 4), options={"gradient": 0}),
    case("equal", floats(3, 4), floats(4), options={"gradient": 0}),
    case("equal", floats(0), floats(0), options={"gradient": 0}),
]

MISTAKES = [
    mistake(
        RuntimeError,
        "The size of tensor a (3) must match the size of tensor b (4) at non-singleton dimension 0",
        "add",
        floats(3),
        floats(4),
    ),
    mistake(
        RuntimeError,
        "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 1",
        "mul",
        floats(4, 2),
        floats(4, 3),
    ),
    mistake(TypeError, "must be Tensor, not str", "add", floats(3), "x"),
    mistake(
        RuntimeError,
        "output with shape [3] doesn't match the broadcast shape [2, 3]",
        "Tensor.add_",
        floats(3),
        floats(2, 3),
    ),
    mistake(
        RuntimeError,
        "result type Float can't be cast to the desired output type Long",
        "Tensor.add_",
        integers(3),
        floats(3),
    ),
    mistake(
        RuntimeError,
        "result type Float can't be cast to the desired output type Long",
        "Tensor.mul_",
        integers(3),
        1.5,
    ),
    mistake(
        RuntimeError,
        "result type Float can't be cast to the desired output type Long",
        "Tensor.div_",
        integers(3),
        2,
    ),
    mistake(RuntimeError, "ZeroDivisionError", "floor_divide", integers(3), 0),
    mistake(
        RuntimeError,
        "div expected rounding_mode to be one of None, 'trunc', or 'floor' but found 'up'",
        "div",
        floats(3),
        floats(3),
        rounding_mode="up",
    ),
    mistake(
        RuntimeError, "Integers to negative integer powers are not allowed", "pow", integers(3), -1
    ),
    mistake(
        RuntimeError,
        "Subtraction, the `-` operator, with two bool tensors is not supported",
        "sub",
        flags(3),
        flags(3),
    ),
    mistake(
        RuntimeError,
        "For integral input tensors, argument alpha must not be a floating point number",
        "add",
        integers(3),
        integers(3),
        alpha=1.5,
    ),
    mistake(
        RuntimeError,
        "Float did not match Double",
        "allclose",
        floats(2),
        floats(2, dtype="float64"),
    ),
    mistake(
        RuntimeError,
        "expected dtype float for `end` but got dtype double",
        "lerp",
        floats(2),
        floats(2, dtype="float64"),
        0.5,
    ),
    mistake(
        RuntimeError,
        "where expected condition to be a boolean tensor, but got a tensor with dtype Float",
        "where",
        floats(2),
        floats(2),
        floats(2),
    ),
]
