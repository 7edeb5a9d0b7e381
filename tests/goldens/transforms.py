"""What the transforms of torchvision draw, on tensors and on images of Pillow, four times each."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.goldens.values import checksum, described

SEED = 13

TRANSFORMS = (
    "T.RandomCrop(8)",
    "T.RandomCrop((8, 9), padding=3)",
    "T.RandomCrop((20, 30), pad_if_needed=True, padding_mode='reflect')",
    "T.RandomHorizontalFlip()",
    "T.RandomHorizontalFlip(0.2)",
    "T.RandomVerticalFlip()",
    "T.RandomRotation(30)",
    "T.RandomRotation((10, 80), expand=True, fill=7)",
    "T.RandomRotation(30, center=(2, 3))",
    "T.RandomAffine(20)",
    "T.RandomAffine(20, translate=(0.1, 0.3), scale=(0.7, 1.4), shear=10)",
    "T.RandomAffine(0, shear=(-5, 5, -9, 9))",
    "T.RandomPerspective()",
    "T.RandomPerspective(0.3, p=0.8)",
    "T.RandomResizedCrop(9, interpolation=NEAREST)",
    "T.RandomResizedCrop((9, 7), scale=(0.5, 1), ratio=(1, 1), interpolation=NEAREST)",
    "T.RandomGrayscale(0.5)",
    "T.RandomInvert()",
    "T.RandomPosterize(3)",
    "T.RandomSolarize(100)",
    "T.RandomEqualize()",
    "T.RandomAutocontrast()",
    "T.RandomApply([T.RandomHorizontalFlip(), T.RandomVerticalFlip()], 0.6)",
    "T.RandomChoice([T.RandomHorizontalFlip(1), T.RandomVerticalFlip(1)])",
    "T.RandomChoice([T.RandomHorizontalFlip(1), T.RandomVerticalFlip(1)], p=[0.2, 0.8])",
    "T.RandomOrder([T.RandomCrop(9), T.RandomRotation(20), T.RandomVerticalFlip()])",
    "T.Compose([T.RandomCrop(12, padding=4), T.RandomHorizontalFlip()])",
)
ROUNDED = (
    "T.ColorJitter(0.3)",
    "T.ColorJitter(0.3, 0.2, 0.4, 0.1)",
    "T.ColorJitter(brightness=(0.5, 0.9), hue=(-0.2, 0.3))",
    "T.GaussianBlur(3)",
    "T.GaussianBlur((3, 5), (0.2, 3.0))",
    "T.RandomAdjustSharpness(2)",
    "T.RandomResizedCrop(9)",
    "T.RandomRotation(30, BILINEAR)",
)
ERASING = (
    "T.RandomErasing(1.0)",
    "T.RandomErasing(0.5, value=3)",
    "T.RandomErasing(0.7, scale=(0.1, 0.5), ratio=(0.5, 2), value=(1, 2, 3))",
    "T.RandomErasing(1.0, value='random')",
)
PARAMETERS = (
    "T.RandomCrop.get_params(image, (4, 5))",
    "T.RandomRotation.get_params([-30, 30])",
    "T.RandomAffine.get_params([-9, 9], [0.1, 0.2], [0.5, 2.0], [-3, 3, -2, 2], [16, 14])",
    "T.RandomPerspective.get_params(16, 14, 0.5)",
    "T.RandomResizedCrop.get_params(image, (0.1, 1.0), (0.5, 2.0))",
    "T.GaussianBlur.get_params(0.1, 2.0)",
    "T.RandomErasing.get_params(image.float(), (0.1, 0.3), (0.5, 2.0))[:4]",
)


def vision(torch: Any) -> Any:
    """torchvision's transforms, or fakel's."""
    if torch.__name__ != "torch":
        from fakel.vision import transforms

        return transforms
    # the published build is for CUDA: without it, two of its operators have to be declared
    library = torch.library.Library("torchvision", "FRAGMENT")
    for name in ("nms", "qnms"):
        if not hasattr(torch.ops.torchvision, name):
            library.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
    from torchvision import transforms

    return transforms


def picture() -> np.ndarray:
    """An image of 14 × 16 pixels, in three colours."""
    rows, columns, colours = np.ogrid[0:14, 0:16, 0:3]
    return ((rows * 17 + columns * (5 + colours) + rows * columns) % 256).astype(np.uint8)


def names(torch: Any) -> dict[str, Any]:
    """What the expressions may use."""
    transforms = vision(torch)
    return {
        "T": transforms,
        "NEAREST": transforms.InterpolationMode.NEAREST,
        "BILINEAR": transforms.InterpolationMode.BILINEAR,
        "image": torch.from_numpy(picture()).permute(2, 0, 1).contiguous(),
    }


def seed(torch: Any) -> None:
    """Seeds all generators that transforms draw from."""
    torch.manual_seed(SEED)
    random.seed(SEED)


def transformed(torch: Any, expression: str, form: str) -> dict[str, Any]:
    """Four results of a transform, and the generator's state."""
    known = names(torch)
    image = known["image"]
    if form == "Pillow":
        from PIL import Image

        image = Image.fromarray(picture())
    elif form == "float":
        image = image.float() / 255
    transform = eval(expression, known)
    seed(torch)
    results = []
    for _ in range(4):
        result = transform(image)
        array = torch.from_numpy(np.array(result)) if form == "Pillow" else result
        results.append(described(torch, array))
    return {"results": results, "state": checksum(torch, torch.get_rng_state())}


def parameters(torch: Any, expression: str) -> dict[str, Any]:
    """Three draws of a transform's parameters, and the generator's state."""
    known = names(torch)
    seed(torch)
    drawn = [eval(expression, known) for _ in range(3)]
    return {"drawn": drawn, "state": checksum(torch, torch.get_rng_state())}


def tolerances(case: str) -> dict[str, float]:
    """Levels of colour are rounded from numbers with other last bits: one level may differ."""
    return {"absolute": 1} if case.startswith(ROUNDED) else {}


def cases(torch: Any) -> dict[str, Callable[[], Any]]:
    """All of them."""
    table: dict[str, Callable[[], Any]] = {}
    for form in ("tensor", "Pillow"):
        for each in (*TRANSFORMS, *ROUNDED):
            table[f"{each} of a {form}"] = lambda each=each, form=form: transformed(
                torch, each, form
            )
    for each in ERASING:
        table[each] = lambda each=each: transformed(torch, each, "float")
    for each in PARAMETERS:
        table[each] = lambda each=each: parameters(torch, each)
    return table
