"""In which order elements lie in PyTorch's memory, which is the order of random draws.

fakel lays all results out in row-major order. PyTorch lays out what a pointwise operator gives as
its operands lie: ``x.permute(1, 0, 2) + y`` is permuted in memory, and dropout on it draws for the
elements as they lie there. So a storage notes where PyTorch's would be laid out differently, as the
shape and strides of the tensor that covers it (``Storage.layout``); values never depend on it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from fakel.tensor.size import contiguous_strides, is_contiguous
from fakel.tensor.tensor import Tensor


def memory_order(shape: Sequence[int], *operands: Sequence[int]) -> list[int]:
    """The dimensions from the outermost in memory to the innermost.

    Args:
        shape: the sizes.
        operands: strides of operands; the first that tells two dimensions apart decides. Where a
            stride is 0, of an expanded dimension, it tells nothing.
    """
    innermost_first = list(range(len(shape)))[::-1]
    for position in range(1, len(shape)):
        current = position
        for earlier in range(position - 1, -1, -1):
            one, other = innermost_first[earlier], innermost_first[current]
            comparison = _compared(one, other, shape, operands)
            if comparison < 0:
                break
            if comparison > 0:
                innermost_first[earlier], innermost_first[current] = other, one
                current = earlier
    return innermost_first[::-1]


def _compared(one: int, other: int, shape: Sequence[int], operands: Iterable[Sequence[int]]) -> int:
    """1 where a dimension lies outside of another, -1 where inside, 0 where nothing tells."""
    for strides in operands:
        if not strides[one] or not strides[other]:
            continue
        if strides[one] != strides[other]:
            return 1 if strides[one] > strides[other] else -1
        if shape[one] > shape[other]:
            return 1
    return 0


def dense_strides(shape: Sequence[int], order: Sequence[int]) -> tuple[int, ...]:
    """The strides of a tensor without gaps whose dimensions lie in this order, outermost first."""
    dense = [0] * len(shape)
    step = 1
    for dim in reversed(order):
        dense[dim] = step
        step *= max(shape[dim], 1)
    return tuple(dense)


def memory_strides(tensor: Tensor) -> tuple[int, ...] | None:
    """The strides that the tensor has in PyTorch; None where it is contiguous there."""
    noted, strides = tensor._storage.layout, tensor._strides
    if noted is None:
        return strides
    shape = tensor._shape
    steps = contiguous_strides(shape) if strides is None else strides
    found = []
    for size, step in zip(shape, steps, strict=True):
        stride = _elsewhere(step, *noted)
        if _elsewhere(step * (size - 1), *noted) != stride * (size - 1):
            return strides  # dimensions that were joined: PyTorch copied them
        found.append(stride)
    return None if is_contiguous(shape, tuple(found)) else tuple(found)


def _elsewhere(distance: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> int:
    """How far apart elements are in PyTorch that are `distance` apart in row-major order."""
    return sum(
        distance // step % max(size, 1) * stride
        for size, step, stride in zip(shape, contiguous_strides(shape), strides, strict=True)
    )


def follow(result: Tensor, operands: Iterable[Tensor | None]) -> None:
    """Notes how PyTorch lays out the result of a pointwise operator: as its operands lie."""
    shape = result._shape
    known = []
    for operand in operands:
        if operand is not None:
            strides = memory_strides(operand) or contiguous_strides(operand._shape)
            sizes = operand._shape
            missing = (0,) * (len(shape) - len(sizes))
            kept = shape[len(missing) :]
            known.append(
                (
                    *missing,
                    *(
                        0 if size == 1 and whole != 1 else stride
                        for size, whole, stride in zip(sizes, kept, strides, strict=True)
                    ),
                )
            )
    dense = dense_strides(shape, memory_order(shape, *known))
    if not is_contiguous(shape, dense):
        result._storage.layout = tuple(shape), dense
