"""Which pointwise nodes are computed together.

A pointwise node waits until somebody reads it from memory. Then all that waits above it and has its
shape is computed by one kernel, which also stores what others will read; what is cheap to compute
again is not stored but goes on waiting. A reduction takes waiting nodes as its operand.

What nobody reads within the program waits until its end. There the updates of all parameters,
which do the same with different tensors, become one kernel.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Any

from fakel.compiler.graph import Value
from fakel.compiler.kernels.pointwise import meanings
from fakel.compiler.loop_ir.builder import Builder
from fakel.compiler.loop_ir.language import Expression, binary
from fakel.compiler.planning.lowering import SCALARS, Access
from fakel.tensor.size import contiguous_strides

_LARGEST_CONE = 48  # nodes
_LONGEST_CHAIN = 6
# what is computed again rather than stored and loaded: its cost, and the tensors it reads
_CHEAP, _FEW_SOURCES = 3, 1


@dataclass(frozen=True)
class Cone:
    """Pointwise nodes in order, and the nodes in memory that they are computed from."""

    nodes: tuple[Value, ...]
    sources: tuple[Value, ...]

    def values(
        self,
        build: Builder,
        load: Callable[[Value], Expression],
        fail: Callable[[Expression], None] | None = None,
    ) -> dict[int, Expression]:
        """The value of every node at one place.

        Args:
            build: names values.
            load: loads a source's element (or elements).
            fail: is given what says where inputs are an error.
        """
        found: dict[int, Expression] = {}
        for source in self.sources:
            value = build.let(load(source))
            is_bool = source.dtype.name == "bool"
            found[id(source)] = build.let(binary("!=", value, 0)) if is_bool else value
        for node in self.nodes:
            inputs = [None if source is None else found[id(source)] for source in node.inputs]
            bad = meanings.wrong(node, inputs)
            if bad is not None and fail is not None:
                fail(bad)
            found[id(node)] = build.let(meanings.compute(node, inputs))
        return found

    @property
    def cost(self) -> int:
        """Roughly how many additions an element is worth."""
        return sum(meanings.cost(node) for node in self.nodes)

    @property
    def may_fail(self) -> bool:
        """Whether some inputs are errors."""
        return any(meanings.MEANINGS[node.operator.name].wrong for node in self.nodes)


@dataclass(frozen=True)
class Operand:
    """A tensor that a kernel reads in its loops: memory, or pointwise nodes that are computed from
    memory on the way.

    Args:
        shape: of the tensor.
        dtype: of its elements.
        sources: what lies in memory, with strides over the shape.
        cone: what is computed of the sources; None for the only source itself.
        root: the node of the cone that is the tensor.
        stored: nodes of the cone that others read too, and where they are put.
    """

    shape: tuple[int, ...]
    dtype: Any
    sources: tuple[Access, ...]
    cone: Cone | None = None
    root: Value | None = None
    stored: tuple[tuple[Value, Access], ...] = ()

    @property
    def count(self) -> int:
        """The number of elements."""
        return math.prod(self.shape)

    @property
    def scalar(self) -> str:
        """The loop IR's name of the element type."""
        return SCALARS[self.dtype.name]

    @property
    def written(self) -> list[Access]:
        """What is stored on the way."""
        return [access for _, access in self.stored]

    def seen(self, view: Callable[[Access], Access]) -> Operand:
        """The operand with another geometry, the same for everything in memory."""
        sources = tuple(view(source) for source in self.sources)
        stored = tuple((node, view(access)) for node, access in self.stored)
        return Operand(sources[0].shape, self.dtype, sources, self.cone, self.root, stored)


@dataclass(frozen=True)
class Result:
    """A tensor that a kernel computes, and pointwise nodes that follow it in registers.

    Args:
        place: where the last of the nodes is put.
        value: what the kernel computes.
        cone: what follows; its sources are the value and what lies in memory.
        sources: where the other sources lie, with strides over the shape.
    """

    place: Access
    value: Value
    cone: Cone
    sources: tuple[Access, ...]

    def seen(self, view: Callable[[Access], Access]) -> Result:
        """The result with another geometry, the same for everything in memory."""
        sources = tuple(view(source) for source in self.sources)
        return Result(view(self.place), self.value, self.cone, sources)

    @property
    def others(self) -> list[Value]:
        """The sources of the cone that lie in memory."""
        return [source for source in self.cone.sources if source is not self.value]

    def after(
        self, build: Builder, value: Expression, load: Callable[[Value], Expression]
    ) -> Expression:
        """What is put in place of the value."""
        values = self.cone.values(build, lambda s: value if s is self.value else load(s))
        return values[id(self.cone.nodes[-1])]


def operand_of(access: Access) -> Operand:
    """Memory as an operand."""
    return Operand(access.shape, access.dtype, (access,))


class Fusion:
    """The pointwise nodes of a plan that wait to be computed.

    Args:
        plan: the plan that they are part of.
        emit: adds a kernel: takes the plan, the cones, which of each cone's nodes are stored.
    """

    def __init__(
        self, plan: Any, emit: Callable[[Any, list[Cone], list[list[Value]]], None]
    ) -> None:
        self.plan = plan
        self.emit = emit
        self.waiting: dict[int, Value] = {}
        self.order: dict[int, int] = {}
        # buffers that the kernel of an operand will write
        self.unwritten: set[int] = set()
        self.done: set[int] = set()
        # at the end: kernels that are not added yet, and the buffers that they will write
        self.groups: dict[Any, list[tuple[Cone, list[Value]]]] = {}
        self.put: set[int] = set()

    def take(self, node: Value) -> bool:
        """Lets a node wait, unless it was computed already. False when it is not pointwise, or has
        no elements.
        """
        if self.plan.is_placed(node) and id(node) in self.done:
            return True
        if not meanings.is_pointwise(node) or 0 in node.shape:
            return False
        self.waiting[id(node)] = node
        self.order[id(node)] = len(self.order)
        return True

    def waits(self, node: Value) -> bool:
        """Whether a node is still to be computed."""
        return id(node) in self.waiting

    def store(self, node: Value) -> None:
        """Adds the kernel that puts a waiting node into memory."""
        cone, stored = self._complete(node)
        self.emit(self.plan, [cone], [stored])

    def finish(self) -> None:
        """Adds the kernels of what is wanted and still waits, those that do the same as one."""
        while True:
            node = next(
                (n for n in reversed(self.waiting.values()) if id(n) in self.plan.stored), None
            )
            if node is None:
                break
            cone, stored = self._complete(node)
            self.put.update(self.plan.read(each).buffer for each in stored)
            key = self._signature(cone, stored)
            self.groups.setdefault(node if key is None else key, []).append((cone, stored))
        self._emit_groups()

    def _complete(self, node: Value) -> tuple[Cone, list[Value]]:
        """A waiting node's cone, which waits no longer, and what of it is put into memory. What it
        reads is written before.
        """
        cone = self._cone(node)
        if any(self.plan.read(source).buffer in self.put for source in cone.sources):
            self._emit_groups()
        stored = [each for each in cone.nodes if each is node or self._is_stored(each, cone)]
        self._leave(cone, stored)
        return cone, stored

    def _emit_groups(self) -> None:
        for group in self.groups.values():
            self.emit(self.plan, [cone for cone, _ in group], [stored for _, stored in group])
        self.groups.clear()
        self.put.clear()

    def operand(
        self,
        node: Value,
        reader: Value,
        walks: int = 1,
        accepts: Callable[[Operand], bool] | None = None,
    ) -> Operand:
        """A node as the operand of a kernel.

        Args:
            node: what is read.
            reader: the node that reads it.
            walks: how often the kernel goes over it.
            accepts: given by kernels that store nothing on the way; says whether they can take it
                so, or must read it from memory.
        """
        if not self.waits(node):
            return operand_of(self.plan.read(node))
        cone = self._cone(node)
        shape = tuple(node.shape)
        sources = tuple(self.plan.read(source).broadcast(shape) for source in cone.sources)
        assert not any(source.buffer in self.unwritten for source in sources)
        if cone.may_fail or not all(map(_is_regular, sources)):
            return operand_of(self.plan.read(node))
        before = set(self.done)
        self.done.add(id(reader))
        stored = [each for each in cone.nodes if self._is_stored(each, cone)]
        if walks > 1 and node not in stored and not self._is_cheap(cone):
            stored.append(node)
        made = Operand(shape, node.dtype, sources, cone, node)
        if accepts is not None and (stored or not accepts(made)):
            self.done = before
            return operand_of(self.plan.read(node))
        self._leave(cone, stored)
        places = tuple((each, self.plan.read(each)) for each in stored)
        self.unwritten.update(place.buffer for _, place in places)
        return replace(made, stored=places)

    def result(self, value: Value) -> Result | Access:
        """What a kernel writes that computes a value: the pointwise nodes that alone read it, and
        each other, are computed with it as far as the rest of what they read is there.

        Args:
            value: what the kernel computes.

        Returns:
            a Result, or where the value lies when nothing follows it.
        """
        chain: list[Value] = []
        last = value
        while len(chain) < _LONGEST_CHAIN and id(last) not in self.plan.stored:
            readers = {id(r): r for r in self.plan.consumers.get(id(last), ())}
            if len(readers) != 1:
                break
            (reader,) = readers.values()
            if not self._follows(reader, last):
                break
            chain.append(reader)
            last = reader
        if not chain:
            return self.plan.read(value)
        inside = {id(value), *(id(each) for each in chain)}
        others = {id(s): s for each in chain for s in each.sources if id(s) not in inside}
        self.done.update(id(each) for each in chain)
        cone = Cone(tuple(chain), (value, *others.values()))
        shape = tuple(value.shape)
        sources = tuple(self.plan.read(each).broadcast(shape) for each in others.values())
        return Result(self.plan.result(last), value, cone, sources)

    def _follows(self, reader: Value, value: Value) -> bool:
        """Whether a node can be computed where a value that it reads is."""
        if not meanings.is_pointwise(reader) or meanings.MEANINGS[reader.name].wrong:
            return False
        if tuple(reader.shape) != tuple(value.shape) or reader.replaces is not None:
            return False
        shape = tuple(value.shape)
        others = [source for source in reader.sources if source is not value]
        return all(
            self.plan.is_placed(other)
            and self.plan.read(other).buffer not in self.unwritten
            and _is_regular(self.plan.read(other).broadcast(shape))
            for other in others
        )

    # ---------------------------------------------------------------- cones

    def _cone(self, root: Value) -> Cone:
        """The node with all that is computed together with it. What it needs beyond is put into
        memory first.
        """
        while True:
            members = self._members(root)
            sources: dict[int, Value] = {}
            for node in members.values():
                for source in node.inputs:
                    if source is not None and id(source) not in members:
                        sources[id(source)] = source
            missing = [s for s in sources.values() if not self.plan.is_placed(s)]
            if not missing:
                break
            self.plan.read(missing[0])
        nodes = sorted(members.values(), key=lambda node: self.order[id(node)])
        return Cone(tuple(nodes), tuple(sources.values()))

    def _members(self, root: Value) -> dict[int, Value]:
        members = {id(root): root}
        edge = [root]
        while edge:
            node = edge.pop(0)
            for source in node.inputs:
                if source is None or id(source) in members or not self.waits(source):
                    continue
                if len(members) < _LARGEST_CONE and self._joins(source, root):
                    members[id(source)] = source
                    edge.append(source)
        return members

    def _joins(self, node: Value, root: Value) -> bool:
        if tuple(node.shape) == tuple(root.shape):
            return True
        # smaller ones are computed for every place that they broadcast to
        return id(node) not in self.plan.stored and self._is_cheap(self._alone(node))

    def _alone(self, node: Value) -> Cone:
        """The node with all that waits above it, whatever the shape."""
        members = {id(node): node}
        sources: dict[int, Value] = {}
        edge = [node]
        while edge and len(members) <= _CHEAP:
            for source in edge.pop().inputs:
                if source is None:
                    continue
                if self.waits(source):
                    members[id(source)] = source
                    edge.append(source)
                else:
                    sources[id(source)] = source
        return Cone(tuple(members.values()), tuple(sources.values()))

    def _is_cheap(self, cone: Cone) -> bool:
        """Whether computing it again costs no more than loading it."""
        large = [source for source in cone.sources if math.prod(source.shape) > 1]
        return cone.cost <= _CHEAP and len(large) <= _FEW_SOURCES

    def _is_stored(self, node: Value, cone: Cone) -> bool:
        """Whether a node of a cone must be put into memory with it."""
        if id(node) in self.plan.stored:
            return True
        inside = {id(each) for each in cone.nodes}
        readers = self.plan.consumers.get(id(node), ())
        outside = [r for r in readers if id(r) not in inside and id(r) not in self.done]
        return bool(outside) and not self._is_cheap(self._alone(node))

    def _leave(self, cone: Cone, stored: Iterable[Value]) -> None:
        for node in stored:
            del self.waiting[id(node)]
            self.plan.result(node)
        self.done.update(id(node) for node in cone.nodes)

    # ---------------------------------------------------------------- the same with other tensors

    def _signature(self, cone: Cone, stored: list[Value]) -> Any:
        """Equal for cones that do the same with tensors of any sizes; None when a tensor is not
        one row of elements.
        """
        shape = tuple(cone.nodes[-1].shape)
        numbers: dict[int, int] = {}
        key: list[Any] = []
        if cone.may_fail:
            return None
        for number, source in enumerate(cone.sources):
            access = self.plan.read(source)
            numbers[id(source)] = number
            if access.count == 1:
                key.append((source.dtype, "number"))
            elif access.shape == shape and access.strides == contiguous_strides(shape):
                key.append((source.dtype, "row"))
            else:
                return None
        for number, node in enumerate(cone.nodes, len(cone.sources)):
            if tuple(node.shape) != shape:
                return None
            inputs = tuple(None if s is None else numbers[id(s)] for s in node.inputs)
            numbers[id(node)] = number
            parameters = tuple(node.parameters.items())
            key.append((node.operator.name, parameters, inputs, node.dtype, node in stored))
        return tuple(key)


def _is_regular(access: Access) -> bool:
    """Whether neighbours in the last dimension are neighbours in memory, or the same element."""
    sizes = [dim for dim, size in enumerate(access.shape) if size > 1]
    return not sizes or access.strides[sizes[-1]] in (0, 1)
