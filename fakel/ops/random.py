"""New random tensors: ``rand``, ``randn``, ``randint``, ``randperm``, and those like another.

The streams are those of PyTorch on a CPU: see ``fakel/tensor/sampling.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from fakel.autograd.modes import state
from fakel.graph import leaf, watching
from fakel.interpreter import narrow
from fakel.ops.checks import check_tensor
from fakel.ops.declare import function
from fakel.ops.options import Options, integer_argument, shape_argument
from fakel.ops.random_fill import (
    check_dtype,
    chosen_generator,
    fill,
    in_memory_order,
    integer_values,
    normal_values,
    uniform_values,
)
from fakel.tensor import Size, Tensor, dtype, dtypes, get_default_dtype, sampling
from fakel.tensor.generator import Generator, default_generator
from fakel.tensor.memory import dense_strides, memory_order, memory_strides
from fakel.tensor.size import is_contiguous

# -------------------------------------------------------------------- new tensors


def made(array: np.ndarray, kind: dtype, requires_grad: bool = False) -> Tensor:
    """A new tensor of freshly drawn numbers."""
    result = Tensor._from_array(array, kind)
    if requires_grad:
        result.requires_grad = True
    if state.inference:
        result._storage.inference = True
    return result


def finished(options: Options, flat: np.ndarray, shape: Sequence[int]) -> Tensor:
    """The drawn numbers as a new tensor, or written into ``out``."""
    out = options.out
    if out is None:
        return made(flat.reshape(shape), options.dtype, options.requires_grad)
    if out._shape != tuple(shape):
        out.resize_(shape)
    return fill(out, flat, "RandomBackward0")


def normal_numbers(
    generator: Generator, shape: Size, mean: float, std: float, options: Options
) -> Tensor:
    """A new tensor of normal numbers; PyTorch makes them in blocks in contiguous memory only."""
    out = options.out
    blocks = out is None or out._shape != shape or out.is_contiguous()  # type: ignore[attr-defined]
    values = normal_values(generator, shape.numel(), mean, std, options.dtype, blocks)
    return finished(options, values, shape)


def _sizes(name: str, positional: tuple[Any, ...], size: Any) -> Size:
    if size is not None and not positional:
        return shape_argument(name, size, unpacked=False, position=0)
    if size is not None or not positional:
        got = ", ".join(type(value).__name__ for value in positional)
        raise TypeError(f"{name}() received an invalid combination of arguments - got ({got})")
    return shape_argument(name, positional, unpacked=True)


@function
def rand(
    *sizes: Any,
    size: Any = None,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Numbers drawn evenly from [0, 1).

    Args:
        sizes: the shape, as several ints or one tuple (also by the name ``size``).
        size: the shape by name.
        generator: what the numbers are drawn from; the default generator for None.
        out: a tensor to write into.
        dtype: floating point or complex; the default dtype for None.
        layout: strided, the only one there is.
        device: the CPU.
        requires_grad: whether the result requires a gradient.
        pin_memory: must be False.
    """
    shape = _sizes("rand", sizes, size)
    options = Options(
        "rand", dtype, get_default_dtype(), out, layout, device, requires_grad, pin_memory
    )
    source = chosen_generator("rand", generator)
    options.check_out()
    return finished(options, uniform_values(source, shape.numel(), 0.0, 1.0, options.dtype), shape)


@function
def randn(
    *sizes: Any,
    size: Any = None,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Numbers of the standard normal distribution.

    The arguments are those of ``rand``.
    """
    shape = _sizes("randn", sizes, size)
    options = Options(
        "randn", dtype, get_default_dtype(), out, layout, device, requires_grad, pin_memory
    )
    source = chosen_generator("randn", generator)
    options.check_out()
    return normal_numbers(source, shape, 0.0, 1.0, options)


_MISSING: Any = object()


def _arguments(name: str, positional: tuple[Any, ...], named: dict[str, Any]) -> list[Any]:
    """The values of ``(high, size)`` or ``(low, high, size)``, whichever was meant."""
    for names in (("high", "size"), ("low", "high", "size")):
        rest = names[len(positional) :]
        sized = len(positional) < len(names) or isinstance(positional[-1], (tuple, list))
        if len(positional) <= len(names) and set(rest) == set(named) and sized:
            values = [*positional, *(named[each] for each in rest)]
            return [0, *values] if len(values) == 2 else values
    got = [type(value).__name__ for value in positional]
    got += [f"{each}={type(value).__name__}" for each, value in named.items()]
    raise TypeError(
        f"{name}() received an invalid combination of arguments - got ({', '.join(got)})"
    )


@function
def randint(
    *arguments: Any,
    low: Any = _MISSING,
    high: Any = _MISSING,
    size: Any = _MISSING,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Integers drawn evenly from [low, high).

    ``randint(high, size)`` or ``randint(low, high, size)``.

    Args:
        arguments: the bounds and the shape, as above.
        low: the lower bound by name.
        high: the upper bound by name.
        size: the shape by name.
        generator: what the numbers are drawn from; the default generator for None.
        out: a tensor to write into.
        dtype: int64 for None.
        layout: strided, the only one there is.
        device: the CPU.
        requires_grad: whether the result requires a gradient.
        pin_memory: must be False.
    """
    named = {"low": low, "high": high, "size": size}
    named = {name: value for name, value in named.items() if value is not _MISSING}
    low, high, size = _arguments("randint", arguments, named)
    start = integer_argument("randint", "low", 1, low)
    stop = integer_argument("randint", "high", 2 if len(arguments) > 2 else 1, high)
    shape = shape_argument("randint", size, unpacked=False, position=3 if len(arguments) > 2 else 2)
    options = Options(
        "randint", dtype, dtypes.int64, out, layout, device, requires_grad, pin_memory
    )
    source = chosen_generator("randint", generator)
    options.check_out()
    values = integer_values(source, shape.numel(), start, stop, options.dtype)
    return finished(options, values, shape)


@function
def randperm(
    n: int,
    *,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: Any = dtypes.int64,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """The numbers from 0 to n - 1 in random order.

    Args:
        n: how many.
        generator: what the order is drawn from; the default generator for None.
        out: a tensor to write into.
        dtype: of the result.
        layout: strided, the only one there is.
        device: the CPU.
        requires_grad: whether the result requires a gradient.
        pin_memory: must be False.
    """
    count = integer_argument("randperm", "n", 1, n)
    wanted = None if out is not None and dtype is dtypes.int64 else dtype
    options = Options(
        "randperm", wanted, dtypes.int64, out, layout, device, requires_grad, pin_memory
    )
    source = chosen_generator("randperm", generator)
    kind = options.dtype
    if count < 0:
        raise RuntimeError(f"Trying to create tensor with negative dimension {count}: [{count}]")
    if kind.is_floating_point:
        most = (1 << sampling.DIGITS[kind.name]) + 1
        if count > most and kind is not dtypes.bfloat16:
            raise RuntimeError(f"n cannot be greater than {most} for {kind.letter} type.")
    else:
        check_dtype("randperm", kind, "uint8", "int8", "int16", "int32", "int64")
        # PyTorch converts n itself, so that 256 is too much for uint8's 0 to 255 only beyond that
        if count - (kind is dtypes.uint8) > int(np.iinfo(kind.storage).max):
            raise RuntimeError(f"value cannot be converted to type {kind.name}_t without overflow")
    options.check_out()
    order = sampling.permutation(source, count)
    if kind.itemsize < 4 and kind.is_floating_point:
        order = order.astype(np.float32)
    return finished(options, narrow(order, kind), (count,))


# -------------------------------------------------------------------- new tensors like others


_CHANNELS_LAST = {"torch.channels_last": 4, "torch.channels_last_3d": 5}  # and their ranks


def _like(
    name: str,
    input: Any,
    kind: Any,
    layout: Any,
    device: Any,
    requires_grad: bool,
    pin_memory: bool,
    memory_format: Any,
) -> tuple[Options, tuple[int, ...] | None]:
    """The options, and the strides of the result where they are the input's own."""
    check_tensor(name, "input", 1, input)
    options = Options(name, kind, input.dtype, None, layout, device, requires_grad, pin_memory)
    wanted = "torch.preserve_format" if memory_format is None else str(memory_format)
    if wanted in _CHANNELS_LAST:
        rank = _CHANNELS_LAST[wanted]
        if len(input._shape) != rank:
            raise RuntimeError(f"required rank {rank} tensor to use {wanted[6:]} format")
        return options, _strides_for(input._shape, [0, *range(2, rank), 1])
    strides = memory_strides(input)
    if strides is None or wanted == "torch.contiguous_format":
        return options, None
    return options, _strides_for(input._shape, memory_order(input._shape, strides))


def _strides_for(shape: Sequence[int], order: Sequence[int]) -> tuple[int, ...] | None:
    """Strides for dimensions in this order; None where they are the contiguous ones."""
    dense = dense_strides(shape, order)
    return None if is_contiguous(tuple(shape), dense) else dense


def _made_like(
    input: Tensor,
    options: Options,
    flat: np.ndarray,
    strides: tuple[int, ...] | None,
) -> Tensor:
    if strides is None:
        return made(flat.reshape(input._shape), options.dtype, options.requires_grad)
    memory = made(flat, options.dtype)
    result = memory._strided_alias(input._shape, strides, 0)
    if options.requires_grad:
        result.requires_grad = True
    return result


@function
def rand_like(
    input: Tensor,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Numbers drawn evenly from [0, 1), as many as the input has elements.

    Args:
        input: a tensor that gives the shape, and unless told otherwise dtype and strides.
        generator: what the numbers are drawn from; the default generator for None.
        dtype: the input's for None.
        layout: strided, the only one there is.
        device: the CPU.
        requires_grad: whether the result requires a gradient.
        pin_memory: must be False.
        memory_format: of the result; by default the input's.
    """
    options, strides = _like(
        "rand_like", input, dtype, layout, device, requires_grad, pin_memory, memory_format
    )
    source = chosen_generator("rand_like", generator)
    values = uniform_values(source, input.numel(), 0.0, 1.0, options.dtype)
    return _made_like(input, options, values, strides)


@function
def randn_like(
    input: Tensor,
    *,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Numbers of the standard normal distribution, as many as the input has elements.

    The arguments are those of ``rand_like``.
    """
    options, strides = _like(
        "randn_like", input, dtype, layout, device, requires_grad, pin_memory, memory_format
    )
    source = chosen_generator("randn_like", generator)
    values = normal_values(source, input.numel(), 0.0, 1.0, options.dtype, blocks=strides is None)
    return _made_like(input, options, values, strides)


@function
def randint_like(
    input: Tensor,
    *bounds: Any,
    low: Any = _MISSING,
    high: Any = _MISSING,
    generator: Any = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """Integers drawn evenly from [low, high), as many as the input has elements.

    ``randint_like(input, high)`` or ``randint_like(input, low, high)``; the bounds have the names
    ``low`` and ``high``. The other arguments are those of ``rand_like``.
    """
    named = {"low": low, "high": high}
    named = {name: value for name, value in named.items() if value is not _MISSING}
    start, stop, _ = _arguments("randint_like", bounds, {**named, "size": ()})
    options, strides = _like(
        "randint_like", input, dtype, layout, device, requires_grad, pin_memory, memory_format
    )
    start = integer_argument("randint_like", "low", 2, start)
    stop = integer_argument("randint_like", "high", 3, stop)
    source = chosen_generator("randint_like", generator)
    values = integer_values(source, input.numel(), start, stop, options.dtype)
    return _made_like(input, options, values, strides)


# -------------------------------------------------------------------- for layers


def bernoulli_mask(
    shape: Sequence[int],
    probability_of_one: float,
    dtype: dtype,
    strides: Sequence[int] | None = None,
) -> np.ndarray:
    """Ones and zeros as dropout draws them, as an array in storage dtype.

    Args:
        shape: of the mask.
        probability_of_one: the probability that an element is kept.
        dtype: of the mask.
        strides: those of the tensor that is masked, whose memory order decides the order of draws;
            None for a contiguous one.
    """
    count = int(np.prod(shape, dtype=np.int64))
    flat = narrow(sampling.bernoulli(default_generator, count, probability_of_one), dtype)
    return in_memory_order(flat, shape, strides)


def drawn(draw: Callable[[], np.ndarray], dtype: dtype) -> Tensor:
    """A tensor of random numbers that an operator draws for itself.

    Args:
        draw: draws them, in storage dtype; it depends on shapes and numbers alone.
    """
    draws = default_generator.draws
    node = leaf(draw(), dtype)
    if watching.capture is not None:
        watching.capture.drew(node, draw, default_generator.draws - draws)
    return Tensor._from_node(node)


def negative_slopes(
    source: Generator, values: np.ndarray, lower: float, upper: float, kind: dtype
) -> Tensor:
    """The factors of ``rrelu``: random for elements that are not positive, 1 for the others.

    Args:
        source: what they are drawn from.
        values: the elements, in compute dtype. Those that are not positive draw, in order.
        lower: the smallest factor.
        upper: the largest factor.
        kind: dtype of the elements.

    Returns:
        A tensor of the elements' shape; of float32 for narrower elements, as they are computed in.
    """
    wide = dtypes.float64 if kind is dtypes.float64 else dtypes.float32
    low, high = (float(wide.storage.type(bound)) for bound in (lower, upper))
    negative = values.reshape(-1) <= 0
    factors = np.ones(values.size, wide.storage)
    factors[negative] = sampling.uniform(source, int(negative.sum()), low, high, dtypes.float64)
    return made(factors.reshape(values.shape), wide)
