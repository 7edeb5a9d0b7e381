"""Gradients of convolutions as functions of their own, as in torch.nn.grad."""

from __future__ import annotations

from fakel.ops.convolution import convolution_input_gradient, convolution_weight_gradient

__all__ = [
    "conv1d_input",
    "conv1d_weight",
    "conv2d_input",
    "conv2d_weight",
    "conv3d_input",
    "conv3d_weight",
]


def conv1d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv1d with respect to its input, whose size is given."""
    return convolution_input_gradient(
        1, input_size, weight, grad_output, stride, padding, dilation, groups
    )


def conv1d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv1d with respect to its weight, whose size is given."""
    return convolution_weight_gradient(
        1, input, weight_size, grad_output, stride, padding, dilation, groups
    )


def conv2d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv2d with respect to its input, whose size is given."""
    return convolution_input_gradient(
        2, input_size, weight, grad_output, stride, padding, dilation, groups
    )


def conv2d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv2d with respect to its weight, whose size is given."""
    return convolution_weight_gradient(
        2, input, weight_size, grad_output, stride, padding, dilation, groups
    )


def conv3d_input(input_size, weight, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv3d with respect to its input, whose size is given."""
    return convolution_input_gradient(
        3, input_size, weight, grad_output, stride, padding, dilation, groups
    )


def conv3d_weight(input, weight_size, grad_output, stride=1, padding=0, dilation=1, groups=1):
    """The gradient of conv3d with respect to its weight, whose size is given."""
    return convolution_weight_gradient(
        3, input, weight_size, grad_output, stride, padding, dilation, groups
    )
