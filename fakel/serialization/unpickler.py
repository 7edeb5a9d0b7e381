"""A machine for pickles that does only what a list allows; Python's own unpickler is never used.

Each opcode is a small method. Names go through `Allowed.find`, calls and new instances through
`may_call` and `may_create`; there is no other way to reach code.
"""

from __future__ import annotations

import pickle
import pickletools
import struct
import sys
from _compat_pickle import IMPORT_MAPPING, NAME_MAPPING
from collections import Counter, OrderedDict, defaultdict, deque
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from fakel.serialization import data_types
from fakel.serialization.allowed import Allowed
from fakel.serialization.names import StorageType
from fakel.tensor import Tensor

_PIECE = 1 << 24
_NAMES = {ord(opcode.code): opcode.name for opcode in pickletools.opcodes}


def read_global(module: str, name: str) -> tuple[str, str]:
    """A global's module and name, those of Python 2 translated."""
    if (module, name) in NAME_MAPPING:
        return NAME_MAPPING[(module, name)]
    return IMPORT_MAPPING.get(module, module), name


class Unpickler:
    """Reads one pickle.

    Args:
        file: a binary file that stands at the pickle's beginning.
        allowed: decides what the pickle may name, call and make.
        encoding: how texts of Python 2 are decoded; "bytes" leaves them as they are.
        persistent_load: returns the object for a persistent id.
    """

    def __init__(
        self,
        file: IO[bytes],
        allowed: Allowed,
        *,
        encoding: str = "utf-8",
        persistent_load: Callable[[Any], Any] | None = None,
    ) -> None:
        self._file = file
        self._allowed = allowed
        self._encoding = encoding
        self._persistent_load = persistent_load
        self._stack: list[Any] = []
        self._marks: list[list[Any]] = []
        self._memo: dict[int, Any] = {}
        self._outside = False  # while a function of the caller runs, whose errors are its own

    def load(self) -> Any:
        """The object.

        Raises:
            UnpicklingError: the pickle asks for something that is not allowed, or is malformed.
            EOFError: it is cut off.
        """
        try:
            while True:
                code = self._read(1)[0]
                name = _NAMES.get(code)
                if name == "STOP":
                    return self._stack.pop()
                operation = getattr(self, f"_op_{name.lower()}", None) if name else None
                if operation is None:
                    raise pickle.UnpicklingError(f"Unsupported operand {code}")
                operation()
        except (
            LookupError,
            TypeError,
            ValueError,
            AttributeError,
            OverflowError,
            struct.error,
        ) as error:
            if self._outside:
                raise
            raise pickle.UnpicklingError(
                f"the pickle data is damaged ({type(error).__name__}: {error})"
            ) from error

    # ---------------------------------------------------------------- reading

    def _read(self, count: int) -> bytes:
        # piece by piece, so that a forged length does not reserve memory for what is not there
        content = self._file.read(min(count, _PIECE))
        while len(content) < count and (
            piece := self._file.read(min(count - len(content), _PIECE))
        ):
            content += piece
        if not isinstance(content, bytes):
            raise AssertionError(f"Expected bytes, got {type(content).__name__}")
        if len(content) < count:
            raise EOFError("Ran out of input: the file is cut off or damaged")
        return content

    def _number(self, form: str) -> Any:
        return struct.unpack(form, self._read(struct.calcsize(form)))[0]

    def _sized(self, form: str) -> bytes:
        size = self._number(form)
        if size > sys.maxsize:
            raise pickle.UnpicklingError("String is too long")
        return self._read(size)

    def _line(self) -> str:
        return self._file.readline()[:-1].decode("utf-8")

    def _push(self, value: Any) -> None:
        self._stack.append(value)

    def _since_mark(self) -> list[Any]:
        items, self._stack = self._stack, self._marks.pop()
        return items

    # ---------------------------------------------------------------- plain values

    def _op_proto(self) -> None:
        protocol = self._number("<B")
        if protocol > pickle.HIGHEST_PROTOCOL:
            raise pickle.UnpicklingError(f"unsupported pickle protocol: {protocol}")

    def _op_frame(self) -> None:
        self._number("<Q")

    def _op_none(self) -> None:
        self._push(None)

    def _op_newtrue(self) -> None:
        self._push(True)

    def _op_newfalse(self) -> None:
        self._push(False)

    def _op_binint(self) -> None:
        self._push(self._number("<i"))

    def _op_binint1(self) -> None:
        self._push(self._number("<B"))

    def _op_binint2(self) -> None:
        self._push(self._number("<H"))

    def _op_long1(self) -> None:
        self._push(int.from_bytes(self._sized("<B"), "little", signed=True))

    def _op_long4(self) -> None:
        self._push(int.from_bytes(self._sized("<I"), "little", signed=True))

    def _op_binfloat(self) -> None:
        self._push(self._number(">d"))

    def _op_binunicode(self) -> None:
        self._push(str(self._sized("<I"), "utf-8", "surrogatepass"))

    def _op_short_binunicode(self) -> None:
        self._push(str(self._sized("<B"), "utf-8", "surrogatepass"))

    def _op_binunicode8(self) -> None:
        self._push(str(self._sized("<Q"), "utf-8", "surrogatepass"))

    def _python2_text(self, content: bytes) -> Any:
        return content if self._encoding == "bytes" else content.decode(self._encoding, "strict")

    def _op_short_binstring(self) -> None:
        self._push(self._python2_text(self._sized("<B")))

    def _op_binstring(self) -> None:
        self._push(self._python2_text(self._sized("<I")))

    def _op_binbytes(self) -> None:
        self._push(self._sized("<I"))

    def _op_short_binbytes(self) -> None:
        self._push(self._sized("<B"))

    def _op_binbytes8(self) -> None:
        self._push(self._sized("<Q"))

    def _op_bytearray8(self) -> None:
        self._push(bytearray(self._sized("<Q")))

    # ---------------------------------------------------------------- the stack and the memo

    def _op_mark(self) -> None:
        self._marks.append(self._stack)
        self._stack = []

    def _op_pop(self) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._since_mark()

    def _op_pop_mark(self) -> None:
        self._since_mark()

    def _op_dup(self) -> None:
        self._push(self._stack[-1])

    def _op_binput(self) -> None:
        self._memo[self._number("<B")] = self._stack[-1]

    def _op_long_binput(self) -> None:
        self._memo[self._number("<I")] = self._stack[-1]

    def _op_memoize(self) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _op_binget(self) -> None:
        self._push(self._memo[self._number("<B")])

    def _op_long_binget(self) -> None:
        self._push(self._memo[self._number("<I")])

    # ---------------------------------------------------------------- containers

    def _op_empty_tuple(self) -> None:
        self._push(())

    def _op_tuple(self) -> None:
        items = self._since_mark()
        self._push(tuple(items))

    def _last_as_tuple(self, count: int) -> None:
        if len(self._stack) < count:
            raise IndexError("the stack is too short")
        self._stack[-count:] = [tuple(self._stack[-count:])]

    def _op_tuple1(self) -> None:
        self._last_as_tuple(1)

    def _op_tuple2(self) -> None:
        self._last_as_tuple(2)

    def _op_tuple3(self) -> None:
        self._last_as_tuple(3)

    def _op_empty_list(self) -> None:
        self._push([])

    def _op_append(self) -> None:
        self._extend([self._stack.pop()], "append to")

    def _op_appends(self) -> None:
        self._extend(self._since_mark(), "extend")

    def _extend(self, items: list[Any], verb: str) -> None:
        target = self._stack[-1]
        if type(target) not in (list, deque):
            raise pickle.UnpicklingError(f"Can only {verb} lists, but got {type(target)}")
        target.extend(items)

    def _op_empty_dict(self) -> None:
        self._push({})

    def _op_setitem(self) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set_items([key, value], "SETITEM")

    def _op_setitems(self) -> None:
        self._set_items(self._since_mark(), "SETITEMS")

    def _set_items(self, items: list[Any], opcode: str) -> None:
        target = self._stack[-1]
        if type(target) not in (dict, OrderedDict, Counter, defaultdict):
            raise pickle.UnpicklingError(
                f"Can only {opcode} for dict, collections.OrderedDict, collections.Counter, but "
                f"got {type(target)}"
            )
        for position in range(0, len(items), 2):
            target[items[position]] = items[position + 1]

    def _op_empty_set(self) -> None:
        self._push(set())

    def _op_additems(self) -> None:
        items = self._since_mark()
        target = self._stack[-1]
        if type(target) is not set:
            raise pickle.UnpicklingError(f"Can only add items to sets, but got {type(target)}")
        target.update(items)

    def _op_frozenset(self) -> None:
        items = self._since_mark()
        self._push(frozenset(items))

    # ---------------------------------------------------------------- names, calls, instances

    def _op_global(self) -> None:
        module, name = self._line(), self._line()
        self._push(self._allowed.find(*read_global(module, name)))

    def _op_stack_global(self) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        if type(name) is not str or type(module) is not str:
            raise pickle.UnpicklingError("STACK_GLOBAL requires str")
        self._push(self._allowed.find(*read_global(module, name)))

    def _op_reduce(self) -> None:
        arguments = self._stack.pop()
        function = self._stack[-1]
        if not self._allowed.may_call(function) or type(arguments) is not tuple:
            owner = (
                f" which belongs to {function.__self__}" if hasattr(function, "__self__") else ""
            )
            raise pickle.UnpicklingError(
                f"Trying to call reduce for unrecognized function {function}{owner}"
            )
        self._stack[-1] = function(*arguments)

    def _op_newobj(self) -> None:
        arguments, kind = self._stack.pop(), self._stack.pop()
        self._create(kind, arguments, {})

    def _op_newobj_ex(self) -> None:
        keywords, arguments, kind = self._stack.pop(), self._stack.pop(), self._stack.pop()
        self._create(kind, arguments, keywords)

    def _create(self, kind: Any, arguments: Any, keywords: Any) -> None:
        if not self._allowed.may_create(kind) or type(arguments) is not tuple:
            raise pickle.UnpicklingError(
                "Can only create new object for nn.Parameter or classes allowlisted via "
                f"`add_safe_globals` but got {kind}"
            )
        self._push(kind.__new__(kind, *arguments, **keywords))

    def _op_build(self) -> None:
        state = self._stack.pop()
        target = self._stack[-1]
        if isinstance(target, np.dtype):
            self._replace_last(target, data_types.restored_dtype(target, state))
        elif type(target) is np.ndarray:
            data_types.fill_array(target, state)
        elif type(target) is OrderedDict:
            target.__dict__.update(state)
        elif isinstance(target, Tensor):
            raise pickle.UnpicklingError(
                f"a {type(target).__name__} of this old form of checkpoint cannot be loaded"
            )
        elif self._allowed.may_fill(target):
            _set_state(target, state)
        else:
            raise pickle.UnpicklingError(
                "Can only build Tensor, Parameter, OrderedDict or types allowlisted via "
                f"`add_safe_globals`, but got {type(target)}"
            )

    def _replace_last(self, old: Any, new: Any) -> None:
        """Puts `new` on top of the stack and where the memo has just noted the old one."""
        self._stack[-1] = new
        for key in reversed(self._memo):
            if self._memo[key] is old:
                self._memo[key] = new
                return

    def _op_binpersid(self) -> None:
        identifier = self._stack.pop()
        if type(identifier) not in (tuple, int):
            raise pickle.UnpicklingError(
                f"persistent_load id must be tuple or int, but got {type(identifier)}"
            )
        if self._persistent_load is None:
            raise pickle.UnpicklingError("unsupported persistent id encountered")
        self._outside = True
        self._push(self._persistent_load(identifier))
        self._outside = False


def _set_state(target: Any, state: Any) -> None:
    if hasattr(target, "__setstate__"):
        target.__setstate__(state)
        return
    slots = None
    if isinstance(state, tuple) and len(state) == 2:
        state, slots = state
    if state:
        target.__dict__.update(state)
    for name, value in (slots or {}).items():
        setattr(target, name, value)


def storage_identifier(identifier: Any, fields: int) -> tuple[Any, ...]:
    """The checked fields of a persistent id: storage type, key, location, number of elements."""
    if not isinstance(identifier, tuple) or len(identifier) <= fields:
        raise pickle.UnpicklingError(f"malformed persistent id {identifier!r}")
    word = identifier[0].decode("ascii") if isinstance(identifier[0], bytes) else identifier[0]
    if word != "storage":
        raise pickle.UnpicklingError(
            f"Only persistent_load of storage is allowed, but got {type(identifier[0])}"
        )
    kind, key, location, numel, *rest = identifier[1:]
    if not isinstance(kind, StorageType) or type(numel) is not int or numel < 0:
        raise pickle.UnpicklingError(f"malformed persistent id {identifier!r}")
    location = location.decode("ascii") if isinstance(location, bytes) else location
    return kind, str(key), location, numel, *rest
