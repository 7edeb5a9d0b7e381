"""What a Python function depends on beside its arguments: found by watching one call of it.

A call can be replayed without running its code only if the code would do the same again. While it
runs, every function that it calls is noted. Code of fakel's own is known to depend on its arguments
and on what modules and optimizers hold. The user's code may read names and attributes, whose values
are guarded, and it may not do anything that lasts but through tensors: assign attributes, globals
or items, import, print, change lists, read clocks or files.
"""

from __future__ import annotations

import dis
import functools
import gc
import sys
import weakref
from collections.abc import Callable
from pathlib import Path
from types import BuiltinFunctionType, CodeType, FrameType, FunctionType, MethodType, ModuleType
from typing import Any

import numpy as np

from fakel.recall import world
from fakel.tensor import Tensor, dtype
from fakel.tensor.device import device

_OURS = str(Path(__file__).parent.parent) + "/"
# of fakel's own code, what lasts only through tensors
_HARMLESS = tuple(
    _OURS + name
    for name in (
        "autograd/",
        "graph/",
        "interpreter/",
        "nn/",
        "ops/",
        "recall/",
        "runtime/",
        "tensor/",
    )
)
_LIBRARIES = (str(Path(np.__file__).parent) + "/", str(Path(dis.__file__).parent) + "/", "<frozen")
_LASTING = frozenset(
    {
        "STORE_ATTR",
        "DELETE_ATTR",
        "STORE_GLOBAL",
        "DELETE_GLOBAL",
        "STORE_SUBSCR",
        "DELETE_SUBSCR",
        "IMPORT_NAME",
        "IMPORT_STAR",
        "YIELD_VALUE",
        "SEND",
    }
)
# what optimizers and modules hold may change without notice
_UNGUARDED = frozenset({"param_groups", "state", "__dict__", "globals", "locals", "vars"})
# built-in functions and methods whose result depends on their arguments alone
_PURE = frozenset(
    """abs all any ascii bin callable chr divmod format getattr hasattr hash hex isinstance
    issubclass len max min oct ord pow repr round sorted sum iter zip items keys values get index
    count join split strip startswith endswith lower upper replace copy sqrt exp log log2 log10
    floor ceil sin cos tan tanh prod isnan isinf fabs __build_class__ __getitem__ __len__
    __contains__ __enter__ __exit__ __new__ __init__""".split()
)
_SIMPLE = (int, float, bool, str, bytes, complex, type(None), dtype, device, type(Ellipsis))
_MOST = 10_000  # values that one guard may go through
# what a function's cells hold, None where one is empty
Identities = tuple[int | None, ...]


class UnknownError(Exception):
    """The function does, or depends on, what cannot be guarded."""


class Watch:
    """Notes the functions that run, with ``sys.setprofile``, while one call is carried out.

    A frame does not tell which function it runs: functions of the same code are told apart by what
    they close over. The function that is called itself is known.

    Args:
        function: it.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        self.function = _plain(function)
        # code with its globals: these, and by identity, what functions that ran closed over
        self.codes: dict[tuple[CodeType, int], tuple[dict[str, Any], set[Identities]]] = {}
        self.begun = False
        self.reason: str | None = None
        self._before: Any = None

    def __enter__(self) -> Watch:
        self._before = sys.getprofile()
        if self._before is not None:
            self.reason = "a profiler is running"
        else:
            sys.setprofile(self._note)
        return self

    def __exit__(self, *exception: object) -> None:
        if self._before is None:
            sys.setprofile(None)

    def add(self, function: FunctionType) -> None:
        """Notes that this function runs, and not another one of its code."""
        space = function.__globals__
        self.codes.setdefault((function.__code__, id(space)), (space, set()))

    def pause(self) -> None:
        """Looks away."""
        sys.setprofile(self._before)

    def resume(self) -> None:
        """Looks again."""
        if self._before is None:
            sys.setprofile(self._note)

    def _note(self, frame: FrameType, event: str, argument: Any) -> None:
        code = frame.f_code
        if code.co_filename.startswith(_OURS):
            if event == "call" and not code.co_filename.startswith(_HARMLESS):
                self.reason = f"calls {code.co_qualname}"
            return
        if _serves_ours(frame):
            return
        if event == "call":
            self._note_call(frame, code)
        elif event == "c_call" and argument.__name__ not in _PURE:
            owner = getattr(argument, "__self__", None)
            if argument is not sys.setprofile and not isinstance(owner, Tensor):
                self.reason = f"calls {argument.__qualname__}"

    def _note_call(self, frame: FrameType, code: CodeType) -> None:
        if not self.begun and self.function is not None and self.function.__code__ is code:
            self.begun = True
            self.add(self.function)
            return
        space, names = frame.f_globals, frame.f_locals
        closed = tuple([id(names[n]) if n in names else None for n in code.co_freevars])
        self.codes.setdefault((code, id(space)), (space, set()))[1].add(closed)


class NoWatch(Watch):
    """For code that is known: notes nothing."""

    def __init__(self) -> None:
        super().__init__(print)

    def add(self, function: FunctionType) -> None:
        """There is nothing to note."""

    def __enter__(self) -> NoWatch:
        return self

    def __exit__(self, *exception: object) -> None:
        """There is nothing to end."""

    def pause(self) -> None:
        """There is nothing to look away from."""

    def resume(self) -> None:
        """There is nothing to look at."""


def _serves_ours(frame: FrameType) -> bool:
    """Whether this is code of a library that fakel's own code calls, or that was generated for
    it, as methods of dataclasses are.
    """
    if str(frame.f_globals.get("__name__")).startswith("fakel."):
        return True
    current: FrameType | None = frame
    while current is not None and current.f_code.co_filename.startswith(_LIBRARIES):
        current = current.f_back
        if current is not None and current.f_code.co_filename.startswith(_OURS):
            return True
    return False


class Guards:
    """The values that a function's code was found to depend on, and whether they are still so.

    Args:
        function: the function that was called.
        watch: what ran meanwhile.

    Raises:
        UnknownError: for code that cannot be replayed.
    """

    def __init__(self, function: Callable[..., Any], watch: Watch) -> None:
        if watch.reason is not None:
            raise UnknownError(watch.reason)
        self.epoch = world.epoch
        self.signatures: list[Any] = []
        self.names: list[tuple[dict[str, Any], str, Any]] = []
        self.cells: list[tuple[Any, Any]] = []
        self.snapshots: list[tuple[Any, Any]] = []
        self.kept: list[Any] = []  # what cannot change, but is known by its identity
        self.modules: list[weakref.ref[Any]] = []
        self.tensors: list[Tensor] = []
        self._met: set[int] = set()
        self._count = 0
        for (code, _), (space, closed) in watch.codes.items():
            self._add_code(code, space, closed)
        plain = _plain(function)
        if plain is not None:
            self._add_function(plain)
        self._add(function if world.is_module(function) else getattr(function, "__self__", None))
        self.signatures = self._signatures()

    def hold(self) -> bool:
        """Whether everything is as it was."""
        if world.epoch != self.epoch:
            if self._signatures() != self.signatures:
                return False
            self.epoch = world.epoch
        for space, name, value in self.names:
            if space.get(name, _MISSING) is not value:
                return False
        for cell, value in self.cells:
            if cell.cell_contents is not value:
                return False
        for value, known in self.snapshots:
            if _snapshot(value) != known:
                return False
        return True

    def _signatures(self) -> list[Any]:
        found = [reference() for reference in self.modules]
        return [None if module is None else world.signature(module) for module in found]

    def _add_code(self, code: CodeType, space: dict[str, Any], closed: set[Identities]) -> None:
        for name in _names_read(code):
            if name in space:
                self._add_name(space, name)
        for function in gc.get_referrers(code) if closed else ():
            if isinstance(function, FunctionType) and function.__code__ is code:
                if tuple(map(_identity, function.__closure__ or ())) in closed:
                    self._add_function(function)

    def _add_function(self, function: FunctionType) -> None:
        for cell in function.__closure__ or ():
            self._add_cell(cell)
        for default in (*(function.__defaults__ or ()), *(function.__kwdefaults__ or {}).values()):
            self._add(default)

    def _add_name(self, space: dict[str, Any], name: str) -> None:
        value = space[name]
        self.names.append((space, name, value))
        self._add(value)

    def _add_cell(self, cell: Any) -> None:
        try:
            value = cell.cell_contents
        except ValueError:
            return  # empty: the code that reads it fills it first
        if id(cell) not in self._met:
            self._met.add(id(cell))
            self.cells.append((cell, value))
            self._add(value)

    def _add(self, value: Any) -> None:
        """Guards what can change inside of a value."""
        if isinstance(value, _SIMPLE) or id(value) in self._met:
            return
        self._met.add(id(value))
        self._count += 1
        if self._count > _MOST:
            raise UnknownError("depends on too many values")
        if isinstance(value, Tensor):
            self.tensors.append(value)
        elif world.is_module(value):
            # weak: a module keeps the guards of its own calls
            self.modules.append(weakref.ref(value))
            for each in value.modules():
                self._add_attributes(each)
        elif world.is_optimizer(value):
            return
        elif isinstance(value, (type, ModuleType, FunctionType, BuiltinFunctionType, np.ufunc)):
            return
        elif isinstance(value, MethodType):
            self._add(value.__self__)
        elif isinstance(value, (list, tuple, dict, set, frozenset)):
            parts = value.values() if isinstance(value, dict) else value
            if isinstance(value, (tuple, frozenset)):
                self.kept.append(value)
            else:
                self.snapshots.append((value, _snapshot(value)))
            for part in parts:
                self._add(part)
        elif isinstance(value, functools.partial):
            self._add([value.func, *value.args, *value.keywords.values()])
        elif type(value).__module__.split(".")[0] == "fakel" or world.is_plain(value):
            self.snapshots.append((value, _snapshot(value)))
            for part in vars(value).values():
                self._add(part)
        else:
            raise UnknownError(f"depends on a {type(value).__qualname__}")

    def _add_attributes(self, module: Any) -> None:
        """The attributes of a module, whose replacement ``world`` notices."""
        self._met.add(id(module))
        self.tensors += [p for p in module._parameters.values() if p is not None]
        self.tensors += [b for b in module._buffers.values() if b is not None]
        for name, value in module.__dict__.items():
            if name not in world.TABLES:
                self._add(value)


_MISSING = object()


def _plain(function: Any) -> FunctionType | None:
    """The function of Python's own that a call of this one runs; None where it is another thing."""
    found = getattr(function, "__func__", function)
    return found if isinstance(found, FunctionType) else None


def _identity(cell: Any) -> int | None:
    try:
        return id(cell.cell_contents)
    except ValueError:
        return None  # empty


@functools.cache
def _names_read(code: CodeType) -> tuple[str, ...]:
    """The global names that code reads.

    Raises:
        UnknownError: the code does something that lasts.
    """
    names = []
    for instruction in dis.get_instructions(code):
        name = instruction.opname
        if name in _LASTING or (name == "STORE_DEREF" and instruction.argval in code.co_freevars):
            raise UnknownError(f"{code.co_name} does {name} {instruction.argval}")
        if name in ("LOAD_GLOBAL", "LOAD_NAME"):
            names.append(instruction.argval)
        if instruction.argval in _UNGUARDED and isinstance(instruction.argval, str):
            raise UnknownError(f"{code.co_name} reads {instruction.argval}")
    return tuple(dict.fromkeys(names))


def _snapshot(value: Any) -> Any:
    """What a value consists of: simple values as they are, others by identity."""
    if isinstance(value, dict):
        return [(_part(key), _part(each)) for key, each in value.items()]
    if isinstance(value, list):
        return [_part(each) for each in value]
    if isinstance(value, set):
        return {_part(each) for each in value}
    return [(key, _part(each)) for key, each in vars(value).items()]


def _part(value: Any) -> Any:
    return (type(value), value) if isinstance(value, _SIMPLE) else id(value)
