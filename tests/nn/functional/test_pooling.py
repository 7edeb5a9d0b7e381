"""Pooling: windows of fixed size, of fixed number, at random places, and unpooling."""

import itertools

import numpy as np
import pytest

from tests.nn.functional.agreement import assert_agree, numbers

WINDOWS = list(itertools.product((1, 2, 3), (2, 3), (None, 1), (0, 1), (False, True)))
SIZE = (7, 6, 8)


@pytest.mark.parametrize(("dims", "kernel", "stride", "padding", "ceil"), WINDOWS)
def test_windows(torch, dims, kernel, stride, padding, ceil):
    x = numbers(2, 3, *SIZE[:dims])
    for dilation in (1, 2):
        assert_agree(
            torch,
            lambda F, x, dilation=dilation: getattr(F, f"max_pool{dims}d")(
                x, kernel, stride, padding, dilation, ceil, return_indices=True
            ),
            x,
            order=1 if dims == 1 else 2,  # PyTorch has no second derivative of the first
        )
    for count_padding in (False, True):
        assert_agree(
            torch,
            lambda F, x, count_padding=count_padding: getattr(F, f"avg_pool{dims}d")(
                x, kernel, stride, padding, ceil, count_padding
            ),
            x,
        )


@pytest.mark.parametrize("dims", [1, 2, 3])
@pytest.mark.parametrize("output", [1, 2, 3, 5, 9])
def test_adaptive(torch, dims, output):
    x = numbers(2, 3, *SIZE[:dims])
    assert_agree(torch, lambda F, x: getattr(F, f"adaptive_avg_pool{dims}d")(x, output), x)
    assert_agree(
        torch,
        lambda F, x: getattr(F, f"adaptive_max_pool{dims}d")(x, output, return_indices=True),
        x,
    )


@pytest.mark.parametrize("dims", [2, 3])
def test_fractional_draws_as_pytorch_does(torch, dims):
    assert_agree(
        torch,
        lambda F, x: getattr(F, f"fractional_max_pool{dims}d")(x, 2, 3, return_indices=True),
        numbers(2, 3, *SIZE[:dims]),
    )


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_unpooling(torch, dims):
    def there_and_back(F, x):
        values, indices = getattr(F, f"max_pool{dims}d")(x, 2, return_indices=True)
        return getattr(F, f"max_unpool{dims}d")(values, indices, 2)

    assert_agree(torch, there_and_back, numbers(2, 3, *(6, 4, 8)[:dims]), order=1)


def test_power_means(torch):
    for dims in (1, 2, 3):
        x = np.abs(numbers(2, 3, *SIZE[:dims])) + 0.1
        assert_agree(torch, lambda F, x, dims=dims: getattr(F, f"lp_pool{dims}d")(x, 3, 2), x)


def test_minus_infinity_and_nan(torch):
    lowest = np.full((1, 1, 4, 4), -np.inf)
    with_nan = numbers(1, 2, 4, 4)
    with_nan[0, 0, 1, 1] = np.nan
    for x in (lowest, with_nan, with_nan * np.inf):
        assert_agree(torch, lambda F, x: F.max_pool2d(x, 3, 1, 1, return_indices=True), x, order=0)
