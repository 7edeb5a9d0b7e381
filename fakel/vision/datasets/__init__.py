"""torchvision.datasets."""

from fakel.vision.datasets import folder, mnist, utils
from fakel.vision.datasets.cifar import CIFAR10, CIFAR100
from fakel.vision.datasets.fakedata import FakeData
from fakel.vision.datasets.folder import DatasetFolder, ImageFolder
from fakel.vision.datasets.mnist import KMNIST, MNIST, FashionMNIST, MiniMNIST
from fakel.vision.datasets.vision import VisionDataset

__all__ = [
    "CIFAR10",
    "CIFAR100",
    "DatasetFolder",
    "FakeData",
    "FashionMNIST",
    "ImageFolder",
    "KMNIST",
    "MNIST",
    "MiniMNIST",
    "VisionDataset",
    "folder",
    "mnist",
    "utils",
]
