"""How the transforms of torchvision print: each expression, evaluated and shown by `repr`."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tests.goldens.transforms import vision

TEXTS = """
Compose([]) | Compose([ToTensor(), Normalize((0.5,), (0.25,))]) | Compose([Compose([ToTensor()])])
ToTensor() | PILToTensor() | ConvertImageDtype(torch.float32) | ToPILImage() | ToPILImage("RGB")
Normalize((0.1, 0.2, 0.3), [1, 2, 3])
Normalize(torch.tensor([0.5]), torch.tensor([0.25]), inplace=True)
Resize(10) | Resize((10, 12), InterpolationMode.NEAREST) | Resize(10, max_size=20, antialias=None)
CenterCrop(10) | CenterCrop((10, 12)) | Pad(2) | Pad((1, 2), fill=3)
Pad((1, 2, 3, 4), 0, "reflect")
Lambda(len) | RandomApply([ToTensor(), RandomInvert()], p=0.3) | RandomChoice([ToTensor()], p=[1])
RandomChoice([ToTensor(), RandomInvert()]) | RandomOrder([ToTensor(), CenterCrop(2)])
RandomCrop(10) | RandomCrop((10, 12), padding=4, pad_if_needed=True, fill=1, padding_mode="edge")
RandomHorizontalFlip() | RandomHorizontalFlip(0.25) | RandomVerticalFlip() | RandomResizedCrop(10)
RandomResizedCrop((10, 12), scale=(0.5, 1), ratio=(1, 2), interpolation=InterpolationMode.BICUBIC)
FiveCrop(10) | TenCrop(10) | TenCrop((10, 12), vertical_flip=True)
LinearTransformation(torch.eye(2), torch.tensor([0.5, 1.0]))
ColorJitter() | ColorJitter(0.5, (0.5, 1.5), 0.25, 0.1) | ColorJitter(hue=(-0.1, 0.2))
RandomRotation(30) | RandomRotation((-10, 20), InterpolationMode.BILINEAR, True, (1, 2), 3)
RandomAffine(15) | RandomAffine((-5, 5), (0.1, 0.2), (0.5, 2), shear=10, fill=1, center=(1, 2))
RandomAffine(0, shear=(1, 2, 3, 4), interpolation=InterpolationMode.BILINEAR)
Grayscale() | Grayscale(3) | RandomGrayscale() | RandomGrayscale(0.5) | RandomPerspective()
RandomPerspective(0.25, 0.75, fill=2) | RandomErasing()
RandomErasing(0.25, (0.1, 0.2), (1, 2), "random")
RandomErasing(value=(1, 2, 3), inplace=True) | GaussianBlur(3) | GaussianBlur((3, 5), 0.5)
GaussianBlur(5, sigma=(0.2, 3)) | RandomInvert() | RandomPosterize(3) | RandomSolarize(128, p=0.25)
RandomAdjustSharpness(2) | RandomAutocontrast() | RandomEqualize(0.75)
InterpolationMode.BILINEAR | InterpolationMode.NEAREST_EXACT | list(InterpolationMode)
"""


def cases(torch: Any) -> dict[str, Callable[[], str]]:
    """All of them."""
    names = {**vars(vision(torch)), "torch": torch}
    texts = [part for line in TEXTS.strip().splitlines() for part in line.split(" | ")]
    return {text: functools.partial(_shown, names, text) for text in texts}


def _shown(names: dict[str, Any], text: str) -> str:
    return repr(eval(text, names))
