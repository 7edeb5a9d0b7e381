"""torchvision.models: networks for images, with torchvision's names of parameters."""

from fakel.vision.models.alexnet import AlexNet, alexnet
from fakel.vision.models.densenet import (
    DenseNet,
    densenet121,
    densenet161,
    densenet169,
    densenet201,
)
from fakel.vision.models.googlenet import GoogLeNet, GoogLeNetOutputs, googlenet
from fakel.vision.models.lenet import LeNet, lenet
from fakel.vision.models.mobilenetv2 import MobileNetV2, mobilenet_v2
from fakel.vision.models.registry import get_model, get_model_builder, list_models
from fakel.vision.models.resnet import (
    ResNet,
    resnet18,
    resnet34,
    resnet50,
    resnet101,
    resnet152,
    resnext50_32x4d,
    resnext101_32x8d,
    resnext101_64x4d,
    wide_resnet50_2,
    wide_resnet101_2,
)
from fakel.vision.models.squeezenet import SqueezeNet, squeezenet1_0, squeezenet1_1
from fakel.vision.models.vgg import (
    VGG,
    vgg11,
    vgg11_bn,
    vgg13,
    vgg13_bn,
    vgg16,
    vgg16_bn,
    vgg19,
    vgg19_bn,
)

__all__ = [
    "AlexNet",
    "DenseNet",
    "GoogLeNet",
    "GoogLeNetOutputs",
    "LeNet",
    "MobileNetV2",
    "ResNet",
    "SqueezeNet",
    "VGG",
    "alexnet",
    "densenet121",
    "densenet161",
    "densenet169",
    "densenet201",
    "get_model",
    "get_model_builder",
    "googlenet",
    "lenet",
    "list_models",
    "mobilenet_v2",
    "resnet101",
    "resnet152",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "resnext50_32x4d",
    "squeezenet1_0",
    "squeezenet1_1",
    "vgg11",
    "vgg11_bn",
    "vgg13",
    "vgg13_bn",
    "vgg16",
    "vgg16_bn",
    "vgg19",
    "vgg19_bn",
    "wide_resnet101_2",
    "wide_resnet50_2",
]
