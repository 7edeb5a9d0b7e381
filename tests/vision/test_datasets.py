"""Datasets: files read as torchvision reads them, clear errors for missing or damaged ones."""

from __future__ import annotations

import gzip
import hashlib
import pickle
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from urllib.error import URLError

import numpy as np
import pytest

import fakel
from fakel.vision import datasets
from fakel.vision.datasets import utils

Image = pytest.importorskip("PIL.Image")
NAMES = [
    f"{split}-{kind}" for split in ("train", "t10k") for kind in ("images-idx3", "labels-idx1")
]


def idx(array):
    return bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes() + array.tobytes()


def make_mnist(root, count=6, folder="MNIST", compress=False):
    """Small files in MNIST's layout."""
    raw = root / folder / "raw"
    raw.mkdir(parents=True)
    generator = np.random.default_rng(0)
    for name in NAMES:
        shape = (count, 28, 28) if "images" in name else (count,)
        content = idx(generator.integers(0, 10, shape, dtype=np.uint8))
        path = raw / f"{name}-ubyte"
        if compress:
            path.with_name(path.name + ".gz").write_bytes(gzip.compress(content))
        else:
            path.write_bytes(content)
    return raw


@pytest.mark.parametrize("name", ["MNIST", "FashionMNIST", "KMNIST"])
@pytest.mark.parametrize("train", [True, False])
def test_mnist(name, train, torchvision, tmp_path):
    make_mnist(tmp_path, folder=name)
    theirs = getattr(torchvision.datasets, name)(tmp_path, train=train)
    mine = getattr(datasets, name)(tmp_path, train=train)
    assert repr(mine) == repr(theirs)
    assert (mine.classes, mine.class_to_idx) == (theirs.classes, theirs.class_to_idx)
    assert (mine.mirrors, mine.resources) == (theirs.mirrors, theirs.resources)
    assert mine.targets.dtype == fakel.int64
    np.testing.assert_array_equal(mine.data.numpy(), theirs.data.numpy())
    np.testing.assert_array_equal(mine.targets.numpy(), theirs.targets.numpy())
    image, label = mine[2]
    assert (image.mode, image.size, label) == ("L", (28, 28), theirs[2][1])
    np.testing.assert_array_equal(np.asarray(image), np.asarray(theirs[2][0]))
    with pytest.raises(IndexError):
        mine[len(mine)]


def test_printed_form(torchvision, tmp_path):
    make_mnist(tmp_path)

    def printed(vision):
        P = vision.transforms
        transform = P.Compose([P.ToTensor(), P.Normalize((0.5,), (0.5,))])
        return repr(vision.datasets.MNIST(str(tmp_path), True, transform, P.Lambda(int)))

    assert printed(fakel.vision) == printed(torchvision)


def test_compressed_files_are_read(tmp_path):
    make_mnist(tmp_path / "plain")
    make_mnist(tmp_path / "packed", compress=True)
    plain, packed = (datasets.MNIST(tmp_path / name) for name in ("plain", "packed"))
    np.testing.assert_array_equal(plain.data.numpy(), packed.data.numpy())


def test_missing_files(tmp_path):
    message = "Dataset not found. You can use download=True to download it"
    with pytest.raises(RuntimeError, match=message):
        datasets.MNIST(tmp_path)
    raw = make_mnist(tmp_path)
    (raw / "t10k-labels-idx1-ubyte").unlink()
    with pytest.raises(RuntimeError, match=message):
        datasets.MNIST(tmp_path)


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[:-1],
        lambda content: content + b"\0",
        lambda content: content[:10],
        lambda content: b"",
        lambda content: b"<html>" + content,
    ],
)
@pytest.mark.parametrize("compress", [True, False])
def test_damaged_files_are_named(damage, compress, tmp_path):
    raw = make_mnist(tmp_path)
    path = raw / "train-images-idx3-ubyte"
    content = damage(path.read_bytes())
    path.unlink()
    path = path.with_name(path.name + ".gz") if compress else path
    path.write_bytes(gzip.compress(content) if compress else content)
    with pytest.raises(RuntimeError, match=f"{path} is damaged"):
        datasets.MNIST(tmp_path)
    datasets.MNIST(tmp_path, train=False)


def test_truncated_gzip_and_different_counts(tmp_path):
    raw = make_mnist(tmp_path, compress=True)
    path = raw / "train-images-idx3-ubyte.gz"
    whole = path.read_bytes()
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(RuntimeError, match="is damaged"):
        datasets.MNIST(tmp_path)
    path.write_bytes(gzip.compress(idx(np.zeros((5, 28, 28), np.uint8))))
    with pytest.raises(RuntimeError, match="5 images but 6 labels"):
        datasets.MNIST(tmp_path)


def test_mini_mnist():
    train, test = datasets.MiniMNIST(), datasets.MiniMNIST(train=False)
    assert (len(train), len(test)) == (4000, 1000)
    assert np.bincount(train.targets.numpy()).tolist() == [400] * 10
    assert np.bincount(test.targets.numpy()).tolist() == [100] * 10
    assert train.classes == datasets.MNIST.classes
    images = {image.tobytes() for image in train.data.numpy()}
    assert not any(image.tobytes() in images for image in test.data.numpy())
    # The digits are MNIST's own: their mean and deviation are close to those that everybody uses.
    pixels = train.data.numpy() / 255
    assert pixels.mean() == pytest.approx(0.1307, abs=0.005)
    assert pixels.std() == pytest.approx(0.3081, abs=0.005)
    assert repr(train).splitlines()[0] == "Dataset MiniMNIST"
    datasets.MiniMNIST("anywhere", download=True)


class Server:
    """A web server on this machine that serves one file, whole or in part."""

    def __init__(self, content, cut=None):
        self.content, self.cut, self.ranges = content, cut, []
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                asked = self.headers.get("Range")
                outer.ranges.append(asked)
                start = int(asked.removeprefix("bytes=").removesuffix("-")) if asked else 0
                body = outer.content[start:]
                self.send_response(206 if asked else 200)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body[: outer.cut])

            def log_message(self, *arguments):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/file.bin"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()


CONTENT = bytes(range(256)) * 2000


def test_download(tmp_path, capsys):
    md5 = hashlib.md5(CONTENT).hexdigest()
    with Server(CONTENT) as server:
        utils.download_url(server.url, tmp_path, md5=md5)
        utils.download_url(server.url, tmp_path, md5=md5)
        assert server.ranges == [None]
    assert [path.name for path in tmp_path.iterdir()] == ["file.bin"]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_download_goes_on_where_it_stopped(tmp_path, capsys):
    md5 = hashlib.md5(CONTENT).hexdigest()
    with Server(CONTENT, cut=100_000) as server:
        with pytest.raises(URLError, match="too early"):
            utils.download_url(server.url, tmp_path, md5=md5)
        assert not (tmp_path / "file.bin").exists()
        server.cut = None
        utils.download_url(server.url, tmp_path, md5=md5)
        assert server.ranges == [None, "bytes=100000-"]
    assert (tmp_path / "file.bin").read_bytes() == CONTENT


def test_download_with_wrong_checksum(tmp_path, capsys):
    with Server(CONTENT) as server, pytest.raises(RuntimeError, match="not found or corrupted"):
        utils.download_url(server.url, tmp_path, md5="0" * 32)
    assert not list(tmp_path.iterdir())


def test_offline(tmp_path, monkeypatch):
    with Server(b"") as server:
        url = server.url
    with pytest.raises(URLError, match="put the file at .*file.bin"):
        utils.download_url(url, tmp_path)
    monkeypatch.setattr(datasets.MNIST, "mirrors", [url + "/a/", url + "/b/"])
    with pytest.raises(RuntimeError, match="Error downloading train-images") as error:
        datasets.MNIST(tmp_path, download=True)
    assert "/a/" in str(error.value) and "/b/" in str(error.value)


def make_cifar(root, kind, protocol=2, **changes):
    """Small files in CIFAR's layout; returns a subclass that knows their checksums."""
    folder = root / kind.base_folder
    folder.mkdir(exist_ok=True)
    generator = np.random.default_rng(0)
    label = "labels" if kind is datasets.CIFAR10 else "fine_labels"

    def write(name, value):
        content = pickle.dumps(value, protocol)
        (folder / name).write_bytes(content)
        return hashlib.md5(content).hexdigest()

    def batch():
        pixels = generator.integers(0, 256, (3, 3072), dtype=np.uint8)
        return {"data": pixels, label: [1, 0, 1], "batch_label": "x", **changes}

    attributes = {
        "train_list": [[name, write(name, batch())] for name, _ in kind.train_list],
        "test_list": [[name, write(name, batch())] for name, _ in kind.test_list],
    }
    names = write(kind.meta["filename"], {kind.meta["key"]: ["cat", "dog"]})
    return attributes | {"meta": kind.meta | {"md5": names}}


@pytest.mark.parametrize("name", ["CIFAR10", "CIFAR100"])
@pytest.mark.parametrize("protocol", [2, 4])
def test_cifar(name, protocol, torchvision, tmp_path):
    kinds = [getattr(module, name) for module in (datasets, torchvision.datasets)]
    attributes = make_cifar(tmp_path, kinds[0], protocol)
    for train in (True, False):
        mine, theirs = (type(name, (kind,), attributes)(tmp_path, train) for kind in kinds)
        assert repr(mine) == repr(theirs)
        assert mine.targets == theirs.targets
        assert (mine.classes, mine.class_to_idx) == (theirs.classes, theirs.class_to_idx)
        np.testing.assert_array_equal(mine.data, theirs.data)
        np.testing.assert_array_equal(np.asarray(mine[1][0]), np.asarray(theirs[1][0]))
        mine.transform = fakel.vision.transforms.ToTensor()
        images, labels = mine.__getitems__([0, 2]).collated
        np.testing.assert_array_equal(images[1].numpy(), mine[2][0].numpy())
        assert labels.tolist() == [mine[0][1], mine[2][1]]


def test_cifar_constants(torchvision):
    for name in ("CIFAR10", "CIFAR100"):
        mine, theirs = getattr(datasets, name), getattr(torchvision.datasets, name)
        for attribute in ("base_folder", "url", "filename", "tgz_md5", "train_list", "test_list"):
            assert getattr(mine, attribute) == getattr(theirs, attribute)
        assert mine.meta == theirs.meta


def test_cifar_damaged(tmp_path):
    attributes = make_cifar(tmp_path, datasets.CIFAR10)
    kind = type("CIFAR10", (datasets.CIFAR10,), attributes)
    path = tmp_path / kind.base_folder / "data_batch_3"
    path.write_bytes(path.read_bytes()[:-7])
    with pytest.raises(RuntimeError, match="Dataset not found or corrupted"):
        kind(tmp_path)


class Evil:
    def __reduce__(self):
        return (print, ("code from a data file",))


def test_cifar_never_runs_code_from_a_file(tmp_path, capsys):
    attributes = make_cifar(tmp_path, datasets.CIFAR10, extra=Evil())
    with pytest.raises(RuntimeError, match=r"data_batch_1 is damaged: it asks for .*print"):
        type("CIFAR10", (datasets.CIFAR10,), attributes)(tmp_path)
    assert capsys.readouterr().out == ""


def make_folders(root):
    for name in ("dog/b.png", "dog/deep/a.JPG", "cat/c.bmp", "cat/notes.txt"):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".txt":
            path.write_text("no image")
        else:
            Image.new("L", (4, 3), len(name)).save(path)


def test_image_folder(torchvision, tmp_path):
    make_folders(tmp_path)
    mine, theirs = (kind.ImageFolder(tmp_path) for kind in (datasets, torchvision.datasets))
    for name in ("classes", "class_to_idx", "samples", "imgs", "targets", "extensions"):
        assert getattr(mine, name) == getattr(theirs, name)
    assert repr(mine) == repr(theirs)
    for index in range(len(theirs)):
        assert mine[index][0].mode == "RGB"
        assert mine[index][1] == theirs[index][1]
        np.testing.assert_array_equal(np.asarray(mine[index][0]), np.asarray(theirs[index][0]))


@pytest.mark.parametrize(
    "make",
    [
        lambda kind, root: kind.ImageFolder(root / "dog" / "deep"),
        lambda kind, root: kind.ImageFolder(root / "nowhere"),
        lambda kind, root: kind.ImageFolder(root, is_valid_file=lambda path: "cat" in path),
        lambda kind, root: kind.DatasetFolder(root, loader=str, extensions=(".txt",)),
        lambda kind, root: kind.DatasetFolder(root, loader=str),
        lambda kind, root: kind.folder.make_dataset(root, {}),
    ],
)
def test_image_folder_errors(make, torchvision, tmp_path):
    make_folders(tmp_path)
    with pytest.raises((FileNotFoundError, ValueError)) as expected:
        make(torchvision.datasets, tmp_path)
    with pytest.raises(expected.type) as actual:
        make(datasets, tmp_path)
    assert str(actual.value) == str(expected.value)


def test_empty_classes_can_be_allowed(tmp_path):
    make_folders(tmp_path)
    (tmp_path / "ant").mkdir()
    folder = datasets.ImageFolder(tmp_path, allow_empty=True)
    assert folder.classes == ["ant", "cat", "dog"]
    assert sorted(set(folder.targets)) == [1, 2]


@pytest.mark.parametrize("content", [b"", b"no image", None])
def test_image_that_does_not_decode_is_named(content, tmp_path):
    make_folders(tmp_path)
    path = tmp_path / "dog" / "b.png"
    Image.effect_noise((64, 64), 50).save(path)
    path.write_bytes(path.read_bytes()[:900] if content is None else content)
    folder = datasets.ImageFolder(tmp_path)
    bad = next(index for index, (name, _) in enumerate(folder.samples) if name == str(path))
    with pytest.raises(OSError, match="cannot decode the image '.*b.png'"):
        folder[bad]


def test_fake_data(torchvision):
    theirs = torchvision.datasets.FakeData(3, (3, 5, 6), 4, random_offset=7)
    mine = datasets.FakeData(3, (3, 5, 6), 4, random_offset=7)
    assert repr(mine) == repr(theirs)
    fakel.manual_seed(1)
    before = fakel.get_rng_state()
    for index in range(3):
        assert mine[index][1] == theirs[index][1]
        np.testing.assert_array_equal(np.asarray(mine[index][0]), np.asarray(theirs[index][0]))
    np.testing.assert_array_equal(before.numpy(), fakel.get_rng_state().numpy())
    with pytest.raises(IndexError, match="FakeData index out of range"):
        mine[3]
