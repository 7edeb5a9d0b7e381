"""Which dtype comes out of two: pairs of dtypes, with and without dimensions, numbers."""

import itertools

import pytest

from tests.support.package import package

NAMES = (
    "bool",
    "uint8",
    "int8",
    "int16",
    "int32",
    "int64",
    "float16",
    "bfloat16",
    "float32",
    "float64",
    "complex64",
    "complex128",
)
NUMBERS = (True, 2, 2.5, 2j)
OPERATORS = ("add", "mul", "div", "pow", "maximum", "eq", "remainder")
PAIRS = [*itertools.product(NAMES, NAMES)]
# PyTorch answers with its experimental complex32, which fakel does not have.
HALF_COMPLEX = {(a, b) for a, b in PAIRS if "float16" in (a, b) and "complex" in a + b}


def outcome(module, action):
    try:
        return str(action(module).dtype)
    except (RuntimeError, NotImplementedError):
        return "an error"


def agree(torch, action):
    assert outcome(package, action) == outcome(torch, action)


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_pairs_of_dtypes(one, two, torch):
    def kinds(module):
        return getattr(module, one), getattr(module, two)

    assert str(package.promote_types(*kinds(package))) == str(torch.promote_types(*kinds(torch)))
    assert package.can_cast(*kinds(package)) == torch.can_cast(*kinds(torch))
    shapes = [((2,), (2,)), ((2,), ()), ((), (2,)), ((), ())]
    for a, b in shapes:
        if (one, two) in HALF_COMPLEX and a != b:
            continue

        def total(module, a=a, b=b):
            first, second = kinds(module)
            return module.ones(a, dtype=first) + module.ones(b, dtype=second)

        agree(torch, total)


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_with_numbers(operator, torch):
    for name, number, shape in itertools.product(NAMES, NUMBERS, [(2,), ()]):
        if name == "float16" and isinstance(number, complex):
            continue  # complex32 again

        def apply(module, name=name, number=number, shape=shape):
            x = module.ones(shape, dtype=getattr(module, name))
            if operator == "maximum":
                return module.maximum(x, module.tensor(number))
            return getattr(module, operator)(x, number)

        assert outcome(package, apply) == outcome(torch, apply), (name, number, shape)


@pytest.mark.parametrize("operator", OPERATORS)
def test_operators_with_mixed_tensors(operator, torch):
    for one, two in PAIRS:

        def apply(module, one=one, two=two):
            x = module.ones(2, dtype=getattr(module, one))
            y = module.ones(2, dtype=getattr(module, two))
            return getattr(module, operator)(x, y)

        assert outcome(package, apply) == outcome(torch, apply), (one, two)


@pytest.mark.parametrize("name", ["sum", "mean", "prod", "cumsum", "exp", "sqrt", "abs", "argmax"])
def test_operators_of_one_tensor(name, torch):
    for kind in NAMES:

        def apply(module, kind=kind):
            x = module.ones(2, dtype=getattr(module, kind))
            return getattr(module, name)(x, 0) if name == "cumsum" else getattr(module, name)(x)

        assert outcome(package, apply) == outcome(torch, apply), kind


@pytest.mark.parametrize(("one", "two"), PAIRS)
def test_in_place_keeps_the_dtype_or_refuses(one, two, torch):
    def apply(module):
        x = module.ones(2, dtype=getattr(module, one))
        return x.add_(module.ones(2, dtype=getattr(module, two)))

    agree(torch, apply)
