"""Whole batches from datasets that hold their images in one array."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fakel.tensor import Tensor
from fakel.utils.data import Batch
from fakel.vision.transforms.batch import batch_plan


class WholeBatches:
    """Mixin: a DataLoader gets a batch through array operations as far as the transform allows it.

    The result is what collating the single samples gives, with the same random choices. Transforms
    that need single images get them one by one; a subclass with its own `__getitem__` gives samples
    one by one.
    """

    def _pixels(self) -> np.ndarray | None:
        """Bytes (n, height, width, channels); None where the data are others."""
        raise NotImplementedError

    def _labels(self, indices: list[int]) -> list[Any] | None:
        """The targets as a single sample has them; None where they are no integers."""
        raise NotImplementedError

    def __getitems__(self, indices: Sequence[int]) -> Any:
        """The samples at `indices`: a `Batch` of images and targets, or a list of samples."""
        samples = self._batched(list(indices))
        return [self[index] for index in indices] if samples is None else samples

    def _batched(self, indices: list[int]) -> Any:
        if not indices or not _is_builtin(type(self)):
            return None
        plan = batch_plan(self.transform, alone=self.target_transform is None)
        pixels = None if plan is None else self._pixels()
        if pixels is None:
            return None
        try:
            chosen, labels = pixels[indices], self._labels(indices)
        except IndexError:
            # A single sample's own path raises the usual error.
            return None
        if labels is None:
            return None
        images = plan(chosen)
        if plan.rest or self.target_transform is not None:
            change = self.target_transform or (lambda label: label)
            pairs = zip(images, labels, strict=True)
            return [(plan.finish(image), change(label)) for image, label in pairs]
        collated = [Tensor._from_array(images), Tensor._from_array(np.array(labels, np.int64))]
        return Batch(_Samples(collated[0], labels), range(len(indices)), collated)


class _Samples:
    """The single samples of a batch, for collate functions that want them.

    They are taken from the batch, not from the dataset: random choices are made only once.
    """

    def __init__(self, images: Tensor, labels: list[int]):
        self.images = images
        self.labels = labels

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        return self.images[index], self.labels[index]


def _is_builtin(kind: type) -> bool:
    """Whether samples still come from the class that knows how to batch them."""
    for parent in kind.__mro__:
        if "__getitem__" in vars(parent):
            return "_pixels" in vars(parent)
    return False
