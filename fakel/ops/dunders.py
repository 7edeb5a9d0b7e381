"""Python's operators on tensors: ``x + y``, ``2 ** x``, ``x @ y`` and so on.

An operand that is neither a tensor, a number nor an array leaves the decision to that operand.
"""

from __future__ import annotations

import numpy as np

from fakel import ops
from fakel.ops import arithmetic, bitwise, comparison
from fakel.tensor import Tensor

_OPERANDS = (Tensor, bool, int, float, complex, np.generic)


def _declare(name, function, reverse=False):
    def method(self, other):
        if not isinstance(other, _OPERANDS):
            if not isinstance(other, np.ndarray):
                return NotImplemented
            other = ops.from_numpy(other)
        return function(other, self) if reverse else function(self, other)

    method.__name__ = name
    method.__qualname__ = f"Tensor.{name}"
    setattr(Tensor, name, method)


def _declare_in_place(name, function):
    def method(self, other):
        return function(self, other) if isinstance(other, _OPERANDS) else NotImplemented

    method.__name__ = name
    method.__qualname__ = f"Tensor.{name}"
    setattr(Tensor, name, method)


for _name, _function in {
    "add": arithmetic.add,
    "sub": arithmetic.sub,
    "mul": arithmetic.mul,
    "truediv": arithmetic.div,
    "floordiv": arithmetic.floor_divide,
    "mod": arithmetic.remainder,
    "pow": arithmetic.pow,
    "and": bitwise.bitwise_and,
    "or": bitwise.bitwise_or,
    "xor": bitwise.bitwise_xor,
    "lshift": bitwise.bitwise_left_shift,
    "rshift": bitwise.bitwise_right_shift,
}.items():
    _declare(f"__{_name}__", _function)
    _declare(f"__r{_name}__", _function, reverse=True)


def _rtruediv(self, other):
    if isinstance(other, Tensor) or not isinstance(other, _OPERANDS):
        return NotImplemented
    return arithmetic.divide_number(self, other)


Tensor.__rtruediv__ = _rtruediv

for _name in ("eq", "ne", "lt", "le", "gt", "ge"):
    _declare(f"__{_name}__", getattr(comparison, _name))

for _name, _method in {
    "iadd": "add_",
    "isub": "sub_",
    "imul": "mul_",
    "itruediv": "div_",
    "ifloordiv": "floor_divide_",
    "imod": "remainder_",
    "ipow": "pow_",
    "iand": "bitwise_and_",
    "ior": "bitwise_or_",
    "ixor": "bitwise_xor_",
    "ilshift": "bitwise_left_shift_",
    "irshift": "bitwise_right_shift_",
}.items():
    _declare_in_place(f"__{_name}__", getattr(Tensor, _method))


def _contains(self, element):
    if not isinstance(element, _OPERANDS):
        raise RuntimeError(
            "Tensor.__contains__ only supports Tensor or scalar, but you passed in a "
            f"{type(element)}."
        )
    return bool((self == element).any())


def _reversed(self):
    return self.flip(tuple(range(self.ndim))) if self.ndim else self


Tensor.__contains__ = _contains
Tensor.__reversed__ = _reversed
Tensor.__neg__ = arithmetic.neg
Tensor.__pos__ = arithmetic.positive
Tensor.__abs__ = arithmetic.abs
Tensor.__invert__ = bitwise.invert
# torch's names from before true division
Tensor.__div__ = Tensor.__truediv__
Tensor.__rdiv__ = Tensor.__rtruediv__
Tensor.__idiv__ = Tensor.__itruediv__
