"""Every pointwise, reducing and selecting operator, compiled and interpreted: every element type,
NaN, infinities, both zeros, denormals, ties, large numbers, odd sizes, rows apart in memory.
"""

import pytest

from tests.support.execution import check, written_for
from tests.support.random_statements import ACTIVATIONS, BINARY, UNARY, WHOLE_BINARY

FLOATS = ("float32", "float64")
SHAPE = (7, 67)
REFUSE_GRADIENTS = ("floor_divide", "heaviside")  # as PyTorch's do
REDUCTIONS = """
    sum({d}) mean({d}) amax({d}) amin({d}) var({d}) std({d}) logsumexp({d}) prod({n}) argmax({n})
    argmin({n}) cumsum({n}) cumprod({n}) cummax({n})[0] sort({n})[0] softmax({n}) log_softmax({n})
    all({n}) any({n}) norm(2,{d}) median({n})[0] count_nonzero({n}) max({n})[1] min({n})[1]
    logcumsumexp({n}) nansum({d})
    """.split()
OTHERS = """
    clamp(-0.5,1) clamp(min=0) clamp(max=0.5) pow(2) pow(0.5) pow(-1) pow(3) __rpow__(2)
    __rsub__(1) __rtruediv__(1) masked_fill(x.isnan(),0.5) nan_to_num(0.5,1,-1) where(x.isnan(),x)
    remainder(2) floor_divide(0.7) add(2,alpha=3) sub(0.5) mul(-1.5) div(3) fmod(0.7) tril() triu()
    """.split()


def program(lines, dtypes, kinds=("mixed",), second=False):
    """Text that runs expressions of ``x`` (and ``y``) on inputs of several kinds."""
    text = []
    refused = any(name in line for line in lines for name in REFUSE_GRADIENTS)
    for number, (dtype, kind) in enumerate([(d, k) for d in dtypes for k in kinds]):
        grad = ".requires_grad_()" if dtype in FLOATS and not refused else ""
        text += [f"x = data({dtype!r}, {SHAPE}, {kind!r}, {number} + turn)[:, :66]{grad}"]
        if second:
            text += [f"y = data({dtype!r}, {SHAPE}, {kind!r}, 50 + {number} + turn)[:, 1:]{grad}"]
        for line in lines:
            text += ["try: found = " + line, "except (RuntimeError, TypeError): found = None"]
            text += [f"look({dtype}_{kind}=found)"]
            if grad:
                text += [
                    "wanted = found is not None and found.requires_grad",
                    "if wanted and (found is x or found.grad_fn.name() != 'NotImplemented'):",
                    "    (found * data(found.dtype.__str__()[6:], found.shape)).sum().backward()",
                    f"look({dtype}_{kind}_gradient=x.grad)",
                    "x.grad = None",
                ]
                if second:
                    text += ["look(second_gradient=y.grad)", "y.grad = None"]
    body = "".join(f"    {line}\n" for line in text)
    return f"for turn in range(2):\n{body}"


@pytest.mark.parametrize("name", UNARY)
def test_unary(name):
    check(program([f"torch.{name}(x)"], FLOATS))
    check(program([f"torch.{name}(x)"], ("int64", "int32", "uint8", "bool"), ("normal",)))


@pytest.mark.parametrize("text", ACTIVATIONS)
def test_activations(text):
    check(program(["F." + text.format("x")], FLOATS))


@pytest.mark.parametrize("name", BINARY)
def test_binary(name):
    check(program([f"torch.{name}(x, y)"], FLOATS, second=True))


@pytest.mark.parametrize("name", WHOLE_BINARY)
def test_binary_of_whole_numbers(name):
    check(program([f"torch.{name}(x, y)"], ("int64", "int32", "uint8", "bool"), ("normal",), True))


@pytest.mark.parametrize("text", REDUCTIONS)
@pytest.mark.parametrize("dim", [0, 1])
def test_reductions(text, dim):
    line = "x." + text.format(n=dim, d=(dim,))
    check(program([line], FLOATS, ("mixed",) if dim else ("normal", "special")))
    check(program([line], ("int64", "uint8", "bool"), ("normal",)))


@pytest.mark.parametrize("text", OTHERS)
def test_with_numbers(text):
    check(program(["x." + text], FLOATS))
    check(program(["x." + text], ("int64", "uint8"), ("normal",)))


@pytest.mark.parametrize("chosen", ["AVX2", "SSE2", "NEON"])
def test_narrower_vectors(chosen):
    with written_for(chosen):
        for name in ("exp", "log", "tanh", "sigmoid", "sqrt", "floor", "relu", "erf"):
            check(program([f"torch.{name}(x)"], FLOATS))
        for text in ("sum({d})", "amax({d})", "softmax({n})", "mean({d})", "var({d})"):
            check(
                program(["x." + text.format(n=1, d=(0,)), "x." + text.format(n=0, d=(1,))], FLOATS)
            )
