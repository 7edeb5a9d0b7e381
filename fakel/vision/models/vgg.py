"""VGG (Simonyan, Zisserman 2014, arXiv 1409.1556), with and without batch normalisation."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fakel import nn
from fakel.tensor import Tensor
from fakel.vision.models.registry import model_builder

# How many convolutions of 64, 128, 256, 512 and 512 channels stand before each pooling.
_DEPTHS = {11: (1, 1, 2, 2, 2), 13: (2, 2, 2, 2, 2), 16: (2, 2, 3, 3, 3), 19: (2, 2, 4, 4, 4)}
_WIDTHS = (64, 128, 256, 512, 512)


class VGG(nn.Module):
    """VGG.

    Args:
        features: the convolutions, ending in 512 channels.
        num_classes: how many outputs.
        init_weights: draw the weights as He et al. do, not with the layers' defaults.
        dropout: the probability in the classifier.

    Shape: (n, 3, height, width), at least 32 x 32, to (n, num_classes).
    """

    def __init__(
        self,
        features: nn.Module,
        num_classes: int = 1000,
        init_weights: bool = True,
        dropout: float = 0.5,
    ):
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            self.apply_initialization()

    def apply_initialization(self) -> None:
        """Draw all weights anew."""
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
            if getattr(module, "bias", None) is not None:
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(x)).flatten(1))


def make_layers(cfg: Sequence[int | str], batch_norm: bool = False) -> nn.Sequential:
    """Convolutions of 3 x 3 with the widths in `cfg`, and a pooling for each "M"."""
    layers: list[nn.Module] = []
    channels = 3
    for width in cfg:
        if width == "M":
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        layers.append(nn.Conv2d(channels, width, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(width))
        layers.append(nn.ReLU(inplace=True))
        channels = width
    return nn.Sequential(*layers)


def _vgg(depth: int, batch_norm: bool, kwargs: dict[str, Any]) -> VGG:
    widths: list[int | str] = []
    for width, count in zip(_WIDTHS, _DEPTHS[depth]):
        widths += [width] * count + ["M"]
    return VGG(make_layers(widths, batch_norm), **kwargs)


@model_builder
def vgg11(**kwargs) -> VGG:
    """VGG with 11 layers."""
    return _vgg(11, False, kwargs)


@model_builder
def vgg11_bn(**kwargs) -> VGG:
    """VGG with 11 layers and batch normalisation."""
    return _vgg(11, True, kwargs)


@model_builder
def vgg13(**kwargs) -> VGG:
    """VGG with 13 layers."""
    return _vgg(13, False, kwargs)


@model_builder
def vgg13_bn(**kwargs) -> VGG:
    """VGG with 13 layers and batch normalisation."""
    return _vgg(13, True, kwargs)


@model_builder
def vgg16(**kwargs) -> VGG:
    """VGG with 16 layers."""
    return _vgg(16, False, kwargs)


@model_builder
def vgg16_bn(**kwargs) -> VGG:
    """VGG with 16 layers and batch normalisation."""
    return _vgg(16, True, kwargs)


@model_builder
def vgg19(**kwargs) -> VGG:
    """VGG with 19 layers."""
    return _vgg(19, False, kwargs)


@model_builder
def vgg19_bn(**kwargs) -> VGG:
    """VGG with 19 layers and batch normalisation."""
    return _vgg(19, True, kwargs)
