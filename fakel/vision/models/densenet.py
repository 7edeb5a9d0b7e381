"""DenseNet (Huang et al. 2016, arXiv 1608.06993)."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence

from fakel import nn, ops
from fakel.nn import functional as F
from fakel.tensor import Tensor
from fakel.vision.models.registry import model_builder


class _DenseLayer(nn.Module):
    """New features (growth_rate channels) from all features before."""

    def __init__(self, channels: int, growth_rate: int, bn_size: int, drop_rate: float):
        super().__init__()
        hidden = bn_size * growth_rate
        self.norm1 = nn.BatchNorm2d(channels)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(channels, hidden, kernel_size=1, stride=1, bias=False)
        self.norm2 = nn.BatchNorm2d(hidden)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(hidden, growth_rate, kernel_size=3, stride=1, padding=1, bias=False)
        self.drop_rate = float(drop_rate)

    def forward(self, features: Tensor | list[Tensor]) -> Tensor:
        x = features if isinstance(features, Tensor) else ops.cat(features, 1)
        x = self.conv1(self.relu1(self.norm1(x)))
        x = self.conv2(self.relu2(self.norm2(x)))
        if self.drop_rate > 0:
            x = F.dropout(x, p=self.drop_rate, training=self.training)
        return x


class _DenseBlock(nn.ModuleDict):
    """Layers that each see the features of all layers before."""

    def __init__(
        self, layers: int, channels: int, bn_size: int, growth_rate: int, drop_rate: float
    ):
        super().__init__()
        for index in range(layers):
            layer = _DenseLayer(channels + index * growth_rate, growth_rate, bn_size, drop_rate)
            self.add_module(f"denselayer{index + 1}", layer)

    def forward(self, x: Tensor) -> Tensor:
        features = [x]
        for layer in self.values():
            features.append(layer(features))
        return ops.cat(features, 1)


class _Transition(nn.Sequential):
    """Fewer channels and half the size."""

    def __init__(self, in_channels: int, out_channels: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(in_channels)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(in_channels, out_channels, kernel_size=1, stride=1, bias=False)
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    """DenseNet.

    Args:
        growth_rate: the channels that each layer adds.
        block_config: how many layers in each of the four blocks.
        num_init_features: the channels of the first convolution.
        bn_size: the width inside a layer in multiples of `growth_rate`.
        drop_rate: the probability of dropout after each layer.
        num_classes: how many outputs.
        memory_efficient: recomputing layers in backward to save memory is not supported.

    Shape: (n, 3, height, width), at least 29 x 29, to (n, num_classes).
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: Sequence[int] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ):
        super().__init__()
        if memory_efficient:
            raise NotImplementedError("DenseNet does not support memory_efficient=True in fakel")
        first = nn.Conv2d(3, num_init_features, kernel_size=7, stride=2, padding=3, bias=False)
        self.features = nn.Sequential(
            OrderedDict(
                conv0=first,
                norm0=nn.BatchNorm2d(num_init_features),
                relu0=nn.ReLU(inplace=True),
                pool0=nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
            )
        )
        channels = num_init_features
        for index, layers in enumerate(block_config, start=1):
            block = _DenseBlock(layers, channels, bn_size, growth_rate, drop_rate)
            self.features.add_module(f"denseblock{index}", block)
            channels += layers * growth_rate
            if index < len(block_config):
                transition = _Transition(channels, channels // 2)
                self.features.add_module(f"transition{index}", transition)
                channels //= 2
        self.features.add_module("norm5", nn.BatchNorm2d(channels))
        self.classifier = nn.Linear(channels, num_classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight)
            elif isinstance(module, nn.BatchNorm2d):
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)
            elif isinstance(module, nn.Linear):
                nn.init.constant_(module.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.features(x), inplace=True)
        return self.classifier(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


@model_builder
def densenet121(**kwargs) -> DenseNet:
    """DenseNet-121."""
    return DenseNet(32, (6, 12, 24, 16), 64, **kwargs)


@model_builder
def densenet161(**kwargs) -> DenseNet:
    """DenseNet-161."""
    return DenseNet(48, (6, 12, 36, 24), 96, **kwargs)


@model_builder
def densenet169(**kwargs) -> DenseNet:
    """DenseNet-169."""
    return DenseNet(32, (6, 12, 32, 32), 64, **kwargs)


@model_builder
def densenet201(**kwargs) -> DenseNet:
    """DenseNet-201."""
    return DenseNet(32, (6, 12, 48, 32), 64, **kwargs)
