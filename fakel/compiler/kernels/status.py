"""Statuses of failed kernels that carry a number: the index or target that is wrong."""

from __future__ import annotations

from fakel.compiler.loop_ir.language import Expression, call

# a status has 32 bits and is not 0; numbers from -2**31 on fit, others become the nearest that does
_MIDDLE = 2**31


def status_of(number: Expression) -> Expression:
    """The status that stands for an i64."""
    return call("max", call("min", number + _MIDDLE, 2 * _MIDDLE - 1), 1)


def number_of(status: int) -> int:
    """The number that a status stands for."""
    return status - _MIDDLE
