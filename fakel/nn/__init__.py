"""Layers, containers, losses and their functional forms, as in torch.nn."""

from fakel.nn import attention, common_types, functional, grad, init, modules, parallel, utils
from fakel.nn.modules import *  # noqa: F403
from fakel.nn.modules import __all__ as _layers
from fakel.nn.parallel import DataParallel
from fakel.nn.parameter import Buffer, Parameter, UninitializedBuffer, UninitializedParameter

__all__ = [
    "Buffer",
    "DataParallel",
    "Parameter",
    "UninitializedBuffer",
    "UninitializedParameter",
    "attention",
    "common_types",
    "functional",
    "grad",
    "init",
    "modules",
    "parallel",
    "utils",
    *_layers,
]
