"""Loop IR to LLVM: one function with the signature ``i64 name(i64* arguments, i64 thread, i64
threads)``.

Tables for what is regular, small functions for the rest. Accumulators are stack slots, which LLVM
turns into registers.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import contextmanager
from functools import cache, lru_cache
from typing import Any

from llvmlite import ir

from fakel.compiler.loop_ir import language as loop_ir
from fakel.compiler.loop_ir.language import Buffer, Expression, Kernel, Type

_INDEX = ir.IntType(64)
# operands of llvm.prefetch: to read or to write; how near; data rather than instructions
_TO_SECOND_LEVEL, _TO_WRITE = (0, 2, 1), (1, 3, 1)
# what a reduction of floats starts with
_NEUTRAL = {"reduce_add": -0.0, "reduce_mul": 1.0}
_SCALARS: dict[str, ir.Type] = {
    "i1": ir.IntType(1),
    "i8": ir.IntType(8),
    "u8": ir.IntType(8),
    "i16": ir.IntType(16),
    "i32": ir.IntType(32),
    "i64": _INDEX,
    "f32": ir.FloatType(),
    "f64": ir.DoubleType(),
}
_FLOAT_OPERATIONS = {"+": "fadd", "-": "fsub", "*": "fmul", "/": "fdiv", "%": "frem"}
_INTEGER_OPERATIONS = {
    "+": "add",
    "-": "sub",
    "*": "mul",
    "//": "sdiv",
    "%": "srem",
    "&": "and_",
    "|": "or_",
    "^": "xor",
    "<<": "shl",
    ">>": "ashr",
}
_UNSIGNED = ("u8", "i1")
_UNSIGNED_OPERATIONS = {**_INTEGER_OPERATIONS, "//": "udiv", "%": "urem", ">>": "lshr"}
_COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")
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


@lru_cache(4096)
def _constant(kind: Type, value: Any, text: str) -> ir.Constant:
    """A constant; equal ones are one object, which makes its text once.

    Args:
        kind: its type.
        value: a number, the same in each lane, or a tuple of the lanes' numbers.
        text: tells values apart that compare equal.
    """
    if kind.lanes == 1 and not isinstance(value, tuple):
        return ir.Constant(llvm_type(kind), value)
    values = value if isinstance(value, tuple) else (value,) * kind.lanes
    scalar = _SCALARS[kind.scalar]
    return ir.Constant(llvm_type(kind), [ir.Constant(scalar, each) for each in values])


@cache
def llvm_type(kind: Type) -> ir.Type:
    """The LLVM type of a loop IR type; comparison results are ``i1``."""
    scalar = _SCALARS[kind.scalar]
    return scalar if kind.lanes == 1 else ir.VectorType(scalar, kind.lanes)


def emit(kernel: Kernel) -> str:
    """The LLVM module of a kernel, as text."""
    module = ir.Module(kernel.name)
    _Emitter(module, kernel).run()
    return str(module)


class _Emitter:
    def __init__(self, module: ir.Module, kernel: Kernel) -> None:
        self.module = module
        self.kernel = kernel
        signature = ir.FunctionType(_INDEX, [_INDEX.as_pointer(), _INDEX, _INDEX])
        self.function = ir.Function(module, signature, kernel.name)
        self.builder = ir.IRBuilder(self.function.append_basic_block("entry"))
        self.entry = self.builder.block
        self.values: dict[str, Any] = {}  # variables: values, or stack slots of accumulators
        self.mutable: set[str] = set()
        self.buffers: dict[int, Any] = {}
        self.known: dict[int, Any] = {}  # parts of the statement at hand that occur in it again
        self.scope = self._alias_scopes()

    def _alias_scopes(self) -> dict[int, tuple[Any, Any]]:
        """Metadata that says that no two buffers overlap, as the planner has it, but for those that
        share memory.
        """
        domain = self.module.add_metadata([ir.MetaDataString(self.module, "buffers")])
        homes = self._homes()
        scopes = {
            id(b): self.module.add_metadata(
                [ir.MetaDataString(self.module, f"{b.name}.{i}"), domain]
            )
            for i, b in enumerate(self._all_buffers())
            if not b.by_value and homes.get(i, i) == i
        }
        result = {
            key: (
                self.module.add_metadata([scope]),
                self.module.add_metadata([other for k, other in scopes.items() if k != key]),
            )
            for key, scope in scopes.items()
        }
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

    def run(self) -> None:
        arguments, thread, threads = self.function.args
        self.values["thread"], self.values["threads"] = thread, threads
        b = self.builder
        position = 0
        for buffer in self.kernel.arguments:
            slot = b.gep(arguments, [ir.Constant(_INDEX, position)])
            position += buffer.count
            pointer = _SCALARS[buffer.scalar].as_pointer()
            if buffer.by_value:
                self.buffers[id(buffer)] = b.load(b.bitcast(slot, pointer))
            elif buffer.count > 1:
                self.buffers[id(buffer)] = slot
            else:
                self.buffers[id(buffer)] = b.inttoptr(b.load(slot), pointer)
        for position, home in self._homes().items():
            if self.kernel.arguments[position].count == 1:
                self.buffers[id(self.kernel.arguments[position])] = self.buffers[
                    id(self.kernel.arguments[home])
                ]
        for constant in self.kernel.constants:
            scalar = _SCALARS[constant.buffer.scalar]
            kind = ir.ArrayType(scalar, len(constant.values))
            made = ir.GlobalVariable(self.module, kind, constant.buffer.name)
            made.linkage, made.global_constant = "internal", True
            made.initializer = ir.Constant(kind, list(constant.values))
            self.buffers[id(constant.buffer)] = b.bitcast(made, scalar.as_pointer())
        for local in self.kernel.locals:
            kind = _SCALARS[local.buffer.scalar]
            memory = b.alloca(kind, size=ir.Constant(_INDEX, local.length))
            memory.align = 64
            self.buffers[id(local.buffer)] = memory
        self.block(self.kernel.body)
        self.builder.ret(ir.Constant(_INDEX, 0))

    # ---------------------------------------------------------------- statements

    def block(self, body: list[loop_ir.Statement]) -> None:
        for statement in body:
            self.known.clear()
            _STATEMENTS[type(statement)](self, statement)

    def for_(self, loop: loop_ir.For) -> None:
        start, stop = self.value(loop.start), self.value(loop.stop)
        with self._loop(start, stop, loop.step, loop.unroll) as index:
            self.values[loop.index.name] = index
            self.block(loop.body)

    @contextmanager
    def _loop(self, start: Any, stop: Any, step: int, unroll: bool | None) -> Any:
        b = self.builder
        before = b.block
        head, body = b.append_basic_block("for"), b.append_basic_block("do")
        after = b.append_basic_block("done")
        b.branch(head)
        b.position_at_end(head)
        index = b.phi(_INDEX)
        index.add_incoming(start, before)
        b.cbranch(b.icmp_signed("<", index, stop), body, after)
        b.position_at_end(body)
        yield index
        following = b.add(index, ir.Constant(_INDEX, step), flags=["nsw"])
        index.add_incoming(following, b.block)
        back = b.branch(head)
        if unroll is not None:
            back.set_metadata("llvm.loop", self._unroll_metadata("full" if unroll else "disable"))
        b.position_at_end(after)

    def _unroll_metadata(self, choice: str) -> Any:
        wish = self.module.add_metadata(
            [ir.MetaDataString(self.module, f"llvm.loop.unroll.{choice}")]
        )
        # a loop's own node is not shared with other loops: a number makes it, and then it refers to
        # itself, which is how LLVM knows that it belongs to a loop
        number = ir.Constant(ir.IntType(32), len(self.module.metadata))
        node = self.module.add_metadata([number, wish])
        node.operands = (node, wish)
        return node

    def if_(self, statement: loop_ir.If) -> None:
        condition = self.value(statement.condition)
        if not statement.otherwise:
            with self.builder.if_then(condition):
                self.block(statement.body)
            return
        with self.builder.if_else(condition) as (then, otherwise):
            with then:
                self.block(statement.body)
            with otherwise:
                self.block(statement.otherwise)

    def let(self, statement: loop_ir.Let) -> None:
        value, name = self.value(statement.value), statement.variable.name
        if statement.mutable:
            with self.builder.goto_entry_block():
                slot = self.builder.alloca(value.type)
            self.builder.store(value, slot)
            self.values[name] = slot
            self.mutable.add(name)
        else:
            self.values[name] = value

    def assign(self, statement: loop_ir.Assign) -> None:
        self.builder.store(self.value(statement.value), self.values[statement.variable.name])

    def store(self, statement: loop_ir.Store) -> None:
        value = self.value(statement.value)
        if statement.value.type.scalar == "i1":
            value = self.builder.zext(value, llvm_type(Type("u8", statement.value.type.lanes)))
        active = statement.active
        if active == 1:
            # a masked store of one lane: LLVM 22 forgets that its number was to be shortened, and
            # writes beyond it
            value, active = self.builder.extract_element(value, ir.Constant(_INDEX, 0)), None
        place = self._address(statement.buffer, statement.index, value.type)
        if active is not None:
            alignment, mask = self._masking(statement.buffer, value.type, active)
            made = self._masked("store", ir.VoidType(), value.type, [value, place, alignment, mask])
            self._mark(made, statement.buffer)
            return
        made = self.builder.store(value, place, align=_alignment(statement.buffer))
        self._mark(made, statement.buffer)

    def prefetch(self, statement: loop_ir.Prefetch) -> None:
        scalar, byte, number = (
            _SCALARS[statement.buffer.scalar],
            ir.IntType(8).as_pointer(),
            ir.IntType(32),
        )
        place = self._address(statement.buffer, statement.index, scalar)
        made = self._declare(
            "llvm.prefetch.p0", ir.FunctionType(ir.VoidType(), [byte, number, number, number])
        )
        wish = [number(each) for each in (_TO_WRITE if statement.write else _TO_SECOND_LEVEL)]
        self.builder.call(made, [self.builder.bitcast(place, byte), *wish])

    def pick(self, statement: loop_ir.Pick) -> None:
        slots = self.buffers[id(statement.source)]
        if statement.source.count > 1:
            address = self.builder.load(self.builder.gep(slots, [self.value(statement.index)]))
            slots = self.builder.inttoptr(address, _SCALARS[statement.buffer.scalar].as_pointer())
        self.buffers[id(statement.buffer)] = slots

    def fail(self, statement: loop_ir.Fail) -> None:
        self.builder.ret(self.value(statement.status))
        # what follows in this block is never reached, but must stand in a block
        self.builder.position_at_end(self.builder.append_basic_block("unreached"))

    def _mark(self, instruction: Any, buffer: Buffer) -> None:
        own, others = self.scope[id(buffer)]
        instruction.set_metadata("alias.scope", own)
        instruction.set_metadata("noalias", others)

    def _address(self, buffer: Buffer, index: Expression, kind: ir.Type) -> Any:
        place = self.builder.gep(self.buffers[id(buffer)], [self.value(index)])
        return (
            self.builder.bitcast(place, kind.as_pointer())
            if isinstance(kind, ir.VectorType)
            else place
        )

    # ---------------------------------------------------------------- expressions

    def value(self, expression: Expression) -> Any:
        key = id(expression)
        if key not in self.known:
            self.known[key] = _EXPRESSIONS[type(expression)](self, expression)
        return self.known[key]

    def literal(self, expression: loop_ir.Literal) -> Any:
        # the text too, since 0.0 == -0.0
        return _constant(expression.type, expression.value, repr(expression.value))

    def variable(self, expression: loop_ir.Variable) -> Any:
        value = self.values[expression.name]
        return self.builder.load(value) if expression.name in self.mutable else value

    def load(self, expression: loop_ir.Load) -> Any:
        buffer = expression.buffer
        if buffer.by_value:
            return self.buffers[id(buffer)]
        kind = llvm_type(expression.type)
        if expression.stride != 1 and expression.type.lanes > 1:
            return self._gather(expression, kind)
        place = self._address(buffer, expression.index, kind)
        if expression.active is not None:
            alignment, mask = self._masking(buffer, kind, expression.active)
            made = self._masked(
                "load", kind, kind, [place, alignment, mask, ir.Constant(kind, None)]
            )
            self._mark(made, buffer)
            return made
        made = self.builder.load(place, align=_alignment(buffer))
        self._mark(made, buffer)
        return made

    def _gather(self, expression: loop_ir.Load, kind: ir.Type) -> Any:
        buffer, lanes = expression.buffer, expression.type.lanes
        first = self._address(buffer, expression.index, kind.element)
        address = self._splat(self.builder.ptrtoint(first, _INDEX), Type("i64", lanes))
        apart = expression.stride * _WIDTH[buffer.scalar] // 8
        steps = ir.Constant(address.type, [lane * apart for lane in range(lanes)])
        pointers = ir.VectorType(kind.element.as_pointer(), lanes)
        places = self.builder.inttoptr(self.builder.add(address, steps), pointers)
        active = lanes if expression.active is None else expression.active
        alignment, mask = self._masking(buffer, kind, active)
        suffix = f"v{lanes}{kind.element.intrinsic_name}.v{lanes}p0"
        arguments = [places, alignment, mask, ir.Constant(kind, None)]
        signature = ir.FunctionType(kind, [argument.type for argument in arguments])
        made = self.builder.call(
            self._declare(f"llvm.masked.gather.{suffix}", signature), arguments
        )
        self._mark(made, buffer)
        return made

    def _masking(self, buffer: Buffer, kind: ir.Type, active: Any) -> tuple[Any, Any]:
        """The operands of masked access: the alignment, and ones for the active lanes."""
        boolean = ir.VectorType(ir.IntType(1), kind.count)
        alignment = ir.Constant(ir.IntType(32), _alignment(buffer))
        if isinstance(active, int):
            ones = [1] * active + [0] * (kind.count - active)
            return alignment, ir.Constant(boolean, ones)
        numbers = ir.Constant(ir.VectorType(_INDEX, kind.count), list(range(kind.count)))
        limit = self._splat(self.value(active), Type("i64", kind.count))
        return alignment, self.builder.icmp_signed("<", numbers, limit)

    def binary(self, expression: loop_ir.Binary) -> Any:
        left, right = self.value(expression.left), self.value(expression.right)
        kind, operation = expression.left.type, expression.operation
        if operation in _COMPARISONS:
            if kind.is_float:
                # != holds for NaN, the others do not
                compare = (
                    self.builder.fcmp_unordered if operation == "!=" else self.builder.fcmp_ordered
                )
                return compare(operation, left, right)
            unsigned = kind.scalar in _UNSIGNED
            compare = self.builder.icmp_unsigned if unsigned else self.builder.icmp_signed
            return compare(operation, left, right)
        if kind.is_float:
            flags = ["contract"] if operation in "+-*" else []
            return getattr(self.builder, _FLOAT_OPERATIONS[operation])(left, right, flags=flags)
        table = _UNSIGNED_OPERATIONS if kind.scalar in _UNSIGNED else _INTEGER_OPERATIONS
        return getattr(self.builder, table[operation])(left, right)

    def cast(self, expression: loop_ir.Cast) -> Any:
        value, source, target = self.value(expression.value), expression.value.type, expression.type
        if source.lanes == 1 and target.lanes > 1:
            return self._splat(value, target)
        kind = llvm_type(target)
        if expression.bits:
            return self.builder.bitcast(value, kind)
        return _convert(self.builder, value, source, target, kind)

    def _splat(self, value: Any, target: Type) -> Any:
        undefined = ir.Constant(llvm_type(target), ir.Undefined)
        one = self.builder.insert_element(undefined, value, ir.Constant(_INDEX, 0))
        first = _constant(Type("i32", target.lanes), 0, "0")
        return self.builder.shuffle_vector(one, undefined, first)

    def call(self, expression: loop_ir.Call) -> Any:
        name = expression.function
        if name == "rarely":
            return self._rarely(*expression.arguments)
        arguments = [self.value(argument) for argument in expression.arguments]
        kind = expression.arguments[0].type
        if name == "select":
            return self.builder.select(*arguments)
        if name.startswith("library."):
            return self._library(name.removeprefix("library."), kind, arguments)
        if name in _INTEGER_EXTREMES and not kind.is_float:
            table = _UNSIGNED_EXTREMES if kind.scalar in _UNSIGNED else _INTEGER_EXTREMES
            return self._intrinsic(table[name], kind, arguments)
        if name in _REDUCTIONS:
            return self._reduce(name, kind, arguments[0])
        return self._intrinsic(_INTRINSICS[name], kind, arguments)

    def _rarely(self, condition: Expression, rare: Expression, usual: Expression) -> Any:
        """A selection whose rare operand is only computed when a lane needs it."""
        b = self.builder
        chosen, plain = self.value(condition), self.value(usual)
        some = (
            self._reduce("reduce_or", condition.type, chosen)
            if condition.type.lanes > 1
            else chosen
        )
        before = b.block
        with b.if_then(some, likely=False):
            mixed = b.select(chosen, self.value(rare), plain)
            inside = b.block
        result = b.phi(plain.type)
        result.add_incoming(plain, before)
        result.add_incoming(mixed, inside)
        return result

    def _library(self, name: str, kind: Type, arguments: list[Any]) -> Any:
        """A function of the C library, called for one lane after the other."""
        made = self._declare(name, _signature(Type(kind.scalar), len(arguments)))
        if kind.lanes == 1:
            return self.builder.call(made, arguments)
        result = ir.Constant(llvm_type(kind), ir.Undefined)
        for lane in range(kind.lanes):
            number = ir.Constant(_INDEX, lane)
            picked = [self.builder.extract_element(each, number) for each in arguments]
            value = self.builder.call(made, picked)
            result = self.builder.insert_element(result, value, number)
        return result

    def _intrinsic(self, name: str, kind: Type, arguments: list[Any]) -> Any:
        element = {"u8": "i8"}.get(kind.scalar, kind.scalar)
        suffix = element if kind.lanes == 1 else f"v{kind.lanes}{element}"
        made = self._declare(f"{name}.{suffix}", _signature(kind, len(arguments)))
        return self.builder.call(made, arguments)

    def _reduce(self, name: str, kind: Type, vector: Any) -> Any:
        scalar = _SCALARS[kind.scalar]
        of_floats, of_integers = _REDUCTIONS[name]
        suffix = f"v{kind.lanes}{kind.scalar if kind.is_float else scalar}"
        intrinsic = f"llvm.vector.reduce.{of_floats if kind.is_float else of_integers}.{suffix}"
        if name in _NEUTRAL and kind.is_float:
            signature = ir.FunctionType(scalar, [scalar, llvm_type(kind)])
            made = self._declare(intrinsic, signature)
            return self.builder.call(
                made, [ir.Constant(scalar, _NEUTRAL[name]), vector], fastmath=["reassoc"]
            )
        made = self._declare(intrinsic, ir.FunctionType(scalar, [llvm_type(kind)]))
        return self.builder.call(made, [vector])

    def _masked(self, access: str, result: ir.Type, kind: ir.Type, arguments: list[Any]) -> Any:
        signature = ir.FunctionType(result, [argument.type for argument in arguments])
        suffix = f"v{kind.count}{kind.element.intrinsic_name}"
        return self.builder.call(
            self._declare(f"llvm.masked.{access}.{suffix}.p0", signature), arguments
        )

    def shuffle(self, expression: loop_ir.Shuffle) -> Any:
        left, right = self.value(expression.left), self.value(expression.right)
        picked = tuple(expression.picked)
        lanes = _constant(Type("i32", len(picked)), picked, repr(picked))
        return self.builder.shuffle_vector(left, right, lanes)

    def _declare(self, name: str, signature: ir.FunctionType) -> Any:
        return self.module.globals.get(name) or ir.Function(self.module, signature, name)


def _signature(kind: Type, count: int) -> ir.FunctionType:
    return ir.FunctionType(llvm_type(kind), [llvm_type(kind)] * count)


def _alignment(buffer: Buffer) -> int:
    return {"f64": 8, "i64": 8, "f32": 4, "i32": 4, "i16": 2}.get(buffer.scalar, 1)


_WIDTH = {"i1": 1, "i8": 8, "u8": 8, "i16": 16, "i32": 32, "i64": 64, "f32": 32, "f64": 64}


def _convert(builder: ir.IRBuilder, value: Any, source: Type, target: Type, kind: ir.Type) -> Any:
    """A conversion between element types, as C's casts do it."""
    unsigned = source.scalar in _UNSIGNED
    if source.is_float and target.is_float:
        wider = _WIDTH[target.scalar] > _WIDTH[source.scalar]
        return builder.fpext(value, kind) if wider else builder.fptrunc(value, kind)
    if source.is_float:
        return builder.fptosi(value, kind)
    if target.is_float:
        return builder.uitofp(value, kind) if unsigned else builder.sitofp(value, kind)
    if _WIDTH[target.scalar] < _WIDTH[source.scalar]:
        return builder.trunc(value, kind)
    if _WIDTH[target.scalar] == _WIDTH[source.scalar]:
        return value
    return builder.zext(value, kind) if unsigned else builder.sext(value, kind)


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
_EXPRESSIONS: dict[type, Callable[[_Emitter, Any], Any]] = {
    loop_ir.Literal: _Emitter.literal,
    loop_ir.Variable: _Emitter.variable,
    loop_ir.Load: _Emitter.load,
    loop_ir.Binary: _Emitter.binary,
    loop_ir.Shuffle: _Emitter.shuffle,
    loop_ir.Cast: _Emitter.cast,
    loop_ir.Call: _Emitter.call,
}
