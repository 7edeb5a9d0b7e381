"""Kernels of pointwise nodes: one loop nest over everything that is computed together, or over
several tensors with which the same is done.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from fakel.compiler.graph import Value
from fakel.compiler.kernels.pointwise.fusion import Cone
from fakel.compiler.loop_ir import target
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import (
    Buffer,
    Expression,
    Literal,
    Type,
    binary,
    call,
    cast,
    literal,
)
from fakel.compiler.loop_ir.nests import broadcast_strides, even_loops, merged, offset
from fakel.compiler.planning.lowering import SCALARS, Access

# kernels that are worth fewer loads and stores than this stay on one thread: about 6 microseconds,
# when a barrier takes two or three
PARALLEL_WORK = 131072
# vectors of a thread's share are a multiple of this, so that no two write one cache line
_GRAIN = 4


def emit(plan: Any, cones: list[Cone], stored: list[list[Value]]) -> None:
    """Adds the call that computes a cone, or several that do the same with other tensors.

    Args:
        plan: gets the call.
        cones: what is computed.
        stored: which nodes of each cone are put into memory.
    """
    if len(cones) == 1:
        _One(plan, cones[0], stored[0]).emit()
    else:
        _Several(plan, cones, stored).emit()


def _work(cone: Cone, stored: Sequence[Value], count: int) -> int:
    return count * max(cone.cost // 2, len(cone.sources) + len(stored))


def _lanes(cone: Cone) -> int:
    """Lanes of vectors in which the widest elements fill a register."""
    return min(target.lanes(SCALARS[node.dtype.name]) for node in (*cone.nodes, *cone.sources))


def _failing(
    build: Builder, lanes: int, active: int | Expression | None
) -> Callable[[Expression], None]:
    """Ends the kernel with status 1 where an active lane of a condition holds."""

    def fail(bad: Expression) -> None:
        if bad.type.lanes > 1:
            if active is not None:
                numbers = Literal(tuple(range(lanes)), Type("i64", lanes))
                bad = binary("&", bad, binary("<", numbers, literal(active, "i64")))
            bad = call("reduce_or", bad, type=Type("i1"))
        with build.when(bad):
            build.fail(1)

    return fail


def _put(
    build: Builder,
    buffer: Buffer,
    index: Expression,
    value: Expression,
    lanes: int,
    active: int | Expression | None,
) -> None:
    if value.type.scalar != "i1":
        value = cast(value, buffer.scalar)
    build.store(buffer, index, literal(value, Type(value.type.scalar, lanes)), active)


def wrong_input(status: int) -> Exception:
    """The interpreter, which runs the program again, knows better what is wrong."""
    return RuntimeError("a pointwise operator cannot take these values")


class _One:
    """The kernel of one cone."""

    def __init__(self, plan: Any, cone: Cone, stored: list[Value]) -> None:
        self.plan, self.cone, self.stored = plan, cone, stored
        self.shape = tuple(stored[-1].shape)
        self.sources = [plan.read(source) for source in cone.sources]
        self.results = [plan.read(node) for node in stored]
        strides = [broadcast_strides(a.shape, a.strides, self.shape) for a in self.sources]
        strides += [result.strides for result in self.results]
        self.sizes, self.steps, _ = merged(self.shape, strides)
        self.lanes = _lanes(cone) if self.sizes else 1
        self.build = Builder("pointwise")
        self.buffers = [
            self.build.buffer(f"x{i}", access.scalar) for i, access in enumerate(self.sources)
        ]
        self.targets = [
            self.build.buffer(f"out{i}", access.scalar) for i, access in enumerate(self.results)
        ]

    def emit(self) -> None:
        """Adds the call."""
        parallel = _work(self.cone, self.stored, math.prod(self.shape)) >= PARALLEL_WORK
        if not self.sizes:
            self._body([], 1, None)
        elif len(self.sizes) == 1:
            self._row([], self.sizes[0], parallel)
        else:
            with even_loops(self.build, self.sizes[:-1], parallel) as indices:
                self._row(indices, self.sizes[-1], False)
        self.plan.call(
            self.build.kernel,
            [*self.sources, *self.results],
            writes=self.results,
            parallel=parallel,
            elementwise=True,
            errors=wrong_input if self.cone.may_fail else None,
            parts=self.cone.nodes,
        )

    def _row(self, indices: list[Expression], count: int, parallel: bool) -> None:
        """The innermost dimension: whole vectors, and one more for what is left."""
        build, lanes = self.build, self.lanes
        whole = count // lanes * lanes
        if whole == lanes:
            self._body([*indices, literal(0, "i64")], lanes, None)
        elif whole:
            loop = (
                build.share(whole, grain=lanes * _GRAIN, step=lanes)
                if parallel
                else build.loop(whole, step=lanes)
            )
            with loop as index:
                self._body([*indices, index], lanes, None)
        if count > whole:
            first = binary("==", build.kernel.thread, 0)
            with build.when(first) if parallel else contextlib.nullcontext():
                self._body([*indices, literal(whole, "i64")], lanes, count - whole)

    def _body(self, indices: list[Expression], lanes: int, active: int | None) -> None:
        build = self.build
        numbers = {id(source): number for number, source in enumerate(self.cone.sources)}

        def at(operand: int) -> Expression:
            return offset(indices, self.steps[operand])

        def load(source: Value) -> Expression:
            number = numbers[id(source)]
            stride = self.steps[number][-1] if self.sizes else 0
            if not stride or lanes == 1:
                return build.load(self.buffers[number], at(number))
            return build.load(self.buffers[number], at(number), lanes, active, stride)

        values = self.cone.values(build, load, _failing(build, lanes, active))
        for position, node in enumerate(self.stored):
            place = at(len(self.sources) + position)
            _put(build, self.targets[position], place, values[id(node)], lanes, active)


@dataclass
class _Column:
    """One operand of every cone: a tensor each, a number each, or the same number for all."""

    accesses: list[Access]
    buffer: Buffer
    is_number: bool


class _Several:
    """The kernel of several cones that are alike: threads share the elements of all of them."""

    def __init__(self, plan: Any, cones: list[Cone], stored: list[list[Value]]) -> None:
        self.plan, self.cone, self.stored = plan, cones[0], stored[0]
        self.nodes = [node for cone in cones for node in cone.nodes]
        self.counts = [math.prod(nodes[-1].shape) for nodes in stored]
        self.lanes = _lanes(self.cone)
        self.build = Builder("update")
        self.sources = [
            self._column(f"x{i}", [plan.read(cone.sources[i]) for cone in cones])
            for i in range(len(self.cone.sources))
        ]
        self.results = [
            self._column(f"out{i}", [plan.read(nodes[i]) for nodes in stored])
            for i in range(len(self.stored))
        ]

    def _column(self, name: str, accesses: list[Access]) -> _Column:
        is_number = all(access.count == 1 for access in accesses)
        kept = accesses[:1] if is_number and len(set(accesses)) == 1 else accesses
        buffer = self.build.buffer(name, kept[0].scalar, count=len(kept))
        return _Column(kept, buffer, is_number)

    def emit(self) -> None:
        """Adds the call."""
        build, unit = self.build, self.lanes * _GRAIN
        units = [math.ceil(count / unit) for count in self.counts]
        ends = [sum(units[: i + 1]) for i in range(len(units))]
        parallel = _work(self.cone, self.stored, sum(self.counts)) >= PARALLEL_WORK
        sizes = build.constant("sizes", self.counts)
        limits = build.constant("ends", [0, *ends])
        if parallel:
            start, stop = build.part(ends[-1])
        else:
            start, stop = build.let(literal(0, "i64")), build.let(literal(ends[-1], "i64"))
        with build.loop(len(self.counts), name="tensor") as number:
            begin = build.let(build.load(limits, number))
            low = build.let(call("max", start, begin) - begin)
            high = build.let(call("min", stop, build.load(limits, number + 1)) - begin)
            with build.when(binary("<", low, high)):
                size = build.let(build.load(sizes, number))
                end = build.let(call("min", high * unit, size))
                self._part(number, low * unit, end)
        columns = [*self.sources, *self.results]
        members = len(self.results[0].accesses)
        # what all tensors read belongs to none of them: its place must not be taken
        parts = [range(members) if len(column.accesses) == members else (-1,) for column in columns]
        self.plan.call(
            build.kernel,
            [access for column in columns for access in column.accesses],
            writes=[access for column in self.results for access in column.accesses],
            parallel=parallel,
            elementwise=[number for part in parts for number in part],
            parts=self.nodes,
            fine=True,
        )

    def _part(self, number: Expression, low: Expression, end: Expression) -> None:
        """A part of one tensor."""
        build, lanes = self.build, self.lanes
        buffers = [
            build.pick(column.buffer, number) if column.buffer.count > 1 else column.buffer
            for column in (*self.sources, *self.results)
        ]
        count = build.let(end - low)
        whole = build.let(low + count // lanes * lanes)
        with build.loop(whole, start=low, step=lanes) as index:
            self._body(buffers, index, None)
        with build.when(binary("<", whole, end)):
            self._body(buffers, whole, build.let(end - whole))

    def _body(self, buffers: list[Buffer], index: Expression, active: Expression | None) -> None:
        build, lanes = self.build, self.lanes
        numbers = {id(source): number for number, source in enumerate(self.cone.sources)}

        def load(source: Value) -> Expression:
            number = numbers[id(source)]
            if self.sources[number].is_number:
                return build.load(buffers[number], 0)
            return build.load(buffers[number], index, lanes, active)

        values = self.cone.values(build, load)
        for position, node in enumerate(self.stored):
            target_buffer = buffers[len(self.sources) + position]
            _put(build, target_buffer, index, values[id(node)], lanes, active)
