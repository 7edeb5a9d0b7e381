"""Automatic differentiation: the tape, ``backward`` and ``grad``, grad modes, custom functions."""

import importlib
from typing import Any

from fakel.autograd import anomaly, function, functional, graph, methods
from fakel.autograd.anomaly import detect_anomaly, set_detect_anomaly
from fakel.autograd.backward import backward, grad
from fakel.autograd.function import Function
from fakel.autograd.gradcheck import gradcheck, gradgradcheck
from fakel.autograd.modes import (
    enable_grad,
    inference_mode,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    set_grad_enabled,
)
from fakel.autograd.variable import Variable

__all__ = [
    "Function",
    "Variable",
    "anomaly",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "function",
    "functional",
    "grad",
    "gradcheck",
    "gradgradcheck",
    "graph",
    "inference_mode",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "methods",
    "no_grad",
    "set_detect_anomaly",
    "set_grad_enabled",
]


def __getattr__(name: str) -> Any:
    # loaded at its first use
    if name == "profiler":
        return importlib.import_module("fakel.autograd.profiler")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
