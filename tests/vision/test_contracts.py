"""What every dataset and every transform keeps to; new ones are found by themselves."""

from __future__ import annotations

import copy
import inspect
import pickle
import random

import numpy as np
import pytest

import fakel
from fakel.utils.data import Batch, default_collate
from fakel.vision import datasets, models
from fakel.vision import transforms as T
from tests.vision.test_datasets import make_cifar, make_folders, make_mnist

pytest.importorskip("PIL")

# How to make each from files in `root`; a new dataset or transform needs a line.
DATASETS = {
    "MNIST": lambda kind, root: make_mnist(root) and kind(root),
    "FashionMNIST": lambda kind, root: make_mnist(root, folder="FashionMNIST") and kind(root),
    "KMNIST": lambda kind, root: make_mnist(root, folder="KMNIST") and kind(root),
    "MiniMNIST": lambda kind, root: kind(train=False),
    "CIFAR10": lambda kind, root: cifar(kind, root),
    "CIFAR100": lambda kind, root: cifar(kind, root),
    "FakeData": lambda kind, root: kind(3, (3, 4, 5)),
    "ImageFolder": lambda kind, root: make_folders(root) or kind(root),
    "DatasetFolder": lambda kind, root: (
        make_folders(root) or kind(root, datasets.folder.default_loader, (".png", ".bmp"))
    ),
}
TRANSFORMS = {
    "CenterCrop": (3,),
    "Compose": ([T.RandomCrop(3), T.RandomHorizontalFlip()],),
    "ConvertImageDtype": (fakel.float64,),
    "FiveCrop": (3,),
    "GaussianBlur": (3,),
    "Lambda": (T.functional.hflip,),
    "LinearTransformation": (fakel.eye(105), fakel.zeros(105)),
    "Normalize": ([0.5], [0.5]),
    "Pad": (1,),
    "RandomAdjustSharpness": (2,),
    "RandomAffine": (20,),
    "RandomApply": ([T.CenterCrop(2)],),
    "RandomChoice": ([T.CenterCrop(2), T.CenterCrop(3)],),
    "RandomCrop": (3,),
    "RandomOrder": ([T.CenterCrop(2), T.Pad(3)],),
    "RandomPosterize": (3,),
    "RandomResizedCrop": (3,),
    "RandomRotation": (20,),
    "RandomSolarize": (0.5,),
    "Resize": (3,),
    "TenCrop": (3,),
}
ON_IMAGES = ("ToTensor", "PILToTensor")
ON_BYTES = ("RandomPosterize", "RandomEqualize")
NO_TRANSFORMS = {"InterpolationMode", "RandomTransforms"}


def cifar(kind, root):
    known = {name: getattr(kind, name) for name in ("train_list", "test_list", "meta")}
    for name, value in make_cifar(root, kind).items():
        setattr(kind, name, value)
    try:
        return kind(root)
    finally:
        for name, value in known.items():
            setattr(kind, name, value)


def classes(module, base=object):
    found = {name: getattr(module, name) for name in module.__all__}
    return [n for n, kind in found.items() if inspect.isclass(kind) and issubclass(kind, base)]


@pytest.mark.parametrize("name", sorted({*classes(datasets)} - {"VisionDataset"}))
def test_dataset(name, tmp_path):
    kind = getattr(datasets, name)
    assert inspect.getdoc(kind) and issubclass(kind, datasets.VisionDataset)
    dataset = DATASETS[name](kind, tmp_path)
    assert repr(dataset).startswith(f"Dataset {name}\n    Number of datapoints: {len(dataset)}")
    dataset.transform = T.ToTensor()
    dataset = pickle.loads(pickle.dumps(dataset))
    image, label = dataset[0]
    assert isinstance(image, fakel.Tensor) and type(label) is int
    with pytest.raises(IndexError):
        dataset[len(dataset)]
    if hasattr(dataset, "__getitems__"):
        batch = dataset.__getitems__([1, 0])
        assert isinstance(batch, Batch)
        for actual, expected in zip(
            default_collate(batch), default_collate([dataset[1], dataset[0]]), strict=True
        ):
            np.testing.assert_array_equal(actual.numpy(), expected.numpy())


@pytest.mark.parametrize("name", sorted({*classes(T)} - NO_TRANSFORMS))
def test_transform(name):
    kind = getattr(T, name)
    assert inspect.getdoc(kind)
    transform = kind(*TRANSFORMS.get(name, ()))
    assert repr(transform).startswith(f"{name}(")
    image = fakel.rand(3, 5, 7)
    if name in ON_BYTES:
        image = (image * 255).to(fakel.uint8)
    if name in ON_IMAGES:
        image = T.functional.to_pil_image(image)
    before = image.clone() if isinstance(image, fakel.Tensor) else image.copy()
    results = []
    for each in (transform, copy.deepcopy(transform), pickle.loads(pickle.dumps(transform))):
        fakel.manual_seed(4)
        random.seed(4)
        result = each(image)
        results.append(result if isinstance(result, tuple) else (result,))
    for first, *others in zip(*results, strict=True):
        for other in others:
            np.testing.assert_array_equal(np.asarray(other), np.asarray(first))
    np.testing.assert_array_equal(np.asarray(image), np.asarray(before))  # never in place


def test_every_model_has_a_docstring():
    for name in models.list_models():
        assert inspect.getdoc(models.get_model_builder(name))
        assert name in models.__all__
