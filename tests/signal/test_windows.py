"""Window functions against PyTorch and NumPy."""

import numpy as np
import pytest

from tests.support.compare import assert_same, to_array
from tests.support.package import package

WINDOWS = [
    ("bartlett", {}),
    ("blackman", {}),
    ("cosine", {}),
    ("exponential", {"tau": 3.0}),
    ("gaussian", {"std": 2.0}),
    ("general_cosine", {"a": [0.4, 0.3, 0.2, 0.1]}),
    ("general_hamming", {"alpha": 0.6}),
    ("hamming", {}),
    ("hann", {}),
    ("kaiser", {"beta": 8.0}),
    ("nuttall", {}),
]


@pytest.mark.parametrize(("name", "options"), WINDOWS, ids=[name for name, _ in WINDOWS])
def test_windows_are_pytorchs(name, options, torch):
    for points in (0, 1, 2, 7, 8):
        for sym in (True, False):
            for dtype in ("float32", "float64"):
                ours, theirs = (
                    getattr(module.signal.windows, name)(
                        points, sym=sym, dtype=getattr(module, dtype), **options
                    )
                    for module in (package, torch)
                )
                assert_same(ours, theirs)


@pytest.mark.parametrize(
    ("name", "numpy", "arguments"),
    [
        ("bartlett", np.bartlett, {}),
        ("blackman", np.blackman, {}),
        ("hamming", np.hamming, {}),
        ("hann", np.hanning, {}),
        ("kaiser", np.kaiser, {"beta": 5.0}),
    ],
)
def test_symmetric_windows_are_numpys(name, numpy, arguments):
    found = getattr(package.signal.windows, name)(9, dtype=package.float64, **arguments)
    np.testing.assert_allclose(to_array(found), numpy(9, **arguments), atol=1e-12)


def test_centre_of_an_exponential_window(torch):
    ours, theirs = (
        module.signal.windows.exponential(6, center=1.0, tau=2.0, sym=False)
        for module in (package, torch)
    )
    assert_same(ours, theirs)


@pytest.mark.parametrize(
    ("name", "points", "options"),
    [
        ("hann", -1, {}),
        ("hann", 3, {"dtype": "float16"}),
        ("exponential", 3, {"tau": 0}),
        ("exponential", 3, {"center": 1.0}),
        ("gaussian", 3, {"std": -1}),
        ("kaiser", 3, {"beta": -1}),
        ("general_cosine", 3, {"a": []}),
        ("general_cosine", 3, {"a": 1.0}),
    ],
)
def test_mistakes_are_pytorchs(name, points, options, torch):
    raised = []
    for module in (torch, package):
        given = {
            key: getattr(module, value) if key == "dtype" else value
            for key, value in options.items()
        }
        with pytest.raises((ValueError, TypeError)) as caught:
            getattr(module.signal.windows, name)(points, **given)
        raised.append((type(caught.value), str(caught.value)))
    assert raised[1] == raised[0]
