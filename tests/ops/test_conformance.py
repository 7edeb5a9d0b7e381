"""PyTorch's own operator samples: values, first and second derivatives, refused dtypes.

`FAKEL_SAMPLES=40` takes that many samples of each operator and dtype.
"""

from __future__ import annotations

import os
import warnings

import numpy as np
import pytest

from tests.support.compare import flat, is_tensor, to_array
from tests.support.package import package

torch = pytest.importorskip("torch")
pytest.importorskip("expecttest")
with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    invocations = pytest.importorskip("torch.testing._internal.common_methods_invocations")

from tests.support.samples import (  # noqa: E402  (needs PyTorch)
    carried,
    derivatives,
    each,
    function_of,
    leaves,
    outcome,
    samples,
    title,
)

SAMPLES = int(os.environ.get("FAKEL_SAMPLES", 1))
DTYPES = ("float32", "int64")
REFUSED = ("bool",)
CLOSE = {"float64": 1e-7}  # 2e-4 in others

# What is left out, by name or name and variant; docs/numbers.md says more.
LEFT_OUT = {
    "chalf": "there is no complex32",
    "hash_tensor": "used by no program",
    "item": "answers no tensor; see tests/tensor",
    "nn.functional.linear_cross_entropy": "used by no program",
    "nn.functional.triplet_margin_with_distance_loss": "is handed PyTorch's own function",
    "slice": "is no public function",
    "to_sparse": "there are no sparse tensors",
    "native_dropout_backward": "is internal",
    "max_pool2d_with_indices_backward": "is internal",
    "nn.functional.rrelu": "its samples give numbers that the wrapper draws; tests/ops/test_random",
    "rand_like": "its samples set the seed in the wrapper; tests/ops/test_random",
    "svd_lowrank": "its samples call a wrapper; tests/ops/test_linalg",
    "pca_lowrank": "its samples call a wrapper; tests/ops/test_linalg",
    "linalg.lstsq grad_oriented": "its samples call a wrapper",
    "linalg.pinv singular": "its samples call a wrapper",
    "as_strided partial_views": "its samples' memory is not carried over",
    "__rdiv__": "Python calls it with numbers only",
    "as_strided_scatter": "PyTorch's gradient of the overwritten tensor is wrong",
    "argsort": "PyTorch's order of equal elements depends on the processor",
    "sort": "PyTorch's order of equal elements depends on the processor",
    "matrix_exp": "PyTorch's numbers are less accurate in float32",
}
LEFT_OUT_FAMILIES = ("_", "jiterator", "masked.", "sparse.", "torch.")
UNINITIALISED = (
    "empty", "empty_like", "empty_permuted", "empty_strided", "new_empty", "new_empty_strided",
    "resize_", "resize_as_",
)  # fmt: skip
UP_TO_SIGN = (
    "geqrf", "linalg.eig", "linalg.eigh", "linalg.householder_product", "linalg.qr", "linalg.svd",
    "ormqr", "qr", "svd",
)  # fmt: skip
NO_UNIQUE_GRADIENT = (*UP_TO_SIGN, "linalg.lstsq", "linalg.eigvals", "sgn")

OPERATORS = [
    info
    for info in invocations.op_db
    if info.name not in LEFT_OUT
    and title(info) not in LEFT_OUT
    and (info.name.startswith("__") or not info.name.startswith(LEFT_OUT_FAMILIES))
]


def by_operator(*keep):
    """Runs the test for every operator that fulfils all of `keep`."""
    chosen = [info for info in OPERATORS if all(wanted(info) for wanted in keep)]
    return pytest.mark.parametrize("info", chosen, ids=title)


@pytest.fixture(autouse=True)
def _quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def compare(info, found, expected, dtype):
    """Structure, dtypes, shapes and values agree."""
    found, expected = flat(found), flat(expected)
    assert len(found) == len(expected)
    for ours, theirs in zip(found, expected):
        if not is_tensor(theirs):
            assert str(ours) == str(theirs) or np.allclose(ours, theirs, equal_nan=True)
            continue
        assert is_tensor(ours), f"a {type(ours).__name__}, expected a tensor"
        assert str(ours.dtype) == str(theirs.dtype)
        assert tuple(ours.shape) == tuple(theirs.shape)
        if info.name in UNINITIALISED:
            continue
        ours, theirs = to_array(ours), to_array(theirs.resolve_neg())
        if info.name in UP_TO_SIGN:
            ours, theirs = np.abs(ours), np.abs(theirs)
        close = CLOSE.get(dtype, 2e-4)
        np.testing.assert_allclose(ours, theirs, rtol=close, atol=close)


def supported(info, names):
    return [name for name in names if getattr(torch, name) in info.supported_dtypes("cpu")]


def first_samples(info, dtype, count, gradients=False):
    """The first samples that PyTorch itself answers, with its answer."""
    kind = getattr(torch, dtype)
    for args, kwargs in samples(info, kind, gradients):
        expected = outcome(torch, info.op, args, kwargs)
        if not isinstance(expected, Exception):
            yield args, kwargs, expected
            count -= 1
        if not count:
            return


@by_operator()
def test_values_and_gradients(info):
    function = function_of(info)
    for dtype in supported(info, DTYPES):
        gradients = (
            dtype == "float32" and info.supports_autograd and info.name not in NO_UNIQUE_GRADIENT
        )
        for args, kwargs, expected in first_samples(info, dtype, SAMPLES, gradients):
            own_args, own_kwargs = carried((args, kwargs))
            found = outcome(package, function, own_args, own_kwargs)
            if isinstance(found, Exception):
                raise AssertionError(f"{dtype}: {found!r}") from found
            compare(info, found, expected, dtype)
            if gradients:
                (theirs,) = derivatives(torch, expected, leaves((args, kwargs)), 1)
                (ours,) = derivatives(package, found, leaves((own_args, own_kwargs)), 1)
                _compare_gradients(info, ours, theirs, dtype)


def _compare_gradients(info, found, expected, dtype):
    pairs = [(ours, theirs) for ours, theirs in zip(found, expected) if theirs is not None]
    for ours, theirs in pairs:
        zero = theirs._is_zerotensor()
        theirs = torch.zeros_like(theirs) if zero else theirs
        ours = torch.zeros_like(theirs) if ours is None else ours
        compare(info, ours, theirs, dtype)


@by_operator(
    lambda info: info.supports_gradgrad,
    lambda info: info.name not in NO_UNIQUE_GRADIENT,
    lambda info: info.variant_test_name != "subgradients_at_zero",  # not a number in PyTorch
)
def test_second_derivatives(info):
    if not supported(info, ["float64"]):
        pytest.skip("not in float64")
    for args, kwargs, expected in first_samples(info, "float64", 1, gradients=True):
        try:
            theirs = derivatives(torch, expected, leaves((args, kwargs)), 2)
        except RuntimeError:
            pytest.skip("PyTorch has none")
        args, kwargs = carried((args, kwargs))
        found = outcome(package, function_of(info), args, kwargs)
        ours = derivatives(package, found, leaves((args, kwargs)), 2)
        for order in range(2):
            _compare_gradients(info, ours[order], theirs[order], "float64")


# of embedding_bag, op_db swaps the arguments, which depends on their dtypes
@by_operator(lambda info: info.name != "nn.functional.embedding_bag")
def test_refused_dtypes(info):
    function = function_of(info)
    dtype = supported(info, ("float64", "int64", "complex64", "bool"))
    if not dtype:
        pytest.skip("no such dtype")
    kind = getattr(torch, dtype[0])
    args, kwargs = next(samples(info, kind), (None, None))
    if args is None:
        pytest.skip("no samples")
    for name in REFUSED:
        other = getattr(torch, name)

        def cast(value, other=other):
            if isinstance(value, torch.Tensor):
                return value.to(other) if value.dtype == kind else value.clone()
            return value

        changed = each((args, kwargs), cast)
        own = carried(changed)
        expected = outcome(torch, info.op, *changed)
        if not isinstance(expected, Exception):
            continue
        found = outcome(package, function, *own)
        assert isinstance(found, Exception), f"{name}: no error, expected {expected!r}"
        assert type(found).__name__ == type(expected).__name__, f"{name}: {found!r}, {expected!r}"
