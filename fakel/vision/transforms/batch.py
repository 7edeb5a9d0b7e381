"""Whole batches: how a chain of transforms handles many equal-sized images by array operations.

A transform that can do so declares

- `batch_stages`: which kinds of image arrays it takes and what they become. "image" stands for PIL
  images as bytes (n, height, width, channels), "tensor" for tensors (n, channels, height, width);
- `batch(array, stage, choices)`: the transformed array, which may be the given one, changed;
- for random ones `words(height, width)`: how many words an image takes from the generator, and
  `choose(words, height, width)`: the random choices that (n, words) of them mean; or, where that
  depends on the words themselves, `draw(height, width)`: the random choice for an image;
- `batch_size_after(height, width)`: for those that change the size;
- `by_pixel = True`: for those that change every pixel by itself. In a row, from bytes on, they are
  done by a table.

What is random is drawn ahead, for the whole chain, sample by sample (words at once where all
transforms say how many they take): the random stream is the one that transforming each sample alone
would use, and the results are the same, bit by bit. Code that is not known here might draw as well:
where a chain has some, only what comes before it and draws nothing is done at once, and the rest
image by image.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from fakel.tensor import Tensor, dtypes, get_default_dtype
from fakel.vision.transforms import draws
from fakel.vision.transforms.lookup import looked_up


class BatchPlan:
    """A chain of transforms for whole batches, from bytes to tensors.

    Args:
        transforms: those that handle whole batches.
        rest: those after them, which take single images.
    """

    def __init__(self, transforms: Sequence[Any], rest: Sequence[Any] = ()):
        self.transforms = transforms
        self.rest = rest
        self.stages = ["image"]
        for transform in transforms:
            self.stages.append(transform.batch_stages[self.stages[-1]])

    def __call__(self, images: np.ndarray) -> np.ndarray:
        """(n, height, width, channels) bytes, which get lost -> (n, channels, height, width), by
        the transforms for whole batches.
        """
        choices = self._choices(*images.shape[:3])
        by_pixel = [getattr(transform, "by_pixel", False) for transform in self.transforms]
        first = self.stages.index("tensor") - 1
        last = first
        while last < len(by_pixel) and by_pixel[last]:
            last += 1
        images = self._apply(images, 0, first, choices)
        by_table = looked_up(images, lambda values: self._apply(values, first, last, choices))
        images = self._apply(images, first, last, choices) if by_table is None else by_table
        return np.ascontiguousarray(self._apply(images, last, len(by_pixel), choices))

    def _apply(self, images: np.ndarray, first: int, last: int, choices: list[Any]) -> np.ndarray:
        """The images after the transforms from the first to before the last."""
        for number in range(first, last):
            transform = self.transforms[number]
            images = transform.batch(images, self.stages[number], choices[number])
        return images

    def finish(self, image: np.ndarray) -> Any:
        """A single image (channels, height, width) of the array after the rest of the chain."""
        result: Any = Tensor._from_array(image.copy())
        for transform in self.rest:
            result = transform(result)
        return result

    def _choices(self, count: int, height: int, width: int) -> list[Any]:
        """For every transform the random choices of all samples; None for fixed transforms."""
        choices: list[Any] = [None] * len(self.transforms)
        sizes = []
        for transform in self.transforms:
            sizes.append((height, width))
            if hasattr(transform, "batch_size_after"):
                height, width = transform.batch_size_after(height, width)
        random = [number for number, each in enumerate(self.transforms) if _is_random(each)]
        if not random:
            return choices
        if all(hasattr(self.transforms[number], "words") for number in random):
            needs = [self.transforms[number].words(*sizes[number]) for number in random]
            drawn = np.split(draws.words(count, sum(needs)), np.cumsum(needs)[:-1], axis=1)
        else:
            rows = [[self._draw(number, sizes[number]) for number in random] for _ in range(count)]
            drawn = list(zip(*rows, strict=True))
        for number, each in zip(random, drawn, strict=True):
            transform = self.transforms[number]
            if hasattr(transform, "words"):
                each = transform.choose(np.asarray(each), *sizes[number])
            choices[number] = each
        return choices

    def _draw(self, number: int, size: tuple[int, int]) -> Any:
        """What a transform takes from the generator for the next sample: words, or a choice."""
        transform = self.transforms[number]
        if hasattr(transform, "words"):
            return draws.words(1, transform.words(*size))[0]
        return transform.draw(*size)


def batch_plan(transform: Any, alone: bool = True) -> BatchPlan | None:
    """The plan that makes tensors of images by `transform`; None if it needs single images.

    Args:
        transform: of single images.
        alone: whether nothing else draws random numbers between the images.
    """
    if get_default_dtype() not in (dtypes.float32, dtypes.float64):
        return None
    leaves = _leaves(transform)
    stage = "image"
    known = []
    for leaf in leaves:
        if not _declares_batch(type(leaf)) or stage not in leaf.batch_stages:
            break
        stage = leaf.batch_stages[stage]
        known.append((leaf, stage))
    if stage == "tensor" and len(known) == len(leaves) and alone:
        return BatchPlan(leaves)
    count = next((i for i, (leaf, _) in enumerate(known) if _is_random(leaf)), len(known))
    if count == 0 or known[count - 1][1] != "tensor":
        return None
    return BatchPlan(leaves[:count], leaves[count:])


def _leaves(transform: Any) -> list[Any]:
    """The transforms inside Compose, in order."""
    if not getattr(type(transform), "is_batch_chain", False) or not _owns_call(
        type(transform), "is_batch_chain"
    ):
        return [transform]
    return [leaf for part in transform.transforms for leaf in _leaves(part)]


def _is_random(transform: Any) -> bool:
    return hasattr(transform, "words") or hasattr(transform, "draw")


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
