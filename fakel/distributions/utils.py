"""Helpers of distributions: broadcasting, probabilities and logits, triangular matrices."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

from fakel import ops
from fakel.autograd import enable_grad
from fakel.tensor import Size, Tensor, dtype, finfo, get_default_dtype

euler_constant = 0.57721566490153286060

__all__ = [
    "broadcast_all",
    "clamp_probs",
    "lazy_property",
    "logits_to_probs",
    "probs_to_logits",
    "tril_matrix_to_vec",
    "vec_to_tril_matrix",
]


def broadcast_all(*values: Any) -> tuple[Tensor, ...]:
    """Tensors and numbers as tensors of one shape.

    Numbers take the dtype of the first tensor, or the default dtype where there is none.

    Raises:
        ValueError: when a value is neither a tensor nor a number.
    """
    if not all(isinstance(value, (Tensor, bool, int, float)) for value in values):
        raise ValueError(
            "Input arguments must all be instances of Number, torch.Tensor or objects implementing "
            "__torch_function__."
        )
    kinds = (value.dtype for value in values if isinstance(value, Tensor))
    kind = next(kinds, None) or get_default_dtype()
    tensors = (
        value if isinstance(value, Tensor) else ops.tensor(value, dtype=kind) for value in values
    )
    return tuple(ops.broadcast_tensors(*tensors))


def _standard_normal(shape: Sequence[int], dtype: dtype, device: Any = None) -> Tensor:
    return ops.randn(shape, dtype=dtype, device=device)


def _sum_rightmost(value: Any, dim: int) -> Any:
    """The sum over the last ``dim`` dimensions."""
    if dim == 0:
        return value
    return value.reshape(value.shape[:-dim] + (-1,)).sum(-1)


def pieces_along(value: Any, dim: int, lengths: Sequence[int]) -> list[Any]:
    """Consecutive pieces of a tensor along a dimension.

    Args:
        value: the tensor.
        dim: the dimension.
        lengths: the pieces' lengths along it.
    """
    starts = itertools.accumulate(lengths, initial=0)
    return [value.narrow(dim, start, length) for start, length in zip(starts, lengths)]


def logits_to_probs(logits: Any, is_binary: bool = False) -> Tensor:
    """Probabilities of logits.

    Args:
        logits: log-odds if ``is_binary``, else unnormalised log-probabilities along the last
            dimension.
        is_binary: whether there are two outcomes, of which one is meant.
    """
    return ops.sigmoid(logits) if is_binary else logits.softmax(-1)


def clamp_probs(probs: Any) -> Any:
    """Probabilities kept in ``[eps, 1 - eps]``, with eps that of their dtype."""
    eps = finfo(probs.dtype).eps
    return probs.clamp(min=eps, max=1 - eps)


def probs_to_logits(probs: Any, is_binary: bool = False) -> Tensor:
    """Logits of probabilities, finite also for probabilities of 0 and 1.

    Args:
        probs: probabilities.
        is_binary: log-odds are meant, not log-probabilities.
    """
    clamped = clamp_probs(probs)
    if is_binary:
        return ops.log(clamped) - ops.log1p(-clamped)
    return ops.log(clamped)


class lazy_property:
    """An attribute that is computed at its first use, with gradients on, and then kept."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        self.wrapped = wrapped
        functools.update_wrapper(self, wrapped)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return _lazy_property_and_property(self.wrapped)
        with enable_grad():
            value = self.wrapped(instance)
        setattr(instance, self.wrapped.__name__, value)
        return value


class _lazy_property_and_property(lazy_property, property):
    """What the class itself shows of a lazy property: tools that know properties document it."""

    def __init__(self, wrapped: Callable[[Any], Any]) -> None:
        property.__init__(self, wrapped)


def _lower_triangle(size: int, diag: int) -> Any:
    places = ops.arange(size)
    return places < places.view(-1, 1) + (diag + 1)


def tril_matrix_to_vec(mat: Any, diag: int = 0) -> Tensor:
    """The elements of lower triangles as vectors, row by row.

    Args:
        mat: square matrices, shape (..., D, D).
        diag: the last diagonal that belongs to the triangle: 0 is the main one, -1 that below.

    Raises:
        ValueError: when there is no such diagonal.
    """
    size = mat.shape[-1]
    if diag < -size or diag >= size:
        raise ValueError(f"diag ({diag}) provided is outside [{-size}, {size - 1}].")
    return mat[..., _lower_triangle(size, diag)]


def vec_to_tril_matrix(vec: Any, diag: int = 0) -> Tensor:
    """Lower triangular matrices from vectors: the inverse of ``tril_matrix_to_vec``.

    Args:
        vec: shape (..., L), where L is the number of elements of the triangle.
        diag: its last diagonal.

    Raises:
        ValueError: when no square matrix has a triangle of L elements.
    """
    # L = D (D + 1 + 2 diag) / 2 less what diag > 0 cuts off at the right border, solved for D
    slope = 1 + 2 * diag
    discriminant = slope**2 + 8 * vec.shape[-1] + 4 * abs(diag) * (diag + 1)
    exact = (-slope + discriminant**0.5) / 2
    size = round(exact)
    if size - exact > finfo(vec.dtype).eps:
        raise ValueError(
            f"The size of last dimension is {vec.shape[-1]} which cannot be expressed as "
            "the lower triangular part of a square D x D matrix."
        )
    matrix = vec.new_zeros(vec.shape[:-1] + Size((size, size)))
    matrix[..., _lower_triangle(size, diag)] = vec
    return matrix


def binary_log_prob(logits: Any, value: Any) -> Any:
    """``value log(p) + (1 - value) log(1 - p)``, from the log-odds of p."""
    logits, value = broadcast_all(logits, value)
    return -ops.binary_cross_entropy_with_logits(logits, value, reduction="none")


def enumerated(values: Any, batch_shape: Size, expand: bool) -> Any:
    """Values along a new first dimension.

    Args:
        values: a vector.
        batch_shape: the dimensions behind.
        expand: whether the values are repeated along them; they have size 1 otherwise.
    """
    values = values.view((-1,) + (1,) * len(batch_shape))
    return values.expand((-1,) + batch_shape) if expand else values
