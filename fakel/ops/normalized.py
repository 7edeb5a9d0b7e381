"""What normalisations share: means and deviations, checks, second derivatives."""

from __future__ import annotations

import math

import numpy as np

from fakel.ops.checks import floating_only
from fakel.ops.pullback import pullback
from fakel.tensor import dtypes


def along_channels(vector, ndim):
    """(channels,) so that it broadcasts with (batch, channels, *)."""
    return vector.reshape(1, -1, *[1] * (ndim - 2))


def channel_sums(array):
    """The sums over all but the channels, without losing precision over a large batch."""
    batch, channels = array.shape[:2]
    of_samples = array.reshape(batch, channels, math.prod(array.shape[2:])).sum(2, np.float64)
    return of_samples.sum(0).astype(array.dtype)


def centre(array, dims):
    """The mean over dimensions, which are kept, the array without it, and the mean of its squares.

    A mean that is large against the deviation is rounded away by as much as counts there; the mean
    of what is left says how much.
    """
    kind = array.dtype
    mean = array.mean(dims, np.float64, keepdims=True).astype(kind)
    centred = array - mean
    centred -= centred.mean(dims, np.float64, keepdims=True).astype(kind)
    return mean, centred, (centred * centred).mean(dims, np.float64, keepdims=True).astype(kind)


# Batch normalisation
def derivative_of_gradient(composite, size, grads, output_gradient, input, weight):
    """The rule of a normalisation's gradient node, from the normalisation as a composite.

    `composite` takes the input, and weight and bias of `size` elements.
    """

    def first(output_gradient, input, weight):
        scale = input.new_ones(size) if weight is None else weight.reshape(-1)
        return pullback(composite, (input, scale, input.new_zeros(size)), (output_gradient,))

    return pullback(first, (output_gradient, input, weight), grads)


def check_kinds(kernel, input, *parameters):
    """Refuses an input that is no floating-point one, and parameters of another dtype than its
    own; float32 ones go with 16-bit inputs.
    """
    halves = dtypes.float16, dtypes.bfloat16
    for parameter in parameters:
        if parameter is None or parameter.dtype is input.dtype:
            continue
        if parameter.dtype is dtypes.float32 and input.dtype.is_floating_point | (
            kernel == "LayerNormKernelImpl"
        ):
            if input.dtype in halves:
                continue
            raise RuntimeError("mixed dtype (CPU): all inputs must share same datatype.")
        if input.dtype.is_floating_point:
            raise RuntimeError(
                "mixed dtype (CPU): expect parameter to have scalar type of "
                f"{'Float' if input.dtype in halves else input.dtype.letter}"
            )
    floating_only(kernel, input)
