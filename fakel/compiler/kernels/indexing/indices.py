"""Index tensors in kernels: loading, checking, and walking along what they index.

Indices are checked where they are used. Only when one is wrong are all of them looked through, for
the number that the error names.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fakel.compiler.kernels.status import number_of, status_of
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import INDEX, Expression, binary, call, cast, literal, select
from fakel.compiler.planning.lowering import Access

# kernels over fewer elements stay on one thread
PARALLEL_ELEMENTS = 32768
INTEGERS = ("int64", "int32")


def dot(indices: Sequence[Any], steps: Sequence[int]) -> Expression:
    """The place with these indices along dimensions of these strides."""
    total = literal(0, INDEX)
    for index, step in zip(indices, steps, strict=True):
        total = total + literal(index, INDEX) * step
    return total


def unravel(number: Expression, sizes: Sequence[int]) -> list[Expression]:
    """The indices of the element with this number; where a size is 0, there is none."""
    indices = []
    sizes = [max(size, 1) for size in sizes]
    behind = math.prod(sizes)
    for position, size in enumerate(sizes):
        behind //= size
        indices.append(number // behind if not position else number // behind % size)
    return indices


class Indices:
    """An index tensor of a kernel, for one dimension of the tensor that is picked from."""

    def __init__(self, build: Builder, access: Access, size: int, negative: bool) -> None:
        self.build = build
        self.buffer = build.buffer("index", access.scalar)
        self.shape, self.strides = access.shape, access.strides
        self.lowest, self.size = (-size if negative else 0), size

    def at(self, position: Expression) -> Expression:
        """The checked index at a place of the tensor, counted from the front."""
        build = self.build
        given = build.let(self._load(position))
        wrong = binary("|", binary("<", given, self.lowest), binary(">=", given, self.size))
        with build.when(wrong):
            self._fail()
        if not self.lowest:
            return given
        return build.let(select(binary("<", given, 0), given + self.size, given))

    def _load(self, position: Expression) -> Expression:
        return cast(self.build.load(self.buffer, position), INDEX)

    def _fail(self) -> None:
        """Fails with the lowest index if that is too low, else with the highest."""
        build = self.build
        lowest = build.accumulator(2**63 - 1, INDEX, "lowest")
        highest = build.accumulator(-(2**63), INDEX, "highest")
        with build.loop(math.prod(self.shape)) as number:
            each = build.let(self._load(dot(unravel(number, self.shape), self.strides)))
            build.assign(lowest, call("min", lowest, each))
            build.assign(highest, call("max", highest, each))
        with build.when(binary("<", lowest, self.lowest)):
            build.fail(status_of(lowest))
        build.fail(status_of(highest))


@dataclass(frozen=True)
class Indexed:
    """What index tensors that broadcast together pick from a tensor: their common shape, and the
    other dimensions that come before and behind it in what is picked.
    """

    common: tuple[int, ...]
    before: tuple[int, ...]
    behind: tuple[int, ...]

    @classmethod
    def of(cls, ndim: int, dims: Sequence[int], indices: Sequence[Access]) -> Indexed:
        """Of a tensor with ``ndim`` dimensions of which ``dims`` are indexed."""
        wide = max(len(index.shape) for index in indices)
        common = tuple(
            max(index.shape[dim - wide] for index in indices if len(index.shape) >= wide - dim)
            for dim in range(wide)
        )
        rest = [dim for dim in range(ndim) if dim not in dims]
        adjacent = list(dims) == list(range(dims[0], dims[0] + len(dims)))
        front = dims[0] if adjacent else 0
        return cls(common, tuple(rest[:front]), tuple(rest[front:]))


def out_of_bounds(sizes: Sequence[int]) -> Callable[[int], Exception]:
    """Makes the error of a wrong index, for dimensions of these sizes that are indexed; which of
    them is meant does not show in a status, their sizes must tell.
    """

    def error(status: int) -> Exception:
        number = number_of(status)
        wrong = [i for i, size in enumerate(sizes) if not -size <= number < size]
        return IndexError(
            f"index {number} is out of bounds for dimension {wrong[0]} with size {sizes[wrong[0]]}"
        )

    return error


def out_of_range(status: int) -> Exception:
    """The error of a wrong index of rows."""
    return IndexError("index out of range in self")


def out_of_dimension(dim: int, size: int) -> Callable[[int], Exception]:
    """Makes the error of a wrong index along a dimension."""

    def error(status: int) -> Exception:
        number = number_of(status)
        return RuntimeError(f"index {number} is out of bounds for dimension {dim} with size {size}")

    return error
