"""Convolutions: every geometry, both directions, up to the second derivative."""

import itertools

import numpy as np
import pytest

from tests.nn.functional.agreement import assert_agree, numbers

GEOMETRIES = list(itertools.product((1, 2, 3), (1, 2), (0, 1), (1, 2), (1, 2)))


@pytest.mark.parametrize(("dims", "stride", "padding", "dilation", "groups"), GEOMETRIES)
def test_convolution(torch, dims, stride, padding, dilation, groups):
    size, kernel = (7, 6, 5)[:dims], (3, 2, 2)[:dims]
    assert_agree(
        torch,
        lambda F, x, w, b: getattr(F, f"conv{dims}d")(x, w, b, stride, padding, dilation, groups),
        numbers(2, 4, *size), numbers(6, 4 // groups, *kernel), numbers(6),
    )  # fmt: skip


@pytest.mark.parametrize(("dims", "stride", "padding", "dilation", "groups"), GEOMETRIES)
def test_transposed_convolution(torch, dims, stride, padding, dilation, groups):
    size, kernel = (4, 3, 5)[:dims], (3, 2, 2)[:dims]
    extra = 1 if stride > 1 else 0
    assert_agree(
        torch,
        lambda F, x, w, b: getattr(F, f"conv_transpose{dims}d")(
            x, w, b, stride, padding, extra, groups, dilation
        ),
        numbers(2, 4, *size), numbers(4, 3, *kernel), numbers(3 * groups),
    )  # fmt: skip


@pytest.mark.parametrize("padding", ["same", "valid"])
@pytest.mark.filterwarnings("ignore:Using padding='same'")
def test_padding_by_name(torch, padding):
    for kernel, dilation in [((3, 3), 2), ((2, 4), 1), ((1, 1), 1)]:
        assert_agree(
            torch,
            lambda F, x, w, d=dilation: F.conv2d(x, w, padding=padding, dilation=d),
            numbers(2, 3, 6, 7), numbers(4, 3, *kernel),
        )  # fmt: skip


def test_a_missing_batch_an_empty_batch_and_one_tap(torch):
    weight = numbers(4, 3, 2, 2)
    assert_agree(torch, lambda F, x, w: F.conv2d(x, w), numbers(3, 5, 5), weight)
    assert_agree(torch, lambda F, x, w: F.conv2d(x, w), numbers(0, 3, 5, 5), weight)
    assert_agree(torch, lambda F, x, w: F.conv2d(x, w), numbers(2, 3, 4, 4), numbers(5, 3, 1, 1))
    assert_agree(
        torch, lambda F, x, w: F.conv_transpose2d(x, w), numbers(2, 3, 4, 4), numbers(3, 5, 1, 1)
    )


def test_depthwise(torch):
    assert_agree(
        torch,
        lambda F, x, w: F.conv2d(x, w, padding=1, groups=6),
        numbers(2, 6, 5, 4), numbers(12, 1, 3, 3),
    )  # fmt: skip


def test_a_large_batch_is_cut_into_blocks(torch):
    x, w = numbers(40, 8, 30, 30).astype(np.float32), numbers(8, 8, 5, 5).astype(np.float32)
    import fakel

    ours = fakel.nn.functional.conv2d(fakel.from_numpy(x), fakel.from_numpy(w)).numpy()
    theirs = torch.nn.functional.conv2d(torch.from_numpy(x), torch.from_numpy(w)).numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)
