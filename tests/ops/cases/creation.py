"""New tensors from nothing, from numbers, and in the likeness of others."""

import numpy as np

from tests.support.case import EVERY, Name, case, floats, integers, mistake

PLAIN = {"gradient": 0, "views": False}
LIKE = {"gradient": 0, "dtypes": EVERY, "method": False}
UNINITIALISED = "its values are arbitrary; shape and dtype are tested in tests/ops/test_creation.py"

CASES = [
    case("zeros", 2, 3, options=PLAIN),
    case("zeros", (2, 3), dtype=Name("int64"), options=PLAIN),
    case("zeros", 0, options=PLAIN),
    case("zeros", (), options=PLAIN),
    case("ones", 2, 3, options=PLAIN),
    case("ones", [2, 3], dtype=Name("bool"), options=PLAIN),
    case("full", (2, 3), 1.5, options=PLAIN),
    case("full", (2, 3), 7, options=PLAIN),
    case("full", (2,), True, options=PLAIN),
    case("full", (2, 3), 7, dtype=Name("float64"), options=PLAIN),
    case("arange", 5, numpy=np.arange, options=PLAIN),
    case("arange", 1, 10, 3, numpy=np.arange, options=PLAIN),
    case("arange", 5.0, options=PLAIN),
    case("arange", 0, 1, 0.1, options=PLAIN),
    case("arange", 5, 0, -2, numpy=np.arange, options=PLAIN),
    case("arange", 0, options=PLAIN),
    case("arange", 3, dtype=Name("float64"), options=PLAIN),
    case("arange", start=1, end=4, step=1, options=PLAIN),
    case("linspace", 0, 1, 5, options=PLAIN),
    case("linspace", -1, 1, steps=11, dtype=Name("float64"), options=PLAIN),
    case("linspace", 3, 10, 1, options=PLAIN),
    case("linspace", 0, 10, 0, options=PLAIN),
    case("logspace", 0, 2, 5, options=PLAIN),
    case("logspace", 0, 3, steps=4, base=2, options=PLAIN),
    case("eye", 3, options=PLAIN),
    case("eye", 2, 3, options=PLAIN),
    case("eye", 2, dtype=Name("int32"), options=PLAIN),
    case("tensor", 1.5, options=PLAIN),
    case("tensor", 3, options=PLAIN),
    case("tensor", True, options=PLAIN),
    case("tensor", [[1, 2], [3, 4]], options=PLAIN),
    case("tensor", [[1, 2.5], [3, 4]], options=PLAIN),
    case("tensor", [True, False], options=PLAIN),
    case("tensor", [1, 2], dtype=Name("float16"), options=PLAIN),
    case("tensor", [1 + 2j], options=PLAIN),
    case("tensor", [], options=PLAIN),
    case("as_tensor", [1.0, 2.0], options=PLAIN),
    case("asarray", [1.0, 2.0], options=PLAIN),
    case("scalar_tensor", 2.5, options=PLAIN),
    case("complex", floats(3), floats(3), options={"gradient": None}),
    case("polar", floats(3, domain="positive"), floats(3), options={"gradient": None}),
    case("zeros_like", floats(2, 3), options=LIKE),
    case("zeros_like", floats(2, 3), dtype=Name("int64"), options=LIKE),
    case("ones_like", floats(2, 3), options=LIKE),
    case("full_like", floats(2, 3), 3, options=LIKE),
    case("full_like", floats(2, 3), 2.5, dtype=Name("float64"), options=LIKE),
    case("Tensor.new_zeros", floats(2), (2, 3), options=LIKE),
    case("Tensor.new_ones", floats(2), 2, 3, options=LIKE),
    case("Tensor.new_full", floats(2), (2, 3), 3, options=LIKE),
    case("Tensor.new_tensor", floats(2), [[1, 2]], options=LIKE),
    case("vander", floats(4), numpy=np.vander, options={"method": False, "gradient": None}),
    case("hann_window", 5, options=PLAIN),
    case("hamming_window", 5, options=PLAIN),
    case("blackman_window", 5, options=PLAIN),
    case("bartlett_window", 5, options=PLAIN),
    *[
        case(
            f"Tensor.{name}",
            floats(2, 3, domain="positive"),
            options={"gradient": 0, "dtypes": EVERY[:-1]},
        )
        for name in ("long", "int", "short", "char", "byte", "bool")
    ],
    *[
        case(f"Tensor.{name}", floats(2, 3), options={"gradient": None, "dtypes": EVERY[:-1]})
        for name in ("float", "double", "half", "bfloat16", "cpu")
    ],
    case("Tensor.to", floats(2, 3), Name("float64")),
    case("Tensor.to", floats(2, 3), "cpu", Name("float64")),
    case("Tensor.to", floats(2, 3), dtype=Name("int64"), options={"gradient": 0}),
    case("Tensor.type", floats(2, 3), Name("float64")),
    case("Tensor.type", floats(2, 3), options={"gradient": 0, "dtypes": EVERY}),
    case("Tensor.type_as", floats(2, 3), floats(1, dtype="float64")),
    case("Tensor.fill_", floats(2, 3), 1.5, options={"gradient": None}),
    case("Tensor.zero_", floats(2, 3), options={"gradient": None}),
    case("Tensor.copy_", floats(2, 3), floats(3), options={"gradient": None}),
    case("Tensor.fill_diagonal_", floats(3, 3), 1.5, options={"gradient": None}),
    case("result_type", floats(2), integers(2), options=PLAIN | {"method": False}),
    case("promote_types", Name("int32"), Name("float32"), options=PLAIN),
    case("can_cast", Name("int32"), Name("float32"), options=PLAIN),
]

MISTAKES = [
    mistake(
        RuntimeError, "upper bound and lower bound inconsistent with step sign", "arange", 1, 0, 1
    ),
    mistake(RuntimeError, "step must be nonzero", "arange", 0, 1, 0),
    mistake(RuntimeError, "number of steps must be non-negative", "linspace", 0, 1, -1),
    mistake(RuntimeError, "zeros: Dimension size must be non-negative.", "zeros", -1),
    mistake(ValueError, "expected sequence of length 2 at dim 1 (got 1)", "tensor", [[1, 2], [3]]),
    mistake(TypeError, "new(): invalid data type 'str'", "tensor", "abc"),
]

ELSEWHERE = dict.fromkeys(("empty", "empty_like", "empty_permuted", "empty_strided"), UNINITIALISED)
