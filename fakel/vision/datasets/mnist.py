"""MNIST and the datasets in its format, and the 5,000 real digits that fakel itself carries."""

from __future__ import annotations

import os
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.error import URLError

import numpy as np

from fakel.tensor import Tensor, dtypes
from fakel.vision._pillow import image_from_array
from fakel.vision.datasets.batching import WholeBatches
from fakel.vision.datasets.idx import idx_file, read_image_file, read_label_file
from fakel.vision.datasets.utils import download_and_extract_archive
from fakel.vision.datasets.vision import VisionDataset

_DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


class MNIST(WholeBatches, VisionDataset):
    """Digits of 28 x 28 (LeCun, Cortes, Burges): 60,000 for training, 10,000 for testing.

    Args:
        root: the folder; the files lie in root/MNIST/raw, compressed with gzip or not.
        train: the training set, or the test set.
        transform: a function of the PIL image.
        target_transform: a function of the label.
        download: download the files if they are not there.

    Attributes:
        data: the images, bytes (n, 28, 28).
        targets: the labels, int64 (n,).
        classes, class_to_idx: the names of the labels.

    Raises:
        RuntimeError: the files are missing or damaged, or cannot be downloaded.
    """

    mirrors = [
        "https://ossci-datasets.s3.amazonaws.com/mnist/",
        "http://yann.lecun.com/exdb/mnist/",
    ]
    resources = [
        ("train-images-idx3-ubyte.gz", "f68b3c2dcbeaaa9fbdd348bbdeb94873"),
        ("train-labels-idx1-ubyte.gz", "d53e105ee54ea40749a09fcbcd1e9432"),
        ("t10k-images-idx3-ubyte.gz", "9fb629c4189551a2d022fa330f9573f3"),
        ("t10k-labels-idx1-ubyte.gz", "ec29112dd5afa0611ce80d1b7f02629c"),
    ]
    classes = [f"{value} - {name}" for value, name in enumerate(_DIGITS)]

    def __init__(
        self,
        root: str | Path,
        train: bool = True,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
    ):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.train = train
        if download:
            self.download()
        if not self._check_exists():
            raise RuntimeError("Dataset not found. You can use download=True to download it")
        self.data, self.targets = self._load_data()

    @property
    def raw_folder(self) -> str:
        """The folder of the files."""
        return os.path.join(self.root, type(self).__name__, "raw")

    @property
    def class_to_idx(self) -> dict[str, int]:
        """The label of each class name."""
        return {name: label for label, name in enumerate(self.classes)}

    def _check_exists(self) -> bool:
        names = (name.removesuffix(".gz") for name, _ in self.resources)
        return all(idx_file(os.path.join(self.raw_folder, name)) for name in names)

    def _load_data(self) -> tuple[Tensor, Tensor]:
        stem = os.path.join(self.raw_folder, "train" if self.train else "t10k")
        images = read_image_file(idx_file(f"{stem}-images-idx3-ubyte"))
        labels = read_label_file(idx_file(f"{stem}-labels-idx1-ubyte"))
        if len(images) != len(labels):
            raise RuntimeError(
                f"{self.raw_folder} is damaged: {len(images)} images but {len(labels)} labels"
            )
        return images, labels

    def download(self) -> None:
        """Download and unpack the files that are missing, from the first mirror that has them."""
        if self._check_exists():
            return
        for name, md5 in self.resources:
            errors = ""
            for mirror in self.mirrors:
                try:
                    download_and_extract_archive(
                        f"{mirror}{name}", self.raw_folder, filename=name, md5=md5
                    )
                    break
                except (RuntimeError, URLError) as error:
                    errors += f"Tried {mirror}, got:\n{error}\n"
            else:
                raise RuntimeError(f"Error downloading {name}:\n{errors}")

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, label) after the transforms."""
        image = image_from_array(_value_at(self.data, index), "L")
        return self._transformed(image, int(_value_at(self.targets, index)))

    def __len__(self) -> int:
        return len(self.data)

    def _pixels(self) -> np.ndarray | None:
        data = self.data
        if not isinstance(data, Tensor) or data.dtype != dtypes.uint8 or data.ndim != 3:
            return None
        return data._array()[..., None]

    def _labels(self, indices: list[int]) -> list[Any] | None:
        targets = self.targets
        if not isinstance(targets, Tensor) or targets.dtype != dtypes.int64 or targets.ndim != 1:
            return None
        return targets._array()[indices].tolist()

    def extra_repr(self) -> str:
        """The split, for the printed form."""
        return f"Split: {'Train' if self.train is True else 'Test'}"

    @property
    def train_data(self) -> Tensor:
        """The old name of `data`."""
        warnings.warn("train_data has been renamed data", stacklevel=2)
        return self.data

    @property
    def test_data(self) -> Tensor:
        """The old name of `data`."""
        warnings.warn("test_data has been renamed data", stacklevel=2)
        return self.data

    @property
    def train_labels(self) -> Tensor:
        """The old name of `targets`."""
        warnings.warn("train_labels has been renamed targets", stacklevel=2)
        return self.targets

    @property
    def test_labels(self) -> Tensor:
        """The old name of `targets`."""
        warnings.warn("test_labels has been renamed targets", stacklevel=2)
        return self.targets


def _value_at(tensor: Tensor, index: int) -> np.ndarray:
    """What lies at an index; the tensor itself raises the usual errors."""
    if type(tensor) is Tensor and type(index) is int and 0 <= index < len(tensor):
        value: np.ndarray = tensor._array()[index]
        return value
    return tensor[index].numpy()


class FashionMNIST(MNIST):
    """Pictures of clothes (Xiao, Rasul, Vollgraf 2017) in MNIST's format and sizes."""

    mirrors = ["http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        ("train-labels-idx1-ubyte.gz", "25c81989df183df01b3e8a0aad5dffbe"),
        ("t10k-images-idx3-ubyte.gz", "bef4ecab320f06d8554ea6380940ec79"),
        ("t10k-labels-idx1-ubyte.gz", "bb300cfdad3c16e7a12a480ee83cd310"),
    ]
    classes = [
        "T-shirt/top",
        "Trouser",
        "Pullover",
        "Dress",
        "Coat",
        "Sandal",
        "Shirt",
        "Sneaker",
        "Bag",
        "Ankle boot",
    ]


class KMNIST(MNIST):
    """Japanese characters (Clanuwat et al. 2018, Kuzushiji-MNIST) in MNIST's format and sizes."""

    mirrors = ["http://codh.rois.ac.jp/kmnist/dataset/kmnist/"]
    resources = [
        ("train-images-idx3-ubyte.gz", "bdb82020997e1d708af4cf47b453dcf7"),
        ("train-labels-idx1-ubyte.gz", "e144d726b3acfaa3e44228e80efcd344"),
        ("t10k-images-idx3-ubyte.gz", "5c965bf0a639b31b8f53240b1b52f4d7"),
        ("t10k-labels-idx1-ubyte.gz", "7320c461ea6c1c855c0b718fb2a4b134"),
    ]
    classes = ["o", "ki", "su", "tsu", "na", "ha", "ma", "ya", "re", "wo"]


class MiniMNIST(MNIST):
    """5,000 real MNIST digits inside the package: 4,000 for training, 1,000 for testing.

    Each digit has 400 images for training and 100 for testing. `mini_mnist/README.md` says where
    they come from and under which licence.

    Args:
        root: accepted so that MiniMNIST can stand where MNIST does; the files are fakel's own.
        train, transform, target_transform: as for `MNIST`.
        download: accepted likewise; there is nothing to download.
    """

    def __init__(
        self,
        root: str | Path | None = None,
        train: bool = True,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        download: bool = False,
    ):
        super().__init__(root, train, transform, target_transform, download)

    @property
    def raw_folder(self) -> str:
        """The folder of the files, inside the package."""
        return os.path.join(os.path.dirname(__file__), "mini_mnist")
