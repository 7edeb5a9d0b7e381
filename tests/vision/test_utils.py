"""Grids, image files and boxes come out as torchvision's."""

from __future__ import annotations

import io

import numpy as np
import pytest

import fakel
from fakel.vision import utils

pytest.importorskip("PIL")
GENERATOR = np.random.default_rng(0)
GREY = GENERATOR.random((7, 1, 5, 6), dtype=np.float32)
COLOUR = GENERATOR.standard_normal((5, 3, 4, 9)).astype(np.float32)


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"nrow": 3},
        {"nrow": 2, "padding": 0},
        {"normalize": True},
        {"normalize": True, "scale_each": True},
        {"normalize": True, "value_range": (-0.5, 0.5), "pad_value": 0.3},
    ],
)
@pytest.mark.parametrize("images", [GREY, COLOUR, GREY[0], GREY[0, 0], COLOUR[:1]])
def test_make_grid(arguments, images, torch, torchvision):
    theirs = torchvision.utils.make_grid(torch.from_numpy(images), **arguments)
    mine = utils.make_grid(fakel.from_numpy(images), **arguments)
    assert tuple(mine.shape) == tuple(theirs.shape)
    np.testing.assert_allclose(mine.numpy(), theirs.numpy(), rtol=1e-6, atol=1e-7)


def test_make_grid_of_a_list(torch, torchvision):
    theirs = torchvision.utils.make_grid([torch.from_numpy(image) for image in COLOUR])
    mine = utils.make_grid([fakel.from_numpy(image) for image in COLOUR])
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
    for wrong in (3, [3]):
        with pytest.raises(TypeError, match="tensor or list of tensors expected"):
            utils.make_grid(wrong)


def test_save_image(torch, torchvision, tmp_path):
    theirs, mine = io.BytesIO(), io.BytesIO()
    torchvision.utils.save_image(torch.from_numpy(COLOUR), theirs, format="png", nrow=2)
    utils.save_image(fakel.from_numpy(COLOUR), mine, format="png", nrow=2)
    assert mine.getvalue() == theirs.getvalue()
    utils.save_image(fakel.from_numpy(COLOUR), tmp_path / "grid.png", nrow=2)
    assert (tmp_path / "grid.png").read_bytes() == theirs.getvalue()


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"fill": True, "labels": ["a", None]},
        {"colors": "red", "width": 3},
        {"colors": ["red", (1, 2, 3)]},
    ],
)
@pytest.mark.parametrize("channels", [1, 3])
def test_draw_bounding_boxes(arguments, channels, torch, torchvision):
    image = GENERATOR.integers(0, 256, (channels, 40, 50), dtype=np.uint8)
    boxes = np.array([[1, 2, 20, 30], [5.0, 5, 40, 38]], dtype=np.float32)
    draw = torchvision.utils.draw_bounding_boxes
    theirs = draw(torch.from_numpy(image), torch.from_numpy(boxes), **arguments)
    mine = utils.draw_bounding_boxes(fakel.from_numpy(image), fakel.from_numpy(boxes), **arguments)
    np.testing.assert_array_equal(mine.numpy(), theirs.numpy())
