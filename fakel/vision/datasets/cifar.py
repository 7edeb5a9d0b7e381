"""CIFAR-10 and CIFAR-100 (Krizhevsky 2009): 60,000 colour pictures of 32 x 32."""

from __future__ import annotations

import os
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from fakel.vision._pillow import pillow
from fakel.vision.datasets.batching import WholeBatches
from fakel.vision.datasets.utils import check_integrity, download_and_extract_archive
from fakel.vision.datasets.vision import VisionDataset

# All that a pickled NumPy array needs; nothing else in a file is looked up, so none can run code.
_ALLOWED = {
    ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
    ("numpy", "ndarray"): np.ndarray,
    ("numpy", "dtype"): np.dtype,
}


class _ArrayUnpickler(pickle.Unpickler):
    def find_class(self, module: str, name: str) -> Any:
        if (module, name) == ("_codecs", "encode"):
            return _encode
        if (module, name) not in _ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module}.{name}, which no batch needs")
        return _ALLOWED[module, name]


def _encode(text: str, encoding: str) -> bytes:
    """How Python 3 writes bytes in old pickles."""
    if encoding != "latin1":
        raise pickle.UnpicklingError(f"it asks for the encoding {encoding}, which no batch needs")
    return text.encode("latin1")


def read_batch(path: str | Path) -> dict[str, Any]:
    """The dictionary in a batch file, read without running anything from it.

    Raises:
        RuntimeError: the file is damaged; the message names it.
    """
    try:
        with open(path, "rb") as file:
            batch = _ArrayUnpickler(file, encoding="latin1").load()
    except (pickle.UnpicklingError, EOFError, ValueError, KeyError, IndexError, TypeError) as error:
        raise RuntimeError(f"{path} is damaged: {error}") from error
    if not isinstance(batch, dict):
        raise RuntimeError(f"{path} is damaged: it holds a {type(batch).__name__}, not a dict")
    return batch


class CIFAR10(WholeBatches, VisionDataset):
    """50,000 training and 10,000 test pictures in 10 classes.

    Args:
        root: the folder; the files lie in root/cifar-10-batches-py.
        train: the training set, or the test set.
        transform: a function of the PIL image.
        target_transform: a function of the label.
        download: download the files if they are not there.

    Attributes:
        data: the pictures, an array of bytes (n, 32, 32, 3).
        targets: the labels, a list.
        classes, class_to_idx: the names of the labels.

    Raises:
        RuntimeError: the files are missing or damaged, or cannot be downloaded.
    """

    base_folder = "cifar-10-batches-py"
    url = "https://www.cs.toronto.edu/~kriz/cifar-10-python.tar.gz"
    filename = "cifar-10-python.tar.gz"
    tgz_md5 = "c58f30108f718f92721af3b95e74349a"
    train_list = [
        ["data_batch_1", "c99cafc152244af753f735de768cd75f"],
        ["data_batch_2", "d4bba439e000b95fd0a9bffe97cbabec"],
        ["data_batch_3", "54ebc095f3ab1f0389bbae665268c751"],
        ["data_batch_4", "634d18415352ddfa80567beed471001a"],
        ["data_batch_5", "482c414d41f54cd18b22e5b47cb7c3cb"],
    ]
    test_list = [["test_batch", "40351d587109b95175f43aff81a1287e"]]
    meta = {
        "filename": "batches.meta",
        "key": "label_names",
        "md5": "5ff9c542aee3614f3951f8cda6e48888",
    }

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
        if not self._check_integrity():
            raise RuntimeError(
                "Dataset not found or corrupted. You can use download=True to download it"
            )
        pictures: list[np.ndarray] = []
        self.targets: list[int] = []
        for name, _ in self.train_list if train else self.test_list:
            batch = read_batch(self._path(name))
            pictures.append(batch["data"])
            self.targets.extend(batch["labels"] if "labels" in batch else batch["fine_labels"])
        self.data = np.vstack(pictures).reshape(-1, 3, 32, 32).transpose(0, 2, 3, 1)
        self._load_meta()

    def _path(self, name: str) -> str:
        return os.path.join(self.root, self.base_folder, name)

    def _check_integrity(self) -> bool:
        files = [*self.train_list, *self.test_list]
        return all(check_integrity(self._path(name), md5) for name, md5 in files)

    def _load_meta(self) -> None:
        path = self._path(self.meta["filename"])
        if not check_integrity(path, self.meta["md5"]):
            raise RuntimeError(
                "Dataset metadata file not found or corrupted. "
                "You can use download=True to download it"
            )
        self.classes = read_batch(path)[self.meta["key"]]
        self.class_to_idx = {name: label for label, name in enumerate(self.classes)}

    def download(self) -> None:
        """Download and unpack the archive, unless the files are already there."""
        if not self._check_integrity():
            download_and_extract_archive(
                self.url, self.root, filename=self.filename, md5=self.tgz_md5
            )

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(image, label) after the transforms."""
        image = pillow().fromarray(self.data[index])
        return self._transformed(image, self.targets[index])

    def __len__(self) -> int:
        return len(self.data)

    def _pixels(self) -> np.ndarray | None:
        data = self.data
        if not isinstance(data, np.ndarray) or data.dtype != np.uint8 or data.shape[3:] != (3,):
            return None
        return data

    def _labels(self, indices: list[int]) -> list[Any] | None:
        labels = [self.targets[index] for index in indices]
        return labels if all(type(label) is int for label in labels) else None

    def extra_repr(self) -> str:
        """The split, for the printed form."""
        return f"Split: {'Train' if self.train is True else 'Test'}"


class CIFAR100(CIFAR10):
    """50,000 training and 10,000 test pictures in 100 classes, from cifar-100-python."""

    base_folder = "cifar-100-python"
    url = "https://www.cs.toronto.edu/~kriz/cifar-100-python.tar.gz"
    filename = "cifar-100-python.tar.gz"
    tgz_md5 = "eb9058c3a382ffc7106e4002c42a8d85"
    train_list = [["train", "16019d7e3df5f24257cddd939b257f8d"]]
    test_list = [["test", "f0ef6b0ae62326f3e7ffdfab6717acfc"]]
    meta = {
        "filename": "meta",
        "key": "fine_label_names",
        "md5": "7973b15100ade9c7d40fb424638fde48",
    }
