"""torchvision.transforms: prepare and vary images, as PIL images or tensors."""

from fakel.vision.transforms import functional, transforms
from fakel.vision.transforms.transforms import *  # noqa: F403
from fakel.vision.transforms.transforms import __all__ as _transforms

__all__ = [*_transforms, "functional", "transforms"]
