"""Initial values of parameters: every function fills a tensor, which it returns.

With the same seed the numbers are PyTorch's.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from fakel import ops
from fakel.autograd import no_grad
from fakel.interpreter import narrow, widen
from fakel.tensor import Tensor
from fakel.tensor.generator import Generator

__all__ = [
    "calculate_gain",
    "constant",
    "constant_",
    "dirac",
    "dirac_",
    "eye",
    "eye_",
    "kaiming_normal",
    "kaiming_normal_",
    "kaiming_uniform",
    "kaiming_uniform_",
    "normal",
    "normal_",
    "ones_",
    "orthogonal",
    "orthogonal_",
    "sparse",
    "sparse_",
    "trunc_normal_",
    "uniform",
    "uniform_",
    "xavier_normal",
    "xavier_normal_",
    "xavier_uniform",
    "xavier_uniform_",
    "zeros_",
]

_GAINS = {
    "linear": 1,
    "conv1d": 1,
    "conv2d": 1,
    "conv3d": 1,
    "conv_transpose1d": 1,
    "conv_transpose2d": 1,
    "conv_transpose3d": 1,
    "sigmoid": 1,
    "tanh": 5.0 / 3,
    "relu": math.sqrt(2.0),
    "selu": 3.0 / 4,
}
_FAN_MODES = ["fan_in", "fan_out"]
# from this share of normal numbers inside the bounds on, those outside are simply drawn again
_WORTH_REDRAWING = 0.3


def calculate_gain(nonlinearity: str, param: int | float | None = None) -> float:
    r"""The factor by which weights before an activation should be larger than before none.

    It is 1 for linear layers, convolutions and sigmoid, 5/3 for tanh, :math:`\sqrt{2}` for ReLU,
    :math:`\sqrt{2 / (1 + \text{slope}^2)}` for leaky ReLU, and 3/4 for SELU.

    Args:
        nonlinearity: the name of a function in ``nn.functional``.
        param: leaky ReLU's negative slope, 0.01 for None.

    Raises:
        ValueError: for other names, and for a slope that is no number.
    """
    if nonlinearity in _GAINS:
        return _GAINS[nonlinearity]
    if nonlinearity != "leaky_relu":
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}")
    slope = 0.01 if param is None else param
    if isinstance(slope, bool) or not isinstance(slope, (int, float)):
        raise ValueError(f"negative_slope {param} not a valid number")
    return math.sqrt(2.0 / (1 + slope**2))


# -------------------------------------------------------------------- plain values


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fills the tensor with one value.

    Args:
        tensor: what is filled.
        val: the value.
    """
    with no_grad():
        return tensor.fill_(val)


def ones_(tensor: Tensor) -> Tensor:
    """Fills the tensor with ones."""
    return constant_(tensor, 1.0)


def zeros_(tensor: Tensor) -> Tensor:
    """Fills the tensor with zeros."""
    with no_grad():
        return tensor.zero_()


def eye_(tensor: Tensor) -> Tensor:
    """Makes a matrix the identity, so that a linear layer passes on as many inputs as it can.

    Raises:
        ValueError: when the tensor is no matrix.
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _write(tensor, np.eye(*tensor.shape, dtype=tensor.dtype.compute))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Makes a convolution's weight pass on as many input channels as it can.

    Args:
        tensor: a weight with 1, 2 or 3 spatial dimensions: (out channels, in channels, …).
        groups: the convolution's groups, each of which passes on its own first channels.

    Raises:
        ValueError: for other numbers of dimensions, and groups that do not divide the channels.
    """
    if tensor.ndimension() not in (3, 4, 5):
        raise ValueError("Only tensors with 3, 4, or 5 dimensions are supported")
    if tensor.size(0) % groups:
        raise ValueError("dim 0 must be divisible by groups")
    values = np.zeros(tensor.shape, tensor.dtype.compute)
    middle = tuple(size // 2 for size in tensor.shape[2:])
    outputs = tensor.size(0) // groups
    for group in range(groups):
        for channel in range(min(outputs, tensor.size(1))):
            values[(group * outputs + channel, channel, *middle)] = 1
    return _write(tensor, values)


def _write(tensor: Tensor, values: np.ndarray) -> Tensor:
    """Writes an array of the tensor's shape, in compute dtype."""
    with no_grad():
        return tensor.copy_(Tensor._from_array(narrow(values, tensor.dtype), tensor.dtype))


# -------------------------------------------------------------------- random values


def uniform_(
    tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fills the tensor with numbers drawn evenly from [a, b).

    Args:
        tensor: what is filled.
        a: the lower bound.
        b: the upper bound.
        generator: what the numbers are drawn from; the default generator for None.
    """
    with no_grad():
        return tensor.uniform_(a, b, generator=generator)


def normal_(
    tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None
) -> Tensor:
    """Fills the tensor with normal numbers.

    Args:
        tensor: what is filled.
        mean: their mean.
        std: their standard deviation.
        generator: what the numbers are drawn from; the default generator for None.
    """
    with no_grad():
        return tensor.normal_(mean, std, generator=generator)


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fills the tensor with normal numbers that lie in [a, b].

    Args:
        tensor: what is filled.
        mean: the mean of the normal distribution.
        std: its standard deviation.
        a: the smallest value.
        b: the largest value.
        generator: what the numbers are drawn from; the default generator for None.
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    inside = _normal_below((b - mean) / std) - _normal_below((a - mean) / std)
    with no_grad():
        if inside > _WORTH_REDRAWING:
            _redraw_outside(tensor, mean, std, a, b, generator)
        else:
            _reject_by_density(tensor, mean, std, a, b, generator)
    return tensor


def _normal_below(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


def _redraw_outside(
    tensor: Tensor, mean: float, std: float, a: float, b: float, generator: Generator | None
) -> None:
    kind = tensor.dtype
    low, high = widen(narrow(np.array([a, b]), kind), kind)
    values = tensor.normal_(mean, std, generator=generator)._values()
    outside = (values < low) | (values > high)
    if not outside.any():
        return
    while outside.any():
        again = ops.empty_like(tensor).normal_(mean, std, generator=generator)._values()
        values = np.where(outside, again, values)
        outside = (values < low) | (values > high)
    _write(tensor, values)


def _reject_by_density(
    tensor: Tensor, mean: float, std: float, a: float, b: float, generator: Generator | None
) -> None:
    """Even candidates, accepted with a probability proportional to the density."""
    highest = max(a, min(mean, b))
    highest_log_density = -0.5 * ((highest - mean) / std) ** 2

    def rejected(candidates: Tensor) -> Tensor:
        log_density = ((candidates - mean) / std) ** 2 * -0.5 - highest_log_density
        return ops.empty_like(tensor).uniform_(generator=generator).log_() > log_density

    tensor.uniform_(a, b, generator=generator)
    pending = rejected(tensor)
    while pending.any():
        candidates = ops.empty_like(tensor).uniform_(a, b, generator=generator)
        tensor.copy_(ops.where(pending, candidates, tensor))
        pending = pending & rejected(candidates)


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many inputs an output of a weight depends on, and how many outputs on an input."""
    if tensor.dim() < 2:
        raise ValueError(
            "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions"
        )
    positions = math.prod(tensor.shape[2:])
    return tensor.size(1) * positions, tensor.size(0) * positions


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    if mode not in _FAN_MODES:
        raise ValueError(f"Mode {mode} not supported, please use one of {_FAN_MODES}")
    return _calculate_fan_in_and_fan_out(tensor)[_FAN_MODES.index(mode)]


def xavier_uniform_(
    tensor: Tensor, gain: float = 1.0, generator: Generator | None = None
) -> Tensor:
    r"""Fills a weight with numbers from :math:`[-a, a)`, :math:`a = g \sqrt{6 / (i + o)}`.

    i inputs and o outputs are connected by the weight, g is the gain. X. Glorot and Y. Bengio,
    "Understanding the difficulty of training deep feedforward neural networks", 2010.

    Args:
        tensor: a weight (out, in, …).
        gain: see ``calculate_gain``.
        generator: what the numbers are drawn from; the default generator for None.
    """
    bound = math.sqrt(3.0) * _xavier_deviation(tensor, gain)
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    r"""Fills a weight with normal numbers of standard deviation :math:`g \sqrt{2 / (i + o)}`.

    i inputs and o outputs are connected by the weight, g is the gain. X. Glorot and Y. Bengio,
    "Understanding the difficulty of training deep feedforward neural networks", 2010.

    Args:
        tensor: a weight (out, in, …).
        gain: see ``calculate_gain``.
        generator: what the numbers are drawn from; the default generator for None.
    """
    return normal_(tensor, 0.0, _xavier_deviation(tensor, gain), generator)


def _xavier_deviation(tensor: Tensor, gain: float) -> float:
    inputs, outputs = _calculate_fan_in_and_fan_out(tensor)
    return gain * math.sqrt(2.0 / float(inputs + outputs))


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    r"""Fills a weight with numbers from :math:`[-b, b)`, :math:`b = g \sqrt{3 / n}`.

    g is the activation's gain, n the number of inputs or outputs. K. He and others, "Delving deep
    into rectifiers: surpassing human-level performance on ImageNet classification", 2015.

    Args:
        tensor: a weight (out, in, …).
        a: the negative slope of leaky ReLU.
        mode: "fan_in" for n inputs, which keeps the variance in the forward pass; "fan_out" for n
            outputs, which keeps it in the backward pass.
        nonlinearity: the activation that follows, see ``calculate_gain``.
        generator: what the numbers are drawn from; the default generator for None.
    """
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    bound = math.sqrt(3.0) * _kaiming_deviation(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    r"""Fills a weight with normal numbers of standard deviation :math:`g / \sqrt{n}`.

    The arguments and the source are those of ``kaiming_uniform_``.
    """
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=2)
        return tensor
    deviation = _kaiming_deviation(tensor, a, mode, nonlinearity)
    return normal_(tensor, 0.0, deviation, generator)


def _kaiming_deviation(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    fan = _calculate_correct_fan(tensor, mode)
    return calculate_gain(nonlinearity, a) / math.sqrt(fan)


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Fills a weight with a random matrix whose rows (or columns) are orthonormal.

    A. Saxe, J. McClelland and S. Ganguli, "Exact solutions to the nonlinear dynamics of learning in
    deep linear neural networks", 2013.

    Args:
        tensor: at least two-dimensional; all dimensions but the first make the columns.
        gain: a factor for all elements.
        generator: what the numbers are drawn from; the default generator for None.

    Raises:
        ValueError: when the tensor has fewer than two dimensions.
    """
    if tensor.ndimension() < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.size(0)
    with no_grad():
        drawn = ops.empty((rows, tensor.numel() // rows), dtype=tensor.dtype)
        matrix = drawn.normal_(0, 1, generator=generator)._values()
    wide = matrix.shape[0] < matrix.shape[1]
    # the signs make the matrix evenly distributed: F. Mezzadri, arXiv:math-ph/0609050
    q, r = np.linalg.qr(matrix.T if wide else matrix)
    q = q * np.sign(np.diagonal(r))
    _write(tensor, (q.T if wide else q).reshape(tensor.shape))
    with no_grad():
        return tensor.mul_(gain)


def sparse_(
    tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None
) -> Tensor:
    """Fills a matrix with normal numbers, of which a share in each column is zero.

    J. Martens, "Deep learning via Hessian-free optimization", 2010.

    Args:
        tensor: a matrix.
        sparsity: the share of zeros in each column.
        std: the standard deviation of the others.
        generator: what the numbers are drawn from; the default generator for None. Which ones are
            zero is always drawn from the default generator, as in PyTorch.

    Raises:
        ValueError: when the tensor is no matrix.
    """
    if tensor.ndimension() != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    rows, columns = tensor.shape
    zeros = math.ceil(sparsity * rows)
    values = normal_(tensor, 0, std, generator)._values().copy()
    for column in range(columns):
        values[ops.randperm(rows)._values()[:zeros], column] = 0
    return _write(tensor, values)


# -------------------------------------------------------------------- names of old


def _deprecated(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    """The function by its old name, without the underscore, and with a warning."""
    new_name = function.__name__
    old_name = new_name[:-1]

    @functools.wraps(function)
    def old(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(
            f"`nn.init.{old_name}` is now deprecated in favor of `nn.init.{new_name}`.",
            FutureWarning,
            stacklevel=2,
        )
        return function(*args, **kwargs)

    old.__name__ = old.__qualname__ = old_name
    old.__doc__ = f"Deprecated: use ``{new_name}``."
    return old


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
