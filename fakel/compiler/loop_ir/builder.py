"""How kernels are put together: statements of the loop IR, appended one after the other."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterable, Iterator
from typing import Any

from fakel.compiler.loop_ir.language import (
    INDEX,
    Assign,
    Buffer,
    Constant,
    Expression,
    Fail,
    For,
    If,
    Kernel,
    Let,
    Literal,
    Load,
    Local,
    Pick,
    Prefetch,
    Statement,
    Store,
    Type,
    Variable,
    call,
    literal,
)


def _active(active: int | Expression | None, lanes: int) -> int | Expression | None:
    return None if isinstance(active, int) and active >= lanes else active


class Builder:
    """Puts a kernel together: ``with builder.loop(...) as i:`` opens a nest, the rest appends."""

    def __init__(self, name: str) -> None:
        self.kernel = Kernel(name, [])
        self._blocks = [self.kernel.body]
        self._numbers = itertools.count()

    def _append(self, statement: Statement) -> None:
        self._blocks[-1].append(statement)

    def _fresh(self, name: str) -> str:
        return f"{name}{next(self._numbers)}"

    def buffer(self, name: str, scalar: str, count: int = 1) -> Buffer:
        """A new argument: memory; or several arguments, of which ``pick`` takes one."""
        made = Buffer(name, scalar, count=count)
        self.kernel.arguments.append(made)
        return made

    def pick(self, source: Buffer, index: Any) -> Buffer:
        """The memory of one of several arguments."""
        made = Pick(Buffer(self._fresh(source.name), source.scalar), source, literal(index, INDEX))
        self.kernel.picked.append(made)
        self._append(made)
        return made.buffer

    def constant(self, name: str, values: Iterable[float], scalar: str = INDEX) -> Buffer:
        """An array of numbers."""
        made = Buffer(self._fresh(name), scalar)
        self.kernel.constants.append(Constant(made, tuple(values)))
        return made

    def scalar(self, name: str, scalar: str) -> Expression:
        """A new argument: a number, given as its bits."""
        made = Buffer(name, scalar, by_value=True)
        self.kernel.arguments.append(made)
        return Load(made, Literal(0, Type(INDEX)), Type(scalar))

    def local(self, name: str, scalar: str, length: int) -> Buffer:
        """A small array on the stack."""
        made = Buffer(self._fresh(name), scalar)
        self.kernel.locals.append(Local(made, length))
        return made

    @contextlib.contextmanager
    def loop(
        self, stop: Any, start: Any = 0, step: int = 1, name: str = "i", unroll: bool | None = None
    ) -> Iterator[Variable]:
        """A loop over an index."""
        index = Variable(self._fresh(name), Type(INDEX))
        body: list[Statement] = []
        self._append(For(index, literal(start, INDEX), literal(stop, INDEX), step, body, unroll))
        self._blocks.append(body)
        yield index
        self._blocks.pop()

    @contextlib.contextmanager
    def share(
        self, count: Any, name: str = "i", grain: int = 1, step: int = 1
    ) -> Iterator[Variable]:
        """A loop over this thread's share of ``count`` indices: an even, contiguous part, cut at
        multiples of ``grain``.
        """
        start, stop = self.part(count, grain)
        with self.loop(stop, start, step, name=name) as index:
            yield index

    def part(self, count: Any, grain: int = 1) -> tuple[Variable, Variable]:
        """Where this thread's share of ``count`` indices starts and stops."""
        thread, threads = self.kernel.thread, self.kernel.threads
        total = literal(count, INDEX)
        units = (total + (grain - 1)) // grain
        start = self.let(call("min", thread * units // threads * grain, total), "start")
        stop = self.let(call("min", (thread + 1) * units // threads * grain, total), "stop")
        return start, stop

    @contextlib.contextmanager
    def when(self, condition: Expression) -> Iterator[None]:
        """A block that runs when the condition holds."""
        body: list[Statement] = []
        self._append(If(condition, body))
        self._blocks.append(body)
        yield
        self._blocks.pop()

    @contextlib.contextmanager
    def otherwise(self) -> Iterator[None]:
        """The other block of the ``when`` just before."""
        last = self._blocks[-1][-1]
        assert isinstance(last, If)
        self._blocks.append(last.otherwise)
        yield
        self._blocks.pop()

    def let(self, value: Expression, name: str = "v") -> Variable:
        """Names a value, which is then computed once."""
        variable = Variable(self._fresh(name), value.type)
        self._append(Let(variable, value))
        return variable

    def accumulator(
        self, value: Any, type: Type | str | None = None, name: str = "sum"
    ) -> Variable:
        """A variable that ``assign`` may change; it lives in a register."""
        start = (
            value if type is None else literal(value, Type(type) if isinstance(type, str) else type)
        )
        variable = Variable(self._fresh(name), start.type)
        self._append(Let(variable, start, mutable=True))
        return variable

    def assign(self, variable: Variable, value: Any) -> None:
        """Gives an accumulator a new value."""
        self._append(Assign(variable, literal(value, variable.type)))

    def load(
        self,
        buffer: Buffer,
        index: Any,
        lanes: int = 1,
        active: int | Expression | None = None,
        stride: int = 1,
    ) -> Expression:
        """Elements of a buffer; only ``active`` of them where that is fewer than the lanes."""
        mask = _active(active, lanes)
        self.kernel.in_vectors |= lanes > 1
        return Load(buffer, literal(index, INDEX), Type(buffer.scalar, lanes), mask, stride)

    def store(
        self, buffer: Buffer, index: Any, value: Any, active: int | Expression | None = None
    ) -> None:
        """Writes elements of a buffer; only the first ``active`` lanes where that is fewer."""
        made = literal(value, buffer.scalar)
        mask = _active(active, made.type.lanes)
        self.kernel.in_vectors |= made.type.lanes > 1
        self._append(Store(buffer, literal(index, INDEX), made, mask))

    def prefetch(self, buffer: Buffer, index: Any, write: bool = False) -> None:
        """Asks for the cache line of an element, to read it or to write it soon."""
        self._append(Prefetch(buffer, literal(index, INDEX), write))

    def fail(self, status: Any) -> None:
        """Ends the kernel with a status other than 0."""
        self._append(Fail(literal(status, INDEX)))
