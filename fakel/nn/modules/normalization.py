"""Normalisation over features or groups of channels, and local response normalisation."""

import numbers

from fakel import ops
from fakel.nn import functional as F
from fakel.nn import init
from fakel.nn.modules.module import Module
from fakel.nn.parameter import Parameter

__all__ = ["CrossMapLRN2d", "GroupNorm", "LayerNorm", "LocalResponseNorm", "RMSNorm"]


class LocalResponseNorm(Module):
    """y = x / (k + alpha/size Σ x²)^beta, the sum over ``size`` neighbouring channels.

    Krizhevsky et al. 2012.

    Args:
        size: the number of channels in a sum.
        alpha: weight of the sum.
        beta: the exponent.
        k: added to the sum.
    """

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1.0):
        super().__init__()
        self.size = size
        self.alpha = alpha
        self.beta = beta
        self.k = k

    def forward(self, input):
        return F.local_response_norm(input, self.size, self.alpha, self.beta, self.k)

    def extra_repr(self):
        return f"{self.size}, alpha={self.alpha}, beta={self.beta}, k={self.k}"


class CrossMapLRN2d(LocalResponseNorm):
    """The older form of :class:`LocalResponseNorm`, for (N, C, H, W), with another window.

    The window reaches (size - 1) // 2 channels to both sides, and never leaves channel 0 out.
    """

    def __init__(self, size, alpha=1e-4, beta=0.75, k=1):
        super().__init__(size, alpha, beta, k)

    def forward(self, input):
        if input.dim() != 4:
            raise ValueError(f"CrossMapLRN2d: Expected input to be 4D, got {input.dim()}D instead.")
        squared = input * input
        channels = input.shape[1]
        reach = (self.size - 1) // 2
        padded = F.pad(squared, (0, 0, 0, 0, reach, reach))
        total = sum(padded[:, start : start + channels] for start in range(2 * reach + 1))
        if channels > reach + 1:
            # PyTorch's running sum starts to drop channels one step late and so keeps the first.
            first = squared[:, :1].expand(-1, channels - reach - 1, -1, -1)
            total = total + F.pad(first, (0, 0, 0, 0, reach + 1, 0))
        return input * (self.k + self.alpha / self.size * total) ** -self.beta


def _shape_tuple(normalized_shape):
    if isinstance(normalized_shape, numbers.Integral):
        return (normalized_shape,)
    return tuple(normalized_shape)


class LayerNorm(Module):
    """y = (x - E[x]) / √(Var[x] + eps) · weight + bias over the last dimensions.

    Ba, Kiros and Hinton 2016, arXiv:1607.06450.

    Args:
        normalized_shape: the shape of the last dimensions, or the length of the last one.
        eps: added to the variance.
        elementwise_affine: whether there are a learned scale and shift.
        bias: whether there is a learned shift.
    """

    def __init__(
        self,
        normalized_shape,
        eps=1e-5,
        elementwise_affine=True,
        bias=True,
        device=None,
        dtype=None,
    ):
        super().__init__()
        self.normalized_shape = _shape_tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        for name, wanted in (("weight", elementwise_affine), ("bias", elementwise_affine and bias)):
            if wanted:
                empty = ops.empty(self.normalized_shape, device=device, dtype=dtype)
                self.register_parameter(name, Parameter(empty))
            else:
                self.register_parameter(name, None)
        self.reset_parameters()

    def reset_parameters(self):
        """Set the scale to one and the shift to zero."""
        if self.elementwise_affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def forward(self, input):
        return F.layer_norm(input, self.normalized_shape, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return (
            f"{self.normalized_shape}, eps={self.eps}, "
            f"elementwise_affine={self.elementwise_affine}, bias={self.bias is not None}"
        )


class GroupNorm(Module):
    """y = (x - E[x]) / √(Var[x] + eps) · weight + bias over groups of channels.

    Wu and He 2018, arXiv:1803.08494.

    Args:
        num_groups: the number of groups the channels are split into.
        num_channels: the number of channels C.
        eps: added to the variance.
        affine: whether there are a learned scale and shift of each channel.
        bias: whether there is a learned shift.

    Shape:
        (N, C, *).
    """

    def __init__(
        self,
        num_groups,
        num_channels,
        eps=1e-5,
        affine=True,
        device=None,
        dtype=None,
        *,
        bias=True,
    ):
        super().__init__()
        if num_channels % num_groups != 0:
            raise ValueError(
                f"num_channels ({num_channels}) must be divisible by num_groups ({num_groups})"
            )
        self.num_groups = num_groups
        self.num_channels = num_channels
        self.eps = eps
        self.affine = affine
        for name, wanted in (("weight", affine), ("bias", affine and bias)):
            if wanted:
                empty = ops.empty(num_channels, device=device, dtype=dtype)
                self.register_parameter(name, Parameter(empty))
            else:
                self.register_parameter(name, None)
        self.reset_parameters()

    def reset_parameters(self):
        """Set the scale to one and the shift to zero."""
        if self.affine:
            init.ones_(self.weight)
            if self.bias is not None:
                init.zeros_(self.bias)

    def forward(self, input):
        return F.group_norm(input, self.num_groups, self.weight, self.bias, self.eps)

    def extra_repr(self):
        return (
            f"{self.num_groups}, {self.num_channels}, eps={self.eps}, "
            f"affine={self.affine}, bias={self.bias is not None}"
        )


class RMSNorm(Module):
    """y = x / √(E[x²] + eps) · weight over the last dimensions.

    Zhang and Sennrich 2019, arXiv:1910.07467.

    Args:
        normalized_shape: the shape of the last dimensions, or the length of the last one.
        eps: added to the mean square; None for the smallest step of the dtype at one.
        elementwise_affine: whether there is a learned scale.
    """

    def __init__(
        self, normalized_shape, eps=None, elementwise_affine=True, device=None, dtype=None
    ):
        super().__init__()
        self.normalized_shape = _shape_tuple(normalized_shape)
        self.eps = eps
        self.elementwise_affine = elementwise_affine
        if elementwise_affine:
            empty = ops.empty(self.normalized_shape, device=device, dtype=dtype)
            self.weight = Parameter(empty)
        else:
            self.register_parameter("weight", None)
        self.reset_parameters()

    def reset_parameters(self):
        """Set the scale to one."""
        if self.elementwise_affine:
            init.ones_(self.weight)

    def forward(self, x):
        return F.rms_norm(x, self.normalized_shape, self.weight, self.eps)

    def extra_repr(self):
        return (
            f"{self.normalized_shape}, eps={self.eps}, elementwise_affine={self.elementwise_affine}"
        )
