"""Loop nests over tensors: which dimensions can be walked as one, and how far each operand
moves.
"""

from __future__ import annotations

from collections.abc import Sequence


def broadcast_strides(
    shape: Sequence[int], strides: Sequence[int], onto: Sequence[int]
) -> tuple[int, ...]:
    """The strides with which a tensor is read when it broadcasts onto a shape: 0 where it
    repeats.
    """
    lead = len(onto) - len(shape)
    return (0,) * lead + tuple(
        0 if size == 1 else stride for size, stride in zip(shape, strides, strict=True)
    )


def merged(
    shape: Sequence[int], operands: Sequence[Sequence[int]], barriers: Sequence[bool] = ()
) -> tuple[list[int], list[list[int]], list[bool]]:
    """The dimensions with neighbours merged where every operand allows it.

    Args:
        shape: the sizes.
        operands: each operand's strides.
        barriers: a mark for each dimension; only dimensions with the same mark merge.

    Returns:
        the new sizes, each operand's new strides, and the marks.
    """
    marks = list(barriers) or [False] * len(shape)
    sizes: list[int] = []
    steps: list[list[int]] = [[] for _ in operands]
    kept: list[bool] = []
    for dim, size in enumerate(shape):
        if size == 1:
            continue
        fits = bool(sizes) and kept[-1] == marks[dim]
        fits = fits and all(s[-1] == o[dim] * size for s, o in zip(steps, operands, strict=True))
        if fits:
            sizes[-1] *= size
            for step, operand in zip(steps, operands, strict=True):
                step[-1] = operand[dim]
        else:
            sizes.append(size)
            kept.append(marks[dim])
            for step, operand in zip(steps, operands, strict=True):
                step.append(operand[dim])
    return sizes, steps, kept
