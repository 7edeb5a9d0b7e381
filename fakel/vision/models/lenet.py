"""LeNet-5 (LeCun, Bottou, Bengio, Haffner 1998)."""

from __future__ import annotations

from fakel import nn
from fakel.tensor import Tensor
from fakel.vision.models.registry import model_builder


class LeNet(nn.Module):
    """LeNet-5 with average pooling and tanh, for grey images of 28 x 28. torchvision has no LeNet.

    Args:
        num_classes: how many outputs.

    Shape: (n, 1, 28, 28) to (n, num_classes).
    """

    def __init__(self, num_classes: int = 10):
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, kernel_size=5, padding=2),
            nn.Tanh(),
            nn.AvgPool2d(kernel_size=2),
            nn.Conv2d(6, 16, kernel_size=5),
            nn.Tanh(),
            nn.AvgPool2d(kernel_size=2),
            nn.Conv2d(16, 120, kernel_size=5),
            nn.Tanh(),
        )
        self.classifier = nn.Sequential(nn.Linear(120, 84), nn.Tanh(), nn.Linear(84, num_classes))

    def forward(self, x: Tensor) -> Tensor:
        return self.classifier(self.features(x).flatten(1))


@model_builder
def lenet(**kwargs) -> LeNet:
    """LeNet-5."""
    return LeNet(**kwargs)
