"""Image files come out as what was written."""

from __future__ import annotations

import numpy as np
import pytest

import fakel
from fakel.vision import io

Image = pytest.importorskip("PIL.Image")
PIXELS = np.random.default_rng(0).integers(0, 256, (3, 5, 7), dtype=np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_png_round_trip(channels, tmp_path):
    path = tmp_path / "image.png"
    io.write_png(fakel.from_numpy(PIXELS[:channels].copy()), path)
    np.testing.assert_array_equal(io.read_image(path).numpy(), PIXELS[:channels])
    bytes_ = io.read_file(path)
    np.testing.assert_array_equal(io.decode_image(bytes_).numpy(), PIXELS[:channels])


def test_jpeg_is_close(tmp_path):
    smooth = np.broadcast_to(np.arange(0, 240, 10, dtype=np.uint8), (3, 16, 24)).copy()
    io.write_jpeg(fakel.from_numpy(smooth), tmp_path / "image.jpg", quality=95)
    image = io.read_image(str(tmp_path / "image.jpg"))
    assert np.abs(image.numpy().astype(int) - smooth).max() < 8


@pytest.mark.parametrize(
    ("mode", "pillow_mode"),
    [("GRAY", "L"), ("GRAY_ALPHA", "LA"), ("RGB", "RGB"), ("RGB_ALPHA", "RGBA")],
)
def test_modes(mode, pillow_mode, tmp_path):
    picture = Image.fromarray(PIXELS.transpose(1, 2, 0))
    picture.save(tmp_path / "image.png")
    expected = np.asarray(picture.convert(pillow_mode)).reshape(5, 7, -1).transpose(2, 0, 1)
    for asked in (io.ImageReadMode[mode], mode):
        image = io.read_image(tmp_path / "image.png", asked)
        np.testing.assert_array_equal(image.numpy(), expected)


def test_read_mode_values(torchvision):
    theirs = torchvision.io.ImageReadMode
    assert {mode.name: mode.value for mode in io.ImageReadMode} == {
        mode.name: mode.value for mode in theirs
    }


def test_errors(tmp_path):
    with pytest.raises(FileNotFoundError):
        io.read_image(tmp_path / "nowhere.png")
    (tmp_path / "bad.png").write_bytes(b"no image")
    with pytest.raises(RuntimeError, match=r"cannot decode the image in .*bad\.png"):
        io.read_image(tmp_path / "bad.png")
    with pytest.raises(RuntimeError, match="dtype should be uint8"):
        io.write_png(fakel.rand(3, 4, 4), tmp_path / "a.png")
    with pytest.raises(RuntimeError, match="channels should be 1 or 3, got: 2"):
        io.encode_jpeg(fakel.zeros(2, 4, 4, dtype=fakel.uint8))
