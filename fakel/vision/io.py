"""torchvision.io: image files as tensors of bytes, and back. Pillow decodes and encodes."""

from __future__ import annotations

import io
import os
from enum import Enum
from typing import Any

import numpy as np

from fakel.tensor import Tensor, dtypes
from fakel.vision._pillow import pillow
from fakel.vision.transforms import functional

__all__ = [
    "ImageReadMode",
    "decode_image",
    "encode_jpeg",
    "encode_png",
    "read_file",
    "read_image",
    "write_file",
    "write_jpeg",
    "write_png",
]


class ImageReadMode(Enum):
    """The channels that an image gets when it is read."""

    UNCHANGED = 0
    GRAY = 1
    GRAY_ALPHA = 2
    RGB = 3
    RGB_ALPHA = 4


_MODES = {
    ImageReadMode.GRAY: "L",
    ImageReadMode.GRAY_ALPHA: "LA",
    ImageReadMode.RGB: "RGB",
    ImageReadMode.RGB_ALPHA: "RGBA",
}


def read_file(path: str | os.PathLike) -> Tensor:
    """The bytes of a file, uint8 (n,)."""
    with open(path, "rb") as file:
        return Tensor._from_array(np.frombuffer(file.read(), np.uint8).copy())


def write_file(filename: str | os.PathLike, data: Tensor) -> None:
    """Write the bytes in a uint8 tensor (n,)."""
    with open(filename, "wb") as file:
        file.write(data._array().tobytes())


def read_image(
    path: str | os.PathLike,
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """The image in a file: uint8 (channels, height, width).

    Args:
        path: the file.
        mode: the channels; by default those of the file.
        apply_exif_orientation: turn it upright as the file's EXIF data say.

    Raises:
        RuntimeError: it does not decode; the message names the file.
    """
    return _decoded(path, os.fspath(path), mode, apply_exif_orientation)


def decode_image(
    input: Tensor | str | os.PathLike,
    mode: ImageReadMode | str = ImageReadMode.UNCHANGED,
    apply_exif_orientation: bool = False,
) -> Tensor:
    """The image in the bytes of a file, a uint8 tensor (n,), or in a file; see `read_image`."""
    if not isinstance(input, Tensor):
        return read_image(input, mode, apply_exif_orientation)
    source = io.BytesIO(input._array().tobytes())
    return _decoded(source, "the bytes", mode, apply_exif_orientation)


def _decoded(source: Any, name: str, mode: ImageReadMode | str, upright: bool) -> Tensor:
    mode = ImageReadMode[mode.upper()] if isinstance(mode, str) else mode
    image = pillow()
    try:
        with image.open(source) as picture:
            if upright:
                picture = pillow("ImageOps").exif_transpose(picture)
            if mode is not ImageReadMode.UNCHANGED:
                picture = picture.convert(_MODES[mode])
            elif picture.mode in ("P", "CMYK", "YCbCr"):
                picture = picture.convert("RGB")
            return functional.pil_to_tensor(picture)
    except FileNotFoundError:
        raise
    except (OSError, SyntaxError, ValueError, EOFError) as error:
        raise RuntimeError(f"cannot decode the image in {name}: {error}") from error


def encode_png(input: Tensor, compression_level: int = 6) -> Tensor:
    """The bytes of a PNG file of a uint8 image (1 or 3, height, width)."""
    return _encoded(input, "PNG", compress_level=compression_level)


def encode_jpeg(input: Tensor, quality: int = 75) -> Tensor:
    """The bytes of a JPEG file of a uint8 image (1 or 3, height, width)."""
    return _encoded(input, "JPEG", quality=quality)


def write_png(input: Tensor, filename: str | os.PathLike, compression_level: int = 6) -> None:
    """Write a uint8 image (1 or 3, height, width) to a PNG file."""
    write_file(filename, encode_png(input, compression_level))


def write_jpeg(input: Tensor, filename: str | os.PathLike, quality: int = 75) -> None:
    """Write a uint8 image (1 or 3, height, width) to a JPEG file."""
    write_file(filename, encode_jpeg(input, quality))


def _encoded(image: Tensor, format: str, **options: int) -> Tensor:
    if image.dtype != dtypes.uint8:
        raise RuntimeError("Input tensor dtype should be uint8")
    if image.ndim != 3:
        raise RuntimeError("Input data should be a 3-dimensional tensor")
    if image.shape[0] not in (1, 3):
        raise RuntimeError(f"The number of channels should be 1 or 3, got: {image.shape[0]}")
    buffer = io.BytesIO()
    functional.to_pil_image(image).save(buffer, format=format, **options)
    return Tensor._from_array(np.frombuffer(buffer.getvalue(), np.uint8).copy())
