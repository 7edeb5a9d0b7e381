"""Whole batches from datasets that hold their images in one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fakel.tensor import Tensor
from fakel.utils.data import Batch
from fakel.vision.transforms.batch import batch_plan


class WholeBatches:
    """Mixin: a DataLoader gets a batch through array operations where the transform allows it.

    The result is what collating the single samples gives, with the same random choices. A
    transform that needs single images, a target transform, or a subclass with its own
    `__getitem__` gets samples one by one.
    """

    def _pixels_and_targets(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Bytes (n, height, width, channels) and int64 (n,); None where the data are others."""
        raise NotImplementedError

    def __getitems__(self, indices: Sequence[int]) -> Any:
        """The samples at `indices`: a `Batch` of images and targets, or a list of samples."""
        batch = self._whole_batch(list(indices))
        return [self[index] for index in indices] if batch is None else batch

    def _whole_batch(self, indices: list[int]) -> Any:
        if self.target_transform is not None or not indices or not _is_builtin(type(self)):
            return None
        plan = batch_plan(self.transform)
        arrays = None if plan is None else self._pixels_and_targets()
        if arrays is None:
            return None
        pixels, targets = arrays
        images = Tensor._from_array(plan(pixels[indices]))
        targets = Tensor._from_array(targets[indices])
        samples = _Samples(images, targets)
        return Batch(samples, range(len(indices)), [images, targets])


class _Samples:
    """The single samples of a batch, for collate functions that want them.

    They are taken from the batch, not from the dataset: random choices are made only once.
    """

    def __init__(self, images: Tensor, targets: Tensor):
        self.images = images
        self.targets = targets

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], int(self.targets[index])


def _is_builtin(kind: type) -> bool:
    """Whether samples still come from the class that knows how to batch them."""
    for parent in kind.__mro__:
        if "__getitem__" in vars(parent):
            return "_pixels_and_targets" in vars(parent)
    return False
