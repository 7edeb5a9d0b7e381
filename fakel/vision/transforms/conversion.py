"""Transforms between PIL images, arrays and tensors, and of tensors' values."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fakel import nn
from fakel.tensor import Tensor, dtype, dtypes, get_default_dtype
from fakel.vision.transforms import functional
from fakel.vision.transforms.values import normalized, unit_range


class ToTensor:
    """A PIL image or array of bytes as a tensor (channels, height, width) from 0 to 1."""

    batch_stages = {"image": "tensor"}
    by_pixel = True

    def __call__(self, pic: Any) -> Tensor:
        return functional.to_tensor(pic)

    def batch(self, images: np.ndarray, stage: str, choices: None) -> np.ndarray:
        kind = np.float64 if get_default_dtype() is dtypes.float64 else np.float32
        return unit_range(images.transpose(0, 3, 1, 2), kind)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class PILToTensor:
    """A PIL image as a tensor (channels, height, width), values unchanged."""

    batch_stages = {"image": "tensor"}
    by_pixel = True

    def __call__(self, pic: Any) -> Tensor:
        return functional.pil_to_tensor(pic)

    def batch(self, images: np.ndarray, stage: str, choices: None) -> np.ndarray:
        return images.transpose(0, 3, 1, 2)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class ConvertImageDtype(nn.Module):
    """Change a tensor's type, and scale its colours to the new type's range.

    Args:
        dtype: the new type.
    """

    batch_stages = {"tensor": "tensor"}
    by_pixel = True

    def __init__(self, dtype: dtype):
        super().__init__()
        self.dtype = dtype
        if dtype.storage != dtype.compute:
            self.batch_stages = {}

    def batch(self, images: np.ndarray, stage: str, choices: None) -> np.ndarray:
        images = np.ascontiguousarray(images)
        return functional.convert_image_dtype(Tensor._from_array(images), self.dtype)._array()

    def forward(self, image: Tensor) -> Tensor:
        return functional.convert_image_dtype(image, self.dtype)


class ToPILImage:
    """A tensor (channels, height, width) or array (height, width, channels) as a PIL image.

    Args:
        mode: the image's mode; by default the number of channels and the type choose it.
    """

    def __init__(self, mode: str | None = None):
        self.mode = mode

    def __call__(self, pic: Any) -> Any:
        return functional.to_pil_image(pic, self.mode)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({'' if self.mode is None else f'mode={self.mode}'})"


class Normalize(nn.Module):
    """(tensor - mean) / std, channel by channel.

    Args:
        mean, std: a number for each channel.
        inplace: change the given tensor itself.
    """

    batch_stages = {"tensor": "tensor"}
    by_pixel = True

    def __init__(self, mean: Sequence[float], std: Sequence[float], inplace: bool = False):
        super().__init__()
        self.mean = mean
        self.std = std
        self.inplace = inplace

    def forward(self, tensor: Tensor) -> Tensor:
        return functional.normalize(tensor, self.mean, self.std, self.inplace)

    def batch(self, images: np.ndarray, stage: str, choices: None) -> np.ndarray:
        result = normalized(images, self.mean, self.std, inplace=True)
        if result is None:
            # The single image's own path raises the usual errors.
            singles = [self.forward(Tensor._from_array(image.copy())) for image in images]
            result = np.stack([single._array() for single in singles])
        return result

    def __repr__(self) -> str:
        return f"{type(self).__name__}(mean={self.mean}, std={self.std})"


class LinearTransformation(nn.Module):
    """(flattened tensor - mean_vector) @ transformation_matrix, as in whitening.

    Args:
        transformation_matrix: (d, d), d = channels * height * width.
        mean_vector: (d,).
    """

    def __init__(self, transformation_matrix: Tensor, mean_vector: Tensor):
        super().__init__()
        rows, columns = transformation_matrix.shape
        if rows != columns:
            raise ValueError(
                f"transformation_matrix should be square. Got {(rows, columns)} rectangular matrix."
            )
        if mean_vector.shape[0] != rows:
            raise ValueError(
                f"mean_vector should have the same length {mean_vector.shape[0]} as any one of the "
                f"dimensions of the transformation_matrix [{(rows, columns)}]"
            )
        if transformation_matrix.dtype != mean_vector.dtype:
            raise ValueError(
                "Input tensors should have the same dtype. "
                f"Got {transformation_matrix.dtype} and {mean_vector.dtype}"
            )
        self.transformation_matrix = transformation_matrix
        self.mean_vector = mean_vector

    def forward(self, tensor: Tensor) -> Tensor:
        channels, height, width = tensor.shape[-3:]
        length = self.transformation_matrix.shape[0]
        if channels * height * width != length:
            raise ValueError(
                "Input tensor and transformation matrix have incompatible shape."
                f"[{channels} x {height} x {width}] != {length}"
            )
        flat = tensor.reshape(-1, length) - self.mean_vector
        return (flat @ self.transformation_matrix.to(flat.dtype)).view(tensor.shape)

    def __repr__(self) -> str:
        return (
            f"{type(self).__name__}(transformation_matrix={self.transformation_matrix.tolist()}, "
            f"mean_vector={self.mean_vector.tolist()})"
        )
