"""The arithmetic on pixels that single images and whole batches share, with NumPy.

A sample is small: computing it costs less than recording what is to be computed.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fakel.autograd import is_inference_mode_enabled
from fakel.tensor import Tensor


def computed(image: Tensor) -> np.ndarray | None:
    """The values of an image, not to be written; None where operations on it are to be recorded:
    it is not computed yet, or it takes part in gradients.
    """
    if type(image) is not Tensor or image.requires_grad or is_inference_mode_enabled():
        return None
    kind = image.dtype
    if kind.storage != kind.compute or image._storage.node.value is None:
        return None
    return image._array()


def unit_range(array: np.ndarray, kind: type[np.floating]) -> np.ndarray:
    """Bytes as numbers from 0 to 1."""
    numbers = array.astype(kind)
    numbers /= kind(255)
    return numbers


def normalized(images: np.ndarray, mean: Any, std: Any, inplace: bool) -> np.ndarray | None:
    """(images - mean) / std for floating images (..., channels, height, width), channel by channel;
    None where mean and std do not suit the images.
    """
    if images.dtype.kind != "f" or isinstance(mean, Tensor) or isinstance(std, Tensor):
        return None
    try:
        mean, std = (np.asarray(value, images.dtype) for value in (mean, std))
    except (TypeError, ValueError):
        return None
    if mean.ndim > 1 or std.ndim > 1 or not std.all():
        return None
    if mean.size not in (1, images.shape[-3]) or std.size not in (1, images.shape[-3]):
        return None
    with np.errstate(all="ignore"):
        images = np.subtract(images, mean.reshape(-1, 1, 1), out=images if inplace else None)
        images /= std.reshape(-1, 1, 1)
    return images
