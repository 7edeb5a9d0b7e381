"""Numbers drawn from distributions whose parameters are tensors.

They are drawn at once, so the parameters are computed first. Gradients for the parameters are zero,
as in PyTorch; only gamma numbers are differentiable.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from fakel.autograd.modes import no_grad, state
from fakel.interpreter import narrow
from fakel.ops.checks import check_tensor
from fakel.ops.declare import (
    broadcast_shapes,
    function,
    gradient,
    method,
    not_differentiable,
    primitive,
)
from fakel.ops.inplace import check_writable, resize_output, store
from fakel.ops.numerics import implicit
from fakel.ops.options import Options, integer_argument, shape_argument
from fakel.ops.random import made, normal_numbers
from fakel.ops.random_fill import (
    FLOATS,
    check_dtype,
    check_truths,
    chosen_generator,
    drawn_truths,
    equal_truths,
    in_memory_order,
    normal_values,
    number,
    without_gradient,
)
from fakel.tensor import Tensor, dtypes, get_default_dtype, rejection, sampling
from fakel.tensor.memory import memory_strides

_MOST_CATEGORIES = 1 << 24  # the whole numbers that float32 holds


@function
def normal(
    mean: Any,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Any = None,
    out: Tensor | None = None,
    dtype: Any = None,
    layout: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    pin_memory: bool = False,
) -> Tensor:
    """Normal numbers with means and standard deviations.

    ``mean`` or ``std`` or both are tensors, whose shapes broadcast; or both are numbers, and
    ``size`` is the shape. The arguments after ``out`` are for the latter only.

    Args:
        mean: a tensor or a number.
        std: a tensor or a number, not negative.
        size: the shape, where neither is a tensor.
        generator: what the numbers are drawn from; the default generator for None.
        out: a tensor to write into.
        dtype: the default dtype for None; the tensors' where there are some.
        layout: strided, the only one there is.
        device: the CPU.
        requires_grad: whether the result requires a gradient.
        pin_memory: must be False.
    """
    source = chosen_generator("normal", generator)
    of_tensors = isinstance(mean, Tensor) or isinstance(std, Tensor)
    options_given = any(option is not None for option in (dtype, layout, device, size))
    if of_tensors == (options_given or requires_grad or pin_memory) or of_tensors != (size is None):
        got = ", ".join(type(value).__name__ for value in (mean, std, size) if value is not None)
        raise TypeError(f"normal() received an invalid combination of arguments - got ({got})")
    if not of_tensors:
        shape = shape_argument("normal", size, unpacked=False, position=3)
        options = Options(
            "normal", dtype, get_default_dtype(), out, layout, device, requires_grad, pin_memory
        )
        options.check_out()
        mean, std = number("normal", "mean", 1, mean), number("normal", "std", 2, std)
        return normal_numbers(source, shape, mean, std, options)
    return _normal_of_tensors(source, mean, std, out)


def _normal_of_tensors(source: Any, mean: Any, std: Any, out: Any) -> Tensor:
    likes = [each for each in (mean, std) if isinstance(each, Tensor)]
    shape = broadcast_shapes(*(each._shape for each in likes))
    deviation = 1.0
    if isinstance(std, Tensor):
        if std.dtype.is_complex:
            raise RuntimeError("normal expects standard deviation to be non-complex")
        if std.numel() and not (std.detach()._values() >= 0).all():  # type: ignore[attr-defined]
            raise RuntimeError("normal expects all elements of std >= 0.0")
    else:
        deviation = number("normal", "std", 2, std)
    if out is None:
        kind = likes[0].dtype
        count = int(np.prod(shape, dtype=np.int64))
        result = made(normal_values(source, count, 0.0, deviation, kind).reshape(shape), kind)
    else:
        result = out
        if len(likes) == 1:
            broadcast_shapes(shape, out._shape)
        elif out._shape != shape:
            resize_output(out, shape)
        result.normal_(0.0, deviation, generator=source)  # type: ignore[attr-defined]
    with no_grad():
        if isinstance(std, Tensor):
            result.mul_(std)  # type: ignore[attr-defined]
        result.add_(mean)  # type: ignore[attr-defined]
    name = {(True, False): "NormalBackward1", (False, True): "NormalBackward2"}
    which = isinstance(mean, Tensor), isinstance(std, Tensor)
    return without_gradient(result, name.get(which, "NormalBackward3"), *likes)


@method
@function
def bernoulli(
    input: Tensor,
    p: float | None = None,
    *,
    generator: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Ones and zeros.

    Args:
        input: the probabilities of a one; with ``p`` it gives shape and dtype only.
        p: one probability for all elements.
        generator: what the numbers are drawn from; the default generator for None.
        out: a tensor to write into, of any dtype; not together with ``p``.
    """
    check_tensor("bernoulli", "input", 1, input)
    source = chosen_generator("bernoulli", generator)
    if p is not None:
        if isinstance(p, Tensor) or out is not None:
            got = f"Tensor, {type(p).__name__}" + (", out=Tensor" if out is not None else "")
            raise TypeError(
                f"bernoulli() received an invalid combination of arguments - got ({got}), but "
                "expected one of:\n * (Tensor input, *, torch.Generator generator = None, Tensor "
                "out = None)\n * (Tensor input, float p, *, torch.Generator generator = None)\n"
            )
        values = equal_truths(source, input.numel(), p, input.dtype)
        return made(values.reshape(input._shape), input.dtype)
    if out is not None:
        if out._shape != input._shape:
            out.resize_(input._shape)  # type: ignore[attr-defined]
        return out.bernoulli_(input, generator=source)  # type: ignore[attr-defined, no-any-return]
    check_truths(input.dtype)
    truths = drawn_truths(source, input._values().reshape(-1), input.dtype)
    result = made(narrow(truths, input.dtype).reshape(input._shape), input.dtype)
    return without_gradient(result, "BernoulliBackward0", input)


@method
@function
def multinomial(
    input: Tensor,
    num_samples: int,
    replacement: bool = False,
    *,
    generator: Any = None,
    out: Tensor | None = None,
) -> Tensor:
    """Indices drawn by weight.

    Args:
        input: weights, shape (categories,) or (rows, categories); they need not sum to 1.
        num_samples: how many indices are drawn for each row.
        replacement: whether an index may be drawn again.
        generator: what the indices are drawn from; the default generator for None.
        out: an int64 tensor to write into.

    Returns:
        int64 indices of shape (num_samples,) or (rows, num_samples).
    """
    check_tensor("multinomial", "input", 1, input)
    count = integer_argument("multinomial", "num_samples", 2, num_samples)
    source = chosen_generator("multinomial", generator)
    kind = input.dtype
    if input.dim() not in (1, 2):
        raise RuntimeError("prob_dist must be 1 or 2 dim")
    if not kind.is_floating_point:
        raise RuntimeError(
            f"multinomial only supports floating-point dtypes for input, got: {kind.letter}"
        )
    if out is not None and out.dtype is not dtypes.int64:
        raise RuntimeError(f"multinomial expects Long tensor out, got: {out.dtype.letter}")
    if count <= 0:
        raise RuntimeError("cannot sample n_sample <= 0 samples")
    categories = input._shape[-1]
    if not replacement and count > categories:
        raise RuntimeError(
            "cannot sample n_sample > prob_dist.size(-1) samples without replacement"
        )
    if categories > _MOST_CATEGORIES:
        raise RuntimeError("number of categories cannot exceed 2^24")
    weights = input._values()
    if weights.size and not ((weights >= 0) & (weights < np.inf)).all():
        raise RuntimeError("probability tensor contains either `inf`, `nan` or element < 0")
    rows = weights.reshape(-1, categories) if categories else weights.reshape(-1, 1)[:0]
    if (rows.sum(axis=1) == 0).any():
        raise RuntimeError("invalid multinomial distribution (sum of probabilities <= 0)")
    if replacement and count > 1:
        indices = sampling.multinomial_with_replacement(source, rows, count)
        result = made(indices.reshape((*input._shape[:-1], count)), dtypes.int64)
    else:
        result = _largest_over_exponential(source, input, count)
    if out is None:
        return result
    if out._shape != result._shape:
        resize_output(out, result._shape)
    check_writable(out)
    store(out, result)
    return out


def _largest_over_exponential(source: Any, weights: Tensor, count: int) -> Tensor:
    """Different indices drawn by weight: those of the largest weights over exponential numbers."""
    waiting = sampling.exponential(source, weights.numel(), 1.0, weights.dtype)
    waiting = in_memory_order(waiting, weights._shape, memory_strides(weights))
    scores = weights.detach() / made(waiting, weights.dtype)  # type: ignore[attr-defined]
    if count == 1:
        return scores.argmax(-1, keepdim=True)  # type: ignore[no-any-return]
    return scores.topk(count)[1]  # type: ignore[no-any-return]


@function
def poisson(input: Tensor, generator: Any = None) -> Tensor:
    """Poisson numbers.

    Args:
        input: their rates, not negative.
        generator: what the numbers are drawn from; the default generator for None.
    """
    check_tensor("poisson", "input", 1, input)
    source = chosen_generator("poisson", generator)
    check_dtype("poisson_cpu", input.dtype, *FLOATS)
    values = rejection.poisson(source, input._values().reshape(-1))
    result = made(narrow(values, input.dtype).reshape(input._shape), input.dtype)
    return without_gradient(result, "PoissonBackward0", input)


@function
def binomial(count: Tensor, prob: Tensor, generator: Any = None) -> Tensor:
    """Binomial numbers.

    Args:
        count: numbers of trials.
        prob: probabilities of success, of the same dtype; the shapes broadcast.
        generator: what the numbers are drawn from; the default generator for None.
    """
    check_tensor("binomial", "count", 1, count)
    check_tensor("binomial", "prob", 2, prob)
    source = chosen_generator("binomial", generator)
    if not count.dtype.is_floating_point:
        raise ValueError(
            f"binomial only supports floating-point dtypes for count, got: {count.dtype.letter}"
        )
    if not prob.dtype.is_floating_point:
        raise ValueError(
            f"binomial only supports floating-point dtypes for prob, got: {prob.dtype.letter}"
        )
    if prob.dtype is not count.dtype:
        raise RuntimeError(f"Found dtype {prob.dtype.letter} but expected {count.dtype.letter}")
    check_dtype("binomial_cpu", count.dtype, "float32", "float64")
    if state.enabled and (count.requires_grad or prob.requires_grad):
        raise NotImplementedError("the derivative for 'binomial' is not implemented.")
    trials, chances = np.broadcast_arrays(count._values(), prob._values())
    values = rejection.binomial(source, trials.reshape(-1), chances.reshape(-1))
    return made(values.reshape(trials.shape), count.dtype)


@primitive("standard_gamma", "StandardGammaBackward0")
def _gamma(input: np.ndarray, values: np.ndarray) -> np.ndarray:
    return values.copy()


gradient(_gamma, input=lambda grad, input, values: grad * _standard_gamma_grad(input, values))


@primitive("standard_gamma_gradient", "StandardGammaGradBackward0")
def _gamma_gradient(input: np.ndarray, output: np.ndarray) -> np.ndarray:
    return implicit.gamma_gradient(input, output)


not_differentiable(_gamma_gradient)


@function
def _standard_gamma_grad(input: Tensor, output: Tensor) -> Tensor:
    """How standard gamma numbers move with their shape parameters.

    Args:
        input: shape parameters, positive.
        output: the numbers, of the same dtype; the shapes broadcast.
    """
    check_dtype("_standard_gamma_grad_cpu", input.dtype, "float32", "float64")
    shape = broadcast_shapes(input._shape, output._shape)
    return _gamma_gradient(input, output, shape=shape)  # type: ignore[no-any-return]


@primitive("dirichlet_gradient", "DirichletGradBackward0")
def _share_gradient(x: np.ndarray, alpha: np.ndarray, total: np.ndarray) -> np.ndarray:
    return implicit.dirichlet_gradient(x, alpha, total)


not_differentiable(_share_gradient)


@function
def _dirichlet_grad(x: Tensor, alpha: Tensor, total: Tensor) -> Tensor:
    """How shares of a whole move with their concentrations, over ``1 - x``.

    Args:
        x: shares, Dirichlet distributed.
        alpha: concentrations, of the same dtype; the shapes broadcast.
        total: sums of all concentrations.
    """
    check_dtype("_dirichlet_grad_cpu", x.dtype, "float32", "float64")
    shape = broadcast_shapes(x._shape, alpha._shape, total._shape)
    return _share_gradient(x, alpha, total, shape=shape)  # type: ignore[no-any-return]


@function
def _standard_gamma(input: Tensor, generator: Any = None) -> Tensor:
    """Gamma numbers of scale 1, differentiable in their shape parameters.

    Args:
        input: shape parameters, positive.
        generator: what the numbers are drawn from; the default generator for None.
    """
    source = chosen_generator("_standard_gamma", generator)
    check_dtype("gamma_cpu", input.dtype, "float32", "float64")
    values = rejection.standard_gamma(source, input._values().reshape(-1))
    result = made(values.reshape(input._shape), input.dtype)
    if state.enabled and input.requires_grad:
        return _gamma(input, result)  # type: ignore[no-any-return]
    return result


@function
def _sample_dirichlet(input: Tensor, generator: Any = None) -> Tensor:
    """Points of a simplex.

    Args:
        input: concentrations, positive, in the last dimension.
        generator: what the numbers are drawn from; the default generator for None.
    """
    source = chosen_generator("_sample_dirichlet", generator)
    check_dtype("dirichlet", input.dtype, "float32", "float64")
    if state.enabled and input.requires_grad:
        raise NotImplementedError("the derivative for '_sample_dirichlet' is not implemented.")
    return made(rejection.dirichlet(source, input._values(), input.dtype), input.dtype)
