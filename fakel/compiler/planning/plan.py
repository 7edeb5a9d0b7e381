"""Plans a graph: which kernels run on which buffers.

Every value ends up in one of five ways: as a view of another value's buffer, inside a fused
pointwise kernel, as the kernel calls that its lowering (or its group's) makes, as a part written
into a buffer, or as a call of the interpreter. `schedule.py` then puts the steps in order and
`memory.py` lays the buffers out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from fakel.compiler.graph import Graph, Group, Value
from fakel.compiler.kernels.copying.copies import copy_kernel
from fakel.compiler.kernels.pointwise import kernels as pointwise
from fakel.compiler.kernels.pointwise.fusion import Fusion, Operand, Result
from fakel.compiler.loop_ir.language import Kernel
from fakel.compiler.planning.labels import Origins, operations
from fakel.compiler.planning.lowering import (
    LOWERINGS,
    PATTERNS,
    SCALARS,
    Access,
    Call,
    Interpreted,
    Step,
)
from fakel.tensor.size import contiguous_strides


@dataclass
class Buffer:
    """Memory of a program.

    ``kind``: "leaf" (a leaf's array), "output" (an array made for each run), "temporary" (a place
    in the arena).
    """

    kind: str
    shape: tuple[int, ...]
    dtype: Any
    number: int = -1  # the leaf's
    # the buffer whose contents this one replaces, in whose memory it may lie; `partly`: what nobody
    # writes must be there from before
    replaces: int = -1
    partly: bool = False

    @property
    def count(self) -> int:
        """Elements."""
        return math.prod(self.shape)

    @property
    def size(self) -> int:
        """Bytes."""
        return self.count * int(self.dtype.itemsize)


@dataclass
class Plan:
    """A graph while it is planned. Lowerings use ``read``, ``result``, ``results``, ``scratch``
    and ``call``.
    """

    graph: Graph
    buffers: list[Buffer] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.accesses: dict[int, Access | tuple[Access, ...]] = {}
        self.program = self.graph.values
        self.checked: set[Any] = set()  # indices that calls check: where they lie, and the size
        self.consumers = self._consumers()
        self.outputs_of: dict[int, dict[int, Value]] = {}
        for value in self.graph:
            if value.name == "output":
                picked = self.outputs_of.setdefault(id(value.inputs[0]), {})
                picked[value.parameters["index"]] = value
        self.stored = self._stored()
        self.fusion = Fusion(self, pointwise.emit)
        for number, leaf in enumerate(self.graph.leaves):
            self.accesses[id(leaf)] = self._new("leaf", leaf.shape, leaf.dtype, number=number)

    def _consumers(self) -> dict[int, list[Value]]:
        """Who reads each value: a group as a whole, seen from outside it."""
        found: dict[int, list[Value]] = {}
        for value in self.graph.values:
            parts = value.parts if isinstance(value, Group) else (value,)
            inside = {id(part) for part in parts}
            for part in parts:
                for source in part.sources:
                    found.setdefault(id(source), []).append(part if id(source) in inside else value)
        return found

    def _stored(self) -> set[int]:
        """What must outlive the run: held values, and what held views show."""
        found = set()
        for _, value in self.graph.results:
            while value.name == "view":
                value = value.sources[0]
            found.add(id(value))
        return found

    # ---------------------------------------------------------------- what lowerings use

    def read(self, value: Value) -> Access:
        """Where a value lies; a pointwise one that waits is computed now."""
        if not self.is_placed(value):
            if value.name == "view":
                self._view(value)
            else:
                self.fusion.store(value)
        found = self.accesses[id(value)]
        assert isinstance(found, Access)
        return found

    def is_placed(self, value: Value) -> bool:
        """Whether a value lies in memory, or will by what was added so far."""
        return id(value) in self.accesses

    def operand(
        self,
        value: Value,
        reader: Value,
        walks: int = 1,
        accepts: Callable[[Operand], bool] | None = None,
    ) -> Operand:
        """A value as what a kernel reads: memory, or what waits to be computed. To be called when
        all else that the kernel reads was read, and nothing can keep it from being added.

        Args:
            value: what is read.
            reader: what the kernel computes.
            walks: how often the kernel goes over it.
            accepts: whether a kernel that stores nothing on the way can take it so.
        """
        return self.fusion.operand(value, reader, walks, accepts)

    def result(self, value: Value) -> Access:
        """A contiguous place for a value."""
        made = self._place(value, value.shape, value.dtype)
        self.accesses[id(value)] = made
        return made

    def results(self, value: Value) -> tuple[Access, ...]:
        """Contiguous places for the results of a value with several outputs."""
        picked = self.outputs_of.get(id(value), {})
        made = tuple(
            self._place(picked[i], shape, dtype)
            if i in picked
            else self._new("temporary", shape, dtype)
            for i, (shape, dtype) in enumerate(zip(value.shape, value.dtype, strict=True))
        )
        self.accesses[id(value)] = made
        for number, output in picked.items():
            self.accesses[id(output)] = made[number]
        return made

    def following(self, value: Value, output: int = -1) -> Result | Access:
        """What a kernel writes that computes a value, whose place was made: the value itself, or
        what pointwise nodes make of it in registers. To be called like ``operand``.

        Args:
            value: what the kernel computes.
            output: which of a value's several outputs.
        """
        if output >= 0:
            picked = self.outputs_of.get(id(value), {}).get(output)
            if picked is None:
                made = self.accesses[id(value)]
                assert isinstance(made, tuple)
                return made[output]
            value = picked
        return self.fusion.result(value)

    def sum_following(self, value: Value, dims: Sequence[int]) -> Access | None:
        """Where the sum of a value's first output over these dimensions is to be put, if somebody
        reads it: the kernel that computes the output adds it up too.
        """
        output = self.outputs_of.get(id(value), {}).get(0)
        for reader in () if output is None else self.consumers.get(id(output), ()):
            if reader.name == "sum" and sorted(reader.parameters["dims"]) == sorted(dims):
                if reader.dtype is reader.inputs[0].dtype:  # type: ignore[union-attr]
                    self.fusion.done.add(id(reader))
                    return self.result(reader)
        return None

    def is_wanted(self, value: Value) -> bool:
        """Whether a value, or a view of it, is wanted after the run."""
        return id(value) in self.stored

    def makes(self, access: Access) -> bool:
        """Whether the program itself makes this, rather than being given it."""
        return self.buffers[access.buffer].kind != "leaf"

    def scratch(self, count: int, dtype: Any) -> Access:
        """Memory with undefined contents, for the calls of one value."""
        return self._new("temporary", (count,), dtype)

    def call(
        self,
        kernel: Kernel,
        arguments: list[Access] | tuple[Access, ...],
        writes: list[Access] | tuple[Access, ...],
        parallel: bool = True,
        errors: Callable[[int], Exception] | None = None,
        elementwise: bool | Sequence[int] = False,
        parts: Sequence[Value] = (),
        apart: bool = False,
        fine: bool = False,
        indices: Sequence[tuple[Access, int]] = (),
        trusted: bool = False,
    ) -> None:
        """Adds a kernel call.

        Args:
            kernel: what is called.
            arguments: what it gets.
            writes: which of the arguments it changes.
            parallel: whether all threads take part.
            errors: makes the exception of a status other than 0.
            elementwise: an element is written after the same elements of arguments that lie alike
                were read, and they are not read again: the result may take their place. Numbers
                say which arguments this is true of among each other.
            parts: the values that it computes, where they are not what is being lowered.
            apart: calls that say so and write the same buffer write different elements of it.
            fine: threads may share it in more parts than there are threads.
            indices: what it checks, from 0 on, and below which size. Where earlier calls have
                checked the same, it cannot fail.
            trusted: it cannot fail for another reason.
        """
        checked = {(_shown(index), bound) for index, bound in indices}
        trusted = trusted or bool(checked) and checked <= self.checked
        self.checked |= checked
        names = tuple(dict.fromkeys(part.name for part in parts))
        work = sum(operations(part) for part in parts)
        made = _buffers(writes)
        self.fusion.unwritten -= made
        if isinstance(elementwise, bool):
            elementwise = (0,) * len(arguments) if elementwise else ()
        self.steps.append(
            Call(
                kernel,
                tuple(arguments),
                made,
                parallel,
                errors,
                tuple(elementwise),
                names,
                work,
                apart,
                fine,
                trusted,
            )
        )

    # ---------------------------------------------------------------- placing

    def _place(self, value: Value, shape: Any, dtype: Any) -> Access:
        kind = "output" if id(value) in self.stored else "temporary"
        old = -1 if value.replaces is None else self.read(value.replaces).buffer
        return self._new(kind, shape, dtype, replaces=old)

    def _new(self, kind: str, shape: Any, dtype: Any, **more: Any) -> Access:
        shape = tuple(shape)
        self.buffers.append(Buffer(kind, shape, dtype, **more))
        return Access(len(self.buffers) - 1, 0, shape, contiguous_strides(shape), dtype)

    def _copy(self, source: Access, target: Access) -> None:
        """Adds the call that copies elements, if there are any."""
        if target.count:
            kernel, parallel = copy_kernel(source, target)
            self.call(kernel, [source, target], [target], parallel, elementwise=True)

    # ---------------------------------------------------------------- lowering

    def lower(self) -> None:
        """Plans every value in order; pointwise ones when they are read, or at the end."""
        origins = Origins()
        for value in self.graph.values:
            before = len(self.steps)
            if isinstance(value, Group) and PATTERNS[value.name](self, value):
                origins.note(value, self.steps[before:])
                continue
            for part in value.parts if isinstance(value, Group) else (value,):
                before = len(self.steps)
                self._lower(part)
                origins.note(part, self.steps[before:])
        self.fusion.finish()

    def _lower(self, value: Value) -> None:
        if value.name == "view":
            if value.held or self.is_placed(value.sources[0]):
                self._view(value)
        elif value.name == "output":
            self._output(value)
        elif not self.fusion.take(value):
            lowering = LOWERINGS.get(value.name)
            known = self._known(value)
            if known and value.name == "write":
                self._write(value)
            elif lowering is None or not known or not self._attempt(lowering, value):
                self._interpret(value)

    def _attempt(self, lowering: Callable[[Any, Any], bool], value: Value) -> bool:
        """Calls a lowering; again with contiguous copies of the inputs where it has no kernel for
        how they lie.
        """
        if lowering(self, value):
            return True
        strided = {
            id(source): access
            for source in value.sources
            if isinstance(access := self.accesses.get(id(source)), Access)
            and access.strides != contiguous_strides(access.shape)
        }
        before = len(self.steps)
        for identity, access in strided.items():
            copy = self._new("temporary", access.shape, access.dtype)
            self._copy(access, copy)
            self.accesses[identity] = copy
        done = bool(strided) and lowering(self, value)
        self.accesses.update(strided)
        if not done:
            del self.steps[before:]
        return done

    @staticmethod
    def _known(value: Value) -> bool:
        kinds = value.dtype if isinstance(value.dtype, tuple) else (value.dtype,)
        return all(kind.name in SCALARS for kind in (*kinds, *(s.dtype for s in value.sources)))

    def _view(self, value: Value) -> None:
        self.accesses[id(value)] = _seen(self.read(value.sources[0]), value)

    def _output(self, value: Value) -> None:
        made = self.accesses[id(value.inputs[0])]
        assert isinstance(made, tuple)
        self.accesses[id(value)] = made[value.parameters["index"]]

    def _write(self, value: Value) -> None:
        """A buffer of which a part is overwritten: in its place, if the schedule finds that nobody
        reads what was there before.
        """
        base, part = (self.read(source) for source in value.sources)
        kind = "output" if id(value) in self.stored else "temporary"
        whole = self.buffers[base.buffer].count == base.count
        # where nothing is written, no step would bring the contents
        if part.count and whole and base.strides == contiguous_strides(base.shape):
            target = self._new(kind, value.shape, value.dtype, replaces=base.buffer, partly=True)
        else:
            target = self._new(kind, value.shape, value.dtype)
            self._copy(base, target)
        self.accesses[id(value)] = target
        self._copy(part, _seen(target, value))

    def _interpret(self, value: Value) -> None:
        inputs = tuple(None if source is None else self.read(source) for source in value.inputs)
        if isinstance(value.dtype, tuple):
            results = self.results(value)
        else:
            results = (self.result(value),)
        self.steps.append(Interpreted(value, inputs, results))


def _buffers(accesses: list[Access] | tuple[Access, ...]) -> frozenset[int]:
    return frozenset(access.buffer for access in accesses)


def _seen(base: Access, view: Value) -> Access:
    """A view's access, from that of what it shows."""
    offset = base.offset + view.parameters["offset"]
    strides = tuple(view.parameters["strides"])
    return Access(base.buffer, offset, tuple(view.parameters["shape"]), strides, base.dtype)


def _shown(access: Access) -> Any:
    """Which elements an access shows, however dimensions of one element are counted."""
    steps = zip(access.shape, access.strides, strict=True)
    return access.buffer, access.offset, tuple(step for step in steps if step[0] != 1)
