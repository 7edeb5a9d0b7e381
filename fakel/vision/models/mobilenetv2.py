"""MobileNetV2 (Sandler et al. 2018, arXiv 1801.04381)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from fakel import nn
from fakel.nn import functional as F
from fakel.tensor import Tensor
from fakel.vision.models.registry import model_builder

# (expansion, channels, blocks, stride of the first block) of each stage.
_STAGES = [
    [1, 16, 1, 1],
    [6, 24, 2, 2],
    [6, 32, 3, 2],
    [6, 64, 4, 2],
    [6, 96, 3, 1],
    [6, 160, 3, 2],
    [6, 320, 1, 1],
]


class Conv2dNormActivation(nn.Sequential):
    """A convolution that keeps the size (divided by `stride`), a normalisation and ReLU6.

    Args:
        in_channels, out_channels, kernel_size, stride, groups: of the convolution.
        norm_layer: the normalisation.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int = 3,
        stride: int = 1,
        groups: int = 1,
        norm_layer: Callable[[int], nn.Module] = nn.BatchNorm2d,
    ):
        padding = (kernel_size - 1) // 2
        convolution = nn.Conv2d(
            in_channels, out_channels, kernel_size, stride, padding, groups=groups, bias=False
        )
        super().__init__(convolution, norm_layer(out_channels), nn.ReLU6(inplace=True))
        self.out_channels = out_channels


class InvertedResidual(nn.Module):
    """Widen, filter each channel by itself, narrow; with a shortcut where the shape stays.

    Args:
        inp, oup: the channels that come in and go out.
        stride: 1 or 2.
        expand_ratio: how much wider it is inside.
        norm_layer: the normalisation, by default `BatchNorm2d`.
    """

    def __init__(
        self,
        inp: int,
        oup: int,
        stride: int,
        expand_ratio: int,
        norm_layer: Callable[[int], nn.Module] | None = None,
    ):
        super().__init__()
        if stride not in (1, 2):
            raise ValueError(f"stride should be 1 or 2 instead of {stride}")
        norm_layer = norm_layer or nn.BatchNorm2d
        hidden = round(inp * expand_ratio)
        self.stride = stride
        self.use_res_connect = stride == 1 and inp == oup
        layers: list[nn.Module] = []
        if expand_ratio != 1:
            layers.append(Conv2dNormActivation(inp, hidden, 1, norm_layer=norm_layer))
        layers.append(
            Conv2dNormActivation(
                hidden, hidden, stride=stride, groups=hidden, norm_layer=norm_layer
            )
        )
        layers += [nn.Conv2d(hidden, oup, 1, 1, 0, bias=False), norm_layer(oup)]
        self.conv = nn.Sequential(*layers)
        self.out_channels = oup

    def forward(self, x: Tensor) -> Tensor:
        return x + self.conv(x) if self.use_res_connect else self.conv(x)


class MobileNetV2(nn.Module):
    """MobileNetV2.

    Args:
        num_classes: how many outputs.
        width_mult: a factor for all widths.
        inverted_residual_setting: [expansion, channels, blocks, stride] of each stage.
        round_nearest: widths are rounded to multiples of it.
        block: the block, by default `InvertedResidual`.
        norm_layer: the normalisation, by default `BatchNorm2d`.
        dropout: the probability before the classifier.

    Shape: (n, 3, height, width) to (n, num_classes).
    """

    def __init__(
        self,
        num_classes: int = 1000,
        width_mult: float = 1.0,
        inverted_residual_setting: Sequence[Sequence[int]] | None = None,
        round_nearest: int = 8,
        block: Callable[..., nn.Module] | None = None,
        norm_layer: Callable[..., nn.Module] | None = None,
        dropout: float = 0.2,
    ):
        super().__init__()
        block = block or InvertedResidual
        norm_layer = norm_layer or nn.BatchNorm2d
        stages = _STAGES if inverted_residual_setting is None else inverted_residual_setting
        if len(stages) == 0 or len(stages[0]) != 4:
            raise ValueError(
                "inverted_residual_setting should be non-empty or a 4-element list, "
                f"got {inverted_residual_setting}"
            )
        channels = _multiple(32 * width_mult, round_nearest)
        self.last_channel = _multiple(1280 * max(1.0, width_mult), round_nearest)
        layers: list[nn.Module] = [
            Conv2dNormActivation(3, channels, stride=2, norm_layer=norm_layer)
        ]
        for expansion, width, blocks, first_stride in stages:
            out_channels = _multiple(width * width_mult, round_nearest)
            for index in range(blocks):
                stride = first_stride if index == 0 else 1
                layers.append(
                    block(
                        channels,
                        out_channels,
                        stride,
                        expand_ratio=expansion,
                        norm_layer=norm_layer,
                    )
                )
                channels = out_channels
        layers.append(Conv2dNormActivation(channels, self.last_channel, 1, norm_layer=norm_layer))
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), nn.Linear(self.last_channel, num_classes)
        )
        self._initialize()

    def _initialize(self) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out")
            elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
                nn.init.ones_(module.weight)
            elif isinstance(module, nn.Linear):
                nn.init.normal_(module.weight, 0, 0.01)
            else:
                continue
            if module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, x: Tensor) -> Tensor:
        x = F.adaptive_avg_pool2d(self.features(x), (1, 1))
        return self.classifier(x.flatten(1))


def _multiple(width: float, divisor: int) -> int:
    """The nearest multiple of `divisor`, at least one and not more than a tenth below `width`."""
    rounded = max(divisor, int(width + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * width else rounded


@model_builder
def mobilenet_v2(**kwargs) -> MobileNetV2:
    """MobileNetV2."""
    return MobileNetV2(**kwargs)
