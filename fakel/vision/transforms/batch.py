"""Whole batches: how a chain of transforms handles many equal-sized images by array operations.

A transform that can do so declares

- `batch_stages`: which kinds of image arrays it takes and what they become. "image" stands for PIL
  images as bytes (n, height, width, channels), "tensor" for tensors (n, channels, height, width);
- `batch(array, stage, choices)`: the transformed array;
- for random ones `words(height, width)`: how many words an image takes from the generator, and
  `choose(words, height, width)`: the random choices that (n, words) of them mean;
- `batch_size_after(height, width)`: for those that change the size.

The words are drawn for all samples and the whole chain at once and handed out sample by sample: the
random stream is the one that transforming each sample alone would use, and the results are the
same, bit by bit.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fakel.tensor import dtypes, get_default_dtype
from fakel.vision.transforms import draws


class BatchPlan:
    """A chain of transforms that can handle whole batches, from bytes to tensors."""

    def __init__(self, transforms: Sequence[Any]):
        self.transforms = transforms

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(n, height, width, channels) bytes -> (n, channels, height, width)"""
        choices = self._choices(*images.shape[:3])
        stage = "image"
        for transform, chosen in zip(self.transforms, choices, strict=True):
            images = transform.batch(images, stage, chosen)
            stage = transform.batch_stages[stage]
        return np.ascontiguousarray(images)

    def _choices(self, count: int, height: int, width: int) -> list[np.ndarray | None]:
        """For every transform the random choices of all samples; None for fixed transforms."""
        sizes, needs = [], []
        for transform in self.transforms:
            sizes.append((height, width))
            needs.append(transform.words(height, width) if hasattr(transform, "words") else 0)
            if hasattr(transform, "batch_size_after"):
                height, width = transform.batch_size_after(height, width)
        if not any(hasattr(transform, "words") for transform in self.transforms):
            return [None] * len(self.transforms)
        parts = np.split(draws.words(count, sum(needs)), np.cumsum(needs)[:-1], axis=1)
        return [
            transform.choose(part, *size) if hasattr(transform, "words") else None
            for transform, part, size in zip(self.transforms, parts, sizes, strict=True)
        ]


def batch_plan(transform: Any) -> BatchPlan | None:
    """The plan that makes tensors of images by `transform`; None if it needs single images."""
    if get_default_dtype() not in (dtypes.float32, dtypes.float64):
        return None
    leaves = _leaves(transform)
    stage = "image"
    for leaf in leaves:
        if not _declares_batch(type(leaf)) or stage not in leaf.batch_stages:
            return None
        stage = leaf.batch_stages[stage]
    return BatchPlan(leaves) if stage == "tensor" else None


def _leaves(transform: Any) -> list[Any]:
    """The transforms inside Compose, in order."""
    if not getattr(type(transform), "is_batch_chain", False) or not _owns_call(
        type(transform), "is_batch_chain"
    ):
        return [transform]
    return [leaf for part in transform.transforms for leaf in _leaves(part)]


def _declares_batch(kind: type) -> bool:
    return hasattr(kind, "batch") and hasattr(kind, "batch_stages") and _owns_call(kind, "batch")


def _owns_call(kind: type, name: str) -> bool:
    """Whether the class that declares `name` also decides what a call does."""
    for parent in kind.__mro__:
        if name in vars(parent):
            return True
        if "__call__" in vars(parent) or "forward" in vars(parent) or "get_params" in vars(parent):
            return False
    return False
