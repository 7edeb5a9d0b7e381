"""Transforms do what torchvision's do: values, printed form, errors, random choices."""

from __future__ import annotations

import random
import warnings

import numpy as np
import pytest

import fakel
from fakel.vision import transforms as ours

Image = pytest.importorskip("PIL.Image")

CASES = {
    "to_tensor": lambda T: T.ToTensor(),
    "pil_to_tensor": lambda T: T.PILToTensor(),
    "to_pil": lambda T: T.ToPILImage(),
    "to_pil_hsv": lambda T: T.ToPILImage("HSV"),
    "normalize": lambda T: T.Normalize((0.5, 0.4, 0.3), (0.2, 0.3, 0.4)),
    "normalize_one": lambda T: T.Normalize([0.5], [0.2]),
    "normalize_zero": lambda T: T.Normalize([0.5], [0.0]),
    "resize_edge": lambda T: T.Resize(20),
    "resize": lambda T: T.Resize((50, 31)),
    "resize_max": lambda T: T.Resize(30, max_size=33),
    "resize_nearest": lambda T: T.Resize((50, 31), interpolation=T.InterpolationMode.NEAREST),
    "resize_exact": lambda T: T.Resize((50, 31), T.InterpolationMode.NEAREST_EXACT),
    "resize_bicubic": lambda T: T.Resize((50, 20), T.InterpolationMode.BICUBIC),
    "resize_code": lambda T: T.Resize((20, 80), interpolation=3, antialias=None),
    "resize_plain": lambda T: T.Resize((20, 80), antialias=None),
    "resize_lanczos": lambda T: T.Resize((20, 80), T.InterpolationMode.LANCZOS),
    "center": lambda T: T.CenterCrop(21),
    "center_larger": lambda T: T.CenterCrop((60, 30)),
    "center_odd": lambda T: T.CenterCrop((50, 52)),
    "pad": lambda T: T.Pad(3),
    "pad_two": lambda T: T.Pad((3, 5), fill=7),
    "pad_colour": lambda T: T.Pad(3, fill=(1, 2, 3)),
    "pad_reflect": lambda T: T.Pad((1, 2, 3, 4), padding_mode="reflect"),
    "pad_reflect_far": lambda T: T.Pad(60, padding_mode="reflect"),
    "pad_edge": lambda T: T.Pad((1, 2, 3, 4), padding_mode="edge"),
    "pad_symmetric": lambda T: T.Pad((1, 2, 3, 4), padding_mode="symmetric"),
    "pad_crop": lambda T: T.Pad((-1, 2, -3, 4), padding_mode="edge"),
    "crop": lambda T: T.RandomCrop(20),
    "crop_padded": lambda T: T.RandomCrop(32, padding=4),
    "crop_reflect": lambda T: T.RandomCrop(32, padding=4, padding_mode="reflect"),
    "crop_if_needed": lambda T: T.RandomCrop((60, 50), pad_if_needed=True, fill=3),
    "crop_too_large": lambda T: T.RandomCrop(100),
    "resized_crop": lambda T: T.RandomResizedCrop(24),
    "resized_crop_bicubic": lambda T: T.RandomResizedCrop((24, 30), (0.5, 1), (0.9, 1.1), 3),
    "resized_crop_misses": lambda T: T.RandomResizedCrop((24, 30), scale=(5, 6.0)),
    "hflip": lambda T: T.RandomHorizontalFlip(),
    "vflip": lambda T: T.RandomVerticalFlip(0.3),
    "rotation": lambda T: T.RandomRotation(30),
    "rotation_expand": lambda T: T.RandomRotation(
        (10, 90), interpolation=T.InterpolationMode.BILINEAR, expand=True, fill=1
    ),
    "rotation_right_angle": lambda T: T.RandomRotation((90, 90), expand=True),
    "rotation_center": lambda T: T.RandomRotation((90, 90), center=(3, 4), fill=1),
    "rotation_colour": lambda T: T.RandomRotation((20, 90), fill=(1, 2, 3)),
    "affine": lambda T: T.RandomAffine(20, translate=(0.1, 0.2), scale=(0.7, 1.3), shear=10),
    "affine_bilinear": lambda T: T.RandomAffine(
        (10, 20), shear=(1, 10, 5, 20), interpolation=2, fill=1, center=(5, 6)
    ),
    "perspective": lambda T: T.RandomPerspective(p=0.9),
    "perspective_nearest": lambda T: T.RandomPerspective(0.3, p=1, interpolation=0, fill=50),
    "jitter": lambda T: T.ColorJitter(0.5, 0.5, 0.5, 0.3),
    "brightness": lambda T: T.ColorJitter(brightness=(0.5, 2)),
    "contrast": lambda T: T.ColorJitter(contrast=0.9),
    "saturation": lambda T: T.ColorJitter(saturation=2.0),
    "hue": lambda T: T.ColorJitter(hue=0.5),
    "grayscale": lambda T: T.Grayscale(),
    "grayscale_three": lambda T: T.Grayscale(3),
    "random_grayscale": lambda T: T.RandomGrayscale(0.5),
    "apply": lambda T: T.RandomApply([T.RandomHorizontalFlip(), T.CenterCrop(20)], p=0.6),
    "choice": lambda T: T.RandomChoice([T.CenterCrop(10), T.CenterCrop(20), T.RandomCrop(5)]),
    "choice_weights": lambda T: T.RandomChoice([T.CenterCrop(9), T.CenterCrop(20)], p=[0.2, 0.8]),
    "order": lambda T: T.RandomOrder([T.RandomCrop(20), T.CenterCrop(22)]),
    "compose": lambda T: T.Compose([T.RandomCrop(20), T.RandomHorizontalFlip(), T.CenterCrop(9)]),
    "lambda": lambda T: T.Lambda(lambda image: image),
    "erasing": lambda T: T.RandomErasing(),
    "erasing_noise": lambda T: T.RandomErasing(0.9, value="random"),
    "erasing_colour": lambda T: T.RandomErasing(0.9, value=(0.1, 0.2, 0.3)),
    "five": lambda T: T.FiveCrop(20),
    "five_too_large": lambda T: T.FiveCrop(200),
    "ten": lambda T: T.TenCrop((20, 10), vertical_flip=True),
    "blur": lambda T: T.GaussianBlur(5),
    "blur_two": lambda T: T.GaussianBlur((3, 7), sigma=(0.5, 1.0)),
    "invert": lambda T: T.RandomInvert(),
    "posterize": lambda T: T.RandomPosterize(3, p=1.0),
    "solarize": lambda T: T.RandomSolarize(0.5),
    "sharpness": lambda T: T.RandomAdjustSharpness(2.0, p=1.0),
    "autocontrast": lambda T: T.RandomAutocontrast(1.0),
    "equalize": lambda T: T.RandomEqualize(1.0),
}


def images():
    """A colour and a grey picture, as a PIL image, bytes, floating numbers, and a batch."""
    noise = np.random.default_rng(0).integers(0, 256, (37, 45, 3), dtype=np.uint8)
    picture = Image.fromarray(noise).resize((90, 74)).crop((3, 3, 48, 40))
    grey = picture.convert("L")
    pixels = np.asarray(picture).transpose(2, 0, 1)
    return {
        "colour": picture,
        "grey": grey,
        "bytes": pixels,
        "floats": pixels.astype(np.float32) / np.float32(255),
        "grey floats": np.asarray(grey)[None].astype(np.float32) / np.float32(255),
        "batch": np.stack([pixels, pixels[:, :, ::-1]]),
    }


def outcome(framework, transform, image, seed):
    """What comes out, or the error, and the next random numbers."""
    framework.manual_seed(seed)
    random.seed(seed)
    if isinstance(image, np.ndarray):
        image = framework.from_numpy(np.array(image))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            result = plain(transform(image))
        except (ValueError, TypeError, RuntimeError, AttributeError) as error:
            text = str(error).replace("fakel.tensor.tensor.Tensor", "torch.Tensor")
            result = (type(error), text)
    return result, framework.rand(1).item(), random.random()


def plain(result):
    """Arrays, with the type or mode before them."""
    if isinstance(result, tuple):
        return [plain(part) for part in result]
    if isinstance(result, Image.Image):
        return (result.mode, np.asarray(result))
    return (str(result.dtype), result.numpy())


def assert_same(actual, expected):
    if isinstance(expected, list):
        assert len(actual) == len(expected)
        for pair in zip(actual, expected):
            assert_same(*pair)
    elif isinstance(expected[1], str):
        assert actual == expected
    else:
        assert actual[0] == expected[0]
        assert actual[1].shape == expected[1].shape
        if actual[0] == "torch.float32":
            np.testing.assert_allclose(actual[1], expected[1], rtol=1e-5, atol=1e-5)
        elif actual[0].startswith("torch."):
            # A byte halfway between two values may round to the other one.
            difference = np.abs(actual[1].astype(int) - expected[1].astype(int))
            assert difference.max() <= 1
            assert np.mean(difference > 0) < 0.01
        else:
            np.testing.assert_array_equal(actual[1], expected[1])


@pytest.mark.parametrize("name", CASES)
def test_same_as_torchvision(name, torch, torchvision):
    theirs = CASES[name](torchvision.transforms)
    mine = CASES[name](ours)
    assert repr(mine) == repr(theirs)
    for image in images().values():
        for seed in range(2):
            expected, *expected_draws = outcome(torch, theirs, image, seed)
            actual, *actual_draws = outcome(fakel, mine, image, seed)
            assert_same(actual, expected)
            assert actual_draws == expected_draws


@pytest.mark.parametrize("source", ["uint8", "int16", "int32", "float32", "float64"])
@pytest.mark.parametrize("target", ["uint8", "int16", "int32", "int64", "float32", "float64"])
def test_convert_image_dtype(source, target, torch, torchvision):
    values = np.array([[0, 0.3, 1]]) if source.startswith("f") else np.array([[0, 77, 127]])
    values = values.astype(source)[None]
    theirs = torchvision.transforms.ConvertImageDtype(getattr(torch, target))
    mine = ours.ConvertImageDtype(getattr(fakel, target))
    assert_same(outcome(fakel, mine, values, 0)[0], outcome(torch, theirs, values, 0)[0])


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "I", "F", "I;16"])
def test_modes_of_images(mode, torchvision):
    picture = images()["colour"].convert("L").convert(mode)
    theirs, mine = torchvision.transforms.functional, ours.functional
    assert_same(plain(mine.to_tensor(picture)), plain(theirs.to_tensor(picture)))
    assert_same(plain(mine.pil_to_tensor(picture)), plain(theirs.pil_to_tensor(picture)))


def test_gradient_goes_through_resize_and_rotate():
    image = fakel.rand(1, 3, 8, 9, dtype=fakel.float64).requires_grad_()

    def function(image):
        small = ours.functional.resize(image, [5, 6])
        return ours.functional.rotate(small, 20.0, ours.InterpolationMode.BILINEAR)

    fakel.manual_seed(0)
    direction = fakel.rand_like(image)
    (function(image) ** 2).sum().backward()
    step = 1e-4
    with fakel.no_grad():
        ahead = (function(image + step * direction) ** 2).sum()
        behind = (function(image - step * direction) ** 2).sum()
    slope = ((ahead - behind) / (2 * step)).item()
    assert (image.grad * direction).sum().item() == pytest.approx(slope, rel=1e-4)


@pytest.mark.parametrize(
    "make",
    [
        lambda T: T.Resize("large"),
        lambda T: T.Resize((1, 2, 3)),
        lambda T: T.Pad("1"),
        lambda T: T.Pad((1, 2, 3)),
        lambda T: T.Pad(1, padding_mode="mirror"),
        lambda T: T.Lambda(3),
        lambda T: T.RandomRotation(-1),
        lambda T: T.RandomRotation((1, 2, 3)),
        lambda T: T.RandomAffine(1, translate=(2, 0)),
        lambda T: T.RandomAffine(1, scale=(0, 1)),
        lambda T: T.ColorJitter(brightness=-1),
        lambda T: T.ColorJitter(hue=0.6),
        lambda T: T.ColorJitter(contrast="much"),
        lambda T: T.RandomErasing(p=2),
        lambda T: T.RandomErasing(value="black"),
        lambda T: T.GaussianBlur(4),
        lambda T: T.GaussianBlur(3, sigma=0),
        lambda T: T.RandomChoice(3),
        lambda T: T.CenterCrop((1, 2, 3)),
    ],
)
def test_wrong_arguments(make, torchvision):
    with pytest.raises((ValueError, TypeError)) as expected:
        make(torchvision.transforms)
    with pytest.raises(expected.type) as actual:
        make(ours)
    assert str(actual.value) == str(expected.value)


def test_without_pillow(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "PIL", None)
    monkeypatch.setitem(__import__("sys").modules, "PIL.Image", None)
    with pytest.raises(ModuleNotFoundError, match=r"pip install 'fakel\[vision\]'"):
        ours.functional.to_pil_image(fakel.rand(1, 2, 2))
