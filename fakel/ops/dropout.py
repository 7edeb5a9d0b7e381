"""Dropout: the masks are drawn when recorded, from PyTorch's random stream.

The scale `1 / (1 - p)` reaches the graph as a number at run time, so changing p compiles nothing.
"""

from __future__ import annotations

import math
import warnings

from fakel.ops.activation import in_place_or_not
from fakel.ops.declare import operator
from fakel.ops.random import bernoulli_mask, drawn
from fakel.tensor.memory import memory_strides

# The negative saturation value of SELU, which alpha dropout puts in place of what it drops.
ALPHA = 1.7580993408473766


def _check_probability(p):
    if p < 0.0 or p > 1.0:
        raise ValueError(f"dropout probability has to be between 0 and 1, but got {p}")


def _drop(input, p, training, inplace, *, features, alpha):
    if p == 0 or not training or input.numel() == 0:
        return input
    if p == 1:
        return in_place_or_not(lambda x: x * 0.0, input, inplace)
    shape, strides = tuple(input.shape), memory_strides(input)
    if features:
        if input.ndim < 2:
            raise RuntimeError("Feature dropout requires at least 2 dimensions in the input")
        shape, strides = (*shape[:2], *[1] * (input.ndim - 2)), None
    kind = input.dtype
    kept = drawn(lambda: bernoulli_mask(shape, 1 - p, kind, strides), kind)
    if not alpha:
        noise = kept / (1 - p)
        return in_place_or_not(lambda x: x * noise, input, inplace)
    scale = 1 / math.sqrt((ALPHA * ALPHA * p + 1) * (1 - p))
    shift = (kept - 1) * (ALPHA * scale) + ALPHA * scale * p
    noise = kept * scale
    return in_place_or_not(lambda x: x * noise + shift, input, inplace)


@operator(method=False, out=False, namespace="nn.functional")
def dropout(input, p=0.5, training=True, inplace=False):
    """Zeroes elements with probability p and scales the others by `1 / (1 - p)`, when training.

    Hinton et al., arXiv:1207.0580.
    """
    _check_probability(p)
    return _drop(input, p, training, inplace, features=False, alpha=False)


@operator(method=False, out=False, namespace="nn.functional")
def alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Dropout that keeps mean and variance of SELU activations (arXiv:1706.02515)."""
    _check_probability(p)
    return _drop(input, p, training, inplace, features=False, alpha=True)


@operator(method=False, out=False, namespace="nn.functional")
def feature_alpha_dropout(input, p=0.5, training=False, inplace=False):
    """Alpha dropout of whole channels."""
    _check_probability(p)
    return _drop(input, p, training, inplace, features=True, alpha=True)


def feature_dropout(input, p, training, inplace=False):
    """Dropout of whole channels of (batch, channels, *)."""
    _check_probability(p)
    return _drop(input, p, training, inplace, features=True, alpha=False)


def _warn_about_dimensions(name, ndim, spatial):
    if ndim in (spatial + 1, spatial + 2):
        return
    warnings.warn(
        f"{name}: Received a {ndim}-D input to {name}, which is deprecated and will result in an "
        "error in a future release. To retain the behavior and silence this warning, please use "
        f"dropout instead. Note that {name} exists to provide channel-wise dropout on inputs with "
        f"{spatial} spatial dimensions, a channel dimension, and an optional batch dimension (i.e. "
        f"{spatial + 1}D or {spatial + 2}D inputs).",
        stacklevel=3,
    )


def _drop_unbatched(input, p, training, inplace, batched_ndim):
    """Dropout of whole channels where the batch dimension may be missing."""
    if input.ndim == batched_ndim or not training:
        return feature_dropout(input, p, training, inplace)
    result = feature_dropout(input.unsqueeze(0), p, training, False).squeeze(0)
    return in_place_or_not(lambda _: result, input, inplace)


@operator(method=False, out=False, namespace="nn.functional")
def dropout1d(input, p=0.5, training=True, inplace=False):
    """Dropout of whole channels of (batch, channels, length) or (channels, length)."""
    _check_probability(p)
    if input.ndim not in (2, 3):
        raise RuntimeError(
            f"dropout1d: Expected 2D or 3D input, but received a {input.ndim}D input. Note that "
            "dropout1d exists to provide channel-wise dropout on inputs with 1 spatial dimension, "
            "a channel dimension, and an optional batch dimension (i.e. 2D or 3D inputs)."
        )
    return _drop_unbatched(input, p, training, inplace, 3)


@operator(method=False, out=False, namespace="nn.functional")
def dropout2d(input, p=0.5, training=True, inplace=False):
    """Dropout of whole channels of (batch, channels, height, width).

    An input of three dimensions counts as (batch, channels, length), as in PyTorch.
    """
    _check_probability(p)
    _warn_about_dimensions("dropout2d", input.ndim, 2)
    if input.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout "
            "behavior is desired - input is interpreted as shape (N, C, L), where C is the channel "
            "dim. This behavior will change in a future release to interpret the input as one "
            "without a batch dimension, i.e. shape (C, H, W). To maintain the 1D channel-wise "
            "dropout behavior, please switch to using dropout1d instead.",
            stacklevel=2,
        )
    return feature_dropout(input, p, training, inplace)


@operator(method=False, out=False, namespace="nn.functional")
def dropout3d(input, p=0.5, training=True, inplace=False):
    """Dropout of whole channels of (batch, channels, depth, height, width), batch optional."""
    _check_probability(p)
    _warn_about_dimensions("dropout3d", input.ndim, 3)
    return _drop_unbatched(input, p, training, inplace, 5)


# -------------------------------------------------------------------- torch.dropout and its kin


def _declare(name, *, features, alpha):
    """The functions of torch itself, under a name and the name with an underscore."""

    def form(name, inplace):
        def declared(input, p, train):
            if p < 0.0 or p > 1.0:
                raise RuntimeError(f"dropout probability has to be between 0 and 1, but got {p:g}")
            return _drop(input, p, train, inplace, features=features, alpha=alpha)

        declared.__name__ = declared.__qualname__ = name
        where = " in place" if inplace else ""
        declared.__doc__ = f"`nn.functional.{name.rstrip('_')}`{where}, with all arguments given."
        operator(method=False, out=False)(declared)

    form(name, False)
    form(name + "_", True)


_declare("dropout", features=False, alpha=False)
_declare("alpha_dropout", features=False, alpha=True)
_declare("feature_dropout", features=True, alpha=False)
_declare("feature_alpha_dropout", features=True, alpha=True)
