"""Loop IR to LLVM: one function with the signature ``i64 name(ptr arguments, i64 thread, i64
threads)``.

Tables for what is regular, small functions for the rest. The module is written as text right away,
line by line: LLVM has to read text in any case, and objects for each instruction would take ten
times as long. Accumulators are stack slots, which LLVM turns into registers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import cache, lru_cache
from typing import Any, NamedTuple

from fakel.compiler.loop_ir import language as loop_ir
from fakel.compiler.loop_ir.language import Buffer, Expression, Kernel, Type

# operands of llvm.prefetch: to read or to write; how near; data rather than instructions
_TO_SECOND_LEVEL, _TO_WRITE = "i32 0, i32 2, i32 1", "i32 1, i32 3, i32 1"
# what a reduction of floats starts with
_NEUTRAL = {"reduce_add": -0.0, "reduce_mul": 1.0}
_SCALARS = {
    "i1": "i1",
    "i8": "i8",
    "u8": "i8",
    "i16": "i16",
    "i32": "i32",
    "i64": "i64",
    "f32": "float",
    "f64": "double",
}
_WIDTH = {"i1": 1, "i8": 8, "u8": 8, "i16": 16, "i32": 32, "i64": 64, "f32": 32, "f64": 64}
_ALIGNMENT = {"f64": 8, "i64": 8, "f32": 4, "i32": 4, "i16": 2}
_FLOAT_OPERATIONS = {
    "+": "fadd contract",
    "-": "fsub contract",
    "*": "fmul contract",
    "/": "fdiv",
    "%": "frem",
}
_INTEGER_OPERATIONS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "//": "sdiv",
    "%": "srem",
    "&": "and",
    "|": "or",
    "^": "xor",
    "<<": "shl",
    ">>": "ashr",
}
_UNSIGNED = ("u8", "i1")
_UNSIGNED_OPERATIONS = {**_INTEGER_OPERATIONS, "//": "udiv", "%": "urem", ">>": "lshr"}
_COMPARISONS = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne"}
# functions that are LLVM intrinsics overloaded on their type
_INTRINSICS = {
    "fma": "llvm.fma",
    "sqrt": "llvm.sqrt",
    "fabs": "llvm.fabs",
    "floor": "llvm.floor",
    "ceil": "llvm.ceil",
    "trunc": "llvm.trunc",
    "rint": "llvm.rint",
    "copysign": "llvm.copysign",
    "minnum": "llvm.minnum",
    "maxnum": "llvm.maxnum",
    "minimum": "llvm.minimum",
    "maximum": "llvm.maximum",
}
_INTEGER_EXTREMES = {"min": "llvm.smin", "max": "llvm.smax"}
_UNSIGNED_EXTREMES = {"min": "llvm.umin", "max": "llvm.umax"}
# one value from a vector's lanes: the intrinsic for floats and the one for integers
_REDUCTIONS = {
    "reduce_add": ("fadd", "add"),
    "reduce_mul": ("fmul", "mul"),
    "reduce_max": ("fmax", "smax"),
    "reduce_min": ("fmin", "smin"),
    "reduce_maximum": ("fmaximum", "smax"),
    "reduce_minimum": ("fminimum", "smin"),
    "reduce_and": ("", "and"),
    "reduce_or": ("", "or"),
}


class Value(NamedTuple):
    """A value in LLVM's words: its type, and its name or number."""

    kind: str
    name: str

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"


@cache
def llvm_type(kind: Type) -> str:
    """The LLVM type of a loop IR type; comparison results are ``i1``."""
    scalar = _SCALARS[kind.scalar]
    return scalar if kind.lanes == 1 else f"<{kind.lanes} x {scalar}>"


@cache
def _suffix(kind: Type) -> str:
    """How names of intrinsics end that are overloaded on a type."""
    scalar = {"u8": "i8"}.get(kind.scalar, kind.scalar)
    return scalar if kind.lanes == 1 else f"v{kind.lanes}{scalar}"


def _number(scalar: str, value: Any) -> str:
    """A number as LLVM writes it; floats by their bits, those of float32 widened to a double's."""
    if scalar not in loop_ir.FLOATS:
        return str(int(value))
    value = float(value)
    if scalar == "f32":
        (value,) = struct.unpack("f", struct.pack("f", value))
    return f"0x{struct.unpack('Q', struct.pack('d', value))[0]:016X}"


@lru_cache(4096)
def _constant(kind: Type, value: Any, text: str) -> Value:
    """A constant.

    Args:
        kind: its type.
        value: a number, the same in each lane, or a tuple of the lanes' numbers.
        text: tells values apart that compare equal.
    """
    if kind.lanes == 1 and not isinstance(value, tuple):
        return Value(llvm_type(kind), _number(kind.scalar, value))
    values = value if isinstance(value, tuple) else (value,) * kind.lanes
    scalar = _SCALARS[kind.scalar]
    lanes = ", ".join([f"{scalar} {_number(kind.scalar, each)}" for each in values])
    return Value(llvm_type(kind), f"<{lanes}>")


def emit(kernel: Kernel) -> str:
    """The LLVM module of a kernel, as text."""
    return _Emitter(kernel).module()


class _Emitter:
    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.lines: list[str] = []
        self.slots: list[str] = []  # of the stack, which come first
        self.globals: list[str] = []
        self.declarations: dict[str, str] = {}
        self.metadata: list[str] = []
        self.count = 0
        self.label = "entry"  # of the block at hand
        self.values: dict[str, Value] = {}  # variables; of accumulators, what their slots hold
        self.mutable: set[str] = set()
        self.buffers: dict[int, str] = {}  # the pointers, or numbers given by value
        self.known: dict[int, Value] = {}  # parts of the statement at hand that occur in it again
        self.scope = self._alias_scopes()

    def module(self) -> str:
        """The text."""
        self._run()
        head = f"define i64 @{self.kernel.name}(ptr %arguments, i64 %thread, i64 %threads) {{"
        body = [head, "entry:", *self.slots, *self.lines, "}"]
        nodes = [f"!{number} = {text}" for number, text in enumerate(self.metadata)]
        return "\n".join([*self.globals, *body, *self.declarations.values(), *nodes, ""])

    # ---------------------------------------------------------------- lines

    def _define(self, kind: str, instruction: str) -> Value:
        """A new value: what an instruction gives."""
        self.count += 1
        name = f"%v{self.count}"
        self.lines.append(f"  {name} = {instruction}")
        return Value(kind, name)

    def _slot(self, what: str) -> str:
        """A place on the stack."""
        self.count += 1
        self.slots.append(f"  %s{self.count} = alloca {what}")
        return f"%s{self.count}"

    def _labels(self, *names: str) -> list[str]:
        self.count += 1
        return [f"{name}{self.count}" for name in names]

    def _begin(self, label: str) -> None:
        """What follows is the block of this label."""
        self.lines.append(f"{label}:")
        self.label = label

    def _branch(self, label: str, metadata: str = "") -> None:
        self.lines.append(f"  br label %{label}{metadata}")

    def _choose(self, condition: Value, yes: str, no: str, metadata: str = "") -> None:
        self.lines.append(f"  br {condition}, label %{yes}, label %{no}{metadata}")

    def _call(self, name: str, kind: str, arguments: list[Value], flags: str = "") -> Value:
        """What a function gives."""
        self._declare(name, kind, [argument.kind for argument in arguments])
        given = ", ".join(map(str, arguments))
        return self._define(kind, f"call {flags}{kind} @{name}({given})")

    def _declare(self, name: str, kind: str, arguments: list[str]) -> None:
        if name not in self.declarations:
            self.declarations[name] = f"declare {kind} @{name}({', '.join(arguments)})"

    def _node(self, *operands: str, distinct: bool = False) -> str:
        """A metadata node; a distinct one refers to itself first."""
        own = f"!{len(self.metadata)}"
        if distinct:
            self.metadata.append(f"distinct !{{{', '.join((own, *operands))}}}")
        else:
            self.metadata.append(f"!{{{', '.join(operands)}}}")
        return own

    # ---------------------------------------------------------------- buffers

    def _alias_scopes(self) -> dict[int, str]:
        """Metadata of access to each buffer, which says that no two buffers overlap, as the planner
        has it, but for those that share memory.
        """
        domain = self._node('!"buffers"')
        homes = self._homes()
        scopes = {
            id(b): self._node(f'!"{b.name}.{i}"', domain)
            for i, b in enumerate(self._all_buffers())
            if not b.by_value and homes.get(i, i) == i
        }
        result = {}
        for key, scope in scopes.items():
            others = self._node(*[other for k, other in scopes.items() if k != key])
            result[key] = f", !alias.scope {self._node(scope)}, !noalias {others}"
        arguments = self.kernel.arguments
        for position, home in homes.items():
            result[id(arguments[position])] = result[id(arguments[home])]
        for each in self.kernel.picked:
            result[id(each.buffer)] = result[id(each.source)]
        return result

    def _homes(self) -> dict[int, int]:
        """The first of the arguments with which each that shares memory does so."""
        groups: list[set[int]] = []
        for pair in self.kernel.shared:
            joined = set(pair).union(*(group for group in groups if group & set(pair)))
            groups = [group for group in groups if not group & joined] + [joined]
        return {position: min(group) for group in groups for position in group}

    def _all_buffers(self) -> list[Buffer]:
        kernel = self.kernel
        inner = [each.buffer for each in (*kernel.locals, *kernel.constants)]
        return [*kernel.arguments, *inner]

    def _run(self) -> None:
        kernel, buffers = self.kernel, self.buffers
        self.values["thread"], self.values["threads"] = (
            Value("i64", "%thread"),
            Value("i64", "%threads"),
        )
        position = 0
        for buffer in kernel.arguments:
            slot = self._define("ptr", f"getelementptr i64, ptr %arguments, i64 {position}").name
            position += buffer.count
            if buffer.count == 1:
                kind = _SCALARS[buffer.scalar] if buffer.by_value else "ptr"
                slot = self._define(kind, f"load {kind}, ptr {slot}").name
            buffers[id(buffer)] = slot
        for position, home in self._homes().items():
            if kernel.arguments[position].count == 1:
                buffers[id(kernel.arguments[position])] = buffers[id(kernel.arguments[home])]
        for constant in kernel.constants:
            name, scalar = constant.buffer.name, constant.buffer.scalar
            kind = _SCALARS[scalar]
            numbers = ", ".join([f"{kind} {_number(scalar, each)}" for each in constant.values])
            self.globals.append(
                f"@{name} = internal constant [{len(constant.values)} x {kind}] [{numbers}]"
            )
            buffers[id(constant.buffer)] = f"@{name}"
        for local in kernel.locals:
            kind = _SCALARS[local.buffer.scalar]
            buffers[id(local.buffer)] = self._slot(f"{kind}, i64 {local.length}, align 64")
        self.block(kernel.body)
        self.lines.append("  ret i64 0")

    # ---------------------------------------------------------------- statements

    def block(self, body: list[loop_ir.Statement]) -> None:
        for statement in body:
            self.known.clear()
            _STATEMENTS[type(statement)](self, statement)

    def for_(self, loop: loop_ir.For) -> None:
        start, stop = self.value(loop.start), self.value(loop.stop)
        head, body, after = self._labels("for", "do", "done")
        before = self.label
        self._branch(head)
        self._begin(head)
        place = len(self.lines)
        index = self._define("i64", "")  # see below
        self._choose(self._define("i1", f"icmp slt {index}, {stop.name}"), body, after)
        self._begin(body)
        self.values[loop.index.name] = index
        self.block(loop.body)
        following = self._define("i64", f"add nsw {index}, {loop.step}").name
        self.lines[place] += f"phi i64 [{start.name}, %{before}], [{following}, %{self.label}]"
        self._branch(head, self._unrolling(loop.unroll))
        self._begin(after)

    def _unrolling(self, unroll: bool | None) -> str:
        if unroll is None:
            return ""
        wish = self._node(f'!"llvm.loop.unroll.{"full" if unroll else "disable"}"')
        return f", !llvm.loop {self._node(wish, distinct=True)}"

    def if_(self, statement: loop_ir.If) -> None:
        then, otherwise, after = self._labels("then", "else", "endif")
        condition = self.value(statement.condition)
        self._choose(condition, then, otherwise if statement.otherwise else after)
        self._begin(then)
        self.block(statement.body)
        self._branch(after)
        if statement.otherwise:
            self._begin(otherwise)
            self.block(statement.otherwise)
            self._branch(after)
        self._begin(after)

    def let(self, statement: loop_ir.Let) -> None:
        value, name = self.value(statement.value), statement.variable.name
        if statement.mutable:
            slot = self._slot(value.kind)
            self.lines.append(f"  store {value}, ptr {slot}")
            self.values[name] = Value(value.kind, slot)
            self.mutable.add(name)
        else:
            self.values[name] = value

    def assign(self, statement: loop_ir.Assign) -> None:
        value = self.value(statement.value)
        self.lines.append(f"  store {value}, ptr {self.values[statement.variable.name].name}")

    def store(self, statement: loop_ir.Store) -> None:
        value, buffer, kind = self.value(statement.value), statement.buffer, statement.value.type
        if kind.scalar == "i1":
            kind = Type("u8", kind.lanes)
            value = self._define(llvm_type(kind), f"zext {value} to {llvm_type(kind)}")
        active = statement.active
        if active == 1:
            # a masked store of one lane: LLVM 22 forgets that its number was to be shortened, and
            # writes beyond it
            value = self._define(_SCALARS[kind.scalar], f"extractelement {value}, i64 0")
            active = None
        place, alignment = self._address(buffer, statement.index), _ALIGNMENT.get(buffer.scalar, 1)
        if active is None:
            end = f"align {alignment}{self.scope[id(buffer)]}"
            self.lines.append(f"  store {value}, ptr {place}, {end}")
            return
        mask = self._mask(kind.lanes, active)
        name = f"llvm.masked.store.{_suffix(kind)}.p0"
        self._declare(name, "void", [value.kind, "ptr", "i32", mask.kind])
        given = f"{value}, ptr {place}, i32 {alignment}, {mask}"
        self.lines.append(f"  call void @{name}({given}){self.scope[id(buffer)]}")

    def prefetch(self, statement: loop_ir.Prefetch) -> None:
        place = self._address(statement.buffer, statement.index)
        self._declare("llvm.prefetch.p0", "void", ["ptr", "i32", "i32", "i32"])
        wish = _TO_WRITE if statement.write else _TO_SECOND_LEVEL
        self.lines.append(f"  call void @llvm.prefetch.p0(ptr {place}, {wish})")

    def pick(self, statement: loop_ir.Pick) -> None:
        slots = self.buffers[id(statement.source)]
        if statement.source.count > 1:
            index = self.value(statement.index)
            slot = self._define("ptr", f"getelementptr i64, ptr {slots}, {index}")
            slots = self._define("ptr", f"load ptr, {slot}").name
        self.buffers[id(statement.buffer)] = slots

    def fail(self, statement: loop_ir.Fail) -> None:
        self.lines.append(f"  ret {self.value(statement.status)}")
        # what follows in this block is never reached, but must stand in a block
        self._begin(*self._labels("unreached"))

    def _address(self, buffer: Buffer, index: Expression) -> str:
        memory, kind = self.buffers[id(buffer)], _SCALARS[buffer.scalar]
        where = self.value(index)
        return self._define("ptr", f"getelementptr {kind}, ptr {memory}, {where}").name

    # ---------------------------------------------------------------- expressions

    def value(self, expression: Expression) -> Value:
        key = id(expression)
        found = self.known.get(key)
        if found is None:
            found = self.known[key] = _EXPRESSIONS[type(expression)](self, expression)
        return found

    def literal(self, expression: loop_ir.Literal) -> Value:
        # the text too, since 0.0 == -0.0
        return _constant(expression.type, expression.value, repr(expression.value))

    def variable(self, expression: loop_ir.Variable) -> Value:
        value = self.values[expression.name]
        if expression.name in self.mutable:
            return self._define(value.kind, f"load {value.kind}, ptr {value.name}")
        return value

    def load(self, expression: loop_ir.Load) -> Value:
        buffer, kind = expression.buffer, llvm_type(expression.type)
        if buffer.by_value:
            return Value(kind, self.buffers[id(buffer)])
        if expression.stride != 1 and expression.type.lanes > 1:
            return self._gather(expression, kind)
        place, alignment = self._address(buffer, expression.index), _ALIGNMENT.get(buffer.scalar, 1)
        if expression.active is None:
            end = f"align {alignment}{self.scope[id(buffer)]}"
            return self._define(kind, f"load {kind}, ptr {place}, {end}")
        mask = self._mask(expression.type.lanes, expression.active)
        name = f"llvm.masked.load.{_suffix(expression.type)}.p0"
        self._declare(name, kind, ["ptr", "i32", mask.kind, kind])
        given = f"ptr {place}, i32 {alignment}, {mask}, {kind} zeroinitializer"
        return self._define(kind, f"call {kind} @{name}({given}){self.scope[id(buffer)]}")

    def _gather(self, expression: loop_ir.Load, kind: str) -> Value:
        buffer, lanes = expression.buffer, expression.type.lanes
        numbers, pointers = f"<{lanes} x i64>", f"<{lanes} x ptr>"
        first = self._address(buffer, expression.index)
        number = self._define("i64", f"ptrtoint ptr {first} to i64")
        address = self._splat(number, Type("i64", lanes))
        apart = expression.stride * _WIDTH[buffer.scalar] // 8
        steps = tuple(lane * apart for lane in range(lanes))
        added = _constant(Type("i64", lanes), steps, repr(steps)).name
        places = self._define(numbers, f"add {address}, {added}")
        places = self._define(pointers, f"inttoptr {places} to {pointers}")
        active = lanes if expression.active is None else expression.active
        mask, alignment = self._mask(lanes, active), _ALIGNMENT.get(buffer.scalar, 1)
        name = f"llvm.masked.gather.{_suffix(expression.type)}.v{lanes}p0"
        self._declare(name, kind, [pointers, "i32", mask.kind, kind])
        given = f"{places}, i32 {alignment}, {mask}, {kind} zeroinitializer"
        return self._define(kind, f"call {kind} @{name}({given}){self.scope[id(buffer)]}")

    def _mask(self, lanes: int, active: Any) -> Value:
        """Ones for the active lanes."""
        if isinstance(active, int):
            ones = (1,) * active + (0,) * (lanes - active)
            return _constant(Type("i1", lanes), ones, repr(ones))
        kind, numbers = Type("i64", lanes), tuple(range(lanes))
        limit = self._splat(self.value(active), kind)
        places = _constant(kind, numbers, repr(numbers))
        return self._define(llvm_type(Type("i1", lanes)), f"icmp slt {places}, {limit.name}")

    def binary(self, expression: loop_ir.Binary) -> Value:
        left, right = self.value(expression.left), self.value(expression.right)
        kind, operation = expression.left.type, expression.operation
        unsigned = kind.scalar in _UNSIGNED
        if operation in _COMPARISONS:
            word = _COMPARISONS[operation]
            if kind.is_float:
                # != holds for NaN, the others do not
                word = f"fcmp {'u' if operation == '!=' else 'o'}{word}"
            elif operation in ("==", "!="):
                word = f"icmp {word}"
            else:
                word = f"icmp {'u' if unsigned else 's'}{word}"
            return self._define(llvm_type(Type("i1", kind.lanes)), f"{word} {left}, {right.name}")
        if kind.is_float:
            table = _FLOAT_OPERATIONS
        else:
            table = _UNSIGNED_OPERATIONS if unsigned else _INTEGER_OPERATIONS
        return self._define(left.kind, f"{table[operation]} {left}, {right.name}")

    def cast(self, expression: loop_ir.Cast) -> Value:
        value, source, target = self.value(expression.value), expression.value.type, expression.type
        if source.lanes == 1 and target.lanes > 1:
            return self._splat(value, target)
        kind = llvm_type(target)
        word = "bitcast" if expression.bits else _conversion(source, target)
        return self._define(kind, f"{word} {value} to {kind}") if word else value

    def _splat(self, value: Value, target: Type) -> Value:
        kind, picked = llvm_type(target), llvm_type(Type("i32", target.lanes))
        one = self._define(kind, f"insertelement {kind} poison, {value}, i64 0")
        return self._define(kind, f"shufflevector {one}, {kind} poison, {picked} zeroinitializer")

    def call(self, expression: loop_ir.Call) -> Value:
        name = expression.function
        if name == "rarely":
            return self._rarely(*expression.arguments)
        arguments = [self.value(argument) for argument in expression.arguments]
        kind = expression.arguments[0].type
        if name == "select":
            return self._define(arguments[1].kind, f"select {', '.join(map(str, arguments))}")
        if name.startswith("library."):
            return self._library(name.removeprefix("library."), kind, arguments)
        if name in _REDUCTIONS:
            return self._reduce(name, kind, arguments[0])
        if name in _INTEGER_EXTREMES and not kind.is_float:
            table = _UNSIGNED_EXTREMES if kind.scalar in _UNSIGNED else _INTEGER_EXTREMES
        else:
            table = _INTRINSICS
        return self._call(f"{table[name]}.{_suffix(kind)}", arguments[0].kind, arguments)

    def _rarely(self, condition: Expression, rare: Expression, usual: Expression) -> Value:
        """A selection whose rare operand is only computed when a lane needs it."""
        chosen, plain = self.value(condition), self.value(usual)
        some = chosen
        if condition.type.lanes > 1:
            some = self._reduce("reduce_or", condition.type, chosen)
        before, (needed, after) = self.label, self._labels("rarely", "endif")
        weights = self._node('!"branch_weights"', "i32 1", "i32 99")
        self._choose(some, needed, after, f", !prof {weights}")
        self._begin(needed)
        mixed = self._define(plain.kind, f"select {chosen}, {self.value(rare)}, {plain}")
        inside = self.label
        self._branch(after)
        self._begin(after)
        both = f"[{plain.name}, %{before}], [{mixed.name}, %{inside}]"
        return self._define(plain.kind, f"phi {plain.kind} {both}")

    def _library(self, name: str, kind: Type, arguments: list[Value]) -> Value:
        """A function of the C library, called for one lane after the other."""
        scalar = _SCALARS[kind.scalar]
        if kind.lanes == 1:
            return self._call(name, scalar, arguments)
        result = Value(llvm_type(kind), "poison")
        for lane in range(kind.lanes):
            picked = [
                self._define(scalar, f"extractelement {each}, i64 {lane}") for each in arguments
            ]
            value = self._call(name, scalar, picked)
            result = self._define(result.kind, f"insertelement {result}, {value}, i64 {lane}")
        return result

    def _reduce(self, name: str, kind: Type, vector: Value) -> Value:
        of_floats, of_integers = _REDUCTIONS[name]
        word = of_floats if kind.is_float else of_integers
        intrinsic, scalar = f"llvm.vector.reduce.{word}.{_suffix(kind)}", _SCALARS[kind.scalar]
        if name in _NEUTRAL and kind.is_float:
            start = Value(scalar, _number(kind.scalar, _NEUTRAL[name]))
            return self._call(intrinsic, scalar, [start, vector], "reassoc ")
        return self._call(intrinsic, scalar, [vector])

    def shuffle(self, expression: loop_ir.Shuffle) -> Value:
        left, right = self.value(expression.left), self.value(expression.right)
        picked = tuple(expression.picked)
        lanes = _constant(Type("i32", len(picked)), picked, repr(picked))
        kind = llvm_type(expression.type)
        return self._define(kind, f"shufflevector {left}, {right}, {lanes}")


def _conversion(source: Type, target: Type) -> str:
    """The conversion between element types that C's casts make; none where bits stay the same."""
    unsigned = source.scalar in _UNSIGNED
    wider = _WIDTH[target.scalar] - _WIDTH[source.scalar]
    if source.is_float and target.is_float:
        return "fpext" if wider > 0 else "fptrunc"
    if source.is_float:
        return "fptosi"
    if target.is_float:
        return "uitofp" if unsigned else "sitofp"
    if wider > 0:
        return "zext" if unsigned else "sext"
    return "trunc" if wider else ""


_STATEMENTS: dict[type, Callable[[_Emitter, Any], None]] = {
    loop_ir.For: _Emitter.for_,
    loop_ir.If: _Emitter.if_,
    loop_ir.Let: _Emitter.let,
    loop_ir.Assign: _Emitter.assign,
    loop_ir.Store: _Emitter.store,
    loop_ir.Prefetch: _Emitter.prefetch,
    loop_ir.Pick: _Emitter.pick,
    loop_ir.Fail: _Emitter.fail,
}
_EXPRESSIONS: dict[type, Callable[[_Emitter, Any], Value]] = {
    loop_ir.Literal: _Emitter.literal,
    loop_ir.Variable: _Emitter.variable,
    loop_ir.Load: _Emitter.load,
    loop_ir.Binary: _Emitter.binary,
    loop_ir.Shuffle: _Emitter.shuffle,
    loop_ir.Cast: _Emitter.cast,
    loop_ir.Call: _Emitter.call,
}
