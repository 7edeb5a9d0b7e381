"""Resampling, sampling at a grid, folding, shuffling."""

import numpy as np
import pytest

from tests.nn.functional.agreement import assert_agree, numbers

MODES = [
    *((1, mode) for mode in ("nearest", "nearest-exact", "linear", "area")),
    *((2, mode) for mode in ("nearest", "nearest-exact", "bilinear", "bicubic", "area")),
    *((3, mode) for mode in ("nearest", "nearest-exact", "trilinear", "area")),
]
SIZES = [
    {"size": (9, 3, 6)},
    {"size": 1},
    {"scale_factor": 2},
    {"scale_factor": 1.7},
    {"scale_factor": 0.6},
    {"scale_factor": 1.7, "recompute_scale_factor": True},
]


@pytest.mark.parametrize(("dims", "mode"), MODES)
@pytest.mark.parametrize("options", SIZES, ids=str)
def test_interpolate(torch, dims, mode, options):
    options = {k: v[:dims] if isinstance(v, tuple) else v for k, v in options.items()}
    variants = [{}]
    if "linear" in mode or "cubic" in mode:
        variants.append({"align_corners": True})
    if mode in ("bilinear", "bicubic"):
        variants += [{**variant, "antialias": True} for variant in variants]
    for variant in variants:
        assert_agree(
            torch,
            lambda F, x, variant=variant: F.interpolate(x, mode=mode, **options, **variant),
            numbers(2, 3, *(7, 5, 4)[:dims]),
        )


@pytest.mark.parametrize("size", [3, 9])
def test_lanczos(torch, size):
    assert_agree(
        torch,
        lambda F, x: F.interpolate(x, size, mode="lanczos", antialias=True),
        numbers(1, 2, 7, 8),
    )


@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
@pytest.mark.parametrize("padding", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("align", [False, True])
def test_grid_sample(torch, mode, padding, align):
    def places(*shape):
        return np.random.default_rng(shape).uniform(-1.5, 1.5, shape)

    call = lambda F, x, grid: F.grid_sample(x, grid, mode, padding, align)
    assert_agree(torch, call, numbers(2, 3, 5, 6), places(2, 4, 3, 2), order=1)
    if mode != "bicubic":
        assert_agree(torch, call, numbers(2, 3, 5, 6, 4), places(2, 4, 3, 2, 3), order=1)


@pytest.mark.parametrize("align", [False, True])
def test_affine_grid(torch, align):
    for theta, size in (((2, 2, 3), (2, 3, 4, 5)), ((2, 3, 4), (2, 3, 4, 5, 2))):
        assert_agree(torch, lambda F, t, size=size: F.affine_grid(t, size, align), numbers(*theta))


def test_sliding_blocks(torch):
    for lead in [(2,), ()]:
        assert_agree(torch, lambda F, x: F.unfold(x, (2, 3), 2, 1, 2), numbers(*lead, 3, 6, 7))
        assert_agree(torch, lambda F, x: F.fold(x, (6, 7), (2, 3), 2, 1, 2), numbers(*lead, 18, 9))


def test_shuffles(torch):
    assert_agree(torch, lambda F, x: F.pixel_shuffle(x, 2), numbers(2, 8, 3, 4))
    assert_agree(torch, lambda F, x: F.pixel_unshuffle(x, 2), numbers(2, 2, 6, 4))
    assert_agree(torch, lambda F, x: F.channel_shuffle(x, 2), numbers(2, 8, 3, 4))


PADDINGS = [
    ((2, 3, 5), (1, 2)),
    ((2, 3, 5), (-1, 2)),
    ((2, 3, 5), (-1, -2)),
    ((2, 5), (2, 1)),
    ((2, 3, 4, 5), (1, 2, 0, 3)),
    ((2, 3, 4, 5), (3, -2, -1, 2)),
    ((2, 3, 4, 5, 4), (1, 2, 0, 3, 2, 1)),
]


@pytest.mark.parametrize(("shape", "padding"), PADDINGS, ids=str)
@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
def test_pad(torch, shape, padding, mode):
    if mode == "circular" and len(shape) - 2 != len(padding) // 2:
        pytest.skip("PyTorch pads all spatial dimensions circularly, or none")
    assert_agree(torch, lambda F, x: F.pad(x, padding, mode), numbers(*shape))


@pytest.mark.parametrize("antialias", [False, True])
@pytest.mark.parametrize("size", [(20, 37), (40, 60)])
def test_bytes_are_resampled_in_fixed_point(torch, size, antialias):
    image = np.random.default_rng(0).integers(0, 256, (1, 3, 32, 45)).astype(np.uint8)
    assert_agree(
        torch,
        lambda F, x: F.interpolate(x, size, mode="bilinear", antialias=antialias),
        image,
    )
