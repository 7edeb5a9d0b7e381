"""Rounding to integers and fractional parts."""

from __future__ import annotations

from operator import index

import numpy as np

from fakel import ops
from fakel.ops.checks import BOOL, COMPLEX, INTEGER, floating_only, refuse
from fakel.ops.declare import Primitive, gradient, operator
from fakel.ops.primitive import shown_as


def _declare(name, meaning, documentation, aliases=()):
    node = Primitive(name, lambda input: meaning(input))
    gradient(node, input=lambda grad: ops.zeros_like(grad))

    def declared(input):
        if input.is_complex():
            raise NotImplementedError(f"{name} is not supported for complex inputs")
        refuse(f"{name}_vml_cpu", input.dtype, BOOL)
        return node(input) if input.is_floating_point() else input.clone()

    declared.__name__ = declared.__qualname__ = name
    declared.__doc__ = documentation
    return operator(inplace=True, aliases=aliases)(declared)


floor = _declare("floor", np.floor, "The largest integer not above each element.")
ceil = _declare("ceil", np.ceil, "The smallest integer not below each element.")
trunc = _declare("trunc", np.trunc, "Each element without its fractional part.", aliases=("fix",))


def _round_meaning(input, *, decimals):
    if decimals == 0:
        return np.rint(input)
    scale = input.dtype.type(10.0 ** abs(decimals))
    return np.rint(input * scale) / scale if decimals > 0 else np.rint(input / scale) * scale


_round = Primitive("round", _round_meaning)
gradient(_round, input=lambda grad: ops.zeros_like(grad))
_round_to_decimals = shown_as(_round, "RoundBackward1")


@operator(inplace=True)
def round(input, *, decimals=None):
    """Each element rounded to the nearest integer, halves to the even one.

    Args:
        decimals: digits after the point to keep, of floating-point numbers; negative ones count
            before the point.
    """
    decimals = None if decimals is None else index(decimals)
    if decimals:
        floating_only("round_cpu", input)
        return _round_to_decimals(input, decimals=int(decimals))
    refuse("round_vml_cpu", input.dtype, BOOL, COMPLEX)
    if input.is_floating_point():
        return _round(input, decimals=0)
    if decimals is not None:
        refuse("round_vml_cpu", input.dtype, INTEGER)
    return input.clone()


_frac = Primitive("frac", lambda input: input - np.trunc(input))
gradient(_frac, input=lambda grad: grad)


@operator(inplace=True)
def frac(input):
    """The fractional part of each element, with its sign."""
    refuse("frac_cpu", input.dtype, BOOL, INTEGER, COMPLEX)
    return _frac(input)
