"""Datasets in folders: one folder a class."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fakel.vision._pillow import pillow
from fakel.vision.datasets.vision import VisionDataset

IMG_EXTENSIONS = (".jpg", ".jpeg", ".png", ".ppm", ".bmp", ".pgm", ".tif", ".tiff", ".webp")

Extensions = str | tuple[str, ...]


def has_file_allowed_extension(filename: str, extensions: Extensions) -> bool:
    """Whether the name ends in one of the extensions, in small or capital letters."""
    return filename.lower().endswith(
        extensions if isinstance(extensions, str) else tuple(extensions)
    )


def is_image_file(filename: str) -> bool:
    """Whether the name ends like an image's."""
    return has_file_allowed_extension(filename, IMG_EXTENSIONS)


def find_classes(directory: str | Path) -> tuple[list[str], dict[str, int]]:
    """The names of the folders in `directory`, sorted, and the number of each.

    Raises:
        FileNotFoundError: there is no folder.
    """
    classes = sorted(entry.name for entry in os.scandir(directory) if entry.is_dir())
    if not classes:
        raise FileNotFoundError(f"Couldn't find any class folder in {directory}.")
    return classes, {name: number for number, name in enumerate(classes)}


def make_dataset(
    directory: str | Path,
    class_to_idx: dict[str, int] | None = None,
    extensions: Extensions | None = None,
    is_valid_file: Callable[[str], bool] | None = None,
    allow_empty: bool = False,
) -> list[tuple[str, int]]:
    """All (path, class number) under `directory`, sorted.

    Args:
        directory: holds a folder for each class; files may lie deeper.
        class_to_idx: the number of each class; by default that of `find_classes`.
        extensions: which files to take; excludes `is_valid_file`.
        is_valid_file: a function of the path that says whether to take it.
        allow_empty: allow classes without files.

    Raises:
        FileNotFoundError: a class has no file.
    """
    directory = os.path.expanduser(directory)
    if class_to_idx is None:
        _, class_to_idx = find_classes(directory)
    elif not class_to_idx:
        raise ValueError("'class_to_index' must have at least one entry to collect any samples.")
    if (extensions is None) == (is_valid_file is None):
        raise ValueError(
            "Both extensions and is_valid_file cannot be None or not None at the same time"
        )
    samples = []
    empty = []
    for name in sorted(class_to_idx):
        paths = (
            os.path.join(folder, file)
            for folder, _, files in sorted(os.walk(os.path.join(directory, name), followlinks=True))
            for file in sorted(files)
        )
        if extensions is not None:
            found = [path for path in paths if has_file_allowed_extension(path, extensions)]
        else:
            found = [path for path in paths if is_valid_file(path)]
        samples += [(path, class_to_idx[name]) for path in found]
        if not found:
            empty.append(name)
    if empty and not allow_empty:
        message = f"Found no valid file for the classes {', '.join(empty)}. "
        if extensions is not None:
            names = extensions if isinstance(extensions, str) else ", ".join(extensions)
            message += f"Supported extensions are: {names}"
        raise FileNotFoundError(message)
    return samples


class DatasetFolder(VisionDataset):
    """Samples in folders: root/class/anything.ext.

    Args:
        root: holds a folder for each class.
        loader: a function that makes a sample of a path.
        extensions: which files to take; excludes `is_valid_file`.
        transform: a function of the sample.
        target_transform: a function of the class number.
        is_valid_file: a function of the path that says whether to take it.
        allow_empty: allow classes without files.

    Attributes:
        classes, class_to_idx: the names of the classes, sorted, and their numbers.
        samples: all (path, class number).
        targets: all class numbers.
    """

    def __init__(
        self,
        root: str | Path,
        loader: Callable[[str], Any],
        extensions: tuple[str, ...] | None = None,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ):
        super().__init__(root, transform=transform, target_transform=target_transform)
        self.classes, self.class_to_idx = self.find_classes(self.root)
        self.samples = self.make_dataset(
            self.root,
            class_to_idx=self.class_to_idx,
            extensions=extensions,
            is_valid_file=is_valid_file,
            allow_empty=allow_empty,
        )
        self.loader = loader
        self.extensions = extensions
        self.targets = [target for _, target in self.samples]

    @staticmethod
    def make_dataset(
        directory: str | Path,
        class_to_idx: dict[str, int],
        extensions: tuple[str, ...] | None = None,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ) -> list[tuple[str, int]]:
        """`make_dataset`, for subclasses to override."""
        if class_to_idx is None:
            raise ValueError("The class_to_idx parameter cannot be None.")
        return make_dataset(directory, class_to_idx, extensions, is_valid_file, allow_empty)

    def find_classes(self, directory: str | Path) -> tuple[list[str], dict[str, int]]:
        """`find_classes`, for subclasses to override."""
        return find_classes(directory)

    def __getitem__(self, index: int) -> tuple[Any, Any]:
        """(sample, class number) after the transforms."""
        path, target = self.samples[index]
        return self._transformed(self.loader(path), target)

    def __len__(self) -> int:
        return len(self.samples)


def pil_loader(path: str | Path) -> Any:
    """The image as a PIL image in RGB.

    Raises:
        OSError: it does not decode; the message names the file.
    """
    image = pillow()
    with open(path, "rb") as file:
        try:
            return image.open(file).convert("RGB")
        except (OSError, SyntaxError, ValueError, EOFError) as error:
            kind = type(error) if isinstance(error, image.UnidentifiedImageError) else OSError
            raise kind(f"cannot decode the image {os.fspath(path)!r}: {error}") from error


def default_loader(path: str | Path) -> Any:
    """`pil_loader`, the only image backend."""
    return pil_loader(path)


class ImageFolder(DatasetFolder):
    """Images in folders: root/class/name.png, as PIL images in RGB.

    Args:
        root: holds a folder for each class.
        transform: a function of the PIL image.
        target_transform: a function of the class number.
        loader: a function that makes an image of a path.
        is_valid_file: a function of the path that says whether to take it; by default files that
            end
            like an image's are taken.
        allow_empty: allow classes without files.

    Attributes:
        classes, class_to_idx: the names of the classes, sorted, and their numbers.
        imgs: all (path, class number).
        targets: all class numbers.
    """

    def __init__(
        self,
        root: str | Path,
        transform: Callable | None = None,
        target_transform: Callable | None = None,
        loader: Callable[[str], Any] = default_loader,
        is_valid_file: Callable[[str], bool] | None = None,
        allow_empty: bool = False,
    ):
        super().__init__(
            root,
            loader,
            IMG_EXTENSIONS if is_valid_file is None else None,
            transform=transform,
            target_transform=target_transform,
            is_valid_file=is_valid_file,
            allow_empty=allow_empty,
        )
        self.imgs: Sequence[tuple[str, int]] = self.samples
