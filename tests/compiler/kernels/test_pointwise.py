"""Pointwise kernels: every operator gives what the interpreter gives, and what is computed together
is one kernel.
"""

import numpy as np
import pytest

import fakel
from fakel import nn
from fakel.compiler.executor import Compiler
from fakel.compiler.kernels.pointwise.meanings import MEANINGS
from fakel.compiler.planning.lowering import Call
from fakel.compiler.planning.plan import Plan
from fakel.graph import flush
from fakel.interpreter import Interpreter
from tests.compiler.native import both, running_on
from tests.support.graphs import compiled, executor

F = nn.functional
SPECIAL = [np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, -1.0, 0.5, 2.5, -2.5, 1e-20, 3e8, -3e30]


def numbers(dtype, seed=0, count=301):
    """More than a few vectors of any width, with a rest, and special values."""
    rng = np.random.default_rng(seed)
    if dtype == "bool":
        return rng.random(count) < 0.5
    if dtype.startswith("float"):
        values = rng.standard_normal(count) * 3
        values[: len(SPECIAL)] = SPECIAL
        return values.astype(dtype)
    return rng.integers(0 if dtype == "uint8" else -9, 10, count).astype(dtype)


FLOATS = ("float32", "float64")
INTEGERS = ("int64", "int32", "int16", "int8", "uint8")
# name -> how it is called, the dtypes, and how many tensors it takes
UNARY = (
    "neg abs sign square reciprocal floor ceil trunc round frac sqrt rsqrt exp exp2 expm1 log log2 "
    "log10 log1p sin cos tan asin acos atan sinh cosh tanh asinh acosh atanh sigmoid erf erfc "
    "isnan isinf isfinite isposinf isneginf signbit logical_not deg2rad rad2deg nan_to_num logit"
).split()
ACTIVATIONS = (
    "relu leaky_relu elu celu selu hardtanh relu6 hardsigmoid hardswish hardshrink softshrink "
    "softplus logsigmoid silu mish gelu softsign tanhshrink"
).split()
BINARY = (
    "add sub mul div maximum minimum fmax fmin atan2 hypot copysign pow remainder fmod "
    "floor_divide eq ne lt le gt ge logical_and logical_or logical_xor xlogy logaddexp logaddexp2 "
    "heaviside isclose"
).split()
OF_INTEGERS = "add sub mul maximum minimum eq lt ge bitwise_and bitwise_or bitwise_xor".split()
DIVISIONS = "remainder fmod floor_divide".split()
SHIFTS = "bitwise_left_shift bitwise_right_shift".split()
# that many units in the last place may lie between the interpreter's result and the compiled one
ULPS = 16


def compare(compute, ulps=ULPS, cancelling=0.0):
    """Checks that everything was native, and equal up to rounding, of numbers of size `cancelling`
    where such cancel each other.
    """
    expected, found, interpreted = both(compute)
    assert not interpreted
    for want, have in zip(expected, found, strict=True):
        assert want.dtype == have.dtype and want.shape == have.shape
        if want.dtype.kind != "f":
            np.testing.assert_array_equal(have, want)
            continue
        np.testing.assert_array_equal(np.isnan(have), np.isnan(want))
        tiny, eps = np.finfo(want.dtype).tiny, np.finfo(want.dtype).eps
        np.testing.assert_allclose(have, want, rtol=ulps * eps, atol=max(tiny, cancelling * eps))


def arrays(*tensors):
    return tuple(tensor.detach().numpy() for tensor in tensors)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", UNARY)
def test_operators_of_one_tensor(name, dtype):
    x = fakel.tensor(numbers(dtype))
    compare(lambda: arrays(getattr(fakel, name)(x)))


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_activations_and_their_gradients(name, dtype):
    values = np.nan_to_num(numbers(dtype), posinf=30, neginf=-30).clip(-30, 30)

    def compute():
        x = fakel.tensor(values, requires_grad=True)
        y = getattr(F, name)(x)
        y.backward(fakel.tensor(numbers(dtype, 1).clip(-9, 9)).nan_to_num())
        return arrays(y, x.grad)

    expected, found, interpreted = both(compute)
    assert not interpreted
    for want, have in zip(expected, found, strict=True):
        # differences of nearly equal numbers lose digits against the size of the operands
        room = 64 * np.finfo(want.dtype).eps
        np.testing.assert_allclose(have, want, rtol=room, atol=room)


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("name", BINARY)
def test_operators_of_two_tensors(name, dtype):
    x, y = fakel.tensor(numbers(dtype)), fakel.tensor(numbers(dtype, 1)[::-1].copy())
    compare(lambda: arrays(getattr(fakel, name)(x, y)), cancelling=4)


@pytest.mark.parametrize("dtype", INTEGERS)
def test_operators_of_integers(dtype):
    x, y = fakel.tensor(numbers(dtype)), fakel.tensor(numbers(dtype, 1))
    divisor, shift = y + (y == 0).to(y.dtype), y.abs() if dtype != "uint8" else y

    def compute():
        found = [getattr(fakel, name)(x, y) for name in OF_INTEGERS]
        found += [getattr(fakel, name)(x, divisor) for name in DIVISIONS]
        found += [getattr(fakel, name)(x, shift) for name in SHIFTS]
        found += [x.abs(), x.sign(), ~x, x.clamp(1, 5), -x, F.relu(x), x.logical_not()]
        return arrays(*found)

    compare(compute)


def test_operators_of_bools():
    x, y = fakel.tensor(numbers("bool")), fakel.tensor(numbers("bool", 1))
    compare(lambda: arrays(x & y, x | y, x ^ y, ~x, x == y, x + y, x * y, x.logical_or(y), x < y))


def test_division_of_integers_by_zero_is_an_error():
    x, zero = fakel.arange(40), fakel.arange(40) % 13
    with running_on(Compiler(eager=True)), pytest.raises(RuntimeError, match="ZeroDivision"):
        (x // zero).numpy()


def test_chances_outside_the_unit_interval_are_an_error():
    x = fakel.tensor(numbers("float32").clip(0, 1)).nan_to_num()
    wrong = x.clone()
    wrong[300] = 1.5
    with running_on(Compiler(eager=True)):
        assert F.binary_cross_entropy(x, x).isfinite()
        with pytest.raises(RuntimeError, match="between 0 and 1"):
            F.binary_cross_entropy(wrong, x).numpy()


@pytest.mark.parametrize("source", [*FLOATS, *INTEGERS, "bool"])
@pytest.mark.parametrize("target", [*FLOATS, *INTEGERS, "bool"])
def test_casts(source, target):
    x = fakel.tensor(np.nan_to_num(numbers(source), posinf=200, neginf=-200, nan=1).clip(-500, 500)
                     if source.startswith("float") else numbers(source))  # fmt: skip
    compare(lambda: arrays(x.to(getattr(fakel, target))))


def test_choices_and_mixtures():
    x, y, z = (fakel.tensor(numbers("float32", seed)) for seed in range(3))
    mask = fakel.tensor(numbers("bool"))
    compare(
        lambda: arrays(
            fakel.where(mask, x, y),
            x.masked_fill(mask, 3.0),
            x.clamp(-1, 2),
            x.clamp(min=y),
            fakel.clamp(x, max=y),
            fakel.lerp(x, y, 0.3),
            fakel.addcmul(x, y, z, value=0.5),
            fakel.addcdiv(x, y, z + 10, value=0.5),
            fakel.add(x, y, alpha=2.5),
            fakel.round(x, decimals=2),
            x * 2 + mask,
        ),
        cancelling=8,
    )


@pytest.mark.parametrize("strided", [False, True])
def test_broadcasting_and_strides(strided):
    rng = np.random.default_rng(0)
    x = fakel.tensor(rng.standard_normal((7, 5, 33), dtype=np.float32))
    row, column = x[0, :1].clone(), x[:, :, :1].clone()
    if strided:
        x = x.transpose(0, 1).flip(0)[:, 1:, ::2]
        row, column = row[:, ::2], column.transpose(0, 1)[:, 1:]
    compare(
        lambda: arrays(x * row + column, (x.transpose(1, 2) * 2).transpose(0, 2) - 1), cancelling=8
    )


def plans(compute):
    """The calls of each program that `compute` runs."""
    found = []
    lower = Plan.lower

    def noted(plan):
        lower(plan)
        found.append([step for step in plan.steps if isinstance(step, Call)])

    Plan.lower = noted
    try:
        with running_on(Compiler(eager=True)):
            compute()
    finally:
        Plan.lower = lower
    return found


def test_what_several_read_is_computed_once_and_stored():
    x = fakel.tensor(numbers("float32", count=5000))

    def compute():
        shared = (x * 2).exp()
        return (shared + 1).tanh(), shared.sqrt() * shared, shared

    (calls,) = plans(lambda: arrays(*compute()))
    assert len(calls) <= 2
    assert sum(call.operators.count("exp") for call in calls) == 1
    compare(lambda: arrays(*compute()))


def test_all_updates_are_one_kernel():
    model = nn.Sequential(nn.Linear(30, 20), nn.Linear(20, 3))
    optimizer = fakel.optim.Adam(model.parameters(), lr=0.1)

    def step():
        optimizer.zero_grad()
        model(fakel.ones(8, 30)).square().sum().backward()
        optimizer.step()

    step()
    step()
    updates = [c for c in plans(step)[-1] if "addcdiv" in c.operators]
    assert [call.kernel.name for call in updates] == ["update"]


@pytest.mark.parametrize("optimizer", ["SGD", "Adam", "RMSprop", "AdamW"])
def test_updates_of_tensors_of_all_sizes(optimizer):
    sizes = [(), (1,), (3,), (16,), (64,), (65,), (7, 131), (300, 70)]

    def compute():
        fakel.manual_seed(0)
        parameters = [nn.Parameter(fakel.randn(size)) for size in sizes]
        chosen = getattr(fakel.optim, optimizer)(parameters, lr=0.1)
        for _ in range(3):
            chosen.zero_grad()
            sum((p * p).sum() for p in parameters).backward()
            chosen.step()
        return arrays(*parameters)

    expected, found, _ = both(compute)
    for want, have in zip(expected, found, strict=True):
        np.testing.assert_allclose(have, want, rtol=2e-5, atol=1e-6)


def test_every_meaning_is_that_of_an_operator():
    import gc

    from fakel.graph import Operator

    names = {each.name for each in gc.get_objects() if type(each) is Operator}
    assert set(MEANINGS) <= names


FUSED = {
    "addcmul": lambda x, y, z: x.addcmul(y, z),
    "addcmul scaled": lambda x, y, z: x.addcmul(y, z, value=0.37),
    "addcdiv": lambda x, y, z: x.addcdiv(y, z, value=-2.5),
    "add": lambda x, y, z: x.add(y, alpha=0.37) + 0 * z,
    "sub": lambda x, y, z: x.sub(y, alpha=0.37) + 0 * z,
    "optimizer": lambda x, y, z: (x * 0.9).addcmul(y, y, value=0.1) + 0 * z,
}


@pytest.mark.parametrize("name", FUSED)
@pytest.mark.parametrize("size", [1, 7, 33, 1000])
def test_sums_with_products_round_as_pytorch_does(torch, name, size):
    """PyTorch's kernels for AVX2 and AVX512 round once: bit by bit, and where products overflow."""
    if torch.backends.cpu.get_cpu_capability() not in ("AVX2", "AVX512"):
        pytest.skip("PyTorch has no fused operations here")
    rng = np.random.default_rng(size)
    arrays = [rng.standard_normal(size).astype("f4") for _ in range(3)]
    large = [np.full(size, value, "f4") for value in (-3e38, 2e38, 2.0)]
    for given in (arrays, large):
        expected = FUSED[name](*map(torch.tensor, given)).numpy()

        def record(given=given):
            made = [fakel.tensor(array) for array in given]
            flush()
            return [FUSED[name](*made)]

        with executor(Interpreter()):
            np.testing.assert_array_equal(record()[0].numpy(), expected)
        np.testing.assert_array_equal(compiled(record)[0][0], expected)
