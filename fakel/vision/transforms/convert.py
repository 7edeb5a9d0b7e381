"""Between PIL images, NumPy arrays and tensors."""

from __future__ import annotations

from typing import Any

import numpy as np

from fakel.tensor import Tensor, dtypes, get_default_dtype
from fakel.vision._pillow import image_from_array, is_pillow_image
from fakel.vision.transforms.values import unit_range

_ARRAY_TYPES = {"I": np.int32, "I;16": np.int16, "I;16B": np.int16, "F": np.float32}
_BYTES_A_PIXEL = {"L": 1, "RGB": 3, "RGBA": 4}

# The channels of an array, and the modes of PIL images made from it; the first is the default.
_MODES = {2: ("LA",), 3: ("RGB", "YCbCr", "HSV"), 4: ("RGBA", "CMYK", "RGBX")}
_SINGLE_CHANNEL_MODES = {"uint8": "L", "int16": "I;16", "int32": "I", "float32": "F"}


def to_tensor(pic: Any) -> Tensor:
    """A PIL image or an array (height, width[, channels]) as a tensor (channels, height, width).

    Bytes (0 to 255) become floating numbers from 0 to 1 of the default type; other values stay as
    they are.
    """
    if is_pillow_image(pic):
        array = _image_array(pic)
    elif isinstance(pic, np.ndarray):
        if pic.ndim not in (2, 3):
            raise ValueError(f"pic should be 2/3 dimensional. Got {pic.ndim} dimensions.")
        array = pic if pic.ndim == 3 else pic[:, :, None]
    else:
        raise TypeError(f"pic should be PIL Image or ndarray. Got {type(pic)}")
    array = array.transpose(2, 0, 1).copy()
    if array.dtype != np.uint8:
        return Tensor._from_array(array)
    default = get_default_dtype()
    if default is dtypes.float64:
        return Tensor._from_array(unit_range(array, np.float64))
    result = Tensor._from_array(unit_range(array, np.float32))
    return result if default is dtypes.float32 else result.to(default)


def pil_to_tensor(pic: Any) -> Tensor:
    """A PIL image as a tensor (channels, height, width), type and values unchanged."""
    if not is_pillow_image(pic):
        raise TypeError(f"pic should be PIL Image. Got {type(pic)}")
    if pic.mode in _BYTES_A_PIXEL:
        array = _image_array(pic)
    else:
        array = np.array(pic)
        array = array if array.ndim == 3 else array[:, :, None]
    return Tensor._from_array(array.transpose(2, 0, 1).copy())


def to_pil_image(pic: Any, mode: str | None = None) -> Any:
    """A tensor (channels, height, width) or an array (height, width[, channels]) as a PIL image.

    Floating numbers from 0 to 1 become bytes, unless `mode` is "F". Without a mode, the number of
    channels and the type choose it: L, I;16, I or F, LA, RGB, RGBA.
    """
    if isinstance(pic, Tensor):
        array = pic._array()
        array = array.transpose(1, 2, 0) if array.ndim == 3 else array
    elif isinstance(pic, np.ndarray):
        array = pic
    else:
        raise TypeError(f"pic should be Tensor or ndarray. Got {type(pic)}.")
    if array.ndim == 2:
        array = array[:, :, None]
    if array.ndim != 3:
        raise ValueError(f"pic should be 2/3 dimensional. Got {array.ndim} dimensions.")
    channels = array.shape[2]
    if channels > 4:
        raise ValueError(f"pic should not have > 4 channels. Got {channels} channels.")
    if np.issubdtype(array.dtype, np.floating) and mode != "F":
        # Negative numbers wrap around like a C cast to a byte, without NumPy's warning.
        array = (array * 255).astype(np.int64).astype(np.uint8)
    if channels == 1:
        array = array[:, :, 0]
        expected = _SINGLE_CHANNEL_MODES.get(array.dtype.name)
        if mode is not None and mode != expected:
            raise ValueError(
                f"Incorrect mode ({mode}) supplied for input type {np.dtype}. Should be {expected}"
            )
        mode = expected
    else:
        permitted = _MODES[channels]
        if mode is not None and mode not in permitted:
            raise ValueError(f"Only modes {list(permitted)} are supported for {channels}D inputs")
        if mode is None and array.dtype == np.uint8:
            mode = permitted[0]
    if mode is None:
        raise TypeError(f"Input type {array.dtype} is not supported")
    return image_from_array(array, mode)


def _image_array(image: Any) -> np.ndarray:
    """(height, width, channels), not to be written."""
    if image.mode in _BYTES_A_PIXEL:
        # what NumPy asks Pillow for, without the detour by its interface for arrays
        shape = (image.height, image.width, _BYTES_A_PIXEL[image.mode])
        return np.frombuffer(image.tobytes(), np.uint8).reshape(shape)
    array = np.array(image, dtype=_ARRAY_TYPES.get(image.mode, np.uint8))
    if image.mode == "1":
        array = array * np.uint8(255)
    return array if array.ndim == 3 else array[:, :, None]
