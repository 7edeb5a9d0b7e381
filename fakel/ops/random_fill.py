"""Tensor methods that fill a tensor with random numbers: ``uniform_``, ``normal_`` and the like.

Numbers are drawn at once, when the method is called, and become a new value of the storage. They
are drawn in the order in which the elements lie in memory, as in PyTorch: a transposed tensor gets
the numbers that the same memory would get untransposed.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fakel.autograd.modes import state
from fakel.graph import leaf
from fakel.interpreter import narrow, widen
from fakel.ops.declare import gradient, method, primitive
from fakel.ops.inplace import before, check_writable, store
from fakel.ops.primitive import Primitive
from fakel.tensor import Tensor, dtype, dtypes, sampling
from fakel.tensor.generator import Generator, default_generator
from fakel.tensor.memory import memory_order, memory_strides
from fakel.tensor.size import is_contiguous

INT64_MIN = -(1 << 63)
FLOATS = ("float16", "bfloat16", "float32", "float64")
_INTEGERS = ("uint8", "int8", "int16", "int32", "int64")
_TRUTHS = (*FLOATS, *_INTEGERS, "bool")
_BAD_PROBABILITY = (
    "Expected p_in >= 0 && p_in <= 1 to be true, but got false.  (Could this error message be "
    "improved?  If so, please report an enhancement request to PyTorch.)"
)

# -------------------------------------------------------------------- helpers


def chosen_generator(name: str, generator: Any) -> Generator:
    """The generator that was asked for, the default one for None."""
    if generator is None:
        return default_generator
    if not isinstance(generator, Generator):
        found = type(generator).__name__
        raise TypeError(f"{name}(): argument 'generator' must be torch.Generator, not {found}")
    return generator


def check_dtype(kernel: str, kind: dtype, *names: str) -> None:
    """Refuses dtypes that a kernel is not there for."""
    if kind.name not in names:
        raise NotImplementedError(f"\"{kernel}\" not implemented for '{kind.letter}'")


def number(name: str, argument: str, position: int, value: Any) -> float:
    """A Python number from an argument that must be one."""
    if isinstance(value, Tensor) and value.numel() == 1 and not value.requires_grad:
        value = value.item()
    if isinstance(value, (int, float, np.number)):
        return float(value)
    raise TypeError(
        f"{name}(): argument '{argument}' (position {position}) must be float, not "
        f"{type(value).__name__}"
    )


def in_memory_order(
    flat: np.ndarray, shape: Sequence[int], strides: Sequence[int] | None
) -> np.ndarray:
    """Numbers in the order in which elements lie in memory, as an array of the tensor's shape.

    Args:
        flat: one number for each element.
        shape: the tensor's shape.
        strides: its strides; None for a contiguous tensor.
    """
    if strides is None or is_contiguous(tuple(shape), tuple(strides)):
        return flat.reshape(shape)
    order = memory_order(shape, strides)
    array = flat.reshape([shape[dim] for dim in order])
    return np.ascontiguousarray(array.transpose(np.argsort(order)))


@functools.cache
def _replacement(backward_name: str) -> Primitive:
    """A node whose value is its last input. To the others, on which it depends, it passes zeros."""

    @primitive("replace_by_random", backward_name)
    def replace(*tensors: np.ndarray) -> np.ndarray:
        return tensors[-1].copy()

    def zeros(grad: Tensor, needs: tuple[bool, ...]) -> tuple[Tensor | None, ...]:
        zero = grad.new_zeros(grad.shape)  # type: ignore[attr-defined]
        return tuple(zero if need else None for need in needs)

    gradient(replace, joint=zeros)
    return replace


def without_gradient(values: Tensor, backward_name: str, *sources: Tensor) -> Tensor:
    """Random values that depend on tensors, tied to those that need a gradient: it is zero."""
    if state.enabled and any(source.requires_grad for source in sources):
        return _replacement(backward_name)(  # type: ignore[no-any-return]
            *sources, values, shape=values.shape, dtype=values.dtype
        )
    return values


def fill(tensor: Tensor, flat: np.ndarray, backward_name: str) -> Tensor:
    """Writes freshly drawn numbers, in memory order and storage dtype, into a tensor."""
    array = in_memory_order(flat, tensor._shape, memory_strides(tensor))
    if state.enabled and tensor.requires_grad:
        values = Tensor._from_array(array, tensor.dtype)
        store(tensor, _replacement(backward_name)(before(tensor), values))
    else:
        tensor._assign(leaf(array, tensor.dtype))
    return tensor


# -------------------------------------------------------------------- values, with PyTorch's checks


def _real(values: Callable[..., np.ndarray], kind: dtype, count: int) -> np.ndarray:
    """Values of a complex dtype from twice as many of its parts' dtype."""
    if kind.is_complex:
        return values(kind.to_real(), 2 * count).view(kind.storage)
    return values(kind, count)


def uniform_values(
    generator: Generator, count: int, low: float, high: float, kind: dtype
) -> np.ndarray:
    """Numbers from [low, high), after PyTorch's checks of range and dtype."""
    real = kind.to_real()
    check_dtype("check_uniform_bounds", real, *FLOATS)
    largest = _largest(real)
    for name, bound in (("from", low), ("to", high)):
        if not -largest <= bound <= largest:
            raise RuntimeError(f"{name} is out of bounds for {real.c_name}")
    if not low <= high:
        raise RuntimeError(
            f"uniform_ expects to return a [from, to) range, but found from={low:g} > to={high:g}"
        )
    if not high - low <= largest:
        raise RuntimeError(
            f"uniform_ expects to-from <= std::numeric_limits<{real.letter}>::max(), but found "
            f"to={high:g} and from={low:g} which result in to-from to exceed the limit"
        )
    return _real(lambda each, n: sampling.uniform(generator, n, low, high, each), kind, count)


def normal_values(
    generator: Generator, count: int, mean: float, std: float, kind: dtype, blocks: bool = True
) -> np.ndarray:
    """Normal numbers, after PyTorch's checks; complex ones have half the variance in each part."""
    if not std >= 0:
        raise RuntimeError(f"normal expects std >= 0.0, but found std {std:g}")
    if not count:
        return np.empty(0, kind.storage)
    if kind.is_complex:
        std /= math.sqrt(2)
    check_dtype("normal_kernel_cpu", kind.to_real(), *FLOATS)

    def real(each: dtype, n: int) -> np.ndarray:
        return sampling.normal(generator, n, mean, std, each, blocks)

    return _real(real, kind, count)


def _largest(kind: dtype) -> float:
    if kind is dtypes.bfloat16:
        return float(widen(np.array(0x7F7F, np.uint16), kind))
    return float(np.finfo(kind.storage).max)


def integer_values(
    generator: Generator, count: int, low: int, high: int | None, kind: dtype
) -> np.ndarray:
    """Integers from [low, high), or up to the dtype's largest one without ``high``."""
    if high is None and low == INT64_MIN:
        if count and kind.name not in ("int64", "float64", "float32", "bfloat16"):
            raise RuntimeError(
                "random_full_64_bits_range_kernel_cpu handles only int64, double, float and "
                "bfloat16"
            )
        return sampling.any_int64(generator, count, kind)
    floating = kind.is_floating_point
    if high is not None:
        if not low < high:
            raise RuntimeError(
                f"random_ expects 'from' to be less than 'to', but got from={low} >= to={high}"
            )
        if floating:
            low, high = _representable_from(low, kind), _representable_to(high, kind)
            if not low < high:
                raise RuntimeError(
                    "random_ expects 'from' casted to dtype to be less than 'to' casted to dtype, "
                    f"but got from={low} >= to={high}"
                )
    elif floating:
        high = (1 << sampling.DIGITS[kind.name]) + 1
        low = _representable_from(low, kind)
        if not low < high - 1:
            raise RuntimeError(
                "random_ expects 'from' casted to dtype to be less than or equal to 'to_inc' "
                f"casted to dtype, but got from={low} > to_inc={high - 1}"
            )
    elif kind is dtypes.bool_:
        high = 2
    elif kind.is_complex:
        raise RuntimeError(
            "random_from_to_impl handles only integral, floating-point and boolean types"
        )
    else:
        high = min(int(np.iinfo(kind.storage).max), (1 << 63) - 1) + 1
    _check_bounds(low, high - 1, kind)
    if not count:
        return np.empty(0, kind.storage)
    return sampling.integers(generator, count, low, high, kind)


def _check_bounds(low: int, last: int, kind: dtype) -> None:
    if kind.is_complex:
        raise RuntimeError(
            "check_random_bounds handles only integral, floating-point and boolean types"
        )
    smallest: float
    largest: float
    if kind.is_floating_point:
        largest = _largest(kind)
        smallest = -largest
    elif kind is dtypes.bool_:
        smallest, largest = 0, 1
    else:
        limits = np.iinfo(kind.storage)
        smallest, largest = int(limits.min), min(int(limits.max), (1 << 63) - 1)
    for name, bound in (("from", low), ("to - 1", last)):
        if not smallest <= bound <= largest:
            raise RuntimeError(f"{name} is out of bounds for {kind.c_name}")
    if not kind.is_floating_point:
        return
    digits = sampling.DIGITS[kind.name]
    for name, bound in (("from", low), ("to - 1", last)):
        if abs(bound) > 1 << digits:
            warnings.warn(
                f"{name} is out of bounds [-(2^{digits}), 2^{digits}]. Due to precision "
                f"limitations {kind.c_name} can support discrete uniform distribution only "
                "within this range. This warning will become an error in version 1.7 release, "
                "please fix the code in advance",
                stacklevel=6,
            )


def _representable_from(low: int, kind: dtype) -> int:
    """The lower bound, moved up where the next integer rounds to one below it."""
    following = _rounded(low + 1, kind)
    if following is None or following >= low:
        return low
    return following + _spacing(low + 1, kind)


def _representable_to(high: int, kind: dtype) -> int:
    """The upper bound, moved down where the integer before it rounds up to it."""
    preceding = _rounded(high - 1, kind)
    if preceding is None or preceding < high:
        return high
    return preceding - _spacing(high - 1, kind)


def _rounded(integer: int, kind: dtype) -> int | None:
    with np.errstate(over="ignore"):
        single = np.array(integer, np.float64 if kind is dtypes.float64 else np.float32)
        value = float(widen(narrow(single, kind), kind))
    return int(value) if math.isfinite(value) else None


def _spacing(integer: int, kind: dtype) -> int:
    shift = abs(integer).bit_length() - sampling.DIGITS[kind.name]
    return 1 << shift if shift >= 0 else 0


# -------------------------------------------------------------------- the methods


@method
def uniform_(
    self: Tensor, low: float = 0.0, to: float = 1.0, *, generator: Any = None, **named: float
) -> Tensor:
    """Fills the tensor with numbers from [low, to).

    Args:
        self: the tensor.
        low: the lower bound, called ``from`` as a keyword.
        to: the upper bound.
        generator: what the numbers are drawn from; the default generator for None.
        named: the lower bound by its name, ``from``.
    """
    low = number("uniform_", "from", 1, _from("uniform_", named, low))
    to = number("uniform_", "to", 2, to)
    source = chosen_generator("uniform_", generator)
    check_writable(self)
    return fill(self, uniform_values(source, self.numel(), low, to, self.dtype), "UniformBackward0")


def _from(name: str, named: dict[str, Any], default: Any) -> Any:
    """``from`` is a word of Python's own: only ``**{"from": …}`` can pass it by name."""
    value = named.pop("from", default)
    for argument in named:
        raise TypeError(f"{name}() got an unexpected keyword argument '{argument}'")
    return value


@method
def normal_(self: Tensor, mean: float = 0.0, std: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fills the tensor with normal numbers.

    Args:
        self: the tensor.
        mean: their mean.
        std: their standard deviation, not negative.
        generator: what the numbers are drawn from; the default generator for None.
    """
    mean, std = number("normal_", "mean", 1, mean), number("normal_", "std", 2, std)
    source = chosen_generator("normal_", generator)
    check_writable(self)
    strides = memory_strides(self)
    contiguous = strides is None or is_contiguous(self._shape, strides)
    values = normal_values(source, self.numel(), mean, std, self.dtype, blocks=contiguous)
    return fill(self, values, "NormalBackward0")


@method
def random_(self: Tensor, *bounds: int | None, generator: Any = None, **named: Any) -> Tensor:
    """Fills the tensor with integers.

    ``random_()`` takes all from 0 to the dtype's largest (up to 2**digits for floating point),
    ``random_(to)`` those from [0, to), ``random_(from, to)`` those from [from, to), where ``to``
    may be None for the dtype's largest.

    Args:
        self: the tensor.
        bounds: none, ``to``, or ``from`` and ``to``.
        generator: what the numbers are drawn from; the default generator for None.
        named: bounds by their names.
    """
    limits = _bounds(bounds, named)
    source = chosen_generator("random_", generator)
    check_writable(self)
    count, kind = self.numel(), self.dtype
    if limits is not None:
        low, high = limits
        values = integer_values(source, count, low, high, kind)
        return fill(self, values, "RandomBackward0" if high is None else "RandomBackward1")
    if count:
        check_dtype("random_kernel_cpu", kind, *_TRUTHS)
    return fill(self, sampling.any_integers(source, count, kind), "RandomBackward2")


def _bounds(positional: tuple[Any, ...], named: dict[str, Any]) -> tuple[int, int | None] | None:
    """Both bounds, None without arguments."""
    if not positional and not named:
        return None
    only_upper = len(positional) == 1 and not named
    given = dict(zip(("to",) if only_upper else ("from", "to"), positional, strict=False))
    fitting = len(positional) <= 2 and set(named) <= {"from", "to"} - set(given)
    given.update(named)
    low, high = given.get("from", 0), given.get("to", "missing")
    whole_range = high is None and "from" in given
    if not (fitting and _is_integer(low) and (whole_range or _is_integer(high))):
        got = [type(value).__name__ for value in positional]
        got += [f"{name}={type(value).__name__}" for name, value in named.items()]
        raise TypeError(
            f"random_() received an invalid combination of arguments - got ({', '.join(got)}), but "
            "expected one of:\n * (*, torch.Generator generator = None)\n * (int from, int to, *, "
            "torch.Generator generator = None)\n * (int to, *, torch.Generator generator = None)\n"
        )
    return int(low), None if high is None else int(high)


def _is_integer(value: Any) -> bool:
    return hasattr(value, "__index__") and not isinstance(value, bool)


@method
def bernoulli_(self: Tensor, p: Any = 0.5, *, generator: Any = None) -> Tensor:
    """Fills the tensor with ones and zeros.

    Args:
        self: the tensor.
        p: the probability of a one: a number, or a tensor that can be expanded to this one.
        generator: what the numbers are drawn from; the default generator for None.
    """
    source = chosen_generator("bernoulli_", generator)
    if isinstance(p, Tensor):
        check_writable(self)
        if not self.numel():
            return self
        check_truths(self.dtype)
        expanded = p.detach().expand(self._shape)  # type: ignore[attr-defined]
        probabilities = _to_memory_order(expanded._values(), memory_strides(self))
        truths = drawn_truths(source, probabilities, p.dtype)
        return fill(self, narrow(truths, self.dtype), "BernoulliBackward1")
    check_writable(self)
    values = equal_truths(source, self.numel(), p, self.dtype)
    return fill(self, values, "BernoulliBackward2")


def equal_truths(source: Generator, count: int, p: Any, kind: dtype) -> np.ndarray:
    """Ones and zeros of one probability, in storage dtype."""
    p = number("bernoulli_", "p", 1, p)
    if not 0 <= p <= 1:
        raise RuntimeError(f"bernoulli_ expects p to be in [0, 1], but got p={p:g}")
    if count:
        check_dtype("bernoulli_scalar_cpu_", kind, *_TRUTHS)
    return narrow(sampling.bernoulli(source, count, p), kind)


def _to_memory_order(array: np.ndarray, strides: Sequence[int] | None) -> np.ndarray:
    """The elements of an array in the order in which those of a tensor lie in memory."""
    if strides is not None:
        array = array.transpose(memory_order(array.shape, strides))
    return array.reshape(-1)


def check_truths(kind: dtype) -> None:
    """Refuses dtypes that cannot hold truth values."""
    check_dtype("bernoulli_tensor_cpu_self_", kind, *_TRUTHS)


def drawn_truths(source: Generator, probabilities: np.ndarray, kind: dtype) -> np.ndarray:
    """Truth values with a probability each: a flat array, of a tensor of dtype ``kind``."""
    check_dtype("bernoulli_tensor_cpu_p_", kind, *FLOATS)
    if not ((probabilities >= 0) & (probabilities <= 1)).all():
        raise RuntimeError(_BAD_PROBABILITY)
    return sampling.bernoulli_each(source, probabilities)


@method
def exponential_(self: Tensor, lambd: float = 1.0, *, generator: Any = None) -> Tensor:
    """Fills the tensor with numbers of the exponential distribution.

    Args:
        self: the tensor.
        lambd: the rate, positive.
        generator: what the numbers are drawn from; the default generator for None.
    """
    lambd = number("exponential_", "lambd", 1, lambd)
    if not lambd > 0:
        raise RuntimeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd:g}")
    source = chosen_generator("exponential_", generator)
    check_writable(self)
    if self.numel() and not self.dtype.is_floating_point:
        raise RuntimeError(
            "Exponential distribution is a continuous probability distribution. dtype must be a "
            f"floating point but you specified {self.dtype.letter}"
        )
    values = sampling.exponential(source, self.numel(), lambd, self.dtype)
    return fill(self, values, "ExponentialBackward0")


@method
def geometric_(self: Tensor, p: float, *, generator: Any = None) -> Tensor:
    """Fills the tensor with numbers of trials until one of probability ``p`` succeeds.

    Args:
        self: the tensor.
        p: between 0 and 1.
        generator: what the numbers are drawn from; the default generator for None.
    """
    p = number("geometric_", "p", 1, p)
    if not 0 < p < 1:
        raise RuntimeError(f"geometric_ expects p to be in (0, 1), but got p={p:g}")
    source = chosen_generator("geometric_", generator)
    check_writable(self)
    if self.numel():
        check_dtype("geometric_cpu", self.dtype, *FLOATS, *_INTEGERS)
    return fill(self, sampling.geometric(source, self.numel(), p, self.dtype), "GeometricBackward0")


@method
def log_normal_(
    self: Tensor, mean: float = 1.0, std: float = 2.0, *, generator: Any = None
) -> Tensor:
    """Fills the tensor with numbers whose logarithms are normal.

    Args:
        self: the tensor.
        mean: mean of the logarithms.
        std: their standard deviation, positive.
        generator: what the numbers are drawn from; the default generator for None.
    """
    mean, std = number("log_normal_", "mean", 1, mean), number("log_normal_", "std", 2, std)
    if not std > 0:
        raise RuntimeError(f"log_normal_ expects std > 0.0, but found std={std:g}")
    source = chosen_generator("log_normal_", generator)
    check_writable(self)
    if self.numel():
        check_dtype("log_normal_cpu", self.dtype, *FLOATS)
    values = sampling.log_normal(source, self.numel(), mean, std, self.dtype)
    return fill(self, values, "LogNormalBackward0")


@method
def cauchy_(
    self: Tensor, median: float = 0.0, sigma: float = 1.0, *, generator: Any = None
) -> Tensor:
    """Fills the tensor with numbers of the Cauchy distribution.

    Args:
        self: the tensor.
        median: where its density is largest.
        sigma: half of its width at half of that, positive.
        generator: what the numbers are drawn from; the default generator for None.
    """
    median, sigma = number("cauchy_", "median", 1, median), number("cauchy_", "sigma", 2, sigma)
    if not sigma > 0:
        raise RuntimeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma:g}")
    source = chosen_generator("cauchy_", generator)
    check_writable(self)
    if not self.dtype.is_floating_point:
        raise RuntimeError(
            "Cauchy distribution is a continuous probability distribution. dtype must be a "
            f"floating point but you specified {self.dtype.c_name}"
        )
    values = sampling.cauchy(source, self.numel(), median, sigma, self.dtype)
    return fill(self, values, "CauchyBackward0")
