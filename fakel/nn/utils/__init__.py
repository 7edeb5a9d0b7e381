"""Helpers around modules, parameters and gradients, as in torch.nn.utils."""

# rnn comes first: the recurrent layers, which the other files lead to, import it.
from fakel.nn.utils import rnn  # isort: skip
from fakel.nn.utils import parametrizations, parametrize, prune, stateless
from fakel.nn.utils.clip_grad import (
    clip_grad_norm,
    clip_grad_norm_,
    clip_grad_value_,
    clip_grads_with_norm_,
    get_total_norm,
)
from fakel.nn.utils.convert_parameters import parameters_to_vector, vector_to_parameters
from fakel.nn.utils.fusion import (
    fuse_conv_bn_eval,
    fuse_conv_bn_weights,
    fuse_linear_bn_eval,
    fuse_linear_bn_weights,
)
from fakel.nn.utils.spectral_norm import remove_spectral_norm, spectral_norm
from fakel.nn.utils.weight_norm import remove_weight_norm, weight_norm

__all__ = [
    "clip_grad_norm",
    "clip_grad_norm_",
    "clip_grad_value_",
    "clip_grads_with_norm_",
    "fuse_conv_bn_eval",
    "fuse_conv_bn_weights",
    "fuse_linear_bn_eval",
    "fuse_linear_bn_weights",
    "get_total_norm",
    "parameters_to_vector",
    "parametrizations",
    "parametrize",
    "prune",
    "remove_spectral_norm",
    "remove_weight_norm",
    "rnn",
    "spectral_norm",
    "stateless",
    "vector_to_parameters",
    "weight_norm",
]
