"""Loop nests over tensors: which dimensions are walked as one, the loops, and where in memory their
indices lead.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Sequence
from typing import Any

from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import INDEX, Expression, literal

# an outermost dimension smaller than this may be hard to share evenly
_EVEN = 64


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


@contextlib.contextmanager
def loops(
    build: Builder, sizes: Sequence[int], parallel: bool = False, name: str = "i", grain: int = 1
) -> Iterator[list[Expression]]:
    """Loops over some dimensions, from the outermost to the innermost.

    Args:
        build: the kernel.
        sizes: of the dimensions.
        parallel: whether threads share the first.
        name: of the indices.
        grain: a thread's share of the first is a multiple of this.
    """
    with contextlib.ExitStack() as stack:
        yield [
            stack.enter_context(
                build.share(size, name, grain)
                if parallel and not dim
                else build.loop(size, name=name)
            )
            for dim, size in enumerate(sizes)
        ]


@contextlib.contextmanager
def even_loops(
    build: Builder, sizes: Sequence[int], parallel: bool, name: str = "i"
) -> Iterator[list[Expression]]:
    """Loops over some dimensions, of which threads share all when the first is small."""
    if parallel and len(sizes) > 1 and sizes[0] < _EVEN:
        with build.share(math.prod(sizes), name="row") as number:
            yield unravel(number, sizes)
    else:
        with loops(build, sizes, parallel, name) as indices:
            yield indices


def unravel(number: Expression, sizes: Sequence[int]) -> list[Expression]:
    """The indices of the element with this number."""
    indices = []
    behind = math.prod(sizes)
    for position, size in enumerate(sizes):
        behind //= size
        index = number // behind
        indices.append(index if not position else index % size)
    return indices


def offset(indices: Sequence[Any], strides: Sequence[int], start: Any = 0) -> Expression:
    """How far the element with these indices is from the first one, or from another start."""
    total = literal(start, INDEX)
    for index, stride in zip(indices, strides, strict=True):
        total = total + literal(index, INDEX) * stride
    return total


def offset_of(number: Expression, sizes: Sequence[int], strides: Sequence[int]) -> Expression:
    """How far the element with this number is from the first one."""
    total = literal(0, INDEX)
    for size, stride in zip(reversed(sizes), reversed(strides), strict=True):
        total = total + number % size * stride
        number = number // size
    return total
