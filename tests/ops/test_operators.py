"""Every operator's cases (tests/ops/cases) against PyTorch, NumPy and numerical derivatives."""

from __future__ import annotations

import importlib
import pkgutil
import warnings
from collections import Counter

import numpy as np
import pytest

import tests.ops.cases as families
from tests.support.case import Case, Mistake
from tests.support.compare import (
    arrays,
    assert_close,
    assert_same,
    flat,
    is_tensor,
    tensors,
    to_array,
)
from tests.support.derivatives import check_derivatives
from tests.support.package import package, resolve


def _collect():
    cases, mistakes, elsewhere = [], [], {}
    for found in pkgutil.iter_modules(families.__path__):
        module = importlib.import_module(f"{families.__name__}.{found.name}")
        cases += getattr(module, "CASES", [])
        mistakes += getattr(module, "MISTAKES", [])
        elsewhere.update(getattr(module, "ELSEWHERE", {}))
    count = Counter()
    for line in cases:
        count[line.name] += 1
        object.__setattr__(line, "label", f"{line.name}-{count[line.name]}")
    return cases, mistakes, elsewhere


CASES, MISTAKES, ELSEWHERE = _collect()
pytestmark = pytest.mark.filterwarnings("ignore:index_reduce.* is in beta:UserWarning")


def by_case(*keep):
    """Runs the test for every case that fulfils all of `keep`."""
    chosen = [line for line in CASES if all(wanted(line) for wanted in keep)]
    return pytest.mark.parametrize("case", chosen, ids=str)


def call(module, case: Case | Mistake, args, kwargs):
    return resolve(module, case.name)(*args, **kwargs)


def outcome(module, case, dtype, **how):
    """What a call answers, or the exception it raises; warnings are not compared."""
    args, kwargs = tensors(module, case, dtype, **how)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return call(module, case, args, kwargs)
        except Exception as error:
            return error


@by_case()
def test_forward_gives_what_pytorch_gives(case, torch):
    for dtype in case.dtypes:
        expected = outcome(torch, case, dtype)
        for views in (False, True) if case.views else (False,):
            found = outcome(package, case, dtype, views=views)
            if isinstance(expected, Exception):
                assert isinstance(found, Exception), f"{dtype}: no error, expected {expected!r}"
                assert type(found).__name__ == type(expected).__name__, f"{dtype}: {found!r}"
                continue
            if isinstance(found, Exception):
                raise AssertionError(f"{dtype}, views={views}: {found!r}") from found
            try:
                assert_same(found, expected, case.tolerance)
            except AssertionError as error:
                raise AssertionError(f"{dtype}, views={views}: {error}") from None


@by_case(lambda case: case.numpy is not None)
def test_forward_gives_what_numpy_gives(case):
    dtype = "float64" if "float64" in case.dtypes else case.dtype
    args, kwargs = arrays(case, dtype)
    expected = flat(case.numpy(*args, **kwargs))
    found = flat(call(package, case, *tensors(package, case, dtype)))
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        theirs = np.asarray(theirs)
        ours = to_array(ours) if is_tensor(ours) else np.asarray(ours)
        assert ours.shape == theirs.shape
        assert_close(ours, theirs, dtype, case.tolerance)


@by_case(lambda case: "." not in case.name and case.method)
def test_the_method_gives_what_the_function_gives(case, torch):
    args, kwargs = tensors(package, case, case.dtype)
    if not (args and is_tensor(args[0]) and hasattr(torch.Tensor, case.name)):
        pytest.skip("PyTorch has no such method")
    expected = call(package, case, args, kwargs)
    method = getattr(args[0], case.name)
    assert_same(method(*args[1:], **kwargs), expected)


@by_case(lambda case: "float64" in case.dtypes and case.gradient is not None)
def test_gradients_agree_with_differences(case):
    args, kwargs = tensors(package, case, "float64", gradients=True)
    leaves = [leaf for leaf in _tensors((args, kwargs)) if leaf.requires_grad]
    if not leaves:
        pytest.skip("no floating-point input")
    result = call(package, case, args, kwargs)
    connected = any(is_tensor(part) and part.requires_grad for part in flat(result))
    assert connected == bool(case.gradient)
    if not connected:
        return

    def function(*inputs):
        remaining = iter(inputs)
        args, kwargs = tensors(package, case, "float64", gradients=True)
        args, kwargs = _replace((args, kwargs), remaining)
        parts = [part for part in flat(call(package, case, args, kwargs)) if is_tensor(part)]
        return [part for part in parts if part.requires_grad]

    check_derivatives(package, function, [to_array(leaf) for leaf in leaves], case.gradient)


@by_case(lambda case: "." not in case.name and case.in_place is not False)
def test_the_in_place_form_writes_the_same_result(case, torch):
    if not hasattr(torch.Tensor, case.name + "_"):
        pytest.skip("PyTorch has no in-place form")
    args, kwargs = tensors(package, case, case.dtype)
    expected = call(package, case, args, kwargs)
    if not is_tensor(expected) or not args or not is_tensor(args[0]):
        pytest.skip("not an operator of one tensor")
    fits = expected.shape == args[0].shape and expected.dtype == args[0].dtype
    if not fits and not case.in_place:
        pytest.skip("the result does not fit into the input")
    for views in (False, True):
        args, kwargs = tensors(package, case, case.dtype, views=views and fits)
        found = getattr(args[0], case.name + "_")(*args[1:], **kwargs)
        assert found is args[0]
        assert_same(found, expected)


@by_case(lambda case: case.out)
def test_out_receives_the_result(case, torch):
    expected = outcome(torch, case, case.dtype)
    args, kwargs = tensors(torch, case, case.dtype)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            call(torch, case, args, {**kwargs, "out": _empty_like(torch, expected)})
    except (TypeError, RuntimeError):
        pytest.skip("PyTorch has no out= here")
    args, kwargs = tensors(package, case, case.dtype)
    out = _empty_like(package, expected)
    found = call(package, case, args, {**kwargs, "out": out})
    assert all(ours is given for ours, given in zip(flat(found), flat(out)))
    assert_same(out, expected, case.tolerance)


@pytest.mark.parametrize("mistake", MISTAKES, ids=str)
def test_a_mistake_raises_pytorchs_error(mistake):
    args, kwargs = tensors(package, mistake, "float32")
    with pytest.raises(mistake.error) as caught:
        # what depends on values may be found when somebody looks
        [to_array(part) for part in flat(call(package, mistake, args, kwargs)) if is_tensor(part)]
    assert type(caught.value) is mistake.error
    assert mistake.text in str(caught.value)


def declared() -> set[str]:
    """Every operator of fakel, by its path."""
    declare = pytest.importorskip("fakel.ops.declare")
    return {
        f"{namespace}.{name}".lstrip(".")
        for namespace, functions in declare.FUNCTIONS.items()
        for name in functions
    }


def test_every_operator_is_one_of_pytorchs(torch):
    def known(name):
        try:
            return resolve(torch, name) is not None
        except AttributeError:
            return False

    assert [name for name in sorted(declared()) if not known(name)] == []


def test_every_operator_has_a_case():
    tested = {line.name for line in CASES} | {line.name.removeprefix("Tensor.") for line in CASES}
    missing = sorted(declared() - tested - set(ELSEWHERE))
    assert not missing, f"no line in tests/ops/cases: {' '.join(missing)}"


def _tensors(value):
    if is_tensor(value):
        return [value]
    if isinstance(value, dict):
        value = list(value.values())
    if isinstance(value, list | tuple):
        return [leaf for part in value for leaf in _tensors(part)]
    return []


def _replace(value, remaining):
    """The structure with its tensors that require gradients replaced, in order, by `remaining`."""
    if is_tensor(value):
        return next(remaining) if value.requires_grad else value
    if isinstance(value, dict):
        return {key: _replace(part, remaining) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_replace(part, remaining) for part in value)
    return value


def _empty_like(module, expected):
    """Empty tensors to receive a result with the dtypes of `expected`."""
    if is_tensor(expected):
        return module.empty(0, dtype=getattr(module, str(expected.dtype).removeprefix("torch.")))
    return tuple(_empty_like(module, part) for part in expected)
