"""Whole batches: the same images, targets and random choices as sample by sample."""

from __future__ import annotations

import numpy as np
import pytest

import fakel
from fakel.utils.data import Batch, DataLoader, Subset, default_collate
from fakel.vision import transforms as T
from fakel.vision.datasets import CIFAR10, MiniMNIST

pytest.importorskip("PIL")

BATCHED = {
    "tensor": T.ToTensor(),
    "bytes": T.PILToTensor(),
    "normalized": T.Compose([T.ToTensor(), T.Normalize((0.1307,), (0.3081,))]),
    "normalized in place": T.Compose([T.ToTensor(), T.Normalize([0.5], [0.5], inplace=True)]),
    "flipped": T.Compose([T.RandomHorizontalFlip(), T.ToTensor()]),
    "flipped tensor": T.Compose([T.ToTensor(), T.RandomVerticalFlip(0.3)]),
    "cropped": T.Compose([T.RandomCrop(28, padding=4), T.RandomHorizontalFlip(), T.ToTensor()]),
    "cropped tensor": T.Compose([T.ToTensor(), T.RandomCrop((20, 24), padding=(1, 2, 3, 4))]),
    "centred": T.Compose([T.CenterCrop(21), T.ToTensor(), T.CenterCrop((25, 12))]),
    "grey": T.Compose([T.Grayscale(3), T.RandomHorizontalFlip(), T.ToTensor()]),
    "padded": T.Compose([T.Pad((1, 2, 3, 4), fill=7), T.Pad(2, padding_mode="edge"), T.ToTensor()]),
    "reflected": T.Compose([T.RandomCrop(30, 4, padding_mode="reflect"), T.ToTensor()]),
    "crop with colour": T.Compose([T.RandomCrop(28, padding=4, fill=9), T.ToTensor()]),
    "crop beyond": T.Compose([T.RandomCrop((30, 3), padding=(9, 1)), T.ToTensor()]),
    "converted": T.Compose([T.PILToTensor(), T.ConvertImageDtype(fakel.float32)]),
    "doubled": T.Compose([T.ToTensor(), T.ConvertImageDtype(fakel.float64)]),
    "erased": T.Compose([T.RandomVerticalFlip(), T.ToTensor(), T.RandomErasing(0.7, value=3)]),
    "erased twice": T.Compose(
        [T.ToTensor(), T.RandomErasing(1.0, (0.9, 1.0)), T.RandomCrop(20), T.RandomErasing(0.5)]
    ),
    "nested": T.Compose([T.Compose([T.RandomCrop(24)]), T.Compose([T.ToTensor()])]),
}


class Mirrored(T.RandomHorizontalFlip):
    def forward(self, image):
        return T.functional.hflip(image)


def noisy(x):
    return x + fakel.rand(1)


SINGLE = {
    "lambda": T.Compose([T.ToTensor(), T.Lambda(lambda x: x * 2)]),
    "lambda in place": T.Compose([T.ToTensor(), T.Lambda(lambda x: x.mul_(2).view(-1))]),
    "noise": T.Compose([T.ToTensor(), T.Normalize([0.5], [0.5]), noisy, T.RandomVerticalFlip()]),
    "noise after chance": T.Compose([T.RandomHorizontalFlip(), T.ToTensor(), noisy]),
    "noise after crop": T.Compose([T.CenterCrop(20), T.ToTensor(), T.RandomCrop(9), noisy]),
    "rotated": T.Compose([T.RandomRotation(20), T.ToTensor()]),
    "function": T.functional.to_tensor,
    "subclass": T.Compose([Mirrored(), T.ToTensor()]),
    "crop with a tuple": T.Compose([T.RandomCrop(28, padding=4, fill=(9,)), T.ToTensor()]),
    "noisy holes": T.Compose([T.ToTensor(), T.RandomErasing(0.7, value="random")]),
    "half": T.Compose([T.ToTensor(), T.ConvertImageDtype(fakel.float16)]),
}


def one_by_one(dataset, indices):
    fakel.manual_seed(3)
    samples = [dataset[index] for index in indices]
    return default_collate(samples), fakel.rand(1).item()


def at_once(dataset, indices):
    fakel.manual_seed(3)
    fetched = dataset.__getitems__(indices)
    return fetched, default_collate(fetched), fakel.rand(1).item()


@pytest.mark.parametrize("name", [*BATCHED, *SINGLE])
def test_same_as_sample_by_sample(name):
    dataset = MiniMNIST(train=False, transform=(BATCHED | SINGLE)[name])
    indices = [5, 0, 999, 17, 17]
    fetched, actual, actual_draw = at_once(dataset, indices)
    expected, expected_draw = one_by_one(dataset, indices)
    assert isinstance(fetched, Batch) == (name in BATCHED)
    assert actual[0].dtype == expected[0].dtype
    assert actual[1].dtype == expected[1].dtype == fakel.int64
    np.testing.assert_array_equal(actual[0].numpy(), expected[0].numpy())
    np.testing.assert_array_equal(actual[1].numpy(), expected[1].numpy())
    assert actual_draw == expected_draw


COLOURED = {
    "plain": [T.ToTensor(), T.Normalize((0.4, 0.5, 0.6), (0.2, 0.3, 0.1))],
    "usual": [T.RandomCrop(32, padding=4), T.RandomHorizontalFlip(), T.ToTensor()],
    "grey": [T.Grayscale(), T.ToTensor()],
    "grey channels": [T.Grayscale(3), T.RandomCrop(32, 4, fill=200), T.ToTensor()],
    "reflected": [T.RandomCrop(32, padding=4, padding_mode="reflect"), T.PILToTensor()],
    "erased": [T.ToTensor(), T.RandomErasing(0.7, value=(0.1, 0.2, 0.3))],
    "padded": [T.Pad(3, 100), T.ToTensor(), T.Normalize([0.1, 0.2, 0.3], [0.3]), T.CenterCrop(34)],
    "doubled": [T.ToTensor(), T.ConvertImageDtype(fakel.float64), T.Normalize([0.1], [3.0])],
    "bytes erased": [T.PILToTensor(), T.RandomErasing(0.7, value=[1, 2, 3])],
}


@pytest.mark.parametrize("length", [0, 20])
@pytest.mark.parametrize("name", COLOURED)
def test_coloured_batches(name, length):
    class Noise(CIFAR10):
        def __init__(self, transform):
            self.transform, self.target_transform = transform, None
            random = np.random.default_rng(0)
            self.data = random.integers(0, 256, (20, 3, 32, 32), np.uint8).transpose(0, 2, 3, 1)
            self.targets = list(range(20))

    dataset = Noise(T.Compose(COLOURED[name]))
    indices = [5, 0, 19, 7, 7, *range(length)]
    fetched, actual, actual_draw = at_once(dataset, indices)
    expected, expected_draw = one_by_one(dataset, indices)
    assert isinstance(fetched, Batch)
    assert actual[0].dtype == expected[0].dtype
    np.testing.assert_array_equal(actual[0].numpy(), expected[0].numpy())
    assert actual[1].tolist() == indices
    assert actual_draw == expected_draw


def test_same_as_torchvision(torch, torchvision, tmp_path):
    folder = tmp_path / "MNIST" / "raw"
    folder.mkdir(parents=True)
    test_set = MiniMNIST(train=False)
    write_idx(folder / "t10k-images-idx3-ubyte", test_set.data.numpy())
    write_idx(folder / "t10k-labels-idx1-ubyte", test_set.targets.numpy().astype(np.uint8))
    for name in ("train-images-idx3-ubyte", "train-labels-idx1-ubyte"):
        (folder / name).write_bytes(b"")

    def batches(framework, vision):
        P = vision.transforms
        chain = [P.RandomCrop(28, padding=2), P.RandomHorizontalFlip(), P.ToTensor()]
        transform = P.Compose([*chain, P.Normalize((0.1307,), (0.3081,))])
        dataset = vision.datasets.MNIST(tmp_path, train=False, transform=transform)
        framework.manual_seed(11)
        loader = framework.utils.data.DataLoader(dataset, batch_size=64, shuffle=True)
        return [(images.numpy(), labels.numpy()) for images, labels in loader]

    for mine, theirs in zip(batches(fakel, fakel.vision), batches(torch, torchvision), strict=True):
        np.testing.assert_array_equal(mine[0], theirs[0])
        np.testing.assert_array_equal(mine[1], theirs[1])


def write_idx(path, array):
    header = bytes([0, 0, 8, array.ndim]) + np.array(array.shape, ">u4").tobytes()
    path.write_bytes(header + array.tobytes())


def test_float64_default():
    dataset = MiniMNIST(train=False, transform=BATCHED["normalized"])
    fakel.set_default_dtype(fakel.float64)
    try:
        _, actual, _ = at_once(dataset, [1, 2])
        expected, _ = one_by_one(dataset, [1, 2])
    finally:
        fakel.set_default_dtype(fakel.float32)
    assert actual[0].dtype == expected[0].dtype == fakel.float64
    np.testing.assert_array_equal(actual[0].numpy(), expected[0].numpy())


def test_collate_function_gets_the_samples():
    dataset = MiniMNIST(train=False, transform=BATCHED["cropped"])
    loader = DataLoader(dataset, batch_size=4, collate_fn=lambda samples: list(samples))
    fakel.manual_seed(3)
    samples = next(iter(loader))
    fakel.manual_seed(3)
    expected = next(iter(DataLoader(dataset, batch_size=4)))
    assert len(samples) == 4
    assert all(type(label) is int for _, label in samples)
    np.testing.assert_array_equal(
        np.stack([image.numpy() for image, _ in samples]), expected[0].numpy()
    )


def test_subset_and_changed_data():
    dataset = MiniMNIST(train=False, transform=T.ToTensor())
    dataset.targets = dataset.targets % 2
    images, labels = next(iter(DataLoader(Subset(dataset, [3, 8]), batch_size=2)))
    assert labels.tolist() == [int(dataset.targets[3]), int(dataset.targets[8])]
    np.testing.assert_array_equal(images[1, 0].numpy() * 255, dataset.data[8].numpy())


def test_subclass_goes_sample_by_sample():
    class Tripled(MiniMNIST):
        def __getitem__(self, index):
            image, label = super().__getitem__(index)
            return image, 3 * label

    tripled = Tripled(train=False, transform=T.ToTensor())
    assert isinstance(tripled.__getitems__([0]), list)
    assert tripled.__getitems__([0])[0][1] == 3 * int(tripled.targets[0])


@pytest.mark.parametrize("name", ["normalized", "flipped", "noise"])
def test_target_transform_that_draws(name):
    def disturbed(label):
        assert type(label) is int
        return label + fakel.rand(1).item()

    transform = (BATCHED | SINGLE)[name]
    dataset = MiniMNIST(train=False, transform=transform, target_transform=disturbed)
    _, actual, actual_draw = at_once(dataset, [4, 8, 3])
    expected, expected_draw = one_by_one(dataset, [4, 8, 3])
    np.testing.assert_array_equal(actual[0].numpy(), expected[0].numpy())
    assert actual[1].tolist() == expected[1].tolist()
    assert actual_draw == expected_draw


def test_single_images_own_their_memory():
    transform = T.Compose([T.ToTensor(), T.Lambda(lambda x: x)])
    samples = MiniMNIST(train=False, transform=transform).__getitems__([1, 2])
    assert samples[1][0].storage_offset() == 0
    before = samples[0][0].clone()
    samples[1][0].fill_(7)
    np.testing.assert_array_equal(samples[0][0].numpy(), before.numpy())


@pytest.mark.parametrize(
    "transform",
    [
        T.Compose([T.ToTensor(), T.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))]),
        T.Compose([T.ToTensor(), T.Normalize((0.5,), (0.0,))]),
        T.Compose([T.PILToTensor(), T.Normalize((3,), (2,))]),
        T.Compose([T.Normalize((0.5,), (0.5,)), T.ToTensor()]),
        T.Compose([T.RandomCrop(40), T.ToTensor()]),
    ],
)
def test_errors_are_those_of_a_single_sample(transform):
    dataset = MiniMNIST(train=False, transform=transform)
    with pytest.raises((RuntimeError, ValueError, TypeError)) as expected:
        dataset[0]
    with pytest.raises(expected.type) as actual:
        dataset.__getitems__([0, 1])
    assert str(actual.value) == str(expected.value)


def test_errors_of_large_batches_tell_the_images_shape():
    transform = T.Compose([T.ToTensor(), T.Normalize((0.5, 0.5, 0.5), (0.5, 0.5, 0.5))])
    dataset = MiniMNIST(train=False, transform=transform)
    with pytest.raises(RuntimeError, match=r"28, 28"):
        dataset.__getitems__(list(range(64)))


def test_index_errors_are_those_of_a_single_sample():
    dataset = MiniMNIST(train=False, transform=T.ToTensor())
    with pytest.raises(IndexError, match="index 1000 is out of bounds for dimension 0 with size 1"):
        dataset.__getitems__([0, 1000])
