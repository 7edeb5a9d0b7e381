"""Runs the same scenario under fakel and under PyTorch and compares all that it reports."""

import warnings

import numpy as np
import pytest


def compare(scenario, ours, theirs, tolerance=1e-5):
    """``scenario(library, report)`` is run with both libraries; its reports must be equal."""
    expected = observe(scenario, theirs)
    assert expected, "the scenario reports nothing"
    actual = observe(scenario, ours)
    assert_same(actual, expected, tolerance)


def assert_same(mine, other, tolerance):
    """Equal, down to the numbers, which may differ by the tolerance."""
    if isinstance(other, np.ndarray):
        np.testing.assert_allclose(mine, other, rtol=tolerance, atol=tolerance)
    elif isinstance(other, list):
        assert isinstance(mine, list), f"{mine!r:.500} instead of {other!r:.500}"
        assert len(mine) == len(other), f"{mine!r:.500} instead of {other!r:.500}"
        for one, two in zip(mine, other, strict=True):
            assert_same(one, two, tolerance)
    else:
        assert mine == other, f"{mine!r:.500} instead of {other!r:.500}"


def observe(scenario, library):
    """Everything a scenario reports, in a form that does not depend on the library."""
    reports = []
    library.manual_seed(3)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        scenario(library, lambda *values: reports.extend(plain(value) for value in values))
    reports.extend(
        [each.category.__name__, named(str(each.message))]
        for each in caught
        if "Triggered internally" not in str(each.message)  # of PyTorch's own kernels
    )
    return reports


def plain(value):
    if hasattr(value, "detach"):
        array = value.detach().numpy().copy()
        return ["numbers", str(value.dtype), value.requires_grad, array]
    if callable(value) and not hasattr(value, "parameters"):
        return attempt(value)
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    if isinstance(value, (bool, int, float, type(None))):
        return value
    return named(str(value))


def attempt(function):
    """What calling a function gives, or the error it raises."""
    try:
        return plain(function())
    except Exception as error:
        text = error.args[0] if isinstance(error, KeyError) else str(error)
        return ["error", type(error).__name__, named(str(text))]


def named(text):
    """A text with the names of PyTorch's modules."""
    return text.replace("fakel.", "torch.").replace("torch.tensor.tensor.Tensor", "torch.Tensor")


def scenarios(namespace):
    """The functions of a module that are scenarios: those with these two arguments."""
    return [
        pytest.param(value, id=name)
        for name, value in list(namespace.items())
        if callable(value)
        and getattr(value, "__code__", None) is not None
        and value.__code__.co_varnames[: value.__code__.co_argcount] == ("library", "report")
    ]
