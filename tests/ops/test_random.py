"""Random operators: PyTorch's numbers from golden files, its errors, and what draws what."""

import math
import warnings

import numpy as np
import pytest

import fakel
from fakel.ops.random import bernoulli_mask
from fakel.tensor import dtypes
from tests.goldens import cases, load, tolerances
from tests.goldens.values import assert_same

GOLDEN = load("random")
CASES = cases("random", fakel)


@pytest.mark.parametrize("expression", GOLDEN)
def test_numbers_and_state_are_those_of_pytorch(expression):
    assert_same(CASES[expression](), GOLDEN[expression], **tolerances("random", expression))


ERRORS = {
    "torch.rand(-1)": (RuntimeError, "Trying to create tensor with negative dimension -1: [-1]"),
    "torch.rand('a')": (
        TypeError,
        "rand(): argument 'size' (position 1) must be tuple of ints, not str",
    ),
    "torch.rand([2, 2.5])": (
        TypeError,
        "rand(): argument 'size' failed to unpack the object at pos 2 with error "
        '"type must be tuple of ints,but got float"',
    ),
    "torch.rand(3, dtype=torch.int64)": (
        NotImplementedError,
        "\"check_uniform_bounds\" not implemented for 'Long'",
    ),
    "torch.randn(3, dtype=torch.int64)": (
        NotImplementedError,
        "\"normal_kernel_cpu\" not implemented for 'Long'",
    ),
    "torch.rand(2, device='cuda')": (AssertionError, "Torch not compiled with CUDA enabled"),
    "torch.rand(2, dtype=torch.float32, out=torch.empty(2, dtype=torch.float64))": (
        RuntimeError,
        "dtype Float does not match dtype of out parameter (Double)",
    ),
    "torch.randint(0, 0, (3,))": (
        RuntimeError,
        "random_ expects 'from' to be less than 'to', but got from=0 >= to=0",
    ),
    "torch.randint(0, 300, (3,), dtype=torch.uint8)": (
        RuntimeError,
        "to - 1 is out of bounds for unsigned char",
    ),
    "torch.randint(3.5, (2,))": (
        TypeError,
        "randint(): argument 'high' (position 1) must be int, not float",
    ),
    "torch.randint(2**63, (2,))": (ValueError, "Overflow when unpacking long long"),
    "torch.randint(2, (2,), requires_grad=True)": (
        RuntimeError,
        "Only Tensors of floating point and complex dtype can require gradients",
    ),
    "torch.randperm(-1)": (
        RuntimeError,
        "Trying to create tensor with negative dimension -1: [-1]",
    ),
    "torch.randperm(300, dtype=torch.uint8)": (
        RuntimeError,
        "value cannot be converted to type uint8_t without overflow",
    ),
    "torch.randperm(2050, dtype=torch.float16)": (
        RuntimeError,
        "n cannot be greater than 2049 for Half type.",
    ),
    "torch.rand_like(3)": (
        TypeError,
        "rand_like(): argument 'input' (position 1) must be Tensor, not int",
    ),
    "torch.empty(3).uniform_(2, 1)": (
        RuntimeError,
        "uniform_ expects to return a [from, to) range, but found from=2 > to=1",
    ),
    "torch.empty(3).uniform_(0, 1e39)": (RuntimeError, "to is out of bounds for float"),
    "torch.empty(3).uniform_('a')": (
        TypeError,
        "uniform_(): argument 'from' (position 1) must be float, not str",
    ),
    "torch.empty(3).uniform_(generator=3)": (
        TypeError,
        "uniform_(): argument 'generator' must be torch.Generator, not int",
    ),
    "torch.empty(3).normal_(0, -1)": (
        RuntimeError,
        "normal expects std >= 0.0, but found std -1",
    ),
    "torch.empty(3, dtype=torch.int32).random_(-(2**63), None)": (
        RuntimeError,
        "random_full_64_bits_range_kernel_cpu handles only int64, double, float and bfloat16",
    ),
    "torch.empty(3, dtype=torch.float16).random_(0, 2**17)": (
        RuntimeError,
        "to - 1 is out of bounds for c10::Half",
    ),
    "torch.empty(3, dtype=torch.uint8).random_(-5, None)": (
        RuntimeError,
        "from is out of bounds for unsigned char",
    ),
    "torch.empty(3).random_(1.5)": (
        TypeError,
        "random_() received an invalid combination of arguments - got (float), but expected one "
        "of:\n * (*, torch.Generator generator = None)\n * (int from, int to, *, torch.Generator "
        "generator = None)\n * (int to, *, torch.Generator generator = None)\n",
    ),
    "torch.empty(3).bernoulli_(2.0)": (
        RuntimeError,
        "bernoulli_ expects p to be in [0, 1], but got p=2",
    ),
    "torch.empty(3).bernoulli_(torch.tensor([1, 0, 1]))": (
        NotImplementedError,
        "\"bernoulli_tensor_cpu_p_\" not implemented for 'Long'",
    ),
    "torch.bernoulli(torch.tensor([1.5]))": (
        RuntimeError,
        "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be "
        "improved?  If so, please report an enhancement request to PyTorch.)",
    ),
    "torch.empty(3).exponential_(0)": (
        RuntimeError,
        "exponential_ expects lambda > 0.0, but found lambda=0",
    ),
    "torch.empty(3, dtype=torch.int64).exponential_()": (
        RuntimeError,
        "Exponential distribution is a continuous probability distribution. dtype must be a "
        "floating point but you specified Long",
    ),
    "torch.empty(3).geometric_(1)": (
        RuntimeError,
        "geometric_ expects p to be in (0, 1), but got p=1",
    ),
    "torch.empty(3).log_normal_(0, 0)": (
        RuntimeError,
        "log_normal_ expects std > 0.0, but found std=0",
    ),
    "torch.empty(3, dtype=torch.int64).cauchy_()": (
        RuntimeError,
        "Cauchy distribution is a continuous probability distribution. dtype must be a floating "
        "point but you specified long int",
    ),
    "torch.poisson(torch.tensor([-1.0]))": (
        RuntimeError,
        "invalid Poisson rate, expected rate to be non-negative",
    ),
    "torch.binomial(torch.tensor([3]), torch.tensor([0.5]))": (
        ValueError,
        "binomial only supports floating-point dtypes for count, got: Long",
    ),
    "torch.multinomial(torch.tensor([1.0, 2.0]), 3)": (
        RuntimeError,
        "cannot sample n_sample > prob_dist.size(-1) samples without replacement",
    ),
    "torch.multinomial(torch.tensor([0.0, 0.0]), 1)": (
        RuntimeError,
        "invalid multinomial distribution (sum of probabilities <= 0)",
    ),
    "torch.multinomial(torch.tensor([-1.0, 2.0]), 1, True)": (
        RuntimeError,
        "probability tensor contains either `inf`, `nan` or element < 0",
    ),
    "torch.multinomial(torch.tensor([1, 2]), 1)": (
        RuntimeError,
        "multinomial only supports floating-point dtypes for input, got: Long",
    ),
    "torch.multinomial(torch.tensor(1.0), 1)": (RuntimeError, "prob_dist must be 1 or 2 dim"),
    "torch.multinomial(torch.tensor([1.0]), 0)": (
        RuntimeError,
        "cannot sample n_sample <= 0 samples",
    ),
    "torch.normal(torch.zeros(2), torch.tensor([-1.0, 1.0]))": (
        RuntimeError,
        "normal expects all elements of std >= 0.0",
    ),
    "torch.normal(torch.zeros(2), -1.0)": (
        RuntimeError,
        "normal expects std >= 0.0, but found std -1",
    ),
    "torch.normal(torch.zeros(2), torch.ones(3))": (
        RuntimeError,
        "The size of tensor a (2) must match the size of tensor b (3) at non-singleton dimension 0",
    ),
    "torch.rand(2, requires_grad=True).normal_()": (
        RuntimeError,
        "a leaf Variable that requires grad is being used in an in-place operation.",
    ),
    "torch.empty(3).expand(2, 3).normal_()": (
        RuntimeError,
        "unsupported operation: more than one element of the written-to tensor refers to a single "
        "memory location. Please clone() the tensor before performing the operation.",
    ),
    "torch.Generator().manual_seed(1.5)": (
        RuntimeError,
        "manual_seed expected a long, but got float",
    ),
    "torch.manual_seed(2**64)": (ValueError, "Overflow when unpacking long long"),
    "torch.Generator().set_state(torch.zeros(3, dtype=torch.uint8))": (
        RuntimeError,
        "Expected a CPUGeneratorImplState of size 5056 but found the input RNG state size to be 3",
    ),
    "torch.Generator().set_state(torch.zeros(5056, dtype=torch.uint8))": (
        RuntimeError,
        "Invalid mt19937 state",
    ),
    "torch.Generator().set_state(torch.zeros(3))": (
        TypeError,
        "RNG state must be a torch.ByteTensor",
    ),
    "torch.set_rng_state(3)": (TypeError, "expected a torch.ByteTensor, but got int"),
}


@pytest.mark.parametrize("expression", ERRORS)
def test_errors_are_those_of_pytorch(expression):
    kind, text = ERRORS[expression]
    with pytest.raises(kind) as caught:
        eval(expression, {"torch": fakel})
    assert type(caught.value) is kind
    assert str(caught.value) == text


@pytest.mark.parametrize("expression", ERRORS)
def test_expected_errors_are_what_pytorch_says(expression, torch):
    kind, text = ERRORS[expression]
    with pytest.raises(kind) as caught:
        eval(expression, {"torch": torch})
    assert str(caught.value) == text


def test_wide_ranges_of_narrow_dtypes_warn():
    with pytest.warns(UserWarning, match=r"to - 1 is out of bounds \[-\(2\^24\), 2\^24\]"):
        fakel.empty(3).random_(0, 2**26)


def test_size_can_be_several_ints_a_tuple_or_a_keyword():
    shapes = [fakel.rand(2, 3), fakel.rand((2, 3)), fakel.rand([2, 3]), fakel.rand(size=(2, 3))]
    assert all(each.shape == (2, 3) for each in shapes)
    assert fakel.randint(high=3, size=(2,)).shape == (2,)
    assert fakel.randint(low=1, high=2, size=(2,)).tolist() == [1, 1]
    assert fakel.randint(1, high=2, size=(2,)).tolist() == [1, 1]


def test_out_is_filled_and_resized():
    out = fakel.empty(3)
    fakel.manual_seed(0)
    assert fakel.rand(2, 2, out=out) is out
    fakel.manual_seed(0)
    assert out.tolist() == fakel.rand(2, 2).tolist()
    order = fakel.zeros(4)
    fakel.randperm(4, out=order)
    assert sorted(order.tolist()) == [0, 1, 2, 3]


def test_requires_grad_and_dtype_names_of_python():
    assert fakel.rand(2, requires_grad=True).is_leaf
    assert fakel.randn(2, requires_grad=True).requires_grad
    assert fakel.rand(2, dtype=float).dtype is fakel.float64


def test_default_dtype_decides():
    fakel.set_default_dtype(fakel.float64)
    try:
        assert fakel.rand(2).dtype is fakel.float64
        assert fakel.normal(0.0, 1.0, (2,)).dtype is fakel.float64
    finally:
        fakel.set_default_dtype(fakel.float32)


def test_filling_overwrites_the_gradient_history():
    x = fakel.ones(3, requires_grad=True)
    y = x * 1
    y.normal_()
    (y * 3).sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.0]


def test_filling_a_part_leaves_the_rest():
    x = fakel.zeros(2, 3)
    x[0].fill_(1.0)
    x[1].uniform_(5, 6)
    assert x[0].tolist() == [1.0, 1.0, 1.0]
    assert all(5 <= value < 6 for value in x[1].tolist())


def test_samples_have_zero_gradients():
    p = fakel.full((4,), 0.5, requires_grad=True)
    fakel.bernoulli(p).sum().backward()
    assert p.grad.tolist() == [0.0] * 4
    mean = fakel.zeros(4, requires_grad=True)
    std = fakel.ones(3, 1, requires_grad=True)
    fakel.normal(mean, std).sum().backward()
    assert mean.grad.tolist() == [0.0] * 4
    assert std.grad.tolist() == [[0.0]] * 3


def test_gamma_gradient_is_that_of_the_distribution_function():
    # x(a) moves such that the distribution function P(a, x) stays: dx/da = -(dP/da) / (dP/dx)
    shape = fakel.tensor([1.0, 2.0, 9.0, 0.3], dtype=fakel.float64, requires_grad=True)
    fakel.manual_seed(1)
    sample = fakel._standard_gamma(shape)
    sample.sum().backward()
    below = fakel.igamma
    step = 1e-5
    a, x = shape.detach(), sample.detach()
    by_shape = (below(a + step, x) - below(a - step, x)) / (2 * step)
    by_value = (below(a, x + step) - below(a, x - step)) / (2 * step)
    expected = (-by_shape / by_value).tolist()
    # PyTorch approximates it
    np.testing.assert_allclose(shape.grad.tolist(), expected, rtol=2e-3)


def test_state_can_be_saved_and_restored():
    fakel.manual_seed(3)
    fakel.randn(5)
    state = fakel.get_rng_state()
    first = fakel.randn(7).tolist()
    fakel.set_rng_state(state)
    assert fakel.randn(7).tolist() == first
    assert fakel.initial_seed() == 3


def test_fork_rng_restores_the_state():
    fakel.manual_seed(3)
    expected = fakel.rand(3).tolist()
    fakel.manual_seed(3)
    with fakel.random.fork_rng():
        fakel.rand(100)
    assert fakel.rand(3).tolist() == expected
    with fakel.random.fork_rng(enabled=False):
        fakel.manual_seed(3)
    assert fakel.rand(3).tolist() == expected


def test_seed_is_taken_from_the_system():
    seeds = {fakel.seed(), fakel.seed()}
    assert len(seeds) == 2
    assert fakel.initial_seed() in seeds


def test_negative_seeds_wrap_around():
    assert fakel.manual_seed(-1).initial_seed() == 2**64 - 1
    assert fakel.manual_seed(1.5).initial_seed() == 1


def test_dropout_masks_follow_the_order_in_memory():
    fakel.manual_seed(0)
    plain = bernoulli_mask((4, 5), 0.5, dtypes.float32)
    fakel.manual_seed(0)
    transposed = bernoulli_mask((5, 4), 0.5, dtypes.float32, strides=(1, 5))
    assert plain.dtype == np.float32
    np.testing.assert_array_equal(transposed.T, plain)


LAYOUTS = (
    "torch.ones(8, 6)[::2].t()",
    "torch.ones(6, 8)[:, ::2]",
    "torch.ones(4, 5, 6)[:, :3].permute(2, 0, 1)",
    "torch.ones(4, 1, 6).permute(2, 1, 0)",
    "torch.ones(3, 1, 5, 1).permute(3, 2, 1, 0)",
    "torch.ones(2, 3, 4, 5).permute(0, 2, 3, 1)",
    "torch.ones(4, 1, 6).expand(4, 3, 6)",
    "torch.ones(6, 1, 4).expand(6, 5, 4).permute(2, 0, 1)",
    "torch.ones(1).expand(3, 4)",
)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_draws_follow_the_layout_as_in_pytorch(layout, torch):
    results = []
    for library in (fakel, torch):
        library.manual_seed(0)
        like = eval(layout, {"torch": library})
        values = [library.rand_like(like), library.randn_like(like), library.bernoulli(like * 0.5)]
        if "expand" not in layout:
            values.append(like.normal_())
        results.append([(value.stride(), value.numpy()) for value in values])
    for ours, theirs in zip(*results, strict=True):
        assert ours[0] == theirs[0]
        np.testing.assert_array_equal(ours[1], theirs[1])


def test_dropout_masks_are_those_of_pytorch(torch):
    torch.manual_seed(0)
    expected = torch.dropout(torch.ones(40), 0.3, True).numpy() != 0
    fakel.manual_seed(0)
    np.testing.assert_array_equal(bernoulli_mask((40,), 0.7, dtypes.float32) != 0, expected)


@pytest.mark.parametrize("size", [1, 7, 16, 33, 1000])
@pytest.mark.parametrize("seed", [0, -3, 2**40 + 1])
def test_streams_go_on_as_in_pytorch(size, seed, torch):
    """Calls of all kinds one after the other: none takes a draw too many."""
    calls = (
        "torch.rand({n})",
        "torch.randn({n})",
        "torch.randn({n}, dtype=torch.float64)",
        "torch.randint(1000, ({n},))",
        "torch.randperm({n})",
        "torch.empty({n}).bernoulli_(0.1)",
        "torch.empty({n}).log_normal_()",
        "torch.empty({n}, 3)[:, 1].normal_()",
        "torch.normal(torch.zeros({n}), 2.0)",
        "torch.empty({n}).exponential_()",
        "torch.multinomial(torch.ones({n}), {n}, replacement=True)",
        "torch.poisson(torch.full(({n},), 4.5))",
    )
    torch.manual_seed(seed)
    fakel.manual_seed(seed)
    for call in calls:
        expression = call.format(n=size)
        theirs = eval(expression, {"torch": torch}).numpy()
        ours = eval(expression, {"torch": fakel}).numpy()
        np.testing.assert_allclose(ours, theirs, rtol=1e-14, atol=0, err_msg=expression)
    np.testing.assert_array_equal(fakel.get_rng_state().numpy(), torch.get_rng_state().numpy())


def test_no_warnings_from_extreme_parameters():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fakel.empty(100, dtype=fakel.float16).log_normal_(0, 20)
        fakel.empty(100, dtype=fakel.float16).geometric_(1e-6)
        fakel.empty(100).exponential_(math.inf)
