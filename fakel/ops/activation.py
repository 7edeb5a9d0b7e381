"""Activation functions: pointwise functions that networks put between their layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from fakel import ops
from fakel.ops.checks import BOOL, COMPLEX, INTEGER, check_fits, floating_only, refuse
from fakel.ops.declare import function, gradient, operator, primitive, wrap_dim
from fakel.ops.inplace import write_in_place
from fakel.ops.numerics.error_function import erf
from fakel.ops.random import negative_slopes
from fakel.ops.random_fill import chosen_generator
from fakel.tensor import Tensor, dtypes, finfo

SELU_ALPHA = 1.6732632423543772848170429916717
SELU_SCALE = 1.0507009873554804934193349852946


def in_place_or_not(function, input, inplace):
    """`function(input)`, written back to the input if asked for."""
    return write_in_place("activation_", input, function, (), {}) if inplace else function(input)


def _sigmoid(x):
    if x.dtype.kind == "c":
        return 1 / (1 + np.exp(-x))
    decay = np.exp(-np.abs(x))
    return np.where(x >= 0, np.ones((), x.dtype), decay) / (1 + decay)


def _softplus(x):
    return np.maximum(x, 0) + np.log1p(np.exp(-np.abs(x)))


# Rectifiers


@primitive("relu")
def _relu(input):
    return np.maximum(input, np.zeros((), input.dtype))


@primitive("relu_gradient")
def _relu_gradient(output_gradient, output):
    return np.where(output <= 0, np.zeros((), output_gradient.dtype), output_gradient)


gradient(_relu, input=lambda grad, result: _relu_gradient(grad, result))
gradient(_relu_gradient, output_gradient=lambda grad, output: _relu_gradient(grad, output))


@operator(inplace=True, out=False)
def relu(input):
    """`max(0, x)`."""
    if input.dtype is dtypes.bool_:
        raise RuntimeError("Boolean inputs not supported for relu")
    if input.is_complex():
        raise NotImplementedError("clamp is not supported for complex types")
    return _relu(input)


@primitive("leaky_relu")
def _leaky_relu(input, *, slope):
    return np.where(input > 0, input, input * slope)


gradient(
    _leaky_relu,
    input=lambda grad, input, slope: ops.where(input > 0, grad, grad * slope),
)


@operator(method=False, out=False, namespace="nn.functional")
def leaky_relu(input, negative_slope=0.01, inplace=False):
    """`x` where positive, else `negative_slope · x`."""
    floating_only("leaky_relu_cpu", input)
    return in_place_or_not(lambda x: _leaky_relu(x, slope=float(negative_slope)), input, inplace)


@operator(out=False, backward_name="PreluKernelBackward0")
def prelu(input, weight):
    """`x` where positive, else `weight · x`, with one weight or one for each channel."""
    channels = input.shape[1] if input.ndim >= 2 else 1
    if weight.numel() not in (1, channels):
        raise RuntimeError(
            "Mismatch of parameter numbers and input channel size. Found parameter numbers = "
            f"{weight.numel()} and channel size = {channels}."
        )
    if input.dtype is not weight.dtype:
        raise RuntimeError(
            f"prelu: Type promoting not supported. Got {input.dtype.letter} and "
            f"{weight.dtype.letter}"
        )
    floating_only("prelu_cpu", input)
    shape = [1] * input.ndim
    if weight.numel() > 1:
        shape[1] = channels
    return ops.where(input > 0, input, input * weight.reshape(shape))


@operator(method=False, out=False, backward_name="RreluWithNoiseBackward0")
def rrelu(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    generator: Any = None,
) -> Tensor:
    """`x` where positive, else `a · x`; a is random in [lower, upper], their mean in evaluation.

    Xu et al., arXiv:1505.00853.

    Args:
        input: x.
        lower: the smallest a.
        upper: the largest a.
        training: whether a is drawn, for each element that is not positive.
        generator: what it is drawn from; the default generator for None.

    Raises:
        RuntimeError: when `lower` exceeds `upper`.
    """
    if lower > upper:
        raise RuntimeError("Lower bound should be less than or equal to the upper bound")
    if not training:
        return leaky_relu(input, (lower + upper) / 2)
    floating_only("rrelu_with_noise_out_cpu", input)
    source = chosen_generator("rrelu", generator)
    slopes = negative_slopes(source, input._values(), lower, upper, input.dtype)
    return (input * slopes).to(input.dtype)


@function
def rrelu_(
    input: Tensor,
    lower: float = 1.0 / 8,
    upper: float = 1.0 / 3,
    training: bool = False,
    generator: Any = None,
) -> Tensor:
    """In-place form of `rrelu`."""
    arguments = (lower, upper, training, generator)
    return write_in_place("rrelu_", input, lambda x: rrelu(x, *arguments), (), {})


@primitive("elu")
def _elu(input, *, alpha, scale, input_scale):
    # the negative zero stays one, which a minimum may lose
    below = np.expm1(np.where(input > 0, np.zeros_like(input), input) * input_scale)
    below *= alpha * scale
    return np.where(input > 0, input * scale, below)


gradient(
    _elu,
    input=lambda grad, input, alpha, scale, input_scale: (
        grad
        * ops.where(
            input > 0,
            scale,
            (input.clamp(max=0) * input_scale).exp() * (alpha * scale * input_scale),
        )
    ),
)


def _exponential_unit(input, inplace, *, alpha, scale=1.0, input_scale=1.0):
    floating_only("elu_cpu", input)
    return in_place_or_not(
        lambda x: _elu(x, alpha=alpha, scale=scale, input_scale=input_scale), input, inplace
    )


@operator(method=False, out=False, namespace="nn.functional")
def elu(input, alpha=1.0, inplace=False):
    """`x` where positive, else `alpha · (exp(x) - 1)` (Clevert et al., arXiv:1511.07289)."""
    return _exponential_unit(input, inplace, alpha=float(alpha))


@operator(method=False, out=False, backward_name="CeluBackward0")
def celu(input, alpha=1.0, inplace=False):
    """`max(0, x) + min(0, alpha · (exp(x / alpha) - 1))` (Barron, arXiv:1704.07483)."""
    if alpha == 0:
        raise RuntimeError("ZeroDivisionError: alpha cannot be 0 for CELU")
    return _exponential_unit(input, inplace, alpha=float(alpha), input_scale=1.0 / alpha)


@operator(method=False, out=False)
def selu(input, inplace=False):
    """`elu` scaled so that activations normalise themselves (arXiv:1706.02515)."""
    return _exponential_unit(input, inplace, alpha=SELU_ALPHA, scale=SELU_SCALE)


# Functions with thresholds


@primitive("threshold")
def _threshold(input, *, threshold, value):
    return np.where(input <= threshold, np.asarray(value, input.dtype), input)


gradient(
    _threshold,
    input=lambda grad, input, threshold: grad.masked_fill(input <= threshold, 0),
)


@operator(method=False)
def threshold(input, threshold, value, inplace=False):
    """`x` where above the threshold, else `value`."""
    for position, (name, number) in enumerate((("threshold", threshold), ("value", value)), 2):
        if not isinstance(number, int | float):
            raise TypeError(
                f"threshold(): argument '{name}' (position {position}) must be Number, not "
                f"{type(number).__name__}"
            )
    refuse("threshold_cpu", input.dtype, BOOL, COMPLEX)
    check_fits(value, input.dtype)
    return in_place_or_not(
        lambda x: _threshold(x, threshold=threshold, value=value), input, inplace
    )


@primitive("hardtanh")
def _hardtanh(input, *, lower, upper):
    return np.clip(input, np.asarray(lower, input.dtype), np.asarray(upper, input.dtype))


gradient(
    _hardtanh,
    input=lambda grad, input, lower, upper: grad.masked_fill(
        ~((input > lower) & (input < upper)), 0
    ),
)


@operator(method=False, out=False, namespace="nn.functional")
def hardtanh(input, min_val=-1.0, max_val=1.0, inplace=False):
    """`x` limited to [min_val, max_val]."""
    if min_val > max_val:
        raise ValueError("min_val cannot be greater than max_val")
    if input.dtype is dtypes.bool_:
        raise RuntimeError("Bool inputs not supported for hardtanh")
    if input.is_complex():
        raise NotImplementedError("clamp is not supported for complex types")
    return in_place_or_not(lambda x: _hardtanh(x, lower=min_val, upper=max_val), input, inplace)


@operator(method=False, out=False, namespace="nn.functional")
def relu6(input, inplace=False):
    """`min(max(0, x), 6)`."""
    return hardtanh(input, 0, 6, inplace)


@primitive("hardsigmoid")
def _hardsigmoid(input):
    return np.clip(input + 3, 0, 6) / 6


gradient(
    _hardsigmoid,
    input=lambda grad, input: (grad / 6).masked_fill((input <= -3) | (input >= 3), 0),
)


@operator(method=False, out=False, namespace="nn.functional")
def hardsigmoid(input, inplace=False):
    """`min(max(0, x + 3), 6) / 6`, a sigmoid of three straight pieces."""
    floating_only("hardsigmoid_cpu", input)
    return in_place_or_not(_hardsigmoid, input, inplace)


@primitive("hardswish")
def _hardswish(input):
    return input * np.clip(input + 3, 0, 6) / 6


gradient(
    _hardswish,
    input=lambda grad, input: ops.where(
        input >= 3, grad, (grad * (input / 3 + 0.5)).masked_fill(input <= -3, 0)
    ),
)


@operator(method=False, out=False, namespace="nn.functional")
def hardswish(input, inplace=False):
    """`x · hardsigmoid(x)` (Howard et al., arXiv:1905.02244)."""
    floating_only("hardswish_cpu", input)
    return in_place_or_not(_hardswish, input, inplace)


@primitive("hardshrink")
def _hardshrink(input, *, lambd):
    return np.where(np.abs(input) <= lambd, np.zeros((), input.dtype), input)


gradient(_hardshrink, input=lambda grad, input, lambd: grad.masked_fill(input.abs() <= lambd, 0))


@operator()
def hardshrink(input, lambd=0.5):
    """`x` where its magnitude is above `lambd`, else 0."""
    floating_only("hardshrink_cpu", input)
    return _hardshrink(input, lambd=float(lambd))


@primitive("softshrink")
def _softshrink(input, *, lambd):
    return np.where(
        np.abs(input) > lambd, input - np.sign(input) * np.asarray(lambd, input.dtype), input * 0
    )


gradient(_softshrink, input=lambda grad, input, lambd: grad.masked_fill(input.abs() <= lambd, 0))


@operator(method=False, namespace="nn.functional")
def softshrink(input, lambd=0.5):
    """`x` drawn towards 0 by `lambd`, and 0 where its magnitude is less."""
    floating_only("softshrink_check", input)
    if lambd < 0:
        most = f"{finfo(input.dtype).max:.6g}"
        raise RuntimeError(
            f"lambda must be in range [0, {most}] for input dtype {input.dtype.letter}, "
            f"but found {lambd}"
        )
    return _softshrink(input, lambd=float(lambd))


# Smooth functions


@primitive("softplus")
def _scaled_softplus(input, *, beta, threshold):
    scaled = input * beta
    return np.where(scaled > threshold, input, _softplus(scaled) / beta)


gradient(
    _scaled_softplus,
    input=lambda grad, input, beta, threshold: ops.where(
        input * beta > threshold, grad, grad * (input * beta).sigmoid()
    ),
)


@operator(method=False, namespace="nn.functional")
def softplus(input, beta=1, threshold=20):
    """`log(1 + exp(beta · x)) / beta`, and x itself where `beta · x` is above the threshold."""
    floating_only("softplus_cpu", input)
    return _scaled_softplus(input, beta=float(beta), threshold=float(threshold))


@primitive("logsigmoid", "LogSigmoidBackward0")
def _logsigmoid(input):
    return np.minimum(input, 0) - np.log1p(np.exp(-np.abs(input)))


gradient(_logsigmoid, input=lambda grad, input: grad * (-input).sigmoid())


@operator(method=False, namespace="nn.functional")
def logsigmoid(input):
    """`log(1 / (1 + exp(-x)))`."""
    floating_only("log_sigmoid_cpu", input)
    return _logsigmoid(input)


@primitive("silu")
def _silu(input):
    return input * _sigmoid(input)


def _silu_gradient(grad, input):
    gate = input.sigmoid()
    return grad * (gate * (1 + input * (1 - gate)))


gradient(_silu, input=_silu_gradient)


@operator(method=False, out=False, namespace="nn.functional")
def silu(input, inplace=False):
    """`x · sigmoid(x)`, also called swish (Elfwing et al., arXiv:1702.03118)."""
    refuse("silu_cpu", input.dtype, BOOL, INTEGER)
    return in_place_or_not(_silu, input, inplace)


@primitive("mish")
def _mish(input):
    return input * np.tanh(_softplus(input))


def _mish_gradient(grad, input):
    squashed = softplus(input).tanh()
    return grad * (squashed + input * input.sigmoid() * (1 - squashed * squashed))


gradient(_mish, input=_mish_gradient)


@operator(method=False, out=False, namespace="nn.functional")
def mish(input, inplace=False):
    """`x · tanh(softplus(x))` (Misra, arXiv:1908.08681)."""
    floating_only("mish_cpu", input)
    return in_place_or_not(_mish, input, inplace)


# erf(x) = x · P(x²) / Q(x²) for |x| < 4 in float32, the highest power first: the rational function
# of Eigen's and XLA's erf, good to a few units in the last place.
ERF_NUMERATOR = (
    -2.72614225801306e-10, 2.77068142495902e-08, -2.10102402082508e-06, -5.69250639462346e-05,
    -7.34990630326855e-04, -2.95459980854025e-03, -1.60960333262415e-02,
)  # fmt: skip
ERF_DENOMINATOR = (
    -1.45660718464996e-05, -2.13374055278905e-04, -1.68282697438203e-03, -7.37332916720468e-03,
    -1.42647390514189e-02,
)  # fmt: skip


def _polynomial(coefficients, x):
    total = np.full_like(x, coefficients[0])
    for coefficient in coefficients[1:]:
        total *= x
        total += np.asarray(coefficient, x.dtype)
    return total


def _erf(x):
    if x.dtype != np.float32:
        return erf(x)
    x = np.clip(x, np.float32(-4), np.float32(4))
    square = x * x
    ratio = _polynomial(ERF_NUMERATOR, square) / _polynomial(ERF_DENOMINATOR, square)
    return np.clip(x * ratio, np.float32(-1), np.float32(1))


GELU_SCALE = math.sqrt(2 / math.pi)
GELU_CUBIC = 0.044715


@primitive("gelu")
def _gelu(input, *, approximate):
    if approximate == "tanh":
        inner = GELU_SCALE * (input + GELU_CUBIC * input * input * input)
        return 0.5 * input * (1 + np.tanh(inner))
    return 0.5 * input * (1 + _erf(input * np.asarray(math.sqrt(0.5), input.dtype)))


@primitive("gelu_gradient")
def _gelu_gradient(output_gradient, input, *, approximate):
    if approximate == "tanh":
        squashed = np.tanh(GELU_SCALE * (input + GELU_CUBIC * input * input * input))
        slope = GELU_SCALE * (1 + 3 * GELU_CUBIC * input * input)
        return output_gradient * 0.5 * (1 + squashed + input * (1 - squashed * squashed) * slope)
    density = np.exp(-0.5 * input * input) / math.sqrt(2 * math.pi)
    return output_gradient * (
        0.5 * (1 + _erf(input * np.asarray(math.sqrt(0.5), input.dtype))) + input * density
    )


def _gelu_second_derivative(input, approximate):
    if approximate == "tanh":
        squashed = (GELU_SCALE * (input + GELU_CUBIC * input**3)).tanh()
        slope = GELU_SCALE * (1 + 3 * GELU_CUBIC * input**2)
        bend = GELU_SCALE * 6 * GELU_CUBIC * input
        rate = 1 - squashed * squashed
        return 0.5 * rate * (2 * slope + input * (bend - 2 * squashed * slope * slope))
    return (2 - input * input) * (-0.5 * input * input).exp() / math.sqrt(2 * math.pi)


gradient(
    _gelu,
    input=lambda grad, input, approximate: _gelu_gradient(grad, input, approximate=approximate),
)
gradient(
    _gelu_gradient,
    output_gradient=lambda grad, input, approximate: _gelu_gradient(
        grad, input, approximate=approximate
    ),
    input=lambda grad, output_gradient, input, approximate: (
        grad * output_gradient * _gelu_second_derivative(input, approximate)
    ),
)


@operator(method=False, namespace="nn.functional")
def gelu(input, approximate="none"):
    """`x · Φ(x)` with the normal distribution function Φ (Hendrycks and Gimpel, arXiv:1606.08415).

    `approximate="tanh"` uses `0.5 · x · (1 + tanh(√(2/π) · (x + 0.044715 · x³)))`.
    """
    if approximate not in ("none", "tanh"):
        raise RuntimeError("approximate argument must be either none or tanh.")
    floating_only("GeluKernelImpl", input)
    return _gelu(input, approximate=approximate)


@operator(method=False, out=False, namespace="nn.functional", backward_name="GluBackward0")
def glu(input, dim=-1):
    """`a · sigmoid(b)` for the two halves a and b of a dimension (arXiv:1612.08083)."""
    if input.ndim == 0:
        raise RuntimeError("glu does not support scalars because halving size must be even")
    dim = wrap_dim(dim, input.ndim)
    half, odd = divmod(input.shape[dim], 2)
    if odd:
        raise RuntimeError(
            f"Halving dimension must be even, but dimension {dim} is size {input.shape[dim]}"
        )
    floating_only("glu_cpu", input)
    return input.narrow(dim, 0, half) * input.narrow(dim, half, half).sigmoid()


@operator(method=False, out=False, namespace="nn.functional")
def softsign(input):
    """`x / (1 + |x|)`."""
    return input / (input.abs() + 1)


@operator(method=False, out=False, namespace="nn.functional")
def tanhshrink(input):
    """`x - tanh(x)`."""
    return input - input.tanh()
