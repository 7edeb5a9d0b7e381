"""Activation functions as layers."""

import warnings

from fakel import ops
from fakel.nn import functional as F
from fakel.nn import init as initialization
from fakel.nn.modules.attention import MultiheadAttention
from fakel.nn.modules.module import Module
from fakel.nn.modules.utils import own_constructor
from fakel.nn.parameter import Parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "MultiheadAttention",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SELU",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


MultiheadAttention.__module__ = __name__  # a pickled module names its class by PyTorch's file


class _Activation(Module):
    """An activation; the attributes named in ``_shown`` are printed, then ``inplace`` if set."""

    _shown = ()

    def extra_repr(self):
        parts = [f"{name}={getattr(self, name)}" for name in self._shown]
        if getattr(self, "inplace", False):
            parts.append("inplace=True")
        return ", ".join(parts)


class _InplaceActivation(_Activation):
    """An activation without arguments that may overwrite its input.

    Args:
        inplace: overwrite the input.
    """

    __init_subclass__ = classmethod(own_constructor)

    def __init__(self, inplace=False):
        super().__init__()
        self.inplace = inplace


class Threshold(_Activation):
    """y = x where x > threshold, else value."""

    _shown = ("threshold", "value")

    def __init__(self, threshold, value, inplace=False):
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace

    def forward(self, input):
        return F.threshold(input, self.threshold, self.value, self.inplace)


class ReLU(_InplaceActivation):
    """y = max(0, x)."""

    def forward(self, input):
        return F.relu(input, inplace=self.inplace)


class RReLU(_Activation):
    """y = x where x >= 0, else a x with a drawn from [lower, upper) (its mean in evaluation).

    Xu et al. 2015, arXiv:1505.00853.
    """

    _shown = ("lower", "upper")

    def __init__(self, lower=1.0 / 8, upper=1.0 / 3, inplace=False):
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def forward(self, input):
        return F.rrelu(input, self.lower, self.upper, self.training, self.inplace)


class Hardtanh(_Activation):
    """y = x, clipped to [min_val, max_val]."""

    _shown = ("min_val", "max_val")

    def __init__(self, min_val=-1.0, max_val=1.0, inplace=False, min_value=None, max_value=None):
        super().__init__()
        self.min_val = min_val if min_value is None else _renamed("min_value", min_value)
        self.max_val = max_val if max_value is None else _renamed("max_value", max_value)
        self.inplace = inplace
        if self.max_val <= self.min_val:
            raise AssertionError(
                f"max_val ({self.max_val}) must be greater than min_val ({self.min_val})"
            )

    def forward(self, input):
        return F.hardtanh(input, self.min_val, self.max_val, self.inplace)


def _renamed(name, value):
    warnings.warn(
        f"keyword argument `{name}` is deprecated and renamed to `{name[:-2]}`",
        FutureWarning,
        stacklevel=3,
    )
    return value


class ReLU6(Hardtanh):
    """y = min(max(0, x), 6)."""

    _shown = ()

    def __init__(self, inplace=False):
        super().__init__(0.0, 6.0, inplace)


class Sigmoid(Module):
    """y = 1 / (1 + exp(-x))."""

    def forward(self, input):
        return ops.sigmoid(input)


class Hardsigmoid(_InplaceActivation):
    """y = min(max(0, x / 6 + 1/2), 1)."""

    def forward(self, input):
        return F.hardsigmoid(input, self.inplace)

    def extra_repr(self):
        return ""


class Tanh(Module):
    """y = tanh(x)."""

    def forward(self, input):
        return ops.tanh(input)


class SiLU(_InplaceActivation):
    """y = x sigmoid(x)."""

    def forward(self, input):
        return F.silu(input, inplace=self.inplace)


class Mish(_InplaceActivation):
    """y = x tanh(softplus(x)). Misra 2019, arXiv:1908.08681."""

    def forward(self, input):
        return F.mish(input, inplace=self.inplace)


class Hardswish(_InplaceActivation):
    """y = x min(max(0, x + 3), 6) / 6. Howard et al. 2019, arXiv:1905.02244."""

    def forward(self, input):
        return F.hardswish(input, self.inplace)

    def extra_repr(self):
        return ""


class ELU(_Activation):
    """y = x where x > 0, else alpha (exp(x) - 1). Clevert et al. 2015, arXiv:1511.07289."""

    _shown = ("alpha",)

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input):
        return F.elu(input, self.alpha, self.inplace)


class CELU(_Activation):
    """y = max(0, x) + min(0, alpha (exp(x / alpha) - 1)). Barron 2017, arXiv:1704.07483."""

    _shown = ("alpha",)

    def __init__(self, alpha=1.0, inplace=False):
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace

    def forward(self, input):
        return F.celu(input, self.alpha, self.inplace)


class SELU(_InplaceActivation):
    """y = scale (max(0, x) + min(0, alpha (exp(x) - 1))) with the constants that keep mean 0
    and variance 1. Klambauer et al. 2017, arXiv:1706.02515."""

    def forward(self, input):
        return F.selu(input, self.inplace)


class GLU(_Activation):
    """y = a sigmoid(b), where a and b are the halves of x along ``dim``."""

    _shown = ("dim",)

    def __init__(self, dim=-1):
        super().__init__()
        self.dim = dim

    def forward(self, input):
        return F.glu(input, self.dim)


class GELU(Module):
    """y = x Φ(x) with the normal distribution's Φ, or its tanh approximation.

    Hendrycks and Gimpel 2016, arXiv:1606.08415.

    Args:
        approximate: ``"none"`` or ``"tanh"``.
    """

    def __init__(self, approximate="none"):
        super().__init__()
        self.approximate = approximate

    def forward(self, input):
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self):
        return f"approximate={self.approximate!r}"


class Hardshrink(Module):
    """y = x where |x| > lambd, else 0."""

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, input):
        return F.hardshrink(input, self.lambd)

    def extra_repr(self):
        return f"{self.lambd}"


class LeakyReLU(_Activation):
    """y = x where x >= 0, else negative_slope x."""

    _shown = ("negative_slope",)

    def __init__(self, negative_slope=1e-2, inplace=False):
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace

    def forward(self, input):
        return F.leaky_relu(input, self.negative_slope, self.inplace)


class LogSigmoid(Module):
    """y = log(sigmoid(x))."""

    def forward(self, input):
        return F.logsigmoid(input)


class Softplus(_Activation):
    """y = log(1 + exp(beta x)) / beta; x itself where beta x > threshold."""

    _shown = ("beta", "threshold")

    def __init__(self, beta=1.0, threshold=20.0):
        super().__init__()
        self.beta = beta
        self.threshold = threshold

    def forward(self, input):
        return F.softplus(input, self.beta, self.threshold)


class Softshrink(Module):
    """y = x - lambd where x > lambd, x + lambd where x < -lambd, else 0."""

    def __init__(self, lambd=0.5):
        super().__init__()
        self.lambd = lambd

    def forward(self, input):
        return F.softshrink(input, self.lambd)

    def extra_repr(self):
        return str(self.lambd)


class PReLU(_Activation):
    """y = x where x >= 0, else a x with a learned a. He et al. 2015, arXiv:1502.01852.

    Args:
        num_parameters: 1, or the number of channels (dimension 1) for an a of each channel.
        init: the first value of a.
    """

    _shown = ("num_parameters",)

    def __init__(self, num_parameters=1, init=0.25, device=None, dtype=None):
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = Parameter(ops.empty(num_parameters, device=device, dtype=dtype))
        self.reset_parameters()

    def reset_parameters(self):
        """Set a to ``init``."""
        initialization.constant_(self.weight, self.init)

    def forward(self, input):
        return F.prelu(input, self.weight)


class Softsign(Module):
    """y = x / (1 + |x|)."""

    def forward(self, input):
        return F.softsign(input)


class Tanhshrink(Module):
    """y = x - tanh(x)."""

    def forward(self, input):
        return F.tanhshrink(input)


class _OverDimension(_Activation):
    """An activation whose outputs along one dimension belong together.

    Args:
        dim: the dimension; None guesses it, with a warning.
    """

    _shown = ("dim",)

    __init_subclass__ = classmethod(own_constructor)

    def __init__(self, dim=None):
        super().__init__()
        self.dim = dim

    def __setstate__(self, state):
        super().__setstate__(state)
        self.__dict__.setdefault("dim", None)


class Softmin(_OverDimension):
    """y_i = exp(-x_i) / Σ_j exp(-x_j) along ``dim``."""

    def forward(self, input):
        return F.softmin(input, self.dim, _stacklevel=5)


class Softmax(_OverDimension):
    """y_i = exp(x_i) / Σ_j exp(x_j) along ``dim``."""

    def forward(self, input):
        return F.softmax(input, self.dim, _stacklevel=5)


class LogSoftmax(_OverDimension):
    """y_i = log(exp(x_i) / Σ_j exp(x_j)) along ``dim``."""

    def forward(self, input):
        return F.log_softmax(input, self.dim, _stacklevel=5)


class Softmax2d(Module):
    """Softmax over the channels of (N, C, H, W) or (C, H, W)."""

    def forward(self, input):
        if input.dim() not in (3, 4):
            raise ValueError(
                f"Softmax2d: expected input to be 3D or 4D, got {input.dim()}D instead"
            )
        return F.softmax(input, -3, _stacklevel=5)
