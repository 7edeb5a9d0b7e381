"""ResNet (arXiv 1512.03385), ResNeXt (arXiv 1611.05431), wide ResNet (arXiv 1605.07146)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from fakel import nn
from fakel.tensor import Tensor
from fakel.vision.models.registry import model_builder

NormLayer = Callable[[int], nn.Module]


def conv3x3(
    in_planes: int, out_planes: int, stride: int = 1, groups: int = 1, dilation: int = 1
) -> nn.Conv2d:
    """A convolution of 3 x 3 that keeps the size (divided by `stride`), without bias."""
    return nn.Conv2d(
        in_planes,
        out_planes,
        kernel_size=3,
        stride=stride,
        padding=dilation,
        groups=groups,
        bias=False,
        dilation=dilation,
    )


def conv1x1(in_planes: int, out_planes: int, stride: int = 1) -> nn.Conv2d:
    """A convolution of 1 x 1 without bias."""
    return nn.Conv2d(in_planes, out_planes, kernel_size=1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """Two convolutions of 3 x 3 and a shortcut, in ResNet-18 and -34.

    Args:
        inplanes: the channels that come in.
        planes: the channels that go out.
        stride: of the first convolution.
        downsample: what makes the shortcut fit; None where it fits as it is.
        groups, base_width, dilation: only 1, 64 and 1.
        norm_layer: the normalisation, by default `BatchNorm2d`.
    """

    expansion = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: NormLayer | None = None,
    ):
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        if groups != 1 or base_width != 64:
            raise ValueError("BasicBlock only supports groups=1 and base_width=64")
        if dilation > 1:
            raise NotImplementedError("Dilation > 1 not supported in BasicBlock")
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += shortcut
        return self.relu(out)


class Bottleneck(nn.Module):
    """Convolutions of 1 x 1, 3 x 3 and 1 x 1 and a shortcut, in ResNet-50 and deeper.

    Args:
        inplanes: the channels that come in.
        planes: a quarter of the channels that go out.
        stride: of the convolution of 3 x 3.
        downsample: what makes the shortcut fit; None where it fits as it is.
        groups, base_width: of the convolution of 3 x 3, as in ResNeXt and wide ResNet.
        dilation: of the convolution of 3 x 3.
        norm_layer: the normalisation, by default `BatchNorm2d`.
    """

    expansion = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: NormLayer | None = None,
    ):
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm_layer(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm_layer(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm_layer(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        shortcut = x if self.downsample is None else self.downsample(x)
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += shortcut
        return self.relu(out)


class ResNet(nn.Module):
    """ResNet.

    Args:
        block: `BasicBlock` or `Bottleneck`.
        layers: how many blocks in each of the four stages.
        num_classes: how many outputs.
        zero_init_residual: begin with blocks that only pass their input on (arXiv 1706.02677).
        groups, width_per_group: of the convolutions of 3 x 3 in `Bottleneck`.
        replace_stride_with_dilation: dilate instead of shrinking, for each of the last three
            stages.
        norm_layer: the normalisation, by default `BatchNorm2d`.

    Shape: (n, 3, height, width) to (n, num_classes).
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: Sequence[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: Sequence[bool] | None = None,
        norm_layer: NormLayer | None = None,
    ):
        super().__init__()
        self._norm_layer = norm_layer or nn.BatchNorm2d
        self.inplanes = 64
        self.dilation = 1
        dilate = replace_stride_with_dilation or [False, False, False]
        if len(dilate) != 3:
            raise ValueError(
                "replace_stride_with_dilation should be None or a 3-element tuple, "
                f"got {replace_stride_with_dilation}"
            )
        self.groups = groups
        self.base_width = width_per_group
        self.conv1 = nn.Conv2d(3, self.inplanes, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], 2, dilate[0])
        self.layer3 = self._make_layer(block, 256, layers[2], 2, dilate[1])
        self.layer4 = self._make_layer(block, 512, layers[3], 2, dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        self._initialize(zero_init_residual)

    def _make_layer(
        self,
        block: type[BasicBlock | Bottleneck],
        planes: int,
        blocks: int,
        stride: int = 1,
        dilate: bool = False,
    ) -> nn.Sequential:
        first_dilation = self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        outplanes = planes * block.expansion
        downsample = None
        if stride != 1 or self.inplanes != outplanes:
            downsample = nn.Sequential(
                conv1x1(self.inplanes, outplanes, stride), self._norm_layer(outplanes)
            )
        shape = (self.groups, self.base_width)
        stage = [
            block(
                self.inplanes, planes, stride, downsample, *shape, first_dilation, self._norm_layer
            )
        ]
        self.inplanes = outplanes
        for _ in range(1, blocks):
            stage.append(block(outplanes, planes, 1, None, *shape, self.dilation, self._norm_layer))
        return nn.Sequential(*stage)

    def _initialize(self, zero_init_residual: bool) -> None:
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(module, nn.BatchNorm2d | nn.GroupNorm):
                nn.init.constant_(module.weight, 1)
                nn.init.constant_(module.bias, 0)
        if not zero_init_residual:
            return
        for module in self.modules():
            if isinstance(module, BasicBlock | Bottleneck):
                last = module.bn3 if isinstance(module, Bottleneck) else module.bn2
                if last.weight is not None:
                    nn.init.constant_(last.weight, 0)

    def forward(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))


def _with_defaults(kwargs: dict[str, Any], **fixed: int) -> dict[str, Any]:
    """`kwargs` with the values that make the model what it is; others are refused."""
    for name, value in fixed.items():
        if kwargs.setdefault(name, value) != value:
            raise ValueError(
                f"The parameter '{name}' expected value {value} but got {kwargs[name]} instead."
            )
    return kwargs


@model_builder
def resnet18(**kwargs) -> ResNet:
    """ResNet-18."""
    return ResNet(BasicBlock, [2, 2, 2, 2], **kwargs)


@model_builder
def resnet34(**kwargs) -> ResNet:
    """ResNet-34."""
    return ResNet(BasicBlock, [3, 4, 6, 3], **kwargs)


@model_builder
def resnet50(**kwargs) -> ResNet:
    """ResNet-50, with the stride in the convolution of 3 x 3 (ResNet v1.5)."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **kwargs)


@model_builder
def resnet101(**kwargs) -> ResNet:
    """ResNet-101, with the stride in the convolution of 3 x 3 (ResNet v1.5)."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **kwargs)


@model_builder
def resnet152(**kwargs) -> ResNet:
    """ResNet-152, with the stride in the convolution of 3 x 3 (ResNet v1.5)."""
    return ResNet(Bottleneck, [3, 8, 36, 3], **kwargs)


@model_builder
def resnext50_32x4d(**kwargs) -> ResNet:
    """ResNeXt-50 with 32 groups of width 4."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **_with_defaults(kwargs, groups=32, width_per_group=4))


@model_builder
def resnext101_32x8d(**kwargs) -> ResNet:
    """ResNeXt-101 with 32 groups of width 8."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **_with_defaults(kwargs, groups=32, width_per_group=8))


@model_builder
def resnext101_64x4d(**kwargs) -> ResNet:
    """ResNeXt-101 with 64 groups of width 4."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **_with_defaults(kwargs, groups=64, width_per_group=4))


@model_builder
def wide_resnet50_2(**kwargs) -> ResNet:
    """ResNet-50 with twice as wide convolutions of 3 x 3."""
    return ResNet(Bottleneck, [3, 4, 6, 3], **_with_defaults(kwargs, width_per_group=128))


@model_builder
def wide_resnet101_2(**kwargs) -> ResNet:
    """ResNet-101 with twice as wide convolutions of 3 x 3."""
    return ResNet(Bottleneck, [3, 4, 23, 3], **_with_defaults(kwargs, width_per_group=128))
