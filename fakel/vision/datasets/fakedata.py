"""FakeData: random images, for trying out programs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fakel import ops
from fakel.tensor.generator import Generator
from fakel.vision.datasets.vision import VisionDataset
from fakel.vision.transforms import functional


class FakeData(VisionDataset):
    """Noise with random labels; the same index always gives the same sample.

    Args:
        size: how many samples.
        image_size: (channels, height, width).
        num_classes: how many labels.
        transform: a function of the PIL image.
        target_transform: a function of the label (a tensor), which must return a tensor.
        random_offset: added to the index to get its seed.
    """

    def __init__(
        self,
        size: int = 1000,
        image_size: Sequence[int] = (3, 224, 224),
        num_classes: int = 10,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        random_offset: int = 0,
    ):
        super().__init__(transform=transform, target_transform=target_transform)
        self.size = size
        self.num_classes = num_classes
        self.image_size = image_size
        self.random_offset = random_offset

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, label) after the transforms."""
        if index >= len(self):
            raise IndexError(f"{type(self).__name__} index out of range")
        generator = Generator().manual_seed(index + self.random_offset)
        noise = ops.randn(*self.image_size, generator=generator)
        target = ops.randint(0, self.num_classes, (1,), generator=generator)[0]
        image, target = self._transformed(functional.to_pil_image(noise), target)
        return image, target.item()

    def __len__(self) -> int:
        return self.size
