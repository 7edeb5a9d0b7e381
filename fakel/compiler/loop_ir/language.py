"""The loop IR: what kernels are written in, between the graph and LLVM.

A kernel is a tree of statements over typed expressions. Buffers are flat; indices are in elements.
``repr`` of a kernel is readable text, which tests compare.

    kernel scale(x: f32, out: f32)
      for i in 0..64 step 1
        out[i] = (x[i] * 2.0)
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

INDEX = "i64"
FLOATS = ("f32", "f64")


@dataclass(frozen=True)
class Type:
    """An element type ("f32", "f64", "i8", "i16", "i32", "i64", "u8", "i1") and a number of
    lanes.
    """

    scalar: str
    lanes: int = 1

    @property
    def is_float(self) -> bool:
        """Whether elements are floating-point numbers."""
        return self.scalar in FLOATS

    def __repr__(self) -> str:
        return self.scalar if self.lanes == 1 else f"{self.scalar}x{self.lanes}"


class Expression:
    """A value; Python's operators make new ones. Numbers become literals of the other operand's
    type.
    """

    type: Type

    def __add__(self, other: Any) -> Expression:
        return binary("+", self, other)

    def __radd__(self, other: Any) -> Expression:
        return binary("+", other, self)

    def __sub__(self, other: Any) -> Expression:
        return binary("-", self, other)

    def __rsub__(self, other: Any) -> Expression:
        return binary("-", other, self)

    def __mul__(self, other: Any) -> Expression:
        return binary("*", self, other)

    def __rmul__(self, other: Any) -> Expression:
        return binary("*", other, self)

    def __truediv__(self, other: Any) -> Expression:
        return binary("/", self, other)

    def __rtruediv__(self, other: Any) -> Expression:
        return binary("/", other, self)

    def __floordiv__(self, other: Any) -> Expression:
        return binary("//", self, other)

    def __mod__(self, other: Any) -> Expression:
        return binary("%", self, other)

    def __neg__(self) -> Expression:
        return binary("-", -0.0 if self.type.is_float else 0, self)


@dataclass(frozen=True, eq=False, repr=False)
class Literal(Expression):
    """A number; with several lanes, the same in each, or a tuple of the lanes' numbers."""

    value: Any
    type: Type

    def __repr__(self) -> str:
        return repr(self.value)


@dataclass(frozen=True, eq=False, repr=False)
class Variable(Expression):
    """A loop index, a value bound by ``let``, or an accumulator."""

    name: str
    type: Type

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True, eq=False, repr=False)
class Load(Expression):
    """Elements of a buffer from an index on, ``stride`` apart; as many as the type has lanes. With
    ``active``, only so many of them are read, and the other lanes are 0.
    """

    buffer: Buffer
    index: Expression
    type: Type
    active: int | Expression | None = None
    stride: int = 1

    def __repr__(self) -> str:
        lanes = _lanes(self.type, self.active)
        apart = "" if self.stride == 1 else f" by {self.stride}"
        return f"{self.buffer.name}[{_bare(self.index)}{lanes}{apart}]"


@dataclass(frozen=True, eq=False, repr=False)
class Binary(Expression):
    """Two operands: + - * / // % min max & | ^ << >>, and comparisons, which give ``i1``."""

    operation: str
    left: Expression
    right: Expression
    type: Type

    def __repr__(self) -> str:
        if self.operation.isalpha():
            return f"{self.operation}({_bare(self.left)}, {_bare(self.right)})"
        return f"({self.left} {self.operation} {self.right})"


@dataclass(frozen=True, eq=False, repr=False)
class Call(Expression):
    """A function of LLVM's or of this compiler's: sqrt, fabs, floor, fma, select, reduce_add, …"""

    function: str
    arguments: tuple[Expression, ...]
    type: Type

    def __repr__(self) -> str:
        return f"{self.function}({', '.join(_bare(a) for a in self.arguments)})"


@dataclass(frozen=True, eq=False, repr=False)
class Shuffle(Expression):
    """Lanes picked from two vectors: those of the second are numbered after those of the first."""

    left: Expression
    right: Expression
    picked: tuple[int, ...]
    type: Type

    def __repr__(self) -> str:
        return f"shuffle({_bare(self.left)}, {_bare(self.right)}, {list(self.picked)})"


@dataclass(frozen=True, eq=False, repr=False)
class Cast(Expression):
    """The value in another type of as many lanes, or one value in every lane."""

    value: Expression
    type: Type
    bits: bool = False  # reinterpret instead of convert

    def __repr__(self) -> str:
        return f"{'bits' if self.bits else ''}{self.type}({_bare(self.value)})"


@dataclass(frozen=True, eq=False)
class Buffer:
    """An argument: memory of elements of one type, or (``by_value``) one number of that type.

    ``count`` arguments in a row may be one buffer, of which ``pick`` takes one at a time.
    """

    name: str
    scalar: str
    by_value: bool = False
    count: int = 1


@dataclass(eq=False)
class Statement:
    """Something that a kernel does."""


@dataclass(eq=False)
class For(Statement):
    """The body for each index from start up to stop. ``unroll`` asks LLVM to unroll it fully, or
    (False) not at all; by default LLVM decides.
    """

    index: Variable
    start: Expression
    stop: Expression
    step: int
    body: list[Statement]
    unroll: bool | None = None


@dataclass(eq=False)
class If(Statement):
    """The body when the condition holds, else the other one."""

    condition: Expression
    body: list[Statement]
    otherwise: list[Statement] = field(default_factory=list)


@dataclass(eq=False)
class Let(Statement):
    """Names a value; ``mutable`` makes an accumulator, which ``Assign`` changes."""

    variable: Variable
    value: Expression
    mutable: bool = False


@dataclass(eq=False)
class Assign(Statement):
    """Gives an accumulator a new value."""

    variable: Variable
    value: Expression


@dataclass(eq=False)
class Store(Statement):
    """Writes a value, of one lane or several, into a buffer. With ``active``, only so many
    lanes.
    """

    buffer: Buffer
    index: Expression
    value: Expression
    active: int | Expression | None = None


@dataclass(eq=False)
class Prefetch(Statement):
    """Asks for the cache line of an element, into the second-level cache to read it, or into the
    first one to write it soon; nothing waits for it.
    """

    buffer: Buffer
    index: Expression
    write: bool = False


@dataclass(eq=False)
class Pick(Statement):
    """Gives a buffer the memory of one of several arguments."""

    buffer: Buffer
    source: Buffer
    index: Expression


@dataclass(eq=False)
class Fail(Statement):
    """Ends the kernel with a status that says what is wrong."""

    status: Expression


@dataclass(eq=False)
class Local:
    """A small array of the kernel's own, on the stack."""

    buffer: Buffer
    length: int


@dataclass(eq=False)
class Constant:
    """An array of numbers that is part of the kernel."""

    buffer: Buffer
    values: tuple[float, ...]


@dataclass(eq=False)
class Kernel:
    """A kernel: arguments in order, statements, and the variables ``thread`` and ``threads``.

    Arguments do not overlap, but for pairs of them that are ``shared``, by their positions.
    ``in_vectors``: it reads or writes vectors, so that LLVM need not look for any.
    """

    name: str
    arguments: list[Buffer]
    body: list[Statement] = field(default_factory=list)
    locals: list[Local] = field(default_factory=list)
    shared: tuple[tuple[int, int], ...] = ()
    constants: list[Constant] = field(default_factory=list)
    picked: list[Pick] = field(default_factory=list)
    in_vectors: bool = False
    thread: Variable = field(default_factory=lambda: Variable("thread", Type(INDEX)))
    threads: Variable = field(default_factory=lambda: Variable("threads", Type(INDEX)))

    def with_shared(self, position: int, other: int) -> Kernel:
        """The kernel for the case that two of what it is called with are the same memory."""
        owners = [i for i, buffer in enumerate(self.arguments) for _ in range(buffer.count)]
        pair = owners[position], owners[other]
        return self if pair in self.shared else replace(self, shared=(*self.shared, pair))

    def _argument(self, position: int, buffer: Buffer) -> str:
        others = [self.arguments[b].name for a, b in self.shared if a == position]
        place = f" in {', '.join(others)}" if others else ""
        several = f"[{buffer.count}]" if buffer.count > 1 else ""
        kind = f"{buffer.scalar}{several}{' value' if buffer.by_value else ''}"
        return f"{buffer.name}: {kind}{place}"

    def __repr__(self) -> str:
        signature = ", ".join(self._argument(i, b) for i, b in enumerate(self.arguments))
        lines = [f"kernel {self.name}({signature})"]
        lines += [f"  constant {each.buffer.name} = {each.values}" for each in self.constants]
        lines += [
            f"  local {each.buffer.name}: {each.buffer.scalar}[{each.length}]"
            for each in self.locals
        ]
        _write(self.body, lines, 1)
        return "\n".join(lines) + "\n"


def _lanes(kind: Type, active: int | Expression | None) -> str:
    if kind.lanes == 1:
        return ""
    return f":{kind.lanes}" if active is None else f":{active} of {kind.lanes}"


def _bare(expression: Expression) -> str:
    text = repr(expression)
    if isinstance(expression, Binary) and text.startswith("("):
        return text[1:-1]
    return text


def _write(body: list[Statement], lines: list[str], depth: int) -> None:
    margin = "  " * depth
    for statement in body:
        match statement:
            case For(index, start, stop, step, inner, unroll):
                suffix = {None: "", True: " unrolled", False: " rolled"}[unroll]
                lines.append(
                    f"{margin}for {index} in {_bare(start)}..{_bare(stop)} step {step}{suffix}"
                )
                _write(inner, lines, depth + 1)
            case If(condition, inner, otherwise):
                lines.append(f"{margin}if {_bare(condition)}")
                _write(inner, lines, depth + 1)
                if otherwise:
                    lines.append(f"{margin}else")
                    _write(otherwise, lines, depth + 1)
            case Let(variable, value, mutable):
                lines.append(f"{margin}{'var' if mutable else 'let'} {variable} = {_bare(value)}")
            case Assign(variable, value):
                lines.append(f"{margin}{variable} = {_bare(value)}")
            case Store(buffer, index, value, active):
                lanes = _lanes(value.type, active)
                lines.append(f"{margin}{buffer.name}[{_bare(index)}{lanes}] = {_bare(value)}")
            case Prefetch(buffer, index, write):
                purpose = " to write" if write else ""
                lines.append(f"{margin}prefetch{purpose} {buffer.name}[{_bare(index)}]")
            case Pick(buffer, source, index):
                lines.append(f"{margin}{buffer.name} is {source.name}[{_bare(index)}]")
            case Fail(status):
                lines.append(f"{margin}fail {_bare(status)}")


# -------------------------------------------------------------------- building


_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


def literal(value: Any, like: Type | str) -> Expression:
    """A number of a type; an expression as it is, in every lane when the type has several."""
    kind = Type(like) if isinstance(like, str) else like
    if isinstance(value, Expression):
        if value.type.lanes == 1 and kind.lanes > 1:
            return Cast(value, Type(value.type.scalar, kind.lanes))
        return value
    return Literal(float(value) if kind.is_float else int(value), kind)


def binary(operation: str, left: Any, right: Any) -> Expression:
    """An operation on two operands, of which one may be a Python number. Index arithmetic on
    numbers is carried out at once.
    """
    known = left if isinstance(left, Expression) else right
    other = right if known is left else left
    lanes = max(known.type.lanes, other.type.lanes if isinstance(other, Expression) else 1)
    kind = Type(known.type.scalar, lanes)
    a, b = literal(left, kind), literal(right, kind)
    if a.type.scalar != b.type.scalar:
        raise TypeError(f"{operation} of {a.type} and {b.type}")
    if kind.scalar == INDEX and lanes == 1:
        folded = _fold(operation, a, b)
        if folded is not None:
            return folded
    result = Type("i1", lanes) if operation in _COMPARISONS else kind
    return Binary(operation, a, b, result)


def _fold(operation: str, a: Expression, b: Expression) -> Expression | None:
    x = a.value if isinstance(a, Literal) else None
    y = b.value if isinstance(b, Literal) else None
    if x is not None and y is not None and operation in "+-*":
        value = x + y if operation == "+" else x - y if operation == "-" else x * y
        return Literal(value, a.type)
    if operation == "+":
        return b if x == 0 else a if y == 0 else None
    if operation == "-":
        return a if y == 0 else None
    if operation == "*":
        if x == 0 or y == 0:
            return Literal(0, a.type)
        return b if x == 1 else a if y == 1 else None
    if operation in ("//", "%") and y == 1:
        return a if operation == "//" else Literal(0, a.type)
    return None


def call(function: str, *arguments: Any, type: Type | None = None) -> Expression:
    """A call; numbers take the type of the first argument that is an expression."""
    known = next(a for a in arguments if isinstance(a, Expression))
    lanes = max(a.type.lanes for a in arguments if isinstance(a, Expression))
    kind = Type(known.type.scalar, lanes)
    converted = tuple(literal(a, kind) for a in arguments)
    return Call(function, converted, type or kind)


def select(condition: Expression, yes: Any, no: Any) -> Expression:
    """``yes`` where the condition holds, else ``no``."""
    known = yes if isinstance(yes, Expression) else no
    values = [each for each in (condition, yes, no) if isinstance(each, Expression)]
    lanes = max(each.type.lanes for each in values)
    kind = Type(known.type.scalar, lanes)
    return Call(
        "select",
        (literal(condition, Type("i1", lanes)), literal(yes, kind), literal(no, kind)),
        kind,
    )


def rarely(condition: Expression, rare: Expression, usual: Expression) -> Expression:
    """``rare`` where the condition holds, else ``usual``; ``rare`` is costly and seldom needed."""
    return Call("rarely", (condition, rare, usual), usual.type)


def fma(a: Any, b: Any, c: Any) -> Expression:
    """``a * b + c``, rounded once."""
    return call("fma", a, b, c)


def shuffle(left: Expression, right: Expression, picked: Iterable[int]) -> Expression:
    """A vector of the picked lanes of two."""
    lanes = tuple(picked)
    return Shuffle(left, right, lanes, Type(left.type.scalar, len(lanes)))


def cast(value: Expression, scalar: str) -> Expression:
    """The value converted to another element type."""
    return value if value.type.scalar == scalar else Cast(value, Type(scalar, value.type.lanes))
